"""Hints for argument names from other libraries and older versions.

A hint suggests an argument only if it means the same. Otherwise it says what to use instead, or lists the arguments.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pyadam.optimizers.kinds import plain as plain_number
from pyadam.optimizers.kinds import shown

__all__ = ["hint", "without_effect"]

# other libraries' names for arguments with the same meaning
_SAME: Mapping[str, tuple[str, ...]] = {
    "learning_rate": ("lr", "rate", "step_size", "eta"),
    "beta_1": ("b1", "beta_one"),
    "beta_2": ("b2", "beta_two"),
    "epsilon": ("eps",),
    "weight_decay": ("wd", "weight_decay_rate", "decoupled_weight_decay"),
    "clipvalue": ("clip_value", "clip_by_value"),
    "global_clipnorm": ("global_clip_norm", "clip_global_norm", "clip_by_global_norm", "max_grad_norm", "global_norm"),
    "nesterov": ("use_nesterov",),
    "use_ema": ("ema",),
    "ema_momentum": ("ema_decay", "average_decay"),
    "gradient_accumulation_steps": ("accumulation_steps", "accum_steps", "accumulate_grad_batches"),
    "loss_scale_factor": ("loss_scale",),
    "jit_compile": ("jit",),
    "initial_accumulator_value": ("initial_accumulator",),
    "learning_rate_power": ("lr_power",),
    "l1_regularization_strength": ("l1",),
    "l2_regularization_strength": ("l2",),
    "inner_optimizer": ("optimizer", "inner"),
    "dynamic_growth_steps": ("growth_interval", "growth_steps"),
    "initial_scale": ("init_scale", "initial_loss_scale"),
    # schedules
    "initial_learning_rate": ("learning_rate", "lr", "rate", "initial_lr", "init_lr", "base_lr", "initial_rate"),
    "decay_steps": ("steps", "total_steps"),
    "boundaries": ("steps", "milestones"),
    "values": ("learning_rate", "learning_rates", "lr", "rates"),
}
# names with the same meaning for some optimizers only
_SAME_FOR: Mapping[tuple[str, str], str] = {("RMSprop", "alpha"): "rho"}

_INVERSE_TIME = ("decay", "lr_decay", "learning_rate_decay")

_INSTEAD_FOR: Mapping[tuple[str, str], str] = {
    ("Nadam", name): "it set the momentum schedule, which now follows the paper; leave the argument out"
    for name in ("decay", "schedule_decay", "momentum_decay")
}

_INSTEAD: Mapping[str, str] = {
    **dict.fromkeys(
        _INVERSE_TIME,
        "it decayed the learning rate as learning_rate / (1 + decay * step); "
        "use learning_rate = learning_rate_schedule_inverse_time_decay(learning_rate, 1, decay)",
    ),
    **dict.fromkeys(
        ("schedule", "lr_schedule", "lr_scheduler", "learning_rate_schedule"),
        "pass the schedule as learning_rate",
    ),
    **dict.fromkeys(("betas", "beta"), "the decay rates are beta_1 and beta_2"),
    **dict.fromkeys(
        ("clip_norm", "max_norm", "gradient_clip", "grad_clip", "clip", "global_clipvalue"),
        "clipnorm limits each variable's gradient, global_clipnorm all gradients together, clipvalue each element",
    ),
    "exclude_from_weight_decay": "call exclude_from_weight_decay(var_names = ...) on the optimizer before its first step",
}


def hint(owner: str, name: str, value: Any, known: Sequence[str], owners: Mapping[str, Sequence[str]]) -> str:
    """The text that follows "unknown argument" in an error.

    Args:
        owner: the optimizer or function that lacks the argument.
        name: the argument's name.
        value: its value.
        known: the arguments that exist.
        owners: the optimizers that have each argument not shared by all.
    """
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower())
    for right, others in _SAME.items():
        if right in known and plain in (right, *others):
            return f", did you mean {right}?"
    if (owner, plain) in _SAME_FOR:
        return f", did you mean {_SAME_FOR[owner, plain]}?"
    if (owner, plain) in _INSTEAD_FOR:
        return f": {_INSTEAD_FOR[owner, plain]}"
    if plain in _INSTEAD and all(word in known for word in _arguments_in(_INSTEAD[plain])):
        return f": {_INSTEAD[plain].replace(', decay)', f', {shown(value)})')}"
    if plain in owners:
        return f", which only {_listed(owners[plain])} {'has' if len(owners[plain]) == 1 else 'have'}"
    close = [
        each
        for each in difflib.get_close_matches(plain, known, cutoff=0.8)
        if _digits(each) == _digits(plain) and plain not in _INSTEAD
    ]
    return f", did you mean {close[0]}?" if close else f"; the arguments are {', '.join(known)}"


def without_effect(name: str, value: Any) -> bool:
    """Whether an argument from old calls or configs has a value that turns it off."""
    if name not in _INVERSE_TIME:
        return False
    try:
        value = plain_number(value)
        return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool) and value == 0)
    except Exception:  # of the value's own methods
        return False


def _arguments_in(words: str) -> list[str]:
    return [name for name in ("learning_rate", "beta_1", "beta_2", "clipnorm") if re.search(rf"\b{name}\b", words)]


def _digits(name: str) -> list[str]:
    return re.findall(r"\d", name)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
