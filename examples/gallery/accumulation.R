# Gradient accumulation: accumulation.py in R, with the same numbers. Four batches of 32 make the
# update of one batch of 128.
#
#   Rscript examples/gallery/accumulation.R

library(pyadam)

keras <- reticulate::import("keras")
layers <- keras$layers
digits <- reticulate::import("sklearn.datasets")$load_digits()
x <- digits$data / 16
y <- digits$target
known <- seq_len(12 * 128)

# A network and its losses on unseen digits.
train <- function(batch_size, steps) {
  keras$utils$set_random_seed(1L)
  model <- keras$Sequential(list(
    keras$Input(list(64L)),
    layers$Dense(64L, activation = "relu"),
    layers$Dense(10L, activation = "softmax")
  ))
  optimizer <- optimizer_adam(5e-3, clipnorm = 1, gradient_accumulation_steps = steps)
  compile(model, optimizer, loss = "sparse_categorical_crossentropy")
  progress <- function(epoch, logs) {
    cat(sprintf(
      "batches of %d, epoch %2d: unseen digits %.6f\n", batch_size, epoch + 1, logs$val_loss
    ))
  }
  history <- fit(
    model, x[known, ], y[known],
    batch_size = batch_size, epochs = 10, shuffle = FALSE, verbose = 0,
    validation_data = list(x[-known, ], y[-known]),
    callbacks = list(keras$callbacks$LambdaCallback(on_epoch_end = progress))
  )
  list(weights = model$get_weights(), losses = history$metrics$val_loss)
}

large <- train(128, NULL)
small <- train(32, 4)
apart <- max(mapply(function(a, b) max(abs(a - b)), large$weights, small$weights))

cat(sprintf("\nbatches of 128      %.9g\n", tail(large$losses, 1)))
cat(sprintf("4 batches of 32     %.9g\n", tail(small$losses, 1)))
cat(sprintf("weights differ by   %.9g at most\n", apart))
