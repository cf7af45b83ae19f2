"""The floor: `floor.c`, compiled on the spot."""

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from pyadam.bench.columns import RATE, Column
from pyadam.bench.peers import NotOffered
from pyadam.parity.inputs import Slices

_SOURCE = Path(__file__).with_name("floor.c")
_ARRAYS = ("w", "m", "v", "top", "average", "g")
_NUMBERS = ("rate", "decay", "clip", "share", "one_minus_b1", "one_minus_b2", "epsilon", "momentum")
_STATES = {"sgd": "", "momentum": "m", "adagrad": "v", "adam": "mv", "amsgrad": ("m", "v", "top")}


class _Step(ctypes.Structure):
    """``Step`` of the C source."""

    _fields_ = [
        ("size", ctypes.c_long),
        *((name, ctypes.c_void_p) for name in _ARRAYS),
        *((name, ctypes.c_float) for name in _NUMBERS),
    ]


def _compiled() -> ctypes.CDLL:
    compiler = os.environ.get("CC") or shutil.which("cc")
    if not compiler:
        raise NotOffered("there is no C compiler (cc on the PATH, or CC)")
    with tempfile.TemporaryDirectory(prefix="pyadam-bench-") as folder:
        library = Path(folder, "floor.so")
        # not -ffast-math: loading a library built with it disables subnormal numbers in the whole process
        fast = ["-O3", "-march=native", "-fopenmp", "-fno-math-errno", "-fno-trapping-math", "-freciprocal-math"]
        flags = [*fast, "-shared", "-fPIC"]
        run = subprocess.run(
            [compiler, *flags, str(_SOURCE), "-o", str(library), "-lm"], capture_output=True, text=True, check=False
        )
        if run.returncode:
            raise NotOffered(f"{compiler} can't compile it: {' '.join(run.stderr.split())[-200:]}")
        return ctypes.CDLL(str(library))


class Run:
    """One function call a step, on flat arrays."""

    def __init__(self, column: Column, weights: Iterable[np.ndarray], gradients: Iterable[np.ndarray | Slices]) -> None:
        library = _compiled()
        self.column, given = column, column.keras[1]
        found = list(weights)
        self.shapes = [w.shape for w in found]
        self.w = np.concatenate([w.ravel() for w in found])
        gradients = list(gradients)
        rows = gradients[0] if isinstance(gradients[0], Slices) else None
        name = column.name if column.name in _STATES else "adam"
        if rows is not None and column.by_row:
            self.g = rows.values
        else:
            rows = None
            self.g = np.concatenate([(g.dense() if isinstance(g, Slices) else g).ravel() for g in gradients])
        self.arguments = {"decay": given.get("weight_decay", 0), "clip": column.clip or 0}
        self.arguments |= {"epsilon": given.get("epsilon", 0), "momentum": given.get("momentum", 0)}
        self.betas = given.get("beta_1"), given.get("beta_2")
        self.states: dict[str, np.ndarray] = {}
        self.names = _STATES[name]
        self.start = given.get("initial_accumulator_value", 0)
        self.t = 0
        suffix = "_average" if column.average is not None else "_rows" if rows is not None else ""
        self.function = getattr(library, name + suffix)
        self.function.restype = None
        self.rows: tuple = ()
        if rows is not None:
            self.indices = rows.indices
            sizes = map(ctypes.c_long, rows.values.shape)
            self.rows = (ctypes.c_void_p(self.indices.ctypes.data), *sizes)

    def step(self) -> None:
        if self.t == 0:
            self.states = {name: np.full(self.w.size, self.start, np.float32) for name in self.names}
            if self.column.average is not None:
                self.states["average"] = np.zeros(self.w.size, np.float32)
        self.t += 1
        rate, share = RATE, 1 - (self.column.average or 0)
        numbers = dict(self.arguments)
        if self.betas[0] is not None:
            b1, b2 = self.betas
            rate *= (1 - b2**self.t) ** 0.5 / (1 - b1**self.t)
            numbers |= {"one_minus_b1": 1 - b1, "one_minus_b2": 1 - b2, "decay": numbers["decay"] * RATE / rate}
        arrays = {name: x.ctypes.data for name, x in ({"w": self.w, "g": self.g} | self.states).items()}
        step = _Step(size=self.w.size, rate=rate, share=1 if self.t == 1 else share, **numbers, **arrays)
        self.function(ctypes.byref(step), *self.rows)

    def values(self) -> list[np.ndarray]:
        ends = np.cumsum([np.prod(shape, dtype=int) for shape in self.shapes])[:-1]
        flat = [self.w] + ([self.states["average"]] if self.column.average is not None else [])
        return [x.reshape(s) for each in flat for x, s in zip(np.split(each, ends), self.shapes, strict=True)]
