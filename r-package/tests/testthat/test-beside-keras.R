# pyadam and R keras or keras3 work in one session, whichever is attached last.

# Installs a package of the given R code into a new library.
install_code <- function(name, library, code, namespace, imports = "") {
  folder <- file.path(tempfile("source-"), name)
  dir.create(file.path(folder, "R"), recursive = TRUE)
  on.exit(unlink(dirname(folder), recursive = TRUE))
  writeLines(code, file.path(folder, "R", "code.R"))
  writeLines(namespace, file.path(folder, "NAMESPACE"))
  description <- c(
    paste("Package:", name), "Version: 0.1", "Title: Some", "Description: Some.", "License: MIT",
    "Author: A", "Maintainer: A <a@example.org>", if (nzchar(imports)) paste("Imports:", imports)
  )
  writeLines(description, file.path(folder, "DESCRIPTION"))
  libraries <- paste(c(library, .libPaths()), collapse = .Platform$path.sep)
  system2(
    file.path(R.home("bin"), "R"),
    c("CMD", "INSTALL", "--no-test-load", paste0("--library=", shQuote(library)), shQuote(folder)),
    stdout = FALSE, stderr = FALSE, env = paste0("R_LIBS=", shQuote(libraries))
  )
}

test_that("methods of R keras for its models come first, whichever package is attached last", {
  need_pyadam()
  library <- tempfile("library-")
  dir.create(library)
  on.exit(unlink(library, recursive = TRUE))
  # A miniature R keras3: its generics come from generics, stats and tensorflow, its methods are for
  # the class of a model.
  install_code(
    "tensorflow", library, "evaluate <- function(object, ...) UseMethod('evaluate')",
    "export(evaluate)"
  )
  generics <- c("compile", "fit", "evaluate", "predict")
  class <- "keras.src.models.model.Model"
  install_code(
    "keras3", library,
    sprintf("%s.%s <- function(object, ...) 'theirs'", generics, class),
    c(
      "importFrom(generics, compile, fit)", "importFrom(stats, predict)",
      "importFrom(tensorflow, evaluate)", "export(compile, fit, evaluate)",
      sprintf("S3method(%s, %s)", generics, class)
    ),
    "generics, tensorflow"
  )
  skip_if_not(all(dir.exists(file.path(library, c("tensorflow", "keras3")))))
  use <- '
    keras <- reticulate::import("keras")
    model <- keras$Sequential(list(keras$layers$Dense(1L)))
    cat(compile(model, "sgd"), fit(model, 1), evaluate(model, 1), predict(model, 1), "")
    # Our methods handle models unknown to theirs.
    reticulate::py_run_string("class Plain:\n  evaluate = lambda self, **given: {\'a\': 1.0}")
    plain <- reticulate::py_eval("Plain()")
    cat(evaluate(plain, verbose = 0))
  '
  for (attach in c("library(keras3); library(pyadam)", "library(pyadam); library(keras3)")) {
    printed <- fresh_session(c(sprintf(".libPaths(c('%s', .libPaths()))", library), attach, use))
    expect_match(printed, "theirs theirs theirs theirs 1$")
  }
})

test_that("a saved model loads in a session that only attached pyadam", {
  need_pyadam()
  folder <- tempfile("models-")
  dir.create(folder)
  on.exit(unlink(folder, recursive = TRUE))
  names <- Filter(reticulate::py_module_available, c("keras", if (runs_all()) "tf_keras"))
  save <- '
    keras <- reticulate::import("%1$s")
    library(pyadam)
    model <- keras$Sequential(list(keras$layers$Dense(1L)))
    compile(model, optimizer_adam(0.25), "mean_squared_error")
    fit(model, matrix(1:4, 4), 1:4, epochs = 1, verbose = 0)
    for (kind in c(".keras", ".h5")) model$save(paste0("%2$s/%1$s", kind))
  '
  load <- '
    library(pyadam)
    keras <- reticulate::import("%1$s")
    loaded <- lapply(c(".keras", ".h5"), function(kind) {
      optimizer <- keras$saving$load_model(paste0("%2$s/%1$s", kind))$optimizer
      paste(class(optimizer)[1], as.numeric(optimizer$iterations$numpy()))
    })
    cat(unlist(loaded))
  '
  for (name in names) {
    legacy <- if (name == "tf_keras") "1" else "0"
    saved <- fresh_session(sprintf(save, name, folder), TF_USE_LEGACY_KERAS = legacy)
    expect_setequal(list.files(folder, name), paste0(name, c(".keras", ".h5")))
    printed <- fresh_session(sprintf(load, name, folder), TF_USE_LEGACY_KERAS = legacy)
    expect_match(printed, "(pyadam\\.\\S*Adam 1 ?){2}$", info = saved)
    unlink(file.path(folder, "*"))
  }
})

test_that("the hook for Keras is silent if Python has no pyadam", {
  need_pyadam()
  folder <- tempfile("modules-")
  dir.create(folder)
  on.exit(unlink(folder, recursive = TRUE))
  writeLines("here = 1", file.path(folder, "keras.py"))
  code <- c("library(pyadam)", "cat(reticulate::import('keras')$here)")
  expect_identical(without_packages(code, PYTHONPATH = folder), "1")
})
