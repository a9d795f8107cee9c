"""One pass over all parts: counted once, kept per part by content, merged in one fixed order.

The same tables come out of one process, many processes and a Dask cluster, because a part's statistics do not
depend on who computed them and are merged in the order of the parts.
"""

import functools
import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

from helpers import files
from helpers.errors import PartError
from helpers.scprint import archive, keeping, parts, statistics
from helpers.scprint.archive import Damage
from helpers.scprint.parts import Opened, Part
from helpers.scprint.results import Survey, Total
from helpers.scprint.statistics import PartStatistics, Plan

SKIP, STOP = "skip", "stop"


class Pool(Protocol):
    """What runs a function elsewhere: a process pool or a Dask client."""

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Any:
        """Return a future with a ``result`` method."""


def run(
    folder: Path | str,
    *,
    plan: Plan | None = None,
    cache: Path | None = None,
    processes: int = 1,
    cluster: str = "",
    on_fault: str = SKIP,
    progress: Callable[[int, int], None] | None = None,
) -> Survey:
    """Survey a folder of parts.

    Parameters
    ----------
    folder
        Folder of parts.
    plan
        What to collect.
    cache
        Folder of the statistics of each part, kept by content; the package's cache folder if none.
    processes
        Processes on this machine.
    cluster
        Address of a Dask scheduler whose workers see the same folder; used instead of processes.
    on_fault
        ``skip`` counts the sound parts and lists the others, ``stop`` raises at the first fault.
    progress
        Called with parts done and parts in all.

    Raises
    ------
    PartError
        If there is no part, a part is faulty and `on_fault` says stop, or no part is sound.
    """
    if on_fault not in (SKIP, STOP):
        msg = f"on_fault is {on_fault!r}; choose {SKIP} or {STOP}."
        raise PartError(msg)
    plan = plan or Plan()
    listed = parts.find(folder)
    store = (cache or files.cache_folder() / "scprint" / "statistics") / plan.key
    total = Total(plan)
    with _pool(processes if len(listed) > 1 else 1, cluster) as pool:
        for done, (part, found) in enumerate(_measured(listed, plan, store, pool, total), start=1):
            total.add(part, found)
            if isinstance(found, Damage) and on_fault == STOP:
                msg = f"part {part.stem}: {found.message}"
                raise PartError(msg)
            if progress is not None:
                progress(done, len(listed))
    return total.survey()


def _measured(
    listed: list[Part], plan: Plan, store: Path, pool: Pool | None, total: Total
) -> Iterator[tuple[Part, PartStatistics | Damage]]:
    # at most `window` parts are under way: memory does not grow with the number of parts
    window = 64 if pool is not None else 1
    under_way: deque[tuple[Part, Callable[[], PartStatistics | Damage]]] = deque()
    for part in listed:
        under_way.append((part, _begin(part, plan, store, pool, total)))
        if len(under_way) >= window:
            first, finish = under_way.popleft()
            yield first, finish()
    for first, finish in under_way:
        yield first, finish()


def _begin(
    part: Part, plan: Plan, store: Path, pool: Pool | None, total: Total
) -> Callable[[], PartStatistics | Damage]:
    try:
        opened = parts.open_part(part)
    except Damage as damage:
        return functools.partial(_same, damage)
    path = store / f"{hashlib.sha256(opened.fingerprint.encode()).hexdigest()[:32]}.statistics"
    kept = _kept(path)
    if kept is not None:
        total.reused += 1
        return functools.partial(_same, kept)
    total.computed += 1
    if pool is None:
        return functools.partial(_finish, functools.partial(work, opened, plan), path)
    return functools.partial(_finish, pool.submit(work, opened, plan).result, path)


def work(opened: Opened, plan: Plan) -> bytes | Damage:
    """Measure one part; runs in any process, on any machine that sees the files.

    Parameters
    ----------
    opened
        A part whose headers agree.
    plan
        What to collect.
    """
    try:
        return keeping.to_bytes(statistics.measure(opened, plan=plan))
    except Damage as damage:
        return damage
    except OSError as error:
        return Damage(archive.UNREADABLE, f"{opened.stem} cannot be read: {error.strerror or error}.")


def _finish(result: Callable[[], bytes | Damage], path: Path) -> PartStatistics | Damage:
    data = result()
    if isinstance(data, Damage):
        return data
    with files.writing(path) as part:
        part.write_bytes(data)
    return keeping.from_bytes(data)


def _kept(path: Path) -> PartStatistics | None:
    try:
        return keeping.from_bytes(path.read_bytes())
    except (FileNotFoundError, PartError):
        return None


def _same(value: PartStatistics | Damage) -> PartStatistics | Damage:
    return value


@contextmanager
def _pool(processes: int, cluster: str) -> Iterator[Pool | None]:
    if cluster:
        with _dask(cluster) as client:
            yield client
    elif processes > 1:
        # spawn: forking a process that already runs BLAS threads can hang
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            try:
                yield pool
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    else:
        yield None


@contextmanager
def _dask(address: str) -> Iterator[Pool]:
    try:
        from distributed import Client
    except ImportError:
        msg = "a Dask cluster needs the extra 'cluster': pip install 'musclebook[cluster]'."
        raise PartError(msg) from None
    try:
        client = Client(address, timeout="30s")
    except (OSError, TimeoutError, ValueError) as error:
        msg = f"no Dask scheduler answers at {address!r} ({error})."
        raise PartError(msg) from None
    with client:
        yield client
