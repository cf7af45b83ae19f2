#' pyadam: optimizers with the signatures of R keras 2.11
#'
#' Functions such as [optimizer_adam()] make optimizers for the Keras in use. The Python package
#' `pyadam` does the work; [install_pyadam()] installs it from a checkout, and [pyadam_info()] tells
#' what is there. Attaching the package does not start Python.
#'
#' @section Which Python:
#' reticulate decides, as for every package: `RETICULATE_PYTHON` or [reticulate::use_virtualenv()]
#' first, and where nothing is said, the environment `r-pyadam` that [install_pyadam()] makes.
#'
#' @keywords internal
"_PACKAGE"

#' @importFrom generics compile
#' @export
generics::compile

#' @importFrom generics fit
#' @export
generics::fit
