# Metrics are named and ordered as in Keras, in both generations.

x <- matrix(1:8 / 8, 4)
y <- x[, 1]

one_output <- function(keras) keras$Sequential(list(keras$layers$Dense(1L)))

two_outputs <- function(keras, ...) {
  input <- keras$Input(list(2L))
  outputs <- lapply(c("o1", "o2"), function(name) keras$layers$Dense(1L, name = name)(input))
  compile(keras$Model(input, outputs), "sgd", list("mse", "mse"), ...)
}

for (name in c("keras", "tf_keras")) {
  test_that(paste("the loss comes first, then the metrics in the order of Keras:", name), {
    need_pyadam()
    skip_if_not(reticulate::py_module_available(name))
    model <- one_output(reticulate::import(name))
    compile(model, "sgd", "mse", metrics = c("mse", "mae"), weighted_metrics = "cosine_similarity")
    history <- fit(model, x, y, epochs = 1, verbose = 0, validation_split = 0.5)
    values <- evaluate(model, x, y, verbose = 0)
    by_position <- evaluate(model, x, y, verbose = 0, return_dict = FALSE)
    expect_identical(unname(values), unlist(by_position))
    names <- c("loss", "mse", "mae", "cosine_similarity")
    expect_named(values, names)
    expect_named(evaluate(model, x, y, verbose = 0, return_dict = TRUE), names)
    expect_named(history$metrics, c(names, paste0("val_", names)))
    expect_identical(levels(as.data.frame(history)$metric), names)
    expect_output(print(history), "loss.*mse.*mae.*cosine.*val_loss.*val_mse.*val_mae.*val_cosine")
  })

  test_that(paste("a metric may be named by its output:", name), {
    need_pyadam()
    skip_if_not(reticulate::py_module_available(name))
    keras <- reticulate::import(name)
    zero <- function(y_true, y_pred) reticulate::import("tensorflow")$zeros_like(y_pred)
    for (metrics in list(list(o2 = "mae"), c(o2 = "mae"), reticulate::dict(o2 = "mae"))) {
      model <- two_outputs(keras, metrics = metrics)
      history <- fit(model, x, list(y, y), epochs = 1, verbose = 0)
      values <- evaluate(model, x, list(y, y), verbose = 0)
      expect_true("o2_mae" %in% names(values))
      expect_identical(names(history$metrics), names(values))
      by_position <- evaluate(model, x, list(y, y), verbose = 0, return_dict = FALSE)
      expect_identical(unname(values), unlist(by_position))
    }
    input <- keras$Input(list(2L))
    single <- keras$Model(input, keras$layers$Dense(1L)(input))
    compile(single, "sgd", "mse", metrics = list("mae", mm = zero))
    expect_identical(names(evaluate(single, x, y, verbose = 0)), c("loss", "mae", "mm"))
  })
}
