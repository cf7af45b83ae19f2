"""LazyAdam: Adam that updates only the embedding rows that have a gradient."""

from dataclasses import dataclass, replace
from typing import Any

from pyadam.optimizers import adam
from pyadam.optimizers.shared import (
    KINGMA_BA,
    amsgrad_field,
    beta_1_field,
    beta_2_field,
    epsilon_field,
    learning_rate_field,
)
from pyadam.optimizers.sparse import LAZY_CONFLICTS
from pyadam.optimizers.spec import Spec

__all__ = ["RULE", "LazyAdam"]


@dataclass(frozen=True, kw_only=True)
class LazyAdam(Spec):
    """LazyAdam: Adam that updates only the rows of an embedding that have a gradient.

    For dense gradients it matches Adam to the bit. For sparse gradients (``tf.IndexedSlices``) it is a different algorithm,
    since Adam moves every row at every step. Rows with the same index are summed first. Then Adam's formulas, and weight decay,
    apply to these rows of the weight, m and v only; t counts all updates, not those of the row. All other rows of the weight
    and its slots stay as they are, to the bit. Clipping uses the summed rows; the others count as zeros in a norm. The cost of
    a step grows with the number of rows it updates.

    A sparse gradient can't be combined with {conflicts},
    a constraint on its variable, or a train step that is compiled as a whole (``jit_compile=True`` in ``compile()``). The step
    then raises an error that says what to change.
    """

    title = "LazyAdam"
    r_name = "optimizer_lazy_adam"
    reference = (
        KINGMA_BA + "section 2, the efficient form before 2.1. Lazy rows: LazyAdam of TensorFlow Addons, "
        "https://www.tensorflow.org/addons/api_docs/python/tfa/optimizers/LazyAdam."
    )
    in_keras = False

    learning_rate: Any = learning_rate_field(0.001)
    beta_1: Any = beta_1_field()
    beta_2: Any = beta_2_field()
    epsilon: float = epsilon_field()
    amsgrad: bool = amsgrad_field()


LazyAdam.__doc__ = (LazyAdam.__doc__ or "").format(conflicts=", ".join(c.words for c in LAZY_CONFLICTS))

RULE = replace(adam.RULE, spec=LazyAdam, lazy=True)
