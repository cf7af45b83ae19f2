# The Python side: installing it, asking whether it is there, and what it consists of.

#' Install the Python package
#'
#' Installs the Python package pyadam together with TensorFlow and Keras. It is not on PyPI, where
#' the name pyadam has another release: `package` says where it is. Take both packages from the same
#' checkout of the repository. The Python package goes into a Python environment of its own, which
#' reticulate then prefers whenever pyadam is attached. Restart R afterwards if Python was already
#' running.
#'
#' Where another Python is chosen by `RETICULATE_PYTHON` or [reticulate::use_python()], that one is
#' used whatever is installed elsewhere: then name its environment in `envname`.
#'
#' @param method,envname,... Passed to [reticulate::py_install()].
#' @param package What pip is to install: a folder with the source, such as `"."` in a checkout, or
#'   an address. It has no default.
#' @return `NULL`, invisibly.
#' @examples
#' \dontrun{
#' install_pyadam(package = ".") # in a checkout
#' install_pyadam(envname = "r-tensorflow", package = "~/pyadam")
#' }
#' @export
install_pyadam <- function(method = c("auto", "virtualenv", "conda"),
                           envname = default_environment,
                           ...,
                           package) {
  if (missing(package)) {
    stop(
      "install_pyadam: package must be a folder with the source, such as \".\" in a checkout, ",
      "or an address, got none",
      call. = FALSE
    )
  }
  reticulate::py_install(
    c(package, numpy_requirement()),
    envname = envname, method = match.arg(method), pip = TRUE, ...
  )
  if (reticulate::py_available()) {
    message("Python was already running: restart R to use the new pyadam.")
  }
  invisible(NULL)
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
