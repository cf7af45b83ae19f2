# A training that is interrupted continues, and ends with the bits of one that is not.

test_that("fit continues where it was interrupted", {
  need_pyadam()
  keras <- reticulate::import("keras")
  x <- matrix(sin(seq_len(160)), 40)
  y <- matrix(rowSums(x), 40)
  train <- function(folder, stop_at = NULL) {
    keras$utils$set_random_seed(1L)
    model <- keras$Sequential(list(
      keras$layers$Input(list(4L)),
      keras$layers$Dense(8L, activation = "relu"),
      keras$layers$Dropout(0.5),
      keras$layers$Dense(1L)
    ))
    compile(model, optimizer = optimizer_adam(0.01), loss = "mse")
    interrupt <- keras$callbacks$LambdaCallback(
      on_epoch_end = function(epoch, logs = NULL) {
        if (identical(as.integer(epoch), stop_at)) stop("interrupted")
      }
    )
    resume <- callback_resume(folder, every = 3)
    history <- fit(
      model, x, y,
      batch_size = 4, epochs = 3, verbose = 0, callbacks = list(resume, interrupt)
    )
    list(weights = model$get_weights(), history = as.data.frame(history))
  }
  folder <- tempfile()
  expect_error(train(folder, stop_at = 1L), "interrupted")
  expect_gt(length(list.files(folder)), 0)
  expect_identical(train(folder), train(tempfile()))
})

test_that("bad arguments are refused in Python's words", {
  need_pyadam()
  expect_error(
    callback_resume("run", every = NA),
    "Resume: every must be \"epoch\" or a whole number >= 1, got NA",
    fixed = TRUE
  )
  expect_error(
    callback_resume(1),
    "Resume: folder must be the path of a folder, got 1.0",
    fixed = TRUE
  )
  expect_error(
    callback_resume("run", keep = 0),
    "Resume: keep must be a whole number >= 1, got 0.0",
    fixed = TRUE
  )
})
