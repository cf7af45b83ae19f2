"""Snapshots in a folder: each is there as a whole or not at all, whenever the process ends.

A snapshot is a folder of its own. It is written under another name, flushed to the disk, and then renamed.
"""

import functools
import json
import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Damaged", "Snapshot", "Snapshots"]

_FACTS = "state.json"
_NAME = re.compile(r"epoch-(\d{6})-batch-(\d{9})")
_UNFINISHED = "unfinished-"


class Damaged(ValueError):
    """A snapshot that can't be read."""


class Snapshot(NamedTuple):
    """A snapshot that was read.

    Attributes:
        folder: where it is.
        facts: what JSON can hold of it.
    """

    folder: Path
    facts: dict[str, Any]

    def file(self, name: str) -> str:
        """The prefix of a TensorFlow checkpoint in it."""
        return str(self.folder / name)


class Snapshots:
    """The snapshots of one training.

    Args:
        folder: where they are; it is made if it does not exist.
        keep: how many of them stay.
    """

    def __init__(self, folder: str | os.PathLike[str], keep: int) -> None:
        self.folder, self.keep = Path(folder), keep

    def names(self) -> list[str]:
        """Their names, the earliest position first."""
        found = self.folder.iterdir() if self.folder.is_dir() else ()
        return sorted(each.name for each in found if _NAME.fullmatch(each.name))

    def write(
        self, epoch: int, batch: int, fill: Callable[[Path], dict[str, Any]], stays: bool = True
    ) -> Callable[[], None]:
        """Writes a snapshot under another name.

        Args:
            epoch: how many epochs have ended.
            batch: how many batches of the next one.
            fill: writes files into a folder, and returns what JSON can hold.
            stays: whether the snapshot is to stay. Some workers only take part in the writing.

        Returns:
            A function that gives it its own name, and removes the oldest ones; without this call it never existed.

        Raises:
            OSError: it could not be written, for example because the disk is full; the earlier ones are as they were.
        """
        if stays:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.remove_unfinished()  # of a process that ended while it wrote
        made = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self.folder if stays else None))
        try:
            facts = json.dumps(fill(made))
            files = {each.name: _checksum(each) for each in made.iterdir()}
            text = json.dumps({"checksum": zlib.crc32(facts.encode()), "facts": facts, "files": files})
            (made / _FACTS).write_text(text, encoding="utf-8")
            for each in (*made.iterdir(), made) if stays else ():
                _flush(each)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
        if not stays:
            shutil.rmtree(made)
        return functools.partial(self._commit, made, f"epoch-{epoch:06d}-batch-{batch:09d}") if stays else lambda: None

    def _commit(self, made: Path, name: str) -> None:
        target = self.folder / name
        shutil.rmtree(target, ignore_errors=True)
        made.rename(target)
        _flush(self.folder)
        self._remove_all_but(name)

    def remove_unfinished(self) -> None:
        """Removes what was written and never got its name."""
        for left in self.folder.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(left, ignore_errors=True)

    def _remove_all_but(self, last: str) -> None:
        """Removes all but the last ones, and those of later positions, which belong to a training that was given up."""
        names = self.names()
        kept = names[: names.index(last) + 1][-self.keep :]
        for name in set(names) - set(kept):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def last(self, say: Callable[[str], None]) -> Snapshot | None:
        """The last snapshot that can be read, or None if there is none.

        Args:
            say: is told of each one that can't.

        Raises:
            ValueError: there are some, and none of them can be read.
        """
        damaged = []
        for name in reversed(self.names()):
            try:
                return self._read(self.folder / name)
            except Damaged as error:
                damaged.append(f"{name} is damaged ({error})")
                say(f"{damaged[-1]}; the snapshot before it is tried")
        if damaged:
            raise ValueError(
                f"Resume: no snapshot in {self.folder} can be read: {', '.join(damaged)}; remove the folder to begin from the "
                "start"
            )
        return None

    @staticmethod
    def _read(folder: Path) -> Snapshot:
        try:
            held = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
            facts = held["facts"]
            if zlib.crc32(facts.encode()) != held["checksum"]:
                raise Damaged(f"the checksum of {_FACTS} is another")
            for name, checksum in held["files"].items():
                if _checksum(folder / name) != checksum:
                    raise Damaged(f"the checksum of {name} is another")
            return Snapshot(folder, json.loads(facts))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Damaged(" ".join(str(error).split())[:200]) from error


def _checksum(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            checksum = zlib.crc32(block, checksum)
    return checksum


def _flush(path: Path) -> None:
    """Makes the disk hold a file, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
