# Which Python R uses, why, and what to run if pyadam is missing from it.

# `python_path`, `python_because`, its prefix `folder`, and `is_chosen`; empty if R finds no Python.
which_python <- function() {
  config <- tryCatch(reticulate::py_config(), error = function(error) NULL)
  if (is.null(config)) {
    return(list())
  }
  folder <- reticulate::import("sys")$prefix
  is_chosen <- length(config$forced) == 1 && nzchar(config$forced)
  because <- if (is_chosen) {
    config$forced
  } else if (basename(folder) == default_environment) {
    paste("it is the environment", default_environment)
  } else {
    "no other Python is configured"
  }
  list(
    python_path = config$python, python_because = because, folder = folder,
    is_chosen = is_chosen
  )
}

# Advice that follows an error about the Python package.
what_to_run <- function() {
  python <- which_python()
  if (length(python) == 0) {
    wrong <- wrong_choice()
    if (!is.null(wrong)) {
      return(wrong)
    }
    return("R finds no Python: install Python 3.10 or newer, and then run install_pyadam().")
  }
  paste0(
    "That is ", python$python_path, ", which reticulate uses because of: ", python$python_because,
    ".\n", command_for(python)
  )
}

# What is wrong with the Python named by one of reticulate's environment variables, or NULL.
wrong_choice <- function() {
  for (name in c("RETICULATE_PYTHON", "RETICULATE_PYTHON_ENV", "RETICULATE_PYTHON_FALLBACK")) {
    path <- Sys.getenv(name)
    if (!nzchar(path) || path == "managed") next
    file <- path.expand(path)
    problem <- if (name == "RETICULATE_PYTHON_ENV") {
      "where there is no Python"
    } else if (dir.exists(file)) {
      "which is a folder, not a Python"
    } else if (!file.exists(file)) {
      "which does not exist"
    } else {
      "which does not run as Python"
    }
    return(paste0(
      name, " names ", path, ", ", problem, ": correct or unset it, and restart R."
    ))
  }
}

# The command that installs pyadam where R will find it: in its own environment, or in the Python
# that the user chose.
command_for <- function(python) {
  source <- default_package()
  package <- if (is.null(source)) "\"folder of a checkout\""
  call <- function(...) paste0("install_pyadam(", paste(c(package, ...), collapse = ", "), ")")
  envname <- paste("envname =", dQuote(python$folder, FALSE))
  if (!python$is_chosen) {
    paste0("Run ", call(), " and restart R.")
  } else if (file.exists(file.path(python$folder, "pyvenv.cfg"))) {
    paste0("Run ", call(envname), " and restart R.")
  } else if (dir.exists(file.path(python$folder, "conda-meta"))) {
    paste0("Run ", call("method = \"conda\"", envname), " and restart R.")
  } else if (is_externally_managed()) {
    paste0(
      "It belongs to the operating system and accepts no packages: stop choosing it, run ", call(),
      " and restart R."
    )
  } else {
    given <- if (is.null(source)) "folder of a checkout" else source
    paste0(
      "Run in a shell: ", shQuote(python$python_path), " -m pip install ",
      paste(shQuote(c(given, numpy_requirement())), collapse = " "), "\nand restart R."
    )
  }
}

# Does the system's package manager forbid pip?
is_externally_managed <- function() {
  folder <- reticulate::import("sysconfig")$get_path("stdlib")
  file.exists(file.path(folder, "EXTERNALLY-MANAGED"))
}
