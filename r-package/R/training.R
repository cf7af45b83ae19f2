# compile(), fit(), evaluate() and predict() for any Python model: methods of the least specific
# class, so that those of R keras and R keras3 come first where these packages are loaded.

#' Compile, fit, evaluate a Python model, and predict with it
#'
#' For a Keras model that comes straight from reticulate. The methods have the arguments of R keras
#' 2.11, in its order and with its defaults, and call the model's own methods. Where R keras or R
#' keras3 is loaded, their methods for their models are used instead.
#'
#' @section Data:
#' `x`, `y`, `sample_weight` and `validation_data` take vectors, matrices and arrays, also of one
#' row, one column or one number; data frames and tibbles of numbers, which become matrices; lists
#' of these for models of several inputs or outputs; Python's own arrays and datasets. A vector has
#' as many observations as elements. A factor as `y` becomes whole numbers from 0, in the order of
#' its levels, as `"sparse_categorical_crossentropy"` wants them; a data frame of one factor does,
#' too. The factor in `validation_data` must have the same levels. A level without observations
#' keeps its number, which `fit()` warns of. A factor among the inputs is an error: it has no order
#' that a network should see, so turn it into columns with [stats::model.matrix()]. So are strings
#' as `y`, `NA` anywhere, dates, and data without rows. Sparse matrices of class `dgCMatrix` are
#' taken as they are, which needs SciPy in Python.
#'
#' Instead of `x`, and of `validation_data`, an R function without arguments may make the batches:
#' it returns `list(x, y)` or `list(x, y, sample_weight)`, for `predict()` `list(x)`, and `NULL`
#' where the data end. It is called once a step, when the step begins, on R's own thread. All its
#' batches have the shapes of the first, but for the number of rows. Where it has no end, tell
#' `steps_per_epoch`, `validation_steps` or `steps`. After `NULL` it must start again: one that
#' returns `NULL` where another epoch begins is an error. Weights come in the batches, so
#' `sample_weight` and `class_weight` are errors beside a function.
#'
#' @section Calls of the model's own methods:
#' `model$fit(...)`, `model$evaluate(...)` and so on are calls of Python, where these methods have
#' no say: write `batch_size = 8L` there, and vectors as `as.array(y)`.
#'
#' @param object A Python model.
#' @param optimizer,loss,loss_weights,weighted_metrics,run_eagerly,steps_per_execution As in
#'   Keras. `NULL` leaves Keras' own default.
#' @param metrics Metrics: names, Keras' objects, R functions of `y_true` and `y_pred`, or a list of
#'   these. In a named list, a function is called by its name in what is printed and returned;
#'   names of the model's outputs say which output a metric is for.
#' @param target_tensors,sample_weight_mode Not in Keras any more: an error unless `NULL`.
#' @param x,y,sample_weight Inputs, targets and the weights of the observations: see below.
#' @param batch_size,epochs,initial_epoch,steps_per_epoch,validation_steps,steps Whole numbers; they
#'   need no `L`.
#' @param verbose 0, 1, 2 or `"auto"`; `FALSE` is 0 and `TRUE` is 1.
#' @param callbacks A Keras callback or a list of them.
#' @param view_metrics Taken for scripts of R keras, and without effect: there is no viewer.
#' @param validation_split The fraction of the data, from its end, that is for validation: a number
#'   from 0 to less than 1.
#' @param validation_data `list(x, y)` or `list(x, y, sample_weight)`, in this order or by these
#'   names; a dataset; or a function that makes batches.
#' @param shuffle Whether to shuffle the observations before each epoch; `"batch"` shuffles batches.
#' @param class_weight A list, named vector or table of weights. The names are classes: whole
#'   numbers from 0, as in `list("0" = 1, "1" = 50)` or `1 / table(y)`, also `FALSE` and `TRUE`, or
#'   where `y` is a factor, its levels.
#' @param ... Further arguments of the model's own method, by name.
#' @return `compile()` returns the model; `fit()` the history: a list with `metrics` and `params`,
#'   which can be printed, plotted and turned into a data frame, see [plot.pyadam_history()]; both
#'   invisibly. `evaluate()` returns a named vector of the loss and the metrics, in the order of
#'   Python's `model$evaluate()`: the loss comes first. `predict()` returns an array, or a list of
#'   arrays for a model of several outputs.
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
#' The generic function; for models that come straight from reticulate see
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

# R keras and R keras3 have a function of this name, to which they add their methods. So do we, and
# ours hands on to it: then it does not matter which of the two is called.
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
