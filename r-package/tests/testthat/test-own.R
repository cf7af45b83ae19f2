# Optimizers whose rule is an R function: the bits of the same rule in Python, training, and errors.

signum <- function(w, g, s, h) {
  m <- h$momentum * s$m + (1 - h$momentum) * g
  list(w - h$learning_rate * sign(m) / sqrt(1 + h$t^2), m = m)
}

in_python <- '
import pyadam, tensorflow as tf
def signum(w, g, s, h):
    m = h.momentum * s.m + (1 - h.momentum) * g
    return w - h.learning_rate * tf.sign(m) / tf.sqrt(1 + h.t**2), {"m": m}
Signum = pyadam.new_optimizer_class("SignumOfPython", signum, slots="m", momentum=0.9)
'

moved_by <- function(optimizer, dtype = "float32", steps = 8) {
  tensorflow <- reticulate::import("tensorflow")
  keras <- reticulate::import("keras")
  weight <- keras$Variable(seq(-1, 1, length.out = 7), dtype = dtype)
  for (step in seq_len(steps)) {
    gradient <- tensorflow$constant(sin(step * seq_len(7)), dtype = dtype)
    optimizer$apply_gradients(list(list(gradient, weight)))
  }
  c(weight$numpy(), tensorflow$cast(optimizer$variables[[3]], "float64")$numpy())
}

test_that("a rule in R has the bits of the same rule in Python", {
  need_pyadam()
  optimizer_signum <- new_optimizer_class("SignumOfR", signum, slots = "m", momentum = 0.9)
  python <- reticulate::py_run_string(in_python)
  for (dtype in c("float32", "float64")) {
    for (given in list(list(), list(weight_decay = 0.1, clipnorm = 0.5, use_ema = TRUE))) {
      ours <- moved_by(do.call(optimizer_signum, c(0.1, given)), dtype)
      expect_identical(ours, moved_by(do.call(python$Signum, c(0.1, given)), dtype))
    }
  }
})

test_that("it has the arguments of an R function, and trains in fit()", {
  need_pyadam()
  optimizer_signum <- new_optimizer_class(
    "SignumOfR", signum,
    slots = "m", momentum = list(default = 0.9, low = 0, high = 1)
  )
  arguments <- names(formals(optimizer_signum))
  expect_identical(head(arguments, 3), c("learning_rate", "momentum", "weight_decay"))
  expect_identical(formals(optimizer_signum)$momentum, 0.9)
  expect_error(optimizer_signum(momentum = 2), "momentum must be a number in [0, 1]", fixed = TRUE)
  expect_error(optimizer_signum(momentum = NA), "got NA")
  keras <- reticulate::import("keras")
  model <- keras$Sequential(list(keras$Input(list(3L)), keras$layers$Dense(1L)))
  history <- model |>
    compile(optimizer = optimizer_signum(0.1), loss = "mse") |>
    fit(as.matrix(mtcars[, 2:4]) / 100, mtcars$mpg, epochs = 5, verbose = 0)
  expect_lt(history$metrics$loss[5], history$metrics$loss[1])
})

test_that("a rule in R works on several replicas, whose threads are not R's", {
  need_pyadam()
  skip_if_not(runs_all(), "of the tests on replicas, `make test` runs a part")
  code <- '
    keras <- reticulate::import("keras")
    optimizer_plain <- new_optimizer_class("Plain", function(w, g, s, h) {
      list(w - h$learning_rate * g)
    })
    optimizer_norm <- new_optimizer_class("Norm", function(w, g, s, h) {
      list(w - h$learning_rate * g / tf$norm(g))
    })
    keras$utils$set_random_seed(1L)
    for (optimizer in c(optimizer_plain, optimizer_norm)) {
      with(strategy$scope(), {
        model <- keras$Sequential(list(keras$Input(list(3L)), keras$layers$Dense(1L)))
        compile(model, optimizer = optimizer(0.1), loss = "mse")
      })
      x <- as.matrix(mtcars[, 2:4]) / 100
      fit(model, x, mtcars$mpg, epochs = 2, batch_size = 8, verbose = 0)
      parts <- strategy$experimental_local_results(model$trainable_variables[[1]]$value)
      cat(identical(parts[[1]]$numpy(), parts[[2]]$numpy()), model$optimizer$iterations$numpy(), "")
    }
  '
  expect_match(fresh_session(c(two_replicas, code)), "TRUE 8 TRUE 8")
})

test_that("a rule that can't work is refused in Python's words", {
  need_pyadam()
  refused <- list(
    list(function(w, g, s, h) list(w - stats::rnorm(1) * g), "made other operations when it was"),
    list(function(w, g, s, h) if (g > 0) list(w) else list(g), "raised RuntimeError"),
    list(function(w, g, s, h) list(w, k = g), "a dictionary of the slots (there are none), got k"),
    list(function(w, g, s, h) 3, "must return the new weight and a dictionary of the slots"),
    list(function(w, g, s, h) list(gamma(w)), "gamma() can't be used on tensors"),
    list(function(w, g, s, h) list(w %% g), "%% can't be used on tensors"),
    list(function(w, g, s, h) list(w * !(g > 0)), "! can't be used on tensors"),
    list(function(w, g, s, h) list(w - h$learning * g), "there is no learning (there are"),
    list(function(w, g) list(w), "update must be a function of w, g, s and h, got one of w, g"),
    list(function() 1, "update must be a function of w, g, s and h, got one of nothing"),
    list(3, "update must be a function of w, g, s and h")
  )
  for (each in refused) {
    expect_error(new_optimizer_class("Mine", each[[1]]), each[[2]], fixed = TRUE)
  }
  expect_error(new_optimizer_class("Adam", function(w, g, s, h) list(w)), "that no optimizer has")
})

test_that("NA and what has no name are told", {
  need_pyadam()
  rule <- function(w, g, s, h) list(w)
  refused <- function(...) expect_error(new_optimizer_class(...), words, fixed = TRUE)
  words <- "new_optimizer_class: too many arguments without a name"
  refused("Mine", rule, 0.5)
  words <- "classname must be a string, got NA"
  refused(NA, rule)
  words <- "doc must be a string, got NA"
  refused("Mine", rule, doc = NA)
  words <- "the first value of slot z must be a number in (-inf, inf), got NA"
  refused("Mine", rule, slots = list(z = NA))
})

test_that("an argument with a short name is the optimizer's, or refused", {
  need_pyadam()
  decayed <- function(w, g, s, h) list(w - h$d * g, m = g)
  optimizer_decayed <- new_optimizer_class("Decayed", decayed, s = 0.2, slots = "m", d = 0.5)
  expect_equal(optimizer_decayed()$d, 0.5) # was taken for doc, and d was missing in the rule
  expect_equal(optimizer_decayed()$s, 0.2)
  words <- "R takes %s for %s; if it is an argument of the optimizer, write classname ="
  expect_error(new_optimizer_class("Mine", decayed, c = 0.5), sprintf(words, "c", "classname"))
  expect_error(new_optimizer_class("Mine", decayed, up = 0.5), sprintf(words, "up", "update"))
  made <- new_optimizer_class(classname = "Mine", update = decayed, c = 0.5, slots = "m", d = 1)
  expect_equal(made()$c, 0.5)
  expect_error(new_optimizer_class("Mine", decayed, doc = 3), "doc must be a string, got 3")
})

test_that("on replicas a rule is traced before, or refused", {
  need_pyadam()
  skip_if_not(runs_all(), "of the tests on replicas, `make test` runs a part")
  # R had ended, without a word: it was called on the thread of a replica
  code <- c(
    "library(pyadam)",
    "tf <- reticulate::import('tensorflow')",
    "keras <- reticulate::import('keras')",
    "cpu <- tf$config$list_physical_devices('CPU')[[1]]",
    "part <- tf$config$LogicalDeviceConfiguration()",
    "tf$config$set_logical_device_configuration(cpu, list(part, part))",
    "mean_step <- function(w, g, s, h) list(w - h$learning_rate * tf$reduce_mean(g))",
    "optimizer_mean <- new_optimizer_class('Mean', mean_step)",
    "strategy <- tf$distribute$MirroredStrategy(c('CPU:0', 'CPU:1'))",
    "run <- reticulate::import('pyadam.parity.run_replicas')",
    "take_step <- function(build) {",
    "  with(strategy$scope(), {",
    "    w <- list(keras$Variable(c(1, 2), dtype = 'float32'))",
    "    optimizer <- optimizer_mean(0.1)",
    "    if (build) optimizer$build(w)",
    "  })",
    "  gradient <- list(tf$constant(c(1, 2), dtype = 'float32'))",
    "  run$train_step(strategy, optimizer, w)(list(gradient, gradient))",
    "  cat('weights', run$values(w[[1]], 2L), '')",
    "}",
    "try(take_step(FALSE))",
    "take_step(TRUE)"
  )
  printed <- fresh_session(code)
  expect_match(printed, "Mean: update is an R function, which can't be called while several")
  expect_match(printed, "weights 0.7 0.7 1.7 1.7")
})

test_that("all tensors have our operators unless reticulate's and ours can be mixed", {
  versions <- numeric_version(c("1.28", "1.37", "4.2.2", "4.3.0"))
  expect_true(pyadam:::share_operators(versions[1], versions[4]))
  expect_true(pyadam:::share_operators(versions[2], versions[3]))
  expect_false(pyadam:::share_operators(versions[2], versions[4]))
})

test_that("a weight can be mixed with TensorFlow's results where reticulate has operators, too", {
  need_pyadam()
  if (!pyadam:::share_operators()) skip("R mixes them itself")
  theirs <- function(e1, e2) reticulate::import("operator")$sub(e1, e2) # as reticulate has it
  registerS3method("-", "python.builtin.object", theirs, envir = baseenv())
  tf <- reticulate::import("tensorflow")
  tensor <- tf$constant(3)
  expect_equal(as.numeric((pyadam:::as_tensor(tensor) - tf$square(tensor))$numpy()), -6)
  expect_equal(as.numeric((tf$square(tensor) - pyadam:::as_tensor(tensor))$numpy()), 6)
})

test_that("sums and means of tensors are tensors", {
  need_pyadam()
  # mean() of R made NA, and all weights NaN
  rule <- function(w, g, s, h) list(w - h$learning_rate * (mean(g) + sum(g) + max(g) - min(g)))
  optimizer <- new_optimizer_class("Sums", rule)(0.1)
  keras <- reticulate::import("keras")
  tf <- reticulate::import("tensorflow")
  weight <- keras$Variable(c(1, 2), dtype = "float32")
  optimizer$apply(list(tf$constant(c(1, 3), dtype = "float32")), list(weight))
  expect_equal(as.vector(weight$numpy()), c(1, 2) - 0.1 * (2 + 4 + 3 - 1), tolerance = 1e-6)
  expect_error(
    new_optimizer_class("Ranges", function(w, g, s, h) list(w - range(g))),
    "range\\(\\) can't be used on tensors"
  )
})
