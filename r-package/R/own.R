# Optimizers whose rule is written in R.

#' Write an optimizer in R
#'
#' Makes an optimizer from a rule, an R function of one weight's tensors. Everything else comes with
#' it: the common arguments and their checks, one compiled program over all weights, weight decay,
#' clipping, averages, accumulation, groups, saved models, several devices.
#'
#' The rule is called when a step is traced, with tensors that have no values yet; the traced
#' operations then run without R. R's operators and functions like [sqrt()], [sign()], [sum()] and
#' [mean()] work on them, and so do TensorFlow's functions. The rule may only compute with what it
#' is given: it can't draw random numbers, print, or branch on values (`tf$where()` chooses between
#' them).
#'
#' The optimizer is registered with Keras under its name, so a later session can load a model that
#' was trained with it after making it again.
#'
#' @param classname Name of the optimizer, a string.
#' @param update Function of the weight `w`, the gradient `g`, the list `s` of the slots, and the
#'   list `h` of the arguments and of `t`, the number of the update from 1. Returns a list of the
#'   new weight and, by name, the new slots. All are float32 tensors, or float64 for float64
#'   weights; those of `h` are scalars, except flags, which are `TRUE` or `FALSE`.
#' @param ... The arguments of the optimizer, by name, as defaults (numbers, `TRUE` or `FALSE`) or
#'   as lists of `default`, `low`, `high` and `doc`. `learning_rate` is 0.001 unless it is given.
#' @param slots Names of the slots, state of the weight's shape that starts at 0; or a named list of
#'   their first values, where `NULL` stands for the weight's.
#' @param doc What the optimizer does, for Python's help.
#' @return A function that makes such an optimizer, like [optimizer_adam()].
#' @family optimizers
#' @examplesIf is_pyadam_available()
#' optimizer_signum <- new_optimizer_class(
#'   "Signum",
#'   update = function(w, g, s, h) {
#'     m <- h$momentum * s$m + (1 - h$momentum) * g
#'     list(w - h$learning_rate * sign(m), m = m)
#'   },
#'   slots = "m",
#'   momentum = 0.9
#' )
#' optimizer_signum(1e-3, weight_decay = 0.01)
#' @export
new_optimizer_class <- function(classname, update, ..., slots = NULL, doc = "") {
  arguments <- list(...)
  refuse_abbreviated("new_optimizer_class", c("classname", "update"), sys.call(), arguments)
  refuse_unnamed("new_optimizer_class", arguments)
  rule <- if (is_r_function(update)) rule_of(update) else update
  arguments <- c(list(classname = classname, slots = as.list(slots), doc = doc), arguments)
  given <- c(list(update = rule), lapply(arguments, show_to_python, na = from_pyadam("NA")))
  class <- with_python_warnings(do.call(from_pyadam("new_optimizer_class"), given, quote = TRUE))
  constructor_of(class, classname)
}

# R takes a name for an argument that begins with it. Here the user's own arguments have short
# names.
refuse_abbreviated <- function(owner, formals, call, others) {
  taken <- setdiff(names(call), c("", formals, "slots", "doc", names(others)))
  if (length(taken) > 0) {
    meant <- formals[startsWith(formals, taken[1])]
    stop(
      owner, ": R takes ", taken[1], " for ", meant, "; if it is an argument of the optimizer, ",
      "write ", paste(formals, "=", collapse = " and "), " in full",
      call. = FALSE
    )
  }
}

# The rule as Python calls it.
rule_of <- function(update) {
  taken <- formals(args(update))
  if (!"..." %in% names(taken) && length(taken) != 4) {
    stop(
      "new_optimizer_class: update must be a function of w, g, s and h, got one of ",
      if (length(taken) == 0) "nothing" else toString(names(taken)),
      call. = FALSE
    )
  }
  function(w, g, s, h) {
    of <- reticulate::import_builtins()$vars
    named <- function(values) structure(lapply(of(values), as_tensor), class = "pyadam_values")
    new <- update(as_tensor(w), as_tensor(g), named(s), named(h))
    if (!is.list(new) || inherits(new, "python.builtin.object") || length(new) == 0) {
      return(new)
    }
    list(new[[1]], if (length(new) > 1) new[-1] else reticulate::dict())
  }
}

# R's own `$` takes a beginning for the name, and is NULL where there is none.
#' @export
`$.pyadam_values` <- function(x, name) {
  if (!name %in% names(x)) {
    stop("there is no ", name, " (there are ", toString(names(x)), ")", call. = FALSE)
  }
  x[[name, exact = TRUE]]
}

# An R function with the arguments of a Python class.
constructor_of <- function(class, name) {
  constructor <- function(...) {
    call_python(
      name, match.call(expand.dots = FALSE), environment(), ...,
      python_function = class
    )
  }
  defaults <- reticulate::import("pyadam.hosts.own")$r_formals(class)
  formals(constructor) <- c(defaults[[1]], alist(... = ), defaults[[2]]) # nolint: spaces_inside.
  constructor
}

# --- R's operators on tensors --------------------------------------------------------------------
#
# reticulate has them from 1.37 on. These are Python's own, so a rule has the operations of the same
# rule in Python. With an older reticulate all tensors have them, for metrics, losses and schedules
# written in R; with an older R as well, which refuses an operation whose two sides have different
# methods, such as a weight and the result of a function of TensorFlow.

share_operators <- function(reticulate = utils::packageVersion("reticulate"), r = getRversion()) {
  reticulate < "1.37" || r < "4.3"
}

give_tensors_operators <- function(...) {
  if (!share_operators()) {
    return()
  }
  methods <- list(
    Ops = Ops.pyadam_tensor, Math = Math.pyadam_tensor, Summary = Summary.pyadam_tensor,
    mean = mean.pyadam_tensor
  )
  for (generic in names(methods)) {
    registerS3method(
      generic, "tensorflow.python.types.core.Tensor", methods[[generic]],
      envir = baseenv()
    )
  }
}

as_tensor <- function(x) {
  if (inherits(x, "python.builtin.object") && !inherits(x, "pyadam_tensor")) {
    class(x) <- c("pyadam_tensor", class(x))
  }
  x
}

# S3 methods of groups, in which R defines .Generic.
# nolint start: object_name_linter, object_usage_linter.
#' @export
Ops.pyadam_tensor <- function(e1, e2) {
  operator <- reticulate::import("operator")
  if (missing(e2) && .Generic != "!") {
    return(as_tensor(operator[[c("-" = "neg", "+" = "pos")[[.Generic]]]](e1)))
  }
  names <- c(
    "+" = "add", "-" = "sub", "*" = "mul", "/" = "truediv", "^" = "pow",
    "<" = "lt", "<=" = "le", ">" = "gt", ">=" = "ge", "==" = "eq", "!=" = "ne"
  )
  if (!.Generic %in% names(names)) {
    stop(.Generic, " can't be used on tensors", call. = FALSE)
  }
  as_tensor(operator[[names[[.Generic]]]](e1, e2))
}

#' @export
Math.pyadam_tensor <- function(x, ...) {
  name <- if (.Generic == "ceiling") "ceil" else .Generic
  functions <- reticulate::import("tensorflow")$math
  if (!reticulate::py_has_attr(functions, name)) {
    stop(.Generic, "() can't be used on tensors; use TensorFlow's functions", call. = FALSE)
  }
  as_tensor(functions[[name]](x, ...))
}

#' @export
Summary.pyadam_tensor <- function(x, ..., na.rm = FALSE) {
  names <- c(sum = "reduce_sum", prod = "reduce_prod", max = "reduce_max", min = "reduce_min")
  if (!.Generic %in% names(names) || ...length() > 0) {
    stop(.Generic, "() can't be used on tensors; use TensorFlow's functions", call. = FALSE)
  }
  as_tensor(reticulate::import("tensorflow")[[names[[.Generic]]]](x))
}

#' @export
mean.pyadam_tensor <- function(x, ...) {
  as_tensor(reticulate::import("tensorflow")$reduce_mean(x))
}
# nolint end
