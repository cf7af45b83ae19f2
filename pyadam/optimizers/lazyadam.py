r"""LazyAdam: Adam that updates only the embedding rows that have a gradient.

$$
\begin{aligned}
m &\leftarrow m + (1 - \beta_1)(g - m) \\
v &\leftarrow v + (1 - \beta_2)(g^2 - v) \\
w &\leftarrow w - \eta \, \frac{\sqrt{1 - \beta_2^t}}{1 - \beta_1^t} \, \frac{m}{\sqrt{v} + \epsilon}
\qquad \text{in the rows that have a gradient}
\end{aligned}
$$

It is for large embeddings of which a batch touches little: the cost of a step grows with the rows that have a
gradient, not with the table. Rows that are rarely looked up keep the momentum of their last gradient, so it is not
Adam, and rates found for Adam may need another look. For dense gradients take Adam, whose steps are the same.
"""

from dataclasses import dataclass, replace
from types import MappingProxyType
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
    a constraint on its variable, or a train step that is compiled as a whole with ``pyadam.xla.single_pass()``. The step then
    raises an error that says what to change.
    """

    title = "LazyAdam"
    r_name = "optimizer_lazy_adam"
    reference = (
        KINGMA_BA + "section 2, the efficient form before 2.1. Lazy rows: LazyAdam of TensorFlow Addons, "
        "https://www.tensorflow.org/addons/api_docs/python/tfa/optimizers/LazyAdam."
    )
    example = MappingProxyType({"learning_rate": 0.001})
    in_keras = False

    learning_rate: Any = learning_rate_field(0.001)
    beta_1: Any = beta_1_field()
    beta_2: Any = beta_2_field()
    epsilon: float = epsilon_field()
    amsgrad: bool = amsgrad_field()


LazyAdam.__doc__ = (LazyAdam.__doc__ or "").format(conflicts=", ".join(c.words for c in LAZY_CONFLICTS))

RULE = replace(adam.RULE, spec=LazyAdam, lazy=True)
