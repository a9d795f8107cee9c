"""Data sets of sentences on disk: decided once, written in shards, resumed, checked, described."""

import re
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from helpers.errors import SentenceError
from helpers.files import digest
from helpers.sentences import cells, h5ad, holdout, plans, publications, shards, split
from helpers.sentences import hgnc as hgnc_table
from helpers.sentences.options import Options

LOCK, WORK = ".lock", ".work"
STANDARD = Options()


def write(
    inputs: Any,
    out: Path,
    *,
    options: Options = STANDARD,
    collections: Path | None = None,
    hgnc: Path | None = None,
    workers: int = 1,
    cluster: str | None = None,
    replace: bool = False,
    progress: Callable[[str, int], None] | None = None,
) -> list[plans.Written]:
    """Write sentences as Parquet, one folder a data set, ``train`` and ``test`` inside it unless there is no split.

    The split is decided over all inputs before anything is written, and kept in ``split.json``. Run again after an
    interruption, it goes on; finished files are not touched. The files depend on inputs and options only, not on
    workers or interruptions.

    Parameters
    ----------
    inputs
        Path of an .h5ad file or AnnData, several of them, or a mapping of data set names to them.
    out
        Folder to write into.
    options
        What is written.
    collections
        The user's table of publications, see `publications.read_collections`.
    hgnc
        The user's HGNC table.
    workers
        Threads of this machine.
    cluster
        Address of a Dask scheduler whose workers see the same paths; none: this machine.
    replace
        Whether to remove what another run left under these names, rather than to refuse the folder.
    progress
        Called with data set and number of cells whenever a file is finished.

    Raises
    ------
    SentenceError
        If an input cannot be read, the folder holds another run, donors cannot be split, or the disk is full.
    """
    named = _name_inputs(inputs)
    out = Path(out)
    if cluster and (here := [name for name, source in named.items() if not isinstance(source, str | Path)]):
        msg = (
            f"a cluster reads files, and {', '.join(here)} is in memory; write it to .h5ad and give the path."
        )
        raise SentenceError(msg)
    out.mkdir(parents=True, exist_ok=True)
    context = _share(out, options, collections=collections, hgnc=hgnc)
    with FileLock(out / LOCK):
        _clean(out)
        if replace:
            _remove(out, named)
        try:
            opened = {
                name: cells.open_cells(source, layer=options.rule.layer, name=name, work=context.work)
                for name, source in named.items()
            }
            decided = holdout.decide(opened, out, options)
            return _run(opened, context, decided=decided, workers=workers, cluster=cluster, progress=progress)
        finally:
            shutil.rmtree(out / WORK, ignore_errors=True)


def _share(out: Path, options: Options, *, collections: Path | None, hgnc: Path | None) -> plans.Context:
    return plans.Context(
        out,
        out / WORK,
        options,
        None if collections is None else publications.read_collections(collections),
        None if hgnc is None else hgnc_table.read_hgnc(hgnc),
        None if hgnc is None else digest(Path(hgnc)),
    )


def _run(
    named: Mapping[str, cells.Cells], context: plans.Context, *, decided: split.Split | None, workers: int, cluster: str | None,
    progress: Callable[[str, int], None] | None,
) -> list[plans.Written]:  # fmt: skip
    written: list[plans.Written] = []
    waiting: deque[tuple[plans.DataSet, list[Any]]] = deque()

    def finish() -> None:
        data_set, futures = waiting.popleft()
        reports = []
        for future in futures:
            reports.append(future.result())
            if progress is not None:
                progress(data_set.name, reports[-1]["cells"])
        written.append(data_set.finish(reports))

    with _pool(workers, cluster) as submit:
        for name, source in named.items():
            data_set = plans.DataSet(name, source, context, decided)
            waiting.append((data_set, submit(data_set.job, data_set.plan())))
            # a few data sets at a time: small files keep all workers busy, thousands do not fill the memory
            if len(waiting) > max(2, workers):
                finish()
        while waiting:
            finish()
    return written


@contextmanager
def _pool(
    workers: int, cluster: str | None
) -> Iterator[Callable[[shards.Job, list[shards.Shard]], list[Any]]]:
    if cluster is None:
        pool = ThreadPoolExecutor(max(1, workers))
        try:
            yield lambda job, pieces: [pool.submit(shards.make_shard, job, piece) for piece in pieces]
        finally:
            pool.shutdown(cancel_futures=True)
        return
    from distributed import Client

    with Client(cluster) as client:

        def submit(job: shards.Job, pieces: list[shards.Shard]) -> list[Any]:
            [sent] = client.scatter([job], broadcast=True)
            return [client.submit(shards.make_shard, sent, piece, pure=False) for piece in pieces]

        yield submit


def _name_inputs(inputs: Any) -> dict[str, Any]:
    """Give each input the name of its folder."""
    if isinstance(inputs, Mapping):
        named = {str(name): source for name, source in inputs.items()}
    else:
        listed = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
        named = {}
        for source in listed:
            path = source if isinstance(source, str | Path) else getattr(source, "filename", None)
            name = h5ad.dataset_name(Path(path)) if path else "cells"
            if name in named:
                msg = f"two inputs are called {name!r}; give a mapping of different names to the inputs."
                raise SentenceError(msg)
            named[name] = source
    for name in named:
        if not name or re.search(r'[\\/:*?"<>|]', name) or name.startswith("."):
            msg = f"{name!r} cannot name a folder; give a mapping of plain names to the inputs."
            raise SentenceError(msg)
    if not named:
        msg = "no input: give an .h5ad file, an AnnData, or several of them."
        raise SentenceError(msg)
    return named


def _clean(out: Path) -> None:
    # what an interrupted run left half done; the lock is ours, so that nobody is writing it
    shutil.rmtree(out / WORK, ignore_errors=True)
    for part in out.rglob(".*.part"):
        part.unlink(missing_ok=True)


def _remove(out: Path, named: Mapping[str, Any]) -> None:
    (out / holdout.SPLIT).unlink(missing_ok=True)
    for name in named:
        # only folders that carry our plan: never somebody's data of the same name
        if (out / name / plans.PLAN).exists():
            shutil.rmtree(out / name)
