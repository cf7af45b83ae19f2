# Metrics: those passed to compile(), and the order of their values.

# Keras wants a list, even for one metric. Names refer to outputs or else name R functions, as does
# the attribute set by R keras' custom_metric().
as_metrics <- function(value, model) {
  if (inherits(value, c("python.builtin.dict", "python.builtin.list", "python.builtin.tuple"))) {
    return(value)
  }
  metrics <- if (is.list(value) || is.character(value)) as.list(value) else list(value)
  outputs <- tryCatch(unlist(items_of(model$output_names)), error = function(error) NULL)
  if (!is.null(names(metrics)) && all(names(metrics) %in% outputs)) {
    lapply(metrics, function(metric) {
      if (is.list(metric)) unname(name_functions(metric)) else name_functions(list(metric))[[1]]
    })
  } else {
    unname(name_functions(metrics))
  }
}

# Sets the functions' Python names. Unnamed ones get the same name as in R keras 2.11.
name_functions <- function(metrics) {
  functions <- which(vapply(metrics, is_r_function, logical(1)))
  names <- vapply(functions, function(i) {
    own <- c(attr(metrics[[i]], "py_function_name"), names(metrics)[i], "python_function")
    own[nzchar(own)][1]
  }, "")
  names <- make.unique(names, sep = "_")
  for (i in seq_along(functions)) attr(metrics[[functions[i]]], "py_function_name") <- names[i]
  inner <- vapply(metrics, is_plain_list, logical(1))
  metrics[inner] <- lapply(metrics[inner], function(metric) unname(name_functions(metric)))
  metrics
}

# A Python list as an R list, even one that reticulate doesn't convert, such as Keras' tracked ones.
items_of <- function(value) {
  if (inherits(value, "python.builtin.object")) {
    reticulate::iterate(value, simplify = FALSE)
  } else {
    as.list(value)
  }
}

# Puts named values, which reticulate sorts by name, in the order of Keras' evaluate(): the loss,
# the metrics as the model lists them, and the rest by name. Validation values come last.
in_order_of <- function(model, values) {
  if (is.null(names(values))) {
    return(values)
  }
  first <- unique(c("loss", metric_names(model)))
  validation <- startsWith(names(values), "val_")
  rank <- match(sub("^val_", "", names(values)), first, nomatch = length(first) + 1)
  values[order(validation, rank, names(values), method = "radix")]
}

metric_names <- function(model) {
  tryCatch(
    unlist(lapply(items_of(model$metrics), function(metric) {
      of_compile <- any(endsWith(class(metric), ".CompileMetrics")) # Keras 3 bundles them in one
      metrics <- if (of_compile) items_of(metric$metrics) else list(metric)
      lapply(metrics, function(metric) metric$name)
    })),
    error = function(error) NULL
  )
}
