"""What must hold of an HDF5 file before its values are believed: it is no trap, and nothing in it has changed."""

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

__all__ = ["array", "check", "check_heaps", "checksum", "damaged", "dtype_of"]

_OPAQUE = np.dtype("V2")  # what Keras makes of bfloat16 in an ``.h5`` file
_CHUNK = 1 << 24
_SMALL, _COMPRESSED = 1 << 20, 1100  # no filter of HDF5 makes data smaller than that
_ERRORS = (KeyError, OSError, RuntimeError, TypeError, AttributeError, IndexError, OverflowError, UnicodeDecodeError)


@contextmanager
def damaged(owner: str, way_out: str) -> Iterator[None]:
    """Names what h5py and others say of a file that they can't read.

    Args:
        owner: the optimizer's class.
        way_out: what the user can do.

    Raises:
        ValueError: in place of any of their errors.
    """
    try:
        yield
    except _ERRORS as error:
        raise ValueError(f"{owner}: the file is damaged: {' '.join(str(error).split())[:200]}{way_out}") from error


def check(dataset: Any) -> None:
    """Checks a dataset before memory is taken for it.

    Raises:
        OSError: its values are in another file, or far more than the file holds.
    """
    stored = dataset.id.get_storage_size()
    if dataset.external or dataset.is_virtual:
        raise OSError(f"the values of {dataset.name} are in another file")
    if dataset.nbytes > max(_SMALL, _COMPRESSED * stored):
        raise OSError(f"{dataset.name} claims {dataset.nbytes} bytes and has {stored}")


def array(dataset: Any) -> Any:
    """The values of a dataset that `check` passes."""
    check(dataset)
    value = np.array(dataset)
    return value.view(tf.bfloat16.as_numpy_dtype) if value.dtype == _OPAQUE else value


def dtype_of(dataset: Any) -> str:
    """The name of the dtype of a dataset's values."""
    return "bfloat16" if dataset.dtype == _OPAQUE else str(dataset.dtype)


def checksum(value: Any) -> int:
    """A CRC-32 of the bytes of an array."""
    return zlib.crc32(np.ascontiguousarray(value).reshape(-1).view(np.uint8))


def check_heaps(file: Any) -> None:
    """Checks the heaps that hold the strings of a file: HDF5 reads one for ever if its sizes are zero.

    Args:
        file: an open HDF5 file; what is within a ``.keras`` archive has a checksum already.

    Raises:
        OSError: a heap is damaged.
    """
    if not os.path.isfile(file.filename):
        return
    with open(file.filename, "rb") as raw:
        start = 0
        while chunk := raw.read(_CHUNK):
            at = chunk.find(b"GCOL\1\0\0\0")
            while at >= 0:
                if (start + at) % 8 == 0:
                    _check_heap(raw, start + at)
                    raw.seek(start + len(chunk))
                at = chunk.find(b"GCOL\1\0\0\0", at + 1)
            start += len(chunk)


def _check_heap(raw: Any, at: int) -> None:
    """A heap is a header of 16 bytes and objects, each with a number, its size, and its bytes, in multiples of 8."""
    raw.seek(at + 8)
    size = int.from_bytes(raw.read(8), "little")
    heap = raw.read(min(size, _CHUNK) - 16) if size > 16 else b""
    place = 0
    while place + 16 <= len(heap):
        number = int.from_bytes(heap[place : place + 2], "little")
        length = int.from_bytes(heap[place + 8 : place + 16], "little")
        if number == 0 and length == 0:
            raise OSError(f"the heap at byte {at} has an object without a size")
        place += length if number == 0 else 16 + (length + 7) // 8 * 8
