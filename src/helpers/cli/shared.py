"""What the commands of the book share: options, progress, endings."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from helpers.budget import to_text
from helpers.cli import screen
from helpers.errors import RunError, SiteError

if TYPE_CHECKING:
    from helpers.book.execute import Outcome
    from helpers.book.project import Project
    from helpers.book.run import Plan, Tell

console = Console()
_ENDED = ("good", "failed", "reused")

Notebooks = Annotated[list[str] | None, typer.Argument(help="Names or numbers; all if none is named.")]
Atlas = Annotated[
    str | None, typer.Option(help="demo, tiny, a release folder or an .h5ad.", show_default="demo")
]
Given = Annotated[list[str] | None, typer.Option("-p", help="A parameter, name=value; may be repeated.")]
Files = Annotated[list[Path] | None, typer.Option("-f", help="YAML file of parameters.")]
Profile = Annotated[str | None, typer.Option(help="test, demo, real or full; fits the atlas if not given.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Notebooks at once.", show_default="one a core")]
Memory = Annotated[
    str | None,
    typer.Option(help="What all runs together may take, such as '8 GiB'.", show_default="what is free"),
]


@contextmanager
def failures() -> Iterator[None]:
    """Say what failed in words, and end with 1."""
    # a run that failed is 1; what was refused before anything ran is left to the command line, which says 2
    try:
        yield
    except (RunError, SiteError) as error:
        screen.say_error(str(error))
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        screen.say_error("interrupted; the last good run of each notebook stays.")
        raise typer.Exit(130) from None


def project() -> "Project":
    """Return the book around the working folder."""
    from helpers.book.project import find_project

    return find_project()


def prepare(plans: "list[Plan]") -> None:
    """Open each atlas once before the runs start."""
    # several notebooks that start at once would each simulate the atlas that none has yet
    wanted = {one.effective["atlas"] for one in plans if "atlas" in one.effective and not one.is_made}
    if wanted:
        from helpers import sources

        for source in sorted(map(str, wanted)):
            with console.status(f"opening the atlas {escape(source)}"):
                sources.open_atlas(source)


@contextmanager
def progress() -> "Iterator[Tell]":
    """Give a function that tells how far a notebook is: bars on a terminal, else a line when it starts and ends."""
    if not console.is_terminal:
        yield tell_in_lines(screen.say)
        return
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
                known[name] = bars.add_task(escape(name), total=1, words=words)
            bars.update(known[name], words=words, completed=1 if words in _ENDED else 0)

        yield tell


def tell_in_lines(say: Callable[[str], None]) -> "Tell":
    """Return a function that says only when a notebook starts and ends: a log is not silent, and not flooded."""
    import time

    started: dict[str, float] = {}

    def tell(name: str, words: str) -> None:
        if words == "started":
            started[name] = time.monotonic()
            say(f"{name}: started")
        elif words in _ENDED:
            took = f" after {time.monotonic() - started[name]:.0f} s" if name in started else ""
            say(f"{name}: {words}{took}")

    return tell


def print_left_out(plans: "list[Plan]") -> None:
    """Print why notebooks cannot run on this source."""
    for one in plans:
        if one.lacks:
            screen.say(f"{one.notebook.name} is left out. {one.lacks}")


def print_outcomes(outcomes: "list[Outcome]") -> None:
    """Print how each run ended."""
    table = Table("notebook", "run", "state", "time", "memory", box=None)
    colors = {"good": "green", "reused": "cyan", "failed": "red"}
    for one in outcomes:
        color = colors[one.status]
        memory = to_text(one.peak_bytes) if one.peak_bytes else ""
        table.add_row(one.name, one.key, f"[{color}]{one.status}[/]", f"{one.seconds:.0f} s", memory)
    console.print(table)


def print_places(outcomes: "list[Outcome]") -> None:
    """Print where each good run left its notebook, its numbers and its tables."""
    for one in outcomes:
        if one.status != "failed":
            screen.say(f"{one.name}: tables and numbers in {_near(Path(one.folder) / 'files' / one.name)}")


def _near(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
