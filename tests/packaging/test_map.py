"""The map in CONTRIBUTING.md lists every module under its folder, and nothing else."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = re.split(r"^\*\*`([^`]+/)`\*\*", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.M)[1:]
MAP = {room: text.partition("\n## ")[0] for room, text in zip(ROOMS[::2], ROOMS[1::2], strict=True)}
SOURCES = {".py", ".R", ".sh"}


def named(room):
    return {name for name in re.findall(r"`([\w.-]+)`", MAP[room]) if Path(name).suffix in SOURCES}


def there(room):
    files = (ROOT / room).iterdir()
    return {
        file.name
        for file in files
        if file.suffix in SOURCES and file.name != "__init__.py" and "\nRULE = " not in file.read_text()
    }


def test_every_package_is_a_room():
    packages = {f"{file.parent.relative_to(ROOT)}/" for file in (ROOT / "pyadam").glob("**/__init__.py")}
    assert packages - set(MAP) == {"pyadam/bench/peers/"}


@pytest.mark.parametrize("room", [room for room in MAP if (ROOT / room).is_dir() and named(room)])
def test_a_room_has_the_modules_that_the_map_names(room):
    scripts = {"fit.R", "run_r.R"}  # run by the module of the same name
    assert there(room) - scripts == named(room)


def test_at_most_nine_modules_lie_flat():
    assert len(list((ROOT / "pyadam").glob("*.py"))) <= 9
