"""Values and tables as a page shows them: numbers as a reader writes them, Markdown and HTML with nothing unescaped."""

import html
import math
import re
from pathlib import Path
from typing import Any

import polars as pl

Plain = str | int | float | bool | None

_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|$~!])")


def write(value: Plain, spec: str = "") -> str:
    """Return a value as a reader writes it; what is none is not available.

    Parameters
    ----------
    value
        A number, a text or a truth value.
    spec
        Format of numbers; none: three significant digits, whole numbers whole.

    Examples
    --------
    >>> write(12345), write(0.123456), write(True), write(None)
    ('12,345', '0.123', 'yes', 'not available')
    """
    if value is None:
        return "not available"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if spec:
        return format(value, spec)
    if isinstance(value, int):
        return f"{value:,}"
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        text = f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
        return f"{float(text):g}" if "e" in text else text
    return f"{value:.2g}"


def escape(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return _MARKUP.sub(r"\\\1", html.escape(text, quote=False).replace("\n", " "))


def in_html(value: Any) -> str:
    """Return a value as text that HTML shows as it is."""
    return html.escape(str(value))


def links(paths: list[Path]) -> str:
    """Return HTML links to files, by their names."""
    # forward slashes: the same link serves in a notebook beside the folder and on the page
    return " · ".join(
        f"<a href='{in_html(path.as_posix())}' download>{in_html(path.name)}</a>" for path in paths
    )


def table(frame: pl.DataFrame, *, caption: str, rows: int, links: str) -> str:
    """Return the first rows of a table as HTML that scrolls, with a caption and, below, how many rows there are more.

    Parameters
    ----------
    frame
        Columns as they should read.
    caption
        One sentence.
    rows
        Rows shown.
    links
        HTML put below the table.
    """
    shown = frame.head(rows)
    head = "".join(f"<th scope='col'>{in_html(column)}</th>" for column in shown.columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(_cell(value))}</td>" for value in row) + "</tr>"
        for row in shown.iter_rows()
    )
    more = f"First {shown.height:,} of {frame.height:,} rows. " if frame.height > shown.height else ""
    foot = f"<p class='table-foot'>{more}{links}</p>" if more or links else ""
    return (
        # above the box that scrolls: a caption inside it would be as wide as the table, and cut off
        f"<p class='table-caption'>{in_html(caption)}</p>"
        f"<div class='table-scroll' tabindex='0'><table class='dataframe' aria-label='{in_html(caption)}'>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{foot}"
    )


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else write(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list):
        return ", ".join(_cell(item) for item in value)
    text = str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
