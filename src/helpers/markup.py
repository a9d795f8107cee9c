"""Values and tables as a page shows them: numbers as a reader writes them, Markdown and HTML with nothing unescaped."""

import html
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from great_tables import GT

Plain = str | int | float | bool | None

_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|$~!])")


def write(value: Plain, spec: str = "") -> str:
    """Return a value as a reader writes it: three significant digits, or as `spec` says; what is none is not available.

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


def table(
    frame: pl.DataFrame,
    *,
    caption: str,
    rows: int,
    links: str,
    columns: Mapping[str, str | tuple[str, str, str]],
    groups: str | None = None,
    percent: Sequence[str] = (),
) -> str:
    """Return the first rows of a table as HTML, with a caption above and, below, how many rows there are more."""
    shown = frame.head(rows)
    cells = {header: _cells(shown, column, percent) for header, column in columns.items()}
    heads = {} if groups is None else {"group heading": [_cell(value) for value in shown[groups]]}
    plain = pl.DataFrame({**cells, **heads}, schema=dict.fromkeys([*cells, *heads], pl.String))
    numeric = [
        header
        for header, column in columns.items()
        if not isinstance(column, str) or frame.schema[column].is_numeric()
    ]
    made = GT(plain, groupname_col=next(iter(heads), None)).cols_align("right", columns=numeric)
    # the style of the page, and in a notebook that of tables there, in place of eight kilobytes with every table
    body = made.as_raw_html().partition("</style>")[2].rpartition("</div>")[0].strip()
    body = re.sub(r" (id|headers)=\"[^\"]*\"| data-quarto-[a-z-]+=\"[^\"]*\"", "", body)
    body = body.replace(
        '<table class="gt_table"', f"<table class='gt_table dataframe' aria-label='{in_html(caption)}'"
    )
    more = f"First {shown.height:,} of {frame.height:,} rows. " if frame.height > shown.height else ""
    foot = f"<p class='table-foot'>{more}{links}</p>" if more or links else ""
    return (
        # above the box that scrolls: a caption inside it would be as wide as the table, and cut off
        f"<p class='table-caption'>{in_html(caption)}</p><div class='table-scroll' tabindex='0'>{body}</div>{foot}"
    )


def write_p(value: float) -> str:
    """Return a p or q as a reader writes it.

    Examples
    --------
    >>> write_p(0.04321), write_p(0.0000432)
    ('0.043', '< 0.001')
    """
    if value < 0.001:
        return "< 0.001"
    return f"{value:.3f}" if value < 0.0995 else f"{value:.2f}"


def write_interval(estimate: float | None, low: float | None, high: float | None) -> str:
    """Return an estimate with its interval, to as many digits as the interval carries.

    Examples
    --------
    >>> write_interval(-0.2471, -0.312, -0.182), write_interval(0.5, None, None)
    ('-0.25 (-0.31 to -0.18)', '0.5')
    """
    if estimate is None or math.isnan(estimate):
        return "–"
    bounds = [bound for bound in (low, high) if bound is not None and math.isfinite(bound)]
    if len(bounds) < 2:
        return write(estimate)
    width = (bounds[1] - bounds[0]) / 2
    digits = 3 if width == 0 else min(6, -math.floor(math.log10(width / 3))) if width < 1 else int(width < 10)
    return "{:z,.{n}f} ({:z,.{n}f} to {:z,.{n}f})".format(estimate, *bounds, n=digits)


def _cells(frame: pl.DataFrame, column: str | tuple[str, str, str], percent: Sequence[str]) -> list[str]:
    if not isinstance(column, str):
        return [write_interval(*row) for row in frame.select(column).iter_rows()]
    values = frame[column].to_list()
    if column in percent:
        return ["–" if value is None else f"{value:.1%}" for value in values]
    if re.fullmatch(r"(p|q)(_\w+)?", column) and frame.schema[column].is_float():
        return ["–" if value is None or math.isnan(value) else write_p(value) for value in values]
    return [_cell(value) for value in values]


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, list):
        return ", ".join(_cell(item) for item in value)
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    if isinstance(value, int | float):
        return write(value)
    text = str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
