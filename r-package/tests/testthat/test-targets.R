# Factors and class weights mean the same in y, validation_data and class_weight.

x <- as.matrix(iris[1:4])
species <- iris$Species

classifier <- function() {
  keras <- reticulate::import("keras")
  layer <- keras$layers$Dense(3L, "softmax", kernel_initializer = "zeros")
  compile(keras$Sequential(list(layer)), "sgd", "sparse_categorical_crossentropy")
}

trained <- function(...) {
  model <- classifier()
  fit(model, x, ..., epochs = 1, shuffle = FALSE, verbose = 0)
  model$get_weights()
}

test_that("factors of y and of validation_data have the same levels", {
  need_pyadam()
  others <- list(droplevels(species[1:100]), factor(species, rev(levels(species))))
  for (other in others) {
    validation <- list(x[seq_along(other), ], other)
    expect_error(
      trained(species, validation_data = validation),
      '^fit: y has the levels "setosa", .*, but fit: validation_data: y has "\\w+", '
    )
    expect_error(trained(data.frame(species), validation_data = validation), "has the levels")
  }
  expect_silent(trained(species, validation_data = list(x[1:50, ], species[1:50])))
  expect_silent(trained(species, validation_data = list(x[1:50, ], rep(0, 50))))
  expect_error(
    refuse_other_levels(list(a = species), list(a = others[[1]]), "y", "other"),
    "^y\\[\\[a\\]\\] has the levels .* other\\[\\[a\\]\\] has"
  )
  calls <- 0
  batches <- function() {
    calls <<- calls + 1
    list(x[1:50, ], if (calls == 1) species[1:50] else droplevels(species[1:50]))
  }
  expect_error(
    fit(classifier(), batches, epochs = 1, steps_per_epoch = 2, verbose = 0),
    "x: y of the first batch has the levels"
  )
})

test_that("levels without observations are named in a warning of fit()", {
  need_pyadam()
  model <- classifier()
  words <- '^fit: y has no observations of its levels "setosa", .*droplevels'
  expect_warning(fit(model, x[51:150, ], species[51:150], epochs = 1, verbose = 0), words)
  expect_silent(evaluate(model, x[51:150, ], species[51:150], verbose = 0))
  expect_warning(warn_of_unused(list(species, species[51:150]), "fit: y"), "y\\[\\[2\\]\\] has no")
})

test_that("strings as targets are refused, and factors as weights", {
  need_pyadam()
  model <- classifier()
  words <- as.character(species)
  advice <- " is character; use factor\\(y\\) or numbers$"
  expect_error(fit(model, x, words), paste0("^fit: y", advice))
  expect_error(fit(model, x, data.frame(words)), paste0("^fit: y", advice))
  expect_error(fit(model, x, words, class_weight = list(setosa = 1)), paste0("^fit: y", advice))
  expect_error(fit(model, x, list(words)), paste0("^fit: y\\[\\[1\\]\\]", advice))
  expect_error(evaluate(model, x, words), paste0("^evaluate: y", advice))
  expect_error(
    fit(model, x, species, validation_data = list(x, words)), paste0("validation_data: y", advice)
  )
  expect_error(fit(model, x, species, sample_weight = species), "sample_weight is a factor; give")
  expect_error(fit(model, x, species, sample_weight = words), "sample_weight is character; give")
})

test_that("a data frame of one factor is that factor", {
  need_pyadam()
  weights <- list(setosa = 2, virginica = 3)
  expected <- trained(species, class_weight = weights)
  expect_identical(trained(iris["Species"], class_weight = weights), expected)
  if (requireNamespace("tibble", quietly = TRUE)) {
    expect_identical(trained(tibble::as_tibble(iris)["Species"], class_weight = weights), expected)
  }
  validation <- list(x, iris["Species"])
  expect_silent(trained(iris["Species"], validation_data = validation))
})

test_that("class_weight has each class once, and knows FALSE and TRUE", {
  need_pyadam()
  is_setosa <- species == "setosa"
  expected <- trained(as.integer(is_setosa), class_weight = list("0" = 1, "1" = 5))
  expect_identical(trained(is_setosa, class_weight = list("FALSE" = 1, "TRUE" = 5)), expected)
  expect_error(trained(species, class_weight = c(setosa = 1, setosa = 2)), 'has "setosa" more than')
  expect_error(trained(is_setosa, class_weight = list("1" = 1, "1" = 2)), 'has "1" more than once')
})
