# Runs cases as an R user would: weights and gradients are R arrays, and an R function of pyadam
# makes the optimizer.

tensorflow <- reticulate::import("tensorflow", delay_load = TRUE)
keras <- reticulate::import("keras", delay_load = TRUE)
numpy <- reticulate::import("numpy", delay_load = TRUE)

# The number of the current step, which functions given as arguments read.
step <- 1

# Reads the weights and gradients of a case, takes all its steps, and writes weights and state in
# float64.
run_case <- function(make, input, output, dtypes, steps) {
  data <- numpy$load(input)
  keys <- data$files
  entry <- function(key) if (key %in% keys) reticulate::py_get_item(data, key)
  gradient <- function(step, j) {
    key <- paste0(step, "_", j - 1)
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
  weights <- lapply(variables, function(j) {
    keras$Variable(entry(paste0("w", j - 1)), dtype = dtypes[[j]])
  })
  optimizer <- make()
  for (number in seq_len(steps)) {
    step <<- number
    gradients <- lapply(variables, function(j) gradient(number, j))
    optimizer$apply_gradients(Map(list, gradients, weights))
  }

  value <- function(variable) tensorflow$cast(variable, "float64")$numpy()
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
