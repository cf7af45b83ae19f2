"""Which optimizer? All of them on three small problems, each at the best of four learning rates.

python examples/which.py [FILE]    trains, prints what comes of it, and writes all losses to FILE if it is given

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


def losses(problem, name):
    """By learning rate, for each seed the losses on validation and on test data. One program trains all, from fresh state."""
    import keras
    import tensorflow as tf

    x, y = problem.data()

    def network():
        return keras.Sequential([keras.Input(x.shape[1:]), *problem.layers(keras.layers)])

    model, optimizer = network(), getattr(pyadam, name)()
    model.compile(loss=problem.loss)
    optimizer.build(model.trainable_variables)
    state = [variable.numpy() for variable in optimizer.variables]

    @tf.function
    def loss(x, y):
        return model.compute_loss(y=y, y_pred=model(x))

    @tf.function
    def train(x, y):
        for step in tf.range(STEPS):
            with tf.GradientTape() as tape:
                value = loss(x[step], y[step])
            optimizer.apply(tape.gradient(value, model.trainable_variables), model.trainable_variables)

    found = {f"{rate:g}": [] for rate in rates(name)}
    for seed in SEEDS:
        keras.utils.set_random_seed(seed)
        weights, (batches, *others) = network().get_weights(), parts(len(x), seed)
        for rate in rates(name):
            model.set_weights(weights)
            for variable, value in zip(optimizer.variables, state, strict=True):
                variable.assign(value)
            optimizer.learning_rate = rate
            train(x[batches], y[batches])
            with optimizer.averaged_weights() if optimizer.keeps_averages else nullcontext():
                found[f"{rate:g}"].append([_written(loss(x[rows], y[rows])) for rows in others])
    return found


def parts(rows, seed):
    """The rows of each batch, those for validation and those for tests."""
    rng = np.random.default_rng(seed)
    train, validation, test = np.split(rng.permutation(rows), [rows * 3 // 5, rows * 4 // 5])
    whole = len(train) // BATCH * BATCH
    epochs = [rng.permutation(train)[:whole].reshape(-1, BATCH) for _ in range(STEPS * BATCH // whole + 1)]
    return np.concatenate(epochs)[:STEPS], validation, test


def measured():
    """All losses, by problem, optimizer and learning rate: for each seed one on validation data and one on test data."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)  # sums don't depend on the number of cores then
    runs = {title: {} for title in PROBLEMS}
    for title, problem in PROBLEMS.items():
        for name in pyadam.specs.SPECS:
            runs[title][name] = losses(problem, name)
            print(f"{title:<10}{name:<20}learning rate {best(runs[title][name])[0]:g}", file=sys.stderr, flush=True)
    return runs


def rates(name):
    """The learning rates that are tried."""
    return [factor * INSTEAD.get(name, pyadam.specs.SPECS[name].learning_rate) for factor in FACTORS]


def _written(loss):
    """Five digits of a loss; None if the training diverged."""
    return float(f"{float(loss):.5g}") if math.isfinite(loss) else None


# --- the table -----------------------------------------------------------------------------------------------------------


def best(runs):
    """The learning rate with the lowest mean validation loss, and the test losses there."""
    means = validation(runs)
    rate = min(means, key=means.get)
    return float(rate), [_read(test) for _, test in runs[rate]]


def validation(runs):
    """The mean validation loss by learning rate."""
    return {rate: statistics.mean(_read(loss) for loss, _ in pairs) for rate, pairs in runs.items()}


def _read(loss):
    return math.inf if loss is None else loss


def kept(name):
    """How many numbers the optimizer keeps for each weight of a large matrix."""
    rule = RULES[pyadam.specs.SPECS[name]]
    shape = (10**4, 10**4)
    slots = [slot for group in rule.slots(rule.spec(), shape, "kernel") for slot in group]
    return round(sum(math.prod(shape if slot.shape is None else slot.shape) for slot in slots) / math.prod(shape))


def ranked(runs):
    """The names, the test losses of each at its best rates, and their ranks in each run, as arrays."""
    names = list(pyadam.specs.SPECS)
    tests = np.array([[loss for of in runs.values() for loss in best(of[name])[1]] for name in names])
    return names, tests, 1 + (tests[None] < tests[:, None]).sum(axis=1)


def table(runs):
    """The lines of a markdown table, the lowest mean rank first."""
    names, tests, ranks = ranked(runs)
    better = (tests < tests[names.index("Adam")]).sum(axis=1)
    lines = [["", *(head for title in runs for head in (f"{title}: loss", "rate")), *OVER_ALL]]
    lines.append(["---"] * len(lines[0]))
    for i in np.argsort(ranks.mean(axis=1), kind="stable"):
        cells = [cell for of in runs.values() for cell in _cells(names[i], *best(of[names[i]]))]
        over_all = [f"{ranks[i].mean():.1f}", f"{ranks[i].min()}-{ranks[i].max()}"]
        over_all.append("-" if names[i] == "Adam" else f"{better[i]} of {len(tests[i])}")
        lines.append([names[i], *cells, *over_all, str(kept(names[i]))])
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _cells(name, rate, tests):
    """The median and the range of some test losses, and the rate, marked where it is the lowest or highest that was tried."""
    edge = {0: "≤ ", len(FACTORS) - 1: "≥ "}.get([f"{each:g}" for each in rates(name)].index(f"{rate:g}"), "")
    return f"{statistics.median(tests):.3f} ({min(tests):.3f}-{max(tests):.3f})", f"{edge}{rate:g}"


def sentences(runs):
    """What the losses say of optimizers and of rates, in markdown."""
    _, tests, ranks = ranked(runs)
    both = (ranks.min(axis=1) <= 5) & (ranks.max(axis=1) > len(ranks) - 5)
    seeds, medians = {}, {}
    for title, losses in zip(runs, np.split(tests, len(runs), axis=1), strict=True):
        middle = np.median(losses, axis=1)
        medians[title] = np.median(middle) / middle.min()
        seeds[title] = np.median(losses.max(axis=1) / losses.min(axis=1))
    means = [list(validation(each).values()) for of in runs.values() for each in of.values()]
    places = [each.index(min(each)) for each in means]
    tenth, default, ten, hundred = (places.count(i) for i in range(len(FACTORS)))
    higher = statistics.median(
        each[i + 1] / each[i] for each, i in zip(means, places, strict=True) if i + 1 < len(each)
    )
    lower = statistics.median(each[i - 1] / each[i] for each, i in zip(means, places, strict=True) if i)
    return [
        f"- {both.sum()} of {len(ranks)} optimizers are among the best five in one run, and among the last five in another.",
        f"- The worst of three seeds has {_times(seeds)} the loss of the best (the median of the optimizers).",
        f"- The median optimizer has {_times(medians)} the loss of the best one.",
        f"- Ten times the best rate has {higher:.1f} times its validation loss, a tenth of it {lower:.1f} times (medians).",
        f"- The best rate is a tenth of the default in {tenth} of {len(places)} cases, the default in {default}, ten times the "
        f"default in {ten}, and a hundred times in {hundred}.",
    ]


def _times(found):
    return ", ".join(f"{value:.1f} times ({title})" for title, value in found.items())


def main(file=None):
    runs = measured()
    if file:
        from pyadam.bench.results import facts

        Path(file).write_text(json.dumps({"facts": facts(), "runs": runs}, indent=1) + "\n")
    print("\n".join([*table(runs), "", *sentences(runs)]))


if __name__ == "__main__":
    main(*sys.argv[1:])
