# Builds the R part of the documentation, without the network: `make docs` runs this.

if (!pyadam::is_pyadam_available()) stop("the examples need the Python package")

# Where code links to other packages. downlit would ask these sites, and CRAN for packages that are
# not installed.
urls <- c(
  generics = "https://generics.r-lib.org",
  keras = "https://tensorflow.rstudio.com",
  reticulate = "https://rstudio.github.io/reticulate"
)
options(pkgdown.internet = FALSE, downlit.local_packages = urls)
on_cran <- list(Package = names(urls), URL = unname(urls))
utils::assignInNamespace("CRAN_urls", function() on_cran, "downlit")

pkgdown::build_site(
  "r-package",
  devel = FALSE, install = FALSE, new_process = FALSE, preview = FALSE
)
