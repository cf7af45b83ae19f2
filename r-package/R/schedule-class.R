# Schedules that are written in R.

#' Write a learning-rate schedule in R
#'
#' Makes a class of schedules from R functions, as in R keras 2.11. The class is called with the
#' arguments of `initialize`, and what it returns is a learning rate for every optimizer.
#'
#' The methods find three names in their scope. `self` is the object, a Python object whose
#' attributes are set by `self$rate <- 0.1`. `private` is an environment of the object, for values
#' that Python need not see. `super` reaches the methods of the class above, as `super$get_config()`
#' or `super()$get_config()`. A method may also name `self` as its first argument.
#'
#' The step is a TensorFlow tensor. While a model trains it has no value: `call` runs once, when the
#' train function is traced, and what it did with the step runs from then on without R. So `call`
#' must compute with functions of TensorFlow or Keras, as in the example. R's own operators take
#' tensors with reticulate from version 1.37, or with the R package tensorflow. Where R itself has
#' to compute the rate at every step, give the optimizer a function without arguments.
#'
#' A class with `get_config` can be saved with its model; the class is registered with Keras under
#' its name, so a later session loads the model once it has made the class.
#'
#' @param classname Name of the class, a string.
#' @param ... Further methods and values of the class, by name.
#' @param initialize Function that is called with the arguments of a new object; without it there
#'   are none.
#' @param call Function of the step, the number of steps before this one, an integer tensor. It
#'   returns the rate: a number or a scalar tensor.
#' @param get_config Function that returns a named list, the arguments of an equal object.
#' @return The class, a Python object and a function that makes schedules.
#' @family schedules
#' @examplesIf is_pyadam_available()
#' tf <- reticulate::import("tensorflow")
#' inverse_root <- new_learning_rate_schedule_class(
#'   "InverseRoot",
#'   initialize = function(rate) {
#'     self$rate <- rate
#'   },
#'   call = function(step) {
#'     tf$multiply(self$rate, tf$math$rsqrt(tf$add(tf$cast(step, "float32"), 1)))
#'   },
#'   get_config = function() {
#'     list(rate = self$rate)
#'   }
#' )
#' optimizer_adam(inverse_root(rate = 0.1))
#' @export
new_learning_rate_schedule_class <- function(classname,
                                             ...,
                                             initialize = NULL,
                                             call,
                                             get_config = NULL) {
  members <- c(list(...), list(initialize = initialize, call = call, get_config = get_config))
  refuse_unnamed("new_learning_rate_schedule_class", members)
  members <- members[!vapply(members, is.null, logical(1))]
  in_r <- vapply(members, is_r_function, logical(1))
  from_pyadam("schedules")$new_class(
    classname, as.list(names(members)[in_r]), members[!in_r], new_object(members[in_r])
  )
}

# What Python calls for each object of the class: it makes the object's environment, and returns
# the function that runs a method in it.
new_object <- function(methods) {
  function() {
    private <- new.env(parent = emptyenv())
    function(self, parent, method, ...) {
      f <- methods[[method]]
      scope <- list(self = self, private = private, super = super_of(parent))
      environment(f) <- list2env(scope, parent = environment(f))
      if (identical(names(formals(f))[1], "self")) f(self, ...) else f(...)
    }
  }
}

# Both super$initialize() and super()$initialize() are written in R.
super_of <- function(parent) {
  structure(function() super_of(parent), class = "pyadam_super", parent = parent)
}

#' @export
`$.pyadam_super` <- function(x, name) {
  in_python <- c(initialize = "__init__", call = "__call__")
  name <- if (name %in% names(in_python)) in_python[[name]] else name
  do.call("$", list(attr(x, "parent"), name))
}
