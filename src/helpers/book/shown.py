"""What a page shows of the runs it was made from: banner and foot of a chapter, the table of a sweep."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from helpers.book.project import read_json
from helpers.budget import to_text
from helpers.findings import escape, in_html, links

Runs = Mapping[str, Mapping[str, Any]]
SWEEP_FILE, TABLE = "sweep.json", "table"
_WORDS = {"None": "–", "True": "yes", "False": "no"}
_SIMULATED = (
    "SIMULATED data{}. The numbers are those of a made-up atlas with known, planted effects. They show that the methods "
    "work; they are no findings about muscle."
)
STATUS, KEY, SECONDS, ERROR = "run", "key", "seconds", "error"


def banner(runs: Runs | None, page: str) -> str:
    """Return the line above a page: simulated or real data, for a chapter its run and date; no `runs`: built by hand."""
    if runs is None:
        return _aside("unknown", "Built by hand. Each chapter names its data in the fold at its end.")
    if page not in runs:
        kinds = {run["simulated"] for run in runs.values()} - {None}
        if kinds == {False}:
            return _aside("real", "Real data. Each chapter names its source and its run.")
        mixed = "Some chapters show simulated data, some real data: see the line above each."
        return _aside("simulated", _SIMULATED.format("") if kinds == {True} else mixed) if kinds else ""
    run = runs[page]
    given, made = str(run["parameters"].get("atlas", "")), run["made"].replace("T", " ")
    name = run["source"].get("name") or given
    if run["simulated"]:  # a word such as "demo" says more than the folder that holds what was simulated
        kind, words = "simulated", _SIMULATED.format(f" ({given or name})" if given or name else "")
    elif run["simulated"] is False:
        kind, words = "real", f"Real data: {name}."
    else:
        kind, words = "unknown", f"Data: {name}." if name else "No atlas is read on this page."
    return _aside(kind, words, f"Run {run['key']}, {made[:16]} UTC.")


def foot(runs: Runs | None, page: str) -> str:
    """Return the fold below a chapter: source, parameters, versions, time and memory of its run."""
    if runs is None or page not in runs:
        return ""
    run = runs[page]
    rows = {
        "run": run["key"],
        "made": run["made"],
        "profile": run["profile"],
        **{f"data: {key}": value for key, value in run["source"].items()},
        **{f"parameter: {key}": value for key, value in run["parameters"].items()},
        **{f"version: {key}": value for key, value in run["versions"].items()},
        "wall time, with start of the kernel": f"{run['seconds']:.0f} s",
        "peak memory, with child processes": to_text(run["peak_bytes"]),
    }
    texts = {name: _WORDS.get(repr(value), value) for name, value in rows.items()}
    cells = [f"<th scope='row'>{in_html(name)}</th><td>{in_html(text)}</td>" for name, text in texts.items()]
    body = "".join(f"<tr>{one}</tr>" for one in cells)
    files = [[Path("files", page, file) for file in saved] for saved in run.get("tables", {}).values()]
    tables = "".join(f"<li>{links(paths)}</li>" for paths in files)
    whole = f"<p>Tables of this chapter, whole:</p><ul>{tables}</ul>" if tables else ""
    return (
        "<details class='provenance'><summary>How this page was made</summary>"
        "<div class='table-scroll' tabindex='0' role='region' aria-label='How this page was made'>"
        f"<table><tbody>{body}</tbody></table></div>{whole}</details>"
    )


def _aside(kind: str, *sentences: str) -> str:
    words = " ".join(f"<span>{in_html(sentence)}</span>" for sentence in sentences)
    return f"<aside class='run-banner run-banner-{kind}' aria-label='Data of this page'>{words}</aside>"


def findings(site: Mapping[str, Any], *, whole: bool) -> str:
    """Return what each chapter found as Markdown, the last sentence or the `whole`; why chapters are left out."""
    runs, missing = site.get("runs", {}), site.get("missing", {})
    lines = []
    for name in sorted({*runs, *missing}):
        if left := missing.get(name):
            title, reason = escape(left["title"]), escape(left["reason"])
            lines.append(f"- {title}: not in this copy of the book. {reason}\n")
            continue
        run = runs[name]
        question = f" {escape(run['question'])}" if whole else ""
        lines.append(f"- [**{escape(run['title'])}**](/notebooks/{name}.ipynb){question}\n")
        lines += [f"  {sentence}\n" for sentence in run["in_short"][0 if whole else -1 :]]
    return "\n".join(lines) or "No chapter was run before this site was built."


def sweep_page(folder: Path) -> str:
    """Return what a sweep found as Markdown; a sentence that names the command where it was not run."""
    if not (about := read_json(folder / SWEEP_FILE)):
        return f"This sweep was not run for this copy. To make it: `musclebook sweep {folder.name}`."
    runs = pl.read_parquet(folder / f"{TABLE}.parquet")
    failed = runs.filter(pl.col(STATUS) == "failed").height
    kind, over = "simulated" if about["simulated"] else "real", about["x"].replace("_", " ")
    records = ", ".join(about["records"]).replace("_", " ")
    return f"""\
Runs: {runs.height}, on **{kind}** data.{f" Runs that failed: {failed}." if failed else ""}

```{{figure}} ../sweeps/{folder.name}/figure.png
:name: fig-sweep-{folder.name.replace("_", "-")}
:alt: Panels, one for each of {records}; each shows the value over {over}.

One panel a recorded value, one mark a run, over {over}.
```

Click on a heading to sort. The last column holds the executed notebook of each run.

```{{raw}} html
{_sortable(runs, about, folder.name)}
```"""


def _sortable(table: pl.DataFrame, about: dict[str, Any], name: str) -> str:
    """Return the table of a sweep, escaped, each row with a link to its executed notebook."""
    columns = [column for column in table.columns if column not in {KEY, SECONDS, STATUS, ERROR}]
    units = {column: f" ({unit})" for column, unit in about["records"].items() if unit}
    heads = [column.replace("_", " ") + units.get(column, "") for column in columns]
    head = "".join(f"<th scope='col'>{in_html(one)}</th>" for one in (*heads, "run"))
    body = []
    for row in table.iter_rows(named=True):
        values = [row[column] for column in columns]
        texts = ["–" if one is None else f"{one:.3g}" if isinstance(one, float) else one for one in values]
        cells = "".join(f"<td>{in_html(one)}</td>" for one in texts)
        if row[STATUS] == "good":
            target = in_html(f"../sweeps/{name}/notebooks/{about['notebook']}-{row[KEY]}.ipynb")
            last = f"<a href='{target}' download>{in_html(row[KEY])}</a>"
        else:
            last = f"failed: {in_html(row[ERROR])}"
        body.append(f"<tr>{cells}<td>{last}</td></tr>")
    files = links([Path("../sweeps", name, f"{TABLE}.{kind}") for kind in ("csv", "parquet")])
    return (
        f"<div class='table-scroll' tabindex='0' role='region' aria-label='{in_html(about['title'])}'>"
        f"<table class='dataframe sortable'><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
        f"<p class='table-foot'>{files}</p>"
    )
