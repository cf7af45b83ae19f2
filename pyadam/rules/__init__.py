"""The mathematics of every optimizer: one rule a spec, pure functions of one tensor, in TensorFlow."""

from pyadam import specs
from pyadam.arguments import is_off
from pyadam.rules import adam, adaptive, matrix, momentum
from pyadam.rules.rule import Rule, Slot, slots

__all__ = ["RULES", "Rule", "Slot"]

_PLAIN = adaptive.plain_scalars

RULES: dict[type[specs.Spec], Rule] = {
    specs.Adadelta: Rule(
        "adadelta", adaptive.mean_scalars, adaptive.adadelta, slots(("accumulated_grad", "accumulated_delta_var"))
    ),
    specs.Adafactor: Rule(
        "adafactor",
        matrix.adafactor_scalars,
        matrix.adafactor,
        matrix.adafactor_slots,
        magnified=lambda h: 5.0,  # means of rows, columns and rows' means, and two root mean squares
        elementwise=False,
    ),
    specs.Adagrad: Rule("adagrad", _PLAIN, adaptive.adagrad, adaptive.adagrad_slots, idle=lambda h: True),
    specs.Adam: Rule("adam", adam.adam_scalars, adam.adam, adam.adam_slots),
    specs.AdamW: Rule("adam", adam.adam_scalars, adam.adam, adam.adam_slots),
    specs.Adamax: Rule("adamax", adam.adamax_scalars, adam.adamax, slots(("momentum", "norm"))),
    specs.Ftrl: Rule(
        "ftrl",
        adaptive.ftrl_scalars,
        adaptive.ftrl,
        adaptive.ftrl_slots,
        single_pass=False,
        weight_first=lambda h: True,
    ),
    specs.Lamb: Rule("lamb", adam.lamb_scalars, adam.lamb, adam.moments, magnified=lambda h: 2.0, elementwise=False),
    specs.LazyAdam: Rule("adam", adam.adam_scalars, adam.adam, adam.adam_slots, lazy=True),
    specs.Lion: Rule("lion", momentum.lion_scalars, momentum.lion, slots(("momentum",)), weight_first=lambda h: True),
    specs.Muon: Rule(
        "muon",
        matrix.muon_scalars,
        matrix.muon,
        matrix.muon_slots,
        decay=matrix.muon_decay,
        magnified=matrix.muon_magnified,
        elementwise=False,
    ),
    specs.Nadam: Rule("nadam", adam.nadam_scalars, adam.nadam, adam.moments, {"u_product": 1.0}),
    specs.RMSprop: Rule(
        "rmsprop",
        adaptive.mean_scalars,
        adaptive.rmsprop,
        adaptive.rmsprop_slots,
        weight_first=lambda h: h.centered,
    ),
    specs.SGD: Rule("sgd", _PLAIN, momentum.sgd, momentum.sgd_slots, idle=lambda h: is_off(h.momentum)),
}
