# As the source of R keras 2.11.0 declares them, and after the dots what Keras 3 added.
in_keras_2_11 <- alist(
  learning_rate = 0.001, beta_1 = 0.9, beta_2 = 0.999, epsilon = 1e-07, amsgrad = FALSE,
  weight_decay = NULL, clipnorm = NULL, clipvalue = NULL, global_clipnorm = NULL, use_ema = FALSE,
  ema_momentum = 0.99, ema_overwrite_frequency = NULL, jit_compile = TRUE, name = "Adam", ... =
)
new_in_keras_3 <- alist(loss_scale_factor = NULL, gradient_accumulation_steps = NULL)

test_that("optimizer_adam() has the formals of R keras 2.11", {
  expect_identical(as.list(formals(optimizer_adam)), c(in_keras_2_11, new_in_keras_3))
})

test_that("optimizer_nadam() has the formals of R keras 2.11", {
  expected <- in_keras_2_11[names(in_keras_2_11) != "amsgrad"]
  expected["name"] <- "Nadam"
  expect_identical(as.list(formals(optimizer_nadam)), c(expected, new_in_keras_3))
})

test_that("optimizer_adam_w() has Keras' order in the style of R keras 2.11", {
  order <- append(setdiff(names(in_keras_2_11), "weight_decay"), "weight_decay", after = 1)
  expected <- in_keras_2_11[order]
  expected[c("weight_decay", "name")] <- list(0.004, "AdamW")
  expect_identical(as.list(formals(optimizer_adam_w)), c(expected, new_in_keras_3))
})

test_that("R's defaults are Python's", {
  need_pyadam()
  inspect <- reticulate::import("inspect")
  pyadam <- reticulate::import("pyadam")
  for (name in grep("^optimizer_", getNamespaceExports("pyadam"), value = TRUE)) {
    in_r <- formals(get(name))
    in_r <- in_r[names(in_r) != "..."]
    in_python <- inspect$signature(pyadam[[name]])$parameters
    for (argument in names(in_r)) {
      expect_identical(in_python$get(argument)$default, in_r[[argument]], info = c(name, argument))
    }
  }
})
