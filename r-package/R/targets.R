# Factor targets and class weights.

# Unwraps a data frame with a single factor or string column.
target_of <- function(value) {
  if (is_plain_list(value)) {
    lapply(value, target_of)
  } else if (is.data.frame(value) && length(value) == 1 &&
    (is.factor(value[[1]]) || is.character(value[[1]]))) { # nolint: indentation_linter.
    value[[1]]
  } else {
    value
  }
}

factor_codes <- function(value, name, role) {
  if (role == "x") {
    stop(
      name, " is a factor; turn it into columns of numbers with model.matrix(), ",
      "or, for an embedding, into whole numbers from 0 with as.integer(x) - 1L",
      call. = FALSE
    )
  }
  if (role != "y") {
    stop(name, " is a factor; give numbers", call. = FALSE)
  }
  as.integer(value) - 1L
}

# A factor's codes depend on its levels, so data used together must have the same levels.
refuse_other_levels <- function(y, other, name_of_y, name_of_other) {
  if (is_plain_list(y) && is_plain_list(other)) {
    named <- !is.null(names(y)) && !is.null(names(other))
    shared <- if (named) {
      intersect(names(y), names(other))
    } else {
      seq_len(min(length(y), length(other)))
    }
    for (i in shared) {
      inner <- paste0("[[", i, "]]")
      refuse_other_levels(
        y[[i]], other[[i]], paste0(name_of_y, inner), paste0(name_of_other, inner)
      )
    }
  } else if (is.factor(y) && is.factor(other) && !identical(levels(y), levels(other))) {
    stop(
      name_of_y, " has the levels ", quoted(levels(y)), ", but ", name_of_other, " has ",
      quoted(levels(other)), "; give both the same levels, as in factor(y, levels = ...)",
      call. = FALSE
    )
  }
}

# Levels without observations keep their codes, so the model needs outputs for them.
warn_of_unused <- function(y, name) {
  if (is_plain_list(y)) {
    inner <- keys_of(y)
    for (i in seq_along(y)) warn_of_unused(y[[i]], paste0(name, "[[", inner[i], "]]"))
  } else if (is.factor(y)) {
    unused <- setdiff(levels(y), as.character(y))
    if (length(unused) > 0) {
      warning(
        name, " has no observations of its levels ", quoted(unused),
        ", which keep their numbers; droplevels(y) drops them",
        call. = FALSE
      )
    }
  }
}

# The Python dictionary of class weights. Keras looks up integers and uses 1 for missing classes. If
# y is a factor, its levels are the classes.
as_class_weight <- function(value, y) {
  if (is.null(value) || inherits(value, "python.builtin.object")) {
    return(value)
  }
  classes <- names(value)
  if (anyDuplicated(classes)) {
    twice <- unique(classes[duplicated(classes)])
    stop("fit: class_weight has ", quoted(twice), " more than once", call. = FALSE)
  }
  codes <- if (is.factor(y)) {
    match(classes, levels(y)) - 1L
  } else if (all(classes %in% c("FALSE", "TRUE"))) {
    as.integer(as.logical(classes))
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
  if (is_number(value) && value >= 0) {
    return(as.double(value))
  }
  stop(
    "fit: class_weight must hold finite numbers >= 0, got ", deparse(value, nlines = 1),
    " for class ", quoted(class),
    call. = FALSE
  )
}

quoted <- function(names) paste(dQuote(names, FALSE), collapse = ", ")
