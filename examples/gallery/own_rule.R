# A custom optimizer, Adam that moves a weight only where its step agrees with the gradient's sign:
# own_rule.py in R, with the same numbers. In a rule R's operators work on tensors.
#
#   Rscript examples/gallery/own_rule.R

library(pyadam)

keras <- reticulate::import("keras")
layers <- keras$layers
tf <- reticulate::import("tensorflow")
digits <- reticulate::import("sklearn.datasets")$load_digits()

optimizer_cautious_adam <- new_optimizer_class(
  "CautiousAdam",
  update = function(w, g, s, h) {
    m <- s$m + (1 - h$beta_1) * (g - s$m)
    v <- s$v + (1 - h$beta_2) * (g * g - s$v)
    step <- sqrt(1 - h$beta_2^h$t) / (1 - h$beta_1^h$t) * m / (sqrt(v) + h$epsilon)
    agrees <- tf$cast(step * g > 0, w$dtype)
    step <- step * agrees / tf$maximum(tf$reduce_mean(agrees), 0.001)
    list(w - h$learning_rate * step, m = m, v = v)
  },
  slots = c("m", "v"),
  beta_1 = list(default = 0.9, low = 0, high = 1),
  beta_2 = list(default = 0.999, low = 0, high = 1),
  epsilon = 1e-7
)

# The last losses of a network.
train <- function(optimizer) {
  keras$utils$set_random_seed(1L)
  model <- keras$Sequential(list(
    keras$Input(list(64L)),
    layers$Dense(64L, activation = "relu"),
    layers$Dense(10L, activation = "softmax")
  ))
  compile(model, optimizer, loss = "sparse_categorical_crossentropy")
  progress <- function(epoch, logs) {
    cat(sprintf("%s, epoch %2d: loss %.4f\n", optimizer$name, epoch + 1, logs$loss))
  }
  history <- fit(
    model, digits$data / 16, digits$target,
    epochs = 12, validation_split = 0.2, verbose = 0,
    callbacks = list(keras$callbacks$LambdaCallback(on_epoch_end = progress))
  )
  lapply(history$metrics, tail, 1)
}

plain <- train(optimizer_adam(1e-3, name = "Adam"))
cautious <- train(optimizer_cautious_adam(1e-3, name = "CautiousAdam"))

result <- "%s: loss %.9g, unseen digits %.9g\n"
cat("\n")
cat(sprintf(result, "Adam", plain$loss, plain$val_loss))
cat(sprintf(result, "CautiousAdam", cautious$loss, cautious$val_loss))
