# Groups of variables with learning rates of their own.

#' Learning rates that fall from a model's last layer to its first
#'
#' For fine-tuning: the last layer with trainable weights has the optimizer's own learning rate, the
#' one before it `decay` times that, the next `decay^2` times, and so on.
#'
#' @param model A built model.
#' @param decay The factor from a layer to the one before it, in `(0, 1]`.
#' @return The argument `groups` of an optimizer.
#' @references Howard and Ruder (2018), Universal Language Model Fine-tuning for Text
#'   Classification, section 3.2. <https://arxiv.org/abs/1801.06146>
#' @family optimizers
#' @examplesIf is_pyadam_available()
#' keras <- reticulate::import("keras")
#' model <- keras$Sequential(list(keras$layers$Dense(8L), keras$layers$Dense(1L)))
#' model$build(reticulate::tuple(NULL, 4L))
#' model |> compile(optimizer = optimizer_adam(1e-3, groups = layerwise_decay(model, 0.5)))
#' @export
layerwise_decay <- function(model, decay = 0.9) {
  decay <- show_to_python(decay, from_pyadam("NA"))
  with_python_warnings(from_pyadam("layerwise_decay")(model, decay))
}
