"""Commands of the book: run, build, status, pair."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from helpers.cli import screen, shared
from helpers.errors import PairingError


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file to the command line."""
    for command in (run, build, status, pair):
        app.command()(command)


def run(
    notebooks: shared.Notebooks = None,
    atlas: shared.Atlas = None,
    given: shared.Given = None,
    files: shared.Files = None,
    profile: shared.Profile = None,
    workers: shared.Workers = None,
    memory: shared.Memory = None,
    out: Annotated[Path | None, typer.Option(help="Folder of runs.", show_default="_build/runs")] = None,
    show: Annotated[
        bool, typer.Option("--show", help="Let the page show a run with given parameters.")
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Run again even if nothing changed.")] = False,
) -> None:
    """Run notebooks: checked first, in parallel, reused where nothing changed.

    Paths are seen from the folder where the command is given. Without names, the notebooks that the atlas can serve
    are run.

    Example: musclebook run 03 --atlas my.h5ad -p cell_type=FB
    """
    from helpers import parameters
    from helpers.book import run as running

    with shared.failures():
        project = shared.project()
        texts, values = parameters.parse_options(given or [], files=files or [])
        request = running.Request(atlas=atlas, profile=profile, texts=texts, values=values)
        every = running.plan(project, project.choose(notebooks), request, out=out and out.resolve())
        plans = running.able(every, all_or_none=bool(notebooks))
        shared.print_left_out(every)
        shared.prepare(plans)
        failed = (out or project.build) / "failed"
        with shared.progress() as tell:
            outcomes = running.make(
                plans, failed=failed, workers=workers, memory=memory, fresh=fresh, tell=tell
            )
        shared.print_outcomes(outcomes)
        shared.print_places(outcomes)
        if out is None and (show or not request.by_hand):
            running.point(plans, outcomes)
        running.report(outcomes)


def build(
    atlas: shared.Atlas = None,
    profile: shared.Profile = None,
    workers: shared.Workers = None,
    memory: shared.Memory = None,
    repository: Annotated[
        str | None, typer.Option(help="Web address of the repository, for launch buttons.")
    ] = None,
    branch: Annotated[str, typer.Option(help="Branch or tag that launch buttons open.")] = "main",
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Read every page anew, as is done where CI is set.")
    ] = False,
    runs: Annotated[bool, typer.Option("--runs/--no-runs", help="Make stale runs first.")] = True,
) -> None:
    """Make the runs that are stale, then the site in _build/html.

    Pages that the atlas cannot serve are left out, with the reason on the first page.

    Example: musclebook build --atlas skeletal_muscle_release
    """
    from helpers.book import run as running
    from helpers.book import site

    with shared.failures():
        project = shared.project()
        every: list[running.Plan] = []
        if runs:
            request = running.Request(atlas=atlas, profile=profile)
            every = running.plan(project, project.choose(), request)
            plans = running.able(every, all_or_none=False)
            shared.print_left_out(every)
            running.leave_out(every)
            shared.prepare(plans)
            with shared.progress() as tell:
                outcomes = running.make(
                    plans, failed=project.build / "failed", workers=workers, memory=memory, tell=tell
                )
            shared.print_outcomes(outcomes)
            running.point(plans, outcomes)
            running.report(outcomes)
        with shared.console.status("building the site"):
            made = site.build(project, repository=repository, branch=branch, fresh=fresh)
        words = "unchanged" if made.reused else "brought up to date" if made.incremental else "built"
        left = sum(bool(one.lacks) for one in every)
        without = f", {left} of {len(every)} chapters left out" if left else ""
        screen.say(f"Site {words} in {made.seconds:.0f} s{without}: {made.folder / 'index.html'}")


def status(atlas: shared.Atlas = None, profile: shared.Profile = None) -> None:
    """Say of every page whether it is current, and if not, why.

    Example: musclebook status
    """
    from helpers.book import run as running

    with shared.failures():
        project = shared.project()
        request = running.Request(atlas=atlas, profile=profile) if atlas or profile else None
        found = running.states(project, request=request)
        missing = running.left_out(project)
        table = Table("page", "state", "because of", box=None)
        for name, reasons in found.items():
            if reasons is None:
                state = "left out" if name in missing else "never run"
                table.add_row(name, f"[yellow]{state}[/]", escape(missing.get(name, "")))
            else:
                words = "[red]stale[/]" if reasons else "[green]current[/]"
                table.add_row(name, words, escape("; ".join(reasons)))
        shared.console.print(table)
        stale = [name for name, reasons in found.items() if reasons != [] and name not in missing]
        raise typer.Exit(1 if stale else 0)


def pair(
    notebooks: shared.Notebooks = None,
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

    with shared.failures():
        books = shared.project().choose(notebooks)
        if check:
            found = [difference for book in books for difference in pairing.compare(book)]
            for difference in found:
                screen.say(str(difference))
            shared.console.print(f"{len(books)} pairs, {len(found)} differences")
            raise typer.Exit(1 if found else 0)
        write = pairing.write_text if from_ipynb else pairing.write_pair
        faults = []
        for book in books:
            try:
                shared.console.print(f"{book.name}: {'written' if write(book, force=force) else 'unchanged'}")
            except PairingError as error:
                faults.append(str(error))
        if faults:
            raise PairingError("\n".join(faults))
