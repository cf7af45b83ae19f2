"""How Sphinx builds the documentation: `make docs`. Nothing is fetched: formulas are MathML, which browsers typeset."""

import os
import shutil
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from docutils import nodes
from docutils.io import StringOutput
from latex2mathml.converter import convert
from sphinx.builders.text import TextBuilder
from sphinx.writers.text import TextWriter

from pyadam import __version__, specs

project = "pyadam"
author = "the pyadam authors"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "sphinx_copybutton"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"pyadam {__version__}"
html_static_path = ["_static"]
html_css_files = ["pyadam.css"]
html_theme_options = {key: {"code-font-size": "77%"} for key in ("light_css_variables", "dark_css_variables")}
html_math_renderer = "mathml"
copybutton_prompt_text = "$ "
copybutton_exclude = ".linenos, .gp, .go"

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
autodoc_typehints = "none"
autodoc_member_order = "bysource"


def mathml(formula, display):
    """A formula as MathML, in the dialect of LaTeX that the converter knows."""
    return convert(formula.replace("{aligned}", "{align*}").replace(r"\_", "_"), display=display)


def in_text(self, node):
    self.body.append(mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def displayed(self, node):
    self.body.append(f'<div class="math">{mathml(node.astext(), "block")}</div>')
    raise nodes.SkipNode


def as_text(app, page):
    """A page whose text is in docstrings."""
    builder = TextBuilder(app, app.env)
    builder.init()
    writer = TextWriter(builder)
    writer.write(app.env.get_and_resolve_doctree(page, builder), StringOutput(encoding="unicode"))
    return writer.output


def write_markdown(app, error):
    """The source of each page beside its HTML, and a list of them for language models."""
    if error or app.builder.name != "html":
        return
    lines = [
        f"# {project}",
        "",
        "> Optimizers for Keras, from Python and from R: the same names, defaults and bits.",
        "",
    ]
    for page in sorted(app.env.found_docs):
        target = Path(app.outdir, f"{page}.md")
        target.parent.mkdir(parents=True, exist_ok=True)
        source = Path(app.env.doc2path(page))
        if "\n.. auto" in source.read_text(encoding="utf-8"):
            target.write_text(as_text(app, page), encoding="utf-8")
        else:
            shutil.copy(source, target)
        lines.append(f"- [{app.env.titles[page].astext()}]({page}.md)")
    Path(app.outdir, "llms.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


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
    app.connect("build-finished", write_markdown)
    app.add_html_math_renderer("mathml", (in_text, None), (displayed, None))
