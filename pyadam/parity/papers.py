"""The optimizers' mathematics again, in float64 NumPy, from the papers alone: no code is shared with pyadam or Keras.

Each function takes the hyperparameters ``h``, the number of the update ``t`` (from 1), the learning rate, one weight, its
gradient and its state ``s``, which it updates; it returns the new weight. ``h["shared"]`` is the state that all weights share.

- Adadelta: Zeiler (2012), algorithm 1
- AdaBelief: Zhuang et al. (2020), algorithm 2
- Adafactor: Shazeer and Stern (2018), algorithms 4 and 5
- Adagrad: Duchi, Hazan and Singer (2011), with a diagonal matrix
- Adam: Kingma and Ba (2014), algorithm 1 in the form of section 2's last paragraph (epsilon hat)
- Adan: Xie et al. (2022), algorithm 1, whose decay rates are one minus these, with bias corrections
- AMSGrad: Reddi et al. (2018), algorithm 2, whose v is not bias-corrected before the maximum
- AdamW: Loshchilov and Hutter (2019), algorithm 2
- Adamax: Kingma and Ba (2014), algorithm 2
- Ftrl: McMahan et al. (2013), algorithm 1, for any power of the sum
- Lamb: You et al. (2019), algorithm 2
- LazyAdam: Adam, in the rows that a sparse gradient contains; TensorFlow Addons' class of that name
- Lion: Chen et al. (2023), algorithm 2
- Muon: Jordan et al. (2024); Liu et al. (2025), equation 4
- Nadam: Dozat (2016), algorithm 2, with momentum u_t = beta_1 (1 - 0.5 * 0.96^t)
- Prodigy: Mishchenko and Defazio (2023), algorithm 4, without the factors 1 - beta_3 of r and s
- RAdam: Liu et al. (2019), algorithm 2
- RMSprop: Tieleman and Hinton (2012); Graves (2013), equations 38 to 45
- SGD: Sutskever et al. (2013), equations 1 to 4
- ScheduleFreeAdamW: Defazio et al. (2024), algorithm 1; x follows from y and z
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

__all__ = ["PAPERS", "Paper", "State", "start"]

Array = np.ndarray
Hyper = Mapping[str, Any]
State = dict[str, Array]


def adam(h: Hyper, t: int, lr: float, w: Array, g: Array, s: State) -> Array:
    b1, b2 = h["beta_1"], h["beta_2"]
    s["m"] = b1 * s["m"] + (1 - b1) * g
    s["v"] = b2 * s["v"] + (1 - b2) * g**2
    second = s["v"]
    if h.get("amsgrad"):
        second = s["v_hat"] = np.maximum(s["v_hat"], s["v"])
    alpha = lr * np.sqrt(1 - b2**t) / (1 - b1**t)
    return w - alpha * s["m"] / (np.sqrt(second) + h["epsilon"])


def nadam_momentum(h: Hyper, t: int) -> float:
    momentum: float = h["beta_1"] * (1 - 0.5 * 0.96**t)
    return momentum


def nadam_product(h: Hyper, t: int, shared: dict[str, float]) -> None:
    """The product of the momenta so far, including this one."""
    shared["u_product"] *= nadam_momentum(h, t)


def nadam(h: Hyper, t: int, lr: float, w: Array, g: Array, s: State) -> Array:
    b1, b2, product = h["beta_1"], h["beta_2"], h["shared"]["u_product"]
    now, following = nadam_momentum(h, t), nadam_momentum(h, t + 1)
    s["m"] = b1 * s["m"] + (1 - b1) * g
    s["v"] = b2 * s["v"] + (1 - b2) * g**2
    look_ahead = following * s["m"] / (1 - product * following) + (1 - now) * g / (1 - product)
    return w - lr * look_ahead / (np.sqrt(s["v"] / (1 - b2**t)) + h["epsilon"])


def adamax(h: Hyper, t: int, lr: float, w: Array, g: Array, s: State) -> Array:
    s["m"] = h["beta_1"] * s["m"] + (1 - h["beta_1"]) * g
    s["u"] = np.maximum(h["beta_2"] * s["u"], np.abs(g))
    return w - lr / (1 - h["beta_1"] ** t) * s["m"] / (s["u"] + h["epsilon"])


def lamb(h: Hyper, t: int, lr: float, w: Array, g: Array, s: State) -> Array:
    b1, b2 = h["beta_1"], h["beta_2"]
    s["m"] = b1 * s["m"] + (1 - b1) * g
    s["v"] = b2 * s["v"] + (1 - b2) * g**2
    r = s["m"] / (1 - b1**t) / (np.sqrt(s["v"] / (1 - b2**t)) + h["epsilon"])
    lengths = np.sqrt(np.sum(w**2)), np.sqrt(np.sum(r**2))
    return w - lr * (lengths[0] / lengths[1] if min(lengths) > 0 else 1.0) * r


def sgd(h: Hyper, t: int, lr: float, w: Array, g: Array, s: State) -> Array:
    if h["momentum"] == 0:
        return w - lr * g
    s["m"] = h["momentum"] * s["m"] - lr * g
    return w + (h["momentum"] * s["m"] - lr * g if h["nesterov"] else s["m"])


def lion(h: Hyper, t: int, lr: float, w: Array, g: Array, s: State) -> Array:
    direction = np.sign(h["beta_1"] * s["m"] + (1 - h["beta_1"]) * g)
    s["m"] = h["beta_2"] * s["m"] + (1 - h["beta_2"]) * g
    return w - lr * direction


def adagrad(h: Hyper, t: int, lr: float, w: Array, g: Array, s: State) -> Array:
    s["a"] = s["a"] + g**2
    return w - lr * g / np.sqrt(s["a"] + h["epsilon"])


def adadelta(h: Hyper, t: int, lr: float, w: Array, g: Array, s: State) -> Array:
    s["g2"] = h["rho"] * s["g2"] + (1 - h["rho"]) * g**2
    step = np.sqrt(s["d2"] + h["epsilon"]) / np.sqrt(s["g2"] + h["epsilon"]) * g
    s["d2"] = h["rho"] * s["d2"] + (1 - h["rho"]) * step**2
    return w - lr * step


def rmsprop(h: Hyper, t: int, lr: float, w: Array, g: Array, s: State) -> Array:
    s["v"] = h["rho"] * s["v"] + (1 - h["rho"]) * g**2
    spread = s["v"]
    if h["centered"]:
        s["g"] = h["rho"] * s["g"] + (1 - h["rho"]) * g
        spread = s["v"] - s["g"] ** 2
    step = lr * g / np.sqrt(spread + h["epsilon"])
    if h["momentum"] > 0:
        step = s["m"] = h["momentum"] * s["m"] + step
    return w - step


def ftrl(h: Hyper, t: int, lr: float, w: Array, g: Array, s: State) -> Array:
    if lr == 0:  # which the paper does not cover
        return w
    power, l1, l2 = -h["learning_rate_power"], h["l1_regularization_strength"], h["l2_regularization_strength"]
    n = s["n"] + g**2
    sigma = (n**power - s["n"] ** power) / lr
    s["z"] = s["z"] + g + 2 * h["l2_shrinkage_regularization_strength"] * w - sigma * w
    s["n"] = n
    shrunk = np.sign(s["z"]) * np.maximum(np.abs(s["z"]) - l1, 0.0)
    return -shrunk / ((h["beta"] + n**power) / lr + 2 * l2)


def adafactor(h: Hyper, t: int, lr: float, w: Array, g: Array, s: State) -> Array:
    relative = h["relative_step"] and h["learning_rate_is_constant"]
    rho = min(lr, 1 / np.sqrt(t)) if relative else lr
    beta = 1 - float(t) ** h["beta_2_decay"]
    if w.size == 0:
        return w
    q = g**2 + h["epsilon_1"]
    if w.ndim > 1:
        s["r"] = beta * s["r"] + (1 - beta) * q.mean(-1)
        s["c"] = beta * s["c"] + (1 - beta) * q.mean(-2)
        s["v"] = s["r"][..., :, None] * s["c"][..., None, :] / s["r"].mean(-1)[..., None, None]
    else:
        s["v"] = beta * s["v"] + (1 - beta) * q
    u = g / np.sqrt(s["v"])
    u = u / max(1.0, np.sqrt(np.mean(u**2)) / h["clip_threshold"])
    return w - max(h["epsilon_2"], np.sqrt(np.mean(w**2))) * rho * u


def _left_to_adam(h: Hyper, shape: tuple[int, ...]) -> bool:
    """The variables of the cases are all called "variable"."""
    return len(shape) != 2 or any(re.search(pattern, "variable") for pattern in h["exclude_layers"] or ())


def muon(h: Hyper, t: int, lr: float, w: Array, g: Array, s: State) -> Array:
    if _left_to_adam(h, w.shape):
        betas = {"beta_1": h["adam_beta_1"], "beta_2": h["adam_beta_2"], "epsilon": h["epsilon"]}
        return adam(betas, t, lr * h["adam_lr_ratio"], w, g, s)
    s["m"] = h["momentum"] * s["m"] + g
    x = g + h["momentum"] * s["m"] if h["nesterov"] else s["m"]
    x = x / (np.linalg.norm(x) + 1e-7)
    for _ in range(
        h["ns_steps"]
    ):  # on the right side for tall matrices, on the left for wide ones: the same polynomial
        gram = x.T @ x if x.shape[0] > x.shape[1] else x @ x.T
        poly = h["muon_b"] * gram + h["muon_c"] * gram @ gram
        x = h["muon_a"] * x + (x @ poly if x.shape[0] > x.shape[1] else poly @ x)
    scale = 1.0 if h["rms_rate"] is None else h["rms_rate"] * np.sqrt(max(w.shape))
    return w - lr * scale * x


def muon_decay(h: Hyper, shape: tuple[int, ...]) -> float | None:
    return h["adam_weight_decay"] if _left_to_adam(h, shape) else h["weight_decay"]


def radam(h: Hyper, t: int, lr: float, w: Array, g: Array, s: State) -> Array:
    b1, b2 = h["beta_1"], h["beta_2"]
    s["m"] = b1 * s["m"] + (1 - b1) * g
    s["v"] = b2 * s["v"] + (1 - b2) * g**2
    rho = 2 / (1 - b2) - 1
    rho_t = rho - 2 * t * b2**t / (1 - b2**t)
    if rho_t <= max(h["sma_threshold"], 4):
        return w - lr * s["m"] / (1 - b1**t)
    rectified = np.sqrt((rho_t - 4) * (rho_t - 2) * rho / ((rho - 4) * (rho - 2) * rho_t))
    return w - lr * rectified * s["m"] / (1 - b1**t) * np.sqrt(1 - b2**t) / (np.sqrt(s["v"]) + h["epsilon"])


def adabelief(h: Hyper, t: int, lr: float, w: Array, g: Array, s: State) -> Array:
    s["m"] = h["beta_1"] * s["m"] + (1 - h["beta_1"]) * g
    s["s"] = h["beta_2"] * s["s"] + (1 - h["beta_2"]) * (g - s["m"]) ** 2 + h["epsilon"]
    corrected = s["m"] / (1 - h["beta_1"] ** t), s["s"] / (1 - h["beta_2"] ** t)
    return w - lr * corrected[0] / (np.sqrt(corrected[1]) + h["epsilon"])


def adan(h: Hyper, t: int, lr: float, w: Array, g: Array, s: State) -> Array:
    b1, b2, b3 = h["beta_1"], h["beta_2"], h["beta_3"]
    change = g - s["g"] if t > 1 else np.zeros_like(g)
    s["g"] = g
    s["m"] = b1 * s["m"] + (1 - b1) * g
    s["d"] = b2 * s["d"] + (1 - b2) * change
    s["v"] = b3 * s["v"] + (1 - b3) * (g + b2 * change) ** 2
    direction = s["m"] / (1 - b1**t) + b2 * s["d"] / (1 - b2**t)
    return w - lr / (np.sqrt(s["v"] / (1 - b3**t)) + h["epsilon"]) * direction


def schedule_free(h: Hyper, t: int, lr: float, w: Array, g: Array, s: State) -> Array:
    """``w`` is y, which may have been rounded or replaced. The average weighs by the squares of the rates."""
    b1, b2, warm = h["beta_1"], h["beta_2"], max(h["warmup_steps"], 1)
    shares = [min(k / warm, 1) for k in range(1, t + 1)]
    s["z"] = s["z"] if t > 1 else w
    x = s["z"] + (w - s["z"]) / b1
    s["v"] = b2 * s["v"] + (1 - b2) * g**2
    direction = g / (np.sqrt(s["v"] / (1 - b2**t)) + h["epsilon"]) + h["decay"] * w
    s["z"] = s["z"] - lr * shares[-1] * direction
    part = shares[-1] ** 2 / sum(share**2 for share in shares)
    x = x + part * (s["z"] - x)
    return s["z"] + b1 * (x - s["z"])


def prodigy_beta_3(h: Hyper) -> float:
    return float(np.sqrt(h["beta_2"]) if h["beta_3"] is None else h["beta_3"])


def prodigy_distance(h: Hyper, t: int, shared: dict[str, float]) -> None:
    """d, in units of d0, and r, in units of d0^2, from what the update before has summed."""
    shared["r"] = float(np.float32(prodigy_beta_3(h) * shared["r"] + shared["growth"] ** 2 * shared["approach"]))
    if shared["extent"] > 0:
        shared["growth"] = max(shared["growth"], h["d_coef"] * shared["r"] / shared["extent"] / h["d0"])
    shared["approach"] = 0.0


def prodigy(h: Hyper, t: int, lr: float, w: Array, g: Array, s: State) -> Array:
    b1, b2, shared = h["beta_1"], h["beta_2"], h["shared"]
    d = h["d0"] * shared["growth"]
    correction = np.sqrt(1 - b2**t) / (1 - b1**t) if h["use_bias_correction"] else 1.0
    gamma = lr * correction
    s["x0"] = s["x0"] if t > 1 else w
    unit = h["d0"]  # the paper's m, v and s are kept in units of d0, d0^2 and d0^2
    m = b1 * unit * s["m"] + (1 - b1) * d * g
    v = b2 * unit**2 * s["v"] + (1 - b2) * (d * g) ** 2
    total = prodigy_beta_3(h) * unit**2 * s["s"] + d**2 * (1.0 if h["safeguard_warmup"] else gamma) * g
    s["m"], s["v"], s["s"] = m / unit, v / unit**2, total / unit**2
    shared["approach"] += gamma * float(np.sum(g * (s["x0"] - w)))
    return w - d * correction * h["decay"] * lr * w - d * gamma * m / (np.sqrt(v) + d * h["epsilon"])


def prodigy_extent(shared: dict[str, float], states: list[State]) -> None:
    """|s|_1, over all weights: also those that had no gradient."""
    shared["extent"] = sum(float(np.sum(np.abs(s["s"]))) for s in states)


Group = tuple[str, ...]


def _same(*groups: Group) -> Callable[[Hyper, tuple[int, ...]], tuple[Group, ...]]:
    return lambda h, shape: groups


def _if(*optional: tuple[Group, Callable[[Hyper], Any]]) -> Callable[[Hyper, tuple[int, ...]], tuple[Group, ...]]:
    return lambda h, shape: tuple(group for group, wanted in optional if wanted(h))


@dataclass(frozen=True)
class Paper:
    """One optimizer.

    Attributes:
        step: its mathematics.
        groups: names of the state of a weight of that shape, in the order of Keras' files: the first group of every weight,
            then the second of every weight.
        starts: for state that does not start at 0, the argument that gives its first value; None for the weight itself.
        decay: the weight decay of a weight of that shape.
        decays_itself: whether it finds the weight decay as ``h["decay"]``; otherwise its weight has shrunk already.
        lazy: whether rows missing from a sparse gradient stay as they are, weight and state.
        shared: the first values of the state that all weights share.
        advance: how it changes before an update.
        close: how it changes after one, by the states of all weights.
        amplifies: whether rounding errors of the weights grow from step to step, so that only single steps can be compared.
    """

    step: Callable[..., Array]
    groups: Callable[[Hyper, tuple[int, ...]], tuple[Group, ...]]
    starts: Mapping[str, str | None] | None = None
    decay: Callable[[Hyper, tuple[int, ...]], float | None] = lambda h, shape: h["weight_decay"]
    decays_itself: bool = False
    lazy: bool = False
    shared: Mapping[str, float] = field(default_factory=dict)
    advance: Callable[[Hyper, int, dict[str, float]], None] = lambda h, t, shared: None
    close: Callable[[dict[str, float], list[State]], None] = lambda shared, states: None
    amplifies: bool = False


def _always(h: Hyper) -> bool:
    return True


_ADAM = Paper(adam, _if((("m", "v"), _always), (("v_hat",), lambda h: h["amsgrad"])))

PAPERS: dict[str, Paper] = {
    "AdaBelief": Paper(adabelief, _same(("m", "s"))),
    "Adadelta": Paper(adadelta, _same(("g2", "d2"))),
    "Adafactor": Paper(adafactor, _same(("r", "c", "v"))),
    "Adagrad": Paper(adagrad, _same(("a",)), {"a": "initial_accumulator_value"}),
    "Adam": _ADAM,
    "AdamW": _ADAM,
    "Adamax": Paper(adamax, _same(("m", "u"))),
    "Adan": Paper(adan, _same(("g", "m", "d", "v"))),
    "Ftrl": Paper(ftrl, _same(("n", "z")), {"n": "initial_accumulator_value"}),
    "Lamb": Paper(lamb, _same(("m", "v"))),
    "LazyAdam": replace(_ADAM, lazy=True),
    "Lion": Paper(lion, _same(("m",))),
    "Muon": Paper(muon, lambda h, shape: (("m", "v") if _left_to_adam(h, shape) else ("m",),), decay=muon_decay),
    "Nadam": Paper(nadam, _same(("m", "v")), shared={"u_product": 1.0}, advance=nadam_product),
    "Prodigy": Paper(
        prodigy,
        _same(("m", "v", "s", "x0")),
        {"x0": None},
        decays_itself=True,
        shared={"growth": 1.0, "r": 0.0, "approach": 0.0, "extent": 0.0},
        advance=prodigy_distance,
        close=prodigy_extent,
        amplifies=True,  # it measures <g, x_0 - x>, where float32 weights have moved by a few ULP at first
    ),
    "RAdam": Paper(radam, _same(("m", "v"))),
    "RMSprop": Paper(
        rmsprop,
        _if((("v",), _always), (("m",), lambda h: h["momentum"] > 0), (("g",), lambda h: h["centered"])),
    ),
    "ScheduleFreeAdamW": Paper(schedule_free, _same(("z", "v")), {"z": None}, decays_itself=True),
    "SGD": Paper(sgd, _if((("m",), lambda h: h["momentum"] != 0))),
}


def start(paper: Paper, h: Hyper, w: Array) -> State:
    """The first state of a weight; Adafactor's row and column means have other shapes, and are scalar 0 for a vector."""
    shapes = {"r": w.shape[:-1], "c": (*w.shape[:-2], *w.shape[-1:])} if paper.step is adafactor else {}
    if shapes and w.ndim < 2:
        shapes = dict.fromkeys(shapes, ())
    value = {name: w if argument is None else h[argument] for name, argument in (paper.starts or {}).items()}
    names = [name for group in paper.groups(h, w.shape) for name in group]
    return {name: np.full(shapes.get(name, w.shape), value.get(name, 0.0)) for name in names}
