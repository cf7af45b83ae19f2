library(testthat)
library(pyadam)

test_check("pyadam")
