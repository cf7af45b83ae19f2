# A table with a column of categories: tabular.py in R, with the same numbers. The table is the
# data frame iris, and the levels of its factor, counted from 0, go to the embedding.
#
#   Rscript examples/gallery/tabular.R

library(pyadam)

keras <- reticulate::import("keras")
layers <- keras$layers

sepal <- as.matrix(iris[, 1:2]) / 10 # in dm
petal <- as.matrix(iris[, 3:4]) / 10
species <- as.matrix(as.integer(iris$Species) - 1L)
unseen <- seq_len(nrow(iris)) %% 5 == 1

keras$utils$set_random_seed(1L)
numbers <- keras$Input(list(2L))
category <- keras$Input(list(1L), dtype = "int32")
embedding <- layers$Embedding(3L, 2L)
both <- layers$Concatenate()(list(numbers, layers$Flatten()(embedding(category))))
outputs <- layers$Dense(2L)(layers$Dense(16L, activation = "relu")(both))
model <- keras$Model(list(numbers, category), outputs)
model |> compile(optimizer = optimizer_adam(0.01), loss = "mse", metrics = "mae")

progress <- function(epoch, logs) {
  if ((epoch + 1) %% 5 == 0) {
    cat(sprintf(
      "epoch %2d: off by %.4f cm, unseen %.4f\n", epoch + 1, 10 * logs$mae, 10 * logs$val_mae
    ))
  }
}
losses <- fit(
  model, list(sepal[!unseen, ], species[!unseen, , drop = FALSE]), petal[!unseen, ],
  epochs = 40, batch_size = 16, verbose = 0,
  validation_data = list(
    list(sepal[unseen, ], species[unseen, , drop = FALSE]), petal[unseen, ]
  ),
  callbacks = list(keras$callbacks$LambdaCallback(on_epoch_end = progress))
)$metrics

cat(sprintf("\nunseen petals are off by %.9g cm\n", 10 * tail(losses$val_mae, 1)))
places <- embedding$get_weights()[[1]]
cat(sprintf("%-10s is at %.9g, %.9g\n", levels(iris$Species), places[, 1], places[, 2]), sep = "")
