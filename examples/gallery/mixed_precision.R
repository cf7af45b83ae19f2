# Mixed precision and a scaled loss: mixed_precision.py in R, with the same numbers. One optimizer
# wraps another; both can be read at any time.
#
#   Rscript examples/gallery/mixed_precision.R

library(pyadam)

keras <- reticulate::import("keras")
layers <- keras$layers
digits <- reticulate::import("sklearn.datasets")$load_digits()
x <- digits$data / 16
y <- digits$target

# The losses of a network whose layers have this policy, and the scale after each epoch.
train <- function(policy, optimizer) {
  keras$utils$set_random_seed(1L)
  model <- keras$Sequential(list(
    keras$Input(list(64L)),
    layers$Dense(64L, activation = "relu", dtype = policy),
    layers$Dense(64L, activation = "relu", dtype = policy),
    layers$Dense(10L, activation = "softmax", dtype = "float32") # a softmax needs more digits
  ))
  compile(model, optimizer, loss = "sparse_categorical_crossentropy")
  scales <- c()
  progress <- function(epoch, logs) {
    is_scaled <- reticulate::py_has_attr(optimizer, "dynamic_scale")
    scales <<- c(scales, if (is_scaled) as.numeric(optimizer$dynamic_scale$numpy()) else 1)
    cat(sprintf(
      "%s, epoch %2d: loss %.4f, scale %.0f\n", policy, epoch + 1, logs$loss, tail(scales, 1)
    ))
  }
  history <- fit(
    model, x, y,
    epochs = 12, validation_split = 0.2, verbose = 0,
    callbacks = list(keras$callbacks$LambdaCallback(on_epoch_end = progress))
  )
  c(lapply(history$metrics, tail, 1), scale = tail(scales, 1))
}

inner <- optimizer_adam(2e-3)
scaling <- optimizer_loss_scale(inner, initial_scale = 2^20, dynamic_growth_steps = 100)
single <- train("float32", optimizer_adam(2e-3))
mixed <- train("mixed_float16", scaling)

result <- "%s: loss %.9g, unseen digits %.9g\n"
cat("\n")
cat(sprintf(result, "float32", single$loss, single$val_loss))
cat(sprintf(result, "mixed_float16", mixed$loss, mixed$val_loss))
cat(sprintf(
  "steps that were taken: %d of %d; the scale at the end: %.9g\n",
  as.integer(inner$iterations$numpy()), 12 * 45, mixed$scale
))
