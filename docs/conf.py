"""How Sphinx builds the documentation: `make docs`."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from pyadam import __version__, specs

project = "pyadam"
author = "the pyadam authors"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"pyadam {__version__}"

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
autodoc_typehints = "none"
autodoc_member_order = "bysource"


def setup(app):
    arguments = {"spec_type"}.union(*map(specs.arguments, specs.SPECS.values()))

    def skip(app, what, name, *_):
        """The arguments stand in each class's docstring: not once more as attributes."""
        return True if name in arguments else None

    def escape(app, what, name, obj, options, lines):
        """The bars of an absolute value, which reStructuredText takes for something else."""
        lines[:] = [line.replace("|", r"\|") for line in lines]

    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-docstring", escape)
