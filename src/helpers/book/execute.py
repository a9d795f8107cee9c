"""One notebook executed by papermill, in a kernel of this interpreter, with its memory watched."""

import contextlib
import dataclasses
import json
import os
import platform
import shutil
import threading
import time
import traceback
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
import papermill
import psutil
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from jupyter_core.utils import ensure_event_loop
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError

import helpers
from helpers.book import stopping
from helpers.files import intact, mark, replace, set_aside, write_json

ENGINE = "musclebook"
PROGRESS = "progress.txt"
KERNEL_LOG = "kernel.log"
RUN_FILE = "run.json"
KIND = "run"
_KERNEL = "from ipykernel.kernelapp import launch_new_instance\nlaunch_new_instance()"
_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS",
)


@dataclass(frozen=True)
class Task:
    """One run to make."""

    name: str
    key: str
    source: str  # the notebook without outputs, as JSON
    given: dict[str, Any]
    folder: str  # where the finished run goes
    failed: str  # where a failing run is kept
    threads: int = 1
    memory: int = 0  # bytes that the run is expected to need
    label: str = ""
    about: dict[str, Any] = field(default_factory=dict)
    maker: str = field(default_factory=lambda: f"{os.getpid()}-{uuid.uuid4().hex[:6]}")

    @property
    def work(self) -> Path:
        """Where it is made, beside where it goes; the name holds the process that asked for it."""
        return Path(self.folder).with_name(f".{self.key}.{self.maker}.part")


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    name: str
    key: str
    status: str  # "good", "failed" or "reused"
    folder: str
    seconds: float = 0.0
    peak_bytes: int = 0
    cell: int | None = None
    error: str = ""


class Stop:
    """Ends the kernels of all runs that share it, and lets no other start."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self._kernels: set[int] = set()

    def add(self, pid: int) -> None:
        """Know a kernel."""
        self._kernels.add(pid)
        if self.asked.is_set():
            stopping.kill_family(pid)

    def now(self) -> None:
        """End every kernel."""
        self.asked.set()
        for pid in list(self._kernels):
            stopping.kill_family(pid)


def execute(task: Task, stop: Stop | None = None) -> Outcome:
    """Make a run in a folder of its own; rename it when it is good, keep it apart when it failed."""
    stop = stop or Stop()
    work = task.work
    shutil.rmtree(work, ignore_errors=True)
    (work / "files" / task.name).mkdir(parents=True)
    started, cell, error = time.monotonic(), None, ""
    watch = _Watch(stop)
    try:
        with watch:
            _papermill(task, work, watch)
    except PapermillExecutionError as failure:
        cell, error = failure.cell_index, _first_words(failure)
    except Exception as failure:  # noqa: BLE001  a dead kernel or a full disk is a failing run too
        cell, error = _cell_reached(work), f"{type(failure).__name__}: {failure}".splitlines()[0]
        with contextlib.suppress(OSError):
            (work / "traceback.txt").write_text(traceback.format_exc(), encoding="utf-8")
    finally:
        if threading.current_thread() is not threading.main_thread():
            ensure_event_loop().close()  # the loop that jupyter made for this thread
    outcome = Outcome(
        name=task.name,
        key=task.key,
        status="failed" if error else "good",
        folder=task.failed if error else task.folder,
        seconds=round(time.monotonic() - started, 2),
        peak_bytes=watch.peak,
        cell=cell,
        error=error,
    )
    if error and stop.asked.is_set():
        shutil.rmtree(work, ignore_errors=True)
        return dataclasses.replace(outcome, folder="")
    try:
        _finish(task, outcome)
    except OSError as failure:
        shutil.rmtree(work, ignore_errors=True)  # half a run only takes room
        reason = error or f"{type(failure).__name__}: {failure}".splitlines()[0]
        return dataclasses.replace(outcome, status="failed", folder="", cell=cell, error=reason)
    return outcome


def good_run(folder: Path, name: str) -> dict[str, Any] | None:
    """Return the record of a run if all that it left is there as it was written, else None."""
    try:
        record = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    whole = isinstance(record, dict) and (folder / f"{name}.ipynb").is_file() and intact(folder, kind=KIND)
    return record if whole else None


def _papermill(task: Task, work: Path, watch: "_Watch") -> None:
    papermill_engines.register(ENGINE, _Engine)
    plain = work / f".{task.name}.ipynb"
    plain.write_text(task.source, encoding="utf-8")
    papermill.execute_notebook(
        plain,
        work / f"{task.name}.ipynb",
        parameters=task.given,
        engine_name=ENGINE,
        kernel_name="python3",
        language="python",
        progress_bar=False,
        start_timeout=180,
        kernel_manager_class=_kernel_manager(work, task.threads, watch),
        resources={"metadata": {"path": str(work)}},
        progress=work / PROGRESS,
    )
    plain.unlink()


class _Engine(NBClientEngine):
    """Papermill's own engine, which also tells how far it is."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> Any:
        progress = options.pop("progress")
        total, start = len(nb_man.nb.cells), nb_man.cell_start

        def start_and_tell(cell: Any, cell_index: int | None = None, **more: Any) -> None:
            progress.write_text(f"{cell_index} {total}", encoding="utf-8")
            start(cell, cell_index, **more)

        nb_man.cell_start = start_and_tell
        return super().execute_managed_notebook(nb_man, kernel_name, **options)


def _kernel_manager(work: Path, threads: int, watch: "_Watch") -> type[AsyncKernelManager]:
    class HereKernelManager(AsyncKernelManager):
        """Starts the interpreter that runs this command, whatever kernels are registered."""

        @property
        def kernel_spec(self) -> KernelSpec:
            argv = stopping.child_command(_KERNEL, "-f", "{connection_file}")
            return KernelSpec(argv=argv, display_name="Python 3", language="python")

        async def _async_launch_kernel(self, kernel_cmd: list[str], **options: Any) -> None:
            # N notebooks at once share the cores instead of each taking all
            numbers = dict.fromkeys(_THREADS, str(threads))
            inherited = options.get("env") or os.environ
            options["env"] = {
                **inherited,
                **numbers,
                "PYTHONPATH": python_path(inherited),
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


class _Watch:
    """Peak memory of the kernel and its children, sampled four times a second."""

    def __init__(self, stop: Stop) -> None:
        self.peak = 0
        self._kernel: psutil.Process | None = None
        self._stop = stop
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def follow(self, pid: int | None) -> None:
        with contextlib.suppress(psutil.Error, TypeError):
            self._kernel = psutil.Process(pid)
            self._stop.add(self._kernel.pid)

    def __enter__(self) -> "_Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._over.wait(0.25):
            kernel = self._kernel
            if kernel is None:
                continue
            with contextlib.suppress(psutil.Error):
                family = [kernel, *kernel.children(recursive=True)]
                self.peak = max(self.peak, sum(process.memory_info().rss for process in family))


def _finish(task: Task, outcome: Outcome) -> None:
    work, target = task.work, Path(outcome.folder)
    (work / PROGRESS).unlink(missing_ok=True)
    (work / f".{task.name}.ipynb").unlink(missing_ok=True)
    log = work / KERNEL_LOG
    if outcome.status == "good" and log.is_file():
        log.unlink()  # kernels chat at start; only a failure makes it worth keeping
    versions = {"python": platform.python_version(), "papermill": papermill.__version__}
    made = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(work / RUN_FILE, {**task.about, **asdict(outcome), "made": made, "versions": versions})
    mark(work, kind=KIND)
    target.parent.mkdir(parents=True, exist_ok=True)
    set_aside(target, kind=KIND)  # what somebody edited there is not ours to replace
    replace(work, target)  # the last good run stays until this one has its name


def python_path(environment: Mapping[str, str]) -> str:
    """Return PYTHONPATH for a child that starts in another folder: this package first, relative parts made absolute."""
    here = str(Path(helpers.__file__).resolve().parents[1])
    inherited = [
        str(Path(item).resolve()) for item in environment.get("PYTHONPATH", "").split(os.pathsep) if item
    ]
    return os.pathsep.join(dict.fromkeys([here, *inherited]))


def _first_words(failure: PapermillExecutionError) -> str:
    text = str(failure.evalue).strip()
    return f"{failure.ename}: {text.splitlines()[0] if text else ''}"


def _cell_reached(work: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int((work / PROGRESS).read_text(encoding="utf-8").split()[0])
    return None


def plain_json(notebook: nbformat.NotebookNode) -> str:
    """Return a notebook as JSON without outputs."""
    copy = nbformat.from_dict(json.loads(nbformat.writes(notebook)))
    for cell in copy.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return nbformat.writes(copy, version=4)
