"""What every page says about itself: which data, which run, and how it was made."""

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from helpers.budget import to_text
from helpers.markup import links

Runs = Mapping[str, Mapping[str, Any]]


def banner(runs: Runs | None, page: str) -> str:
    """Return the line above a page: simulated or real data, and for a chapter its run and date.

    Parameters
    ----------
    runs
        The runs that the site shows, by notebook; None where the book is built by hand.
    page
        Last part of the page's name.
    """
    if runs is None:
        return _aside("unknown", "Built by hand. Each chapter names its data in the fold at its end.")
    if page in runs:
        run = runs[page]
        given = str(run["parameters"].get("atlas", ""))
        # a word such as "demo" says more than the folder that holds what was simulated
        name = given if given and run["simulated"] else run["source"].get("name") or given
        words = _data_words(run["simulated"], str(name))
        made = run["made"].replace("T", " ").removesuffix("+00:00")
        return _aside(_kind(run["simulated"]), words, f"Run {run['key']}, {made[:16]} UTC.")
    kinds = {run["simulated"] for run in runs.values() if run["simulated"] is not None}
    if kinds == {True}:
        return _aside("simulated", _data_words(True, ""))  # noqa: FBT003
    if kinds == {False}:
        return _aside("real", "Real data. Each chapter names its source and its run.")
    if kinds:
        return _aside(
            "simulated", "Some chapters show simulated data, some real data: see the line above each."
        )
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
        f"<tr><th scope='row'>{html.escape(str(key))}</th><td>{html.escape(_text(value))}</td></tr>"
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


def _data_words(simulated: bool | None, name: str) -> str:  # noqa: FBT001
    if simulated is None:
        return "No atlas is read on this page." if not name else f"Data: {name}."
    if simulated:
        which = f" ({name})" if name else ""
        return (
            f"SIMULATED data{which}. The numbers are those of a made-up atlas with known, planted effects. "
            "They show that the methods work; they are no findings about muscle."
        )
    return f"Real data: {name}."


def _kind(simulated: bool | None) -> str:  # noqa: FBT001
    return {True: "simulated", False: "real", None: "unknown"}[simulated]


def _aside(kind: str, *sentences: str) -> str:
    words = " ".join(f"<span>{html.escape(sentence)}</span>" for sentence in sentences)
    return f"<aside class='run-banner run-banner-{kind}' aria-label='Data of this page'>{words}</aside>"


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
