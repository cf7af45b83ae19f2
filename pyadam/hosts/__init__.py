"""The optimizers as the two generations of Keras know them: classes, state, files, refusals."""
