# Two workers train one model: two_workers.py in R, with the same numbers. TF_CONFIG is set before
# Python starts, since Python sees the environment as it was then.
#
#   Rscript examples/gallery/two_workers.R

library(pyadam)

free_port <- function() {
  repeat {
    port <- sample(20000:60000, 1)
    socket <- tryCatch(serverSocket(port), error = function(taken) NULL)
    if (!is.null(socket)) break
  }
  close(socket)
  port
}

is_first <- Sys.getenv("TF_CONFIG") == ""
if (is_first) {
  template <- paste0(
    '{"cluster": {"worker": ["127.0.0.1:%d", "127.0.0.1:%d"]}, ',
    '"task": {"type": "worker", "index": %d}}'
  )
  workers <- sprintf(template, free_port(), free_port(), 0:1)
  script <- sub("--file=", "", grep("^--file=", commandArgs(), value = TRUE))
  Sys.setenv(TF_CONFIG = workers[2])
  other <- pipe(paste("Rscript", shQuote(script)), "r")
  Sys.setenv(TF_CONFIG = workers[1])
}

tf <- reticulate::import("tensorflow")
strategy <- tf$distribute$MultiWorkerMirroredStrategy() # before anything else of TensorFlow
keras <- reticulate::import("keras")
layers <- keras$layers
keras$utils$set_random_seed(1L)
with(strategy$scope(), {
  model <- keras$Sequential(list(
    keras$Input(list(64L)),
    layers$Dense(64L, activation = "relu"),
    layers$Dense(10L, activation = "softmax")
  ))
  compile(model, optimizer_adam(2e-3), loss = "sparse_categorical_crossentropy")
})

digits <- reticulate::import("sklearn.datasets")$load_digits()
data <- tf$data$Dataset$from_tensor_slices(reticulate::tuple(digits$data / 16, digits$target))
known <- data$take(1408L)$shuffle(1408L, seed = 1L)$batch(64L)
unseen <- data$skip(1408L)$batch(64L)

progress <- function(epoch, logs) {
  if (is_first) {
    cat(sprintf("epoch %2d: loss %.4f, unseen digits %.4f\n", epoch + 1, logs$loss, logs$val_loss))
  }
}
model <- reticulate::import("pyadam")$distribute$on_workers(model)
losses <- fit(
  model, known,
  validation_data = unseen, epochs = 12, verbose = 0,
  callbacks = list(keras$callbacks$LambdaCallback(on_epoch_end = progress))
)$metrics

result <- sprintf(
  "loss %.9g, unseen digits %.9g", tail(losses$loss, 1), tail(losses$val_loss, 1)
)
if (is_first) {
  cat("\nthe first worker: ", result)
  cat("\nthe second worker:", readLines(other))
  cat("\n")
  close(other)
} else {
  cat(result, "\n", sep = "")
}
