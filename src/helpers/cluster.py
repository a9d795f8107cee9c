"""Work handed to threads of this machine or to the workers of a Dask cluster, with one clear error where one is lost."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

T = TypeVar("T")
WAIT = 30.0  # seconds for workers to appear, and for lost ones to come back
HOW = "Start one with `dask scheduler`, and workers with `dask worker ADDRESS`, on machines that see the same paths."


class Pool:
    """Threads of this machine, or where there is an address, the workers of a Dask cluster."""

    def __init__(self, client: Any, address: str | None, error: type[Exception]) -> None:
        self.client, self.address, self.error = client, address, error

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Start a call on some worker."""
        options = {"pure": False} if self.address else {}
        return self.client.submit(function, *arguments, **options)

    def share(self, value: Any) -> Any:
        """Send a value to the workers once; threads see it."""
        return self.client.scatter([value], broadcast=True)[0] if self.address else value

    def result(self, future: Any) -> Any:
        """Wait for what was submitted; give up where the scheduler or all workers are gone for `WAIT` seconds."""
        if not self.address:
            return future.result()
        from distributed import KilledWorker
        from distributed.comm import CommClosedError

        lost = None
        while True:
            try:
                return future.result(timeout=2)
            except TimeoutError:
                if future.status == "error":  # the call itself ran out of time
                    raise
                if self.client.status == "running" and self.client.scheduler_info()["workers"]:
                    lost = None
                elif (lost := lost or time.monotonic()) + WAIT < time.monotonic():
                    why = "its scheduler or all its workers are gone"
                    raise self._gone(why) from None
            except (CancelledError, CommClosedError, KilledWorker, ImportError) as problem:
                raise self._gone(str(problem) or type(problem).__name__) from problem

    def _gone(self, why: str) -> Exception:
        return self.error(
            f"the cluster at {self.address} was lost ({why[:200]}). Finished files are kept: start it again and repeat "
            "the command, it goes on where it stopped."
        )


def ahead(started: Iterable[T], number: int) -> Iterator[T]:
    """Give what an iterator starts, in order, with at most `number` under way."""
    under_way: deque[T] = deque()
    for one in started:
        under_way.append(one)
        if len(under_way) >= number:
            yield under_way.popleft()
    yield from under_way


@contextmanager
def pool(workers: int, address: str | None, *, error: type[Exception]) -> Iterator[Pool]:
    """Give a place that work is submitted to: threads here, or the Dask cluster at `address`, whose faults are `error`."""
    if address is None:
        threads = ThreadPoolExecutor(max(1, workers))
        try:
            yield Pool(threads, None, error)
        finally:
            threads.shutdown(cancel_futures=True)
        return
    client = _connect(address, error)
    try:
        yield Pool(client, address, error)
    finally:
        with suppress(Exception):  # what a lost cluster says when it is left has been said
            client.close(timeout=2)


def _connect(address: str, error: type[Exception]) -> Any:
    try:
        from distributed import Client

        client = Client(address, timeout=10)
    except ImportError as problem:
        msg = f"work on a cluster needs the extra 'cluster' ({problem}): pip install 'musclebook[cluster]'."
        raise error(msg) from None
    except Exception as problem:
        msg = f"no Dask scheduler answers at {address} ({type(problem).__name__}). {HOW}"
        raise error(msg) from problem
    try:
        client.wait_for_workers(1, timeout=WAIT)
    except TimeoutError:
        client.close(timeout=2)
        msg = f"the Dask scheduler at {address} has no workers. Start some: `dask worker {address}`."
        raise error(msg) from None
    return client
