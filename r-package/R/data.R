# What R calls data, as Python takes it.

# The arguments of fit(), evaluate() and predict() with their data converted; `batches` names those
# that may be functions which make batches, with the kind of step that uses them.
with_data <- function(owner, model, arguments, batches) {
  for (name in intersect(names(batches), names(arguments))) {
    if (is_r_function(arguments[[name]])) {
      made <- batches_of(arguments[[name]], paste0(owner, ": ", name), model, batches[[name]])
      arguments[[name]] <- made$dataset()
      arguments$callbacks <- c(made$callback(), arguments$callbacks)
    }
  }
  for (name in intersect(names(arguments), c("x", "y", "sample_weight"))) {
    arguments[[name]] <- as_data(arguments[[name]], paste0(owner, ": ", name), name != "x")
  }
  if (is.list(arguments$validation_data) && !is.object(arguments$validation_data)) {
    validation <- as_batch(arguments$validation_data, paste0(owner, ": validation_data"))
    arguments$validation_data <- validation
  }
  arguments
}

# list(x, y, sample_weight) as Python's tuple.
as_batch <- function(values, owner) {
  names <- c("x", "y", "sample_weight")
  if (length(values) > length(names)) {
    stop(
      owner, " must be list(x, y) or list(x, y, sample_weight), got a list of ", length(values),
      call. = FALSE
    )
  }
  values <- Map(
    function(value, name) as_data(value, paste0(owner, ": ", name), name != "x"),
    unname(values), names[seq_along(values)]
  )
  do.call(reticulate::tuple, unname(values))
}

# An R function that makes batches, as Python reads them; `kind` is the kind of step that uses them.
batches_of <- function(make, owner, model, kind) {
  draw <- function() {
    value <- make()
    if (is.null(value)) {
      return(NULL)
    }
    as_batch(if (is.list(value) && !is.object(value)) value else list(value), owner)
  }
  module <- reticulate::import_from_path(
    "pyadam_batches",
    system.file("python", package = "pyadam", mustWork = TRUE)
  )
  module$Batches(draw, model, kind, owner)
}

# A vector, matrix, array, data frame, or list of these, as reticulate makes arrays of it. Factors
# are for targets.
as_data <- function(value, name, factors) {
  if (is.factor(value)) {
    value <- factor_codes(value, name, factors)
  } else if (is.data.frame(value)) {
    value <- as_numbers(value, name)
  }
  if (is.list(value) && !is.object(value)) {
    inner <- if (is.null(names(value))) seq_along(value) else names(value)
    inner <- paste0(name, "[[", inner, "]]")
    return(Map(function(item, name) as_data(item, name, factors), value, inner))
  }
  if (is.null(value) || !is.atomic(value)) {
    return(value) # Python's own
  }
  refuse_odd(value, name)
  attributes(value) <- list(dim = if (is.null(dim(value))) length(value) else dim(value))
  value
}

refuse_odd <- function(value, name) {
  if (is.object(value) && !is_plain_number(value)) {
    stop(
      name, " is of class ", class(value)[1], "; give numbers, for example by as.numeric()",
      call. = FALSE
    )
  }
  if (NROW(value) == 0) {
    stop(name, " has no observations", call. = FALSE)
  }
  refuse_missing(value, name)
}

# Is it numbers to Python too? 64-bit integers hide in doubles.
is_plain_number <- function(value) {
  (is.numeric(value) || is.logical(value) || is.character(value)) && !inherits(value, "integer64")
}

factor_codes <- function(value, name, allowed) {
  if (!allowed) {
    stop(
      name, " is a factor; turn it into columns of numbers with model.matrix(), ",
      "or into whole numbers with as.integer()",
      call. = FALSE
    )
  }
  as.integer(value) - 1L
}

as_numbers <- function(frame, name) {
  fits <- vapply(frame, function(column) {
    (is.numeric(column) || is.logical(column)) && is_plain_number(column)
  }, logical(1))
  if (!all(fits)) {
    others <- paste0(
      names(frame)[!fits], " (", vapply(frame[!fits], function(column) class(column)[1], ""), ")"
    )
    stop(
      name, " is a data frame with columns that hold no numbers: ", paste(others, collapse = ", "),
      "; leave them out, or turn them into numbers with model.matrix()",
      call. = FALSE
    )
  }
  as.matrix(frame)
}

# reticulate makes True, or a large negative number, of NA. NaN is a number to R and Python.
refuse_missing <- function(value, name) {
  if (!anyNA(value)) {
    return(invisible())
  }
  missing <- which(if (is.double(value)) is.na(value) & !is.nan(value) else is.na(value))
  if (length(missing) > 0) {
    row <- (missing[1] - 1) %% NROW(value) + 1
    stop(
      name, " has ", length(missing), " NA, the first in row ", row,
      "; leave such rows out or fill them in",
      call. = FALSE
    )
  }
}

# Python's dictionary of classes. Keras asks it for whole numbers, and takes the weight of a class
# that it does not find for 1. Where y is a factor, its levels are the classes.
as_class_weight <- function(value, y) {
  if (is.null(value) || inherits(value, "python.builtin.object")) {
    return(value)
  }
  classes <- names(value)
  codes <- if (is.factor(y)) {
    match(classes, levels(y)) - 1L
  } else {
    suppressWarnings(as.integer(ifelse(grepl("^[0-9]+$", classes), classes, NA)))
  }
  if (is.null(classes) || anyNA(codes)) {
    stop(
      "fit: the names of class_weight must be ",
      if (is.factor(y)) {
        paste("levels of y,", quoted(levels(y)))
      } else {
        "whole numbers >= 0, as in list(\"0\" = 1, \"1\" = 50)"
      },
      ", got ", if (is.null(classes)) "none" else quoted(classes),
      call. = FALSE
    )
  }
  weights <- lapply(seq_along(value), function(i) as_weight(value[[i]], classes[i]))
  reticulate::py_dict(as.list(codes), weights)
}

as_weight <- function(value, class) {
  if (is.numeric(value) && length(value) == 1 && is.finite(value) && value >= 0) {
    return(as.double(value))
  }
  stop(
    "fit: class_weight must hold finite numbers >= 0, got ", deparse(value, nlines = 1),
    " for class ", quoted(class),
    call. = FALSE
  )
}

quoted <- function(names) paste(dQuote(names, FALSE), collapse = ", ")
