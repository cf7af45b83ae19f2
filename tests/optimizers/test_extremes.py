"""Gradients whose squares are too large for float32 leave the weights finite where Keras' own steps do."""

import json

import numpy as np
import pytest
from helpers import run_python

PROGRAM = """
import json, sys
import numpy as np, tensorflow as tf
import {host} as host, pyadam, pyadam.tf_keras
ours = pyadam if host.__name__ == "keras" else pyadam.tf_keras
found = {{}}
for name, given in (("RMSprop", {{}}), ("RMSprop", {{"momentum": 0.9}}), ("RMSprop", {{"centered": True}}), ("Adadelta", {{}}),
                    ("Adagrad", {{}}), ("Adamax", {{}}), ("Lion", {{}})):
    for size in (2, 9000):
        rows = []
        for optimizers in (ours, host.optimizers):
            v = tf.Variable(tf.ones([size])) if host.__name__ == "tf_keras" else host.Variable(tf.ones([size]))
            optimizer = getattr(optimizers, name)(0.01, **given)
            for first in (1e20, 0.1, 0.1):
                optimizer.apply_gradients([(tf.concat([[first], tf.fill([size - 1], 0.1)], 0), v)])
            rows.append([float(v.numpy()[0]), float(v.numpy()[-1])])
        found[f"{{name}} {{given}} {{size}}"] = rows
print(json.dumps(found))
"""


@pytest.mark.parametrize("host", ["keras", pytest.param("tf_keras", marks=pytest.mark.long)])
@pytest.mark.parametrize("single_pass", ["0", pytest.param("1", marks=pytest.mark.long)])
def test_huge_gradients(host, single_pass):
    """RMSprop and Adadelta had NaN for the first element, Keras 1.0: once infinite, a mean of squares stays so."""
    result = run_python(PROGRAM.format(host=host), PYADAM_SINGLE_PASS=single_pass)
    for name, (ours, theirs) in json.loads(result.stdout.splitlines()[-1]).items():
        assert np.isfinite(ours).all(), (name, ours)
        assert np.allclose(ours, theirs, rtol=1e-5), (name, ours, theirs)
