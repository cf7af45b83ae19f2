# Transfer from the digits 0 to 4 to 5 to 9: transfer.py in R, with the same numbers. Layers are
# Python objects, so both models train the same ones.
#
#   Rscript examples/gallery/transfer.R

library(pyadam)

keras <- reticulate::import("keras")
layers <- keras$layers
digits <- reticulate::import("sklearn.datasets")$load_digits()
x <- array(digits$images / 16, c(dim(digits$images), 1))
y <- digits$target
old <- which(y < 5)
new <- which(y >= 5)
known <- new[1:100]
unseen <- new[-(1:100)]
compiled <- function(model, optimizer) {
  compile(model, optimizer, loss = "sparse_categorical_crossentropy", metrics = "accuracy")
}

keras$utils$set_random_seed(1L)
body <- list(
  keras$Input(list(8L, 8L, 1L)),
  layers$Conv2D(16L, 3L, padding = "same", activation = "relu"),
  layers$MaxPooling2D(),
  layers$Conv2D(32L, 3L, padding = "same", activation = "relu"),
  layers$Flatten(),
  layers$Dense(32L, activation = "relu")
)
first <- keras$Sequential(c(body, layers$Dense(5L, activation = "softmax")))
losses <- first |>
  compiled(optimizer_adam(2e-3)) |>
  fit(x[old, , , , drop = FALSE], y[old], epochs = 10, verbose = 0)
cat(sprintf("digits 0 to 4: loss %.4f\n", losses$metrics$loss[10]))

model <- keras$Sequential(c(body, layers$Dense(5L, activation = "softmax")))
groups <- layerwise_decay(model, 0.3) # while all layers are trainable
optimizer <- optimizer_adam(5e-3, groups = groups)
depth <- length(model$layers)
right <- c()
for (trained in c(1, 2, depth)) {
  for (i in seq_len(depth)) {
    layer <- model$layers[[i]]
    layer$trainable <- i > depth - trained
  }
  losses <- model |>
    compiled(optimizer) |>
    fit(
      x[known, , , , drop = FALSE], y[known] - 5,
      batch_size = 10, epochs = 10, verbose = 0,
      validation_data = list(x[unseen, , , , drop = FALSE], y[unseen] - 5)
    )
  losses <- losses$metrics
  right <- c(right, losses$val_accuracy)
  cat(sprintf(
    "last layers trained: %d, loss %.4f, read correctly %.4f\n",
    trained, losses$loss[10], losses$val_accuracy[10]
  ))
}

cat(sprintf("\nloss           %.9g\n", losses$loss[10]))
cat(sprintf(
  "read correctly %.9g with one layer, %.9g with two, %.9g with all\n",
  right[10], right[20], right[30]
))
