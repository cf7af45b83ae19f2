# install_pyadam() finds what to install, and pyadam_info() names the versions.

# A folder that looks like the source of the Python package.
some_checkout <- function() {
  folder <- tempfile("checkout-")
  dir.create(file.path(folder, "inner"), recursive = TRUE)
  writeLines('name = "pyadam-keras"', file.path(folder, "pyproject.toml"))
  normalizePath(folder)
}

test_that("a package to install is a folder, a file or a URL, and ~ is the home folder", {
  checkout <- some_checkout()
  file <- tempfile(tmpdir = checkout, fileext = ".whl")
  file.create(file)
  home <- Sys.getenv("HOME")
  Sys.setenv(HOME = dirname(checkout))
  on.exit({
    Sys.setenv(HOME = home)
    unlink(checkout, recursive = TRUE)
  })
  expect_identical(as_package(file.path("~", basename(checkout))), checkout)
  with_extra <- file.path("~", paste0(basename(checkout), "[tf-keras]"))
  expect_identical(as_package(with_extra), paste0(checkout, "[tf-keras]"))
  expect_identical(as_package(file), normalizePath(file))
  addresses <- c(
    "pyadam-keras==0.1", "pyadam-keras", "pyadam_keras[tf-keras]>=0.1", "https://example.org/a.whl",
    "git+https://example.org/pyadam.git", "pyadam-keras @ https://example.org/a.whl"
  )
  for (address in addresses) {
    expect_identical(as_package(address), address)
  }
  missing <- 'install_pyadam: package must be a source folder.* and "~/nowhere" does not exist'
  expect_error(install_pyadam(package = "~/nowhere"), missing)
  expect_error(install_pyadam("~/nowhere"), missing)
  expect_error(install_pyadam(file.path(checkout, "inner")), "has no pyproject.toml")
  expect_error(install_pyadam(package = NA), "package must be .*, got NA")
})

test_that("a checkout is found from inside of it, and asked for elsewhere", {
  checkout <- some_checkout()
  old <- setwd(file.path(checkout, "inner"))
  on.exit({
    setwd(old)
    unlink(checkout, recursive = TRUE)
  })
  expect_identical(normalizePath(default_package()), checkout)
  expect_null(checkout_around(tempdir()))
})

test_that("the first argument is still a method, too", {
  expect_error(install_pyadam("conda", package = "~/nowhere"), '"~/nowhere" does not exist')
  expect_error(install_pyadam("virtualenv", "r-other", package = "./nowhere"), "does not exist")
})

test_that("NumPy 2 is not installed for a reticulate that does not support it", {
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

test_that("what is no string is refused before anything is installed", {
  for (value in list(NULL, NA, NA_character_, 1, character(), TRUE)) {
    got <- paste0("got ", deparse(value, nlines = 1))
    words <- 'method must be "auto", "virtualenv", "conda" or what to install, '
    expect_error(install_pyadam(value), paste0(words, got), fixed = TRUE)
    if (!is.null(value)) {
      expect_error(install_pyadam(envname = value), "install_pyadam: envname must be the name or")
      expect_error(install_pyadam(package = value), "package must be a source folder")
    }
  }
})

test_that("bare words are not packages, and install_keras()'s choices are refused with a reason", {
  for (word in c("cpu", "gpu", "default", "nightly", "2.11", "pyadam", "tensorflow", "")) {
    words <- paste0('must be a source folder, a file or a URL, and "', word, '" (is none of these)')
    expect_error(install_pyadam(word), words)
    expect_error(install_pyadam(package = word), words)
  }
  expect_error(
    install_pyadam(version = "2.11"),
    "^install_pyadam: there is no argument version: give the source of the version .* as package$"
  )
  expect_error(install_pyadam(tensorflow = "gpu"), "no argument tensorflow: the Python pack")
  expect_error(install_pyadam("conda", extra_packages = "scipy"), "no argument extra_packages")
})
