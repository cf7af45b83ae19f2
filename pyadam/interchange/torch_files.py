"""torch's state_dicts: the weights and the optimizer of a file that ``torch.save`` wrote, from and to Keras.

The file holds the state_dicts of the model and of the optimizer, under the names of PyTorch's tutorials.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pyadam.hosts.contract import bare_path
from pyadam.hosts.state import Entry, Label, SavedState
from pyadam.optimizers import SPECS

__all__ = ["with_torch"]

MODEL, OPTIMIZER = ("model_state_dict", "model"), ("optimizer_state_dict", "optimizer")


class Rule(NamedTuple):
    """How an optimizer of torch corresponds to ours.

    Attributes:
        arguments: our name of each of torch's arguments.
        state: the kind of each of its values.
        scaled: the kinds that Keras keeps times the learning rate, and with which sign.
        differs: what it computes otherwise.
    """

    arguments: Mapping[str, str]
    state: Mapping[str, str]
    scaled: Mapping[str, float]
    differs: Sequence[str] = ()


_ADAM = Rule(
    {"lr": "learning_rate", "eps": "epsilon", "amsgrad": "amsgrad"},
    {"exp_avg": "momentum", "exp_avg_sq": "velocity", "max_exp_avg_sq": "velocity_hat"},
    {},
    ["epsilon: torch adds it to the root of the corrected mean of squares, Keras to that of the uncorrected one"],
)
RULES = {
    "Adam": _ADAM,
    "AdamW": _ADAM._replace(arguments={**_ADAM.arguments, "weight_decay": "weight_decay"}),
    "SGD": Rule(
        {"lr": "learning_rate", "momentum": "momentum", "nesterov": "nesterov"},
        {"momentum_buffer": "momentum"},
        {"momentum": -1.0},
        ["momentum, if the learning rate changes: Keras keeps it times the rate of its step, torch without"],
    ),
    "RMSprop": Rule(
        {"lr": "learning_rate", "alpha": "rho", "eps": "epsilon", "momentum": "momentum", "centered": "centered"},
        {"square_avg": "velocity", "momentum_buffer": "momentum", "grad_avg": "average_gradient"},
        {"momentum": 1.0},
        ["epsilon: torch adds it to the root of the mean of squares, Keras to the mean"],
    ),
}


def with_torch(
    source: Path, read_as: Any, write_as: Any, model: Any, optimizer: str, weights: Mapping[str, str] | None
) -> tuple[Any, Callable[[Path], None]]:
    """What there is to carry from or to torch, and the function that writes it."""
    if "tensorflow" in sys.modules and "torch" not in sys.modules:
        raise RuntimeError(
            "convert: torch must be imported before TensorFlow, or its compiler ends the process: import torch first, or use "
            "the command pyadam convert"
        )
    try:
        import torch._dynamo  # noqa: F401  its optimizers load this, which must come before TensorFlow
    except ImportError as error:
        raise ImportError("convert: files of torch need the package torch: pip install torch") from error
    if not weights or read_as.name == write_as.name:
        what = (
            "source and target can't both be files of torch"
            if weights
            else "weights must name the path in Keras of each"
        )
        raise ValueError(f"convert: {what} {'' if weights else 'weight of torch, got ' + repr(weights)}".rstrip())
    names = {str(theirs): str(ours) for theirs, ours in weights.items()}
    return (_to_torch if write_as.name == "torch" else _from_torch)(source, read_as, write_as, model, optimizer, names)


# --- from torch ----------------------------------------------------------------------------------------------------------


def _from_torch(source: Path, read_as: Any, write_as: Any, model: Any, optimizer: str, names: Mapping[str, str]) -> Any:
    import torch

    from pyadam.interchange.convert import Conversion
    from pyadam.interchange.optimizers import Optimizer, made
    from pyadam.interchange.reading import built, compile_arguments
    from pyadam.interchange.writing import compile_like, write

    if model is None:
        raise ValueError(
            f"convert: files of torch hold no model: give model, a function of the module {write_as.host} that returns it"
        )
    try:
        held = torch.load(source, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's own, pickle's and zipfile's
        raise ValueError(f"convert: source {str(source)!r} is damaged, or holds more than tensors: {error}") from error
    theirs = _part(held, MODEL, source)
    live = built(model, write_as.host)
    here = _by_path(live, names)
    missing = sorted(set(names) - set(theirs))
    if missing:
        raise ValueError(
            f"convert: weights must be names of the source's model, got {missing[0]!r}; it has {list(theirs)[:6]}"
        )
    for name, path in names.items():
        here[path].assign(_in_keras(_array(theirs[name]), path, tuple(here[path].shape), name))
    carried = [f"{len(names)} weights"]
    lost = [f"{name}, which weights does not name" for name in theirs if name not in names]
    if optimizer == "none":
        return Conversion(f"{source} (torch)", str(write_as), carried, lost), lambda target: write(
            live, write_as, target
        )
    trained = [name for name in theirs if name in names and _is_trained(here[names[name]], live)]
    state = _part(held, OPTIMIZER, source)
    kind = _kind_of(state["param_groups"][0], type(getattr(live, "optimizer", None)).__name__)
    places = {name: (names[name], here[names[name]]) for name in trained}
    config, entries, more = _optimizer_of(kind, state, places)
    described = Optimizer(kind, config, optimizer != "keras", SavedState(entries))
    now, missing = made(described, write_as.host, described.ours, live.trainable_variables, {})
    lost += more + missing + compile_like(live, now, compile_arguments(live), write_as.host)
    carried.append(f"{described} (torch's {kind})")
    carried.append(f"its state: {', '.join(sorted(SavedState(entries).kinds))}")
    return Conversion(f"{source} (torch)", str(write_as), carried, lost), lambda target: write(live, write_as, target)


def _part(held: Any, names: Sequence[str], source: Path) -> Any:
    found = [held[name] for name in names if isinstance(held, dict) and name in held]
    if not found:
        raise ValueError(f"convert: source {str(source)!r} must hold a state_dict named {names[0]!r} or {names[1]!r}")
    return found[0]


def _by_path(model: Any, names: Mapping[str, str]) -> dict[str, Any]:
    """The weights of a model by their paths, of which the first component, the model's name, may be missing."""
    every = {bare_path(v): v for v in model.weights}
    short = (
        {path.partition("/")[2]: v for path, v in every.items()} if len({p.split("/")[0] for p in every}) == 1 else {}
    )
    found = {path: every.get(path, short.get(path)) for path in names.values()}
    for path, variable in found.items():
        if variable is None:
            raise ValueError(f"convert: weights must name paths of the model, got {path!r}; it has {list(every)[:6]}")
    return found


def _is_trained(variable: Any, model: Any) -> bool:
    return any(variable is each for each in model.trainable_variables)


def _kind_of(group: Mapping[str, Any], compiled: str) -> str:
    """The class that wrote a state: its arguments tell, or else the class that the model is compiled with."""
    if "betas" in group and "decoupled_weight_decay" not in group and group.get("weight_decay"):
        if compiled not in ("Adam", "AdamW"):
            raise ValueError(
                "convert: model must be compiled with Adam or AdamW, because this file of an older torch does not say which of "
                f"them has weight_decay={group['weight_decay']}, got {compiled}"
            )
        return compiled
    if "betas" in group:
        return "AdamW" if group.get("decoupled_weight_decay") else "Adam"
    if "alpha" in group and "centered" in group:
        return "RMSprop"
    if "dampening" in group:
        return "SGD"
    raise ValueError(
        f"convert: torch's optimizer must be one of {', '.join(RULES)}, got one of {', '.join(sorted(group))}"
    )


def _optimizer_of(kind: str, state: Mapping[str, Any], trained: Mapping[str, tuple[str, Any]]) -> Any:
    """Arguments, state and what is lost, of an optimizer's state_dict; its numbers follow the model's order."""
    groups = state["param_groups"]
    group, numbers = groups[0], [number for each in groups for number in each["params"]]
    rule = RULES[kind]
    if len(numbers) != len(trained):
        raise ValueError(
            f"convert: weights must name all that the optimizer of torch trains, {len(numbers)} variables, got {len(trained)}"
        )
    named = [name for each in groups for name in each.get("param_names", ())] or list(trained)
    unknown = [name for name in named if name not in trained]
    if unknown:
        raise ValueError(
            f"convert: weights must name all that the optimizer of torch trains, got nothing for {unknown[0]!r}"
        )
    lost = list(rule.differs) + _without_place(kind, group, groups)
    config = {ours: group[theirs] for theirs, ours in rule.arguments.items() if theirs in group}
    if "betas" in group:
        config |= dict(zip(("beta_1", "beta_2"), group["betas"], strict=True))
    entries, steps = [], 0
    for number, name in zip(numbers, named, strict=True):
        path, variable = trained[name]
        values = state["state"].get(number, {})
        steps = max(steps, int(values.get("step", 0)))
        for theirs, label in rule.state.items():
            if values.get(theirs) is not None:
                value = _in_keras(_array(values[theirs]), path, tuple(variable.shape), name)
                entries.append(_entry(Label(label, bare_path(variable)), value * _factor(rule, label, group["lr"])))
    if kind == "SGD" and entries:
        lost.append("the number of steps, which torch's SGD does not count: it starts at 0")
    return config, [_entry(Label("iteration"), np.int64(steps)), *entries], lost


def _factor(rule: Rule, kind: str, rate: float) -> Any:
    sign = rule.scaled.get(kind)
    return np.float32(1.0 if sign is None else sign * rate)


def _without_place(kind: str, group: Mapping[str, Any], groups: Sequence[Any]) -> list[str]:
    lost = []
    if kind != "AdamW" and group.get("weight_decay"):
        lost.append(
            f"weight_decay={group['weight_decay']}, which torch's {kind} adds to the gradient: use a regularizer"
        )
    if group.get("dampening"):
        lost.append(f"dampening={group['dampening']}, which Keras' SGD does not have")
    if group.get("maximize"):
        raise ValueError("convert: maximize must be False, because Keras' optimizers only minimize, got True")
    if len(groups) > 1:
        lost.append("the arguments of all groups but the first: Keras has one rate for all variables")
    return lost


def _array(tensor: Any) -> Any:
    """A tensor of torch as an array; NumPy has no bfloat16."""
    return (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()


def _entry(label: Label, value: Any) -> Entry:
    value = np.asarray(value)
    return Entry(label, value.shape, str(value.dtype), lambda: value)


def _order(path: str, rank: int) -> tuple[int, ...]:
    """The order of torch's axes in Keras: a kernel has its inputs and outputs last, and torch has them first, reversed."""
    is_kernel = path.rpartition("/")[2] in ("kernel", "pointwise_kernel", "recurrent_kernel")
    return (*range(2, rank), 1, 0) if is_kernel and rank >= 2 else tuple(range(rank))


def _in_keras(value: Any, path: str, shape: tuple[int, ...], name: str) -> Any:
    turned = value.transpose(_order(path, value.ndim)) if value.ndim == len(shape) else value
    if turned.shape != shape:
        raise ValueError(f"convert: {path} must have the shape {shape}, got {turned.shape} from torch's {name}")
    return turned


# --- to torch ------------------------------------------------------------------------------------------------------------


def _to_torch(source: Path, read_as: Any, write_as: Any, model: Any, optimizer: str, names: Mapping[str, str]) -> Any:
    import torch

    from pyadam.interchange.convert import Conversion
    from pyadam.interchange.reading import read

    training = read(source, read_as, model, optimizer != "none")
    here = _by_path(training.model, names)
    tensors = {name: torch.from_numpy(_in_torch(here[path].numpy(), path)) for name, path in names.items()}
    left = [bare_path(v) for v in training.model.weights if not any(v is each for each in here.values())]
    carried, lost = (
        [f"{len(names)} weights"],
        [*training.lost, *(f"{path}, which weights does not name" for path in left)],
    )
    held = {MODEL[0]: tensors}
    if training.optimizer is not None:
        trained = {name: path for name, path in names.items() if _is_trained(here[path], training.model)}
        held[OPTIMIZER[0]], more = _state_dict(training.optimizer, tensors, trained, here)
        lost += more
        carried += [f"{training.optimizer} -> torch's {training.optimizer.name}"]
    return Conversion(f"{source} ({read_as})", "torch", carried, lost), lambda target: _save(torch, held, target)


def _save(torch: Any, held: Any, target: Path) -> None:
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".convert-", delete=False) as file:
        try:
            torch.save(held, file)
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, target)
        except BaseException:
            os.unlink(file.name)
            raise


def _state_dict(saved: Any, tensors: Mapping[str, Any], trained: Mapping[str, str], here: Mapping[str, Any]) -> Any:
    """The state_dict of torch's optimizer, which torch itself makes, and what is lost."""
    import torch

    from pyadam.interchange.optimizers import MARKS

    if saved.name not in RULES:
        raise ValueError(f"convert: torch has {', '.join(RULES)}, got an optimizer {saved.name}")
    rule, config = RULES[saved.name], saved.config
    rate = config["learning_rate"]
    if not isinstance(rate, (int, float)):
        raise ValueError("convert: learning_rate must be a number for torch, got a schedule; set the rate of now first")
    parameters = {name: torch.nn.Parameter(tensors[name].clone()) for name in trained}
    given = {theirs: config[ours] for theirs, ours in rule.arguments.items() if config.get(ours) is not None}
    if "beta_1" in config:
        given["betas"] = (config["beta_1"], config["beta_2"])
    made = getattr(torch.optim, saved.name)(list(parameters.items()), **({"weight_decay": 0.0} | given))
    values = {(e.label.kind, e.label.path): np.asarray(e.read()) for e in saved.state.entries} if saved.state else {}
    lost, known = list(rule.differs), set(rule.state.values())
    for name, parameter in parameters.items():
        path = bare_path(here[trained[name]])
        state = {
            theirs: torch.from_numpy(_in_torch(values[kind, path] / _factor(rule, kind, rate), path))
            for theirs, kind in rule.state.items()
            if (kind, path) in values
        }
        if state and saved.name != "SGD":
            state["step"] = torch.tensor(float(saved.steps // (config.get("gradient_accumulation_steps") or 1)))
        if state:
            made.state[parameter] = state
    lost += sorted({f"{kind}, for which torch has no place" for kind, path in values if path and kind not in known})
    carried = {"beta_1", "beta_2", *rule.arguments.values(), *MARKS}
    lost += [
        f"{name}={value!r}, which torch's {saved.name} does not have"
        for name, value in config.items()
        if name not in carried and value not in (None, False) and value != getattr(SPECS[saved.name], name, None)
    ]
    lost += ["the loss scale, which torch keeps in its GradScaler"] if saved.scale is not None else []
    return made.state_dict(), lost


def _in_torch(value: Any, path: str) -> Any:
    value = np.asarray(value)
    turned = value.transpose(np.argsort(_order(path, value.ndim))) if value.ndim else value
    return np.ascontiguousarray(turned)
