"""Text in figures: labels from data made harmless and short, and a figure that says why it is empty."""

from matplotlib.figure import Figure

from helpers.figures import style


def shorten(label: object, width: int = 28) -> str:
    r"""Write a label from data so that matplotlib shows it as it is, at most `width` characters.

    Examples
    --------
    >>> shorten("cost $5")
    'cost \\$5'
    >>> shorten("a very long label", 8)
    'a very …'
    """
    text = " ".join(str(label).split()) or "(no name)"
    if len(text) > width:
        text = text[: width - 1] + "…"
    return text.replace("\\", "\\\\").replace("$", "\\$") if "$" in text else text


def placeholder(message: str) -> Figure:
    """Draw a figure that only says why there is nothing to draw."""
    figure, axis = style.new(height=1.2)
    axis.text(0.5, 0.5, message, ha="center", va="center", wrap=True, transform=axis.transAxes)
    axis.set_axis_off()
    return figure
