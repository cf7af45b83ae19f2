# Handwritten digits, read by a small convolution network: digits.py in R, with the same numbers.
# fit() takes R's arrays as they are, and whole numbers without L; layers of Keras, called
# directly, need the L.
#
#   Rscript examples/gallery/digits.R

library(pyadam)

keras <- reticulate::import("keras")
layers <- keras$layers
digits <- reticulate::import("sklearn.datasets")$load_digits()
x <- array(digits$images / 16, c(dim(digits$images), 1))
y <- digits$target

keras$utils$set_random_seed(1L)
model <- keras$Sequential(list(
  keras$Input(list(8L, 8L, 1L)),
  layers$Conv2D(16L, 3L, padding = "same", activation = "relu"),
  layers$MaxPooling2D(),
  layers$Conv2D(32L, 3L, padding = "same", activation = "relu"),
  layers$Flatten(),
  layers$Dropout(0.5),
  layers$Dense(10L, activation = "softmax")
))
model |> compile(
  optimizer = optimizer_adam(2e-3),
  loss = "sparse_categorical_crossentropy",
  metrics = "accuracy"
)

progress <- function(epoch, logs) {
  cat(sprintf(
    "epoch %2d: loss %.4f, unseen digits %.4f\n", epoch + 1, logs$loss, logs$val_loss
  ))
}
losses <- fit(
  model, x, y,
  epochs = 12, validation_split = 0.2, verbose = 0,
  callbacks = list(keras$callbacks$LambdaCallback(on_epoch_end = progress))
)$metrics

cat(sprintf("\nloss           %.9g\n", tail(losses$loss, 1)))
cat(sprintf("unseen digits  %.9g\n", tail(losses$val_loss, 1)))
cat(sprintf("read correctly %.9g\n", tail(losses$val_accuracy, 1)))
