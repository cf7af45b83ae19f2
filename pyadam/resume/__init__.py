"""Training that continues where it was interrupted: the callback `Resume`, for ``fit`` of Keras 3 and of tf_keras."""

from pyadam.resume.callback import Resume

__all__ = ["Resume"]
