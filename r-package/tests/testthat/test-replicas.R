# Strategies of tf.distribute with several replicas, through reticulate.

test_that("two replicas train alike, and as Python's do", {
  need_pyadam()
  code <- '
    keras <- reticulate::import("keras")
    keras$utils$set_random_seed(1L)
    with(strategy$scope(), {
      model <- keras$Sequential(list(keras$Input(list(3L)), keras$layers$Dense(1L)))
      compile(model, optimizer = optimizer_adam(function() 0.1, clipnorm = 1), loss = "mse")
    })
    x <- as.matrix(mtcars[, 2:4]) / 100
    fit(model, x, mtcars$mpg, epochs = 3, batch_size = 8, shuffle = FALSE, verbose = 0)
    parts <- strategy$experimental_local_results(model$trainable_variables[[1]]$value)
    cat(identical(parts[[1]]$numpy(), parts[[2]]$numpy()), model$optimizer$iterations$numpy())
  '
  expect_match(fresh_session(c(two_replicas, code)), "TRUE 12")
})

test_that("what is refused is refused in the words of Python", {
  need_pyadam()
  code <- '
    keras <- reticulate::import("keras")
    optimizer <- optimizer_adam()
    with(strategy$scope(), weight <- keras$Variable(1, name = "weight"))
    optimizer$build(list(weight))
  '
  printed <- fresh_session(c(two_replicas, code))
  expect_match(printed, "Adam: the optimizer was not made within the scope of the")
})
