# The Python side: installing it, asking whether it is there, and what it consists of.

#' Install the Python package
#'
#' Installs the Python package pyadam, of the same version range as this R package, together with
#' TensorFlow and Keras. It goes into a Python environment of its own, which reticulate then prefers
#' whenever pyadam is attached. Restart R afterwards if Python was already running.
#'
#' Where another Python is chosen by `RETICULATE_PYTHON` or [reticulate::use_python()], that one is
#' used whatever is installed elsewhere: then name its environment in `envname`.
#'
#' @param method,envname,... Passed to [reticulate::py_install()].
#' @param package What pip is to install: a requirement, a folder with the source, or an address.
#' @return `NULL`, invisibly.
#' @examples
#' \dontrun{
#' install_pyadam()
#' install_pyadam(envname = "r-tensorflow")
#' }
#' @export
install_pyadam <- function(method = c("auto", "virtualenv", "conda"),
                           envname = default_environment,
                           ...,
                           package = python_requirement()) {
  reticulate::py_install(
    c(package, numpy_requirement()),
    envname = envname, method = match.arg(method), pip = TRUE, ...
  )
  if (reticulate::py_available()) {
    message("Python was already running: restart R to use the new pyadam.")
  }
  invisible(NULL)
}

# The Python versions that fit: this one and its later bug fixes.
python_requirement <- function(version = utils::packageVersion("pyadam")) {
  paste0("pyadam~=", version[1, 1:3])
}

# NumPy 2 came with TensorFlow 2.18, and with reticulate 1.38.
numpy_requirement <- function(reticulate = utils::packageVersion("reticulate")) {
  if (reticulate < "1.38") "numpy<2"
}

#' What pyadam runs on
#'
#' `pyadam_info()` collects the versions that a bug report should tell; `is_pyadam_available()` says
#' whether the Python package can be used, which examples and tests ask first. Both start Python.
#'
#' @return `pyadam_info()` returns a list of class `pyadam_info`, with a string for each entry.
#'   Where the Python side is missing, the entry `problem` says why, and no error is raised.
#' @examples
#' pyadam_info()
#' @export
pyadam_info <- function() {
  of_python <- tryCatch(
    c(python_path = reticulate::py_exe(), from_pyadam("info")()),
    error = function(error) list(problem = conditionMessage(error))
  )
  of_r <- list(
    r_pyadam = as.character(utils::packageVersion("pyadam")),
    r = as.character(getRversion()),
    reticulate = as.character(utils::packageVersion("reticulate"))
  )
  structure(c(of_r, of_python), class = "pyadam_info")
}

#' @rdname pyadam_info
#' @return `is_pyadam_available()` returns `TRUE` or `FALSE`.
#' @export
is_pyadam_available <- function() {
  tryCatch(is.function(from_pyadam("optimizer_adam")), error = function(error) FALSE)
}

#' @export
print.pyadam_info <- function(x, ...) {
  writeLines(paste0(format(names(x)), "  ", gsub("\n", "\n  ", x)))
  invisible(x)
}

#' One pass over memory
#'
#' Has the compiled steps of this session go over memory once on CPUs: one loop for each variable,
#' not one for each of its states. An update is bound by memory, so large models gain; results are
#' the same to the bit. It rests on an option of XLA that is marked experimental and that the whole
#' process shares, so it is off unless asked for, here or by `PYADAM_SINGLE_PASS=1` in the
#' environment.
#'
#' XLA reads its options once, before it compiles for the first time: call this before any step and
#' any compiled function. Later it is an error, which says so.
#'
#' @return `NULL`, invisibly.
#' @examplesIf is_pyadam_available()
#' \dontrun{
#' pyadam_single_pass()
#' }
#' @export
pyadam_single_pass <- function() {
  from_pyadam("xla")$single_pass()
  invisible(NULL)
}
