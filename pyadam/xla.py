"""Choices about XLA that belong to the whole process."""

from pyadam.engine import is_single_pass, single_pass

__all__ = ["is_single_pass", "single_pass"]
