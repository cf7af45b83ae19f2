# A training that is killed, and resumed: resume.py in R, with the same numbers. R's own random
# numbers are not part of a snapshot, so the training draws none.
#
#   Rscript examples/gallery/resume.R

library(pyadam)

keras <- reticulate::import("keras")
layers <- keras$layers
digits <- reticulate::import("sklearn.datasets")$load_digits()
x <- digits$data / 16
y <- digits$target

train <- function(folder, ...) {
  keras$utils$set_random_seed(1L)
  model <- keras$Sequential(list(
    keras$Input(list(64L)),
    layers$Dense(64L, activation = "relu"),
    layers$Dropout(0.3),
    layers$Dense(10L, activation = "softmax")
  ))
  compile(model, optimizer_adam(2e-3), loss = "sparse_categorical_crossentropy")
  progress <- function(epoch, logs) {
    cat(sprintf("epoch %d: loss %.6f\n", epoch + 1, logs$loss))
  }
  progress <- keras$callbacks$LambdaCallback(on_epoch_end = progress)
  callbacks <- list(callback_resume(folder, every = 10), progress, ...)
  fit(model, x, y, epochs = 8, validation_split = 0.2, verbose = 0, callbacks = callbacks)$metrics
}

# Ends this process in the middle of its fifth epoch, as a power cut would.
batches <- 0
kill <- function(batch, logs) {
  batches <<- batches + 1
  if (batches == 4 * 45 + 25) tools::pskill(Sys.getpid(), tools::SIGKILL)
}
arguments <- commandArgs(trailingOnly = TRUE)
if ("killed" %in% arguments) {
  train(arguments[2], keras$callbacks$LambdaCallback(on_train_batch_end = kill))
}

folder <- tempfile()
script <- sub("--file=", "", grep("^--file=", commandArgs(), value = TRUE))
cat("until it is killed\n")
invisible(system2("Rscript", shQuote(c(script, "killed", file.path(folder, "killed")))))
cat("started again\n")
resumed <- train(file.path(folder, "killed"))
cat("without a kill\n")
whole <- train(file.path(folder, "whole"))

result <- "%-14s %.9g, unseen digits %.9g\n"
cat("\n")
cat(sprintf(result, "resumed", tail(resumed$loss, 1), tail(resumed$val_loss, 1)))
cat(sprintf(result, "without a kill", tail(whole$loss, 1), tail(whole$val_loss, 1)))
