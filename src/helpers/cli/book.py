"""Commands of the book: run, build, status, pair, sweep, workshop, new-chapter, doctor."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from typer import Argument, Exit, Option

from helpers import parameters
from helpers.budget import to_text
from helpers.cli import screen
from helpers.errors import PairingError

Notebooks = Annotated[list[str] | None, Argument(help="Names or numbers; all if none is named.")]
Atlas = Annotated[str | None, Option(help="demo, tiny, a release folder or an .h5ad.", show_default="demo")]
Profile = Annotated[str | None, Option(help="test, demo, real or full; fits the atlas if not given.")]
Workers = Annotated[int | None, Option(min=1, help="Notebooks at once.", show_default="one a core")]
Memory = Annotated[str | None, Option(help="For all runs together: '8 GiB'.", show_default="what is free")]


def run(
    notebooks: Notebooks = None,
    atlas: Atlas = None,
    given: Annotated[list[str] | None, Option("-p", help="A parameter, name=value; repeatable.")] = None,
    files: Annotated[list[Path] | None, Option("-f", help="YAML file of parameters.")] = None,
    profile: Profile = None,
    workers: Workers = None,
    memory: Memory = None,
    out: Annotated[Path | None, Option(help="Folder of runs.", show_default="_build/runs")] = None,
    show: Annotated[bool, Option("--show", help="Let the page show a run with given parameters.")] = False,
    fresh: Annotated[bool, Option("--fresh", help="Run again even if nothing changed.")] = False,
) -> None:
    """Run notebooks: checked first, in parallel, reused where nothing changed.

    Paths are seen from the folder of the command. Without names, the notebooks that the atlas can serve are run.

    Example: musclebook run 03 --atlas my.h5ad -p cell_type=FB
    """
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
            screen.say(f"{one.name}: tables and numbers in {Path(one.folder) / 'files' / one.name}")
    if out is None and (show or not values):
        running.point(plans, outcomes)
    running.report(outcomes)


def build(
    atlas: Atlas = None,
    profile: Profile = None,
    workers: Workers = None,
    memory: Memory = None,
    repository: Annotated[str | None, Option(help="Web address that launch buttons open.")] = None,
    branch: Annotated[str, Option(help="Branch or tag that launch buttons open.")] = "main",
    fresh: Annotated[bool, Option("--fresh", help="Read every page anew, as where CI is set.")] = False,
    runs: Annotated[bool, Option("--runs/--no-runs", help="Make stale runs first.")] = True,
) -> None:
    """Make the runs that are stale, then the site in _build/html.

    Pages that the atlas cannot serve are left out, with the reason on the first page.

    Example: musclebook build --atlas skeletal_muscle_release
    """
    from helpers.book import run, site

    project = _project()
    every = []
    if runs:
        every = run.plan(project, project.choose(), run.Request(atlas=atlas, profile=profile))
        plans = run.able(every, all_or_none=False)
        run.leave_out(every)
        outcomes = _make(every, plans, failed=project.build / "failed", workers=workers, memory=memory)
        run.point(plans, outcomes)
        run.report(outcomes)
    with Console().status("building the site"):
        how, seconds = site.build(project, repository=repository, branch=branch, fresh=fresh)
    left = sum(bool(one.lacks) for one in every)
    without = f", {left} of {len(every)} chapters left out" if left else ""
    screen.say(f"Site {how} in {seconds:.0f} s{without}: {project.build / 'html' / 'index.html'}")


def status(atlas: Atlas = None, profile: Profile = None) -> None:
    """Say of every page whether it is current, and if not, why.

    Example: musclebook status
    """
    from helpers.book import run as running

    project = _project()
    request = running.Request(atlas=atlas, profile=profile) if atlas or profile else None
    found, missing = running.states(project, request=request), running.left_out(project)
    rows = [(name, "left out", reason) for name, reason in missing.items()]
    for name in found.keys() - missing.keys():
        reasons = found[name]
        state = "never run" if reasons is None else "stale" if reasons else "current"
        rows.append((name, state, "; ".join(reasons or [])))
    screen.show_table(("page", "state", "because of"), sorted(rows))
    raise Exit(any(state in ("stale", "never run") for _, state, _ in rows))


def pair(
    notebooks: Notebooks = None,
    check: Annotated[bool, Option("--check", help="Only say what differs, and exit 1 if so.")] = False,
    from_ipynb: Annotated[bool, Option("--from-ipynb", help="Take over edits made in Jupyter.")] = False,
    force: Annotated[bool, Option("--force", help="Overwrite a side that was edited.")] = False,
) -> None:
    """Write notebooks/NN.ipynb from notebooks/NN.py, by content; timestamps never count.

    Example: musclebook pair --check
    """
    from helpers.book import pairing

    books = _project().choose(notebooks)
    if check:
        found = [difference for book in books for difference in pairing.compare(book)]
        screen.say("\n".join([*found, f"{len(books)} pairs, {len(found)} differences"]))
        raise Exit(1 if found else 0)
    write, faults = pairing.write_text if from_ipynb else pairing.write_pair, []
    for book in books:
        try:
            screen.say(f"{book.name}: {'written' if write(book, force=force) else 'unchanged'}")
        except PairingError as error:
            faults.append(str(error))
    if faults:
        raise PairingError("\n".join(faults))


def sweep(
    name: Annotated[str, Argument(help="A file of the folder sweeps.")],
    atlas: Atlas = None,
    profile: Profile = None,
    workers: Workers = None,
    memory: Memory = None,
) -> None:
    """Run one notebook over a grid of parameters; finished runs are kept, so that it goes on where it stopped.

    Example: musclebook sweep qc_thresholds
    """
    from helpers.book import run, sweep

    project = _project()
    wanted = sweep.read_sweep(project, name)
    plans = sweep.plans_of(project, wanted, atlas=atlas, profile=profile)
    folder, outcomes = sweep.make(project, wanted, plans, workers=workers, memory=memory, tell=_teller())
    states = [one.status for one in outcomes]
    counts = ", ".join(f"{states.count(state)} {state}" for state in ("good", "reused", "failed"))
    screen.say(f"{len(states)} runs: {counts}. Table and figure: {folder}")
    run.report(outcomes)


def workshop(
    out: Annotated[Path, Argument(help="New folder for the editions.")],
    chapters: Annotated[str | None, Option(help="Numbers or names, by commas.", show_default="all")] = None,
    minutes: Annotated[int, Option(help="From start to end, breaks included.", min=30, max=2400)] = 240,
    force: screen.Force = False,
) -> None:
    """Write a learner edition, a solution edition and the teacher's page with a schedule for the time there is.

    Example: musclebook workshop teaching --chapters 02,03 --minutes 180
    """
    from helpers.book import teaching

    project = _project()
    screen.claim(out, kind=teaching.KIND, force=force, inputs=[project.root])
    wanted = [one.strip() for one in chapters.split(",")] if chapters else None
    counts = teaching.write(project, out, chapters=wanted, minutes=minutes, force=force)
    screen.say(f"{sum(counts.values())} exercises in {len(counts)} chapters: {out}")


def new_chapter(name: Annotated[str, Argument(help="Words joined by underscores, no number.")]) -> None:
    """Start a chapter that runs at once: notebook, pair, sidecar, checkers and their test, an entry in the contents.

    Example: musclebook new-chapter nerve_supply
    """
    from helpers.book import pairing

    project = _project()
    written = [str(path.relative_to(project.root)) for path in pairing.new_chapter(project, name)]
    screen.say("\n".join([*written, "Next: CONTRIBUTING.md, A notebook."]))


def doctor() -> None:
    """Say whether this machine is ready: packages, memory, disk, a kernel. Needs no network.

    Example: musclebook doctor
    """
    from helpers.book import teaching

    found = teaching.examine_machine(_project())
    screen.show_table(("what", "state", "found"), found)
    raise Exit(1 if any(state == teaching.BAD for _, state, _ in found) else 0)


COMMANDS = (run, build, status, pair, sweep, workshop, new_chapter, doctor)


def _project() -> Any:
    from helpers.book.project import find_project

    return find_project()


def _make(every: list[Any], plans: list[Any], **options: Any) -> list[Any]:
    """Make the runs of `plans`, and print which of all are left out and how each ended."""
    from helpers.book import run as running

    for one in every:
        if one.lacks:
            screen.say(f"{one.name} is left out. {one.lacks}")
    outcomes = running.make(plans, tell=_teller(), **options)
    used = {one: to_text(one.peak_bytes) if one.peak_bytes else "" for one in outcomes}
    rows = [(one.name, one.key, one.status, f"{one.seconds:.0f} s", used[one]) for one in outcomes]
    screen.show_table(("notebook", "run", "state", "time", "memory"), rows)
    return outcomes


def _teller() -> Callable[[str, str], None]:
    """Return a function that says when a notebook starts, and how it ended after how long."""
    started: dict[str, float] = {}

    def tell(name: str, words: str) -> None:
        took = f" after {time.monotonic() - started[name]:.0f} s" if name in started else ""
        started.setdefault(name, time.monotonic())
        screen.say(f"{name}: {words}{took}")

    return tell
