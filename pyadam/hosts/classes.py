"""The optimizer classes, made from their specs."""

from collections.abc import Callable
from typing import Any

from pyadam.hosts.reference import documentation
from pyadam.optimizers import RULES, SPECS, Rule, Spec, arguments, class_signature

__all__ = ["make_class", "make_classes"]


def _hyperparameter(name: str, doc: str) -> property:
    return property(lambda self: getattr(self._spec, name), lambda self, value: self._configure(name, value), doc=doc)


def make_class(spec: type[Spec], rule: Rule, base: type, module: str) -> type:
    """The class of a spec and its rule: its signature, its documentation and a property for each hyperparameter."""
    fields = arguments(spec)
    namespace: dict[str, Any] = {
        name: _hyperparameter(name, field.metadata["doc"])
        for name, field in fields.items()
        if name not in ("learning_rate", "name")
    }
    namespace |= {
        "spec_type": spec,
        "spec_rule": rule,
        "__module__": module,
        "__doc__": documentation(spec, rule),
        "__signature__": class_signature(spec),
    }
    return type(spec.__name__, (base,), namespace)


def make_classes(base: type, register: Callable[[type], type], module: str) -> dict[str, type]:
    """The classes of all specs on a base, under their names."""
    return {name: register(make_class(spec, RULES[spec], base, module)) for name, spec in SPECS.items()}
