"""Runs in several processes of this machine, or on the workers of a Dask cluster."""

import contextlib
import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

from helpers.book.execute import PROGRESS, Outcome, Task, execute
from helpers.errors import RunError

Tell = Callable[[str, str], None]


def run_all(
    tasks: dict[int, Task], *, processes: int, cluster: str | None = None, tell: Tell | None = None
) -> dict[int, Outcome]:
    """Execute tasks and return how each ended.

    Parameters
    ----------
    tasks
        By any number.
    processes
        How many at once, on this machine.
    cluster
        Address of a Dask scheduler; its workers must see the folders named in the tasks.
    tell
        Called with the notebook and how far it is.

    Raises
    ------
    RunError
        If the cluster cannot be reached.
    """
    if not tasks:
        return {}
    with _workers(processes, cluster) as pool:
        waiting = {pool.submit(execute, task): number for number, task in tasks.items()}
        outcomes: dict[int, Outcome] = {}
        while waiting:
            done = [future for future in waiting if future.done()]
            for future in done:
                number = waiting.pop(future)
                outcomes[number] = _ending(future, tasks[number])
                if tell:
                    tell(tasks[number].label, outcomes[number].status)
            if not done:
                time.sleep(0.1)
                _tell_progress([tasks[number] for number in waiting.values()], tell)
    return outcomes


@contextlib.contextmanager
def _workers(processes: int, cluster: str | None) -> Iterator[Any]:
    if cluster is not None:
        with _dask(cluster) as client:
            yield client
        return
    # spawned, not forked: the parent holds threads of polars and of the progress display
    context = multiprocessing.get_context("spawn")
    pool = futures.ProcessPoolExecutor(processes, mp_context=context)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


@contextlib.contextmanager
def _dask(address: str) -> Iterator[Any]:
    try:
        from distributed import Client
    except ImportError:
        msg = "runs on a cluster need the extra 'cluster': pip install 'musclebook[cluster]'."
        raise RunError(msg) from None
    try:
        client = Client(address, timeout=10)
    except (OSError, TimeoutError, ValueError) as error:
        msg = f"no Dask scheduler answers at {address}: {error}. Start one with `dask scheduler`."
        raise RunError(msg) from error
    with client:
        yield client


def _ending(future: Any, task: Task) -> Outcome:
    try:
        return future.result()
    except Exception as error:  # noqa: BLE001  a worker that was killed for memory raises here
        return Outcome(
            task.name,
            task.key,
            "failed",
            task.failed,
            error=f"worker stopped, {type(error).__name__}: {error}",
        )


def _tell_progress(tasks: list[Task], tell: Tell | None) -> None:
    if tell is None:
        return
    for task in tasks:
        with contextlib.suppress(OSError, ValueError):
            cell, total = (task.work / PROGRESS).read_text(encoding="utf-8").split()
            tell(task.label, f"cell {int(cell) + 1} of {total}")
