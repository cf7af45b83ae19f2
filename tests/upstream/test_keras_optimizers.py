"""Keras' own tests of its optimizers pass with pyadam's, except those listed with a reason."""

from suite import ASSIGNS, INSIDE, WORDS, Suite

EXCEPTIONS = {
    "optimizers/optimizer_test.py::OptimizerTest::test_optimizer_auto_naming": (
        "wants adam, adam_1, ... as the names; the signature of Keras 3's documentation has name='adam'"
    ),
    "optimizers/adafactor_test.py::AdafactorTest::test_correctness_with_golden": (
        "its numbers limit the learning rate to 1 / sqrt(t) with relative_step=False, against Keras' own documentation"
    ),
    **dict.fromkeys(
        (
            "optimizers/adamw_test.py::AdamWTest::test_weight_decay_is_none",
            "optimizers/lion_test.py::LionTest::test_invalid_beta_1",
            "optimizers/loss_scale_optimizer_test.py::LossScaleOptimizerTest::test_init_unsupported_arg",
            "optimizers/multi_optimizer_test.py::MultiOptimizerTest::test_multi_optimizer_blocks_nested_optimizers",
            "optimizers/optimizer_test.py::OptimizerTest::test_clip_args",
            "optimizers/sgd_test.py::SGDTest::test_invalid_momentum",
        ),
        WORDS,
    ),
    **{
        f"optimizers/ftrl_test.py::FtrlTest::test_invalid_{name}": WORDS
        for name in (
            "initial_accumulator_value",
            "l1_regularization_strength",
            "l2_regularization_strength",
            "l2_shrinkage_regularization_strength",
            "learning_rate_power",
        )
    },
    **{
        f"optimizers/muon_test.py::MuonTest::test_{name}": INSIDE
        for name in (
            "Newton_Schulz",
            "adamw_weight_decay",
            "lr_adjust_2d",
            "lr_adjust_none",
            "should_use_adamw",
        )
    },
    **{
        f"optimizers/optimizer_sparse_test.py::OptimizerSparseTest::test_sparse_gradients_{name}": ASSIGNS
        for name in (
            "adadelta",
            "adafactor",
            "adagrad",
            "adam",
            "adam_amsgrad",
            "adamax",
            "adamw",
            "adamw_amsgrad",
            "ftrl",
            "lion",
            "loss_scale_optimizer_sgd",
            "nadam",
            "rmsprop",
            "rmsprop_momentum",
            "rmsprop_momentum_centered",
            "sgd",
            "sgd_momentum",
            "sgd_momentum_nesterov",
        )
    },
}


class TestOptimizers(Suite):
    folders = ("optimizers",)
    exceptions = EXCEPTIONS
    at_least = 184
