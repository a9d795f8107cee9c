"""Commands around the book: sweep, workshop, new-chapter, doctor."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from helpers.cli import screen, shared


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file to the command line."""
    for command in (sweep, workshop, new_chapter, doctor):
        app.command()(command)


def sweep(
    name: Annotated[str, typer.Argument(help="A file of the folder sweeps.", show_default=False)],
    atlas: shared.Atlas = None,
    profile: shared.Profile = None,
    workers: shared.Workers = None,
    memory: shared.Memory = None,
) -> None:
    """Run one notebook over a grid of parameters; finished runs are kept, so that it goes on where it stopped.

    Example: musclebook sweep qc_thresholds
    """
    from helpers.book import run
    from helpers.book import sweep as sweeping

    with shared.failures():
        project = shared.project()
        wanted = sweeping.read_sweep(project, name)
        plans = sweeping.plans_of(project, wanted, atlas=atlas, profile=profile)
        shared.prepare(plans)
        with shared.progress() as tell:
            folder, outcomes = sweeping.make(
                project, wanted, plans, workers=workers, memory=memory, tell=tell
            )
        states = [one.status for one in outcomes]
        counts = ", ".join(f"{states.count(state)} {state}" for state in ("good", "reused", "failed"))
        shared.console.print(f"{len(states)} runs: {counts}. Table and figure: {folder}", soft_wrap=True)
        run.report(outcomes)


def workshop(
    out: Annotated[Path, typer.Argument(help="New folder for the editions.", show_default=False)],
    chapters: Annotated[
        str | None, typer.Option(help="Numbers or names, joined by commas.", show_default="all")
    ] = None,
    minutes: Annotated[int, typer.Option(help="From start to end, breaks included.", min=30, max=2400)] = 240,
    force: screen.Force = False,
) -> None:
    """Write a learner edition, a solution edition and the teacher's page with a schedule for the time there is.

    A folder that is there is replaced only if an earlier call made it and nothing in it changed since.

    Example: musclebook workshop teaching --chapters 02,03 --minutes 180
    """
    from helpers import files
    from helpers.book import teaching

    with shared.failures():
        project = shared.project()
        screen.tell_lost(out, files.claim(out, kind=teaching.KIND, force=force, inputs=[project.root]))
        wanted = [one.strip() for one in chapters.split(",")] if chapters else None
        counts = teaching.write(project, out, chapters=wanted, minutes=minutes, force=force)
        shared.console.print(
            f"{sum(counts.values())} exercises in {len(counts)} chapters: {out}", soft_wrap=True
        )


def new_chapter(
    name: Annotated[str, typer.Argument(help="Words joined by underscores, no number.", show_default=False)],
) -> None:
    """Start a chapter that runs at once: notebook, pair, sidecar, checkers and their test, an entry in the contents.

    Example: musclebook new-chapter nerve_supply
    """
    from helpers.book import kit

    with shared.failures():
        project = shared.project()
        for path in kit.new_chapter(project, name):
            shared.console.print(str(path.relative_to(project.root)), soft_wrap=True)
        shared.console.print("Next: CONTRIBUTING.md, A chapter in an hour.", soft_wrap=True)


def doctor() -> None:
    """Say whether this machine is ready: packages, memory, disk, a kernel. Needs no network.

    Example: musclebook doctor
    """
    from helpers.book import doctor as examining

    found = examining.examine(shared.project())
    table = Table("what", "state", "found", box=None)
    colors = {examining.GOOD: "green", examining.DOUBT: "yellow", examining.BAD: "red"}
    for one in found:
        table.add_row(one.what, f"[{colors[one.state]}]{one.state}[/]", escape(one.words))
    shared.console.print(table)
    raise typer.Exit(1 if any(one.state == examining.BAD for one in found) else 0)
