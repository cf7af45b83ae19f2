"""The optimizers as functions with R keras 2.11's signatures: ``pyadam.optimizer_adam(...)`` is R's ``optimizer_adam(...)``.

Each function returns the class that fits the Keras in use.
"""
