"""A script of mistakes: both type checkers report exactly the marked lines."""

import pyadam
import pyadam.tf_keras

optimizer = pyadam.Adam()

# Misspelled arguments.
pyadam.Adam(learning_rat=0.1)  # error
pyadam.Adam(0.1, beta1=0.9)  # error
pyadam.tf_keras.Adam(0.1, epsilonn=0.9)  # error
pyadam.optimizer_adam(leaning_rate=0.1)  # error
pyadam.learning_rate_schedule_cosine_decay(0.1, decay_step=10)  # error
pyadam.LossScaleOptimizer(optimizer, growth_steps=10)  # error
pyadam.optimizer_loss_scale(optimizer, scale=10.0)  # error
optimizer.exclude_from_weight_decay(names=["bias"])  # error

# Old arguments, arguments of another optimizer, too many by position, missing ones.
pyadam.Adam(lr=0.1)  # error
pyadam.SGD(0.1, decay=0.1)  # error
pyadam.SGD(beta_1=0.9)  # error
pyadam.Adam(0.1, 0.9, 0.99, 1e-7, False, None, None, None, None, False, 0.9, None, None, None, "adam", True)  # error
pyadam.LossScaleOptimizer()  # error
pyadam.learning_rate_schedule_exponential_decay(0.1, 10)  # error

# Wrong types.
pyadam.Adam("fast")  # error
pyadam.Adam([0.1])  # error
pyadam.Adam(None)  # error
pyadam.Adam(beta_1="0.9")  # error
pyadam.Adam(lambda step: 0.1)  # error
pyadam.tf_keras.Adam(learning_rate="fast")  # error
pyadam.optimizer_adam(epsilon=None)  # error
pyadam.SGD(nesterov="yes")  # error
pyadam.Adam(gradient_accumulation_steps=2.5)  # error
pyadam.Adam(slot_dtype="float16")  # error
pyadam.Adam(name=3)  # error
pyadam.Muon(exclude_layers=[1])  # error
pyadam.learning_rate_schedule_piecewise_constant_decay([10.5], [1.0, 0.1])  # error
pyadam.LossScaleOptimizer("adam")  # error
pyadam.LossScaleOptimizer(pyadam.Adam)  # error

# Attributes.
optimizer.beta_1 = "0.9"  # error
optimizer.epsilon = None  # error
optimizer.learning_rate = "fast"  # error
optimizer.use_ema = 1.5  # error
pyadam.tf_keras.SGD().momentum = [0.9]  # error
text: str = optimizer.clipnorm  # error
norm: float = optimizer.clipnorm  # error

# Names.
pyadam.Adams()  # error
pyadam.xla.single()  # error
pyadam.xla.single_pass("on")  # error
pyadam.tf_keras.AdamX()  # error
