"""Config and saved state of an optimizer, in the formats of its Keras."""

import functools
import importlib
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from pyadam.engine import assign, memories, undistributed
from pyadam.hosts import files
from pyadam.hosts.checkpoint import Described, Numbered
from pyadam.hosts.configs import check_config, named, object_of, unregistered
from pyadam.hosts.contract import Contract, bare_path, path, untracked
from pyadam.hosts.exclusions import CONFIG_KEY
from pyadam.hosts.groups import Membership, as_patterns
from pyadam.hosts.ledger import ITERATION, LEARNING_RATE, in_our_paths
from pyadam.hosts.paths import numbered, same_variables
from pyadam.hosts.state import Entry, Label, SavedState, check_kinds, check_values, fit
from pyadam.optimizers import NEW_TO_KERAS, arguments
from pyadam.optimizers.groups import VARIABLES, Group
from pyadam.optimizers.kinds import listed, plain

__all__ = ["Deferring", "Saving", "automatic_names"]


@functools.cache
def automatic_names(host: str) -> frozenset[str]:
    """The names that a Keras gives to layers without one, before it numbers them."""
    names = [*dir(importlib.import_module(f"{host}.layers")), "Sequential", "Functional", "Model", "Variable"]
    return frozenset(re.sub("([a-z0-9])([A-Z])|([A-Z])([A-Z][a-z])", r"\1\3_\2\4", name).lower() for name in names)


class Deferring:
    """Loads a saved state at once, or at the build of an optimizer that isn't built yet."""

    built: bool
    _deferred: SavedState | None

    def _check_kinds(self, state: SavedState) -> None:
        """Checks that a state is of this kind of optimizer."""
        raise NotImplementedError

    def _take(self, state: SavedState) -> None:
        """Gives the variables their values."""
        raise NotImplementedError

    def _load(self, state: SavedState) -> None:
        self._check_kinds(state)
        if self.built:
            self._take(state)
        else:
            untracked(self, _deferred=state)

    def _load_deferred(self) -> None:
        """Takes the state that was loaded before the build."""
        state = self._deferred
        if state is not None:
            untracked(self, _deferred=None)
            self._load(state)


class Saving(Deferring, Contract):
    """How an optimizer is written and read: its state in files and checkpoints, its arguments in configs."""

    _membership: Membership
    _misfit: str | None  # why the next step must not be taken
    _numbered: Numbered
    _described: Described

    def _set_up_saving(self) -> None:
        """Prepares a new optimizer for saving and loading."""
        untracked(self, _deferred=None, _misfit=None, _numbered=Numbered(self), _described=Described())

    # --- state -----------------------------------------------------------------------------------------------------------

    @property
    def variables(self) -> list[Any]:
        """All state in the order of Keras' files: iteration, learning_rate, averages, accumulators, slots, shared, added."""
        return list(self._labelled().values())

    def _labelled(self) -> dict[Label, Any]:
        """All state by what it is, in the order of Keras' files. What the ledger does not know was added by a subclass."""
        special = {id(self._iterations): ITERATION, id(self._learning_rate): LEARNING_RATE}
        found: dict[Label, Any] = {}
        for variable in self._variables:
            label = special.get(id(variable)) or self._ledger.label(variable)
            found[label or Label(numbered("added", [kind for kind, _ in found]))] = variable
        return dict(sorted(found.items(), key=lambda item: self._ledger.place(item[0])))

    def _kinds(self) -> tuple[set[str], set[str]]:
        """The kinds of state that each of the model's variables has, and those that some have."""
        # a rule's slots may depend on the shape, and on whether the variable is an embedding: Muon has Adam's for some
        always = {"average"} if self._spec.use_ema else set()
        always |= {"gradient_accumulator"} if self._spec.calls_per_update > 1 else set()
        probes: Iterable[tuple[tuple[int, ...], str]] = [((), ""), ((2,), ""), ((2, 2), ""), ((2, 2), "embedding")]
        kinds = [self._rule.slots(spec, *probe) for probe in probes for spec in self._spec.each]
        slots = [{slot.name for group in groups for slot in group} for groups in kinds]
        return always | set.intersection(*slots), always | set.union(*slots)

    def _state(self) -> SavedState:
        """Everything to save: the optimizer's own state, and the state it keeps for variables that it has not seen."""
        every = [*self._labelled().items(), *self._ledger.kept.items()]
        entries = [
            Entry(label, tuple(v.shape), _dtype_name(v), functools.partial(self._for_file, v)) for label, v in every
        ]
        return SavedState(entries, self._rule.layout)

    def _for_file(self, variable: Any) -> Any:
        """The value of a state variable as the files of this Keras can hold it."""
        return variable.numpy()

    # --- taking a state --------------------------------------------------------------------------------------------------

    def _fit(self, state: SavedState) -> dict[int, Any]:
        """The variable for each entry of a state, by the entry's id.

        Entries without one get a variable that keeps them, and variables for which nothing was saved start afresh.

        Raises:
            ValueError: the state does not fit; nothing is changed then.
        """
        owner = type(self).__name__
        here = self._labelled()
        shapes = {label: tuple(v.shape) for label, v in here.items()}
        found = fit(owner, state, shapes, self._automatic_names().__contains__)
        renamed = in_our_paths(found.taken)
        kept = {
            Label(entry.label.kind, renamed(entry.label.path)): _kept_in(entry) for entry in found.kept if entry.label
        }
        if found.fresh and state.kinds:
            self._say(
                f"{owner}: the saved state has nothing for {listed(found.fresh)}: "
                f"{'it starts' if len(found.fresh) == 1 else 'they start'} fresh"
            )
        for label in here:
            if label.path in found.fresh:
                start = tf.cast(self._ledger.start(label), here[label].dtype)
                assign(here[label], tf.zeros(here[label].shape, here[label].dtype) + start)
        self._ledger.keep(kept, {entry.label.path for entry in state.entries if entry.label and entry.label.path})
        untracked(self, _misfit=None)
        taken = {id(entry): here[label] for label, entry in found.taken.items()}
        return taken | {id(entry): variable for entry, variable in zip(found.kept, kept.values(), strict=True)}

    def _automatic_names(self) -> frozenset[str]:
        return automatic_names(self._host())

    def _of_a_model_made_again(self, known: Sequence[str], here: Sequence[str]) -> bool:
        """Whether these paths are those of a model made a second time."""
        return bool(same_variables(known, here, (), self._automatic_names().__contains__))

    def _check_kinds(self, state: SavedState) -> None:
        """Checks that a state is of this kind of optimizer."""
        check_kinds(type(self).__name__, state, self._rule.layout, *self._kinds())

    def _take(self, state: SavedState) -> None:
        state = self._completed(state)
        check_values(type(self).__name__, state, LEARNING_RATE in self._labelled())
        try:
            takers = self._fit(state)
        except ValueError as error:
            if state.labelled or self._has_stepped():
                raise
            # A model must load for prediction even if its set of trainable variables has changed.
            self._say(f"{error}. The first step will raise this error")
            untracked(self, _misfit=str(error))
            return
        broken = []
        for number, entry in enumerate(state.entries):
            if id(entry) in takers:
                value = tf.cast(entry.read(), takers[id(entry)].dtype)
                assign(takers[id(entry)], value)
                if value.dtype.is_floating and not tf.reduce_all(tf.math.is_finite(value)):
                    broken.append(entry.label or f"variable {number}")
        self._drop_frozen_sums()
        if broken:
            self._say(
                f"{type(self).__name__}: the saved state has infinite numbers or NaN in {listed(broken)}, so training may fail "
                "to continue from it; compile with a new optimizer to start fresh"
            )

    def _completed(self, state: SavedState) -> SavedState:
        """A state, completed by what the files of this Keras leave out."""
        return state

    def _has_stepped(self) -> bool:
        return bool(self._iterations.numpy())

    def _load_deferred(self) -> None:
        """Takes the state that was loaded or restored before the build."""
        super()._load_deferred()
        self._numbered.take_deferred()

    def _take_kept(self) -> None:
        """Loads the state that was kept for variables that have just been added."""
        for label, variable in self._labelled().items():
            kept = self._ledger.take(label)
            if kept is None:
                continue
            if kept.shape != variable.shape:
                raise ValueError(
                    f"{type(self).__name__}: the saved {label} has the shape {tuple(kept.shape)}, expected "
                    f"{tuple(variable.shape)}; make a new optimizer to start fresh"
                )
            assign(variable, tf.cast(kept, variable.dtype))

    def _is_kept(self, variable: Any) -> bool:
        """Whether there is saved state that waits for a variable of the model."""
        return self._ledger.waits_for(bare_path(variable))

    def _check_misfit(self) -> None:
        """Raises an error if a state that did not fit was loaded."""
        if self._misfit is not None:
            raise ValueError(self._misfit)

    # --- files -----------------------------------------------------------------------------------------------------------

    def save_own_variables(self, store: Any) -> None:
        """Writes the state, numbered in the order of ``variables`` as in Keras, and next to it what each number means."""
        with self._lock:
            files.write(store, self._state(), len(self._variables))

    def load_own_variables(self, store: Any) -> None:
        """Reads a state that ``save_own_variables`` or Keras' own class wrote, at once or when the optimizer is built.

        Each variable gets the state that was saved for its path, independent of the order and of which variables are trained.
        State of variables that the optimizer has not seen is kept for them and saved again. State that was not saved starts
        fresh, with a warning. Keras' own files hold no paths; for them the order decides.

        Raises:
            ValueError: the state is another optimizer's, or its variables differ in number or shape; nothing is changed then.
        """
        state = files.read(store, type(self).__name__)
        if state.entries:
            self._load(state)
        else:
            warnings.warn(
                f"{type(self).__name__}: the file holds no optimizer state; the optimizer keeps its own", stacklevel=2
            )

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Sets all state, in the order of ``variables``.

        Raises:
            ValueError: the optimizer is not built, or the arrays differ from its state in number or shape.
        """
        owner = type(self).__name__
        if not self.built:
            raise ValueError(  # in words that Keras' own tests look for
                f"{owner}: You are calling set_weights() before the optimizer is built: call build(variables) first"
            )
        if weights and files.is_dataset(weights[0]):  # Keras reads an ``.h5`` file
            names = {label: path(v) for label, v in self._labelled().items()}
            self._load(files.read_names(owner, weights, self._label_of_name, names))
        else:
            self._load(files.read({str(i): np.asarray(w) for i, w in enumerate(weights)}, owner))

    def _label_of_name(self, name: str) -> Label | None:
        """The label that follows from a variable's name in an ``.h5`` file."""
        last = name.rpartition("/")[2]
        for kind in sorted(self._kinds()[1], key=len, reverse=True):
            if last.endswith(f"_{kind}"):
                return Label(kind, last.removesuffix(f"_{kind}"))
        return None

    # --- checkpoints -----------------------------------------------------------------------------------------------------

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        children = super()._trackable_children(save_type, **kwargs)  # type: ignore[misc]
        if save_type != "checkpoint":
            return {**children, **memories(map(self._native, self.variables))}
        manifest = {Described.edge(self._state()): self._described}
        return {**manifest, **children, "_variables": self._numbered}

    def _lookup_dependency(self, name: str, cached_dependencies: Any = None) -> Any:
        if cached_dependencies is None:  # nothing is being restored
            return super()._lookup_dependency(name)  # type: ignore[misc]
        children = cached_dependencies
        if Described.is_edge(name):
            children[Described] = Described.state(name)
            return self._described
        if name == "_variables":
            self._numbered.expect(children.pop(Described, None))
        return children.get(name)

    # --- configs ---------------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The arguments as the user gave them, as JSON values.

        Raises:
            ValueError: an argument is a function that is not registered with ``keras.saving``: it could not be found again.
        """
        config: dict[str, Any] = {}
        for name in arguments(self.spec_type):
            value = self._rate_for_config() if name == "learning_rate" else plain(getattr(self._spec, name))
            config[name] = self._in_config(name, value)
        if self._spec.groups is not None:
            config["groups"] = [self._group_in_config(group) for group in self._spec.groups]
            config |= self._membership.config()
        config |= self._exclusions.config()
        for name in NEW_TO_KERAS:  # only where they are set, so that Keras' own classes can read a config
            if config[name] == arguments(self.spec_type)[name].default:
                del config[name]
        return config

    def _rate_for_config(self) -> Any:
        """The number that the user gave, if the variable still holds it; else the shortest decimal of the variable's value."""
        if not self._is_variable(self._learning_rate):
            return self._learning_rate
        held = self._learning_rate.numpy()
        given = self._spec.learning_rate
        return given if isinstance(given, float) and held.dtype.type(given) == held else plain(held)

    def _group_in_config(self, group: Group) -> dict[str, Any]:
        values = {name: self._in_config(name, plain(value)) for name, value in group.items() if name != VARIABLES}
        return {VARIABLES: as_patterns(group[VARIABLES]), **values}

    def _in_config(self, name: str, value: Any) -> Any:
        return self._serialized(name, value) if callable(value) else value

    def _serialized(self, name: str, value: Any) -> Any:
        if not hasattr(value, "get_config"):
            known = getattr(value, "__name__", None)  # a partial has none
            if known is None or self._saving.get_registered_object(self._saving.get_registered_name(value)) is None:
                raise unregistered(type(self).__name__, name, named(value), self._saving)
        return self._saving.serialize_keras_object(value)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """The optimizer of a config, pyadam's or Keras' own; state is not part of it.

        Raises:
            ValueError: an argument is a function that is not registered with ``keras.saving``.
        """
        check_config(cls.__name__, config)
        read = importlib.import_module(f"{cls._saving.__name__.partition('.')[0]}.optimizers.schedules").deserialize

        def made(values: Mapping[str, Any]) -> dict[str, Any]:
            return {n: object_of(cls.__name__, n, v, cls._saving, custom_objects, read) for n, v in values.items()}

        special = ("is_legacy_optimizer", "groups", "members", CONFIG_KEY)  # the first is a mark of tf_keras' configs
        values = made({name: value for name, value in config.items() if name not in special})
        groups: Any = config.get("groups")
        if issubclass(type(groups), list) and all(issubclass(type(group), dict) for group in groups):
            groups = [made(group) for group in groups]
        optimizer: Any = cls(**values, **({} if groups is None else {"groups": groups}))
        if groups is not None:
            optimizer._membership.remember(config.get("members", {}))
        if CONFIG_KEY in config:
            optimizer._exclusions.remember(config[CONFIG_KEY])
        return optimizer


def _dtype_name(variable: Any) -> str:
    return str(tf.as_dtype(variable.dtype).name)


def _kept_in(entry: Entry) -> Any:
    """A variable that keeps the value of an entry."""
    value = tf.zeros(entry.shape, entry.dtype) if entry.read is None else entry.read()
    with undistributed(), tf.device("CPU"):
        return tf.Variable(value, trainable=False)
