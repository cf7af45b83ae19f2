# Converts R data for Python.

# Converts the data arguments of fit(), evaluate() and predict(). `batches` names the arguments that
# may be functions making batches, with the kind of step that uses each.
with_data <- function(owner, model, arguments, batches) {
  for (name in intersect(names(batches), names(arguments))) {
    if (is_r_function(arguments[[name]])) {
      if (name == "x") refuse_beside_function(owner, arguments)
      steps <- arguments[[steps_for(owner, name)]]
      called <- paste0(owner, ": ", name)
      made <- batches_of(arguments[[name]], called, model, batches[[name]], steps)
      arguments[[name]] <- made$dataset()
      arguments$callbacks <- c(made$callback(), arguments$callbacks)
      attr(arguments, "batches") <- c(attr(arguments, "batches"), made)
    }
  }
  y <- target_of(arguments$y)
  for (name in intersect(names(arguments), batch_names)) {
    arguments[[name]] <- as_data(arguments[[name]], paste0(owner, ": ", name), name)
  }
  if (owner == "fit") warn_of_unused(y, "fit: y")
  if (!is.null(arguments$class_weight)) {
    arguments$class_weight <- as_class_weight(arguments$class_weight, y)
  }
  if (!is.null(arguments$validation_data)) {
    validation <- as_validation(arguments$validation_data, paste0(owner, ": validation_data"), y)
    arguments$validation_data <- validation
  }
  arguments
}

as_validation <- function(value, owner, y) {
  if (inherits(value, "python.builtin.object")) {
    return(value)
  }
  if (!is_plain_list(value)) {
    stop(
      owner, " must be list(x, y), list(x, y, sample_weight), a dataset or a function that makes ",
      "batches, got ", class(value)[1],
      call. = FALSE
    )
  }
  values <- placed(value, owner, least = 2)
  batch <- as_batch(values, owner)
  refuse_other_levels(y, target_of(values$y), "fit: y", paste0(owner, ": y"))
  batch
}

is_plain_list <- function(value) is.list(value) && !is.object(value)

batch_names <- c("x", "y", "sample_weight")

# The values of a batch by these names, in this order. Other names are ignored, as in Python.
placed <- function(values, owner, least = 1) {
  if (length(values) < least || length(values) > length(batch_names)) {
    stop(
      owner, " must be list(x, y) or list(x, y, sample_weight), got a list of ", length(values),
      call. = FALSE
    )
  }
  names <- if (is.null(names(values))) rep("", length(values)) else names(values)
  unnamed <- !names %in% batch_names
  if (anyDuplicated(names[!unnamed])) {
    twice <- names[!unnamed][duplicated(names[!unnamed])][1]
    stop(owner, " has ", twice, " twice", call. = FALSE)
  }
  names[unnamed] <- utils::head(setdiff(batch_names, names), sum(unnamed))
  names(values) <- names
  wanted <- batch_names[seq_len(max(match(names, batch_names)))]
  stats::setNames(lapply(wanted, function(name) values[[name]]), wanted)
}

# Converts `placed` values to a Python tuple.
as_batch <- function(values, owner) {
  values <- Map(
    function(value, name) as_data(value, paste0(owner, ": ", name), name),
    values, names(values)
  )
  do.call(reticulate::tuple, unname(values))
}

# Converts a vector, matrix, array, data frame or list of these so that reticulate makes arrays.
# `role` is one of `batch_names`: only y may be a factor, and only x may hold strings.
as_data <- function(value, name, role) {
  if (role == "y") value <- target_of(value)
  if (is.factor(value)) {
    value <- factor_codes(value, name, role)
  } else if (is.data.frame(value)) {
    value <- as_numbers(value, name)
  }
  if (is_plain_list(value)) {
    items <- paste0(name, "[[", keys_of(value), "]]")
    return(Map(function(item, name) as_data(item, name, role), value, items))
  }
  if (isS4(value)) {
    return(as_sparse(value, name))
  }
  if (is.null(value) || !is.atomic(value)) {
    return(value) # already a Python object
  }
  refuse_odd(value, name, role)
  attributes(value) <- list(dim = if (is.null(dim(value))) length(value) else dim(value))
  value
}

keys_of <- function(values) if (is.null(names(values))) seq_along(values) else names(values)

# Converts a sparse matrix from package Matrix to CSR, whose rows can be selected.
as_sparse <- function(value, name) {
  if (!inherits(value, c("dgCMatrix", "dgRMatrix", "dgTMatrix"))) {
    stop(
      name, " is of class ", class(value)[1], "; give a matrix, or a sparse one of class dgCMatrix",
      call. = FALSE
    )
  }
  if (nrow(value) == 0) stop(name, " has no observations", call. = FALSE)
  if (any(is.na(value@x) & !is.nan(value@x))) {
    stop(name, " has NA; leave such rows out or fill them in", call. = FALSE)
  }
  reticulate::r_to_py(value)$tocsr()
}

refuse_odd <- function(value, name, role) {
  if (is.character(value) && role != "x") {
    advice <- if (role == "y") "use factor(y) or numbers" else "give numbers"
    stop(name, " is character; ", advice, call. = FALSE)
  }
  if (is.object(value) && !is_plain_number(value)) {
    stop(
      name, " is of class ", class(value)[1], "; give numbers, for example with as.numeric()",
      call. = FALSE
    )
  }
  if (NROW(value) == 0) {
    stop(name, " has no observations", call. = FALSE)
  }
  refuse_missing(value, name)
}

# Does Python see the same values? bit64 stores its integers in doubles.
is_plain_number <- function(value) {
  (is.numeric(value) || is.logical(value) || is.character(value)) && !inherits(value, "integer64")
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
      name, " is a data frame with non-numeric columns: ", paste(others, collapse = ", "),
      "; leave them out, or turn them into numbers with model.matrix()",
      call. = FALSE
    )
  }
  as.matrix(frame)
}

# reticulate turns NA into True or a large negative number. NaN is a number in both R and Python.
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
