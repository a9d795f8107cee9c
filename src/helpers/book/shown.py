"""What a page shows of the runs it was made from: banner and foot of a chapter, the table of a sweep."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from helpers.budget import to_text
from helpers.findings import escape, in_html, links

Runs = Mapping[str, Mapping[str, Any]]
SWEEP_FILE, TABLE = "sweep.json", "table"
STATUS, KEY, SECONDS, ERROR = "run", "key", "seconds", "error"


def banner(runs: Runs | None, page: str) -> str:
    """Return the line above a page: simulated or real data, for a chapter its run and date; no `runs`: built by hand."""
    if runs is None:
        return _aside("unknown", "Built by hand. Each chapter names its data in the fold at its end.")
    if page in runs:
        run = runs[page]
        given = str(run["parameters"].get("atlas", ""))
        # a word such as "demo" says more than the folder that holds what was simulated
        name = given if given and run["simulated"] else run["source"].get("name") or given
        kind = {True: "simulated", False: "real", None: "unknown"}[run["simulated"]]
        made = run["made"].replace("T", " ").removesuffix("+00:00")
        return _aside(kind, _data_words(kind, str(name)), f"Run {run['key']}, {made[:16]} UTC.")
    kinds = {run["simulated"] for run in runs.values() if run["simulated"] is not None}
    if kinds == {True}:
        return _aside("simulated", _data_words("simulated", ""))
    if kinds == {False}:
        return _aside("real", "Real data. Each chapter names its source and its run.")
    if kinds:
        words = "Some chapters show simulated data, some real data: see the line above each."
        return _aside("simulated", words)
    return ""


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
    body = "".join(
        f"<tr><th scope='row'>{in_html(key)}</th><td>{in_html(_text(value))}</td></tr>"
        for key, value in rows.items()
    )
    tables = "".join(
        f"<li>{links([Path('files', page, file) for file in files])}</li>"
        for files in run.get("tables", {}).values()
    )
    whole = f"<p>Tables of this chapter, whole:</p><ul>{tables}</ul>" if tables else ""
    return (
        "<details class='provenance'><summary>How this page was made</summary>"
        "<div class='table-scroll' tabindex='0' role='region' aria-label='How this page was made'>"
        f"<table><tbody>{body}</tbody></table></div>{whole}</details>"
    )


def _data_words(kind: str, name: str) -> str:
    if kind == "unknown":
        return f"Data: {name}." if name else "No atlas is read on this page."
    if kind == "real":
        return f"Real data: {name}."
    return (
        f"SIMULATED data{f' ({name})' if name else ''}. The numbers are those of a made-up atlas with known, planted "
        "effects. They show that the methods work; they are no findings about muscle."
    )


def _aside(kind: str, *sentences: str) -> str:
    words = " ".join(f"<span>{in_html(sentence)}</span>" for sentence in sentences)
    return f"<aside class='run-banner run-banner-{kind}' aria-label='Data of this page'>{words}</aside>"


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def findings(site: Mapping[str, Any], *, whole: bool) -> str:
    """Return what each chapter found as Markdown, in the last sentence of its run or in all; why chapters are left out."""
    runs, missing = site.get("runs", {}), site.get("missing", {})
    lines = []
    for name in sorted({*runs, *missing}):
        if name in missing:
            title, reason = escape(missing[name]["title"]), escape(missing[name]["reason"])
            lines.append(f"- {title}: not in this copy of the book. {reason}\n")
            continue
        run = runs[name]
        question = f" {escape(run['question'])}" if whole else ""
        lines.append(f"- [**{escape(run['title'])}**](/notebooks/{name}.ipynb){question}\n")
        lines += [f"  {sentence}\n" for sentence in run["in_short"][0 if whole else -1 :]]
    return "\n".join(lines) or "No chapter was run before this site was built."


def sweep_page(folder: Path) -> str:
    """Return what a sweep found as Markdown; a sentence that names the command where it was not run."""
    if not (folder / SWEEP_FILE).is_file():
        return f"This sweep was not run for this copy. To make it: `musclebook sweep {folder.name}`."
    about = json.loads((folder / SWEEP_FILE).read_text(encoding="utf-8"))
    runs = pl.read_parquet(folder / f"{TABLE}.parquet")
    failed = runs.filter(pl.col(STATUS) == "failed").height
    kind = "simulated" if about["simulated"] else "real"
    over = about["x"].replace("_", " ")
    records = ", ".join(name.replace("_", " ") for name in about["records"])
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
    units = about["records"]
    unit = {column: f" ({units[column]})" if units.get(column) else "" for column in columns}
    heads = [column.replace("_", " ") + unit[column] for column in columns]
    head = "".join(f"<th scope='col'>{in_html(one)}</th>" for one in (*heads, "run"))
    body = []
    for row in table.iter_rows(named=True):
        cells = "".join(_cell(row[column]) for column in columns)
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


def _cell(value: Any) -> str:
    if value is None:
        return "<td data-value=''>–</td>"
    text = f"{value:.3g}" if isinstance(value, float) else str(value)
    return f"<td data-value='{in_html(value)}'>{in_html(text)}</td>"
