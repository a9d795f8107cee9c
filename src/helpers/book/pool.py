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
_OWN = 2**29  # bytes of this program and of its workers while they wait


def run_all(
    tasks: dict[int, Task],
    *,
    processes: int,
    memory: int,
    cluster: str | None = None,
    tell: Tell | None = None,
) -> dict[int, Outcome]:
    """Execute tasks and return how each ended.

    Parameters
    ----------
    tasks
        By any number.
    processes
        How many at once, on this machine.
    memory
        Bytes that all of them together may take on this machine: a task starts when what it expects to need fits
        beside what runs, or when nothing runs.
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
    waiting, running = dict(tasks), {}
    outcomes: dict[int, Outcome] = {}
    with _workers(processes, cluster) as pool:
        while waiting or running:
            for number in list(waiting) if cluster else _fitting(waiting, running, tasks, processes, memory):
                running[pool.submit(execute, waiting.pop(number))] = number
            done = [future for future in running if future.done()]
            for future in done:
                number = running.pop(future)
                outcomes[number] = _ending(future, tasks[number])
                if tell:
                    tell(tasks[number].label, outcomes[number].status)
            if not done:
                time.sleep(0.1)
                _tell_progress([tasks[number] for number in running.values()], tell)
    return outcomes


def _fitting(
    waiting: dict[int, Task], running: dict[Any, int], tasks: dict[int, Task], processes: int, memory: int
) -> list[int]:
    """Return the tasks to start now: in their order, but one that does not fit lets smaller ones pass."""
    taken, places = sum(tasks[number].memory for number in running.values()), processes - len(running)
    chosen: list[int] = []
    for number, task in waiting.items():
        alone = not running and not chosen
        if len(chosen) < places and (alone or taken + task.memory + _OWN <= memory):
            chosen.append(number)
            taken += task.memory
    return chosen


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
