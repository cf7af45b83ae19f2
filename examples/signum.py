"""A custom optimizer, Signum; signum.R is the same in R.

pyadam parity --own examples/signum.py examples/signum.R    compares them, bit by bit
"""

import tensorflow as tf

import pyadam


def update(w, g, s, h):
    """m <- momentum m + (1 - momentum) g;  w <- w - lr sign(m)."""
    m = h.momentum * s.m + (1 - h.momentum) * g
    return w - h.learning_rate * tf.sign(m), {"m": m}


Signum = pyadam.new_optimizer_class("Signum", update, slots=["m"], momentum={"default": 0.9, "low": 0, "high": 1})
