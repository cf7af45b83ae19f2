# fit() returns a history that converts to a data frame, prints and plots as in R keras 2.11.

fitted <- function(..., metrics = NULL) {
  keras <- reticulate::import("keras")
  model <- keras$Sequential(list(keras$layers$Dense(1L, kernel_initializer = "zeros")))
  compile(model, optimizer_sgd(0.01), "mse", metrics)
  fit(model, matrix(1:4 / 4, 4), 1:4, verbose = 0, ...)
}

test_that("fit() has R keras 2.11's defaults: ten epochs, and view_metrics is taken", {
  need_pyadam()
  history <- fitted(view_metrics = FALSE)
  expect_length(history$metrics$loss, 10)
  expect_identical(history$params$epochs, 10L)
  expect_identical(history$history, history$metrics)
  expect_identical(history$epoch, 0:9)
  expect_s3_class(history, "keras_training_history")
})

test_that("the formals are those of R keras 2.11", {
  formals_of <- function(generic) {
    names(formals(utils::getS3method(generic, "python.builtin.object")))
  }
  expect_identical(formals_of("compile"), c(
    "object", "optimizer", "loss", "metrics", "loss_weights", "weighted_metrics", "run_eagerly",
    "steps_per_execution", "...", "target_tensors", "sample_weight_mode"
  ))
  expect_identical(formals_of("fit"), c(
    "object", "x", "y", "batch_size", "epochs", "verbose", "callbacks", "view_metrics",
    "validation_split", "validation_data", "shuffle", "class_weight", "sample_weight",
    "initial_epoch", "steps_per_epoch", "validation_steps", "..."
  ))
  expect_identical(formals_of("evaluate"), c(
    "object", "x", "y", "batch_size", "verbose", "sample_weight", "steps", "callbacks", "..."
  ))
  expect_identical(formals_of("predict"), c(
    "object", "x", "batch_size", "verbose", "steps", "callbacks", "..."
  ))
})

test_that("metrics may be R functions, alone, in lists, and with names", {
  need_pyadam()
  ops <- reticulate::import("keras")$ops
  double <- function(y_true, y_pred) ops$full_like(y_pred, 2)
  triple <- function(y_true, y_pred) ops$full_like(y_pred, 3)
  attr(triple, "py_function_name") <- "triple"
  losses <- function(metrics) {
    history <- fitted(metrics = metrics, epochs = 1)
    unlist(history$metrics[names(history$metrics) != "loss"])
  }
  expect_equal(losses("mae"), c(mae = 2.5), tolerance = 0.1)
  expect_identical(losses(double), c(python_function = 2))
  expect_identical(losses(list(triple, own = double))[c("own", "triple")], c(own = 2, triple = 3))
  expect_setequal(names(losses(list(double, double))), c("python_function", "python_function_1"))
  expect_setequal(names(losses(c("mae", "mape"))), c("mae", "mape"))
})

test_that("a history is a data frame with a row for each epoch, metric and kind of data", {
  need_pyadam()
  history <- fitted(metrics = "mae", epochs = 3, validation_split = 0.25, validation_freq = 2)
  frame <- as.data.frame(history)
  expect_named(frame, c("epoch", "value", "metric", "data"))
  expect_identical(nrow(frame), 12L)
  expect_identical(levels(frame$data), c("training", "validation"))
  loss <- frame[frame$metric == "loss", ]
  expect_identical(loss$value[loss$data == "training"], history$metrics$loss)
  expect_identical(loss$value[loss$data == "validation"], c(NA, history$metrics$val_loss, NA))
  expect_identical(loss$epoch, c(1:3, 1:3))
})

test_that("epochs that were not trained are NA in the data frame", {
  need_pyadam()
  keras <- reticulate::import("keras")
  stop_early <- keras$callbacks$EarlyStopping("loss", min_delta = 1e9, patience = 2L)
  history <- fitted(epochs = 6, callbacks = stop_early)
  expect_identical(is.na(as.data.frame(history)$value), rep(c(FALSE, TRUE), each = 3))
  later <- fitted(epochs = 3, initial_epoch = 2)
  expect_identical(is.na(as.data.frame(later)$value), c(TRUE, TRUE, FALSE))
})

test_that("a history is printed and plotted", {
  need_pyadam()
  history <- fitted(metrics = "mae", epochs = 2, validation_split = 0.25)
  expect_output(print(history), "2 epochs.*loss +[0-9.]+.*val_loss +[0-9.]+")
  file <- tempfile(fileext = ".pdf")
  on.exit(unlink(file))
  grDevices::pdf(file)
  expect_identical(plot(history), history)
  plot(history, metrics = "loss", main = "one")
  expect_error(plot(history, metrics = "other"), 'plot: metrics must be some of .*, got "other"')
  grDevices::dev.off()
  expect_gt(file.size(file), 4000)
})

test_that("a loss without finite values is an empty plot, with a warning", {
  need_pyadam()
  history <- fitted(metrics = "mae", epochs = 2, validation_split = 0.25)
  grDevices::pdf(NULL)
  on.exit(grDevices::dev.off())
  for (values in list(c(NaN, NaN), c(Inf, Inf), c(NaN, -Inf))) {
    history$metrics$loss <- history$metrics$val_loss <- values
    expect_warning(plot(history), "^plot: loss has no finite values$")
    expect_warning(plot(history, metrics = "loss", type = "b", main = "one"), "no finite values")
  }
  history$metrics$val_loss <- c(1, 2)
  expect_silent(plot(history))
})

test_that("a history without epochs has the columns of others", {
  need_pyadam()
  history <- fitted(epochs = 2, initial_epoch = 2)
  frame <- as.data.frame(history)
  expect_identical(dim(frame), c(0L, 4L))
  expect_identical(lapply(frame, class), lapply(as.data.frame(fitted(epochs = 1)), class))
  expect_output(print(history), "^Training of 0 epochs\\.$")
  grDevices::pdf(NULL)
  on.exit(grDevices::dev.off())
  expect_warning(plot(history), "^plot: the history has no epochs$")
  expect_identical(dim(as.data.frame(fitted(epochs = 0))), c(0L, 4L))
})
