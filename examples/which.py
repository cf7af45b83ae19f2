"""Which optimizer? All of them on three small problems, each at the best of four learning rates.

python examples/which.py [FILE]    trains, prints the table, and writes all losses to FILE if it is given

Everything but the learning rate is a default. The rates are a tenth of the default, the default, and ten and a hundred times as
much. A seed decides the initial weights, the batches, and which rows are training, validation and test data: 60, 20 and 20 %.
The best rate has the lowest mean validation loss; the table shows losses on the test data, which decided nothing.
"""

import json
import math
import statistics
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import pyadam
from pyadam.optimizers import RULES

FACTORS = (0.1, 1.0, 10.0, 100.0)
INSTEAD = {"Adadelta": 1.0}  # of its default of 0.001, which Keras chose; the paper has no learning rate
SEEDS = (1, 2, 3)
STEPS = 300
BATCH = 32
OVER_ALL = ("mean rank", "best and worst", "better than Adam", "state")


@dataclass(frozen=True)
class Problem:
    """A data set with a network for it.

    Attributes:
        data: returns inputs and targets.
        layers: from the module ``keras.layers`` to the layers.
        loss: its name in Keras.
    """

    data: Callable
    layers: Callable
    loss: str


def digits():
    """1,797 pictures of 8 x 8 pixels, in ten classes."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return found.images[..., None] / 16, found.target


def diabetes():
    """442 patients: the progression of their disease, from ten measurements, all in standard deviations."""
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True)
    return x / x.std(axis=0), ((y - y.mean()) / y.std())[:, None]


def cancer():
    """569 tumors, benign or not, from 30 measurements; each is a word: which of ten equal parts of all tumors it lies in."""
    from sklearn.datasets import load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    part = 10 * x.argsort(axis=0).argsort(axis=0) // len(x)
    return part + 10 * np.arange(30), y[:, None]


PROBLEMS = {
    "digits": Problem(
        digits,
        lambda layers: [
            layers.Conv2D(16, 3, activation="relu"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ],
        "sparse_categorical_crossentropy",
    ),
    "diabetes": Problem(
        diabetes,
        lambda layers: [layers.Dense(64, activation="relu"), layers.Dense(64, activation="relu"), layers.Dense(1)],
        "mse",
    ),
    "cancer": Problem(
        cancer,
        lambda layers: [
            layers.Embedding(300, 8),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ],
        "binary_crossentropy",
    ),
}


# --- training ------------------------------------------------------------------------------------------------------------


def losses(problem, seed, optimizers):
    """The losses on validation and test data, after each of the optimizers has trained from the same weights."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    x, y = problem.data()
    train, *others = np.split(rng.permutation(len(x)), [len(x) * 3 // 5, len(x) * 4 // 5])
    epochs = [rng.permutation(train)[: len(train) // BATCH * BATCH].reshape(-1, BATCH) for _ in range(STEPS)]
    batches = np.concatenate(epochs)[:STEPS]
    model = keras.Sequential([keras.Input(x.shape[1:]), *problem.layers(keras.layers)])
    model.compile(loss=problem.loss)
    weights = model.get_weights()

    @tf.function
    def loss(x, y):
        return model.compute_loss(y=y, y_pred=model(x))

    @tf.function
    def gradients(x, y):
        with tf.GradientTape() as tape:
            value = loss(x, y)
        return tape.gradient(value, model.trainable_variables)

    for optimizer in optimizers:
        model.set_weights(weights)
        for rows in batches:
            optimizer.apply(gradients(x[rows], y[rows]), model.trainable_variables)
        with optimizer.averaged_weights() if optimizer.keeps_averages else nullcontext():
            yield [float(loss(x[rows], y[rows])) for rows in others]


def measured():
    """All losses, by problem, optimizer and learning rate: for each seed one on validation data and one on test data."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)  # sums don't depend on the number of cores then
    tried = [(name, rate) for name in pyadam.specs.SPECS for rate in rates(name)]
    runs = {title: {name: {} for name, _ in tried} for title in PROBLEMS}
    for title, problem in PROBLEMS.items():
        for seed in SEEDS:
            optimizers = (getattr(pyadam, name)(rate) for name, rate in tried)
            for (name, rate), found in zip(tried, losses(problem, seed, optimizers), strict=True):
                runs[title][name].setdefault(f"{rate:g}", []).append([_written(loss) for loss in found])
                print(f"{title:<10}seed {seed}  {name:<20}{rate:<8g}{found}", file=sys.stderr, flush=True)
    return runs


def rates(name):
    """The learning rates that are tried."""
    return [factor * INSTEAD.get(name, pyadam.specs.SPECS[name].learning_rate) for factor in FACTORS]


def _written(loss):
    """Five digits of a loss; None if the training diverged."""
    return float(f"{loss:.5g}") if math.isfinite(loss) else None


# --- the table -----------------------------------------------------------------------------------------------------------


def best(runs):
    """The learning rate with the lowest mean validation loss, and the test losses there."""
    found = {
        rate: [[math.inf if loss is None else loss for loss in pair] for pair in pairs] for rate, pairs in runs.items()
    }
    rate = min(found, key=lambda rate: statistics.mean(validation for validation, _ in found[rate]))
    return float(rate), [test for _, test in found[rate]]


def kept(name):
    """How many numbers the optimizer keeps for each weight of a large matrix."""
    rule = RULES[pyadam.specs.SPECS[name]]
    shape = (10**4, 10**4)
    slots = [slot for group in rule.slots(rule.spec(), shape, "kernel") for slot in group]
    return round(sum(math.prod(shape if slot.shape is None else slot.shape) for slot in slots) / math.prod(shape))


def table(runs):
    """The lines of a markdown table, the lowest mean rank first."""
    names = list(pyadam.specs.SPECS)
    found = {name: [best(of[name]) for of in runs.values()] for name in names}
    tests = np.array([[loss for _, tests in found[name] for loss in tests] for name in names])
    ranks = 1 + (tests[None] < tests[:, None]).sum(axis=1)
    better = (tests < tests[names.index("Adam")]).sum(axis=1)
    lines = [["", *(head for title in runs for head in (f"{title}: loss", "rate")), *OVER_ALL]]
    lines.append(["---"] * len(lines[0]))
    for i in np.argsort(ranks.mean(axis=1), kind="stable"):
        cells = [cell for rate, losses in found[names[i]] for cell in _cells(names[i], rate, losses)]
        over_all = [f"{ranks[i].mean():.1f}", f"{ranks[i].min()}-{ranks[i].max()}", f"{better[i]} of {len(tests[i])}"]
        lines.append([names[i], *cells, *over_all, str(kept(names[i]))])
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _cells(name, rate, tests):
    """The median and the range of some test losses, and the rate, marked where it is the lowest or highest that was tried."""
    edge = {0: "≤ ", len(FACTORS) - 1: "≥ "}.get([f"{each:g}" for each in rates(name)].index(f"{rate:g}"), "")
    return f"{statistics.median(tests):.3f} ({min(tests):.3f}-{max(tests):.3f})", f"{edge}{rate:g}"


def main(file=None):
    runs = measured()
    if file:
        from pyadam.bench.results import facts

        Path(file).write_text(json.dumps({"facts": facts(), "runs": runs}, indent=1) + "\n")
    print("\n".join(table(runs)))


if __name__ == "__main__":
    main(*sys.argv[1:])
