"""Do R, Python, Keras and the papers agree? One table of cases, the code that runs them, and the limits they must meet."""
