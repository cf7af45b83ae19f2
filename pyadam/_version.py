"""What is written once about the distribution: pyproject.toml reads the version from here."""

__version__ = "0.1.0"

DISTRIBUTION = "pyadam-keras"  # the name to install it by; pyproject.toml has to repeat it
