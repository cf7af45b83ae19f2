"""What the optimizer classes of both generations of Keras share: constructor, build, steps and their checks.

An optimizer owns variables and leaves every step to the engine. Subclasses implement what differs between Keras 3 and tf_keras:
how a variable is made, saved and named.
"""

import threading
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import tensorflow as tf

from pyadam.engine import (
    Call,
    Engine,
    LocalGradient,
    Replicas,
    clip,
    component,
    native,
    reduced,
    state_bytes,
    typed,
)
from pyadam.hosts.averages import Averages
from pyadam.hosts.configs import named
from pyadam.hosts.contract import bare_path, common_path, path, untracked
from pyadam.hosts.exclusions import Exclusions
from pyadam.hosts.extension import Extension
from pyadam.hosts.generation import home, in_refusal, introduced
from pyadam.hosts.given import matched, parted
from pyadam.hosts.hyperparameters import Hyperparameters
from pyadam.hosts.ledger import Ledger
from pyadam.hosts.saving import Saving
from pyadam.hosts.variables import Variables
from pyadam.optimizers import Rule, Spec, arguments, class_signature
from pyadam.optimizers.kinds import listed, plain

__all__ = ["BaseOptimizer"]


_ONE_A_MODEL = (
    "Make a new optimizer for each model, and for each fold of a cross-validation; if one is to train several models, "
    "call build() with the variables of all of them before its first step"
)


class BaseOptimizer(Extension, Averages, Hyperparameters, Variables, Saving):
    """An optimizer of one spec. The class of each generation of Keras derives from it."""

    _built_explicitly: bool
    _known_missing: set[Any]
    _said: set[str]

    def _set_up(self, spec: Spec, iterations: Any) -> None:
        """Completes a constructor, once its Keras has made ``_iterations`` and ``_learning_rate``."""
        self._built_explicitly = False
        rule = self._in_files_of_this_keras(self.spec_rule)
        untracked(
            self,
            _spec=spec,
            _rule=rule,
            _engine=Engine(spec, rule, iterations),
            _replicas=Replicas(type(self).__name__),
            _wire=None,
            _shards=None,
            _exclusions=Exclusions(type(self).__name__, self._automatic_names().__contains__),
            _membership=self._members(spec),
            _ledger=Ledger(),
            _trainable_variables=[],
            _lock=threading.RLock(),
            _known_missing=set(),  # keys of the variables whose missing gradients a warning has named
            _said=set(),  # warnings
            _exact_rate=None,
        )
        self._set_up_saving()
        untracked(self, _dynamic=self._make_dynamic())

    def _in_files_of_this_keras(self, rule: Rule) -> Rule:
        """The rule with the slots that the files of this Keras hold."""
        return rule

    def _native(self, variable: Any) -> Any:
        """The tf.Variable behind a variable of either Keras, and of a strategy with one local replica; else the same."""
        return component(native(variable))

    def _say(self, words: str) -> None:
        """Warns, once for each text: Keras loads a wrapped optimizer twice."""
        if words not in self._said:
            self._said.add(words)
            warnings.warn(words, stacklevel=2)

    def __repr__(self) -> str:
        default = {p.name: p.default for p in class_signature(self.spec_type).parameters.values()}
        values = {name: plain(getattr(self._spec, name)) for name in arguments(self.spec_type)}
        values["learning_rate"] = self._rate_for_config()
        changed = ", ".join(f"{name}={_in_repr(value)}" for name, value in values.items() if value != default[name])
        module = f"{home(self)}." if type(self).__module__.startswith("pyadam.") else ""  # else a class of the user
        return f"{module}{type(self).__name__}({changed})"

    def __format__(self, spec: str) -> str:
        return introduced(self) if in_refusal() else format(repr(self), spec)

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name != "lr"]  # Keras reads all that is listed when it saves

    def exclude_from_weight_decay(
        self, var_list: Sequence[Any] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        """Excludes variables from weight decay. Repeated calls add up.

        Args:
            var_list: variables, taken by identity.
            var_names: names, as regular expressions that must match one whole component of a variable's path
                (``"bias"`` matches ``dense/bias`` and ``dense/bias_1``, not ``dense/unbiased_kernel``).

        Raises:
            TypeError: a name in ``var_list``.
            ValueError: the optimizer is built already, or a name is no regular expression.
        """
        self._exclusions.add_given(
            self.built, var_list or (), var_names or (), lambda v: (self._var_key(v), bare_path(v))
        )

    # --- variables -------------------------------------------------------------------------------------------------------

    def build(self, variables: Sequence[Any]) -> None:
        """Creates the state for these model variables. Later steps may add others, but need at least one of these.

        A variable may be named twice, as one that two models share.

        Raises:
            ValueError: none of the variables was passed to an earlier build().
        """
        variables = list({self._var_key(v): v for v in variables}.values())
        with tf.init_scope(), self._replicas.scope():  # the state is made and loaded now, even inside a traced function
            if self._built_explicitly:
                self._check_known(variables)
            self._add_targets(variables)
            if not self._built_explicitly:
                self._built_explicitly = True
                self._finish_build()

    def _finish_build(self) -> None:
        self._exclusions.warn_unmatched()
        self.built = True
        self._load_deferred()

    def _check_known(self, variables: Sequence[Any]) -> None:
        """Refuses variables if none of them was in the build. Others may join known ones: layers are unfrozen in stages."""
        targets = self._engine.targets
        if targets and not any(self._var_key(v) in targets for v in variables):
            unknown = [v for v in variables if not self._is_kept(v) and not self._why_not(v)]
            if unknown:
                raise self._unknown(unknown)

    def _unknown(self, variables: Sequence[Any]) -> ValueError:
        return ValueError(
            f"{type(self).__name__}: unknown variable {listed(map(path, variables))}: the optimizer was built for "
            f"{len(self._engine.targets)} others. {_ONE_A_MODEL}"
        )

    def _check_not_all_new(self, variables: Sequence[Any]) -> None:
        """Refuses a copy of the model: its steps would continue the first one's step count, and so its bias corrections.

        Other new variables are accepted, with a warning.
        """
        targets = self._engine.targets
        if not targets or not tf.executing_eagerly() or any(self._var_key(v) in targets for v in variables):
            return
        steps = int(tf.convert_to_tensor(self._native(self._iterations)))
        if steps == 0 or all(self._is_kept(v) for v in variables):
            return
        words = (
            f"{type(self).__name__}: unknown variable {listed(map(path, variables))}: the optimizer has taken "
            f"{steps} steps, and none with these variables. {_ONE_A_MODEL}"
        )
        known, names = self._ledger.paths, [bare_path(v) for v in variables]
        in_layers = any("/" in name for name in names)  # variables outside of layers have the same default name
        if in_layers and not _of_one_model(known, names) and self._of_a_model_made_again(known, names):
            raise ValueError(words)
        self._say(words)

    # --- steps -----------------------------------------------------------------------------------------------------------

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Any]]) -> Any:
        """One step from pairs of gradient and variable; returns the number of calls so far."""
        self.apply(*parted(self, grads_and_vars))
        return self._iterations

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        """One step.

        Args:
            grads: tensors, IndexedSlices, or None for a variable that this step leaves out; of the variables' shapes.
            trainable_variables: the variables; by default those of ``build``.

        Raises:
            TypeError: a gradient for a variable of integers or the like, or of complex numbers or an unknown shape where state
                is kept for each variable. Without gradient they are left out.
            ValueError: no gradient at all, a different number of gradients and variables, a gradient of the wrong shape, a
                variable given twice or unknown, or no variables before ``build``.
        """
        grads, variables = matched(self, grads, trainable_variables)
        if grads:
            local = self._replicas.current()
            grads, variables = self._ready(grads, variables)
            call = self._call(local, grads, variables)
            if self._shards is None:
                self._step(local, self._reduced(call, grads, variables), variables, call)
            else:
                self._sharded_step(local, grads, variables, call, summed=False)

    def _call(self, local: int, grads: Sequence[Any], variables: Sequence[Any]) -> Call | None:
        """What a replica tells the others in one step; None if it is alone."""
        if self._wire is None:
            return None
        facts = [f"{_kind(g)} for {common_path(v)}" for g, v in zip(grads, variables, strict=True)]
        return self._wire.call(
            self._replicas, local, [f"a step of {type(self).__name__} (optimizer {self._number})", *facts]
        )

    def _reduced(self, call: Call | None, grads: Sequence[Any], variables: Sequence[Any]) -> Sequence[Any]:
        """The sums of the gradients over all replicas."""
        if call is None:
            return grads
        given = []
        for g, v in zip(grads, variables, strict=True):
            weight, next_value = self._native(v), self._overwrite_variable_with_gradient(v)
            given.append(
                LocalGradient(weight, None if g is None else typed(type(self).__name__, path(v), weight, g), next_value)
            )
        return reduced(call, given)

    def _ready(self, grads: Sequence[Any], variables: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Gradients and variables, without the variables that no step can move; all others have their state."""
        grads, variables = self._check_gradients(grads, variables)
        with self._lock:
            self._prepare(variables)
        self._check_misfit()
        return self._without_frozen(grads, variables), variables

    def _without_frozen(self, grads: Sequence[Any], variables: Sequence[Any]) -> list[Any]:
        """The gradients that a step uses: None for a variable in a frozen group."""
        if self._spec.groups is None:
            return list(grads)
        targets = [self._engine.targets.get(self._var_key(v)) for v in variables]
        return [None if x and self._engine.is_frozen(x) else g for g, x in zip(grads, targets, strict=True)]

    def _join(self, variables: Sequence[Any]) -> None:
        """Makes the state of variables of a model that this is one of several optimizers of."""
        with self._lock:
            self._prepare(variables, of_known_model=True)

    def _prepare(self, variables: Sequence[Any], of_known_model: bool = False) -> None:
        """Makes the state of these variables, as far as it is missing, unless they are those of another model."""
        with tf.init_scope(), self._replicas.scope():
            if of_known_model:
                pass
            elif self._built_explicitly:
                self._check_known(variables)
            else:
                self._check_not_all_new(variables)
            # a subclass makes variables of its own in its build
            if not self.built and type(self).build is not BaseOptimizer.build:
                self.build(variables)
            self._add_targets(variables)
            if not self.built:
                self._finish_build()

    def _step(self, local: int, grads: Sequence[Any], variables: Sequence[Any], call: Call | None) -> None:
        """The step of a local replica, from gradients that are the same on all replicas."""
        if self._shards is not None:
            self._sharded_step(local, grads, variables, call, summed=True)
            return
        given = {self._var_key(v): g for g, v in zip(grads, variables, strict=True)}
        engine = self._engine.of_replica(local)
        # what may wait for other replicas does so without the lock; alone, a thread's rate is that of its own step
        hyper = None if call is None else self._current_hyper(call)
        with self._lock:
            engine.step(given, self._current_hyper() if hyper is None else hyper)

    def _sharded_step(
        self, local: int, grads: Sequence[Any], variables: Sequence[Any], call: Any, summed: bool
    ) -> None:
        """The step of the state that a local replica keeps."""
        shards, whole = self._shards, self._engine
        assert shards is not None
        given = {
            self._var_key(v): typed(type(self).__name__, path(v), self._native(v), g)
            for g, v in zip(grads, variables, strict=True)
            if g is not None
        }
        own = shards.share(call, local, whole, given, summed)
        with self._lock:
            engine = shards.engine(local, whole)
        hyper = self._current_hyper(call)
        if self._spec.global_clipnorm is not None:
            hyper["other_squares"] = shards.other_squares(call, engine, own)
        accumulated = shards.accumulated(call, engine, whole, given)
        with self._lock:  # never while a replica waits for another
            engine.step(own, hyper, accumulated)
        shards.add_sums(call, engine)
        moved = given if self._spec.calls_per_update == 1 and not self._spec.use_ema else whole.targets
        shards.spread(call, local, whole, list(moved))

    @property
    def state_bytes(self) -> int:
        """The bytes of state that this process keeps; with ``shard_state`` a part of the whole."""
        return state_bytes([self._native(v) for v in self.variables])

    def _check_gradients(self, grads: Sequence[Any], variables: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """The gradients and variables, without the variables that no step can move.

        Warns of missing gradients, once for each variable.
        """
        missing = {self._var_key(v): path(v) for g, v in zip(grads, variables, strict=True) if g is None}
        if all(g is None for g in grads):
            names = listed(missing.values())
            raise ValueError(f"{type(self).__name__}: No gradients provided for any variable: {names}")
        taken: list[tuple[Any, Any]] = []
        for g, v in zip(grads, variables, strict=True):
            why_not = "" if self._var_key(v) in self._engine.targets else self._why_not(v)
            if why_not and g is not None:
                raise TypeError(why_not)
            if not why_not:
                taken.append((g, v))
        if new := missing.keys() - self._known_missing:
            self._known_missing.update(new)
            names = listed(name for key, name in missing.items() if key in new)
            warnings.warn(
                f"{type(self).__name__}: Gradients do not exist for variables {names}; they keep their values",
                stacklevel=4,
            )
        return [g for g, _ in taken], [v for _, v in taken]

    def _clip_gradients(self, grads: Sequence[Any]) -> list[Any]:
        """Clips gradients as Keras' method of this name does; wrappers call it."""
        s = self._spec
        return clip([tf.convert_to_tensor(g) for g in grads], s.clipnorm, s.clipvalue, s.global_clipnorm)


def _kind(gradient: Any) -> str:
    if gradient is None:
        return "no gradient"
    return "a sparse gradient" if isinstance(gradient, tf.IndexedSlices) else "a gradient"


def _of_one_model(known: Sequence[str], new: Sequence[str]) -> bool:
    """Whether different paths begin with the name of the same model."""
    models = {name.split("/")[0] for name in (*known, *new) if name.count("/") > 1}
    return len(models) == 1 and all(name.count("/") > 1 for name in (*known, *new)) and set(known).isdisjoint(new)


def _in_repr(value: Any) -> str:
    """An argument in a repr; a function without its address in memory."""
    bare = callable(value) and not hasattr(value, "get_config")
    return f"<{named(value).partition(' ')[2]}>" if bare else repr(value)
