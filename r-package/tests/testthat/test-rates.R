# R functions as hyperparameters are called for the step that needs them.

one_weight <- function(optimizer, ...) {
  keras <- reticulate::import("keras")
  layer <- keras$layers$Dense(1L, use_bias = FALSE, kernel_initializer = "zeros")
  model <- keras$Sequential(list(keras$layers$Input(list(1L)), layer))
  # the loss is the weight, so a step of SGD moves it by the rate
  compile(model, optimizer, function(y_true, y_pred) keras$ops$mean(y_pred, axis = -1L), ...)
}

weight_of <- function(model) model$get_weights()[[1]][1, 1]

test_that("an R function is called for this step: between two fits", {
  need_pyadam()
  rate <- 0.1
  model <- one_weight(optimizer_sgd(function() rate))
  for (r in c(0.1, 0.001, 5)) {
    rate <- r
    before <- weight_of(model)
    fit(model, matrix(1, 2, 1), c(1, 1), epochs = 1, verbose = 0)
    expect_equal(before - weight_of(model), r, tolerance = 1e-5)
  }
})

test_that("an R function is called for this step: in callbacks before a batch", {
  need_pyadam()
  rate <- 1
  seen <- c()
  model <- one_weight(optimizer_sgd(function() rate))
  callback <- reticulate::import("keras")$callbacks$LambdaCallback(
    on_train_batch_begin = function(batch, logs) rate <<- 2^-(batch + 1),
    on_train_batch_end = function(batch, logs) seen <<- c(seen, weight_of(model))
  )
  fit(model, matrix(1, 6, 1), rep(1, 6), 2, 1, verbose = 0, callbacks = list(callback))
  expect_equal(seen, -cumsum(c(0.5, 0.25, 0.125)))
})

test_that("an R function as weight_decay is called for this step, in tf.function too", {
  need_pyadam()
  tf <- reticulate::import("tensorflow")
  decay <- 0
  optimizer <- optimizer_sgd(0.5, weight_decay = function() decay)
  weight <- tf$Variable(8)
  step <- tf$`function`(function() {
    optimizer$apply(list(tf$constant(0)), list(weight))
    NULL
  })
  for (d in c(0, 1, 0)) {
    decay <- d
    before <- as.numeric(weight$numpy())
    step()
    expect_equal(as.numeric(weight$numpy()), before * (1 - 0.5 * d))
  }
})

test_that("an R function cannot be called for the second step of one call", {
  need_pyadam()
  model <- one_weight(optimizer_sgd(function() 0.1), steps_per_execution = 2L)
  expect_error(
    fit(model, matrix(1, 4, 1), rep(1, 4), batch_size = 2, verbose = 0),
    "learning_rate is an R function.*set steps_per_execution = 1"
  )
})

test_that("an R function that returns NA is refused, and the error shows NA", {
  need_pyadam()
  tf <- reticulate::import("tensorflow")
  optimizer <- optimizer_sgd(function() NA)
  expect_error(
    optimizer$apply(list(tf$constant(0)), list(tf$Variable(8))),
    "the value that learning_rate\\(\\) returned must be a number in .*got NA"
  )
})

test_that("an R function has no address in print(), and an error says what a file can hold", {
  need_pyadam()
  optimizer <- optimizer_adam(function() 0.1)
  expect_output(print(optimizer), "Adam(learning_rate=<R function>", fixed = TRUE)
  expect_error(
    optimizer$get_config(),
    "Adam: learning_rate is an R function, which a config can't hold; use a number, or for a"
  )
})
