"""Process-wide XLA settings."""

from pyadam.engine import is_single_pass, single_pass

__all__ = ["is_single_pass", "single_pass"]
