# Checks the arguments of compile(), fit(), evaluate() and predict() and converts them for Python.

# The minimum of each argument that Python requires as an integer; 10 is a double in R.
smallest <- c(
  batch_size = 1, epochs = 0, initial_epoch = 0, steps = 1, steps_per_epoch = 1,
  steps_per_execution = 1, validation_batch_size = 1, validation_steps = 1
)

# The user's arguments, checked and without NULLs, so that Python's own defaults apply.
given <- function(owner, model, ...) {
  arguments <- list(...)
  refuse_unnamed(owner, arguments)
  refuse_lost(owner, "the model", model)
  refuse_unknown(owner, model, names(arguments))
  for (name in names(arguments)) {
    refuse_lost(owner, name, arguments[[name]])
    refuse_na(owner, name, arguments[[name]])
  }
  arguments <- Filter(Negate(is.null), arguments)
  for (name in intersect(names(arguments), names(smallest))) {
    arguments[[name]] <- as_whole_number(owner, name, arguments[[name]], smallest[[name]])
  }
  if (!is.null(arguments$validation_freq)) {
    whole <- function(value) as_whole_number(owner, "validation_freq", value, 1)
    frequency <- lapply(arguments$validation_freq, whole)
    arguments$validation_freq <- if (length(frequency) == 1) frequency[[1]] else frequency
  }
  arguments <- change(arguments, "verbose", as_verbose, owner)
  arguments <- change(arguments, "shuffle", as_shuffle, owner)
  arguments <- change(arguments, "validation_split", as_fraction, owner, "validation_split")
  change(arguments, "callbacks", as_callbacks, owner)
}

# Applies a function to the arguments with these names.
change <- function(arguments, names, how, ...) {
  chosen <- names(arguments) %in% names
  arguments[chosen] <- lapply(arguments[chosen], how, ...)
  arguments
}

refuse_gone <- function(owner, ...) {
  for (name in names(Filter(Negate(is.null), list(...)))) {
    stop(owner, ": ", name, " no longer exists in Keras; leave it out", call. = FALSE)
  }
}

# A Python object saved with saveRDS() or save() comes back empty.
refuse_lost <- function(owner, name, value) {
  if (inherits(value, "python.builtin.object") && reticulate::py_is_null_xptr(value)) {
    stop(
      owner, ": ", name, " is a Python object from another R session, which saveRDS() and save() ",
      "don't preserve; save a model with model$save(\"model.keras\") and load it ",
      "with reticulate::import(\"keras\")$saving$load_model(\"model.keras\")",
      call. = FALSE
    )
  }
}

refuse_na <- function(owner, name, value) {
  if (is.atomic(value) && length(value) == 1 && is.na(value) && !is.nan(value)) {
    stop(owner, ": ", name, " is NA", call. = FALSE)
  }
}

as_whole_number <- function(owner, name, value, smallest) {
  is_auto <- name == "steps_per_execution" && identical(value, "auto")
  if (inherits(value, "python.builtin.object") || is_auto) {
    return(value)
  }
  if (is_whole(value) && value >= smallest && value <= .Machine$integer.max) {
    return(as.integer(value))
  }
  allowed <- paste("a whole number from", smallest, "to", .Machine$integer.max)
  refuse(owner, name, allowed, value)
}

is_flag <- function(value) isTRUE(value) || isFALSE(value)

as_verbose <- function(value, owner) {
  if (inherits(value, "python.builtin.object") || identical(value, "auto")) {
    return(value)
  }
  if (is_flag(value) || is_whole(value) && value %in% 0:2) {
    return(as.integer(value))
  }
  refuse(owner, "verbose", "0, 1, 2 or \"auto\"", value)
}

as_shuffle <- function(value, owner) {
  if (inherits(value, "python.builtin.object") || is_flag(value) || identical(value, "batch")) {
    return(value)
  }
  refuse(owner, "shuffle", "TRUE, FALSE or \"batch\"", value)
}

as_fraction <- function(value, owner, name) {
  in_range <- is_number(value) && value >= 0 && value < 1
  if (inherits(value, "python.builtin.object") || in_range) {
    return(value)
  }
  refuse(owner, name, "a number from 0 to less than 1", value)
}

refuse <- function(owner, name, allowed, value) {
  stop(
    owner, ": ", name, " must be ", allowed, ", got ", deparse(value, nlines = 1),
    call. = FALSE
  )
}

is_number <- function(value) is.numeric(value) && length(value) == 1 && is.finite(value)

is_whole <- function(value) is_number(value) && value == trunc(value)

as_callbacks <- function(value, owner) {
  callbacks <- if (is.list(value)) unname(value) else list(value)
  for (callback in callbacks) {
    if (!inherits(callback, "python.builtin.object")) {
      refuse(owner, "callbacks", "a Keras callback or a list of them", callback)
    }
  }
  callbacks
}

# Names that neither R's method nor Python's has; of a model's own method that takes any, none.
refuse_unknown <- function(owner, model, names) {
  own <- setdiff(names(formals(get(paste0(owner, ".python.builtin.object")))), c("object", "..."))
  unknown <- setdiff(names, own)
  if (length(unknown) == 0) {
    return()
  }
  parameters <- reticulate::import("inspect")$signature(model[[owner]])$parameters
  python <- unlist(reticulate::iterate(parameters$keys()))
  kinds <- vapply(python, function(name) as.character(parameters[[name]]$kind$name), "")
  unknown <- setdiff(unknown, python)
  if (length(unknown) == 0 || "VAR_KEYWORD" %in% kinds) {
    return()
  }
  known <- union(own, python)
  distance <- utils::adist(unknown[[1]], known)[1, ]
  near <- known[which.min(distance)]
  stop(
    owner, ": unknown argument ", unknown[[1]],
    if (min(distance) <= 3) paste0(", did you mean ", near, "?"),
    call. = FALSE
  )
}

# One number for a model with one output becomes a list or dictionary for several outputs.
as_list_of_several <- function(value) {
  if (is.atomic(value) && (length(value) > 1 || !is.null(names(value)))) as.list(value) else value
}
