"""The optimizer classes for Keras 3 and tf_keras: construction, state variables, saving, and what they refuse."""
