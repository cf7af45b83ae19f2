# compile(), fit(), evaluate() and predict() for any Python model: methods for the least specific
# class, so that those of R keras and R keras3 take precedence when these packages are loaded.

#' Compile, fit, evaluate and predict with a Python model
#'
#' Methods for Keras models created through reticulate. They have the arguments of R keras 2.11, in
#' the same order and with the same defaults, and call the model's own methods. If R keras or R
#' keras3 is loaded, its methods are used for its models instead.
#'
#' @section Data:
#' `x`, `y`, `sample_weight` and `validation_data` accept vectors, matrices and arrays, even with
#' one row, column or element; numeric data frames and tibbles, which become matrices; lists of
#' these for models with several inputs or outputs; and Python arrays and datasets. Each element of
#' a vector is an observation. A factor as `y`, or a data frame with a single factor, becomes whole
#' numbers from 0, in the order of its levels, as `"sparse_categorical_crossentropy"` expects. The
#' factor in `validation_data` must have the same levels. Levels without observations keep their
#' numbers; `fit()` warns about them. Factors are not allowed as inputs, since a network should see
#' no order in them; convert them to columns with [stats::model.matrix()]. Strings as `y`, `NA`,
#' dates, and data without rows are also errors. Sparse matrices of class `dgCMatrix` are passed on
#' as sparse, which requires SciPy in Python.
#'
#' `x` and `validation_data` may also be an R function without arguments that generates batches. It
#' returns `list(x, y)` or `list(x, y, sample_weight)`, or `list(x)` for `predict()`, and `NULL` at
#' the end of the data. It is called once per step, when the step begins, on R's own thread. All
#' batches must have the same shapes, except for the number of rows. If the function never ends, set
#' `steps_per_epoch`, `validation_steps` or `steps`. After returning `NULL` it must start over;
#' returning `NULL` at the beginning of another epoch is an error. Weights are part of the batches,
#' so `sample_weight` and `class_weight` can't be combined with a function.
#'
#' @section Calling the model's own methods:
#' `model$fit(...)`, `model$evaluate(...)` and so on call Python directly, without these
#' conversions: write `batch_size = 8L` there, and vectors as `as.array(y)`.
#'
#' @param object A Python model.
#' @param optimizer,loss,loss_weights,weighted_metrics,run_eagerly,steps_per_execution As in
#'   Keras. `NULL` means Keras' default.
#' @param metrics Metrics: names, Keras objects, R functions of `y_true` and `y_pred`, or a list of
#'   these. In a named list, names set the names of functions in printed and returned results;
#'   names of the model's outputs assign metrics to outputs.
#' @param target_tensors,sample_weight_mode No longer in Keras: an error unless `NULL`.
#' @param x,y,sample_weight Inputs, targets and observation weights: see Data below.
#' @param batch_size,epochs,initial_epoch,steps_per_epoch,validation_steps,steps Whole numbers,
#'   without the need for `L`.
#' @param verbose 0, 1, 2 or `"auto"`; `FALSE` is 0 and `TRUE` is 1.
#' @param callbacks A Keras callback or a list of them.
#' @param view_metrics Accepted for compatibility with R keras and ignored: there is no viewer.
#' @param validation_split Fraction of the data, taken from the end, to use for validation: a number
#'   from 0 to less than 1.
#' @param validation_data `list(x, y)` or `list(x, y, sample_weight)`, in this order or by these
#'   names; a dataset; or a function that generates batches.
#' @param shuffle Whether to shuffle the observations before each epoch; `"batch"` shuffles batches.
#' @param class_weight A list, named vector or table of weights. The names are classes: whole
#'   numbers from 0, as in `list("0" = 1, "1" = 50)` or `1 / table(y)`, `FALSE` and `TRUE`, or, if
#'   `y` is a factor, its levels.
#' @param ... Further arguments of the model's own method, by name.
#' @return `compile()` invisibly returns the model. `fit()` invisibly returns the history: a list
#'   with `metrics` and `params` that can be printed, plotted and converted to a data frame, see
#'   [plot.pyadam_history()]. `evaluate()` returns a named vector of the loss and metrics, in the
#'   order of Python's `model$evaluate()`, loss first. `predict()` returns an array, or a list of
#'   arrays for a model with several outputs.
#' @examplesIf is_pyadam_available()
#' keras <- reticulate::import("keras")
#' model <- keras$Sequential(list(keras$layers$Dense(1L)))
#' compile(model, optimizer_adam(0.01), "mse", "mae")
#' history <- fit(model, cars["speed"], cars$dist, epochs = 2, verbose = 0)
#' history$metrics$loss
#' evaluate(model, cars["speed"], cars$dist, verbose = 0)
#' head(predict(model, cars["speed"], verbose = 0))
#' @name training
NULL

#' @rdname training
#' @method compile python.builtin.object
#' @export
compile.python.builtin.object <- function(object,
                                          optimizer = NULL,
                                          loss = NULL,
                                          metrics = NULL,
                                          loss_weights = NULL,
                                          weighted_metrics = NULL,
                                          run_eagerly = NULL,
                                          steps_per_execution = NULL,
                                          ...,
                                          target_tensors = NULL,
                                          sample_weight_mode = NULL) {
  refuse_gone("compile", target_tensors = target_tensors, sample_weight_mode = sample_weight_mode)
  arguments <- given(
    "compile", object,
    optimizer = optimizer, loss = loss, loss_weights = loss_weights, run_eagerly = run_eagerly,
    metrics = metrics, weighted_metrics = weighted_metrics,
    steps_per_execution = steps_per_execution, ...
  )
  if (is_r_function(optimizer)) {
    stop(
      "compile: optimizer must be an optimizer, got a function; call it, as in optimizer_adam()",
      call. = FALSE
    )
  }
  arguments <- change(arguments, c("metrics", "weighted_metrics"), as_metrics, object)
  arguments <- change(arguments, "loss_weights", as_list_of_several)
  do.call(object$compile, arguments, quote = TRUE)
  invisible(object)
}

#' @rdname training
#' @method fit python.builtin.object
#' @export
fit.python.builtin.object <- function(object,
                                      x = NULL,
                                      y = NULL,
                                      batch_size = NULL,
                                      epochs = 10,
                                      verbose = getOption("keras.fit_verbose", default = 1),
                                      callbacks = NULL,
                                      view_metrics = getOption(
                                        "keras.view_metrics",
                                        default = "auto"
                                      ),
                                      validation_split = 0,
                                      validation_data = NULL,
                                      shuffle = TRUE,
                                      class_weight = NULL,
                                      sample_weight = NULL,
                                      initial_epoch = 0,
                                      steps_per_epoch = NULL,
                                      validation_steps = NULL,
                                      ...) {
  # Keras would warn that it can't shuffle batches.
  if (missing(shuffle) && is_r_function(x)) shuffle <- FALSE
  if (is.null(epochs)) epochs <- 10
  arguments <- given(
    "fit", object,
    x = x, y = y, batch_size = batch_size, epochs = epochs, verbose = verbose,
    callbacks = callbacks, validation_split = validation_split,
    validation_data = validation_data, shuffle = shuffle,
    class_weight = class_weight, sample_weight = sample_weight,
    initial_epoch = initial_epoch, steps_per_epoch = steps_per_epoch,
    validation_steps = validation_steps, ...
  )
  arguments <- with_data("fit", object, arguments, c(x = "train", validation_data = "test"))
  history <- call_model(object$fit, arguments)
  invisible(as_history(history, object, arguments$validation_freq))
}

#' Evaluate a model
#'
#' The generic function; for models created through reticulate, see
#' [evaluate.python.builtin.object()].
#'
#' @param object A model.
#' @param ... Passed to the method.
#' @return What the method returns.
#' @examplesIf is_pyadam_available()
#' keras <- reticulate::import("keras")
#' model <- keras$Sequential(list(keras$layers$Dense(1L)))
#' compile(model, optimizer_adam(), "mse")
#' evaluate(model, as.matrix(1:4), 1:4, verbose = 0)
#' @export
evaluate <- function(object, ...) {
  theirs <- their_evaluate()
  if (is.null(theirs)) UseMethod("evaluate") else theirs(object, ...)
}

# R keras and R keras3 have a generic of the same name with their own methods. We register ours with
# it and forward calls to it, so it doesn't matter which of the two is called.
kerases <- c("keras3", "keras", "tensorflow")

their_evaluate <- function() {
  for (package in Filter(isNamespaceLoaded, kerases)) {
    if ("evaluate" %in% getNamespaceExports(package)) {
      return(getExportedValue(package, "evaluate"))
    }
  }
}

join_theirs <- function(...) {
  theirs <- their_evaluate()
  if (!is.null(theirs)) {
    registerS3method(
      "evaluate", "python.builtin.object", evaluate.python.builtin.object,
      envir = environment(theirs)
    )
  }
}

#' @rdname training
#' @method evaluate python.builtin.object
#' @export
evaluate.python.builtin.object <- function(object,
                                           x = NULL,
                                           y = NULL,
                                           batch_size = NULL,
                                           verbose = "auto",
                                           sample_weight = NULL,
                                           steps = NULL,
                                           callbacks = NULL,
                                           ...) {
  arguments <- given(
    "evaluate", object,
    x = x, y = y, batch_size = batch_size, verbose = verbose, sample_weight = sample_weight,
    steps = steps, callbacks = callbacks, ...
  )
  arguments <- with_data("evaluate", object, arguments, c(x = "test"))
  asked <- arguments$return_dict
  arguments$return_dict <- if (is.null(asked)) TRUE else asked
  values <- in_order_of(object, call_model(object$evaluate, arguments))
  if (is.null(asked) && all(lengths(values) == 1)) unlist(values) else values
}

#' @rdname training
#' @method predict python.builtin.object
#' @importFrom stats predict
#' @export
predict.python.builtin.object <- function(object,
                                          x,
                                          batch_size = NULL,
                                          verbose = "auto",
                                          steps = NULL,
                                          callbacks = NULL,
                                          ...) {
  arguments <- given(
    "predict", object,
    x = x, batch_size = batch_size, verbose = verbose, steps = steps, callbacks = callbacks, ...
  )
  arguments <- with_data("predict", object, arguments, c(x = "predict"))
  call_model(object$predict, arguments)
}
