"""Sweeps: one notebook over a grid of parameters, resumable, with one table of what the runs recorded."""

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nbformat
import polars as pl
import yaml

from helpers.book import run
from helpers.book.execute import Outcome
from helpers.book.project import Project
from helpers.book.stage import dress, shown
from helpers.errors import ParameterError, RunError
from helpers.figures import multiples
from helpers.files import write_json, writing
from helpers.parameters import ATLAS

FILE = "sweep.json"
TABLE = "table"
STATUS, KEY, SECONDS, ERROR = "run", "key", "seconds", "error"
_TYPES = {"int": pl.Int64, "float": pl.Float64, "str": pl.String, "bool": pl.Boolean}


@dataclass(frozen=True)
class Sweep:
    """What to run, and what of it to show."""

    name: str
    title: str
    notebook: str
    fixed: dict[str, Any]
    points: tuple[dict[str, Any], ...]
    records: tuple[str, ...]
    x: str
    split: str | None


def read_sweep(project: Project, name: str) -> Sweep:
    """Read and check a sweep from the folder ``sweeps``, by name or path; all faults at once.

    Parameters
    ----------
    project
        The book.
    name
        Stem of a file in ``sweeps``, or a path.

    Raises
    ------
    RunError
        If there is no such sweep.
    ParameterError
        If keys are missing or unknown, or a recorded name is not promised by the notebook.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else project.root / "sweeps" / f"{name}.yaml"
    if not path.is_file():
        there = ", ".join(sorted(one.stem for one in (project.root / "sweeps").glob("*.yaml"))) or "none"
        msg = f"there is no sweep {name!r}. There are: {there}."
        raise RunError(msg)
    content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    needed, known = {"title", "notebook", "grid", "records", "x"}, {"fixed", "split"}
    faults = [f"{key!r} is missing" for key in sorted(needed - content.keys())]
    faults += [f"unknown key {key!r}" for key in sorted(content.keys() - needed - known)]
    if not faults:
        promised = project.choose([content["notebook"]])[0].sidecar.records
        faults += [
            f"{content['notebook']} does not record {one!r}"
            for one in content["records"]
            if one not in promised
        ]
    if faults:
        msg = f"{path.name}: {'; '.join(faults)}."
        raise ParameterError(msg)
    return Sweep(
        name=path.stem,
        title=content["title"],
        notebook=project.choose([content["notebook"]])[0].name,
        fixed=content.get("fixed") or {},
        points=tuple(_points(content["grid"])),
        records=tuple(content["records"]),
        x=content["x"],
        split=content.get("split"),
    )


def plans_of(
    project: Project, sweep: Sweep, *, atlas: str | None = None, profile: str | None = None
) -> list[run.Plan]:
    """Check every point of the grid before the first one runs.

    Parameters
    ----------
    project
        The book.
    sweep
        What to run.
    atlas, profile
        As for a run.

    Raises
    ------
    ParameterError
        If a point does not fit the notebook.
    """
    book = project.choose([sweep.notebook])
    plans = []
    for point in sweep.points:
        request = run.Request(atlas=atlas, profile=profile, values={**sweep.fixed, **point})
        one = run.plan(project, book, request, out=project.build / "sweep_runs")[0]
        plans.append(replace(one, label=" ".join(str(value) for value in point.values())))
    return plans


def make(
    project: Project,
    sweep: Sweep,
    plans: list[run.Plan],
    *,
    workers: int | None = None,
    memory: str | None = None,
    cluster: str | None = None,
    tell: Callable[[str, str], None] | None = None,
) -> tuple[Path, list[Outcome]]:
    """Make the runs that are not made yet, and write table, figure and notebooks; return the folder and the endings.

    Parameters
    ----------
    project
        The book.
    sweep
        What is run.
    plans
        What `plans_of` returned.
    workers, memory, cluster, tell
        As for runs.
    """
    failed = project.build / "failed" / sweep.name
    outcomes = run.make(plans, failed=failed, workers=workers, memory=memory, cluster=cluster, tell=tell)
    table = tabulate(sweep, plans, outcomes)
    folder = project.build / "sweeps" / sweep.name
    with writing(folder, owned=True) as part:
        (part / "notebooks").mkdir(parents=True)
        table.write_csv(part / f"{TABLE}.csv")
        table.write_parquet(part / f"{TABLE}.parquet")
        figure = multiples.draw_multiples(table, x=sweep.x, panels=list(sweep.records), split=sweep.split)
        (part / "figure.png").write_bytes(multiples.picture(figure))
        for one, outcome in zip(plans, outcomes, strict=True):
            if outcome.status != "failed":
                _keep_notebook(one, part / "notebooks" / f"{sweep.notebook}-{outcome.key}.ipynb")
        write_json(part / FILE, _about(sweep, plans))
    return folder, outcomes


def tabulate(sweep: Sweep, plans: list[run.Plan], outcomes: list[Outcome]) -> pl.DataFrame:
    """Return one row a run: the parameters of the point, the recorded values, how it ended, its key.

    Parameters
    ----------
    sweep
        What was run.
    plans, outcomes
        Of the same order.
    """
    promised = plans[0].notebook.sidecar.records
    columns = list(dict.fromkeys(name for point in sweep.points for name in point))
    rows = []
    for point, one, outcome in zip(sweep.points, plans, outcomes, strict=True):
        found = _findings(outcome.folder, sweep.notebook) if outcome.status != "failed" else {}
        ending = {STATUS: "failed" if outcome.status == "failed" else "good", KEY: one.parts.key}
        values = {name: found.get(name, {}).get("value") for name in sweep.records}
        rows.append(
            {
                **{name: point.get(name) for name in columns},
                **values,
                **ending,
                SECONDS: outcome.seconds,
                ERROR: outcome.error,
            }
        )
    schema = {name: _TYPES[promised[name].type] for name in sweep.records}
    return pl.DataFrame(rows, infer_schema_length=None, strict=False).with_columns(
        pl.col(name).cast(kind, strict=False) for name, kind in schema.items()
    )


def _points(grid: dict[str, list[Any]] | list[dict[str, list[Any]]]) -> list[dict[str, Any]]:
    # several grids are joined: cell types differ between assays, and their full product would hold empty corners
    found = []
    for one in grid if isinstance(grid, list) else [grid]:
        lists = [values if isinstance(values, list) else [values] for values in one.values()]
        found += [dict(zip(one, combination, strict=True)) for combination in itertools.product(*lists)]
    return found


def _findings(folder: str, notebook: str) -> dict[str, Any]:
    path = Path(folder) / "files" / notebook / "results.json"
    return json.loads(path.read_text(encoding="utf-8"))["findings"]


def _keep_notebook(one: run.Plan, target: Path) -> None:
    node = nbformat.read(one.target / f"{one.notebook.name}.ipynb", as_version=4)
    changed = {name: value for name, value in one.given.items() if name != "out_dir"}
    page = dress(node, given=changed, run_key=one.parts.key)
    for cell in page.cells:
        # several runs of one notebook would give one label to several figures
        cell.metadata.get("mystnb", {}).get("figure", {}).pop("name", None)
    with writing(target) as part:
        nbformat.write(page, part)


def _about(sweep: Sweep, plans: list[run.Plan]) -> dict[str, Any]:
    atlas = plans[0].effective.get(ATLAS)
    return {
        "title": sweep.title,
        "notebook": sweep.notebook,
        "fixed": sweep.fixed,
        "x": sweep.x,
        "split": sweep.split,
        "records": {name: plans[0].notebook.sidecar.records[name].unit for name in sweep.records},
        "parameters": list(dict.fromkeys(name for point in sweep.points for name in point)),
        "atlas": shown(atlas),
        "simulated": atlas is not None and run.is_simulated(str(atlas)),
    }
