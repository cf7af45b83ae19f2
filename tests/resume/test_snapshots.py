"""Snapshots of `Resume`: whole or not there, the last good one stays, damage is found; its arguments."""

import resource
import signal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import pyadam
from pyadam.resume.snapshots import Snapshots
from pyadam.resume.values import Unsaveable, from_json, to_json


def filled(content):
    def fill(folder):
        (folder / "weights").write_bytes(content)
        return {"content": content.decode()}

    return fill


@pytest.fixture
def snapshots(tmp_path):
    written = Snapshots(tmp_path / "run", keep=2)
    for batch in range(1, 4):
        written.write(0, batch, filled(b"batch %d" % batch))()
    return written


def content(snapshots, said=None):
    return snapshots.last([].append if said is None else said.append).facts["content"]


def test_the_last_ones_stay(snapshots):
    assert snapshots.names() == ["epoch-000000-batch-000000002", "epoch-000000-batch-000000003"]
    assert content(snapshots) == "batch 3"


def test_there_is_none_in_a_new_folder(tmp_path):
    assert Snapshots(tmp_path / "nothing", keep=1).last(print) is None


def test_one_that_could_not_be_written_leaves_the_others_alone(snapshots):
    def fail(folder):
        (folder / "weights").write_bytes(b"half")
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        snapshots.write(0, 4, fail)
    assert content(snapshots) == "batch 3"
    assert [each.name for each in snapshots.folder.iterdir() if each.name.startswith("unfinished")] == []


def test_a_disk_that_is_full_leaves_the_others_alone(snapshots):
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError):  # noqa: PT011
            snapshots.write(0, 4, filled(b"x" * 5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert content(snapshots) == "batch 3"


def test_what_a_killed_process_left_is_removed(snapshots):
    (snapshots.folder / "unfinished-x").mkdir()
    snapshots.write(1, 0, filled(b"later"))()
    assert not (snapshots.folder / "unfinished-x").exists()


def test_one_that_was_not_committed_does_not_exist(snapshots):
    commit = snapshots.write(0, 4, filled(b"batch 4"))
    assert content(snapshots) == "batch 3"
    commit()
    assert content(snapshots) == "batch 4"


def test_a_training_from_an_earlier_position_replaces_the_later_ones(snapshots):
    snapshots.write(0, 1, filled(b"anew"))()
    assert content(snapshots) == "anew"


def emptied(data):
    return b""


def shortened(data):
    return data[: len(data) // 2]


def with_another_bit(data):
    place = len(data) // 2
    return data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :]


@pytest.mark.parametrize("damage", [emptied, shortened, with_another_bit])
@pytest.mark.parametrize("name", ["weights", "state.json"])
def test_of_damaged_ones_the_one_before_is_taken(snapshots, name, damage):
    last, before = (snapshots.folder / each / name for each in reversed(snapshots.names()))
    last.write_bytes(damage(last.read_bytes()))
    said = []
    assert content(snapshots, said) == "batch 2"
    assert said[0].startswith("epoch-000000-batch-000000003 is damaged (")
    before.unlink()
    with pytest.raises(
        ValueError, match=r"Resume: no snapshot in .* can be read: .*; remove the folder to begin from the"
    ):
        content(snapshots)


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "run").write_text("a file")
    with pytest.raises(OSError, match="File exists"):
        Snapshots(tmp_path / "run", keep=1).write(0, 1, filled(b"x"))


SIMPLE = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
VALUES = st.recursive(
    SIMPLE | arrays.arrays(arrays.scalar_dtypes(), arrays.array_shapes(max_side=3)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=8,
)


@given(VALUES)
def test_values_come_back_from_json(value):
    def shown(each):
        if isinstance(each, np.ndarray | np.generic):
            return type(each).__name__, each.dtype, each.shape, each.tobytes()
        if isinstance(each, list | tuple):
            return type(each), [shown(item) for item in each]
        return [(k, shown(v)) for k, v in each.items()] if isinstance(each, dict) else (type(each), repr(each))

    assert shown(from_json(to_json(value))) == shown(value)


@pytest.mark.parametrize("value", [object(), {1.5: 0}, [lambda: 0], np.array([None])])
def test_other_values_are_refused(value):
    with pytest.raises(Unsaveable):
        to_json(value)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"folder": 3}, TypeError, "Resume: folder must be the path of a folder, got 3"),
        ({"folder": ""}, ValueError, "Resume: folder must be the path of a folder, got '' (str)"),
        ({"every": 0}, ValueError, 'Resume: every must be "epoch" or a whole number >= 1, got 0'),
        ({"every": "batch"}, ValueError, "Resume: every must be \"epoch\" or a whole number >= 1, got 'batch' (str)"),
        ({"every": True}, TypeError, 'Resume: every must be "epoch" or a whole number >= 1, got True'),
        ({"keep": 0}, ValueError, "Resume: keep must be a whole number >= 1, got 0"),
        ({"keep": None}, TypeError, "Resume: keep must be a whole number >= 1, got None"),
    ],
)
def test_arguments(arguments, error, words):
    with pytest.raises(error) as raised:
        pyadam.Resume(**{"folder": "run", **arguments})
    assert str(raised.value) == words
