"""Learning-rate schedules: R keras 2.11's functions, in Python and in R."""

from typing import Any

from pyadam.hosts.schedules import FUNCTIONS, SCHEDULES, ScheduleSpec, new_class

__all__ = ["SCHEDULES", "ScheduleSpec", "new_class", *FUNCTIONS]

OF_KERAS = {
    spec.__name__: f"{name}(), or keras.optimizers.schedules.{spec.__name__}" for name, spec in SCHEDULES.items()
}
"""What takes the place of Keras' classes here, for those who look for these."""


def __getattr__(name: str) -> Any:
    if name in FUNCTIONS:
        return FUNCTIONS[name]
    hint = f", did you mean {OF_KERAS[name]}?" if name in OF_KERAS else ""
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")


def __dir__() -> list[str]:
    return __all__
