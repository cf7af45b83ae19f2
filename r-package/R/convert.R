# A training from one file into another.

#' Carry a training from one file into another
#'
#' Weights and state of the optimizer, between Keras 3, tf_keras, the files of R keras 2.11, and
#' torch. Training continues from the target with the next step of the source, bit by bit where both
#' compute the same formula. What can't be carried is a warning before anything is written. Files of
#' R keras 2.11 are read by tf_keras, which `install_pyadam(package = ".[tf-keras]")` installs in a
#' checkout.
#'
#' @param source The file to read: `.keras`, `.h5`, `.weights.h5`, a SavedModel, a checkpoint by
#'   its prefix or folder, or torch's `.pt` with the state_dicts of model and optimizer.
#' @param target The file to write, which must not exist. Its ending names the format; without an
#'   ending it is a checkpoint.
#' @param model For files that hold no model: a function that takes the Python module keras or
#'   tf_keras and returns the model, built and compiled; or a file with the model.
#' @param to The Keras that will read the target, `"keras"` or `"tf_keras"`; by default Keras 3,
#'   and tf_keras for `.h5`.
#' @param optimizer `"same"`, `"pyadam"` or `"keras"`: whose class is in the target; `"none"`
#'   carries the weights alone.
#' @param weights For torch: a named list or vector, the path in Keras of each of torch's names.
#' @param check If `TRUE`, report what would be carried, and write nothing.
#' @return What was carried, and what was not: a Python object that can be printed.
#' @examplesIf is_pyadam_available()
#' \dontrun{
#' convert("trained-in-2022.h5", "trained.keras", optimizer = "pyadam")
#' }
#' @export
convert <- function(source, target, model = NULL, to = NULL, optimizer = "same", weights = NULL,
                    check = FALSE) {
  if (is.character(weights)) weights <- as.list(weights)
  call_python("convert", match.call(expand.dots = FALSE), environment())
}
