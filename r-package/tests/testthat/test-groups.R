# Groups of variables as an R user writes them: the numbers of Python, and the same words in errors.

weights_after <- function(optimizer, steps = 3) {
  tensorflow <- reticulate::import("tensorflow")
  keras <- reticulate::import("keras")
  weights <- lapply(c("body", "head"), function(name) keras$Variable(c(1, 2), name = name))
  for (step in seq_len(steps)) {
    gradients <- lapply(seq_along(weights), function(i) tensorflow$constant(c(0.5, -step)))
    optimizer$apply_gradients(Map(list, gradients, weights))
  }
  lapply(weights, function(weight) as.numeric(weight$numpy()))
}

test_that("a group has the numbers of an optimizer of its own", {
  need_pyadam()
  together <- weights_after(optimizer_adam_w(
    1e-2,
    groups = list(body = list(learning_rate = 1e-3, weight_decay = 0, amsgrad = TRUE))
  ))
  others <- weights_after(optimizer_adam_w(1e-2))
  inside <- weights_after(optimizer_adam_w(1e-3, weight_decay = 0, amsgrad = TRUE))
  expect_identical(together, list(inside[[1]], others[[2]]))
})

test_that("groups are given as a list of lists, too, and functions and NULL reach Python", {
  need_pyadam()
  optimizer <- optimizer_sgd(0.5, groups = list(
    list(variables = c("body", "tail"), learning_rate = function() 0.25, weight_decay = NULL)
  ))
  expect_error(weights_after(optimizer), "no variable's path matches 'tail'", fixed = TRUE)
  optimizer <- optimizer_sgd(0.5, groups = list(
    list(variables = "body", learning_rate = function() 0.25, weight_decay = NULL)
  ))
  expect_equal(weights_after(optimizer, 1), list(c(0.875, 2.25), c(0.75, 2.5)))
})

test_that("learning rates fall from the last layer to the first", {
  need_pyadam()
  keras <- reticulate::import("keras")
  dense <- keras$layers$Dense
  model <- keras$Sequential(list(keras$Input(list(3L)), dense(2L), dense(1L)))
  optimizer <- optimizer_adam(groups = layerwise_decay(model, 0.5))
  factors <- vapply(optimizer$groups, function(group) group$learning_rate_factor, numeric(1))
  expect_identical(factors, c(0.5, 1))
  expect_error(layerwise_decay(model, NA), "decay must be a number in (0, 1], got NA", fixed = TRUE)
})

test_that("what is no group is refused in Python's words", {
  need_pyadam()
  refused <- list(
    list(3, "groups must be dictionaries of arguments (named lists in R) by pattern"),
    list(list(body = list(lr = 1)), "unknown argument lr, did you mean learning_rate?"),
    list(list(body = list(beta_1 = NA)), "the group 'body': beta_1 must be a number in [0, 1)"),
    list(list(body = list(clipnorm = 1)), "the group 'body' can't have clipnorm of its own")
  )
  for (each in refused) {
    expect_error(optimizer_adam(groups = each[[1]]), each[[2]], fixed = TRUE)
  }
})

test_that("several optimizers in one, chosen by pattern or by a function", {
  need_pyadam()
  alone <- list(
    weights_after(optimizer_adam(0.1))[[1]], weights_after(optimizer_sgd(0.5))[[2]]
  )
  by_pattern <- optimizer_map(optimizer_sgd(0.5), list(body = optimizer_adam(0.1)))
  expect_identical(weights_after(optimizer_multi(by_pattern)), alone)
  adam <- optimizer_adam(0.1)
  sgd <- optimizer_sgd(0.5)
  by_function <- function(variable) if (variable$path == "body") adam else sgd
  expect_identical(weights_after(optimizer_multi(by_function)), alone)
  expect_error(optimizer_multi(3), "optimizer_map must be an OptimizerMap, or a function")
})
