# A custom optimizer, Signum; signum.py is the same in Python.

library(pyadam)

optimizer_signum <- new_optimizer_class(
  "Signum",
  update = function(w, g, s, h) {
    m <- h$momentum * s$m + (1 - h$momentum) * g
    list(w - h$learning_rate * sign(m), m = m)
  },
  slots = "m",
  momentum = list(default = 0.9, low = 0, high = 1)
)
