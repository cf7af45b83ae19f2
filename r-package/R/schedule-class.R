# Schedules written in R.

#' Write a learning-rate schedule in R
#'
#' Creates a schedule class from R functions, as in R keras 2.11. Call the class with the arguments
#' of `initialize` to get a schedule, which any optimizer takes as its learning rate.
#'
#' Methods can use three names. `self` is the object, a Python object; set its attributes with
#' `self$rate <- 0.1`. `private` is an environment for values that Python need not see. `super`
#' reaches the parent class's methods, as `super$get_config()` or `super()$get_config()`. A method
#' may also take `self` as its first argument.
#'
#' The step is a TensorFlow tensor, which has no value during training: `call` runs once, when the
#' train function is traced, and the traced operations then run without R. So `call` must compute
#' with TensorFlow or Keras functions, as in the example, and with R's operators and functions like
#' [sqrt()], for which whole numbers have to be cast first. To compute the rate in R at every step,
#' give the optimizer a function without arguments instead.
#'
#' A class with `get_config` can be saved with its model. It is registered with Keras under its
#' name, so a later session can load the model after defining the class.
#'
#' @param classname Name of the class, a string.
#' @param ... Further methods and values of the class, by name.
#' @param initialize Function called with the arguments of a new object; without it, there are none.
#' @param call Function of the step, an integer tensor with the number of steps so far. Returns the
#'   rate: a number or a scalar tensor.
#' @param get_config Function that returns the arguments of an equal object as a named list.
#' @return The class: a Python object that can be called as a function to create schedules.
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

# Python calls this for each object of the class: it creates the object's environment and returns
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

# Allows both super$initialize() and super()$initialize().
super_of <- function(parent) {
  structure(function() super_of(parent), class = "pyadam_super", parent = parent)
}

#' @export
`$.pyadam_super` <- function(x, name) {
  in_python <- c(initialize = "__init__", call = "__call__")
  name <- if (name %in% names(in_python)) in_python[[name]] else name
  do.call("$", list(attr(x, "parent"), name))
}
