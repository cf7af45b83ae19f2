# R functions that make batches.

# Wraps an R function that makes batches for Python. `kind` is the kind of step that uses them, and
# `steps` the number of steps requested, or NULL.
batches_of <- function(make, owner, model, kind, steps) {
  first <- NULL
  draw <- function() {
    value <- make()
    if (is.null(value)) {
      return(NULL)
    }
    value <- placed(if (is_plain_list(value)) value else list(value), owner)
    y <- target_of(value$y)
    refuse_other_levels(first, y, paste0(owner, ": y of the first batch"), "that of a later one")
    if (is.null(first)) first <<- y
    as_batch(value, owner)
  }
  batches_module()$Batches(draw, model, kind, owner, steps)
}

batches_module <- function() {
  reticulate::import_from_path(
    "pyadam_batches",
    system.file("python", package = "pyadam", mustWork = TRUE)
  )
}

# The argument that sets the number of steps for a function's batches.
steps_for <- function(owner, name) {
  of_fit <- c(x = "steps_per_epoch", validation_data = "validation_steps")
  if (owner == "fit") of_fit[[name]] else "steps"
}

# Per-observation values must be part of the batches.
refuse_beside_function <- function(owner, arguments) {
  for (name in intersect(names(arguments), c("y", "sample_weight", "class_weight"))) {
    stop(
      owner, ": ", name, " cannot be given when x is a function that makes batches: the function ",
      "must return ", if (name == "y") "list(x, y)" else "list(x, y, sample_weight)",
      call. = FALSE
    )
  }
  if (!identical(arguments$validation_split, 0) && !is.null(arguments$validation_split)) {
    stop(
      owner, ": validation_split cannot be given when x is a function that makes batches: give ",
      "validation_data, for example another function",
      call. = FALSE
    )
  }
}

# Calls a method of the model. Keras warns whenever batches run out, but NULL is a deliberate end
# unless it comes before the number of steps that the user set.
call_model <- function(method, arguments) {
  made <- attr(arguments, "batches")
  if (is.null(made)) {
    return(with_hints(do.call(method, arguments, quote = TRUE)))
  }
  value <- with(
    batches_module()$expected_end(),
    with_hints(do.call(method, arguments, quote = TRUE))
  )
  for (batches in made) {
    if (!is.null(batches$shortage)) warning(batches$shortage, call. = FALSE)
  }
  value
}

# What errors of Keras and TensorFlow don't say.
broken <- "an earlier call has failed half-way; call compile() again, or make the model anew"
hints <- c(
  "non-first call to a function decorated with tf.function" = broken,
  "'Toutput_types' of 'OptionalFromValue'" = broken,
  "None values not supported" = "is y missing?"
)

with_hints <- function(expr) {
  tryCatch(expr, error = function(error) {
    words <- conditionMessage(error)
    found <- vapply(names(hints), grepl, logical(1), x = words, fixed = TRUE)
    if (any(found)) {
      words <- paste0(trimws(words), "\n(pyadam: ", paste(hints[found], collapse = "; "), ")")
      error$message <- words
    }
    stop(error)
  })
}
