"""Formulas as MathML: every current browser draws it, nothing is fetched, screen readers read it."""

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator


def register(app: Sphinx) -> None:
    """Offer the renderer ``mathml``; the configuration chooses it."""
    app.add_html_math_renderer("mathml", (_inline, None), (_display, None))


def convert(tex: str, *, block: bool) -> str:
    """Return LaTeX math as MathML.

    Examples
    --------
    >>> "<mi>x</mi>" in convert("x", block=False)
    True
    """
    return tex2mathml(tex, as_block=block)


def _inline(self: HTML5Translator, node: nodes.math) -> None:
    self.body.append(convert(node.astext(), block=False))
    raise nodes.SkipNode


def _display(self: HTML5Translator, node: nodes.math_block) -> None:
    self.body.append(f"<div class='math' tabindex='0'>{convert(node.astext(), block=True)}</div>")
    raise nodes.SkipNode
