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
#' @seealso [optimizers] for what an optimizer can do; `vignette("pyadam")` to get started,
#'   `vignette("from-keras-2.11")` for scripts that are older than Keras 3,
#'   `vignette("schedules")` for learning rates that change, and `vignette("r-and-python")`.
#' @keywords internal
"_PACKAGE"

#' What an optimizer can do
#'
#' [optimizer_adam()] and the other functions return a Python object, whose attributes and methods
#' are reached with `$`. A model that was compiled with it has it as `model$optimizer`.
#'
#' @section Learning rate:
#' `optimizer$learning_rate$numpy()` is the learning rate, with a schedule the one of the next step;
#' if it is a function, `optimizer$learning_rate` calls it and is a number. `optimizer$learning_rate
#' <- 1e-4` changes the rate between two calls of [fit()][training], without compiling again, and so
#' do Keras' callbacks within one. A schedule can't be replaced by a number, which would end it, but
#' by another schedule. After a change of kind, such as from a number to a function, call
#' [compile()][training] again. The parts of [optimizer_multi()] have rates of their own, as
#' `optimizer$optimizers[[1]]$learning_rate`.
#'
#' An R function as learning rate has no arguments and is called in this R session before every
#' step. So it can't be used with `compile(jit_compile = TRUE)` or `steps_per_execution` above 1,
#' and `model$save()` refuses it; `model$save_weights()` saves the weights and the state. A schedule
#' has none of these limits, nor has one of your own, from [new_learning_rate_schedule_class()].
#'
#' @section Groups of variables:
#' The argument `groups` gives arguments other values for some variables. It is a named list of
#' lists; a name is a pattern, a regular expression that has to match whole components of a
#' variable's path, such as `dense/bias`:
#'
#' - `groups = list("bias" = list(weight_decay = 0))` decays no biases;
#' - `groups = list("head" = list(learning_rate_factor = 0.1))` gives a tenth of the learning rate,
#'   whatever that is, to all variables of the layer `head`;
#' - `groups = list(list(variables = model$layers[[1]], frozen = TRUE))` names layers or variables
#'   themselves, and keeps these as they are.
#'
#' [layerwise_decay()] makes groups for fine-tuning.
#'
#' @section Attributes and methods:
#' - Arguments are attributes, such as `optimizer$weight_decay`. If one is changed, call
#'   [compile()][training] again.
#' - `optimizer$iterations$numpy()` is the number of updates so far: with
#'   `gradient_accumulation_steps = n` one for every `n` batches. Schedules count batches.
#' - `optimizer$variables` lists the state. It is made at the first step, or before it by
#'   `optimizer$build(model$trainable_variables)`.
#' - `optimizer$exclude_from_weight_decay(var_names = list("bias"))`, before the first step, exempts
#'   variables from `weight_decay`.
#' - `optimizer$apply(gradients, variables)` takes a step with two lists, in a training loop of your
#'   own. `optimizer$apply_gradients(Map(list, gradients, variables))` does the same with pairs.
#' - `with(optimizer$averaged_weights(), evaluate(model, x, y))` evaluates with the averages of the
#'   weights, which `use_ema = TRUE` and [optimizer_schedule_free_adam_w()] keep. Afterwards the
#'   model has its weights back. At its end [fit()][training] itself puts the averages of
#'   `use_ema = TRUE` into the model.
#' - `optimizer$save_own_variables(store)` writes the state into `store <- reticulate::dict()`, and
#'   `optimizer$load_own_variables(store)` reads it into another optimizer that is built.
#'   `model$save()` saves all of it with the model.
#' - `optimizer$get_config()` has the arguments as a list.
#'
#' @name optimizers
#' @aliases optimizer
#' @family optimizers
#' @examplesIf is_pyadam_available()
#' keras <- reticulate::import("keras")
#' tf <- reticulate::import("tensorflow")
#' x <- as.matrix(scale(mtcars[, -1]))
#' y <- as.matrix(mtcars["mpg"])
#' model <- keras$Sequential(list(keras$Input(list(10L)), keras$layers$Dense(1L)))
#' optimizer <- optimizer_adam_w(0.1)
#' optimizer$exclude_from_weight_decay(var_names = list("bias"))
#'
#' # one step
#' tape <- tf$GradientTape()
#' with(tape, loss <- keras$ops$mean(keras$losses$mean_squared_error(y, model(x))))
#' gradients <- tape$gradient(loss, model$trainable_variables)
#' optimizer$apply(gradients, model$trainable_variables)
#'
#' # what it has changed
#' optimizer$iterations$numpy()
#' vapply(optimizer$variables, function(variable) variable$path, "")
#'
#' # another rate for the next step
#' optimizer$learning_rate <- 0.01
#' optimizer$learning_rate$numpy()
NULL

#' @importFrom generics compile
#' @export
generics::compile

#' @importFrom generics fit
#' @export
generics::fit
