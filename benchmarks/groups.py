"""What groups cost: a step of AdamW with groups, over one without, in turn in one process.

python benchmarks/groups.py [MODEL ...]

The groups are those of a fine-tuning: biases and norms without decay, and ten depths with learning rates of their own.
"""

import os
import statistics
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf

import pyadam
from pyadam.bench.models import find

ROUNDS, SECONDS = 9, 0.3
DEPTHS = 10


def groups(shapes):
    """Rates that shrink with the distance from the last variable; vectors have no decay."""
    found = {}
    for number, shape in enumerate(shapes):
        depth = number * DEPTHS // len(shapes)
        found.setdefault((depth, len(shape) < 2), []).append(f"v{number}")
    return [
        {"variables": names, "learning_rate_factor": 0.8 ** (DEPTHS - 1 - depth)}
        | ({"weight_decay": 0.0} if vector else {})
        for (depth, vector), names in found.items()
    ]


def made(model, given):
    """A function that takes a step, and the optimizer that takes it."""
    variables = [keras.Variable(w, name=f"v{number}") for number, w in enumerate(model.weights())]
    gradients = [tf.constant(g) for g in model.gradients()]
    optimizer = pyadam.AdamW(1e-3, **given)
    optimizer.build(variables)

    def step():
        optimizer.apply(gradients, variables)
        return variables[0].numpy()

    step()
    return step, optimizer


def timed(step):
    """Seconds of a step."""
    count, start = 0, time.perf_counter()
    while count < 3 or time.perf_counter() - start < SECONDS:
        step()
        count += 1
    return (time.perf_counter() - start) / count


def main(names):
    print(f"{'':<16}{'groups':>8}{'programs':>10}{'plain ms':>10}{'ratio':>8}")
    for name in names or ["small", "mobilenet", "resnet"]:
        model = find(name)
        given = groups(model.shapes)
        (plain, _), (grouped, optimizer) = made(model, {}), made(model, {"groups": given})
        rounds = [(timed(plain), timed(grouped)) for _ in range(ROUNDS)]
        ratio = statistics.median(b / a for a, b in rounds)
        least = min(a for a, _ in rounds) * 1e3
        print(f"{name:<16}{len(given):>8}{len(optimizer._engine.programs):>10}{least:>10.2f}{ratio:>8.3f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
