# A custom learning-rate schedule: schedule.py in R, with the same numbers. Its methods are
# R functions; `call` runs once, when the training step is traced.
#
#   Rscript examples/gallery/schedule.R

library(pyadam)

keras <- reticulate::import("keras")
layers <- keras$layers
ops <- keras$ops
digits <- reticulate::import("sklearn.datasets")$load_digits()
x <- digits$data / 16
y <- digits$target

# The rate after so many steps is `rate`; before, it rises to it, and afterwards it falls.
warm_up <- new_learning_rate_schedule_class(
  "WarmUp",
  initialize = function(rate, steps) {
    self$rate <- rate
    self$steps <- steps
  },
  call = function(step) {
    done <- ops$divide(ops$add(ops$cast(step, "float32"), 1), self$steps)
    ops$multiply(self$rate, ops$minimum(done, ops$rsqrt(done)))
  },
  get_config = function() list(rate = self$rate, steps = self$steps)
)

# The losses of a deep network.
train <- function(rate) {
  keras$utils$set_random_seed(1L)
  hidden <- lapply(1:7, function(i) layers$Dense(64L, activation = "relu"))
  model <- keras$Sequential(c(
    keras$Input(list(64L)), hidden, layers$Dense(10L, activation = "softmax")
  ))
  compile(model, optimizer_adam(rate), loss = "sparse_categorical_crossentropy")
  progress <- function(epoch, logs) {
    shown <- model$optimizer$learning_rate$numpy()
    cat(sprintf("epoch %2d: loss %.4f, learning rate %.6f\n", epoch + 1, logs$loss, shown))
  }
  callback <- keras$callbacks$LambdaCallback(on_epoch_end = progress)
  fit(model, x, y, epochs = 12, verbose = 0, callbacks = list(callback))$metrics$loss
}

constant <- train(0.01)
warmed <- train(warm_up(0.01, steps = 100))

cat(sprintf("\nconstant rate %.9g\n", tail(constant, 1)))
cat(sprintf("warm-up       %.9g\n", tail(warmed, 1)))
