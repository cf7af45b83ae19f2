"""Two workers train a network, one is killed, both are started again: is the result the same in every bit?

python examples/workers/run.py    trains with worker.py and worker.R, and compares all runs; takes two minutes
"""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
OUT = ROOT / "demo-out"

PROGRAMS = {"Python": [sys.executable, HERE / "worker.py"], "R": ["Rscript", HERE / "worker.R"]}
WORKERS = 2
KILL_AT = 110  # the step after which the last worker is killed
PATIENCE = 300  # seconds

# What the checkpoints contain, in the order of their keys.
WEIGHTS = [f"{layer}/{kind}" for layer in ("dense", "dense_1") for kind in ("kernel", "bias")]
STATE = ["iteration", "learning rate"] + [f"{moment} of {w}" for w in WEIGHTS for moment in ("momentum", "velocity")]


def main():
    shutil.rmtree(OUT / "workers", ignore_errors=True)
    folders = {}
    for language, program in PROGRAMS.items():
        print(f"Training on {WORKERS} workers from {language}")
        whole, killed = (OUT / "workers" / f"{language}-{name}" for name in ("whole", "killed"))
        folders |= {language: whole, f"{language}, killed": killed}
        with phase("from the first step to the last"), started(program, whole) as workers:
            finish(workers, whole)
        program = [*program, "divided"]
        with phase(f"with divided state, until worker {WORKERS - 1} is killed"), started(program, killed) as workers:
            said = kill_last(workers, killed)
        print(f"    {said}")
        with phase("both started again, from the last checkpoint"), started(program, killed) as workers:
            finish(workers, killed)

    different = table(folders)
    draw(folders, OUT / "workers.png")
    print(f"\nthe curves are in {(OUT / 'workers.png').relative_to(ROOT)}")
    if different:
        sys.exit(f"the runs differ in {different} numbers")
    print("all workers of all runs agree in every bit")


@contextlib.contextmanager
def phase(label):
    """Prints what is being done, and how long it took."""
    print(f"  {label:<56}", end="", flush=True)
    start = time.perf_counter()
    yield
    print(f"{time.perf_counter() - start:6.1f} s")


@contextlib.contextmanager
def started(program, folder):
    """Processes that run a program as workers of one cluster; whatever happens, none is left behind."""
    folder.mkdir(parents=True, exist_ok=True)
    addresses = [f"127.0.0.1:{port}" for port in free_ports(WORKERS)]
    workers = []
    try:
        for worker in range(WORKERS):
            task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": worker}}
            with open(folder / f"{worker}.log", "a") as out, open(folder / f"{worker}.err", "w") as err:
                environment = os.environ | {"TF_CONFIG": json.dumps(task)}
                workers.append(
                    subprocess.Popen([*program[:2], folder, *program[2:]], env=environment, stdout=out, stderr=err)
                )
        yield workers
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


def finish(workers, folder):
    """Waits for the end of all workers. If one fails, its errors are shown."""
    for number, worker in enumerate(workers):
        if worker.wait(PATIENCE) != 0:
            sys.exit(f" worker {number} failed\n{(folder / f'{number}.err').read_text()}")


def kill_last(workers, folder):
    """Kills the last worker in the middle. Returns what the first one says about it, and when."""
    last = WORKERS - 1
    while not (steps := losses(folder, last)) or steps[-1][0] < KILL_AT:
        if workers[last].poll() is not None:
            finish(workers[last:], folder)
        time.sleep(0.01)
    workers[last].kill()
    start = time.perf_counter()
    workers[0].wait(PATIENCE)
    seconds = time.perf_counter() - start
    errors = (folder / "0.err").read_text()
    said = [re.search(pattern, errors) for pattern in (r"\w+Error", r"Collective ops .*(\n/job.*)?")]
    error = ": ".join(" ".join(found[0].split()) for found in said if found)
    step = losses(folder, last)[-1][0]
    return f"killed at step {step}; {seconds:.1f} s later worker 0 ended: {error or 'without an error'}"


def losses(folder, worker=0):
    """The steps that a worker has taken, and their losses, as it printed them."""
    lines = (folder / f"{worker}.log").read_text().split("\n")[:-1]  # what follows the last end of line is not complete
    return [(int(step), np.float32(loss)) for step, loss in map(str.split, lines)]


def results(folder, worker):
    """The losses of a run, and all weights and all state in a worker's last checkpoint, by name, as arrays."""
    saved = tf.train.load_checkpoint(tf.train.latest_checkpoint(folder / str(worker)))
    keys = sorted(key for key in saved.get_variable_to_shape_map() if key.startswith(("model/", "optimizer/")))
    values = dict(losses(folder, worker))  # of a step that was taken twice, the last
    arrays = dict(zip([*WEIGHTS, *STATE], map(saved.get_tensor, keys), strict=True))
    return arrays | {"loss of each step": np.array([values[step] for step in sorted(values)])}


def table(folders):
    """Prints how many numbers of each run, on any worker, differ from those of the first. Returns how many it are in all."""
    first = results(next(iter(folders.values())), 0)
    steps = first["loss of each step"].size
    print(f"\n{'':32}{'':>8}  {'differing from worker 0 of the first run':^{17 * len(folders)}}")
    print(f"{f'after {steps} steps':<32}{'numbers':>8}  {''.join(f'{name:>17}' for name in folders)}")
    total = 0
    runs = [[results(folder, worker) for worker in range(WORKERS)] for folder in folders.values()]
    for name, expected in first.items():
        counts = [sum(differing(expected, worker[name]) for worker in run) for run in runs]
        print(f"{name:<32}{np.size(expected):>8,}  {''.join(f'{count:>17}' for count in counts)}")
        total += sum(counts)
    return total


def differing(a, b):
    """How many numbers of two arrays do not have the same bits."""
    return sum(x.tobytes() != y.tobytes() for x, y in zip(np.ravel(a), np.ravel(b), strict=True))


def draw(folders, file):
    """Plots the losses of the runs: all steps that were taken, also those that were lost and taken again."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    for language, axes in zip(PROGRAMS, figure.subplots(1, len(PROGRAMS), sharey=True), strict=True):
        axes.plot(*zip(*losses(folders[language]), strict=True), "C0", linewidth=5, alpha=0.25, label="to the end")
        taken = losses(folders[f"{language}, killed"])
        again = next(i for i in range(1, len(taken)) if taken[i][0] <= taken[i - 1][0])
        axes.plot(*zip(*taken[:again], strict=True), "C1", label="until a worker was killed")
        axes.plot(*zip(*taken[again:], strict=True), "C2", linestyle=":", label="from the last checkpoint")
        axes.axvline(taken[again - 1][0], color="C1", linewidth=0.8)
        axes.axvline(taken[again][0] - 1, color="C2", linewidth=0.8, linestyle=":")
        axes.set(title=f"Trained from {language}", xlabel="step", ylabel="loss", yscale="log")
        axes.legend(fontsize=8)
        axes.grid(alpha=0.3)
    figure.suptitle(f"The same network, trained on {WORKERS} workers with Adam")
    figure.savefig(file, dpi=120)


if __name__ == "__main__":
    main()
