"""The specs of the family, in the order of the alphabet. To add an optimizer, add its spec here and its rule to rules/."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pyadam.arguments import Count, DynamicNumber, Flag, LearningRate, Number, Patterns
from pyadam.specs.base import (
    NON_NEGATIVE,
    UNIT_INTERVAL,
    Spec,
    argument,
    optional,
    weight_decay_field,
)

DECAY_RATE = DynamicNumber(low=0.0, high=1.0, high_open=True)
STEP_SIZE = LearningRate(low=0.0)
NON_POSITIVE = DynamicNumber(high=0.0)
ANY_NUMBER = DynamicNumber()

_KINGMA_BA = "Kingma and Ba (2014), Adam: A Method for Stochastic Optimization, https://arxiv.org/abs/1412.6980, "


def _learning_rate(default: float) -> Any:
    return argument(default, STEP_SIZE, "Step size. A variable is read and a function called at every step.")


def _beta_1(default: float = 0.9) -> Any:
    return argument(default, DECAY_RATE, "Decay rate of the first moment m.")


def _beta_2(default: float = 0.999) -> Any:
    return argument(default, DECAY_RATE, "Decay rate of the second moment v.")


def _epsilon() -> Any:
    return argument(
        1e-7, NON_NEGATIVE, 'Added to the root of v, outside the bias correction ("epsilon hat" of the paper).'
    )


def _epsilon_in_root() -> Any:
    return argument(1e-7, NON_NEGATIVE, "Added to the mean of squares, inside the root.")


def _amsgrad() -> Any:
    return argument(False, Flag(), "Whether to divide by the largest v seen so far (Reddi et al., 2018).")


def _rho(default: float) -> Any:
    return argument(default, UNIT_INTERVAL, "Share of the old value in the running mean of squared gradients.")


def _accumulator() -> Any:
    return argument(0.1, Number(low=0.0), "First value of the sums of squared gradients.")


@dataclass(frozen=True, kw_only=True)
class Adadelta(Spec):
    """Adadelta: step sizes from running means of squared gradients and squared steps."""

    title = "Adadelta"
    r_name = "optimizer_adadelta"
    reference = (
        "Zeiler (2012), ADADELTA: An Adaptive Learning Rate Method, https://arxiv.org/abs/1212.5701, algorithm 1."
    )

    learning_rate: Any = _learning_rate(0.001)
    rho: float = _rho(0.95)
    epsilon: float = argument(1e-7, NON_NEGATIVE, "Added to both means of squares, inside their roots.")


@dataclass(frozen=True, kw_only=True)
class Adafactor(Spec):
    """Adafactor: the second moment of a matrix kept as the means of its rows and columns."""

    title = "Adafactor"
    r_name = "optimizer_adafactor"
    reference = (
        "Shazeer and Stern (2018), Adafactor: Adaptive Learning Rates with Sublinear Memory Cost, "
        "https://arxiv.org/abs/1804.04235, algorithms 4 and 5."
    )

    learning_rate: Any = _learning_rate(0.001)
    beta_2_decay: float = argument(-0.8, NON_POSITIVE, "Power of the step number by which the mean of squares forgets.")
    epsilon_1: float = argument(1e-30, NON_NEGATIVE, "Added to the squared gradient.")
    epsilon_2: float = argument(1e-3, NON_NEGATIVE, "Least root mean square of a weight that its step is scaled by.")
    clip_threshold: float = argument(
        1.0, DynamicNumber(low=0.0, low_open=True), "Largest root mean square of an update before the step size."
    )
    relative_step: bool = argument(
        True, Flag(), "Whether a constant learning rate is limited to 1 / sqrt(t) at the update of number t."
    )


@dataclass(frozen=True, kw_only=True)
class Adagrad(Spec):
    """Adagrad: each element's steps shrink with the squares of all its gradients so far."""

    title = "Adagrad"
    r_name = "optimizer_adagrad"
    reference = (
        "Duchi, Hazan and Singer (2011), Adaptive Subgradient Methods for Online Learning and Stochastic Optimization, "
        "https://jmlr.org/papers/v12/duchi11a.html, figure 1."
    )

    learning_rate: Any = _learning_rate(0.001)
    initial_accumulator_value: float = _accumulator()
    epsilon: float = _epsilon_in_root()


@dataclass(frozen=True, kw_only=True)
class Adam(Spec):
    """Adam: steps scaled by bias-corrected running means of the gradient and of its square."""

    title = "Adam"
    r_name = "optimizer_adam"
    reference = (
        _KINGMA_BA + "section 2, the efficient form before 2.1. AMSGrad: Reddi, Kale and Kumar (2018), "
        "https://arxiv.org/abs/1904.09237, algorithm 2."
    )

    learning_rate: Any = _learning_rate(0.001)
    beta_1: Any = _beta_1()
    beta_2: Any = _beta_2()
    epsilon: float = _epsilon()
    amsgrad: bool = _amsgrad()


@dataclass(frozen=True, kw_only=True)
class AdamW(Spec):
    """AdamW: Adam with weight decay applied to the weights, not mixed into the gradient."""

    title = "AdamW"
    r_name = "optimizer_adam_w"
    reference = (
        "Loshchilov and Hutter (2019), Decoupled Weight Decay Regularization, https://arxiv.org/abs/1711.05101, "
        "algorithm 2, line 12."
    )

    learning_rate: Any = _learning_rate(0.001)
    weight_decay: float = weight_decay_field(0.004, NON_NEGATIVE)
    beta_1: Any = _beta_1()
    beta_2: Any = _beta_2()
    epsilon: float = _epsilon()
    amsgrad: bool = _amsgrad()


@dataclass(frozen=True, kw_only=True)
class Adamax(Spec):
    """Adamax: Adam with the infinity norm in the place of the second moment."""

    title = "Adamax"
    r_name = "optimizer_adamax"
    reference = _KINGMA_BA + "section 7.1 and algorithm 2."

    learning_rate: Any = _learning_rate(0.001)
    beta_1: Any = _beta_1()
    beta_2: Any = argument(0.999, DECAY_RATE, "Decay rate of the infinity norm u.")
    epsilon: float = argument(1e-7, NON_NEGATIVE, "Added to u.")


@dataclass(frozen=True, kw_only=True)
class Ftrl(Spec):
    """Ftrl: follow the regularized leader, whose L1 term sets weights to exactly zero."""

    title = "Ftrl"
    r_name = "optimizer_ftrl"
    reference = (
        "McMahan et al. (2013), Ad Click Prediction: a View from the Trenches, "
        "https://research.google.com/pubs/archive/41159.pdf, algorithm 1."
    )

    learning_rate: Any = _learning_rate(0.001)
    learning_rate_power: float = argument(
        -0.5, NON_POSITIVE, "Power of the sum of squares that scales the step; 0 for none."
    )
    initial_accumulator_value: float = _accumulator()
    l1_regularization_strength: float = argument(0.0, NON_NEGATIVE, "Strength of the L1 term of the leader's problem.")
    l2_regularization_strength: float = argument(0.0, NON_NEGATIVE, "Strength of the L2 term of the leader's problem.")
    l2_shrinkage_regularization_strength: float = argument(
        0.0, NON_NEGATIVE, "Strength of an L2 term that enters as a gradient of the weight, and so shrinks it."
    )
    beta: float = argument(
        0.0, NON_NEGATIVE, "The paper's beta, divided by the learning rate and added to the L2 term."
    )


@dataclass(frozen=True, kw_only=True)
class Lamb(Spec):
    """Lamb: Adam's direction, in every variable as long as the variable itself."""

    title = "Lamb"
    r_name = "optimizer_lamb"
    reference = (
        "You et al. (2019), Large Batch Optimization for Deep Learning: Training BERT in 76 minutes, "
        "https://arxiv.org/abs/1904.00962, algorithm 2."
    )

    learning_rate: Any = _learning_rate(0.001)
    beta_1: Any = _beta_1()
    beta_2: Any = _beta_2()
    epsilon: float = argument(1e-7, NON_NEGATIVE, "Added to the root of the bias-corrected v.")


@dataclass(frozen=True, kw_only=True)
class LazyAdam(Spec):
    """LazyAdam: Adam that moves only those rows of an embedding that have a gradient.

    For dense gradients it is Adam, to the bit. For sparse gradients (``tf.IndexedSlices``) it is another algorithm: Adam moves
    every row at every step. Here rows that name the same index are summed first. Then m, v, weight decay and the weight follow
    Adam's formulas in these rows alone; t is the number of the update, not of the row's own updates. All other rows of weight
    and state keep their bits. Clipping sees the summed rows; in a norm the others count as zeros. The cost of a step grows
    with the rows that it moves.

    A sparse gradient can't be combined with ``use_ema``, with ``gradient_accumulation_steps`` above 1, with a constraint of its
    variable, or with a train step that is compiled as a whole (``jit_compile=True`` in ``compile()``). An error at the step
    says what to change.
    """

    title = "LazyAdam"
    r_name = "optimizer_lazy_adam"
    reference = (
        _KINGMA_BA + "section 2, the efficient form before 2.1. Lazy rows: LazyAdam of TensorFlow Addons, "
        "https://www.tensorflow.org/addons/api_docs/python/tfa/optimizers/LazyAdam."
    )
    in_keras = False

    learning_rate: Any = _learning_rate(0.001)
    beta_1: Any = _beta_1()
    beta_2: Any = _beta_2()
    epsilon: float = _epsilon()
    amsgrad: bool = _amsgrad()


@dataclass(frozen=True, kw_only=True)
class Lion(Spec):
    """Lion: steps of one size, in the sign of momentum and gradient together."""

    title = "Lion"
    r_name = "optimizer_lion"
    reference = (
        "Chen et al. (2023), Symbolic Discovery of Optimization Algorithms, https://arxiv.org/abs/2302.06675, "
        "algorithm 2."
    )

    learning_rate: Any = _learning_rate(0.001)
    beta_1: Any = argument(0.9, DECAY_RATE, "Share of the momentum in the direction of the step.")
    beta_2: Any = argument(0.99, DECAY_RATE, "Decay rate of the momentum.")


@dataclass(frozen=True, kw_only=True)
class Muon(Spec):
    """Muon: momentum made nearly orthogonal for matrices, Adam for everything else."""

    title = "Muon"
    r_name = "optimizer_muon"
    reference = (
        "Jordan et al. (2024), Muon: An optimizer for hidden layers, https://kellerjordan.github.io/posts/muon. "
        "Step size: Liu et al. (2025), Muon is Scalable for LLM Training, https://arxiv.org/abs/2502.16982, equation 4."
    )
    last = (
        "exclude_layers",
        "exclude_embeddings",
        "muon_a",
        "muon_b",
        "muon_c",
        "adam_lr_ratio",
        "momentum",
        "ns_steps",
        "nesterov",
        "rms_rate",
    )

    learning_rate: Any = _learning_rate(0.001)
    adam_beta_1: Any = argument(0.9, DECAY_RATE, "Adam's beta_1, for the variables that Adam updates.")
    adam_beta_2: Any = argument(0.999, DECAY_RATE, "Adam's beta_2.")
    adam_weight_decay: float | None = argument(
        0.004, optional(NON_NEGATIVE), "Decoupled decay of the variables that Adam updates."
    )
    epsilon: float = argument(1e-7, NON_NEGATIVE, "Adam's epsilon.")
    weight_decay: float | None = weight_decay_field(0.004)
    exclude_layers: list[str] | None = argument(
        None, optional(Patterns()), "Matrices whose path one of them matches are left to Adam."
    )
    exclude_embeddings: bool = argument(
        True, Flag(), 'Whether matrices with "embedding" in their path are left to Adam.'
    )
    muon_a: float = argument(3.4445, ANY_NUMBER, "First coefficient of the Newton-Schulz polynomial.")
    muon_b: float = argument(-4.7750, ANY_NUMBER, "Second coefficient of the Newton-Schulz polynomial.")
    muon_c: float = argument(2.0315, ANY_NUMBER, "Third coefficient of the Newton-Schulz polynomial.")
    adam_lr_ratio: float = argument(1.0, NON_NEGATIVE, "Adam's learning rate, as a multiple of learning_rate.")
    momentum: float = argument(0.95, UNIT_INTERVAL, "Share of the old momentum.")
    ns_steps: int = argument(5, Count(at_least=0), "Iterations of Newton and Schulz.")
    nesterov: bool = argument(True, Flag(), "Whether to look one momentum step ahead.")
    rms_rate: float | None = argument(
        0.2, optional(NON_NEGATIVE), "Steps are scaled by rms_rate * sqrt(max(rows, columns)); without it not at all."
    )


@dataclass(frozen=True, kw_only=True)
class Nadam(Spec):
    """Nadam: Adam with Nesterov's look-ahead momentum on Dozat's schedule."""

    title = "Nadam"
    r_name = "optimizer_nadam"
    reference = (
        "Dozat (2016), Incorporating Nesterov Momentum into Adam, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ, "
        "algorithm 2, with the momentum schedule of section 2."
    )

    learning_rate: Any = _learning_rate(0.001)
    beta_1: Any = _beta_1()
    beta_2: Any = _beta_2()
    epsilon: float = _epsilon()


@dataclass(frozen=True, kw_only=True)
class RMSprop(Spec):
    """RMSprop: the gradient over the root of a running mean of its square."""

    title = "RMSprop"
    r_name = "optimizer_rmsprop"
    reference = (
        "Tieleman and Hinton (2012), Neural Networks for Machine Learning, lecture 6.5. Centred: Graves (2013), "
        "https://arxiv.org/abs/1308.0850, equations 38 to 45."
    )
    function_defaults = MappingProxyType({"ema_overwrite_frequency": 100})

    learning_rate: Any = _learning_rate(0.001)
    rho: float = _rho(0.9)
    momentum: float = argument(0.0, UNIT_INTERVAL, "Share of the last step in the next.")
    epsilon: float = _epsilon_in_root()
    centered: bool = argument(
        False, Flag(), "Whether to divide by an estimate of the variance, not of the second moment."
    )


@dataclass(frozen=True, kw_only=True)
class SGD(Spec):
    """SGD: gradient descent, with momentum if asked for."""

    title = "SGD"
    r_name = "optimizer_sgd"
    reference = (
        "Robbins and Monro (1951), A Stochastic Approximation Method; momentum: Sutskever et al. (2013), "
        "https://proceedings.mlr.press/v28/sutskever13.html, equations 1 to 4."
    )
    ignored = MappingProxyType({"amsgrad": False})
    ignored_after = "nesterov"

    learning_rate: Any = _learning_rate(0.01)
    momentum: float = argument(0.0, UNIT_INTERVAL, "Share of the last step in the next.")
    nesterov: bool = argument(False, Flag(), "Whether to look one momentum step ahead.")


SPECS: dict[str, type[Spec]] = {spec.__name__: spec for spec in Spec.__subclasses__()}
