"""The single pass gives the same bits in fewer loops, and asking for it too late is an error."""

import json
import signal

import pytest
import tensorflow as tf
from helpers import run_python

from pyadam import specs
from pyadam.optimizers import RULES

pytestmark = pytest.mark.skipif(
    tuple(map(int, tf.__version__.split(".")[:2])) < (2, 21), reason="XLA has no such option before TensorFlow 2.21"
)

ARGUMENTS = [
    {},
    {"weight_decay": 0.1, "global_clipnorm": 1.0, "use_ema": True, "ema_overwrite_frequency": 3},
    {"clipnorm": 0.5, "gradient_accumulation_steps": 2, "loss_scale_factor": 8.0},
]
OWN = {
    "Adam": {"amsgrad": True},
    "SGD": {"momentum": 0.9, "nesterov": True},
    "RMSprop": {"momentum": 0.9, "centered": True},
}
CASES = [
    (spec.__name__, {**given, **own})
    for spec, rule in RULES.items()
    if rule.elementwise and rule.single_pass
    for given in ARGUMENTS
    for own in ({}, OWN.get(spec.__name__))
    if own is not None
]
ROUNDED = {"slot_dtype": "bfloat16"}
CASES += [("Adam", ROUNDED), ("SGD", {"momentum": 0.9, **ROUNDED})]
PLAIN = CASES.index(("Adam", {}))
SHAPES = [(100, 100), (100, 100), (8000,), (3, 4), (5,), (200, 50)]  # the last has a sparse gradient
LANES = {"100,100": 2, "8000": 1, "17": 1, "200,50": 1}

STEPS = """
import collections, hashlib, json, re
import keras, numpy as np, tensorflow as tf, pyadam
for name, arguments in CASES:
    rng = np.random.default_rng(0)
    def draw(shape):
        return np.asarray(rng.standard_normal(shape, "float32"))
    def slices():
        sparse = tf.IndexedSlices(draw((20, 50)), rng.integers(200, size=20), tf.constant([200, 50]))
        return tf.convert_to_tensor(sparse) if name == "LazyAdam" else sparse
    vs = [keras.Variable(draw(shape)) for shape in SHAPES]
    optimizer = getattr(pyadam, name)(0.01, **arguments)
    for _ in range(6):
        optimizer.apply([*(tf.constant(draw(v.shape)) for v in vs[:-1]), slices()], vs)
    bits = hashlib.md5(b"".join(v.numpy().tobytes() for v in vs + optimizer.variables)).hexdigest()
    hlo = optimizer._engine.programs[0].hlo()
    loops = re.findall(r"fusion[.0-9]* = .*\\[(100,100|8000|17|200,50)\\].* fusion\\(", hlo[hlo.index("ENTRY"):])
    print(json.dumps([bits, collections.Counter(loops)]))
"""
TOO_LATE = """
import tensorflow as tf
tf.function(lambda x: x + 1, jit_compile=True)(tf.constant(1.0))
import pyadam.xla
pyadam.xla.single_pass()
"""


@pytest.fixture(scope="module")
def outcomes(request):
    """Bits and loop counts of every case tested in this run, with separate loops and with one."""
    parameters = [getattr(item, "callspec", None) for item in request.session.items if item.path == request.path]
    asked = sorted({each.params["case"] for each in parameters if each and "case" in each.params})
    steps = f"CASES, SHAPES = {[CASES[case] for case in asked]!r}, {SHAPES!r}\n{STEPS}"
    runs = [run_python(steps), run_python("import pyadam.xla; pyadam.xla.single_pass()\n" + steps)]
    for done in runs:
        assert done.returncode == 0, done.stderr
    return [dict(zip(asked, map(json.loads, done.stdout.splitlines()), strict=True)) for done in runs]


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(i, id=f"{name}-{arguments}", marks=[] if i == PLAIN else pytest.mark.long)
        for i, (name, arguments) in enumerate(CASES)
    ],
)
def test_the_same_bits_in_one_loop_a_lane(outcomes, case):
    """The lanes: three large variables, the two small ones in an arena, and the table, unless its other rows stay as they are.

    Left to itself XLA joins the loops of the two that are alike. That is slower, as caches can't hold so many places at once.
    Clipping each one splits their gradient; the outputs of an XLA loop have one dtype; and some cases are more than XLA
    fits into one loop, on some processors or on all.
    """
    (plain, _), (single, loops) = (outcome[case] for outcome in outcomes)
    assert plain == single
    name, given = CASES[case]
    much = name == "Adan" or (
        "use_ema" in given and (name in ("AdaBelief", "Nadam", "RAdam", "ScheduleFreeAdamW") or "centered" in given)
    )
    least, most = (2, 2) if "slot_dtype" in given else (1, 3) if much else (1, 1)
    for shape, lanes in LANES.items():
        lanes -= shape == "200,50" and (name, given) in (("SGD", {}), ("Adagrad", {}))
        split = shape == "17" and "clipnorm" in given
        assert lanes * least <= loops.get(shape, 0) - split <= lanes * most, shape


@pytest.mark.parametrize("case", [PLAIN], ids=["Adam"])
def test_without_it_plain_adam_has_a_loop_for_each_state(outcomes, case):
    assert sum(outcomes[0][case][1].values()) == 15


@pytest.mark.long
@pytest.mark.parametrize("case", [CASES.index(("Adam", ROUNDED))], ids=["Adam"])
def test_rounded_slots_are_one_loop_and_the_weight_another(outcomes, case):
    """XLA only joins loops with values of one dtype, and the weight is float32."""
    assert [sum(outcome[case][1].values()) for outcome in outcomes] == [15, 10]


def test_asking_too_late_is_an_error_that_explains():
    done = run_python(TOO_LATE)
    assert done.returncode != 0
    assert "before any step" in done.stderr.splitlines()[-1]
    assert "PYADAM_SINGLE_PASS=1" in done.stderr.splitlines()[-1]


@pytest.mark.long
@pytest.mark.parametrize("given", [None, "--xla_cpu_enable_fast_min_max=false"])
def test_asking_too_late_leaves_the_options_of_xla_alone(given):
    ask = TOO_LATE.splitlines()
    code = "\n".join([*ask[:-1], "try:", f"    {ask[-1]}", "except RuntimeError:", "    import os"])
    code += "\n    print(os.environ.get('XLA_FLAGS'), pyadam.xla.is_single_pass())"
    environment = {} if given is None else {"XLA_FLAGS": given}
    assert run_python(code, **environment).stdout.split() == [str(given), "False"]


@pytest.mark.long
def test_the_environment_asks_as_well():
    compiled = "import tensorflow as tf; tf.function(lambda x: x + 1, jit_compile=True)(1.0)"
    done = run_python(f"import pyadam; {compiled}; print(pyadam.xla.is_single_pass())", PYADAM_SINGLE_PASS="1")
    assert done.stdout.strip() == "True", done.stderr


@pytest.mark.long
def test_it_is_off_unless_asked_for():
    code = "import os, pyadam.xla; pyadam.xla.is_single_pass(); print(pyadam.xla.is_single_pass(), os.environ.get('XLA_FLAGS'))"
    assert run_python(code, PYADAM_SINGLE_PASS="0").stdout.split() == ["False", "None"]


@pytest.mark.long
def test_other_options_of_the_user_are_kept():
    code = "import os, pyadam.xla; pyadam.xla.single_pass(); print(os.environ['XLA_FLAGS'])"
    given = "--xla_cpu_enable_fast_min_max=false --xla_backend_extra_options=xla_cpu_flatten_after_fusion"
    assert run_python(code, XLA_FLAGS=given).stdout.strip() == f"{given},xla_cpu_use_multi_output_fusion"


# --- beside programs that are not pyadam's ---------------------------------------------------------------------------------

TWO_TABLES = """
import tensorflow as tf
tables = [tf.Variable(tf.zeros([5000, 2])) for _ in range(2)]
@tf.function(jit_compile=True)
def step(rows, values):
    for table in tables:
        table.scatter_add(tf.IndexedSlices(values, rows))
step(tf.constant([1, 2, 3]), tf.ones([3, 2]))
print("compiled")
"""
COMPILED_STEP = """
import hashlib
import numpy as np, tensorflow as tf, pyadam
for name in ("SGD", "Adagrad"):
    table, optimizer = tf.Variable(tf.zeros([5000, 2])), getattr(pyadam, name)(0.1)
    optimizer.build([table])
    @tf.function(jit_compile=True)
    def step(rows, values):
        optimizer.apply([tf.IndexedSlices(values, rows, tf.constant([5000, 2]))], [table])
    step(tf.constant([1, 2, 3, 2]), tf.constant(np.random.default_rng(0).standard_normal((4, 2)), tf.float32))
    print(hashlib.md5(b"".join(v.numpy().tobytes() for v in (table, *optimizer.variables))).hexdigest())
"""


@pytest.mark.long
def test_xla_ends_the_process_over_two_scatters_of_the_same_rows():
    """If it no longer does, sparse gradients of a compiled step need not be made dense under the option."""
    assert run_python(TWO_TABLES).stdout.strip() == "compiled"
    done = run_python("import pyadam.xla; pyadam.xla.single_pass()\n" + TWO_TABLES)
    assert done.returncode == -signal.SIGABRT
    assert "scatter" in done.stderr


@pytest.mark.long
def test_sparse_gradients_in_a_train_step_that_is_compiled_as_a_whole():
    plain, single = (run_python(ask + COMPILED_STEP) for ask in ("", "import pyadam.xla; pyadam.xla.single_pass()\n"))
    assert plain.returncode == single.returncode == 0, single.stderr
    assert plain.stdout == single.stdout
    lazy = COMPILED_STEP.replace('("SGD", "Adagrad")', '("LazyAdam",)')
    assert run_python(lazy).returncode == 0
    refused = run_python("import pyadam.xla; pyadam.xla.single_pass()\n" + lazy)
    assert (
        "a train step that is compiled as a whole where XLA makes a single pass; set jit_compile=False"
        in refused.stderr
    )


def test_all_can_but_those_that_see_variables_as_a_whole_and_ftrl():
    assert set(specs.SPECS) - {name for name, _ in CASES} == {"Adafactor", "Ftrl", "Lamb", "Muon", "Prodigy"}
