# A training continues from another file: the function is Python's.

test_that("a model is carried into the other Keras and trains on with the same bits", {
  need_pyadam()
  keras <- reticulate::import("keras")
  folder <- tempfile()
  dir.create(folder)
  network <- function(keras) {
    model <- keras$Sequential(list(keras$layers$InputLayer(list(3L)), keras$layers$Dense(2L)))
    model$compile(optimizer_adam(0.01), keras$losses$MeanSquaredError())
    model
  }
  x <- matrix(sin(seq_len(30)), 10)
  y <- matrix(cos(seq_len(20)), 10)
  train <- function(model) {
    fit(model, x, y, batch_size = 5, epochs = 2, shuffle = FALSE, verbose = 0)
    model$get_weights()
  }
  model <- network(keras)
  train(model)
  model$save_weights(file.path(folder, "a.weights.h5"))
  found <- convert(file.path(folder, "a.weights.h5"), file.path(folder, "b.keras"), model = network)
  expect_true(found$written)
  expect_output(print(found), "Adam of pyadam, 4 steps -> pyadam")
  loaded <- keras$models$load_model(file.path(folder, "b.keras"))
  expect_identical(train(loaded), train(model))
})

test_that("bad arguments are refused in Python's words", {
  need_pyadam()
  expect_error(
    convert("no.keras", "to.keras"), "convert: source 'no.keras' does not exist",
    fixed = TRUE
  )
  expect_error(
    convert("no.keras", "to.keras", to = "jax"),
    "convert: to must be one of None, 'keras', 'tf_keras', got 'jax'",
    fixed = TRUE
  )
})
