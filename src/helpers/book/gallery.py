"""Pages of the sweeps: a sortable table of recorded values, small pictures, and the executed notebooks."""

import html
import json
import re
from pathlib import Path
from typing import Any

import polars as pl
from sphinx.application import Sphinx

FILE = "sweep.json"
TABLE = "table"
STATUS, KEY, SECONDS, ERROR = "run", "key", "seconds", "error"
_PAGE = re.compile(r"^<!-- sweep: (\S+) -->$", re.MULTILINE)


def write_gallery(app: Sphinx, docname: str, source: list[str]) -> None:
    """Replace each line ``<!-- sweep: NAME -->`` of a page by what the sweep found."""
    del docname
    source[0] = _PAGE.sub(lambda match: page_of(Path(app.srcdir) / "sweeps" / match[1]), source[0])


def page_of(folder: Path) -> str:
    """Return what a sweep found as Markdown; a sentence that names the command where it was not run."""
    if not (folder / FILE).is_file():
        return (
            f"This sweep was not run for this copy of the book. To make it: `musclebook sweep {folder.name}`."
        )
    about = json.loads((folder / FILE).read_text(encoding="utf-8"))
    runs = pl.read_parquet(folder / f"{TABLE}.parquet")
    failed = runs.filter(pl.col(STATUS) == "failed").height
    kind = "simulated" if about["simulated"] else "real"
    over = about["x"].replace("_", " ")
    records = ", ".join(name.replace("_", " ") for name in about["records"])
    return "\n".join(
        [
            f"Runs: {runs.height}, on **{kind}** data." + (f" Runs that failed: {failed}." if failed else ""),
            "",
            "```{figure} " + f"../sweeps/{folder.name}/figure.png",
            f":name: fig-sweep-{folder.name.replace('_', '-')}",
            f":alt: Panels, one for each of {records}; each shows the value over {over}.",
            "",
            f"One panel a recorded value, one mark a run, over {over}.",
            "```",
            "",
            "Click on a heading to sort. The last column holds the executed notebook of each run.",
            "",
            "```{raw} html",
            html_table(runs, about, folder.name),
            "```",
        ]
    )


def html_table(table: pl.DataFrame, about: dict[str, Any], name: str) -> str:
    """Return the table of a sweep, escaped, each row with a link to its executed notebook."""
    columns = [column for column in table.columns if column not in {KEY, SECONDS, STATUS, ERROR}]
    units = about["records"]
    heads = [
        column.replace("_", " ") + (f" ({units[column]})" if units.get(column) else "") for column in columns
    ]
    head = "".join(f"<th scope='col'>{html.escape(one)}</th>" for one in (*heads, "run"))
    body = []
    for row in table.iter_rows(named=True):
        cells = "".join(_cell(row[column]) for column in columns)
        if row[STATUS] == "good":
            target = f"../sweeps/{name}/notebooks/{about['notebook']}-{row[KEY]}.ipynb"
            last = f"<a href='{html.escape(target)}' download>{html.escape(row[KEY])}</a>"
        else:
            last = f"failed: {html.escape(str(row[ERROR]))}"
        body.append(f"<tr>{cells}<td>{last}</td></tr>")
    files = " · ".join(
        f"<a href='../sweeps/{name}/{TABLE}.{kind}' download>{TABLE}.{kind}</a>"
        for kind in ("csv", "parquet")
    )
    return (
        f"<div class='table-scroll' tabindex='0' role='region' aria-label='{html.escape(about['title'])}'>"
        f"<table class='dataframe sortable'><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
        f"<p class='table-foot'>{files}</p>"
    )


def _cell(value: Any) -> str:
    if value is None:
        return "<td data-value=''>–</td>"
    text = f"{value:.3g}" if isinstance(value, float) else str(value)
    return f"<td data-value='{html.escape(str(value))}'>{html.escape(text)}</td>"
