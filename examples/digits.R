# Handwritten digits, trained with pyadam from R. digits.py does it in Python.
#
#   Rscript examples/digits.R [FILE]
#
# writes FILE.keras, the trained model, and FILE.json, its losses.

Sys.setenv(TF_CPP_MIN_LOG_LEVEL = "3")
library(pyadam)

keras <- reticulate::import("keras")
digits <- reticulate::import("sklearn.datasets")$load_digits()

# A small network, trained for 15 epochs on 1,437 pictures of 8 x 8 pixels, and
# validated on 360.
keras$utils$set_random_seed(7L)
model <- keras$Sequential(list(
  keras$layers$Input(list(64L)),
  keras$layers$Dense(64L, activation = "relu"),
  keras$layers$Dense(10L, activation = "softmax")
))
model |> compile(
  optimizer = optimizer_adam(1e-3),
  loss = "sparse_categorical_crossentropy",
  metrics = "accuracy"
)
training <- model |> fit(
  digits$data / 16, digits$target,
  epochs = 15, validation_split = 0.2, verbose = 0
)

losses <- training$history
cat(sprintf("accuracy on unseen digits: %.4f\n", tail(losses$val_accuracy, 1)))

file <- commandArgs(trailingOnly = TRUE)
if (length(file)) {
  model$save(paste0(file, ".keras"))
  jsonlite::write_json(losses, paste0(file, ".json"), digits = I(17))
}
