# Training that continues where it was interrupted.

#' Resume an interrupted training
#'
#' With this callback [fit()] saves, and begins with what was saved: weights and state of the
#' optimizer, epoch and batch, the position in the data and its shuffle, metrics, the states of
#' random generators, the history, and what other callbacks have learned. The result is equal, bit
#' for bit, to that of an uninterrupted training. To resume, run the same script again. To start
#' over, or with another optimizer or learning rate, take another folder or delete this one.
#'
#' Snapshots are written under another name, flushed to the disk and renamed, so a snapshot is whole
#' or not there. A damaged one is skipped. R's own random numbers are not part of it: a script that
#' draws from them while it trains should set its seed by the number of the epoch.
#'
#' @param folder Folder for the snapshots; created if missing.
#' @param every `"epoch"`, or a number of batches after which a snapshot is written, too. There is
#'   always one at the end of an epoch.
#' @param keep Number of snapshots to keep.
#' @return A callback for `fit(callbacks = list(...))` of Keras 3 or tf_keras.
#' @examplesIf is_pyadam_available()
#' \dontrun{
#' model |> fit(x, y, epochs = 10, callbacks = list(callback_resume("run-1", every = 100)))
#' }
#' @export
callback_resume <- function(folder, every = "epoch", keep = 2) {
  if (missing(folder)) stop("callback_resume: folder is missing", call. = FALSE)
  call_python("Resume", match.call(expand.dots = FALSE), environment())
}
