# Training that continues where it was interrupted.

#' Go on where a training was interrupted
#'
#' With this callback [fit()] saves, and begins with what was saved: weights and state of the
#' optimizer, epoch and batch, the position in the data and its shuffle, metrics, the states of
#' random generators, the history, and what other callbacks have learned. The result has the bits of
#' a training that nobody interrupted. To resume, run the same script again.
#'
#' Snapshots are written under another name, flushed to the disk and renamed, so a snapshot is whole
#' or not there. A damaged one is skipped. R's own random numbers are not part of it: a script that
#' draws from them while it trains should set its seed by the number of the epoch.
#'
#' @param folder Where the snapshots are.
#' @param every `"epoch"`, or after how many batches, too, a snapshot is written. There is one after
#'   each epoch in any case.
#' @param keep How many snapshots stay.
#' @return A callback for `fit(callbacks = list(...))` of Keras 3 or tf_keras.
#' @examplesIf is_pyadam_available()
#' \dontrun{
#' model |> fit(x, y, epochs = 10, callbacks = list(callback_resume("run-1", every = 100)))
#' }
#' @export
callback_resume <- function(folder, every = "epoch", keep = 2) {
  call_python("Resume", match.call(expand.dots = FALSE), environment())
}
