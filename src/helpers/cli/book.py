"""Commands of the book: run, build, status, pair, sweep, workshop, doctor."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from helpers.budget import to_text
from helpers.cli import screen
from helpers.errors import PairingError, RunError, SiteError

console = Console()

Notebooks = Annotated[list[str] | None, typer.Argument(help="Names or numbers; all if none is named.")]
Atlas = Annotated[
    str | None, typer.Option(help="demo, tiny, a release folder or an .h5ad.", show_default="demo")
]
Given = Annotated[list[str] | None, typer.Option("-p", help="A parameter, name=value; may be repeated.")]
Files = Annotated[list[Path] | None, typer.Option("-f", help="YAML file of parameters.")]
Profile = Annotated[str | None, typer.Option(help="test, demo, real or full; fits the atlas if not given.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Notebooks at once.", show_default="one a core")]
Cluster = Annotated[str | None, typer.Option(help="Address of a Dask scheduler.")]


@contextmanager
def _failures() -> Iterator[None]:
    # a run that failed is 1; what was refused before anything ran is left to the command line, which says 2
    try:
        yield
    except (RunError, SiteError) as error:
        screen.say_error(str(error))
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        screen.say_error("interrupted; the last good run of each notebook stays.")
        raise typer.Exit(130) from None


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file to the command line."""
    for command in (run, build, status, pair):
        app.command()(command)


def run(
    notebooks: Notebooks = None,
    atlas: Atlas = None,
    given: Given = None,
    files: Files = None,
    profile: Profile = None,
    workers: Workers = None,
    out: Annotated[Path | None, typer.Option(help="Folder of runs.", show_default="_build/runs")] = None,
    cluster: Cluster = None,
    show: Annotated[
        bool, typer.Option("--show", help="Let the page show a run with given parameters.")
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Run again even if nothing changed.")] = False,
) -> None:
    """Run notebooks: checked first, in parallel, reused where nothing changed.

    Example: musclebook run 03 --atlas my.h5ad -p cell_type=FB
    """
    from helpers.book import parameters, run, state

    with _failures():
        project = _project()
        texts, values = parameters.parse_options(given or [], files=files or [])
        request = run.Request(atlas=atlas, profile=profile, texts=texts, values=values)
        plans = run.plan(project, project.choose(notebooks), request, out=out)
        _prepare(plans)
        failed = (out or project.build) / "failed"
        with _progress() as tell:
            outcomes = run.make(
                plans, failed=failed, workers=workers, cluster=cluster, fresh=fresh, tell=tell
            )
        _print_outcomes(outcomes)
        if show or not request.by_hand:
            state.point(plans, outcomes)
        run.report(outcomes)


def build(
    atlas: Atlas = None,
    profile: Profile = None,
    workers: Workers = None,
    cluster: Cluster = None,
    repository: Annotated[
        str | None, typer.Option(help="Web address of the repository, for launch buttons.")
    ] = None,
    branch: Annotated[str, typer.Option(help="Branch or tag that launch buttons open.")] = "main",
    fresh: Annotated[bool, typer.Option("--fresh", help="Build again even if nothing changed.")] = False,
    runs: Annotated[bool, typer.Option("--runs/--no-runs", help="Make stale runs first.")] = True,
) -> None:
    """Make the runs that are stale, then the site in _build/html.

    Example: musclebook build --atlas skeletal_muscle_release
    """
    from helpers.book import run, site, state

    with _failures():
        project = _project()
        if runs:
            plans = run.plan(project, project.choose(), run.Request(atlas=atlas, profile=profile))
            _prepare(plans)
            with _progress() as tell:
                outcomes = run.make(
                    plans, failed=project.build / "failed", workers=workers, cluster=cluster, tell=tell
                )
            _print_outcomes(outcomes)
            state.point(plans, outcomes)
            run.report(outcomes)
        with console.status("building the site"):
            made = site.build(project, repository=repository, branch=branch, fresh=fresh)
        words = "unchanged" if made.reused else "built"
        console.print(f"Site {words} in {made.seconds:.0f} s: {made.folder / 'index.html'}", soft_wrap=True)


def status(atlas: Atlas = None, profile: Profile = None) -> None:
    """Say of every page whether it is current, and if not, why.

    Example: musclebook status
    """
    from helpers.book import run, state

    with _failures():
        request = run.Request(atlas=atlas, profile=profile) if atlas or profile else None
        found = state.states(_project(), request=request)
        table = Table("page", "state", "because of", box=None)
        for name, reasons in found.items():
            if reasons is None:
                table.add_row(name, "[yellow]never run[/]", "")
            else:
                words = "[red]stale[/]" if reasons else "[green]current[/]"
                table.add_row(name, words, escape("; ".join(reasons)))
        console.print(table)
        raise typer.Exit(1 if any(reasons is None or reasons for reasons in found.values()) else 0)


def pair(
    notebooks: Notebooks = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only say what differs; exit 1 if anything does.")
    ] = False,
    from_ipynb: Annotated[
        bool, typer.Option("--from-ipynb", help="Take over edits made in Jupyter, the other way round.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a side that was edited.")] = False,
) -> None:
    """Write notebooks/NN.ipynb from notebooks/NN.py, by content; timestamps never count.

    Example: musclebook pair --check
    """
    from helpers.book import pairing

    with _failures():
        books = _project().choose(notebooks)
        if check:
            found = [difference for book in books for difference in pairing.compare(book)]
            for difference in found:
                screen.say(str(difference))
            console.print(f"{len(books)} pairs, {len(found)} differences")
            raise typer.Exit(1 if found else 0)
        write = pairing.write_text if from_ipynb else pairing.write_pair
        faults = []
        for book in books:
            try:
                console.print(f"{book.name}: {'written' if write(book, force=force) else 'unchanged'}")
            except PairingError as error:
                faults.append(str(error))
        if faults:
            raise PairingError("\n".join(faults))


def _project():
    from helpers.book.project import find_project

    return find_project()


def _prepare(plans: list) -> None:
    # several notebooks that start at once would each simulate the atlas that none has yet
    wanted = {one.effective["atlas"] for one in plans if "atlas" in one.effective and not one.is_made}
    if wanted:
        from helpers import sources

        for source in sorted(wanted):
            with console.status(f"opening the atlas {source}"):
                sources.open_atlas(source)


@contextmanager
def _progress() -> Iterator[Callable[[str, str], None]]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("{task.fields[words]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        known: dict[str, int] = {}

        def tell(name: str, words: str) -> None:
            if name not in known:
                known[name] = bars.add_task(name, total=1, words=words)
            done = words in {"good", "failed", "reused"}
            bars.update(known[name], words=words, completed=1 if done else 0)

        yield tell


def _print_outcomes(outcomes: list) -> None:
    table = Table("notebook", "run", "state", "time", "memory", box=None)
    colors = {"good": "green", "reused": "cyan", "failed": "red"}
    for one in outcomes:
        color = colors[one.status]
        memory = to_text(one.peak_bytes) if one.peak_bytes else ""
        table.add_row(one.name, one.key, f"[{color}]{one.status}[/]", f"{one.seconds:.0f} s", memory)
    console.print(table)
