test_that("a forked process is refused a step, which would wait for ever", {
  need_pyadam()
  skip_on_os("windows")
  tf <- reticulate::import("tensorflow")
  optimizer <- optimizer_sgd()
  weight <- tf$Variable(1)
  job <- parallel::mcparallel(
    tryCatch(optimizer$apply(list(tf$constant(1)), list(weight)), error = conditionMessage)
  )
  found <- NULL
  started <- Sys.time()
  while (is.null(found) && difftime(Sys.time(), started, units = "secs") < 60) {
    found <- parallel::mccollect(job, wait = FALSE, timeout = 1)
  }
  tools::pskill(job$pid, tools::SIGKILL)
  expect_match(found[[1]], "this process was forked from one in which an optimizer had been made")
})
