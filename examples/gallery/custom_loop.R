# A custom training loop: custom_loop.py in R, with the same numbers. The step is a function
# of R that is called to trace it; from then on TensorFlow takes it without R.
#
#   Rscript examples/gallery/custom_loop.R

library(pyadam)
library(reticulate)

keras <- import("keras")
layers <- keras$layers
tf <- import("tensorflow")
digits <- import("sklearn.datasets")$load_digits()
x <- array(digits$images / 16, c(dim(digits$images), 1))
y <- as.integer(digits$target)
known <- 1:1437

keras$utils$set_random_seed(1L)
model <- keras$Sequential(list(
  keras$Input(list(8L, 8L, 1L)),
  layers$Conv2D(16L, 3L, activation = "relu"),
  layers$Flatten(),
  layers$Dense(10L, activation = "softmax")
))
optimizer <- optimizer_nadam(2e-3, global_clipnorm = 1)
weights <- model$trainable_variables

train_step <- tf$`function`(autograph = FALSE, function(images, labels) {
  with(tf$GradientTape() %as% tape, {
    losses <- keras$losses$sparse_categorical_crossentropy(labels, model(images, training = TRUE))
    loss <- tf$reduce_mean(losses)
  })
  gradients <- tape$gradient(loss, weights)
  optimizer$apply(gradients, weights)
  list(loss, tf$linalg$global_norm(gradients))
})

data <- tf$data$Dataset$from_tensor_slices(tuple(x[known, , , , drop = FALSE], y[known]))
data <- data$shuffle(1437L, seed = 1L)$batch(32L)
for (epoch in 1:10) {
  steps <- iterate(data, function(batch) do.call(train_step, batch))
  steps <- sapply(steps, function(step) c(step[[1]]$numpy(), step[[2]]$numpy()))
  mean <- rowMeans(steps)
  cat(sprintf("epoch %2d: loss %.4f, norm of the gradients %.4f\n", epoch, mean[1], mean[2]))
}

chances <- model(x[-known, , , , drop = FALSE])$numpy()
right <- max.col(chances, "first") - 1 == y[-known]
cat(sprintf("\nloss of the last step %.9g\n", steps[1, ncol(steps)]))
cat(sprintf("norm of the last step %.9g\n", steps[2, ncol(steps)]))
cat(sprintf("unseen digits read correctly: %.9g\n", mean(right)))
