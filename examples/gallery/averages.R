# Averages of the weights, compared with the weights: averages.py in R, with the same numbers.
# with() puts the averages into the model, and then the weights back.
#
#   Rscript examples/gallery/averages.R

library(pyadam)

keras <- reticulate::import("keras")
layers <- keras$layers
digits <- reticulate::import("sklearn.datasets")$load_digits()
x <- digits$data / 16
y <- digits$target
known <- 1:1437

keras$utils$set_random_seed(1L)
model <- keras$Sequential(list(
  keras$Input(list(64L)),
  layers$Dense(64L, activation = "relu"),
  layers$Dense(10L, activation = "softmax")
))
optimizer <- optimizer_adam(0.02, use_ema = TRUE, ema_momentum = 0.98)
compile(model, optimizer, loss = "sparse_categorical_crossentropy")

weights <- NA
averages <- NA
loss_of_unseen <- function() evaluate(model, x[-known, ], y[-known], verbose = 0)[["loss"]]
compare <- function(epoch, logs) {
  weights <<- loss_of_unseen()
  averages <<- with(optimizer$averaged_weights(), loss_of_unseen())
  cat(sprintf(
    "epoch %d: unseen digits %.4f, with averages %.4f\n", epoch + 1, weights, averages
  ))
}
fit(
  model, x[known, ], y[known],
  batch_size = 16, epochs = 8, verbose = 0,
  callbacks = list(keras$callbacks$LambdaCallback(on_epoch_end = compare))
)

cat(sprintf("\nweights          %.9g\n", weights))
cat(sprintf("averages         %.9g\n", averages))
cat(sprintf("what fit() left  %.9g: the averages\n", loss_of_unseen()))
