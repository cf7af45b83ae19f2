"""`pyadam bench` counts bytes correctly, gives every peer the same work, and summarizes timings correctly; no clock needed."""

import dataclasses
import functools
import math
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import pyadam
from pyadam import cli
from pyadam.bench import table
from pyadam.bench.columns import COLUMNS, RATE
from pyadam.bench.fit import NETWORKS, measure_fit
from pyadam.bench.growth import AXES, points
from pyadam.bench.measure import Cell, Plan, Result, batches, measure
from pyadam.bench.models import MODELS, find
from pyadam.bench.peers import FLOOR, PEERS, REFERENCE
from pyadam.bench.process import Worker, python
from pyadam.bench.results import code_of_steps, load, load_facts, save
from pyadam.bench.worker import answers
from pyadam.parity.inputs import Slices

DENSE, ROWS = "3x40+2x700", "300x8@160"
WITH_DECAY = {"adamw", "adamw-clip", "adamw-clip-ema"}
LACKS = {  # columns that a peer lacks, for each kind of gradient
    ("legacy", DENSE): WITH_DECAY | {"lazy"},
    ("legacy", ROWS): WITH_DECAY | {"lazy"},
    ("tf-fused", DENSE): WITH_DECAY | {"lazy"},
    ("tf-fused", ROWS): WITH_DECAY | {"adam", "amsgrad", "lazy"},
    ("torch-sparse", ROWS): WITH_DECAY | {"amsgrad"},
    **{
        (peer, model): {"lazy"}
        for peer in ("keras", "keras-jit", "tf_keras", "torch-fused", "torch-foreach", "optax")
        for model in (DENSE, ROWS)
    },
}


# --- equal work


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A function from peer, model and column to the weights after three steps, or to the reason why there are none."""
    folder = tmp_path_factory.mktemp("bench")
    workers = {}

    def running(commands, environment):
        if not environment:
            return answers(commands)
        if environment not in workers:  # settings that a process reads only once need a process of their own
            workers[environment] = Worker(python("worker"), 1, dict(environment))
        return map(workers[environment].ask, commands)

    @functools.cache
    def weights(peer, model, column):
        if reason := PEERS[peer].missing():
            return reason
        file = folder / f"{peer}-{model}-{column}.npz"
        task = {"peer": peer, "model": model, "column": column}
        said = running([task, "first", 1, str(file)], tuple(PEERS[peer].environment.items()))
        if reason := next(said).get("missing"):
            return reason
        list(said)
        with np.load(file) as arrays:
            return [arrays[name] for name in arrays.files]

    yield weights
    for worker in workers.values():
        worker.__exit__()


@pytest.mark.sample(4)
@pytest.mark.parametrize(
    "column",  # the first two AdamW columns are parts of the third
    [pytest.param(c, marks=[pytest.mark.long] * (c in ("adamw", "adamw-clip"))) for c in COLUMNS],
)
@pytest.mark.parametrize(
    ("peer", "model"),
    [
        (p.name, m)
        for p in PEERS.values()
        for m in (DENSE, ROWS)
        if p.name != REFERENCE and not (p.rows_only and m == DENSE)
    ],
)
def test_peers_compute_the_same(peer, model, column, trained):
    theirs = trained(peer, model, column)
    if isinstance(theirs, str) and (theirs.startswith("not installed") or peer == "single-pass"):
        pytest.skip(theirs)
    rounds = PEERS[peer].options.get("library") == "pyadam"
    lacks = column in LACKS.get((peer, model), ()) or (COLUMNS[column].rounded and not rounds)
    assert isinstance(theirs, str) == lacks
    if isinstance(theirs, str):
        return
    ours = trained(REFERENCE, model, column)
    assert len(theirs) == len(ours)
    start = list(find(model).weights())
    if peer == "tf_keras":  # its averages start from the weights before the first step
        ours = ours[: len(start)]
    for mine, other, before in zip(ours, theirs, start * 2, strict=False):
        change = np.abs(mine - before).max()
        assert change > 0.3 * RATE
        np.testing.assert_allclose(other, mine, rtol=0, atol=1e-3 * change + 2e-7)


@pytest.mark.sample(2)
@pytest.mark.parametrize("peer", [p.name for p in PEERS.values() if not (p.rows_only or p.environment)])
def test_peers_clip_the_same(peer, trained, monkeypatch):
    """Uses momentum, because its steps grow with the gradient; those of AdamW don't."""
    [unclipped, *_] = trained(REFERENCE, DENSE, "momentum")
    monkeypatch.setitem(COLUMNS, "momentum", dataclasses.replace(COLUMNS["momentum"], clip=1.0))
    theirs, ours = (trained.__wrapped__(name, DENSE, "momentum") for name in (peer, REFERENCE))
    if isinstance(theirs, str) and theirs.startswith("not installed"):
        pytest.skip(theirs)
    assert isinstance(theirs, str) == (peer == "tf-fused")
    if isinstance(theirs, str):
        return
    for mine, other, before in zip(ours, theirs, find(DENSE).weights(), strict=True):
        np.testing.assert_allclose(other, mine, rtol=0, atol=1e-3 * np.abs(mine - before).max() + 2e-7)
    assert np.abs(ours[0] - unclipped).max() > 1e-3


def test_the_floor_leaves_subnormal_numbers_alone(trained):
    floor = trained(FLOOR, DENSE, "adam")
    if isinstance(floor, str):
        pytest.skip(floor)
    assert np.float32(1e-40) * np.float32(1.0) != 0


def test_gradients_are_no_constants_of_a_graph():
    import tensorflow as tf

    from pyadam.bench.peers.graph import Gradients

    made = Gradients(find(DENSE).gradients())
    graph = tf.function(lambda: made(), autograph=False).get_concrete_function().graph
    constants = [operation for operation in graph.get_operations() if operation.type == "Const"]
    assert {operation.outputs[0].dtype for operation in constants} <= {tf.int32, tf.int64}
    for here, there in zip(tf.function(made)(), find(DENSE).gradients(), strict=True):
        np.testing.assert_array_equal(here, there)


# --- what is counted


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS)
def test_states_are_those_that_pyadam_keeps(column):
    import tensorflow as tf

    import pyadam

    weight = tf.Variable(tf.ones((4, 5)))
    optimizer = getattr(pyadam, column.keras[0])(RATE, **column.everywhere)
    optimizer.build([weight])
    kept = sum(v.numpy().nbytes for v in optimizer.variables if math.prod(v.shape) == 20) // 20
    assert column.bytes_per_parameter == 4 * (1 + (column.clip is not None) + 2) + 2 * kept


@pytest.mark.parametrize(
    ("name", "count"),
    {"momentum": 20, "adam": 28, "adam-bfloat16": 20, "adamw-clip": 32, "adamw-clip-ema": 40, "amsgrad": 36}.items(),
)
def test_bytes_a_parameter(name, count):
    assert COLUMNS[name].bytes_per_parameter == count


@pytest.mark.parametrize(("column", "rows"), {"adam": 1_000_000, "sgd": 4096, "adagrad": 4096, "lazy": 4096}.items())
def test_bytes_of_rows(column, rows):
    assert MODELS["embedding"].bytes(COLUMNS[column]) == rows * 64 * COLUMNS[column].bytes_per_parameter


@pytest.mark.parametrize(
    ("name", "tensors", "parameters"),
    [
        ("small", 400, 800_000),
        ("mobilenet", 158, 3_504_872),
        ("resnet", 214, 25_583_592),
        ("bert", 199, 109_482_240),
        ("gpt2", 148, 124_439_808),
        ("one", 1, 2**26),
        ("many", 2000, 2000 * 4096),
        ("embedding", 1, 64_000_000),
        ("9x64+2x4096", 11, 9 * 64 + 2 * 4096),
    ],
)
def test_models(name, tensors, parameters):
    assert (len(find(name).shapes), find(name).parameters) == (tensors, parameters)


@pytest.mark.parametrize(("name", "its"), [("mobilenet", "MobileNetV2"), ("resnet", "ResNet50")])
def test_shapes_are_those_of_keras(name, its):
    import keras

    model = getattr(keras.applications, its)(weights=None)
    assert sorted(find(name).shapes) == sorted(tuple(v.shape) for v in model.trainable_variables)


@pytest.mark.parametrize("name", [DENSE, ROWS])
def test_inputs(name):
    model = find(name)
    for weight, gradient, again, shape in zip(
        model.weights(), model.gradients(), model.gradients(), model.shapes, strict=True
    ):
        if isinstance(gradient, Slices):
            assert len(set(gradient.indices.tolist())) == model.rows
            gradient, again = gradient.dense(), again.dense()
        assert weight.shape == gradient.shape == shape
        assert weight.dtype == gradient.dtype == np.float32
        np.testing.assert_array_equal(gradient, again)


# --- turns


def test_measure():
    said = []
    cell = measure(find("2x300"), COLUMNS["adam"], [REFERENCE, "torch-sparse", FLOOR], Plan(1, 2, 0.001), said.append)
    assert not cell.missing
    assert [len(result.turns) for result in cell.results.values()] == [2, 2]
    assert all(result.first > 0 and result.bytes > 0 for result in cell.results.values())
    assert cell.results[REFERENCE].ratios == [1, 1]
    assert [line.split()[0] for line in said] == ["first", "first", "round", "round"]


@pytest.mark.long
@pytest.mark.parametrize("language", ["Python", pytest.param("R", marks=pytest.mark.needs_r)])
def test_fit(language):
    cell = measure_fit(next(iter(NETWORKS)), language, Plan(1, 1, 0.001), lambda label: None)
    assert not cell.missing
    assert {name: len(result.ratios) for name, result in cell.results.items()} == {"pyadam": 1, "keras": 1}


def test_a_peer_that_fails_says_why():
    with (
        Worker(python("worker"), 1) as worker,
        pytest.raises(RuntimeError, match="ended with status 1: KeyError: 'noone'"),
    ):
        worker.ask({"peer": "noone", "model": "1x1", "column": "adam"})


@pytest.mark.parametrize(
    ("peers", "free", "expected"),
    [
        ([REFERENCE, "a", "b", "c"], 9, [[REFERENCE, "a", "b", "c"]]),
        ([REFERENCE, "a", "b", "c"], 3, [[REFERENCE, "a", "b"], [REFERENCE, "c"]]),
        (["a", "b"], 1, [["a"], ["b"]]),
        ([REFERENCE], 0, [[REFERENCE]]),
    ],
)
def test_batches_fit_into_memory(peers, free, expected):
    assert list(batches(peers, 1, free)) == expected


@pytest.mark.parametrize("quick", [False, True])
def test_growth_grows(quick):
    for axis in AXES:
        places = [AXES[axis].place(Cell(model, "adam", threads)) for model, threads in points(axis, 6, quick)]
        assert places == sorted(set(places))
        assert len(places) > 1


# --- results


@pytest.fixture
def cells():
    made = []
    for name in ("small", "resnet"):
        cell = Cell(name, "adam", 2, missing={"optax": "not installed: jax"})
        scale = find(name).bytes(COLUMNS["adam"]) / 40e9
        for peer, factor in {REFERENCE: 2.0, "keras": 5.0, FLOOR: 1.0}.items():
            turns = [scale * factor * noise for noise in (1.0, 1.1, 1.2, 0.9, 1.0)]
            cell.results[peer] = Result(factor, int(1e7 * factor), turns, [factor / 2] * 5)
        made.append(cell)
    return made


def test_lines(cells):
    lines = table.lines(cells[1])
    assert table.heading(cells[1]) == (
        "Adam on ResNet-50: 214 tensors, 25,583,592 parameters; 2 threads; 716.34 MB to move a step"
    )
    assert [len(line) for line in lines[:3]] == [len(table.HEADER)] * 3
    assert " ".join(lines[1].split()) == "Keras 3, default 89.543 89.543-98.497 8.0 20 % 2.50 2.50-2.50 5.00 50"
    assert " ".join(lines[-1].split()) == "optax, jit, donated - not installed: jax"


def test_tables_of_the_documentation(cells):
    cells[0].results.pop("keras")
    assert table.overview(cells, "ratio").splitlines() == [
        "| ratio | 400 small | ResNet-50 |",
        "| --- | --- | --- |",
        "| pyadam | 1.00 | 1.00 |",
        "| Keras 3, default | n/a | 2.50 |",
        "| C, one pass: the floor | 0.50 | 0.50 |",
    ]
    assert table.details(cells, "keras").splitlines()[2:] == [
        "| ResNet-50 | 89.54 | 35.82 | 2.50 | 2.50-2.50 | 5.0 | 2.0 |"
    ]


def test_json_round_trip(cells, tmp_path):
    save(tmp_path / "new" / "a.json", {"bench": cells}, {"cores": "2"})
    assert load(tmp_path / "new" / "a.json") == {"bench": cells}
    assert load_facts(tmp_path / "new" / "a.json") == [{"cores": "2"}]


def test_a_folder_has_a_file_for_each_model(cells, tmp_path):
    save(tmp_path / "new", {"bench": cells}, {"cores": "2"})
    save(tmp_path / "new", {"bench": [c for c in cells if c.model == "small"]}, {"cores": "4"})
    assert {file.name for file in (tmp_path / "new").iterdir()} == {"small.json", "resnet.json"}
    assert load(tmp_path / "new") == {"bench": cells}
    assert load_facts(tmp_path / "new") == [{"cores": "4"}, {"cores": "2"}]


def test_results_are_of_other_code_where_a_statement_of_the_engine_has_changed(monkeypatch, tmp_path):
    package = tmp_path / "pyadam"
    shutil.copytree(Path(pyadam.__file__).parent / "engine", package / "engine")
    monkeypatch.setattr(pyadam, "__file__", str(package / "__init__.py"))
    file = package / "engine" / "step.py"
    before, text = code_of_steps(), file.read_text()
    file.write_text(f"# a comment\n\n{text}")
    assert code_of_steps() == before
    file.write_text(text.replace('"""', '"""In other words: ', 1))
    assert code_of_steps() == before
    file.write_text(f"{text}\nx = 1\n")
    assert code_of_steps() != before


def test_pictures(cells, tmp_path):
    from pyadam.bench.plots import draw_bench, draw_growth

    draw_bench(cells, tmp_path / "bench.svg")
    draw_growth(dict.fromkeys(AXES, cells), tmp_path / "growth.svg")
    for name, labels in (("bench", ["ResNet-50", "Keras 3, default"]), ("growth", [AXES["threads"].label])):
        drawn = (tmp_path / f"{name}.svg").read_text()
        assert [label for label in labels if f">{label}<" not in drawn] == []


# --- the command


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--models", "resnet51"], "--models: no model 'resnet51'; there are small, mobilenet,"),
        (["--models", "0x5"], "--models: no model '0x5'"),
        (["--models", "5x5@6"], "--models: no model '5x5@6'"),
        (["--columns", "adan"], "--columns: no column 'adan'; there are adagrad, adam,"),
        (["--peers", "caffe"], "--peers: no peer 'caffe'; there are floor,"),
        (["--rounds", "0"], "--rounds: 0 is not 1 or more"),
        (["--threads", "100000"], "--threads: 100000 is not between 1 and "),
        (["--r"], "--r needs --fit"),
        (["--fit", "--models", "small"], "--models and --columns can't be combined with --fit or --growth"),
        (["--growth", "--columns", "adam"], "--models and --columns can't be combined with --fit or --growth"),
        (["--fit", "--peers", "keras"], "--peers can't be combined with --fit"),
        (["--fit", "--plot", "a.png"], "--plot can't be combined with --fit"),
    ],
)
def test_bad_input(arguments, said, capsys):
    assert cli.main(["bench", *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"pyadam bench: {said}")


def test_command(capsys, tmp_path):
    file = tmp_path / "out.json"
    options = ["--peers", FLOOR, "--rounds", "1", "--threads", "1", "--quick", "--json", str(file)]
    assert cli.main(["bench", "--models", "2x300", "4x1@2", *options]) == 0
    shown = [line for line in capsys.readouterr().out.splitlines() if line.startswith(PEERS[FLOOR].title)]
    assert [(c.model, c.column) for c in load(file)["bench"]] == [
        ("2x300", "adam"),
        ("4x1@2", "adam"),
        ("4x1@2", "sgd"),
        ("4x1@2", "adagrad"),
        ("4x1@2", "lazy"),
    ]
    assert len(shown) == 5


def test_list(capsys):
    assert cli.main(["bench", "--list"]) == 0
    shown = capsys.readouterr().out
    assert [name for name in [*MODELS, *COLUMNS, *PEERS] if not re.search(rf"^  {name} ", shown, re.M)] == []


def test_documentation_has_the_numbers_of_the_results():
    sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
    import performance

    assert performance.stale() == []
