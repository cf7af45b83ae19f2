# Schedules give Keras' numbers, and ones written in R train, save and compile.

# A class whose rate halves with every step.
# nolint start: object_usage_linter.
halving <- function(...) {
  tf <- reticulate::import("tensorflow")
  new_learning_rate_schedule_class(
    "Halving", ...,
    factor = 0.5,
    initialize = function(rate = 0.2) {
      super$initialize()
      self$rate <- rate
      private$traces <- 0
    },
    call = function(step) {
      private$traces <- private$traces + 1
      tf$multiply(self$rate, tf$pow(self$factor, tf$cast(step, "float32")))
    },
    traces = function() private$traces,
    get_config = function() list(rate = self$rate)
  )
}
# nolint end

fitted <- function(schedule, ...) {
  keras <- reticulate::import("keras")
  dense <- keras$layers$Dense(1L, kernel_initializer = "zeros", use_bias = FALSE)
  model <- keras$Sequential(list(keras$Input(reticulate::tuple(1L)), dense))
  compile(model, optimizer = optimizer_sgd(schedule), loss = "mse", ...)
  fit(model, matrix(1, 4, 1), c(1, 1, 1, 1), epochs = 1, batch_size = 1, verbose = 0)
  model
}

# The weight after steps of gradient 2 (w - 1) at these rates.
expected_weight <- function(rates) {
  1 - prod(1 - 2 * rates)
}

test_that("whole numbers need no L, and vectors are lists", {
  need_pyadam()
  got <- learning_rate_schedule_exponential_decay(0.1, 10, 0.5, staircase = TRUE)$get_config()
  expect_identical(got$decay_steps, 10L)
  expect_true(got$staircase)
  restarts <- learning_rate_schedule_cosine_decay_restarts(0.1, 5)$get_config()
  expect_identical(restarts$first_decay_steps, 5L)
  pieces <- learning_rate_schedule_piecewise_constant_decay(c(10, 20), c(1, 0.5, 0.25))$get_config()
  expect_identical(pieces$boundaries, c(10L, 20L))
  expect_identical(pieces$values, c(1, 0.5, 0.25))
  one <- learning_rate_schedule_piecewise_constant_decay(10, c(1, 0.5))$get_config()
  expect_identical(one$boundaries, 10L)
})

test_that("Python's messages reach the user", {
  need_pyadam()
  decay <- learning_rate_schedule_exponential_decay
  expect_error(decay(0.1, 2.5, 0.5), "ExponentialDecay: decay_steps must be a whole .*, got 2.5")
  expect_error(decay(NA, 10, 0.5), "initial_learning_rate must be a number in .*, got NA")
  expect_error(decay(0.1, 10), "missing a required argument: 'decay_rate'")
  expect_error(decay(0.1, 10, 0.5, stairs = TRUE), "unknown argument stairs, did you mean st")
  pieces <- learning_rate_schedule_piecewise_constant_decay
  expect_error(pieces(c(1, NA), 1:3), "boundaries must be a list, each a .*, got \\[1.0, NA\\]")
  expect_error(pieces(c(1, 1), 1:3), "boundaries must not be empty and must increase")
  expect_error(pieces(c(1, 2), 1:2), "values must be one more than boundaries, got 2 values for 2")
})

test_that("every schedule gives Keras' numbers in fit", {
  need_pyadam()
  schedule <- learning_rate_schedule_inverse_time_decay(0.1, 1, 0.5)
  rates <- 0.1 / (1 + 0.5 * 0:3)
  expect_equal(fitted(schedule)$get_weights()[[1]][1], expected_weight(rates), tolerance = 1e-6)
})

test_that("a schedule that is written in R is traced once, and fits and saves", {
  need_pyadam()
  schedule <- halving()(rate = 0.1)
  expect_equal(as.numeric(schedule(2L)$numpy()), 0.025, tolerance = 1e-6)
  before <- schedule$traces()
  model <- fitted(schedule)
  expect_equal(model$get_weights()[[1]][1], expected_weight(0.1 * 0.5^(0:3)), tolerance = 1e-6)
  expect_lte(schedule$traces() - before, 2)
  expect_equal(as.numeric(model$optimizer$learning_rate$numpy()), 0.1 / 16, tolerance = 1e-6)

  file <- tempfile(fileext = ".keras")
  on.exit(unlink(file))
  model$save(file)
  loaded <- reticulate::import("keras")$models$load_model(file)$optimizer
  expect_identical(loaded$get_config()$learning_rate$config, list(rate = 0.1))
  expect_equal(as.numeric(loaded$learning_rate$numpy()), 0.1 / 16, tolerance = 1e-6)
})

test_that("a schedule that is written in R fits in a train step that is compiled as a whole", {
  need_pyadam()
  model <- fitted(halving()(), jit_compile = TRUE)
  expect_equal(model$get_weights()[[1]][1], expected_weight(0.2 * 0.5^(0:3)), tolerance = 1e-6)
})

test_that("objects have a private environment each, and methods may name self", {
  need_pyadam()
  class <- halving(rename = function(self, name) self$name <- name)
  first <- class()
  second <- class()
  first(1L)
  first$rename("a")
  expect_identical(c(first$traces(), second$traces()), c(1, 0))
  expect_identical(first$name, "a")
  expect_identical(first$factor, 0.5)
})

test_that("a schedule that is written in R and can't be traced says why", {
  need_pyadam()
  looks <- new_learning_rate_schedule_class("Looks", call = function(step) 0.1 / as.numeric(step))
  expect_error(fitted(looks()), "Looks: call\\(step\\) failed: .*step is a tensor without a value")
  words <- "Wrong: call\\(step\\) must return a number or a scalar tensor, got "
  for (wrong in list("fast", NULL, c(0.1, 0.2))) {
    class <- new_learning_rate_schedule_class("Wrong", call = function(step) wrong)
    expect_error(class()(1L), words)
    expect_error(fitted(class()), words)
  }
})

test_that("invalid class definitions are refused", {
  need_pyadam()
  class <- new_learning_rate_schedule_class
  expect_error(class("A", call = 3), "call must be a function, got 3")
  expect_error(class("A", call = sqrt, get_config = 3), "get_config must be a function, got 3")
  expect_error(class(3, call = function(step) 1), "classname must be a string, got 3")
  expect_error(class("A", 3, call = function(step) 1), "too many arguments without a name")
  expect_error(class("A"), "call")
  expect_error(class("A", call = function(step) 1)(0.1), "A: takes no arguments")
  expect_error(class("A", call = function(step) 1)()$get_config(), "get_config")
})

test_that("a schedule computes with R's operators and functions, whatever the reticulate", {
  need_pyadam()
  tf <- reticulate::import("tensorflow")
  inverse <- new_learning_rate_schedule_class(
    "InverseInR",
    initialize = function(rate) self$rate <- rate,
    call = function(step) self$rate / sqrt(1 + tf$cast(step, "float32"))
  )
  expect_equal(inverse(0.1)(3L)$numpy(), 0.05)
})
