# A small transformer guesses the next letter: transformer.py in R, with the same numbers. A block
# of it is an R function, since layers are called like functions.
#
#   Rscript examples/gallery/transformer.R

library(pyadam)

keras <- reticulate::import("keras")
layers <- keras$layers
datasets <- reticulate::import("sklearn.datasets")

length <- 32L
width <- 48L
epochs <- 12
batch <- 32

names <- c("breast_cancer", "diabetes", "digits", "iris", "linnerud", "wine")
pages <- vapply(names, function(name) datasets[[paste0("load_", name)]]()$DESCR, "")
text <- utf8ToInt(paste(pages, collapse = "")) %% 128L
starts <- seq(1, length(text) - length, by = 12)
rows <- t(vapply(starts, function(start) text[start + 0:length], integer(length + 1)))
known <- seq_len((nrow(rows) * 4) %/% 5)

# Attention to what came before, and a network for each letter; both are added to what they are
# given.
block <- function(x) {
  y <- layers$LayerNormalization()(x)
  attention <- layers$MultiHeadAttention(4L, width %/% 4L, dropout = 0.1)
  x <- layers$add(list(x, attention(y, y, use_causal_mask = TRUE)))
  y <- layers$LayerNormalization()(x)
  y <- layers$Dense(width)(layers$Dense(2L * width, activation = "gelu")(y))
  layers$add(list(x, layers$Dropout(0.1)(y)))
}

keras$utils$set_random_seed(1L)
letters <- keras$Input(list(length), dtype = "int32")
places <- keras$ops$cumsum(keras$ops$ones_like(letters), axis = 1L) # 1, 2, 3, ...
x <- layers$add(list(
  layers$Embedding(128L, width)(letters), layers$Embedding(length + 1L, width)(places)
))
x <- layers$LayerNormalization()(block(block(x)))
model <- keras$Model(letters, layers$Dense(128L, activation = "softmax")(x))
rate <- learning_rate_schedule_cosine_decay(
  5e-3,
  decay_steps = epochs * ceiling(length(known) / batch)
)
model |> compile(
  optimizer = optimizer_adam_w(rate, weight_decay = 0.05),
  loss = "sparse_categorical_crossentropy"
)

progress <- function(epoch, logs) {
  cat(sprintf("epoch %2d: loss %.4f, unseen text %.4f\n", epoch + 1, logs$loss, logs$val_loss))
}
losses <- fit(
  model, rows[known, -1 - length], rows[known, -1],
  batch_size = batch, epochs = epochs, verbose = 0,
  validation_data = list(rows[-known, -1 - length], rows[-known, -1]),
  callbacks = list(keras$callbacks$LambdaCallback(on_epoch_end = progress))
)$metrics

cat(sprintf("\nloss        %.9g\n", tail(losses$loss, 1)))
cat(sprintf("unseen text %.9g\n", tail(losses$val_loss, 1)))
