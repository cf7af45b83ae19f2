test_that("install_pyadam() wants to know where the Python package is", {
  expect_error(install_pyadam(), "install_pyadam: package must be a folder .*, got none")
  expect_error(install_pyadam(envname = "r-other"), "package must be")
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
