# The history that fit() returns.

# Converts Keras' history object to R. Scripts for R keras read `metrics` and `params`; those for
# Keras' own object read `history` and `epoch`.
as_history <- function(history, model, validation_freq = NULL) {
  metrics <- in_order_of(model, history$history)
  structure(
    list(
      params = c(history$params, list(validation_freq = validation_freq)),
      metrics = metrics,
      history = metrics,
      epoch = as.integer(unlist(history$epoch))
    ),
    class = c("pyadam_history", "keras_training_history")
  )
}

#' Training history
#'
#' [fit()][training] returns a list. `metrics` holds a vector for the loss and for each metric, with
#' one number per epoch; the loss comes first, validation metrics last. `params` holds the training
#' parameters. As in Keras' own object, `history` is the same as `metrics`, and `epoch` counts the
#' epochs from 0.
#'
#' @param x A history.
#' @param y Not used.
#' @param metrics Names of the metrics to plot, without `val_`; `NULL` plots all.
#' @param method,smooth,theme_bw Accepted for compatibility with R keras and ignored; plots use base
#'   graphics.
#' @param row.names,optional Not used.
#' @param ... Passed to [graphics::matplot()] by `plot()`; not used by the others.
#' @return `as.data.frame()` returns a data frame with a row for each epoch, metric and kind of
#'   data: `epoch` from 1, `value`, `metric`, and `data`, which is `training` or `validation`. After
#'   an early stop, the remaining values are `NA`. `plot()` and `print()` return the history,
#'   invisibly.
#' @examplesIf is_pyadam_available()
#' keras <- reticulate::import("keras")
#' model <- keras$Sequential(list(keras$layers$Dense(1L)))
#' compile(model, optimizer_adam(0.01), "mse")
#' history <- fit(model, cars["speed"], cars$dist, verbose = 0, validation_split = 0.2)
#' history
#' plot(history)
#' head(as.data.frame(history))
#' @method plot pyadam_history
#' @export
plot.pyadam_history <- function(x, y, metrics = NULL, method = NULL, smooth = NULL,
                                theme_bw = NULL, ...) {
  frame <- as.data.frame(x)
  if (nrow(frame) == 0) warning("plot: the history has no epochs", call. = FALSE)
  drawn <- if (is.null(metrics)) levels(frame$metric) else metrics
  unknown <- setdiff(drawn, levels(frame$metric))
  if (length(unknown) > 0) {
    stop(
      "plot: metrics must be some of ", quoted(levels(frame$metric)), ", got ", quoted(unknown),
      call. = FALSE
    )
  }
  if (length(drawn) > 1) {
    old <- graphics::par(mfrow = c(length(drawn), 1), mar = c(4, 4, 1, 1))
    on.exit(graphics::par(old))
  }
  for (metric in drawn) draw_metric(frame[frame$metric == metric, ], metric, ...)
  invisible(x)
}

draw_metric <- function(frame, metric, ...) {
  kinds <- unique(as.character(frame$data))
  epochs <- frame$epoch[frame$data == kinds[1]]
  values <- vapply(kinds, function(kind) frame$value[frame$data == kind], numeric(length(epochs)))
  settings <- list(
    x = epochs, y = matrix(values, ncol = length(kinds)), type = "o", pch = 20, lty = 1,
    col = seq_along(kinds), xlab = "epoch", ylab = metric
  )
  if (!any(is.finite(values))) {
    warning("plot: ", metric, " has no finite values", call. = FALSE)
    settings[c("y", "type", "ylim", "yaxt")] <- list(rep(0, length(epochs)), "n", c(0, 1), "n")
  }
  do.call(graphics::matplot, utils::modifyList(settings, list(...)))
  if (length(kinds) > 1) {
    graphics::legend("topright", legend = kinds, col = seq_along(kinds), lty = 1, bty = "n")
  }
}

# nolint start: object_name_linter. The generic has an argument of this name.

#' @rdname plot.pyadam_history
#' @method as.data.frame pyadam_history
#' @export
as.data.frame.pyadam_history <- function(x, row.names = NULL, optional = FALSE, ...) {
  # nolint end
  metrics <- Filter(is.numeric, x$metrics)
  epochs <- max(x$params$epochs, x$epoch + 1L, 0L)
  names <- as.character(names(metrics)) # NULL if there are no epochs
  name <- sub("^val_", "", names)
  is_validation <- startsWith(names, "val_")
  values <- Map(function(values, is_validation) {
    at <- if (is_validation) validated(x$epoch + 1L, x$params$validation_freq) else x$epoch + 1L
    placed <- rep(NA_real_, epochs)
    placed[utils::head(at, length(values))] <- values
    placed
  }, metrics, is_validation)
  data.frame(
    epoch = rep(seq_len(epochs), length(metrics)),
    value = as.numeric(unlist(values, use.names = FALSE)),
    metric = factor(rep(name, each = epochs), unique(name)),
    data = factor(rep(ifelse(is_validation, "validation", "training"), each = epochs),
      c("training", "validation")
    )
  )
}

# The epochs, from 1, after which Keras validates.
validated <- function(epochs, frequency) {
  if (is.null(frequency)) {
    epochs
  } else if (length(frequency) == 1) {
    epochs[epochs %% frequency[[1]] == 0]
  } else {
    intersect(epochs, unlist(frequency))
  }
}

#' @rdname plot.pyadam_history
#' @method print pyadam_history
#' @export
print.pyadam_history <- function(x, ...) {
  last <- lapply(x$metrics, function(values) utils::tail(values, 1))
  epochs <- length(x$epoch)
  cat("Training of", epochs, if (epochs == 0) "epochs.\n" else "epochs. After the last:\n")
  shown <- vapply(last, function(value) paste(format(value, digits = 4), collapse = " "), "")
  if (length(shown) > 0) writeLines(paste0("  ", format(names(shown)), "  ", shown))
  invisible(x)
}
