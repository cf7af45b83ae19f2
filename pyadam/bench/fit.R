# The process that trains one model with fit() from R. fit_worker.py does the
# same in Python.

library(pyadam)

json <- reticulate::import("json")
keras <- reticulate::import("keras")
parts <- reticulate::import("pyadam.bench.fit_worker")
parts$limit(as.integer(commandArgs(trailingOnly = TRUE)))

answer <- function(...) {
  cat(json$dumps(list(...)), "\n", sep = "")
  flush(stdout())
}

input <- file("stdin", "r")
while (length(line <- readLines(input, 1))) {
  command <- json$loads(line)
  if (is.list(command)) {
    before <- parts$peak_bytes()
    given <- command$network
    optimizer <- if (command$optimizer == "pyadam") {
      optimizer_adam(parts$RATE)
    } else {
      keras$optimizers$Adam(parts$RATE)
    }
    model <- do.call(parts$network, c(given, optimizer = optimizer))
    answer(missing = "")
  } else {
    first <- identical(command, "first")
    steps <- if (first) 1 else command + 1
    examples <- do.call(reticulate::r_to_py(parts)$data, c(steps, given))
    clock <- parts$Clock()
    seconds <- system.time(
      model |> fit(
        examples["x"], examples["y"],
        batch_size = parts$BATCH, epochs = 1, shuffle = FALSE, verbose = 0,
        callbacks = list(clock)
      )
    )[["elapsed"]]
    if (!first) seconds <- as.list(clock$seconds())
    answer(seconds = seconds, bytes = parts$peak_bytes() - before)
  }
}
