# Installing the Python package, checking for it, and reporting versions.

# The Python package's name on PyPI, and whether it is published there yet.
distribution <- "pyadam-keras"
is_published <- FALSE

# The root of the checkout that contains `folder`, or NULL.
checkout_around <- function(folder) {
  project <- file.path(folder, "pyproject.toml")
  if (file.exists(project) && any(grepl('^name *= *"pyadam(-keras)?"', readLines(project)))) {
    return(folder)
  }
  if (dirname(folder) != folder) checkout_around(dirname(folder))
}

# R CMD INSTALL evaluates this in the source folder, so the package knows its own checkout.
own_checkout <- checkout_around(getwd())

#' Install the Python package
#'
#' Installs the Python package pyadam together with TensorFlow and Keras. The `pyadam` on PyPI is a
#' different project; this one is called `pyadam-keras` there, and is not published yet. So it is
#' installed from a checkout of the repository: the one that contains the working directory, or else
#' the one that the R package was installed from with `R CMD INSTALL`. The package gets its own
#' Python environment, which reticulate then prefers whenever pyadam is attached. Restart R
#' afterwards if Python was already running.
#'
#' If `RETICULATE_PYTHON` or [reticulate::use_python()] selects another Python, that one is always
#' used; in this case, pass its environment as `envname`. [pyadam_info()], and the error of the
#' first call, say which Python is in use and what to run for it.
#'
#' @param method,envname,... Passed to [reticulate::py_install()]. A `method` other than `"auto"`,
#'   `"virtualenv"` or `"conda"` is taken as the `package`, so that `install_pyadam("~/pyadam")`
#'   works.
#' @param package What pip should install: a source folder such as `"~/pyadam"`, a file, or a URL.
#'   `NULL` means the checkout. Anything else, such as `"cpu"` or `"gpu"` for `install_keras()`, is
#'   an error.
#' @return `NULL`, invisibly.
#' @examples
#' \dontrun{
#' install_pyadam() # in a checkout
#' install_pyadam("~/pyadam")
#' install_pyadam("~/pyadam", envname = "r-tensorflow")
#' }
#' @export
install_pyadam <- function(method = c("auto", "virtualenv", "conda"),
                           envname = default_environment,
                           ...,
                           package = NULL) {
  refuse_choices(...)
  check_words("method", method, '"auto", "virtualenv", "conda" or what to install')
  if (!is.null(envname)) {
    check_words("envname", envname, "the name or the folder of an environment, or NULL")
  }
  methods <- eval(formals()$method)
  if (is.null(package) && is.character(method) && !any(method %in% methods)) {
    package <- method
    method <- methods
  }
  package <- if (is.null(package)) default_package() else as_package(package)
  if (is.null(package)) {
    stop(
      "install_pyadam: ", distribution, " is not on PyPI yet, and ", getwd(), " is not in a ",
      "checkout of it: give the folder of one, as in install_pyadam(\"~/pyadam\")",
      call. = FALSE
    )
  }
  reticulate::py_install(
    c(package, numpy_requirement()),
    envname = envname, method = match.arg(method, methods), pip = TRUE, ...
  )
  if (reticulate::py_available()) {
    message("Python was already running: restart R to use the new pyadam.")
  }
  invisible(NULL)
}

# Refuses what is no string.
check_words <- function(name, value, allowed) {
  if (!is.character(value) || length(value) == 0 || anyNA(value)) {
    stop(
      "install_pyadam: ", name, " must be ", allowed, ", got ", deparse(value, nlines = 1),
      call. = FALSE
    )
  }
}

# What to install by default, or NULL.
default_package <- function() {
  if (is_published) {
    return(distribution)
  }
  here <- checkout_around(getwd())
  if (!is.null(here) || is.null(own_checkout)) here else checkout_around(own_checkout)
}

# Converts `package` for pip, which doesn't expand "~" and runs in another folder. A folder may be
# followed by extras, as in "~/pyadam[tf-keras]".
as_package <- function(package) {
  check_words("package", package, "a source folder, a file or a URL")
  vapply(package, as_one_package, "", USE.NAMES = FALSE)
}

as_one_package <- function(package) {
  path <- path.expand(sub("\\[[^]]*\\]$", "", package))
  extras <- substring(package, nchar(sub("\\[[^]]*\\]$", "", package)) + 1)
  project <- file.path(path, c("pyproject.toml", "setup.py"))
  if (file.exists(path) && (!dir.exists(path) || any(file.exists(project)))) {
    return(paste0(normalizePath(path), extras))
  }
  if (dir.exists(path) || grepl("^([~./\\\\]|[A-Za-z]:[/\\\\])", package)) {
    refuse_package(
      package, if (dir.exists(path)) " has no pyproject.toml" else " does not exist"
    )
  }
  is_address <- grepl("^[A-Za-z][A-Za-z0-9+.-]*://|^[^ ]+ *@ *[A-Za-z]", package)
  if (!is_address && !grepl("^pyadam[-_.]keras *($|[][<>=!~;, ])", package, ignore.case = TRUE)) {
    refuse_package(package, " is none of these")
  }
  package
}

refuse_package <- function(package, problem) {
  stop(
    "install_pyadam: package must be a source folder, a file or a URL, and ",
    dQuote(package, FALSE), problem,
    call. = FALSE
  )
}

# Refuses arguments that only install_keras() and install_tensorflow() have.
refuse_choices <- function(...) {
  why <- c(
    version = "give the source of the version you want as package",
    tensorflow = paste(
      "the Python package requires a TensorFlow that it works with; for another one, run",
      "reticulate::py_install(\"tensorflow==...\", envname = \"r-pyadam\") afterwards"
    ),
    extra_packages = "install others with reticulate::py_install(..., envname = \"r-pyadam\")"
  )
  for (name in intersect(names(why), names(list(...)))) {
    stop("install_pyadam: there is no argument ", name, ": ", why[[name]], call. = FALSE)
  }
}

# NumPy 2 is supported from TensorFlow 2.18 and reticulate 1.38 on.
numpy_requirement <- function(reticulate = utils::packageVersion("reticulate")) {
  if (reticulate < "1.38") "numpy<2"
}

#' Versions and availability
#'
#' `pyadam_info()` collects the versions to include in a bug report; `is_pyadam_available()` says
#' whether the Python package can be used, for examples and tests to check first. Both start Python.
#'
#' @return `pyadam_info()` returns a list of strings of class `pyadam_info`. `python_path` is the
#'   Python in use, and `python_because` why reticulate chose it. If the Python package is missing,
#'   there is no error; the entry `problem` says why and what to run.
#' @examples
#' pyadam_info()
#' @export
pyadam_info <- function() {
  of_python <- tryCatch(from_pyadam("info")(), error = function(error) {
    list(problem = conditionMessage(error))
  })
  of_python <- c(which_python()[c("python_path", "python_because")], of_python)
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
