# Text, letter by letter, and an LSTM that continues it: text.py in R, with the same numbers.
# utf8ToInt() makes numbers of the letters, and the rows of an integer matrix are the network's
# input.
#
#   Rscript examples/gallery/text.R

library(pyadam)

keras <- reticulate::import("keras")
layers <- keras$layers
datasets <- reticulate::import("sklearn.datasets")

pages <- c(
  datasets$load_breast_cancer()$DESCR, datasets$load_iris()$DESCR, datasets$load_wine()$DESCR
)
text <- utf8ToInt(paste(pages, collapse = "")) %% 128L
starts <- seq(1, length(text) - 40, by = 20)
rows <- t(vapply(starts, function(start) text[start + 0:40], integer(41)))

keras$utils$set_random_seed(1L)
model <- keras$Sequential(list(
  layers$Embedding(128L, 16L),
  layers$LSTM(96L, return_sequences = TRUE),
  layers$Dense(128L, activation = "softmax")
))
optimizer <- optimizer_adam(0.02, global_clipnorm = 1)
model |> compile(
  optimizer = optimizer, loss = "sparse_categorical_crossentropy", metrics = "accuracy"
)

progress <- function(epoch, logs) {
  if ((epoch + 1) %% 5 == 0) {
    cat(sprintf(
      "epoch %2d: loss %.4f, next letter %.2f%% right\n",
      epoch + 1, logs$loss, 100 * logs$accuracy
    ))
  }
}
losses <- fit(
  model, rows[, -41], rows[, -1],
  epochs = 30, verbose = 0,
  callbacks = list(keras$callbacks$LambdaCallback(on_epoch_end = progress))
)$metrics

written <- utf8ToInt("The mean ")
while (length(written) < 60) {
  chances <- model(matrix(written, 1))$numpy()[1, length(written), ]
  written <- c(written, which.max(chances) - 1L)
}

cat(sprintf("\nloss            %.9g\n", tail(losses$loss, 1)))
cat(sprintf("guessed rightly %.9g\n", tail(losses$accuracy, 1)))
cat("it writes:", strsplit(intToUtf8(written), "[[:space:]]+")[[1]])
cat("\n")
