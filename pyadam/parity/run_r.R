# Runs cases as an R user would: weights and gradients are R arrays, and an R function of pyadam
# makes the optimizer.

tensorflow <- reticulate::import("tensorflow", delay_load = TRUE)
keras <- reticulate::import("keras", delay_load = TRUE)
numpy <- reticulate::import("numpy", delay_load = TRUE)
run_replicas <- reticulate::import("pyadam.parity.run_replicas", delay_load = TRUE)

# The number of the current step, which functions given as arguments read.
step <- 1

# The strategy that trains on several replicas, if there are several.
strategy <- NULL

# Makes the CPU count as several devices, before TensorFlow uses it, with a replica on each.
use_replicas <- function(count) {
  devices <- tensorflow$config$list_physical_devices("CPU")
  parts <- rep(list(tensorflow$config$LogicalDeviceConfiguration()), count)
  tensorflow$config$set_logical_device_configuration(devices[[1]], parts)
  strategy <<- tensorflow$distribute$MirroredStrategy(paste0("CPU:", seq_len(count) - 1))
}

# Reads the weights and gradients of a case, takes all its steps, and writes weights and state in
# float64. With several replicas Python runs the step, because R can't run on their threads.
run_case <- function(make, input, output, dtypes, steps) {
  data <- numpy$load(input)
  keys <- data$files
  entry <- function(key) if (key %in% keys) reticulate::py_get_item(data, key)
  gradient <- function(replica, step, j) {
    key <- paste(replica - 1, step, j - 1, sep = "_")
    values <- entry(paste0("g", key))
    if (is.null(values)) {
      return(NULL)
    }
    values <- tensorflow$constant(values, dtype = dtypes[[j]])
    rows <- entry(paste0("i", key))
    if (is.null(rows)) {
      return(values)
    }
    rows <- tensorflow$constant(rows, dtype = "int32")
    tensorflow$IndexedSlices(values, rows, tensorflow$shape(weights[[j]]))
  }

  variables <- seq_along(dtypes)
  make_weights <- function() {
    lapply(variables, function(j) {
      keras$Variable(
        entry(paste0("w", j - 1)),
        dtype = dtypes[[j]], name = paste0("variable_", j - 1)
      )
    })
  }
  if (is.null(strategy)) {
    replicas <- 1
    weights <- make_weights()
    optimizer <- make()
    apply <- function(gradients) optimizer$apply_gradients(Map(list, gradients[[1]], weights))
    value <- function(variable) tensorflow$cast(variable, "float64")$numpy()
  } else {
    replicas <- strategy$num_replicas_in_sync
    with(strategy$scope(), {
      weights <- make_weights()
      optimizer <- make()
    })
    apply <- run_replicas$train_step(strategy, optimizer, weights)
    value <- function(variable) run_replicas$values(variable, as.integer(replicas))
  }
  for (number in seq_len(steps)) {
    step <<- number
    apply(lapply(seq_len(replicas), function(replica) {
      lapply(variables, function(j) gradient(replica, number, j))
    }))
  }

  state <- optimizer$variables
  results <- c(lapply(weights, value), lapply(state, value))
  names(results) <- c(paste0("w", variables - 1), paste0("s", seq_along(state) - 1))
  do.call(numpy$savez, c(list(output), results))
}

# Runs a case; an error message is written next to its results.
try_case <- function(make, input, output, dtypes, steps) {
  unfinished <- sub("[.]npz$", ".part.npz", output)
  tryCatch(
    {
      run_case(make, input, unfinished, dtypes, steps)
      file.rename(unfinished, output)
    },
    error = function(e) writeLines(conditionMessage(e), sub("[.]npz$", ".error", output))
  )
}
