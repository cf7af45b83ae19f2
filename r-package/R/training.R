# compile() and fit() for any Python model: methods of the least specific class, so that those of
# R keras and R keras3 come first where these packages are loaded.

# The arguments that Python wants as whole numbers, where R writes 10 and means a double.
counts <- c(
  "batch_size", "epochs", "initial_epoch", "steps_per_epoch", "steps_per_execution",
  "validation_batch_size", "validation_freq", "validation_steps", "verbose"
)

# The arguments of compile() that Keras wants as lists, where R writes one string.
metric_lists <- c("metrics", "weighted_metrics")

# The arguments of fit() that hold data.
data_arguments <- c("x", "y", "sample_weight", "validation_data")

#' Compile and fit a Python model
#'
#' For a Keras model that comes straight from reticulate: `compile()` calls the model's own
#' `compile`, `fit()` its own `fit`. Where R keras or R keras3 is loaded, their methods for their
#' models are used instead.
#'
#' All arguments go to Python as reticulate converts them, with these exceptions, which let R code
#' be written in the usual way. Whole numbers such as `epochs = 10` need no `L`. Vectors given as
#' data become one-dimensional arrays, also inside lists. `metrics = "accuracy"` needs no `list()`.
#' `class_weight = list("0" = 1, "1" = 50)` names classes, which are whole numbers in Python; other
#' names are an error.
#'
#' @param object A Python model.
#' @param ... Arguments of the model's own method: for `compile()` the `optimizer`, `loss` and
#'   `metrics`; for `fit()` the data `x` and `y`, `epochs`, `batch_size` and so on.
#' @return `compile()` returns the model, `fit()` the training history; both invisibly.
#' @examplesIf is_pyadam_available()
#' keras <- reticulate::import("keras")
#' model <- keras$Sequential(list(keras$layers$Dense(1L)))
#' compile(model, optimizer = optimizer_adam(0.01), loss = "mse")
#' history <- fit(model, x = as.matrix(cars["speed"]), y = cars$dist, epochs = 2, verbose = 0)
#' history$history$loss
#' @name training
NULL

#' @rdname training
#' @method compile python.builtin.object
#' @export
compile.python.builtin.object <- function(object, ...) {
  arguments <- change(list(...), counts, as_whole_number)
  arguments <- change(arguments, metric_lists, as_metric_list)
  do.call(object$compile, arguments, quote = TRUE)
  invisible(object)
}

#' @rdname training
#' @method fit python.builtin.object
#' @export
fit.python.builtin.object <- function(object, ...) {
  arguments <- change(list(...), c("", counts), as_whole_number)
  arguments <- change(arguments, c("", data_arguments), as_data)
  arguments <- change(arguments, "class_weight", as_class_weight)
  invisible(do.call(object$fit, arguments, quote = TRUE))
}

# Applies a function to the arguments of these names; "" stands for those without one.
change <- function(arguments, names, how) {
  given <- if (is.null(names(arguments))) rep("", length(arguments)) else names(arguments)
  chosen <- given %in% names
  arguments[chosen] <- lapply(arguments[chosen], how)
  arguments
}

as_whole_number <- function(value) {
  whole <- is.double(value) && length(value) == 1 && is.finite(value) && value == trunc(value)
  if (whole) as.integer(value) else value
}

# Python's dictionary of classes. Keras asks it for whole numbers, and takes the weight of a class
# that it does not find for 1.
as_class_weight <- function(value) {
  if (is.object(value) || !is.vector(value)) {
    return(value)
  }
  classes <- names(value)
  if (is.null(classes) || !all(grepl("^[0-9]+$", classes))) {
    stop(
      "fit: the names of class_weight must be whole numbers >= 0, ",
      "as in list(\"0\" = 1, \"1\" = 50), got ",
      if (is.null(classes)) "none" else paste(dQuote(classes, FALSE), collapse = ", "),
      call. = FALSE
    )
  }
  reticulate::py_dict(as.list(as.integer(classes)), unname(as.list(value)))
}

as_metric_list <- function(value) {
  if (is.character(value)) as.list(value) else value
}

as_data <- function(value) {
  if (is.object(value)) {
    value
  } else if (is.list(value)) {
    lapply(value, as_data)
  } else if (is.atomic(value) && length(value) > 1 && is.null(dim(value))) {
    as.array(value)
  } else {
    value
  }
}
