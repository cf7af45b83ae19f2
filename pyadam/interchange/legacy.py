"""The legacy optimizers of Keras 2, ``tf.keras.optimizers.legacy``: which of them compute what today's classes compute."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pyadam.hosts.contract import bare_path
from pyadam.hosts.state import Entry, Label

__all__ = ["SLOTS", "is_legacy", "refusal", "state_of_legacy"]

# the kind of state that each slot is, where the formulas are the same
SLOTS = {
    "SGD": {"momentum": "momentum"},
    "Adam": {"m": "momentum", "v": "velocity", "vhat": "velocity_hat"},
    "Adamax": {"m": "momentum", "v": "norm"},
    "Adadelta": {"accum_grad": "accumulated_grad", "accum_var": "accumulated_delta_var"},
    "Ftrl": {"accumulator": "accumulator", "linear": "linear"},
    "RMSprop": {"rms": "velocity", "momentum": "momentum", "mg": "average_gradient"},
}
_OTHER = {
    "Adagrad": "it adds epsilon to the root of the sum, where today's adds it to the sum",
    "RMSprop": "without momentum it adds epsilon to the root of the mean, where today's adds it to the mean",
    "Nadam": "it has another schedule of momentum",
}


def is_legacy(optimizer: Any) -> bool:
    """Whether an optimizer is a legacy one."""
    return ".legacy." in type(optimizer).__module__ or ".optimizer_v2" in type(optimizer).__module__


def refusal(name: str, why: str = "") -> ValueError:
    """The error for a legacy optimizer whose state means nothing to today's class."""
    why = why or _OTHER.get(name, "there is no such class today")
    return ValueError(
        f"convert: the state of the legacy {name} can't carry over to today's {name}: {why}; optimizer='none' carries the "
        "weights"
    )


def state_of_legacy(optimizer: Any, variables: Sequence[Any]) -> tuple[dict[str, Any], list[Entry]]:
    """Arguments and state of a live legacy optimizer, for today's class.

    Raises:
        ValueError: today's class computes something else.
    """
    name = type(optimizer).__name__
    config = optimizer.get_config()
    if name not in SLOTS or (name == "RMSprop" and not config["momentum"]):
        raise refusal(name)
    if config.pop("decay", 0.0):
        raise refusal(name, "decay is set; use learning_rate_schedule_inverse_time_decay() in a new optimizer")
    entries = [_entry(Label("iteration"), optimizer.iterations.numpy())]
    for variable in variables:
        for slot, kind in SLOTS[name].items():
            if slot in optimizer.get_slot_names():
                entries.append(_entry(Label(kind, bare_path(variable)), optimizer.get_slot(variable, slot).numpy()))
    return config, entries


def _entry(label: Label, value: Any) -> Entry:
    value = np.asarray(value)
    return Entry(label, value.shape, str(value.dtype), lambda: value)
