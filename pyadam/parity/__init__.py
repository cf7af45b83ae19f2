"""Do R, Python, Keras and the papers agree? One table of cases, who runs them, and what may differ by how much."""
