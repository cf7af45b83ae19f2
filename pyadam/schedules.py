"""Learning-rate schedules: R keras 2.11's functions, in Python and in R."""

from typing import Any

from pyadam.hosts.schedules import FUNCTIONS, SCHEDULES, ScheduleSpec, new_class

__all__ = ["SCHEDULES", "ScheduleSpec", "new_class", *FUNCTIONS]


def __getattr__(name: str) -> Any:
    if name in FUNCTIONS:
        return FUNCTIONS[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
