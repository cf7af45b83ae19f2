# Models from reticulate compile and train with R's numbers, names and functions.

inputs <- matrix(c(-1, 0, 1, 2, 2, 1, 0, 1), ncol = 2)
targets <- c(1, 2, 3, 4)

# A model with one weight for each input, all of them 0 at the start.
linear_model <- function() {
  keras <- reticulate::import("keras")
  model <- keras$Sequential(list(keras$layers$Dense(1L, kernel_initializer = "zeros")))
  model$build(reticulate::tuple(NULL, 2L))
  model
}

test_that("compile() and fit() train a bare reticulate model", {
  need_pyadam()
  model <- linear_model()
  compiled <- compile(model, optimizer = optimizer_adam(0.1), loss = "mse", metrics = "mae")
  expect_identical(compiled, model)
  history <- fit(
    model, inputs, targets,
    epochs = 3, batch_size = 2, verbose = 0, validation_data = list(inputs, targets),
    sample_weight = rep(1, 4)
  )$history
  expect_named(history, c("loss", "mae", "val_loss", "val_mae"), ignore.order = TRUE)
  expect_length(history$loss, 3)
  expect_lt(history$loss[3], history$loss[1])
  expect_equal(as.numeric(model$optimizer$iterations$numpy()), 6)
})

test_that("whole numbers need no L and no name", {
  need_pyadam()
  model <- compile(linear_model(), optimizer_adam(), "mse")
  history <- fit(model, inputs, targets, 2, 3, 0)
  expect_length(history$history$loss, 3)
})

test_that("class_weight, named by classes, weighs them", {
  need_pyadam()
  loss <- function(...) {
    model <- compile(linear_model(), optimizer_sgd(0), "mse")
    fit(model, inputs, c(0, 1, 0, 1), batch_size = 4, epochs = 1, verbose = 0, ...)$history$loss
  }
  expect_equal(loss(), 0.5)
  expect_equal(loss(class_weight = list("0" = 1, "1" = 50)), 25)
  expect_equal(loss(class_weight = c("1" = 50)), 25)
  expect_equal(loss(class_weight = reticulate::py_dict(list(1L), list(50))), 25)
  expect_equal(loss(class_weight = NULL), 0.5)
  words <- 'the names of class_weight must be whole numbers >= 0, .*, got "no", "1"$'
  expect_error(loss(class_weight = list(no = 1, "1" = 50)), words)
  expect_error(loss(class_weight = c(1, 50)), "class_weight must be .* got none")
})

test_that("steps_per_execution needs no L", {
  need_pyadam()
  model <- compile(linear_model(), optimizer_sgd(), "mse", steps_per_execution = 2)
  fit(model, inputs, targets, batch_size = 1, epochs = 1, verbose = 0)
  expect_equal(as.numeric(model$optimizer$iterations$numpy()), 4)
})

test_that("the first step of Adam is the learning rate", {
  need_pyadam()
  model <- compile(linear_model(), optimizer = optimizer_adam(0.25, epsilon = 0), loss = "mse")
  fit(model, inputs, targets, epochs = 1, batch_size = 4, verbose = 0)
  expect_equal(abs(model$get_weights()[[1]]), matrix(0.25, 2, 1), tolerance = 1e-6)
})

test_that("an R function as learning rate is called at every step", {
  need_pyadam()
  calls <- 0
  rate <- function() {
    calls <<- calls + 1
    0.1 / calls
  }
  model <- compile(linear_model(), optimizer = optimizer_adam(rate), loss = "mse")
  fit(model, inputs, targets, epochs = 5, batch_size = 4, verbose = 0)
  expect_gte(calls, 5)
})

test_that("a Keras schedule is a learning rate", {
  need_pyadam()
  schedules <- reticulate::import("keras")$optimizers$schedules
  optimizer <- optimizer_adam(schedules$ExponentialDecay(0.1, 10L, 0.5))
  model <- compile(linear_model(), optimizer = optimizer, loss = "mse")
  fit(model, inputs, targets, epochs = 2, batch_size = 4, verbose = 0)
  expect_equal(as.numeric(optimizer$learning_rate$numpy()), 0.1 * 0.5^0.2, tolerance = 1e-6)
})

test_that("LazyAdam moves the rows of an embedding that the data name, and no others", {
  need_pyadam()
  keras <- reticulate::import("keras")
  lazily_trained <- function(...) {
    layers <- keras$layers
    model <- keras$Sequential(list(layers$Embedding(6L, 2L), layers$Flatten(), layers$Dense(1L)))
    model$build(reticulate::tuple(NULL, 2L))
    before <- model$get_weights()[[1]]
    compile(model, optimizer = optimizer_lazy_adam(0.1, weight_decay = 0.01), loss = "mse", ...)
    fit(model, matrix(c(1, 3, 3, 1), 2), c(1, 2), epochs = 3, verbose = 0)
    rowSums(model$get_weights()[[1]] != before)
  }
  expect_equal(lazily_trained(), c(0, 2, 0, 2, 0, 0))
  expect_equal(lazily_trained(jit_compile = TRUE), c(0, 2, 0, 2, 0, 0))
})

test_that("the methods are the least specific ones", {
  need_pyadam()
  expect_identical(utils::tail(class(linear_model()), 1), "python.builtin.object")
  expect_error(compile(1), "no applicable method")
})

test_that("one optimizer for two folds is refused, and a new one for each starts afresh", {
  need_pyadam()
  one <- optimizer_adam(0.1)
  fit_fold <- function(optimizer) {
    model <- compile(linear_model(), optimizer, "mse")
    fit(model, inputs, targets, epochs = 2, verbose = 0)$history$loss
  }
  first <- fit_fold(one)
  words <- "Adam: unknown variable .*kernel.*: the optimizer has taken 2 steps, and none with these"
  expect_error(fit_fold(one), words)
  expect_identical(fit_fold(optimizer_adam(0.1)), first)
})

test_that("an argument that neither R nor Python has is an error that suggests the closest", {
  need_pyadam()
  model <- linear_model()
  expect_error(
    compile(model, optimizer_adam(), "mse", optimzer = 1),
    "compile: unknown argument optimzer, did you mean optimizer?",
    fixed = TRUE
  )
  compile(model, optimizer_adam(), "mse")
  expect_error(
    fit(model, inputs, targets, batchsize = 2),
    "fit: unknown argument batchsize, did you mean batch_size?",
    fixed = TRUE
  )
  expect_error(predict(model, inputs, nonsense_altogether = 2), "unknown argument nonsense_alto.*$")
  fit(model, inputs, targets, epochs = 1, verbose = 0, validation_batch_size = 2) # Python's own
})

test_that("what is no optimizer or callback is refused", {
  need_pyadam()
  model <- linear_model()
  expect_error(compile(model, optimizer_adam, "mse"), "call it, as in optimizer_adam\\(\\)")
  compile(model, optimizer_adam(), "mse")
  expect_error(
    fit(model, inputs, targets, callbacks = "stop"),
    "fit: callbacks must be a Keras callback or a list of them, got \"stop\"",
    fixed = TRUE
  )
})

test_that("what Keras' errors don't say is added to them", {
  need_pyadam()
  keras <- reticulate::import("keras")
  model <- keras$Sequential(list(keras$layers$Dense(1L)))
  compile(model, optimizer_adam(), "mse")
  expect_error(fit(model, inputs, verbose = 0), "is y missing?", fixed = TRUE)
  expect_error(fit(model, inputs, targets, verbose = 0), "an earlier call has failed half-way")
})

test_that("losses and metrics compute with R's operators and functions, whatever the reticulate", {
  need_pyadam()
  model <- linear_model()
  square <- function(y, p) mean((y - p)^2)
  compile(model, optimizer_sgd(0), square, metrics = list(off = function(y, p) sqrt(square(y, p))))
  found <- evaluate(model, inputs, targets, verbose = 0)
  expect_equal(unname(found), c(mean(targets^2), sqrt(mean(targets^2))), tolerance = 1e-6)
})
