# A fresh session attaches without Python, and says what to run if something is missing.

test_that("attaching starts no Python and takes less than a second", {
  printed <- fresh_session(c(
    "elapsed <- system.time(library(pyadam))[['elapsed']]",
    "cat(elapsed < 1, reticulate::py_available())"
  ))
  expect_identical(printed, "TRUE FALSE")
})

test_that("reticulate is told which environment to prefer, whichever package comes first", {
  preferred <- c(
    "loadNamespace('reticulate')",
    "known <- reticulate:::.globals",
    "cat('prefers', known$delay_load_environment, known$delay_load_imports$environment)"
  )
  for (first in c("library(pyadam)", "library(reticulate); library(pyadam)")) {
    printed <- fresh_session(c(first, preferred))
    expect_match(printed, "prefers r-pyadam$")
  }
})

test_that("without the Python package, the first use says what to run", {
  need_pyadam()
  printed <- without_packages(c("library(pyadam)", "cat('attached\n')", "optimizer_adam()"))
  expect_match(printed, "attached.*No module named 'pyadam'.*install_pyadam\\(")
})

test_that("without TensorFlow, the first use says what to run", {
  need_pyadam()
  folder <- dirname(dirname(reticulate::import("pyadam")$`__file__`))
  skip_if(dir.exists(file.path(folder, "tensorflow")), "pyadam is installed beside TensorFlow")
  code <- c("library(pyadam)", "cat(is_pyadam_available())", "optimizer_adam()")
  printed <- without_packages(code, PYTHONPATH = folder)
  expect_match(printed, "FALSE.*No module named '\\w+'.*install_pyadam\\(")
})

test_that("without the Python package, the package attaches to a session that runs Python", {
  need_pyadam()
  printed <- without_packages(c(
    "invisible(reticulate::py_config())", "library(pyadam)", "cat('attached')"
  ))
  expect_match(printed, "attached$")
})

test_that("without the Python package, pyadam_info() reports what there is", {
  need_pyadam()
  printed <- without_packages(c("library(pyadam)", "pyadam_info()", "cat(is_pyadam_available())"))
  expect_match(printed, "r_pyadam +[0-9.]+.*reticulate +[0-9.]+.*problem.*No module named.*FALSE$")
})

test_that("a folder called pyadam is not taken for the Python package", {
  need_pyadam()
  folder <- tempfile("folder-")
  dir.create(file.path(folder, "pyadam"), recursive = TRUE)
  on.exit(unlink(folder, recursive = TRUE))
  code <- c("library(pyadam)", "cat(is_pyadam_available())", "optimizer_adam()")
  expect_match(without_packages(code, PYTHONPATH = folder), "FALSE.*install_pyadam\\(")
})

test_that("under TF_USE_LEGACY_KERAS=1 optimizers and schedules fit models of tf_keras", {
  need_pyadam()
  skip_if_not(reticulate::py_module_available("tf_keras"), "Python has no tf_keras")
  code <- '
    library(pyadam)
    keras <- reticulate::import("tf_keras")
    tf <- reticulate::import("tensorflow")
    Halving <- new_learning_rate_schedule_class("Halving", call = function(step) {
      tf$multiply(0.1, tf$pow(0.5, tf$cast(step, "float32")))
    })
    for (schedule in list(Halving(), learning_rate_schedule_exponential_decay(0.1, 1, 0.5))) {
      dense <- keras$layers$Dense(1L, kernel_initializer = "zeros", use_bias = FALSE)
      model <- keras$Sequential(list(dense))
      compile(model, optimizer = optimizer_sgd(schedule), loss = "mse")
      fit(model, matrix(1, 2, 1), c(1, 1), batch_size = 1, epochs = 1, verbose = 0)
      cat(class(model$optimizer)[1], model$get_weights()[[1]], "")
    }
  '
  printed <- fresh_session(code, TF_USE_LEGACY_KERAS = "1")
  expect_match(printed, "(pyadam.tf_keras.SGD 0.2[78]\\d* ?){2}$")
})

test_that("a single pass over memory can be asked for before the first step, and not later", {
  need_pyadam()
  skip_if_not(runs_all(), "Python's tests have the same")
  step <- "v <- keras$Variable(c(1, 2)); optimizer_adam()$apply(list(keras$ops$ones(2L)), list(v))"
  setup <- c("library(pyadam)", "keras <- reticulate::import('keras')")
  on <- "cat(reticulate::import('pyadam')$xla$is_single_pass())"
  expect_match(fresh_session(c(setup, "pyadam_single_pass()", step, on)), "TRUE$")
  late <- "cat(tryCatch(pyadam_single_pass(), error = conditionMessage))"
  expect_match(fresh_session(c(setup, step, late)), "before any step and any compiled function")
})

test_that("the error says which Python lacks pyadam, why R uses it, and what to run there", {
  need_pyadam()
  printed <- without_packages(c("library(pyadam)", "try(optimizer_adam())", "pyadam_info()"))
  command <- "install_pyadam\\((\"folder of a checkout\", )?envname = \"\\S*/python-\\w+\"\\)"
  expect_match(printed, paste0(
    "No module named 'pyadam'.*That is \\S*/python-\\w+/bin/python\\S*, ",
    "which reticulate uses because of: RETICULATE_PYTHON\\.\\s+Run ", command, " and restart R"
  ))
  expect_match(printed, "python_path +\\S*/python-\\w+/bin/python")
  expect_match(printed, "python_because +RETICULATE_PYTHON")
})

test_that("the command to run fits the Python", {
  need_pyadam()
  root <- tempfile("pythons-")
  on.exit(unlink(root, recursive = TRUE))
  python <- function(kind, is_chosen = TRUE) {
    folder <- file.path(root, kind)
    dir.create(folder, recursive = TRUE, showWarnings = FALSE)
    list(python_path = file.path(folder, "python"), folder = folder, is_chosen = is_chosen)
  }
  dir.create(file.path(root, "conda", "conda-meta"), recursive = TRUE)
  dir.create(file.path(root, "venv"))
  file.create(file.path(root, "venv", "pyvenv.cfg"))
  expect_match(command_for(python("venv")), "install_pyadam\\(.*envname = \"\\S*/venv\"\\)")
  expect_match(command_for(python("conda")), "method = \"conda\", envname = \"\\S*/conda\"\\)")
  expect_match(command_for(python("venv", FALSE)), "Run install_pyadam\\((\"folder.*\")?\\) and")
  words <- if (is_externally_managed()) "stop choosing it" else "/plain/python' -m pip install "
  expect_match(command_for(python("plain")), words)
})

test_that("a RETICULATE_PYTHON that is not a Python is reported", {
  code <- c("library(pyadam)", "try(optimizer_adam())", "cat('info\\n')", "pyadam_info()")
  folder <- tempfile("folder-")
  dir.create(folder)
  plain <- tempfile("plain-")
  writeLines("no Python", plain)
  on.exit(unlink(c(folder, plain), recursive = TRUE))
  wrong <- c("/nowhere/python", folder, plain)
  words <- c(
    "which does not exist", "which is a folder, not a Python", "which does not run as Python"
  )
  for (i in seq_along(wrong)) {
    printed <- fresh_session(code, RETICULATE_PYTHON = wrong[i])
    told <- paste0("RETICULATE_PYTHON names ", wrong[i], ", ", words[i], ": correct or unset it")
    expect_match(printed, paste0(told, ".*info.*problem.*", told))
    expect_no_match(printed, "install Python")
  }
})
