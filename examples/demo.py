"""`make demo`: runs digits.py and digits.R as users would, and compares them bit by bit with each other and with Keras."""

import json
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import h5py
import numpy as np
from matplotlib.figure import Figure

from pyadam.parity.compare import apart

HERE = Path(__file__).parent
OUT = HERE.parent / "demo-out"

# What Keras saves, in this order.
WEIGHTS = [f"{layer}/{kind}" for layer in ("dense", "dense_1") for kind in ("kernel", "bias")]
STATE = ["iteration", "learning rate"] + [f"{moment} of {w}" for w in WEIGHTS for moment in ("momentum", "velocity")]


def main():
    OUT.mkdir(exist_ok=True)
    print(
        "Training the same network on scikit-learn's digits, three times; each takes some 15 seconds of processor time"
    )
    run("from Python: examples/digits.py", [sys.executable, HERE / "digits.py", OUT / "python"])
    run("from R: examples/digits.R", ["Rscript", HERE / "digits.R", OUT / "r"])
    run("from Python, with Keras' own Adam", [sys.executable, __file__, "keras"])

    python, r, keras = (results(OUT / name) for name in ("python", "r", "keras"))
    different = table(python, r, keras)
    draw(python, r, keras, OUT / "digits.png")
    ours, theirs, peers = (f"{run['val_accuracy'][-1]:.2%}" for run in (python, r, keras))
    print(f"\nunseen digits read correctly: {ours} from Python, {theirs} from R, {peers} with Keras' own Adam")
    print(f"the curves are in {(OUT / 'digits.png').relative_to(HERE.parent)}")
    if different:
        sys.exit(f"Python and R differ in {different} numbers")
    print("Python and R agree in every bit")
    print("\npyadam is in .venv and .r-lib now: docs/guide/start.md says how to use it from there")


def run(label, command):
    """Runs a program, with a dot every five seconds; its output is shown if it fails."""
    print(f"  {label:<40}", end=" ", flush=True)
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        running = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        while running.poll() is None:
            try:
                running.wait(5)
            except subprocess.TimeoutExpired:
                print(".", end="", flush=True)
        if running.returncode != 0:
            output.seek(0)
            sys.exit(f" failed\n{output.read()}")
    print(f" {time.perf_counter() - start:.0f} s")


def train_with_keras():
    """digits.py with Keras' optimizer instead of pyadam's."""
    from digits import keras, save, train

    save(str(OUT / "keras"), *train(keras.optimizers.Adam(1e-3)))


def results(file):
    """The contents of a run's two files: weights, all optimizer state, and losses, by name, as arrays."""
    with zipfile.ZipFile(file.with_suffix(".keras")) as saved, saved.open("model.weights.h5") as weights:
        found = []

        def visit(path, item):
            if isinstance(item, h5py.Dataset) and "/vars/" in path:  # other entries are pyadam's notes on these
                found.append(item[()])

        h5py.File(weights).visititems(visit)
    arrays = dict(zip([*WEIGHTS, *STATE], found, strict=True))
    losses = json.loads(file.with_suffix(".json").read_text())
    return arrays | {name: np.float32(values) for name, values in losses.items()}


def table(python, r, keras):
    """Prints how far apart the runs are. Returns how many numbers differ between Python and R."""
    print(f"\n{'':32}{'':>8}  {'Python and R':^22}  {'pyadam and Keras':^18}")
    print(f"{'after 15 epochs':<32}{'numbers':>8}  {'differing':>11} {'max ULP':>10}  {'max difference':>18}")
    different = 0
    for name, ours in python.items():
        theirs, peer = r[name], keras[name]
        differing = sum(a.tobytes() != b.tobytes() for a, b in zip(ours.ravel(), theirs.ravel(), strict=True))
        ulps = apart(ours, theirs, str(ours.dtype))
        share = np.max(np.abs(ours - peer)) / np.max(np.abs(peer))
        print(f"{name:<32}{ours.size:>8,}  {differing:>11} {ulps:>10g}  {share:>18.1e}")
        different += differing
    print("(ULP: units in the last place. Max difference: as a share of the largest number; about 1e-5 is rounding.)")
    return different


def draw(python, r, keras, file):
    """Plots the curves of the three runs, and how far apart they are."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = np.arange(1, len(python["loss"]) + 1)
    for name, color in (("loss", "C0"), ("val_loss", "C1")):
        label = {"loss": "training", "val_loss": "unseen digits"}[name]
        left.plot(epochs, keras[name], color, linewidth=5, alpha=0.25, label=f"{label}, Keras")
        left.plot(epochs, python[name], color, label=f"{label}, pyadam from Python")
        left.plot(epochs, r[name], color, linestyle="", marker="o", fillstyle="none", label=f"{label}, pyadam from R")
        right.plot(epochs, np.abs(python[name] - keras[name]), color, label=f"{label}, pyadam from Keras")
        gap = np.abs(python[name] - r[name])
        right.plot(epochs, gap, color, linestyle=":", marker="o", fillstyle="none", label=f"{label}, Python from R")
    left.set(title="Loss", xlabel="epoch", yscale="log")
    right.set(title="Difference of the losses", xlabel="epoch")
    right.set_yscale("symlog", linthresh=1e-9)
    for axes in (left, right):
        axes.legend(fontsize=8)
        axes.grid(alpha=0.3)
    figure.suptitle("The same network, trained on scikit-learn's digits with Adam")
    figure.savefig(file, dpi=120)


if __name__ == "__main__":
    train_with_keras() if sys.argv[1:] == ["keras"] else main()
