# Skips a test where Python has no pyadam; with PYADAM_REQUIRE set, as `make test` does, fails it.
need_pyadam <- function() {
  if (is_pyadam_available()) {
    return(invisible())
  }
  if (nzchar(Sys.getenv("PYADAM_REQUIRE"))) {
    stop("PYADAM_REQUIRE is set, but Python has no pyadam")
  }
  testthat::skip("Python has no pyadam")
}

# What Python's optimizer_adam receives while `expr` is evaluated, as Python prints it.
received <- function(expr) {
  pyadam <- reticulate::import("pyadam")
  spy <- reticulate::py_eval("lambda **arguments: repr(arguments)")
  reticulate::py_set_attr(pyadam, "optimizer_adam", spy)
  on.exit(reticulate::py_del_attr(pyadam, "optimizer_adam"))
  force(expr)
}

# What a fresh R session prints, errors included. The dots are environment variables.
fresh_session <- function(code, ...) {
  script <- tempfile(fileext = ".R")
  on.exit(unlink(script))
  writeLines(code, script)
  libraries <- paste(.libPaths(), collapse = .Platform$path.sep)
  # TensorFlow leaves files in TMPDIR: this session's folder goes away when it ends.
  variables <- c(R_LIBS = libraries, R_TESTS = "", TMPDIR = tempdir(), ...)
  printed <- suppressWarnings(system2(
    file.path(R.home("bin"), "Rscript"), c("--vanilla", shQuote(script)),
    stdout = TRUE, stderr = TRUE, env = paste0(names(variables), "=", shQuote(variables))
  ))
  paste(printed, collapse = "\n")
}

# The same, with a Python that has nothing installed.
without_packages <- function(code, PYTHONPATH = "") { # nolint: object_name_linter.
  folder <- tempfile("python-")
  on.exit(unlink(folder, recursive = TRUE))
  made <- system2(reticulate::py_exe(), c("-m", "venv", "--without-pip", shQuote(folder)))
  if (made != 0) {
    testthat::skip("Python can make no virtual environment")
  }
  python <- reticulate::virtualenv_python(folder)
  fresh_session(code, RETICULATE_PYTHON = python, PYTHONPATH = PYTHONPATH)
}

# Whether all of a test is to run: `make test-all` sets PYADAM_LONG, `make test` runs a part.
runs_all <- function() nzchar(Sys.getenv("PYADAM_LONG"))

# Code that makes a strategy with two replicas, for a fresh session.
two_replicas <- '
  tf <- reticulate::import("tensorflow")
  cpu <- tf$config$list_physical_devices("CPU")[[1]]
  part <- tf$config$LogicalDeviceConfiguration
  tf$config$set_logical_device_configuration(cpu, list(part(), part()))
  strategy <- tf$distribute$MirroredStrategy(list("CPU:0", "CPU:1"))
  library(pyadam)
'
