#' pyadam: optimizers with the signatures of R keras 2.11
#'
#' Functions such as [optimizer_adam()] create optimizers for the Keras in use. The Python package
#' `pyadam` does the work; [install_pyadam()] installs it from a checkout, and [pyadam_info()] shows
#' the installed versions. Attaching the package does not start Python.
#'
#' @section Which Python:
#' reticulate chooses Python, as for every package: `RETICULATE_PYTHON` or
#' [reticulate::use_virtualenv()] come first; the default is the environment `r-pyadam`, created by
#' [install_pyadam()].
#'
#' @keywords internal
"_PACKAGE"

#' @importFrom generics compile
#' @export
generics::compile

#' @importFrom generics fit
#' @export
generics::fit
