test_that("the Python package of the same version range is asked for", {
  expect_identical(python_requirement(package_version("0.1.0")), "pyadam~=0.1.0")
  expect_identical(python_requirement(package_version("1.2.3.9000")), "pyadam~=1.2.3")
})

test_that("NumPy 2 is kept from a reticulate that does not know it", {
  expect_identical(numpy_requirement(package_version("1.28")), "numpy<2")
  expect_null(numpy_requirement(package_version("1.38.0")))
})

test_that("pyadam_info() names the versions", {
  need_pyadam()
  info <- pyadam_info()
  expect_s3_class(info, "pyadam_info")
  expect_identical(info$r, as.character(getRversion()))
  expect_identical(info$pyadam, info$r_pyadam)
  expect_true(all(c("reticulate", "python_path", "tensorflow", "keras", "numpy") %in% names(info)))
  expect_output(print(info), "tensorflow +[0-9.]+")
})
