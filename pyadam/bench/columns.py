"""What a step computes: the optimizers measured, under the names that each kind of peer gives them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["COLUMNS", "RATE", "Column"]

RATE = 1e-3
_FLOAT = 4  # bytes
_ADAM = {
    "beta_1": 0.9,
    "beta_2": 0.999,
    "epsilon": 1e-10,
}  # a negligible epsilon: each library puts it in a different place
_BETAS = {"betas": (0.9, 0.999), "eps": 1e-10}
_B1_B2 = {"b1": 0.9, "b2": 0.999, "eps": 1e-10}
_ADAGRAD = {"initial_accumulator_value": 0.1}


@dataclass(frozen=True)
class Column:
    """An optimizer with its arguments; the learning rate is `RATE` in all of them.

    Attributes:
        name: on the command line.
        title: in tables.
        keras: class and arguments, as every Keras and pyadam call them.
        torch: class and arguments in ``torch.optim``.
        optax: function and arguments in ``optax``; None if it has none.
        states: how many tensors of a weight's shape are kept with it; each is read and written in a step.
        fused: TensorFlow's own operation for a dense gradient, without ``ResourceApply``; empty if there is none.
        fused_rows: the same for a sparse gradient, with its full name.
        clip: the global norm to clip to. The norm needs one more pass over the gradient.
        average: the momentum of the weights' moving average.
        rounded: whether pyadam keeps those states in bfloat16, which no other peer can.
        by_row: whether a row without a gradient stays as it is, so a step need not touch it.
    """

    name: str
    title: str
    keras: tuple[str, Mapping[str, Any]]
    torch: tuple[str, Mapping[str, Any]]
    optax: tuple[str, Mapping[str, Any]] | None
    states: int
    fused: str = ""
    fused_rows: str = ""
    clip: float | None = None
    average: float | None = None
    rounded: bool = False
    by_row: bool = False

    @property
    def everywhere(self) -> dict[str, Any]:
        """The arguments of Keras' class, including those that any column may set: clipping, averages, slot dtype."""
        every = dict(self.keras[1])
        if self.clip is not None:
            every["global_clipnorm"] = self.clip
        if self.average is not None:
            every |= {"use_ema": True, "ema_momentum": self.average}
        if self.rounded:
            every["slot_dtype"] = "bfloat16"
        return every

    @property
    def bytes_per_parameter(self) -> int:
        """How many bytes a step has to read and write for each float32 parameter."""
        gradient = 1 if self.clip is None else 2
        weights = 1 + (self.average is not None)
        return _FLOAT * (gradient + 2 * weights) + 2 * self.states * (_FLOAT // 2 if self.rounded else _FLOAT)


_ADAMW = {
    "keras": ("AdamW", _ADAM | {"weight_decay": 0.01}),
    "torch": ("AdamW", _BETAS | {"weight_decay": 0.01}),
    "optax": ("adamw", _B1_B2 | {"weight_decay": 0.01}),
    "states": 2,
}

_PLAIN_ADAM = {"keras": ("Adam", _ADAM), "torch": ("Adam", _BETAS), "optax": ("adam", _B1_B2), "states": 2}

COLUMNS = {
    column.name: column
    for column in (
        Column(
            "momentum",
            "SGD with momentum",
            keras=("SGD", {"momentum": 0.9}),
            torch=("SGD", {"momentum": 0.9}),
            optax=("sgd", {"momentum": 0.9}),
            states=1,
            fused="KerasMomentum",
            fused_rows="ResourceSparseApplyKerasMomentum",
        ),
        Column("adam", "Adam", **_PLAIN_ADAM, fused="Adam"),
        Column("adam-bfloat16", "Adam, bfloat16 slots", **_PLAIN_ADAM, rounded=True),
        Column("adamw", "AdamW", **_ADAMW),
        Column("adamw-clip", "AdamW, global clip", **_ADAMW, clip=1.0),
        Column("adamw-clip-ema", "AdamW, global clip, EMA", **_ADAMW, clip=1.0, average=0.99),
        Column(
            "amsgrad",
            "Adam with AMSGrad",
            keras=("Adam", _ADAM | {"amsgrad": True}),
            torch=("Adam", _BETAS | {"amsgrad": True}),
            optax=("amsgrad", _B1_B2),
            states=3,
            fused="AdamWithAmsgrad",
        ),
        Column(
            "sgd",
            "SGD",
            keras=("SGD", {}),
            torch=("SGD", {}),
            optax=("sgd", {}),
            states=0,
            fused="GradientDescent",
            fused_rows="ResourceScatterSub",
            by_row=True,
        ),
        Column(
            "adagrad",
            "Adagrad",
            keras=("Adagrad", _ADAGRAD | {"epsilon": 1e-10}),
            torch=("Adagrad", _ADAGRAD | {"eps": 1e-10}),
            optax=("adagrad", _ADAGRAD | {"eps": 1e-10}),
            states=1,
            fused="AdagradV2",
            fused_rows="ResourceSparseApplyAdagradV2",
            by_row=True,
        ),
        Column(
            "lazy",
            "LazyAdam",
            keras=("LazyAdam", _ADAM),
            torch=("SparseAdam", _BETAS),
            optax=None,
            states=2,
            by_row=True,
        ),
    )
}
