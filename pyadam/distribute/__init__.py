"""Training on several workers: what Keras 3's ``fit`` needs to run there."""

from pyadam.distribute.workers import on_workers

__all__ = ["on_workers"]
