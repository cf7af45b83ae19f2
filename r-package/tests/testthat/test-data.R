# R's kinds of data reach Keras as they should, and anything else is refused by name.

# A model of `units` numbers whose output is that of its last layer.
network <- function(units = 1L, loss = "mse", ..., keras = "keras") {
  keras <- reticulate::import(keras)
  layer <- keras$layers$Dense(units, kernel_initializer = "zeros")
  compile(keras$Sequential(list(layer)), keras$optimizers$SGD(0.1), loss, ...)
}

trained <- function(model, ...) {
  fit(model, ..., epochs = 2, shuffle = FALSE, verbose = 0)
  model$get_weights()
}

test_that("data frames and tibbles of numbers are matrices", {
  need_pyadam()
  cars <- as.data.frame(scale(mtcars[1:3]))
  expected <- trained(network(), as.matrix(cars[2:3]), cars$mpg)
  expect_identical(trained(network(), cars[2:3], cars$mpg), expected)
  expect_identical(trained(network(), cars[2:3], cars["mpg"]), expected)
  if (requireNamespace("tibble", quietly = TRUE)) {
    table <- tibble::as_tibble(cars)
    expect_identical(trained(network(), table[2:3], table["mpg"]), expected)
  }
  model <- network()
  history <- fit(
    model, cars[2:3], cars["mpg"],
    validation_data = list(cars[2:3], cars["mpg"]), epochs = 1, verbose = 0
  )
  loss <- evaluate(model, cars[2:3], cars["mpg"], verbose = 0)
  expect_named(loss, "loss")
  expect_equal(history$metrics$val_loss, loss[["loss"]], tolerance = 1e-6)
  expect_identical(
    predict(model, cars[2:3], verbose = 0), predict(model, as.matrix(cars[2:3]), verbose = 0)
  )
})

test_that("a factor as target is whole numbers from 0, class_weight names its levels", {
  need_pyadam()
  x <- as.matrix(iris[1:4])
  classifier <- function() network(3L, "sparse_categorical_crossentropy")
  codes <- as.integer(iris$Species) - 1L
  expect_identical(trained(classifier(), x, iris$Species), trained(classifier(), x, codes))
  expect_identical(
    trained(classifier(), x, iris$Species, class_weight = list(setosa = 2, versicolor = 3)),
    trained(classifier(), x, codes, class_weight = list("0" = 2, "1" = 3))
  )
  expect_error(
    fit(classifier(), x, iris$Species, class_weight = list(rose = 2)),
    'class_weight must be levels of y, "setosa", "versicolor", "virginica", got "rose"'
  )
})

test_that("class_weight is a list, a vector or a table of finite numbers", {
  need_pyadam()
  x <- matrix(1:8 / 8, 8)
  y <- rep(0:1, c(2, 6))
  expected <- trained(network(), x, y, class_weight = list("0" = 1 / 2, "1" = 1 / 6))
  expect_identical(trained(network(), x, y, class_weight = 1 / table(y)), expected)
  expect_identical(trained(network(), x, y, class_weight = c("0" = 1 / 2, "1" = 1 / 6)), expected)
  words <- 'class_weight must hold finite numbers >= 0, got .* for class "1"'
  for (weight in list(NA, Inf, -1, "a")) {
    expect_error(fit(network(), x, y, class_weight = list("0" = 1, "1" = weight)), words)
  }
})

test_that("one observation and one column are data, in both Kerases", {
  need_pyadam()
  for (keras in c("keras", "tf_keras")) {
    if (!reticulate::py_module_available(keras)) next
    x <- matrix(c(1, 2, 3), 3, 1)
    y <- c(2, 4, 6)
    model <- network(keras = keras)
    history <- fit(
      model, x[1, , drop = FALSE], y[1],
      sample_weight = 1, epochs = 1, verbose = 0, validation_data = list(x[3, , drop = FALSE], y[3])
    )
    # The weight goes from 0 to 0.1 * 2 * 2 and so does the bias.
    expect_equal(model$get_weights()[[1]][1], 0.4, tolerance = 1e-6)
    expect_equal(history$metrics$val_loss, (6 - 1.6)^2, tolerance = 1e-6)
    expect_equal(evaluate(model, matrix(3), 6, verbose = 0)[["loss"]], 4.4^2, tolerance = 1e-6)
    expect_equal(predict(model, matrix(3), verbose = 0), matrix(1.6), tolerance = 1e-6)
  }
})

test_that("invalid data are refused by name, and nothing is trained", {
  need_pyadam()
  model <- network()
  fit(model, matrix(1:4, 4), 1:4, epochs = 1, verbose = 0)
  before <- model$get_weights()
  refused <- list(
    "x: |x is a data frame with non-numeric columns: Species \\(factor\\)" =
      list(iris, 1:150),
    "x is a factor" = list(iris$Species, 1:150),
    "x is of class Date" = list(as.Date("2020-01-01") + 1:4, 1:4),
    "x has 1 NA, the first in row 2" = list(matrix(c(1, NA, 3, 4), 2), 1:2),
    "y has 2 NA, the first in row 3" = list(1:4, c(1L, 2L, NA, NA)),
    "y has 1 NA, the first in row 1" = list(1:2, factor(c(NA, "a"))),
    "sample_weight has 1 NA" = list(1:2, 1:2, sample_weight = c(1, NA)),
    "validation_data: y has 1 NA" = list(1:2, 1:2, validation_data = list(1:2, c(1, NA))),
    "x has no observations" = list(matrix(0, 0, 1), numeric())
  )
  for (words in names(refused)) {
    expect_error(do.call(fit, c(list(model), refused[[words]]), quote = TRUE), words)
  }
  expect_error(evaluate(model, c(1, NA), 1:2), "evaluate: x has 1 NA")
  expect_error(predict(model, c(1, NA)), "predict: x has 1 NA")
  expect_identical(model$get_weights(), before)
})

test_that("numbers and flags out of range are refused by name", {
  need_pyadam()
  model <- network()
  refused <- list(
    batch_size = 1e10, batch_size = 0, batch_size = NA, epochs = 2.5, epochs = -1, epochs = NA,
    epochs = NaN, epochs = c(1, 2), initial_epoch = -1, steps_per_epoch = 0.5, validation_steps = 0,
    shuffle = NA, validation_split = NA, validation_freq = 0
  )
  for (i in seq_along(refused)) {
    words <- paste0("^fit: ", names(refused)[i], " (must be a whole number from|is NA)")
    expect_error(do.call(fit, c(list(model, 1:2, 1:2), refused[i])), words)
  }
  others <- list(
    validation_split = -0.1, validation_split = 1, validation_split = c(0.1, 0.2),
    validation_split = "0.2", validation_split = TRUE, verbose = 3, verbose = -1, verbose = "yes",
    verbose = 0.5, shuffle = "no", shuffle = 2, shuffle = c(TRUE, FALSE), epochs = "3",
    batch_size = "32", batch_size = "auto", validation_steps = "1", validation_freq = "2"
  )
  for (i in seq_along(others)) {
    words <- paste0("^fit: ", names(others)[i], " must be .*, got .*")
    expect_error(do.call(fit, c(list(model, 1:2, 1:2), others[i])), words)
  }
  words <- '^fit: verbose must be 0, 1, 2 or "auto", got 3$'
  expect_error(fit(model, 1:2, 1:2, verbose = 3), words)
  expect_error(evaluate(model, 1:2, 1:2, verbose = "no"), "^evaluate: verbose must be")
  expect_length(fit(model, matrix(1:2), 1:2, epochs = NULL, verbose = FALSE)$metrics$loss, 10)
  expect_error(evaluate(model, 1:2, 1:2, steps = -1), "evaluate: steps must be .* got -1")
  expect_error(predict(model, 1:2, batch_size = 1e10), "predict: batch_size .* got 1e\\+10")
  expect_error(compile(model, steps_per_execution = 1.5), "compile: steps_per_execution .* got 1.5")
  expect_error(compile(model, target_tensors = list(1)), "target_tensors no longer exists in Keras")
})

test_that("validation_data is list(x, y) or list(x, y, sample_weight), in order or by name", {
  need_pyadam()
  x <- matrix(c(1, 2, 3))
  y <- c(2, 4, 7)
  weights <- c(1, 0, 0)
  val_loss <- function(...) {
    model <- network()
    fit(model, x, y, epochs = 1, verbose = 0, validation_data = list(...))$metrics$val_loss
  }
  expected <- val_loss(x, y, weights)
  expect_false(expected == val_loss(x, y))
  expect_identical(val_loss(y = y, x = x, sample_weight = weights), expected)
  expect_identical(val_loss(sample_weight = weights, x, y), expected)
  expect_identical(val_loss(x_val = x, y_val = y), val_loss(x, y))
  expect_error(val_loss(x = x, x = y), "^fit: validation_data has x twice$")
  words <- "^fit: validation_data must be list\\(x, y\\) or list\\(.*\\), got a list of"
  expect_error(val_loss(x), paste(words, 1))
  expect_error(val_loss(x, y, weights, x), paste(words, 4))
  for (other in list(y, x, data.frame(x, y), TRUE)) {
    expect_error(
      fit(network(), x, y, verbose = 0, validation_data = other),
      "^fit: validation_data must be list.* a function that makes batches, got "
    )
  }
})

test_that("sparse matrices of Matrix are inputs", {
  need_pyadam()
  skip_if_not_installed("Matrix")
  skip_if_not(reticulate::py_module_available("scipy"), "Python has no scipy")
  dense <- matrix(c(0, 1, 0, 0, 2, 0, 3, 0), 4)
  sparse <- Matrix::Matrix(dense, sparse = TRUE)
  y <- c(1, 2, 3, 4)
  model <- network()
  fit(model, sparse, y, epochs = 1, batch_size = 2, shuffle = FALSE, verbose = 0)
  other <- network()
  fit(other, dense, y, epochs = 1, batch_size = 2, shuffle = FALSE, verbose = 0)
  expect_equal(model$get_weights(), other$get_weights(), tolerance = 1e-6)
  expect_equal(
    predict(model, sparse, verbose = 0), predict(model, dense, verbose = 0),
    tolerance = 1e-6
  )
  expect_error(fit(model, sparse > 0, y), "x is of class lgCMatrix; give a matrix, or a sparse one")
  sparse[1, 2] <- NA
  expect_error(fit(model, sparse, y), "x has NA")
})

test_that("a model from readRDS says what to do", {
  need_pyadam()
  file <- tempfile()
  on.exit(unlink(file))
  model <- network()
  saveRDS(list(model, model$optimizer), file)
  lost <- readRDS(file)
  calls <- list(
    compile = list(optimizer_adam(), "mse"), fit = list(1:2, 1:2), evaluate = list(1:2, 1:2),
    predict = list(1:2)
  )
  for (name in names(calls)) {
    words <- paste0("^", name, ": the model is a Python object from another R session.*load_model")
    expect_error(do.call(name, c(lost[1], calls[[name]])), words)
  }
  words <- "compile: optimizer is a Python object from another R session"
  expect_error(compile(model, lost[[2]]), words)
})
