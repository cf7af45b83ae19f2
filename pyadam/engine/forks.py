"""Forked processes: TensorFlow's threads do not exist in them, so that a step would wait for ever."""

import os

__all__ = ["check_not_forked", "note_use"]


class _Process:
    used: int | None = None  # the process that used TensorFlow first; R forks without telling Python


def note_use() -> None:
    """Notes that this process uses TensorFlow."""
    _Process.used = _Process.used or os.getpid()


def check_not_forked(owner: str) -> None:
    """Refuses to continue in a process that was forked from one that used TensorFlow.

    Raises:
        RuntimeError: it was.
    """
    if _Process.used not in (None, os.getpid()):
        raise RuntimeError(
            f"{owner}: this process was forked from one in which an optimizer had been made; TensorFlow's threads do not "
            "exist here, and a step would wait for ever. Start the process with spawn, as "
            'multiprocessing.get_context("spawn") does (in R: callr or a PSOCK cluster), or fork it before'
        )
