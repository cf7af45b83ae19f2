"""Classes have Keras 3's signatures and functions R keras 2.11's, in names, order and defaults."""

import inspect

import keras
import pytest
from family import KERAS_315, theirs
from helpers import run_python
from r_signatures import SIGNATURES

import pyadam
from pyadam import schedules, specs
from pyadam.hosts import factories

COMMON = {
    "clipnorm": None,
    "clipvalue": None,
    "global_clipnorm": None,
    "use_ema": False,
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
}
MOMENTS = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-07}
NEW = {"loss_scale_factor": None, "gradient_accumulation_steps": None}

CLASSES = {
    "Adam": dict(learning_rate=0.001, **MOMENTS, amsgrad=False, weight_decay=None, **COMMON, **NEW, name="adam"),
    "AdamW": dict(learning_rate=0.001, weight_decay=0.004, **MOMENTS, amsgrad=False, **COMMON, **NEW, name="adamw"),
    "Nadam": dict(learning_rate=0.001, **MOMENTS, weight_decay=None, **COMMON, **NEW, name="nadam"),
}


def of_kind(signature, kind):
    return [(p.name, p.default) for p in signature.parameters.values() if p.kind is kind]


@pytest.mark.parametrize("name", CLASSES)
def test_class_signature(name):
    signature = inspect.signature(getattr(pyadam, name))
    assert of_kind(signature, inspect.Parameter.POSITIONAL_OR_KEYWORD) == list(CLASSES[name].items())
    assert of_kind(signature, inspect.Parameter.KEYWORD_ONLY) == [
        ("jit_compile", True),
        ("slot_dtype", None),
        ("shard_state", False),
        ("groups", None),
    ]
    assert [p.name for p in signature.parameters.values() if p.kind is inspect.Parameter.VAR_KEYWORD] == ["kwargs"]


@pytest.mark.parametrize("name", [*factories.FUNCTIONS, *schedules.SCHEDULES])
def test_function_signature(name):
    assert inspect.signature(getattr(pyadam, name)) == SIGNATURES[name]


@pytest.mark.parametrize("spec", specs.SPECS.values(), ids=lambda s: s.__name__)
def test_keras_takes_the_same_arguments_in_the_same_order(spec):
    if KERAS_315:
        assert hasattr(keras.optimizers, spec.__name__) == spec.in_keras
    keras_own = inspect.signature(theirs(keras.optimizers, spec.__name__))
    ours = specs.class_signature(spec)
    assert list(keras_own.parameters) == [name for name in ours.parameters if name not in specs.NEW_TO_KERAS]
    for name, parameter in keras_own.parameters.items():
        if name != "name":
            assert parameter.default == ours.parameters[name].default


@pytest.mark.parametrize("spec", specs.SPECS.values(), ids=lambda s: s.__name__)
def test_class_and_function_make_the_same_optimizer_but_for_the_defaults_of_the_function(spec):
    ours = getattr(pyadam, spec.__name__)().get_config()
    made = getattr(pyadam, spec.r_name)().get_config()
    assert (ours.pop("name"), made.pop("name")) == (spec.__name__.lower(), spec.__name__)
    assert {**ours, **spec.function_defaults} == made


def test_every_public_name_is_documented():
    for name in pyadam.__all__:
        thing = getattr(pyadam, name)
        assert name.startswith("__") or inspect.getdoc(thing), name


def test_what_an_older_keras_has_not_is_not_listed():
    """`from pyadam import *` would ask for all that is."""
    code = """
        import importlib.metadata as metadata
        found = metadata.version
        metadata.version = lambda package: "3.12.4" if package == "keras" else found(package)
        import pyadam
        print("Adam" in dir(pyadam), "LossScaleOptimizer" in dir(pyadam), "MultiOptimizer" in dir(pyadam))
    """
    assert run_python(code).stdout.split() == ["True", "True", "False"]
    assert "MultiOptimizer" in dir(pyadam) or not KERAS_315


@pytest.mark.parametrize("module", ["pyadam", "pyadam.specs", "pyadam.optimizers.kinds"])
def test_specs_import_without_tensorflow(module):
    done = run_python(f"import sys, {module}; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)")
    assert done.returncode == 0, done.stderr
