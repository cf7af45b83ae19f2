"""The spec of the loss-scale optimizer, which wraps another optimizer and has none of the common arguments."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from pyadam.optimizers.kinds import Count, Inner, Name, Number
from pyadam.optimizers.spec import Spec, argument, laid_on, optional
from pyadam.optimizers.wrapper import Wrapper

__all__ = ["LossScaleOptimizer"]


@dataclass(frozen=True, kw_only=True)
class LossScaleOptimizer(Wrapper):
    """Loss scaling: wraps another optimizer and multiplies the loss by a factor that adapts to the gradients.

    This keeps small gradients of 16-bit layers from underflowing. The inner optimizer gets the gradients divided by the factor.
    If any gradient is not finite, the step is skipped: the inner optimizer stays unchanged and the factor is halved, but not
    below 1. After dynamic_growth_steps finite steps in a row the factor doubles.

    Attributes:
        elsewhere: arguments that Keras' class used to take and old configs contain, with the only value accepted for each.
    """

    title = "LossScaleOptimizer"
    r_name = "optimizer_loss_scale"
    reference = "Micikevicius et al. (2018), Mixed Precision Training, https://arxiv.org/abs/1710.03740, section 3.2."
    notes = ("Gradients may be float16, bfloat16, float32 or float64; 16-bit gradients are divided in float32.",)
    elsewhere: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {
            **{
                field.name: field.default
                for field in dataclasses.fields(Spec)
                if field.name not in ("name", "jit_compile")
            },
            "dynamic": True,
        }
    )

    inner_optimizer: Any = argument(dataclasses.MISSING, Inner(), "The optimizer to wrap.")
    initial_scale: float = argument(2.0**15, Number(low=1.0), "Initial factor.")
    dynamic_growth_steps: int = argument(
        2000, Count(at_least=1), "Number of consecutive finite steps after which the factor doubles."
    )
    name: str | None = argument(None, optional(Name()), "Name of the optimizer; by default, the one Keras gives it.")

    @classmethod
    def bind(
        cls, args: tuple[Any, ...], kwargs: Mapping[str, Any], fits: Callable[[Any], bool]
    ) -> "LossScaleOptimizer":
        """The spec for a call; ``fits`` says whether an object is an optimizer of the right Keras.

        Raises:
            TypeError: an unknown name (the error suggests the closest), a missing argument, or a value of the wrong type.
            ValueError: a value out of range, or an argument that belongs on the inner optimizer.
        """
        owner, kwargs = cls.__name__, dict(kwargs)
        for name, only in cls.elsewhere.items():
            value = kwargs.pop(name, only)
            if value != only:
                raise ValueError(
                    f"{owner}: {name} must be {only}, got {value}; "
                    + ("for a fixed factor set `loss_scale_factor`" if name == "dynamic" else f"set `{name}`")
                    + " on the `inner_optimizer`"
                )
        values = laid_on(cls.signature(), owner, args, kwargs)
        if values["initial_scale"] is None:  # means the default in tf_keras
            values["initial_scale"] = cls.initial_scale
        Inner(fits=fits).check(owner, "inner_optimizer", values["inner_optimizer"])
        return cls(**values)
