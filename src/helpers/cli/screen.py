"""What commands show: lines, tables, progress, errors; and the options that several commands share."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import polars as pl
import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from helpers import files

Force = Annotated[bool, typer.Option("--force", help="Replace also what was added or edited; it is named.")]
Json = Annotated[bool, typer.Option("--json", help="Print the table as JSON instead.")]
Replace = Annotated[bool, typer.Option("--force", help="Replace the file that is there.")]
# color of a row's state
STYLES = {
    **dict.fromkeys(("ok", "holds", "good", "current", "ready"), "green"),
    **dict.fromkeys(("warning", "cannot be checked", "not comparable", "not judged: simulated"), "yellow"),
    **dict.fromkeys(("left out", "never run", "look"), "yellow"),
    **dict.fromkeys(("damaged", "does not hold", "failed", "stale", "not ready"), "bold red"),
    "reused": "cyan",
}


def say(text: str) -> None:
    """Print a line."""
    Console(soft_wrap=True, highlight=False).print(_printable(text), markup=False)


def say_error(text: str) -> None:
    """Print an error, in words, on standard error."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(f"Error: {_printable(text)}", style="red", markup=False)


def claim(folder: Path, *, kind: str, force: bool, inputs: Iterable[str | Path] = ()) -> None:
    """Refuse a folder that may not be replaced, and name the files that --force gives up before they go."""
    if lost := files.claim(folder, kind=kind, force=force, inputs=inputs):
        say(f"replacing {folder} with what was not written by this command: {', '.join(lost)}")


def show_table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print the rows of a table, words of a state in their color."""
    table = Table(*columns, box=None, row_styles=["", "dim"])
    for row in rows:
        table.add_row(*[Text(_printable(cell), style=STYLES.get(cell, "")) for cell in row])
    Console().print(table)


def show_frame(frame: pl.DataFrame, columns: list[str], *, as_json: bool) -> None:
    """Print some columns of a table, or all of it as JSON, one object a row."""
    if as_json:
        typer.echo(json.dumps(frame.to_dicts(), ensure_ascii=False, indent=1))
    else:
        show_table(columns, frame.select(columns).rows())


def _printable(text: str) -> str:
    # the bytes of a path need not be UTF-8, those of a terminal do; and a file's name may not steer the terminal
    text = re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", lambda match: ascii(match[0])[1:-1], text)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


@contextmanager
def progress(text: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function of (done, all) that moves a bar, shown only on a terminal."""
    console = Console(stderr=True)
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
