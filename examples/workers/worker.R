# One of several workers that train a small network together. worker.py is the
# same in Python, and says how it is started; here it is
#
#   Rscript examples/workers/worker.R FOLDER [divided]

library(pyadam)
library(reticulate)

tf <- import("tensorflow")
strategy <- tf$distribute$MultiWorkerMirroredStrategy() # before anything else of TensorFlow
keras <- import("keras")

arguments <- commandArgs(trailingOnly = TRUE)
steps <- 200
save_every <- 25
batch_size <- 32 # of one worker

workers <- strategy$num_replicas_in_sync
worker <- strategy$cluster_resolver$task_id

with(strategy$scope(), {
  keras$utils$set_random_seed(7L)
  model <- keras$Sequential(list(
    keras$layers$Input(list(64L)),
    keras$layers$Dense(64L, activation = "relu"),
    keras$layers$Dense(10L, activation = "softmax")
  ))
  optimizer <- optimizer_adam(1e-3, shard_state = "divided" %in% arguments)
  optimizer$build(model$trainable_variables)
})

digits <- import("sklearn.datasets")$load_digits()

# This worker's part of the batch of a step.
batch <- function(step) {
  first <- (step * workers + worker) * batch_size
  rows <- (first + seq_len(batch_size) - 1) %% length(digits$target) + 1
  list(tf$constant(digits$data[rows, ] / 16, tf$float32), tf$constant(digits$target[rows]))
}

# R runs on one thread, and strategy$run() calls functions on others. So what R
# does comes before, and strategy$run() gets a function of Python.
train_step <- tf$`function`(autograph = FALSE, function(images, labels) {
  with(tf$GradientTape() %as% tape, {
    losses <- keras$losses$sparse_categorical_crossentropy(labels, model(images, training = TRUE))
    # the optimizer adds up the gradients of all workers
    loss <- tf$divide(tf$reduce_sum(losses), batch_size * workers)
  })
  weights <- model$trainable_variables
  strategy$run(optimizer$apply, list(tape$gradient(loss, weights), weights))
  strategy$reduce("SUM", loss, axis = NULL)
})

checkpoint <- tf$train$Checkpoint(model = model, optimizer = optimizer)
folder <- arguments[1]
invisible(checkpoint$restore(tf$train$latest_checkpoint(file.path(folder, 0))))
manager <- tf$train$CheckpointManager(checkpoint, file.path(folder, worker), max_to_keep = 2L)

step <- as.integer(optimizer$iterations$numpy())
while (step < steps) {
  loss <- do.call(train_step, batch(step))
  step <- step + 1L
  cat(sprintf("%d %.9g\n", step, loss$numpy()))
  if (step %% save_every == 0) manager$save(checkpoint_number = step)
}
