"""Cells of an .h5ad file, read in slices without loading it."""

import atexit
import errno
import shutil
import tempfile
import threading
import uuid
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa

from helpers.errors import SentenceError
from helpers.files import fingerprint
from helpers.sentences import arrow, cells, nodes

# Values of a column-wise matrix are turned row-wise in portions of this many.
TURN = 4_000_000


class H5adCells:
    """Cells of one .h5ad file; slices are read when asked for.

    Each thread opens the file for itself; copies sent to another process open it there.
    """

    def __init__(
        self, path: Path, *, layer: str = cells.X, name: str | None = None, work: Path | None = None
    ) -> None:
        self.path, self.layer, self.name = Path(path), layer, name or dataset_name(path)
        self._local = threading.local()
        self._work = work
        self._rows: dict[str, Path] | None = None
        with reading(self.path):
            self._require_tables()
            self._where = self._find(layer)
            node = self._file[self._where]
            self.encoding = nodes.encoding(node)
            self.n_cells, n_genes = nodes.shape(node)
            self.genes = self._gene_names()
            self.schema = self.obs(0, 0).schema
        if n_genes != len(self.genes):
            msg = f"{self.path}: {layer!r} has {n_genes:,} columns for {len(self.genes):,} genes; the file is damaged."
            raise SentenceError(msg)

    def prepare(self) -> None:
        """Turn a column-wise matrix row-wise on disk, once, before workers read from it."""
        if self.encoding == "csc_matrix" and self._rows is None:
            self._rows = self._turn()

    def digest(self) -> str:
        """Return a hash of the file."""
        with reading(self.path):
            return fingerprint(self.path)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the open file behind when sent elsewhere."""
        return {key: value for key, value in self.__dict__.items() if key != "_local"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the file anew where the copy is used."""
        self.__dict__.update(state)
        self._local = threading.local()

    @property
    def _file(self) -> h5py.File:
        if not hasattr(self._local, "file"):
            self._local.file = h5py.File(self.path, "r")
        return self._local.file

    def _require_tables(self) -> None:
        absent = [name for name in ("obs", "var") if name not in self._file]
        if absent:
            msg = (
                f"{self.path} is HDF5 but no .h5ad: it lacks {', '.join(absent)} and holds "
                f"{', '.join(sorted(self._file)) or 'nothing'}. Write it with anndata's write_h5ad."
            )
            raise SentenceError(msg)

    def _find(self, layer: str) -> str:
        where = {cells.X: "X", cells.RAW: self._raw("X")}.get(layer, f"layers/{layer}")
        if where not in self._file:
            here = [key for key in ("X",) if key in self._file]
            here += ["raw"] if self._raw("X") in self._file else []
            here += list(self._file["layers"]) if "layers" in self._file else []
            msg = f"{self.path} has no {layer!r}; it has: {', '.join(here) or 'no values at all'}."
            raise SentenceError(msg)
        return where

    def _raw(self, part: str) -> str:
        # anndata wrote "raw.X" before it wrote groups
        return f"raw.{part}" if f"raw.{part}" in self._file else f"raw/{part}"

    def _gene_names(self) -> list[str]:
        var = self._file[self._raw("var") if self.layer == cells.RAW else "var"]
        return [str(gene) for gene in nodes.texts(nodes.index(var))]

    def gene_columns(self) -> dict[str, list[str | None]]:
        """Return the text columns of the gene table; those that ``raw`` lacks come from ``var``."""
        with reading(self.path):
            found = nodes.text_columns(self._file[self._raw("var")]) if self.layer == cells.RAW else {}
            var = self._file["var"]
            index = nodes.texts(nodes.index(var))
            if self.layer != cells.RAW:
                return nodes.text_columns(var)
            if len(set(index)) == len(index):
                for column, values in nodes.text_columns(var).items():
                    by_gene = dict(zip(index, values, strict=True))
                    found.setdefault(column, [by_gene.get(gene) for gene in self.genes])
            return found

    def block(self, start: int, stop: int) -> cells.Block:
        """Return the values of a slice of cells as CSR."""
        if self.encoding == "csc_matrix":
            self.prepare()
            return self._turned_block(start, stop)
        with reading(self.path):
            node = self._file[self._where]
            if isinstance(node, h5py.Dataset):
                return cells.join_blocks(
                    cells.from_dense(node[at:to]) for at, to in cells.dense_pieces(start, stop, node)
                )
            starts = node["indptr"][start : stop + 1].astype(np.int64)
            first, last = int(starts[0]), int(starts[-1])
            return cells.as_block(starts - first, node["indices"][first:last], node["data"][first:last])

    def obs(self, start: int, stop: int, *, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the annotation of a slice of cells, the barcode first."""
        with reading(self.path):
            obs = self._file["obs"]
            if isinstance(obs, h5py.Dataset):
                return self._old_obs.slice(start, stop - start).select(columns or self._old_obs.column_names)
            order = [str(column) for column in obs.attrs.get("column-order", [])]
            barcode = arrow.barcode_name(order)
            wanted = [barcode, *order] if columns is None else list(columns)
            return arrow.table(
                {
                    name: nodes.column(
                        nodes.index(obs) if name == barcode else obs[name], start, stop, parent=obs
                    )
                    for name in wanted
                }
            )

    @cached_property
    def _old_obs(self) -> pa.Table:
        # files written before anndata 0.7 keep the annotation in one compound data set
        from anndata.io import read_h5ad

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the file is old
            adata = read_h5ad(self.path, backed="r")
        try:
            return arrow.obs_table(adata.obs)
        finally:
            adata.file.close()

    def organism(self) -> dict[str, str]:
        """Return the organism stated in ``uns``."""
        with reading(self.path):
            uns = self._file.get("uns", {})
            stated = {
                key: nodes.texts(uns[key][()])[0]
                for key in (cells.ORGANISM, cells.ORGANISM_TERM)
                if key in uns and isinstance(uns[key], h5py.Dataset)
            }
        return cells.complete_organism(stated)

    def _turn(self) -> dict[str, Path]:
        # One pass counts, one pass places: a column-wise matrix becomes row-wise on disk, whatever its size.
        work = self._work or Path(tempfile.mkdtemp(prefix="sentences_"))
        if self._work is None:
            atexit.register(shutil.rmtree, work, ignore_errors=True)
        work.mkdir(parents=True, exist_ok=True)
        stem = uuid.uuid4().hex[:12]
        files = {part: work / f"{stem}.{part}.npy" for part in ("starts", "columns", "values")}
        with reading(self.path):
            node = self._file[self._where]
            size = len(node["indices"])
            counts = np.zeros(self.n_cells, np.int64)
            for at in range(0, size, TURN):
                counts += np.bincount(node["indices"][at : at + TURN], minlength=self.n_cells)
            starts = np.concatenate([[0], np.cumsum(counts)])
            np.save(files["starts"], starts)
            columns = np.lib.format.open_memmap(files["columns"], "w+", np.int32, (size,))
            values = np.lib.format.open_memmap(files["values"], "w+", node["data"].dtype, (size,))
            ends = node["indptr"][1:]
            free = starts[:-1].copy()
            for at in range(0, size, TURN):
                rows = node["indices"][at : at + TURN]
                of_column = np.searchsorted(ends, np.arange(at, at + len(rows)), side="right")
                order = np.argsort(rows, kind="stable")
                sorted_rows = rows[order]
                first = np.searchsorted(sorted_rows, sorted_rows, side="left")
                to = free[sorted_rows] + np.arange(len(rows)) - first
                columns[to], values[to] = of_column[order], node["data"][at : at + TURN][order]
                free += np.bincount(rows, minlength=self.n_cells)
            columns.flush()
            values.flush()
        return files

    def _turned_block(self, start: int, stop: int) -> cells.Block:
        opened = {part: np.load(path, mmap_mode="r") for part, path in self._rows.items()}
        starts = np.array(opened["starts"][start : stop + 1])
        first, last = int(starts[0]), int(starts[-1])
        return cells.as_block(starts - first, opened["columns"][first:last], opened["values"][first:last])


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Name the file when its content cannot be read, and say what to do."""
    try:
        yield
    except SentenceError:
        raise
    except (OSError, LookupError, RuntimeError, ValueError) as problem:
        if isinstance(problem, OSError) and problem.errno == errno.ENOSPC:
            raise
        if not path.exists():
            msg = f"{path} does not exist. Give the path of an .h5ad file."
        elif path.suffix == ".gz":
            msg = f"{path} is compressed as a whole, and HDF5 is read in slices. Unpack it first: gunzip {path.name}"
        else:
            msg = (
                f"{path} cannot be read as an .h5ad file ({str(problem)[:200]}). It may be cut short or not HDF5: "
                "compare its size with the source, or fetch it again."
            )
        raise SentenceError(msg) from problem


def dataset_name(path: Path) -> str:
    """Return the name of a data set: its file name without ``.h5ad`` and ``.gz``.

    Examples
    --------
    >>> dataset_name(Path("10cc50a0-af80-4fa1-b668-893dd5c0113a.h5ad"))
    '10cc50a0-af80-4fa1-b668-893dd5c0113a'
    """
    name = Path(path).name
    for suffix in (".gz", ".h5ad"):
        name = name.removesuffix(suffix)
    return name
