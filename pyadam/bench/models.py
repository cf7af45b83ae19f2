"""What a step is computed on: the shapes of well-known models, and their weights and gradients."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pyadam.bench.columns import Column
from pyadam.parity.inputs import Slices

__all__ = ["MODELS", "Model", "find"]

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Model:
    """A list of trainable tensors, all float32.

    Attributes:
        name: on the command line.
        title: in tables.
        shapes: shapes of the tensors.
        rows: how many rows of the single tensor have a gradient; None for dense gradients.
    """

    name: str
    title: str
    shapes: tuple[Shape, ...]
    rows: int | None = None

    @property
    def parameters(self) -> int:
        """The number of trainable parameters."""
        return sum(map(math.prod, self.shapes))

    def bytes(self, column: Column) -> int:
        """The bytes that a step has to move."""
        touched = self.parameters
        if self.rows is not None and column.by_row:
            touched = touched // self.shapes[0][0] * self.rows
        return touched * column.bytes_per_parameter

    def weights(self) -> Iterator[np.ndarray]:
        """The weights before the first step, the same at every call; one at a time, to save memory."""
        rng = np.random.default_rng(1)
        for shape in self.shapes:
            yield rng.random(shape, np.float32) - np.float32(0.5)

    def gradients(self) -> Iterator[np.ndarray | Slices]:
        """The gradients of every step, none of them near zero, where the libraries' different epsilons would matter."""
        rng = np.random.default_rng(2)
        for shape in self.shapes:
            if self.rows is None:
                yield _away_from_zero(rng.random(shape, np.float32))
            else:
                indices = rng.choice(shape[0], self.rows, replace=False).astype(np.int32)
                yield Slices(_away_from_zero(rng.random((self.rows, *shape[1:]), np.float32)), indices, shape)


def _away_from_zero(uniform: np.ndarray) -> np.ndarray:
    centered = uniform - np.float32(0.5)
    return centered + np.copysign(np.float32(0.5), centered)


def _norm(width: int) -> list[Shape]:
    return [(width,), (width,)]


def _resnet_50() -> list[Shape]:
    """He et al. (2015), Deep Residual Learning, table 1; with a bias in each convolution, as in Keras."""

    def convolution(size: int, before: int, after: int) -> list[Shape]:
        return [(size, size, before, after), (after,), *_norm(after)]

    shapes, width = convolution(7, 3, 64), 64
    for narrow, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(blocks):
            if block == 0:
                shapes += convolution(1, width, 4 * narrow)
            shapes += (
                convolution(1, width, narrow) + convolution(3, narrow, narrow) + convolution(1, narrow, 4 * narrow)
            )
            width = 4 * narrow
    return [*shapes, (width, 1000), (1000,)]


def _mobilenet_v2() -> list[Shape]:
    """Sandler et al. (2018), MobileNetV2, table 2."""
    shapes, width = [(3, 3, 3, 32), *_norm(32)], 32
    stages = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))
    for factor, after, blocks in stages:
        for _ in range(blocks):
            wide = factor * width
            if factor > 1:
                shapes += [(1, 1, width, wide), *_norm(wide)]
            shapes += [(3, 3, wide, 1), *_norm(wide), (1, 1, wide, after), *_norm(after)]
            width = after
    return [*shapes, (1, 1, width, 1280), *_norm(1280), (1280, 1000), (1000,)]


def _dense(before: int, after: int) -> list[Shape]:
    return [(before, after), (after,)]


def _transformer(
    layers: int, width: int, before: list[Shape], after: list[Shape], attention: list[Shape]
) -> list[Shape]:
    block = attention + _norm(width) + _dense(width, 4 * width) + _dense(4 * width, width) + _norm(width)
    return before + block * layers + after


def _bert_base() -> list[Shape]:
    """Devlin et al. (2018), BERT, section 3: the uncased base model with its pooler."""
    d = 768
    return _transformer(12, d, [(30522, d), (512, d), (2, d), *_norm(d)], _dense(d, d), 4 * _dense(d, d))


def _gpt_2() -> list[Shape]:
    """Radford et al. (2019), Language Models are Unsupervised Multitask Learners, table 2: the smallest model."""
    d = 768
    return _transformer(12, d, [(50257, d), (1024, d)], _norm(d), _dense(d, 3 * d) + _dense(d, d))


MODELS = {
    model.name: model
    for model in (
        Model("small", "400 small", ((62, 64), (32,)) * 200),
        Model("mobilenet", "MobileNetV2", tuple(_mobilenet_v2())),
        Model("resnet", "ResNet-50", tuple(_resnet_50())),
        Model("bert", "BERT-base", tuple(_bert_base())),
        Model("gpt2", "GPT-2 small", tuple(_gpt_2())),
        Model("one", "one of 64 M", ((8192, 8192),)),
        Model("many", "2,000 of 4 k", ((64, 64),) * 2000),
        Model("embedding", "1 M x 64, 4 k rows", ((1_000_000, 64),), rows=4096),
    )
}


def find(name: str) -> Model:
    """The model of this name, or one made up for a measurement.

    Args:
        name: a name in `MODELS`; ``COUNTxSIZE`` for COUNT vectors of that size, several of them joined by ``+``; or
            ``ROWSxWIDTH@LOOKUPS`` for a matrix with a gradient in LOOKUPS rows.

    Raises:
        ValueError: the name is none of these.
    """
    if name in MODELS:
        return MODELS[name]
    if matrix := re.fullmatch(r"([1-9]\d*)x([1-9]\d*)@([1-9]\d*)", name):
        rows, width, lookups = map(int, matrix.groups())
        if lookups <= rows:
            return Model(name, f"{lookups:,} rows of {rows:,} x {width:,}", ((rows, width),), lookups)
    vectors = [re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", part) for part in name.split("+")]
    if all(vectors):
        counted = [tuple(map(int, each.groups())) for each in vectors if each]
        title = " + ".join(f"{count:,} of {size:,}" for count, size in counted)
        return Model(name, title, tuple((size,) for count, size in counted for _ in range(count)))
    raise ValueError(
        f"--models: no model {name!r}; there are {', '.join(MODELS)}; COUNTxSIZE, such as 100x4096 or 9x64+1x4096; "
        "and ROWSxWIDTH@LOOKUPS, such as 100000x64@4096"
    )
