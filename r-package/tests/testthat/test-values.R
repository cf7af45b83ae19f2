# Values arrive in Python unchanged, and Python's messages reach the R user.

config <- function(optimizer) optimizer$get_config()

test_that("values arrive", {
  need_pyadam()
  got <- config(optimizer_adam(0.01, beta_2 = 0.99, amsgrad = TRUE, ema_overwrite_frequency = 2))
  expect_identical(got$learning_rate, 0.01)
  expect_identical(got$beta_1, 0.9)
  expect_identical(got$beta_2, 0.99)
  expect_true(got$amsgrad)
  expect_identical(got$ema_overwrite_frequency, 2L)
  expect_identical(got$name, "Adam")
  expect_identical(config(optimizer_adam(1L))$learning_rate, 1)
  expect_identical(config(optimizer_adam_w())$weight_decay, 0.004)
  expect_identical(config(optimizer_nadam(name = NULL))$name, "Nadam")
  expect_identical(config(optimizer_nadam(name = "mine"))$name, "mine")
})

test_that("every optimizer is Python's own, and prints as its call", {
  need_pyadam()
  pyadam <- reticulate::import("pyadam")
  for (name in grep("^optimizer_", getNamespaceExports("pyadam"), value = TRUE)) {
    if (!"learning_rate" %in% names(formals(getExportedValue("pyadam", name)))) next
    optimizer <- getExportedValue("pyadam", name)(0.25, clipnorm = 2, name = "mine")
    expected <- pyadam[[name]](0.25, clipnorm = 2, name = "mine")
    expect_identical(config(optimizer), config(expected))
    expect_identical(optimizer$learning_rate$numpy(), expected$learning_rate$numpy())
    expect_output(print(optimizer), "^pyadam\\.[A-Za-z]+\\(learning_rate=0.25, .*name='mine'\\)")
  }
})

test_that("what only some optimizers have arrives", {
  need_pyadam()
  expect_identical(config(optimizer_rmsprop())$ema_overwrite_frequency, 100L)
  expect_warning(optimizer <- optimizer_sgd(amsgrad = TRUE), "amsgrad does nothing and is ignored")
  expect_null(config(optimizer)$amsgrad)
  expect_identical(config(optimizer_muon(exclude_layers = c("a", "b")))$exclude_layers, c("a", "b"))
  expect_identical(config(optimizer_muon(exclude_layers = "a"))$exclude_layers, "a")
  expect_identical(config(optimizer_muon(ns_steps = 3))$ns_steps, 3L)
  scaled <- optimizer_loss_scale(optimizer_adam(0.25), dynamic_growth_steps = 10)
  expect_identical(config(scaled)$dynamic_growth_steps, 10L)
  expect_output(print(scaled$inner_optimizer), "pyadam.Adam(learning_rate=0.25", fixed = TRUE)
  expect_error(optimizer_loss_scale(0.1), "inner_optimizer must be an optimizer .*, got 0.1")
  expect_error(optimizer_loss_scale(optimizer_adam(), 0.5), "initial_scale must be .*, got 0.5")
})

test_that("an optimizer prints as its call", {
  need_pyadam()
  expect_output(print(optimizer_adam(0.01)), "pyadam.Adam(learning_rate=0.01", fixed = TRUE)
  expect_output(summary(optimizer_adam_w(0.01)), "pyadam.AdamW(learning_rate=0.01", fixed = TRUE)
  expect_s3_class(optimizer_nadam(), "python.builtin.object")
})

test_that("Python's messages reach the user", {
  need_pyadam()
  expect_error(optimizer_adam(NA), "Adam: learning_rate must be .*, got NA")
  expect_error(optimizer_adam(amsgrad = NA), "Adam: amsgrad must be .*, got NA")
  expect_error(optimizer_adam(NULL), "Adam: learning_rate must be .*, got None")
  expect_error(optimizer_adam(NaN), "Adam: learning_rate must be .*, got nan")
  expect_error(optimizer_adam(c(0.1, 0.2)), "learning_rate must be .*, got \\[0.1, 0.2\\]")
  expect_error(optimizer_adam(numeric()), "learning_rate must be .*, got \\[\\]")
  expect_error(optimizer_adam(-1), "learning_rate must be .*, got -1")
  expect_error(optimizer_adam(beta_1 = 1), "beta_1 must be a number in \\[0, 1\\).*, got 1")
  expect_error(optimizer_adam("fast"), "learning_rate must be .*, got 'fast'")
  expect_error(optimizer_adam(amsgrad = 1), "amsgrad must be True or False, got 1")
  expect_error(
    optimizer_adam(ema_overwrite_frequency = 2.5),
    "ema_overwrite_frequency must be a whole number >= 1.*, got 2.5"
  )
  expect_error(
    optimizer_adam(gradient_accumulation_steps = 2.5),
    "gradient_accumulation_steps must be a whole number >= 1.*, got 2.5"
  )
  expect_error(
    optimizer_adam(slot_dtype = "float16"),
    "slot_dtype must be \"bfloat16\", or None (NULL in R), got 'float16'",
    fixed = TRUE
  )
  expect_identical(optimizer_adam(slot_dtype = "bfloat16")$slot_dtype, "bfloat16")
  expect_error(optimizer_nadam(clipnorm = 1, clipvalue = 1), "at most one of clipnorm")
})

test_that("a function must be one without arguments", {
  need_pyadam()
  expect_error(optimizer_adam(function(step) 0.1 / step), "a function without arguments, got <func")
  expect_error(optimizer_adam(beta_1 = function(x, ...) 0.9), "beta_1 must be .* without arguments")
  for (fine in list(function() 0.1, function(...) 0.1, function(x = 0.1) x)) {
    expect_s3_class(optimizer_adam(fine), "python.builtin.object")
  }
  from_python <- reticulate::py_eval("lambda: 0.1")
  expect_s3_class(optimizer_adam(from_python), "python.builtin.object")
})

test_that("unknown names are refused, and the closest one is suggested", {
  need_pyadam()
  expect_error(optimizer_adam(weigth_decay = 1), "unknown argument weigth_decay.*weight_decay")
  expect_error(optimizer_adam(loss_scale = 1), "unknown argument loss_scale.*loss_scale_factor")
  expect_error(optimizer_nadam(amsgrad = TRUE), "unknown argument amsgrad")
})

test_that("lr is learning_rate, with a warning", {
  need_pyadam()
  expect_warning(optimizer <- optimizer_adam(lr = 0.01), "lr is deprecated, use learning_rate")
  expect_identical(config(optimizer)$learning_rate, 0.01)
  expect_error(optimizer_adam(0.1, lr = 0.01), "given twice")
})

test_that("old arguments are refused with their replacement, or ignored if they did nothing", {
  need_pyadam()
  words <- "SGD: unknown argument decay: .* use learning_rate = learning_rate_schedule_inverse_time"
  expect_error(optimizer_sgd(0.01, decay = 1e-6), words)
  expect_warning(optimizer_adam(decay = 0), "argument decay no longer exists and is ignored")
  expect_error(optimizer_nadam(schedule_decay = 0.004), "Nadam: unknown argument schedule_decay")
  expect_error(optimizer_adam(momentum = 0.9), "which only Muon, RMSprop and SGD have")
})

test_that("NA for a hyperparameter of an optimizer that exists is shown as NA", {
  need_pyadam()
  keras <- reticulate::import("keras")
  model <- keras$Sequential(list(keras$layers$Dense(1L)))
  compile(model, optimizer_adam(0.1), "mse")
  expect_error(model$optimizer$learning_rate <- NA, "Adam: learning_rate must be .*, got NA")
  scaled <- optimizer_loss_scale(optimizer_adam(0.1))
  expect_error(scaled$learning_rate <- NA_real_, "learning_rate must be .*, got NA")
  model$optimizer$learning_rate <- 0.25
  expect_equal(as.numeric(model$optimizer$learning_rate$numpy()), 0.25)
})
