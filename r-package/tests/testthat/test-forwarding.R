# Only the arguments that the user wrote reach Python, evaluated once and in the right place.

test_that("only what the user wrote goes to Python", {
  need_pyadam()
  expect_identical(received(optimizer_adam()), "{}")
  expect_identical(received(optimizer_adam(0.01)), "{'learning_rate': 0.01}")
  expect_identical(received(optimizer_adam(0.01, )), "{'learning_rate': 0.01}")
  expect_identical(received(optimizer_adam(beta_1 = 0.9)), "{'beta_1': 0.9}")
  expect_identical(received(optimizer_adam(name = NULL)), "{'name': None}")
  expect_identical(
    received(optimizer_adam(0.01, lr = 2, gradient_accumulation_steps = 4L)),
    "{'learning_rate': 0.01, 'gradient_accumulation_steps': 4, 'lr': 2.0}"
  )
})

test_that("calls made by programs forward the same", {
  need_pyadam()
  wrapper <- function(...) optimizer_adam(...)
  outer_wrapper <- function(...) wrapper(beta_1 = 0.5, ...)
  with_default <- function(rate = 0.1) optimizer_adam(learning_rate = rate)
  partial <- function(f, ...) function(...) f(..., epsilon = 0.1)
  expect_identical(received(wrapper(0.1)), "{'learning_rate': 0.1}")
  expect_identical(received(outer_wrapper(0.1)), "{'learning_rate': 0.1, 'beta_1': 0.5}")
  expect_identical(received(with_default()), "{'learning_rate': 0.1}")
  expect_identical(received(partial(optimizer_adam)(0.1)), "{'learning_rate': 0.1, 'epsilon': 0.1}")
  expect_identical(
    received(do.call(optimizer_adam, list(0.1, name = NULL))),
    "{'learning_rate': 0.1, 'name': None}"
  )
  expect_identical(received(do.call("optimizer_adam", list(lr = 0.1))), "{'lr': 0.1}")
  expect_identical(received(lapply(0.1, optimizer_adam)[[1]]), "{'learning_rate': 0.1}")
  expect_identical(received(lapply(0.1, wrapper, lr = 1)[[1]]), "{'learning_rate': 0.1, 'lr': 1.0}")
  expect_identical(
    received(Reduce(function(x, f) f(x), list(optimizer_adam), 0.1)),
    "{'learning_rate': 0.1}"
  )
})

test_that("arguments are evaluated once, where they were written", {
  need_pyadam()
  times <- 0
  learning_rate <- 0.5
  rate <- function() {
    times <<- times + 1
    learning_rate
  }
  expect_identical(received(optimizer_adam(rate())), "{'learning_rate': 0.5}")
  expect_identical(times, 1)
})

test_that("an argument without a value is R's error", {
  need_pyadam()
  wrapper <- function(rate) optimizer_adam(learning_rate = rate)
  expect_error(wrapper(), "rate")
})

test_that("NA becomes pyadam's NA, NaN stays", {
  need_pyadam()
  for (na in list(NA, NA_integer_, NA_real_, NA_character_)) {
    expect_identical(received(optimizer_adam(na)), "{'learning_rate': NA}")
  }
  expect_identical(received(optimizer_adam(lr = NA)), "{'lr': NA}")
  expect_identical(received(optimizer_adam(NaN)), "{'learning_rate': nan}")
  expect_identical(received(optimizer_adam(c(1, NA, NaN))), "{'learning_rate': [1.0, NA, nan]}")
  expect_identical(received(optimizer_adam(c(a = TRUE, b = NA))), "{'learning_rate': [True, NA]}")
})

test_that("too many arguments without a name are refused", {
  need_pyadam()
  all <- unname(as.list(formals(optimizer_adam))[1:14])
  message <- "optimizer_adam: too many arguments without a name"
  expect_error(do.call(optimizer_adam, c(all, 1)), message)
  expect_error(
    learning_rate_schedule_piecewise_constant_decay(1, 2:1, "a", 3),
    "learning_rate_schedule_piecewise_constant_decay: too many arguments without a name"
  )
})
