"""The command ``musclebook``: gathers the commands of the other files and says errors in plain words."""

import signal
import threading

import typer
from typer.core import TyperGroup

from helpers.cli import atlas, book, scprint
from helpers.cli.screen import say_error
from helpers.errors import MusclebookError, RunError, SiteError

FAILED, REFUSED, INTERRUPTED = 1, 2, 130  # exit codes; 1 also says that damage was found


class _Plain(TyperGroup):
    """A group whose commands end in one plain message where the package refuses something."""

    def invoke(self, ctx: typer.Context) -> object:
        if threading.current_thread() is threading.main_thread():  # no other thread may ask for it
            signal.signal(signal.SIGTERM, signal.default_int_handler)  # `timeout` and Slurm send it
        try:
            return super().invoke(ctx)
        except MusclebookError as error:
            say_error(str(error))
            raise typer.Exit(FAILED if isinstance(error, RunError | SiteError) else REFUSED) from error
        except KeyboardInterrupt:
            say_error("interrupted; what was finished before stays.")
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    cls=_Plain,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Aging Muscle, Cell by Cell: the atlas on disk, its checks, and the book.",
)
for room in (atlas, book):
    for command in room.COMMANDS:
        app.command()(command)
app.add_typer(scprint.group, name="scprint")
