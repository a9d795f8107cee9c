"""Sweeps: one notebook over a grid of parameters, resumable, with a table, a figure and a page of what it recorded."""

import itertools
from dataclasses import field, replace
from pathlib import Path
from typing import Annotated, Any

import matplotlib as mpl
import nbformat
import polars as pl
import seaborn as sns
from matplotlib.figure import Figure
from pydantic import BeforeValidator, Field

from helpers import style
from helpers.book import key, run
from helpers.book.execute import Outcome
from helpers.book.project import SWEEP_PAGE, Project, checked, read_as, read_json
from helpers.book.stage import dress, hidden_folders
from helpers.errors import ParameterError, RunError
from helpers.files import writing
from helpers.findings import in_html, links, scrolling
from helpers.parameters import ATLAS, Value, read_parameters

_ENDING = ("run", "key", "seconds", "error")  # the last columns of a table
_TYPES = {"int": pl.Int64, "float": pl.Float64, "str": pl.String, "bool": pl.Boolean}


# Several grids are joined: cell types differ between assays, and their full product would hold empty corners.
Joined = BeforeValidator(lambda grid: grid if isinstance(grid, list) else [grid])


@checked
class Sweep:
    """What to run, and what of it to show."""

    name: str
    title: str
    notebook: str
    grid: Annotated[list[dict[str, Annotated[list[Value], Field(min_length=1)]]], Joined]
    records: list[str]
    x: str
    split: str | None = None
    fixed: dict[str, Any] = field(default_factory=dict)

    @property
    def points(self) -> list[dict[str, Any]]:
        """The parameters of each run."""
        products = ((one, itertools.product(*one.values())) for one in self.grid)
        return [dict(zip(one, values, strict=True)) for one, product in products for values in product]


def read_sweep(project: Project, name: str) -> Sweep:
    """Read and check a sweep from the folder ``sweeps``, by name or path; all faults at once."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else project.root / "sweeps" / f"{name}.yaml"
    if not path.is_file():
        there = ", ".join(sorted(one.stem for one in (project.root / "sweeps").glob("*.yaml"))) or "none"
        msg = f"there is no sweep {name!r}. There are: {there}."
        raise RunError(msg)
    sweep = read_as(Sweep, path, ParameterError, name=path.stem)
    book = project.choose([sweep.notebook])[0]
    promised, declared = book.sidecar.records, read_parameters(book.read(), name=book.name)
    swept = {name for one in sweep.grid for name in one}
    faults = [f"{book.name} does not record {one!r}" for one in sweep.records if one not in promised]
    if not faults and all(promised[one].type == "str" for one in sweep.records):
        faults.append("none of 'records' is a number, so there is nothing to draw")
    given = sorted(swept | sweep.fixed.keys())
    faults += [f"{book.name} has no parameter {name!r}" for name in given if name not in declared]
    shown = {"x": sweep.x, "split": sweep.split or sweep.x}
    unvaried = [(where, name) for where, name in shown.items() if name not in swept]
    faults += [f"{where!r} is {name!r}, which 'grid' does not vary" for where, name in unvaried]
    if faults:
        msg = f"{path.name}: {'; '.join(faults)}."
        raise ParameterError(msg)
    return replace(sweep, notebook=book.name)


def plans_of(
    project: Project, sweep: Sweep, *, atlas: str | None = None, profile: str | None = None
) -> list[run.Plan]:
    """Check every point of the grid before the first one runs."""
    book = project.choose([sweep.notebook])
    plans = []
    for point in sweep.points:
        request = run.Request(atlas=atlas, profile=profile, values={**sweep.fixed, **point})
        one = run.plan(project, book, request, out=project.build / "sweep_runs")[0]
        plans.append(replace(one, label=" ".join(str(value) for value in point.values())))
    return run.able(plans, all_or_none=True)


def make(project: Project, sweep: Sweep, plans: list[run.Plan], **options: Any) -> tuple[Path, list[Outcome]]:
    """Make the runs that are lacking, with the options of `run.make`; return the folder of table and figure, and all outcomes."""
    outcomes = run.make(plans, failed=project.build / "failed" / sweep.name, **options)
    table = tabulate(sweep, plans, outcomes)
    folder = project.build / "sweeps" / sweep.name
    with writing(folder, owned=True) as part:
        (part / "notebooks").mkdir(parents=True)
        table.write_csv(part / "table.csv")
        table.write_parquet(part / "table.parquet")
        draw(table, sweep).savefig(part / "figure.png")
        for one, outcome in zip(plans, outcomes, strict=True):
            if outcome.status != "failed":
                executed = nbformat.read(one.target / f"{one.name}.ipynb", as_version=4)
                hidden = hidden_folders(project, one.effective)
                page = dress(executed, given=one.about["given"], run_key=one.key, hidden=hidden)
                for (
                    cell
                ) in page.cells:  # several runs of one notebook would give one label to several figures
                    cell.metadata.get("mystnb", {}).get("figure", {}).pop("name", None)
                nbformat.write(page, part / "notebooks" / f"{sweep.notebook}-{outcome.key}.ipynb")
        (part / SWEEP_PAGE).write_text(_page(table, sweep, plans[0]), encoding="utf-8")
    return folder, outcomes


def tabulate(sweep: Sweep, plans: list[run.Plan], outcomes: list[Outcome]) -> pl.DataFrame:
    """Return one row a run: the parameters of the point, the recorded values, how it ended, its key."""
    columns = dict.fromkeys(name for point in sweep.points for name in point)
    rows = []
    for point, one, outcome in zip(sweep.points, plans, outcomes, strict=True):
        bad = outcome.status == "failed"
        results = Path(outcome.folder, "files", sweep.notebook, "results.json")
        found = {} if bad else read_json(results).get("findings", {})
        values = {name: found.get(name, {}).get("value") for name in sweep.records}
        ended = ("failed" if bad else "good", one.key, outcome.seconds, outcome.error)
        rows.append({**columns, **point, **values, **dict(zip(_ENDING, ended, strict=True))})
    schema = {name: _TYPES[plans[0].sidecar.records[name].type] for name in sweep.records}
    return pl.DataFrame(rows, schema_overrides=schema, infer_schema_length=None, strict=False)


def draw(table: pl.DataFrame, sweep: Sweep) -> Figure:
    """Draw each recorded number against one parameter, in a panel of its own, one below the other."""
    drawn = [name for name in sweep.records if table.schema[name] != pl.String]
    frame = table.with_columns(pl.col(name).cast(pl.Float64) for name in drawn).to_pandas()
    by_number = table.schema[sweep.x].is_numeric()
    height = 2.2 if by_number else 0.8 + 0.24 * table[sweep.x].n_unique()
    with mpl.rc_context({"font.size": style.POINTS, "figure.constrained_layout.use": True}):
        figure = Figure(figsize=(style.WIDTH, height * len(drawn)), dpi=style.DPI)
        for axes, name in zip(figure.subplots(len(drawn), squeeze=False).flat, drawn, strict=True):
            across, up = (sweep.x, name) if by_number else (name, sweep.x)
            legend = "auto" if name == drawn[0] else False
            marked = {"hue": sweep.split, "style": sweep.split, "legend": legend}
            sns.scatterplot(frame, x=across, y=up, **marked, ax=axes, palette="dark")
            axes.set(xlabel=across.replace("_", " "), ylabel=up.replace("_", " "))
            if axes.get_legend():
                sns.move_legend(axes, "lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False)
    return figure


def _page(table: pl.DataFrame, sweep: Sweep, one: run.Plan) -> str:
    """Return what was found as Markdown: the figure, and a table that sorts, escaped, with a link to each run."""
    columns = [column for column in table.columns if column not in _ENDING]
    heads = [column.replace("_", " ") for column in columns]
    for name, record in one.sidecar.records.items():
        if name in sweep.records and record.unit:
            heads[columns.index(name)] += f" ({record.unit})"
    head = "".join(f"<th scope='col'>{in_html(one)}</th>" for one in (*heads, "run"))
    body = []
    for *values, ended, run_key, _, error in table.iter_rows():
        texts = ["–" if one is None else f"{one:.3g}" if isinstance(one, float) else one for one in values]
        cells = "".join(f"<td>{in_html(one)}</td>" for one in texts)
        target = in_html(f"../sweeps/{sweep.name}/notebooks/{sweep.notebook}-{run_key}.ipynb")
        link = f"<a href='{target}' download>{run_key}</a>"
        body.append(f"<tr>{cells}<td>{link if ended == 'good' else in_html(f'failed: {error}')}</td></tr>")
    rows = f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody>"
    box = scrolling(f"<table class='dataframe sortable'>{rows}</table>", sweep.title)
    files = links([Path("../sweeps", sweep.name, f"table.{kind}") for kind in ("csv", "parquet")])
    atlas, failed = one.effective.get(ATLAS), (table["run"] == "failed").sum()
    kind = "simulated" if atlas is not None and key.is_simulated(str(atlas)) else "real"
    records, over = ", ".join(sweep.records).replace("_", " "), sweep.x.replace("_", " ")
    return f"""\
Runs: {table.height}, on **{kind}** data.{f" Runs that failed: {failed}." if failed else ""}

```{{figure}} ../sweeps/{sweep.name}/figure.png
:name: fig-sweep-{sweep.name.replace("_", "-")}
:alt: Panels, one for each of {records}; each shows the value over {over}.

One panel a recorded value, one mark a run, over {over}.
```

Click on a heading to sort. The last column holds the executed notebook of each run.

```{{raw}} html
{box}<p class='table-foot'>{files}</p>
```"""
