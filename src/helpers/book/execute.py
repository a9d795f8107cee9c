"""One notebook executed by papermill in a kernel of this interpreter that can be watched; children end with their parent."""

import contextlib
import os
import platform
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import papermill
import psutil
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from jupyter_core.utils import ensure_event_loop
from papermill.exceptions import PapermillExecutionError

import helpers
from helpers.book.project import read_json
from helpers.files import intact, mark, part_of, replace, set_aside, write_json

if TYPE_CHECKING:
    from helpers.book import run

KERNEL_LOG = "kernel.log"
RUN_FILE = "run.json"
KIND = "run"
_KERNEL = "from ipykernel.kernelapp import launch_new_instance\nlaunch_new_instance()"
_THREADS = [f"{one}_NUM_THREADS" for one in ("OMP", "OPENBLAS", "MKL", "NUMBA")] + ["POLARS_MAX_THREADS"]

# Put before the code of a child: on Linux the system ends it with its parent, whatever ended that.
_PRELUDE = """\
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))  # PR_SET_PDEATHSIG
    if os.getppid() != int(sys.argv.pop(1)):
        os._exit(1)
else:
    sys.argv.pop(1)
"""


class Outcome(NamedTuple):
    """How a run ended."""

    name: str
    key: str
    status: str  # "good", "failed" or "reused"
    folder: str
    seconds: float = 0.0
    peak_bytes: int = 0
    cell: int | None = None
    error: str = ""


class Watch:
    """A run while it is made: the cell it is at, the peak memory of its kernel with children, a way to end it."""

    def __init__(self) -> None:
        self.cell: int | None = None
        self.peak = 0
        self.stopped = False
        self._kernel: psutil.Process | None = None

    def follow(self, pid: int | None) -> None:
        """Know the kernel."""
        with contextlib.suppress(psutil.Error, TypeError):
            self._kernel = psutil.Process(pid)
        if self.stopped:
            self.stop()

    def sample(self) -> None:
        """Look at the memory, as is done a few times a second."""
        with contextlib.suppress(psutil.Error):
            family = [self._kernel, *self._kernel.children(recursive=True)] if self._kernel else []
            self.peak = max(self.peak, sum(process.memory_info().rss for process in family))

    def stop(self) -> None:
        """End the kernel and all that it started, also one that is only about to start."""
        self.stopped = True
        with contextlib.suppress(psutil.NoSuchProcess):
            family = [*self._kernel.children(recursive=True), self._kernel] if self._kernel else []
            for one in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()


def execute(one: "run.Plan", watch: Watch, *, failed: Path, threads: int = 1) -> Outcome:
    """Make a run in a folder of its own; rename it when it is good, keep it apart in `failed` when it failed."""
    work = part_of(one.target)
    (work / "files" / one.name).mkdir(parents=True)
    started, cell, error = time.monotonic(), None, ""
    try:
        _papermill(one, work, watch, threads)
    except PapermillExecutionError as failure:
        text = str(failure.evalue).strip()
        cell, error = failure.cell_index, f"{failure.ename}: {text.splitlines()[0] if text else ''}"
    except Exception as failure:  # noqa: BLE001  a dead kernel or a full disk is a failing run too
        cell, error = watch.cell, _first_line(failure)
    finally:
        if threading.current_thread() is not threading.main_thread():
            ensure_event_loop().close()  # the loop that jupyter made for this thread
    status, target = ("failed", failed) if error else ("good", one.target)
    seconds = round(time.monotonic() - started, 2)
    outcome = Outcome(one.name, one.key, status, str(target), seconds, watch.peak, cell, error)
    try:
        if not (error and watch.stopped):
            if not error:  # kernels chat at start; only a failure makes it worth keeping
                (work / KERNEL_LOG).unlink(missing_ok=True)
            versions = {"python": platform.python_version(), "papermill": papermill.__version__}
            about = {"made": datetime.now(UTC).isoformat(timespec="seconds"), "versions": versions}
            write_json(work / RUN_FILE, {**one.about, **outcome._asdict(), **about})
            mark(work, kind=KIND)
            target.parent.mkdir(parents=True, exist_ok=True)
            set_aside(target, kind=KIND)  # what somebody edited there is not ours to replace
            replace(work, target)  # the last good run stays until this one has its name
            return outcome
    except OSError as failure:
        error = error or _first_line(failure)
    shutil.rmtree(work, ignore_errors=True)  # half a run only takes room
    return outcome._replace(status="failed", folder="", error=error)


def child_command(code: str, *arguments: str) -> list[str]:
    """Return the command of a Python child that ends with this process."""
    return [sys.executable, "-c", _PRELUDE + code, str(os.getpid()), *arguments]


def child_environment(inherited: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a child that starts in another folder: PYTHONPATH absolute, this package first."""
    inherited = inherited or os.environ
    here = str(Path(helpers.__file__).resolve().parents[1])
    paths = [str(Path(one).resolve()) for one in inherited.get("PYTHONPATH", "").split(os.pathsep) if one]
    return {**inherited, "PYTHONPATH": os.pathsep.join([here, *paths])}


def good_run(folder: Path, name: str) -> dict[str, Any] | None:
    """Return the record of a run if all that it left is there as it was written, else None."""
    record = read_json(folder / RUN_FILE)
    whole = record and (folder / f"{name}.ipynb").is_file() and intact(folder, kind=KIND)
    return record if whole else None


def _first_line(failure: Exception) -> str:
    return f"{type(failure).__name__}: {failure}".splitlines()[0]


def _papermill(one: "run.Plan", work: Path, watch: Watch, threads: int) -> None:
    plain = work / f".{one.name}.ipynb"
    plain.write_text(one.source, encoding="utf-8")
    papermill.execute_notebook(
        plain,
        work / f"{one.name}.ipynb",
        parameters=one.given,
        kernel_name="python3",
        language="python",
        progress_bar=False,
        start_timeout=180,
        kernel_manager_class=_kernel_manager(work, threads, watch),
        resources={"metadata": {"path": str(work)}},
        on_cell_start=lambda cell_index, **_: setattr(watch, "cell", cell_index),
    )
    plain.unlink()


def _kernel_manager(work: Path, threads: int, watch: Watch) -> type[AsyncKernelManager]:
    class HereKernelManager(AsyncKernelManager):
        """Starts the interpreter that runs this command, whatever kernels are registered."""

        @property
        def kernel_spec(self) -> KernelSpec:
            argv = child_command(_KERNEL, "-f", "{connection_file}")
            return KernelSpec(argv=argv, display_name="Python 3", language="python")

        async def _async_launch_kernel(self, kernel_cmd: list[str], **options: Any) -> None:
            options["env"] = {
                **child_environment(options.get("env")),
                **dict.fromkeys(_THREADS, str(threads)),  # N notebooks share the cores, none takes all
                "PYTHONHASHSEED": "0",
                "MPLBACKEND": "module://matplotlib_inline.backend_inline",
                "PYDEVD_DISABLE_FILE_VALIDATION": "1",
            }
            with (work / KERNEL_LOG).open("ab") as log:
                options["stdout"] = options["stderr"] = log
                await super()._async_launch_kernel(kernel_cmd, **options)
            watch.follow(getattr(self.provisioner, "pid", None))

        _launch_kernel = _async_launch_kernel

    return HereKernelManager
