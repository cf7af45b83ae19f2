# The way to Python: which module, how a call is forwarded, what becomes of NA and of Python's warnings.

# The environment that install_pyadam() makes and that reticulate prefers.
default_environment <- "r-pyadam"

.onLoad <- function(libname, pkgname) {
  # This only tells reticulate which environment to prefer once it starts Python. Where Python runs
  # already, import() would not wait, and the package could not be attached without its Python side.
  if (!reticulate::py_available()) {
    reticulate::import("pyadam", delay_load = list(environment = default_environment))
  }
}

# What is called `name` in the Python package, which is loaded by the first call.
from_pyadam <- function(name) {
  tryCatch(reticulate::import("pyadam")[[name]], error = function(error) {
    stop(
      "the Python package pyadam cannot be loaded: ", trimws(conditionMessage(error)),
      "\nInstall it with install_pyadam() and restart R; pyadam_info() shows which Python is in use.",
      call. = FALSE
    )
  })
}

# Calls a function of pyadam with the arguments that the user wrote: those that `call` names, found
# in `frame`, and those in `...`. Defaults are left out, so that Python's own hold. `call` is the
# wrapper's match.call(expand.dots = FALSE), because missing() also says TRUE of an argument that a
# caller passes on from a default of its own.
call_python <- function(name, call, frame, ...) {
  written <- setdiff(as.character(names(call)), c("", "..."))
  arguments <- c(mget(written, envir = frame), list(...))
  if (!all(nzchar(names(arguments)))) {
    stop(name, ": arguments after name must be named", call. = FALSE)
  }
  python_function <- from_pyadam(name)
  arguments <- lapply(arguments, mark_na, na = from_pyadam("NA"))
  with_python_warnings(do.call(python_function, arguments, quote = TRUE))
}

# reticulate turns NA into True, so pyadam has an NA of its own, about which Python can complain.
mark_na <- function(value, na) {
  if (!is.atomic(value) || !anyNA(value)) {
    return(value)
  }
  values <- as.list(unname(value))
  values[is.na(value) & !is.nan(value)] <- list(na)
  if (length(values) == 1) values[[1]] else values
}

# Python's warnings during `expr` as R's. Python would hide a DeprecationWarning whose caller is R.
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
