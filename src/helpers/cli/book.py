"""Commands of the book: run, build, status, pair, sweep, workshop, new-chapter, doctor."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from helpers.budget import to_text
from helpers.cli import screen
from helpers.errors import PairingError, RunError, SiteError

if TYPE_CHECKING:
    from helpers.book.execute import Outcome
    from helpers.book.project import Project
    from helpers.book.run import Plan, Tell

console = Console()
_ENDED = {"good": "green", "reused": "cyan", "failed": "red"}

Notebooks = Annotated[list[str] | None, typer.Argument(help="Names or numbers; all if none is named.")]
Atlas = Annotated[
    str | None, typer.Option(help="demo, tiny, a release folder or an .h5ad.", show_default="demo")
]
Profile = Annotated[str | None, typer.Option(help="test, demo, real or full; fits the atlas if not given.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Notebooks at once.", show_default="one a core")]
Memory = Annotated[
    str | None,
    typer.Option(help="What all runs together may take, such as '8 GiB'.", show_default="what is free"),
]


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


@_failures()
def run(
    notebooks: Notebooks = None,
    atlas: Atlas = None,
    given: Annotated[
        list[str] | None, typer.Option("-p", help="A parameter, name=value; may be repeated.")
    ] = None,
    files: Annotated[list[Path] | None, typer.Option("-f", help="YAML file of parameters.")] = None,
    profile: Profile = None,
    workers: Workers = None,
    memory: Memory = None,
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

    project = _project()
    values = parameters.parse_options(given or [], files=files or [])
    request = running.Request(atlas=atlas, profile=profile, values=values)
    every = running.plan(project, project.choose(notebooks), request, out=out and out.resolve())
    plans = running.able(every, all_or_none=bool(notebooks))
    failed = (out or project.build) / "failed"
    outcomes = _make(every, plans, failed=failed, workers=workers, memory=memory, fresh=fresh)
    for one in outcomes:
        if one.status != "failed":
            place, here = Path(one.folder) / "files" / one.name, Path.cwd()
            place = place.relative_to(here) if place.is_relative_to(here) else place
            screen.say(f"{one.name}: tables and numbers in {place}")
    if out is None and (show or not request.by_hand):
        running.point(plans, outcomes)
    running.report(outcomes)


@_failures()
def build(
    atlas: Atlas = None,
    profile: Profile = None,
    workers: Workers = None,
    memory: Memory = None,
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

    project = _project()
    every: list[Plan] = []
    if runs:
        every = running.plan(project, project.choose(), running.Request(atlas=atlas, profile=profile))
        plans = running.able(every, all_or_none=False)
        running.leave_out(every)
        outcomes = _make(every, plans, failed=project.build / "failed", workers=workers, memory=memory)
        running.point(plans, outcomes)
        running.report(outcomes)
    with console.status("building the site"):
        made = site.build(project, repository=repository, branch=branch, fresh=fresh)
    words = "unchanged" if made.reused else "brought up to date" if made.incremental else "built"
    left = sum(bool(one.lacks) for one in every)
    without = f", {left} of {len(every)} chapters left out" if left else ""
    screen.say(f"Site {words} in {made.seconds:.0f} s{without}: {made.folder / 'index.html'}")


@_failures()
def status(atlas: Atlas = None, profile: Profile = None) -> None:
    """Say of every page whether it is current, and if not, why.

    Example: musclebook status
    """
    from helpers.book import run as running

    project = _project()
    request = running.Request(atlas=atlas, profile=profile) if atlas or profile else None
    found, missing = running.states(project, request=request), running.left_out(project)
    table = Table("page", "state", "because of", box=None)
    for name, reasons in found.items():
        if reasons is None:
            state = "left out" if name in missing else "never run"
            table.add_row(name, f"[yellow]{state}[/]", escape(missing.get(name, "")))
        else:
            words = "[red]stale[/]" if reasons else "[green]current[/]"
            table.add_row(name, words, escape("; ".join(reasons)))
    console.print(table)
    stale = [name for name, reasons in found.items() if reasons != [] and name not in missing]
    raise typer.Exit(1 if stale else 0)


@_failures()
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

    books = _project().choose(notebooks)
    if check:
        found = [difference for book in books for difference in pairing.compare(book)]
        for difference in found:
            screen.say(difference)
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


@_failures()
def sweep(
    name: Annotated[str, typer.Argument(help="A file of the folder sweeps.", show_default=False)],
    atlas: Atlas = None,
    profile: Profile = None,
    workers: Workers = None,
    memory: Memory = None,
) -> None:
    """Run one notebook over a grid of parameters; finished runs are kept, so that it goes on where it stopped.

    Example: musclebook sweep qc_thresholds
    """
    from helpers.book import run as running
    from helpers.book import sweep as sweeping

    project = _project()
    wanted = sweeping.read_sweep(project, name)
    plans = sweeping.plans_of(project, wanted, atlas=atlas, profile=profile)
    _prepare(plans)
    with _progress() as tell:
        folder, outcomes = sweeping.make(project, wanted, plans, workers=workers, memory=memory, tell=tell)
    states = [one.status for one in outcomes]
    counts = ", ".join(f"{states.count(state)} {state}" for state in _ENDED)
    console.print(f"{len(states)} runs: {counts}. Table and figure: {folder}", soft_wrap=True)
    running.report(outcomes)


@_failures()
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
    from helpers.book import teaching

    project = _project()
    screen.claim(out, kind=teaching.KIND, force=force, inputs=[project.root])
    wanted = [one.strip() for one in chapters.split(",")] if chapters else None
    counts = teaching.write(project, out, chapters=wanted, minutes=minutes, force=force)
    console.print(f"{sum(counts.values())} exercises in {len(counts)} chapters: {out}", soft_wrap=True)


@_failures()
def new_chapter(
    name: Annotated[str, typer.Argument(help="Words joined by underscores, no number.", show_default=False)],
) -> None:
    """Start a chapter that runs at once: notebook, pair, sidecar, checkers and their test, an entry in the contents.

    Example: musclebook new-chapter nerve_supply
    """
    from helpers.book import kit

    project = _project()
    for path in kit.new_chapter(project, name):
        console.print(str(path.relative_to(project.root)), soft_wrap=True)
    console.print("Next: CONTRIBUTING.md, A notebook.", soft_wrap=True)


def doctor() -> None:
    """Say whether this machine is ready: packages, memory, disk, a kernel. Needs no network.

    Example: musclebook doctor
    """
    from helpers.book import doctor as examining

    found = examining.examine(_project())
    table = Table("what", "state", "found", box=None)
    colors = {examining.GOOD: "green", examining.DOUBT: "yellow", examining.BAD: "red"}
    for what, state, words in found:
        table.add_row(what, f"[{colors[state]}]{state}[/]", escape(words))
    console.print(table)
    raise typer.Exit(1 if any(state == examining.BAD for _, state, _ in found) else 0)


COMMANDS = (run, build, status, pair, sweep, workshop, new_chapter, doctor)


def _project() -> "Project":
    from helpers.book.project import find_project

    return find_project()


def _make(every: "list[Plan]", plans: "list[Plan]", **options: Any) -> "list[Outcome]":
    """Make the runs of `plans`, and print which of all are left out and how each ended."""
    from helpers.book import run as running

    for one in every:
        if one.lacks:
            screen.say(f"{one.notebook.name} is left out. {one.lacks}")
    _prepare(plans)
    with _progress() as tell:
        outcomes = running.make(plans, tell=tell, **options)
    table = Table("notebook", "run", "state", "time", "memory", box=None)
    for one in outcomes:
        words = f"[{_ENDED[one.status]}]{one.status}[/]"
        memory = to_text(one.peak_bytes) if one.peak_bytes else ""
        table.add_row(one.name, one.key, words, f"{one.seconds:.0f} s", memory)
    console.print(table)
    return outcomes


def _prepare(plans: "list[Plan]") -> None:
    # several notebooks that start at once would each simulate the atlas that none has yet
    wanted = {one.effective["atlas"] for one in plans if "atlas" in one.effective and not one.is_made}
    if wanted:
        from helpers import sources

        for source in sorted(map(str, wanted)):
            with console.status(f"opening the atlas {escape(source)}"):
                sources.open_atlas(source)


@contextmanager
def _progress() -> "Iterator[Tell]":
    """Give a function that tells how far a notebook is: bars on a terminal, else a line when it starts and ends."""
    if not console.is_terminal:
        yield _tell_in_lines()
        return
    words_of = TextColumn("{task.fields[words]}")
    columns = (SpinnerColumn(), TextColumn("{task.description}"), words_of, TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        known: dict[str, int] = {}

        def tell(name: str, words: str) -> None:
            if name not in known:
                known[name] = bars.add_task(escape(name), total=1, words=words)
            bars.update(known[name], words=words, completed=1 if words in _ENDED else 0)

        yield tell


def _tell_in_lines() -> "Tell":
    # a log is not silent, and not flooded
    started: dict[str, float] = {}

    def tell(name: str, words: str) -> None:
        if words == "started":
            started[name] = time.monotonic()
            screen.say(f"{name}: started")
        elif words in _ENDED:
            took = f" after {time.monotonic() - started[name]:.0f} s" if name in started else ""
            screen.say(f"{name}: {words}{took}")

    return tell
