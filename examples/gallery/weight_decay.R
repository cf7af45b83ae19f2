# Fine-tuning with weight decay, which leaves biases and scales alone: weight_decay.py in R, with
# the same numbers. The names of what is excluded are a list.
#
#   Rscript examples/gallery/weight_decay.R

library(pyadam)

keras <- reticulate::import("keras")
layers <- keras$layers
cancer <- reticulate::import("sklearn.datasets")$load_breast_cancer()
x <- cancer$data
y <- cancer$target
known <- 1:400

keras$utils$set_random_seed(1L)
normalization <- layers$BatchNormalization(momentum = 0.9)
model <- keras$Sequential(list(
  keras$Input(list(30L)),
  layers$BatchNormalization(momentum = 0.9, scale = FALSE, center = FALSE),
  layers$Dense(32L, use_bias = FALSE),
  normalization,
  layers$Activation("relu"),
  layers$Dense(1L, activation = "sigmoid")
))
model |>
  compile(optimizer_adam(2e-3), loss = "binary_crossentropy") |>
  fit(x[known, ], y[known], epochs = 10, verbose = 0)
before <- model$get_weights()

# The last loss on unseen tumors, and the mean scale of the normalization.
fine_tune <- function(excluded = list()) {
  keras$utils$set_random_seed(2L)
  model$set_weights(before)
  optimizer <- optimizer_adam_w(1e-3, weight_decay = 1)
  optimizer$exclude_from_weight_decay(var_names = excluded)
  compile(model, optimizer, loss = "binary_crossentropy")
  mean_scale <- function() keras$ops$mean(normalization$gamma)$numpy()
  progress <- function(epoch, logs) {
    cat(sprintf(
      "epoch %2d: unseen %.4f, mean scale %.4f\n", epoch + 1, logs$val_loss, mean_scale()
    ))
  }
  history <- fit(
    model, x[known, ], y[known],
    epochs = 15, validation_data = list(x[-known, ], y[-known]), verbose = 0,
    callbacks = list(keras$callbacks$LambdaCallback(on_epoch_end = progress))
  )
  c(tail(history$metrics$val_loss, 1), mean_scale())
}

cat("decay on all weights\n")
everything <- fine_tune()
cat("decay without biases and scales\n")
excluding <- fine_tune(list("bias", "gamma", "beta"))

result <- "%-18s unseen %.9g, mean scale %.9g\n"
cat("\n")
cat(sprintf(result, "decay on all", everything[1], everything[2]))
cat(sprintf(result, "with exclusions", excluding[1], excluding[2]))
