# The Python side: installing it, asking whether it is there, and what it consists of.

# What pip calls the Python package, and whether PyPI has it yet.
distribution <- "pyadam-keras"
is_published <- FALSE

# The folder of the source that `folder` is in, or NULL.
checkout_around <- function(folder) {
  project <- file.path(folder, "pyproject.toml")
  if (file.exists(project) && any(grepl('^name *= *"pyadam(-keras)?"', readLines(project)))) {
    return(folder)
  }
  if (dirname(folder) != folder) checkout_around(dirname(folder))
}

# R CMD INSTALL evaluates this in the folder that it was given: the package knows its own checkout.
own_checkout <- checkout_around(getwd())

#' Install the Python package
#'
#' Installs the Python package pyadam together with TensorFlow and Keras. PyPI's `pyadam` is another
#' project's, and this one's name there, `pyadam-keras`, is not published yet. So it comes from a
#' checkout of the repository: the one that the working directory is in, or else the one that
#' the R package was installed from by `R CMD INSTALL`. The Python package goes into a Python
#' environment of its own, which reticulate then prefers whenever pyadam is attached. Restart R
#' afterwards if Python was already running.
#'
#' Where another Python is chosen by `RETICULATE_PYTHON` or [reticulate::use_python()], that one is
#' used whatever is installed elsewhere: then name its environment in `envname`. The error of the
#' first call, and [pyadam_info()], say which Python is in use and what to run for it.
#'
#' @param method,envname,... Passed to [reticulate::py_install()]. A `method` that is none of
#'   `"auto"`, `"virtualenv"` and `"conda"` is taken for the `package`, so that
#'   `install_pyadam("~/pyadam")` does what it says.
#' @param package What pip is to install: a folder with the source, such as `"~/pyadam"`, a file, or
#'   an address. `NULL` means the checkout. Other words, such as the `"cpu"` and `"gpu"` of
#'   `install_keras()`, are errors.
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
  methods <- eval(formals()$method)
  if (is.null(package) && is.character(method) && !any(method %in% methods)) {
    package <- method
    method <- methods
  }
  package <- if (is.null(package)) default_package() else as_package(package)
  if (is.null(package)) {
    stop(
      "install_pyadam: ", distribution, " is not on PyPI yet, and ", getwd(), " is in no checkout ",
      "of it: give the folder of one, as in install_pyadam(\"~/pyadam\")",
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

# What there is to install where the user names nothing, or NULL.
default_package <- function() {
  if (is_published) {
    return(distribution)
  }
  here <- checkout_around(getwd())
  if (!is.null(here) || is.null(own_checkout)) here else checkout_around(own_checkout)
}

# What the user names, as pip takes it, which knows no "~" and runs in another folder. A folder may
# have extras behind it, as in "~/pyadam[tf-keras]".
as_package <- function(package) {
  if (!is.character(package) || length(package) == 0 || anyNA(package)) {
    stop(
      "install_pyadam: package must be a folder with the source, a file or an address, got ",
      deparse(package, nlines = 1),
      call. = FALSE
    )
  }
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
      package, if (dir.exists(path)) " holds no pyproject.toml" else " is not there"
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
    "install_pyadam: package must be a folder with the source, a file or an address, and ",
    dQuote(package, FALSE), problem,
    call. = FALSE
  )
}

# What install_keras() and install_tensorflow() take, and this does not.
refuse_choices <- function(...) {
  why <- c(
    version = "give the source of the version that you want as package",
    tensorflow = paste(
      "the Python package asks for a TensorFlow that it works with; for another one, run",
      "reticulate::py_install(\"tensorflow==...\", envname = \"r-pyadam\") afterwards"
    ),
    extra_packages = "install others by reticulate::py_install(..., envname = \"r-pyadam\")"
  )
  for (name in intersect(names(why), names(list(...)))) {
    stop("install_pyadam: there is no argument ", name, ": ", why[[name]], call. = FALSE)
  }
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
#'   `python_path` is the Python in use, and `python_because` why reticulate chose it. Where the
#'   Python side is missing, the entry `problem` says why and what to run, and no error is raised.
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
