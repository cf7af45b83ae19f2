# R functions that make batches train, validate and predict like the same data in one piece.

x <- matrix(1:48 / 48, 16)
y <- 1:16 / 16

# Batches of four rows in order; `limit` of them, then NULL once, and from the start again.
in_order <- function(limit = Inf) {
  calls <- 0
  function() {
    calls <<- calls + 1
    if (calls > limit) {
      calls <<- 0
      return(NULL)
    }
    rows <- ((calls - 1) %% 4) * 4 + 1:4
    list(x[rows, ], y[rows])
  }
}
calls_of <- function(make) environment(make)$calls

network <- function(keras, ...) {
  layers <- keras$layers
  layer <- layers$Dense(1L, kernel_initializer = "zeros")
  compile(keras$Sequential(list(layer)), keras$optimizers$SGD(0.1), "mse", ...)
}

for (name in c("keras", "tf_keras")) {
  test_that(paste("an R function makes the batches of training:", name), {
    need_pyadam()
    skip_if_not(reticulate::py_module_available(name))
    keras <- reticulate::import(name)
    from_arrays <- network(keras)
    fit(from_arrays, x, y, batch_size = 4, epochs = 3, shuffle = FALSE, verbose = 0)
    make <- in_order()
    from_function <- network(keras)
    history <- fit(from_function, make, steps_per_epoch = 4, epochs = 3, verbose = 0)
    expect_identical(from_function$get_weights(), from_arrays$get_weights())
    expect_length(history$metrics$loss, 3)
    expect_equal(calls_of(make), 12) # none ahead of its step

    until_null <- network(keras)
    fit(until_null, in_order(4), epochs = 1, verbose = 0)
    once <- network(keras)
    fit(once, x, y, batch_size = 4, epochs = 1, shuffle = FALSE, verbose = 0)
    expect_identical(until_null$get_weights(), once$get_weights())
  })

  test_that(paste("several steps in one execution, with validation:", name), {
    need_pyadam()
    skip_if_not(reticulate::py_module_available(name))
    keras <- reticulate::import(name)
    model <- network(keras, steps_per_execution = 2)
    validation <- in_order()
    history <- fit(
      model, in_order(),
      steps_per_epoch = 4, epochs = 2, verbose = 0,
      validation_data = validation, validation_steps = 4
    )
    expect_equal(as.numeric(model$optimizer$iterations$numpy()), 8)
    expect_equal(calls_of(validation), 8)
    loss <- evaluate(model, x, y, verbose = 0)
    expect_equal(history$metrics$val_loss[2], loss[["loss"]], tolerance = 1e-6)
  })

  test_that(paste("an R function makes the batches of evaluate() and predict():", name), {
    need_pyadam()
    skip_if_not(reticulate::py_module_available(name))
    model <- network(reticulate::import(name), "mae")
    make <- in_order()
    expect_equal(
      evaluate(model, make, steps = 4, verbose = 0), evaluate(model, x, y, verbose = 0),
      tolerance = 1e-6
    )
    expect_equal(calls_of(make), 4)
    inputs <- in_order(4)
    only_x <- function() inputs()[1]
    ends <- function() if (is.null(batch <- inputs())) NULL else batch[1]
    expected <- predict(model, x, verbose = 0)
    expect_equal(predict(model, only_x, steps = 4, verbose = 0), expected, tolerance = 1e-6)
    inputs <- in_order(4)
    expect_equal(predict(model, ends, verbose = 0), expected, tolerance = 1e-6)
  })
}

test_that("what a function makes is checked, and its own errors are R's", {
  need_pyadam()
  keras <- reticulate::import("keras")
  failing <- function(second) {
    calls <- 0
    function() {
      calls <<- calls + 1
      if (calls == 1) list(x, y) else second()
    }
  }
  train <- function(make) fit(network(keras), make, steps_per_epoch = 3, epochs = 1, verbose = 0)
  expect_error(train(failing(function() stop("no more rows"))), "no more rows")
  expect_error(train(failing(function() list(x, c(NA, y[-1])))), "fit: x: y has 1 NA")
  expect_error(train(function() NULL), "fit: x: the function returned NULL on its first call")
  expect_error(train(function() list(x, y, y, y)), "must be list\\(x, y\\) .* a list of 4")
})

test_that("NULL at the end of the data causes no warning", {
  need_pyadam()
  definitions <- utils::capture.output(dump(c("x", "y", "in_order", "network"), ""))
  code <- '
    for (name in c("keras", "tf_keras")) {
      if (!reticulate::py_module_available(name)) next
      model <- network(reticulate::import(name))
      validation <- in_order(2)
      fit(model, in_order(4), epochs = 3, verbose = 0, validation_data = validation)
      evaluate(model, in_order(4), verbose = 0)
    }
    cat("done")
  '
  printed <- fresh_session(c("library(pyadam)", definitions, code))
  expect_match(printed, "done$")
  expect_no_match(printed, "ran out of data")
})

test_that("a function that stays at its end is an error, and one that ends early warns", {
  need_pyadam()
  staying <- function(limit) {
    calls <- 0
    function() {
      calls <<- calls + 1
      if (calls <= limit) list(x, y)
    }
  }
  for (name in c("keras", "tf_keras")) {
    if (!reticulate::py_module_available(name)) next
    keras <- reticulate::import(name)
    words <- ": the function returned NULL at the start of another epoch"
    train <- function(...) fit(network(keras), ..., verbose = 0)
    expect_error(train(staying(3), epochs = 2), paste0("fit: x", words))
    expect_error(train(staying(4), epochs = 3, steps_per_epoch = 2), paste0("fit: x", words))
    expect_error(
      train(x, y, epochs = 2, validation_data = staying(2)), paste0("fit: validation_data", words)
    )
    # A NULL between two epochs of that many steps is not an empty epoch.
    history <- train(in_order(4), epochs = 3, steps_per_epoch = 4)
    expect_true(all(history$metrics$loss > 0))
    words <- "fit: x: the function returned NULL after 2 of 4 steps"
    expect_warning(train(staying(2), epochs = 1, steps_per_epoch = 4), words)
  }
})

test_that("what belongs to each observation comes in the batches", {
  need_pyadam()
  model <- network(reticulate::import("keras"))
  refused <- list(y = y, sample_weight = y, class_weight = list("0" = 1), validation_split = 0.1)
  for (name in names(refused)) {
    words <- paste0("^fit: ", name, " cannot be given when x is a function that makes batches")
    arguments <- c(list(model, in_order(), steps_per_epoch = 1), refused[name])
    expect_error(do.call(fit, arguments), words)
  }
  expect_error(evaluate(model, in_order(), y), "^evaluate: y cannot be given.*list\\(x, y\\)$")
})
