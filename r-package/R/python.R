# Calling Python: choosing the environment, forwarding calls, and converting NA and warnings.

# The environment that install_pyadam() creates.
default_environment <- "r-pyadam"

# reticulate takes most of a second to load, so it is loaded on first use, not when attaching.
.onLoad <- function(libname, pkgname) {
  when_loaded("reticulate", prefer_environment)
  when_loaded("reticulate", give_tensors_operators)
  for (package in kerases) when_loaded(package, join_theirs)
  register_classes()
}

when_loaded <- function(package, f) {
  if (isNamespaceLoaded(package)) f() else setHook(packageEvent(package, "onLoad"), f)
}

# The Python package registers its classes with each loaded Keras, so that saved models load. The
# names are those of the hooks that reticulate runs when Python has loaded a module.
register_classes <- function() {
  load <- function(...) {
    tryCatch(reticulate::import("pyadam"), error = function(error) NULL)
  }
  modules <- c("keras", "tf_keras")
  for (module in modules) setHook(paste("reticulate", module, "load", sep = "::"), load)
  if (isNamespaceLoaded("reticulate") && reticulate::py_available()) {
    loaded <- names(reticulate::import("sys")$modules)
    if (any(modules %in% loaded)) load()
  }
}

# Tells reticulate which environment to prefer when it starts Python. If Python is already running,
# it is too late for that, and import() would fail at once without pyadam.
prefer_environment <- function(...) {
  if (!reticulate::py_available()) {
    reticulate::import("pyadam", delay_load = list(environment = default_environment))
  }
}

# Attribute `name` of the Python package, which the first call loads. `$` is used because `[[` hides
# why an attribute is unavailable, for example because TensorFlow is missing.
from_pyadam <- function(name) {
  tryCatch(do.call("$", list(reticulate::import("pyadam"), name)), error = function(error) {
    stop(
      "the Python package pyadam cannot be used: ", trimws(conditionMessage(error)), "\n",
      what_to_run(),
      call. = FALSE
    )
  })
}

# Calls a function of pyadam with the arguments that the user wrote: those named in `call`, found in
# `frame`, and those in `...`. Defaults are left out so that Python's own apply. `call` is the
# wrapper's match.call(expand.dots = FALSE), because missing() is also TRUE for an argument that a
# caller passes on from its own default.
call_python <- function(name, call, frame, ..., python_function = from_pyadam(name)) {
  force(python_function) # says what is wrong with Python, before reticulate does
  written <- setdiff(as.character(names(call)), c("", "..."))
  arguments <- c(mget(written, envir = frame), list(...))
  refuse_unnamed(name, arguments)
  arguments <- lapply(arguments, show_to_python, na = from_pyadam("NA"))
  with_python_warnings(do.call(python_function, arguments, quote = TRUE))
}

# Arguments beyond a function's formals must be named.
refuse_unnamed <- function(owner, arguments) {
  if (length(arguments) > 0 && (is.null(names(arguments)) || !all(nzchar(names(arguments))))) {
    stop(owner, ": too many arguments without a name", call. = FALSE)
  }
}

# Converts a value so that Python can see what is wrong with it. reticulate turns NA into True, so
# pyadam has its own NA, also for values returned by R functions. To Python, an R function takes any
# arguments, so one that requires some is wrapped to show it.
show_to_python <- function(value, na) {
  if (is_r_function(value) && needs_arguments(value)) {
    reticulate::py_func(function(argument) value(argument))
  } else if (is_r_function(value)) {
    function() show_to_python(value(), na)
  } else if (is.atomic(value) && anyNA(value)) {
    values <- as.list(unname(value))
    values[is.na(value) & !is.nan(value)] <- list(na)
    if (length(values) == 1) values[[1]] else values
  } else if (is.list(value) && !is.object(value)) {
    lapply(value, show_to_python, na = na)
  } else {
    value
  }
}

# Lets errors show NA: `optimizer$learning_rate <- NA` would otherwise reach Python as True.

# nolint start: object_name_linter. The names are those of Python classes.
set_attribute <- function(x, name, value) {
  if (!is.atomic(value) || !anyNA(value)) {
    return(NextMethod())
  }
  reticulate::py_set_attr(x, name, show_to_python(value, from_pyadam("NA")))
  x
}

#' @method $<- pyadam.hosts.base.BaseOptimizer
#' @export
`$<-.pyadam.hosts.base.BaseOptimizer` <- set_attribute

#' @method $<- pyadam.hosts.loss_scale.LossScale
#' @export
`$<-.pyadam.hosts.loss_scale.LossScale` <- set_attribute
# nolint end

is_r_function <- function(value) {
  is.function(value) && !inherits(value, "python.builtin.object")
}

needs_arguments <- function(f) {
  defaults <- formals(f)
  no_default <- vapply(defaults, identical, logical(1), quote(expr = )) # nolint: spaces_inside.
  any(no_default[names(defaults) != "..."])
}

# Turns Python warnings in `expr` into R warnings. Python hides DeprecationWarnings caused by R.
with_python_warnings <- function(expr) {
  warnings <- reticulate::import("warnings", convert = FALSE)
  builtins <- reticulate::import_builtins(convert = FALSE)
  recorder <- warnings$catch_warnings(record = TRUE)
  recorded <- recorder$`__enter__`()
  on.exit(recorder$`__exit__`(NULL, NULL, NULL))
  warnings$simplefilter("always", builtins$DeprecationWarning)
  value <- expr
  for (item in reticulate::iterate(recorded)) {
    warning(reticulate::py_str(item$message), call. = FALSE)
  }
  value
}
