"""An h5ad as a source: the portal's, or any that follows the CELLxGENE schema or less."""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import polars as pl
import scipy.sparse as sp

from helpers import files, names
from helpers.atlas import cellxgene, columns, counts, inversion, people, stored
from helpers.errors import SourceError

SAMPLED = 2**20
COUNT_LAYERS = (names.COUNTS, "raw_counts", "raw", "umi")
TARGET = 1e4  # molecules a cell is scaled to before the log, where only counts are held


class H5ad:
    """An h5ad file, opened and checked; its matrix is not read.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    SourceError
        If it is not HDF5, or lacks the tables or the matrix of an h5ad.
    """

    kind = "h5ad"

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.name = self.path.name
        self.notes: list[str] = []
        with self._open() as file:
            self._require_groups(file)
            self._choose_matrices(file)
            self.obs, self.missing = self._read_obs(file)
            self.var, absent = self._read_var(file)
            self._maps = {} if "obsm" not in file else {key.casefold(): key for key in file["obsm"]}
            self.simulation = _read_simulation(file)
        self.missing += absent
        self.missing += [key for key in names.PROJECTION_FILES if key.casefold() not in self._maps]

    @cached_property
    def key(self) -> str:
        """Hash of a sample of the file and its size."""
        return files.digest(self.path, sample=SAMPLED)

    def genes(self, places: Sequence[int]) -> pl.DataFrame:
        """Return genes by their place in `var`, cells in the order of `obs`."""
        wanted = np.array(places, dtype=np.int64)
        dense = self.read_csr(None, wanted).toarray()
        labels = self.var[names.GENE].gather(list(places)).to_list()
        return pl.DataFrame({label: dense[:, j] for j, label in enumerate(labels)})

    def projection(self, key: str) -> np.ndarray | None:
        """Return a map of the file, cells x dimensions float32, or none."""
        held = self._maps.get(key.casefold())
        if held is None:
            return None
        with self._open() as file:
            value = anndata.io.read_elem(file["obsm"][held])
        dense = value.toarray() if sp.issparse(value) else np.asarray(value)
        return np.ascontiguousarray(dense, dtype=np.float32)

    def truth(self, table: str) -> None:
        """Return none: an h5ad carries no truth, even one converted from a simulated release."""

    def unstructured(self) -> dict[str, Any]:
        """Return nothing: what else a file holds is its own."""
        return {}

    def estimate_values(self, rows: np.ndarray | None, places: np.ndarray | None) -> int:
        """Return about how many values these rows and genes hold."""
        with self._open() as file:
            held, shape = stored.count_values(file[self._values]), stored.shape_of(file[self._values])
            if stored.kind_of(file[self._values]) == "dense":
                held = int(held * np.mean(stored.sample(file[self._values]) != 0)) + 1
        n_rows = shape[0] if rows is None else len(rows)
        whole = n_rows * held / max(shape[0], 1)  # a few genes may be the fullest ones
        return int(whole if places is None else min(whole, n_rows * len(places)))

    def read_csr(
        self,
        rows: np.ndarray | None,
        places: np.ndarray | None,
        *,
        budget: str | int | None = None,  # noqa: ARG002
        remedy: str = "",  # noqa: ARG002
    ) -> sp.csr_matrix:
        """Return log-normalized expression; made from counts where the file holds nothing else."""
        with self._open() as file:
            if not self._derived:
                return self._finite(stored.read_csr(file[self._values], rows, places), rows)
            held = stored.read_csr(file[self._values], rows)
        totals = np.asarray(held.sum(axis=1)).ravel()
        factors = np.divide(TARGET, totals, out=np.zeros_like(totals, dtype=np.float64), where=totals > 0)
        held.data = np.log1p(held.data * np.repeat(factors, np.diff(held.indptr))).astype(np.float32)
        return held if places is None else held[:, places].tocsr()

    def read_counts(self, rows: np.ndarray | None, places: np.ndarray | None) -> sp.csr_matrix | None:
        """Return the counts that the file holds for these cells and genes, or none."""
        if self._counts is None:
            return None
        wanted = places
        if self._count_places is not None:
            wanted = self._count_places if places is None else self._count_places[places]
        with self._open() as file:
            held = stored.read_csr(file[self._counts], rows, wanted)
        barcodes = self.obs[names.BARCODE]
        return counts.recover(held, barcodes=(barcodes if rows is None else barcodes[rows]).to_list())[0]

    def _finite(self, held: sp.csr_matrix, rows: np.ndarray | None) -> sp.csr_matrix:
        place = inversion.scan(held.data)[1]
        if place >= 0:
            row = int(np.searchsorted(held.indptr, place, side="right")) - 1
            barcode = self.obs[names.BARCODE][row if rows is None else int(rows[row])]
            msg = (
                f"{self.path}: {self._values} holds {held.data[place]}, which is no number that can be used, first in cell "
                f"{barcode!r}. A step before divided by zero, or the file is damaged: write or fetch it again."
            )
            raise SourceError(msg)
        return held

    def _open(self) -> h5py.File:
        try:
            return h5py.File(self.path, "r")
        except OSError as problem:
            size = self.path.stat().st_size if self.path.exists() else 0
            msg = (
                f"{self.path} ({size:,} bytes) cannot be read as HDF5: {problem}. It may be cut short, or no .h5ad at "
                f"all: fetch it again."
            )
            raise SourceError(msg) from problem

    def _require_groups(self, file: h5py.File) -> None:
        absent = [name for name in ("obs", "var") if name not in file]
        if "X" not in file and "raw/X" not in file and not len(file.get("layers", ())):
            absent.append("X")
        if absent:
            msg = (
                f"{self.path} is HDF5 but no h5ad: it lacks {', '.join(absent)} and holds "
                f"{', '.join(sorted(file)) or 'nothing'}. Write it with anndata's write_h5ad."
            )
            raise SourceError(msg)

    def _choose_matrices(self, file: h5py.File) -> None:
        """Find the matrix of log values and the one of counts by what they hold, not by what they are called."""
        layers = list(file.get("layers", ()))
        ordered = [name for name in COUNT_LAYERS if name in layers]
        ordered += [name for name in layers if name not in ordered]
        held = [name for name in ("X", *(f"layers/{name}" for name in ordered), "raw/X") if name in file]
        looks = {
            name: _look_at(stored.sample(file[name]))
            for name in held
            if isinstance(file[name], h5py.Group | h5py.Dataset) and stored.kind_of(file[name])
        }
        logs = [name for name in held if looks[name] == "log"]
        whole = [name for name in held if looks[name] == "counts"]
        logs.sort(key=lambda name: ("X", "raw/X").index(name) if name in ("X", "raw/X") else 2)
        self._values = (logs or whole or held)[0]
        self._derived = not logs and bool(whole)
        self._counts = whole[0] if whole else None
        for name in {self._values, self._counts} - {None}:
            stored.kind_of(file[name])
        if not logs and not whole:
            self.notes.append(f"{self._values} holds neither log-normalized values nor counts")
        elif self._derived:
            self.notes.append(f"expression is log1p of counts per ten thousand, made from {self._values}")
        elif self._values != "X":
            self.notes.append(
                f"expression is taken from {self._values}, not from X, which holds {looks.get('X', 'nothing')}"
            )
        if self._counts is not None:
            self.notes.append(f"counts are taken from {self._counts}")

    def _read_obs(self, file: h5py.File) -> tuple[pl.DataFrame, list[str]]:
        frame, barcodes = _read_table(file["obs"], names.BARCODE)
        rows = stored.shape_of(file[self._values])[0]
        if frame.height != rows:
            msg = f"{self.path}: obs has {frame.height:,} rows, {self._values} has {rows:,}. Fetch the file again."
            raise SourceError(msg)
        frame, notes = cellxgene.map_cells(frame.drop(names.BARCODE))
        self.notes += notes
        typed, missing = columns.type_columns(frame, columns.TYPES, origin=self.name)
        self.notes += people.look(typed, barcodes)
        missing += [
            name for name in columns.TYPES if name not in missing and typed[name].null_count() == typed.height
        ]
        return typed.insert_column(0, barcodes), missing

    def _read_var(self, file: h5py.File) -> tuple[pl.DataFrame, list[str]]:
        table, raw = file["var"], self._values == "raw/X"
        if raw and "raw/var" in file:
            table = file["raw/var"]
        frame, index = _read_table(table, "_name")
        if raw:
            more = _read_table(file["var"], "_name")[0]
            extra = [name for name in more.columns if name not in frame.columns or name == "_name"]
            frame = frame.join(
                more.select(extra).unique("_name"), on="_name", how="left", maintain_order="left"
            )
        n_genes = stored.shape_of(file[self._values])[1]
        if frame.height != n_genes:
            msg = f"{self.path}: var has {frame.height:,} rows, {self._values} has {n_genes:,} columns. Fetch it again."
            raise SourceError(msg)
        self._count_places = self._match_counts(file, index)
        frame, notes = cellxgene.map_genes(frame, "_name")
        self.notes += notes
        labels, twice = columns.make_unique(frame[names.GENE].to_list())
        if twice:
            self.notes.append(
                f"{len(twice):,} gene symbols came more than once, made unique: {', '.join(twice[:5])}"
            )
        typed, missing = columns.type_columns(
            frame.drop("_name", names.GENE), columns.FEATURE_TYPES, origin=f"{self.name} var"
        )
        return typed.insert_column(0, pl.Series(names.GENE, labels, pl.String)), missing

    def _match_counts(self, file: h5py.File, index: pl.Series) -> np.ndarray | None:
        """Return where the genes of the values stand in the counts, none where they stand in the same order."""
        if self._counts is None or (self._counts == "raw/X") == (self._values == "raw/X"):
            return None
        table = file["raw/var"] if self._counts == "raw/X" else file["var"]
        other = _read_table(table, "_name")[1].to_list()
        if other == index.to_list():
            return None
        place = {gene: i for i, gene in enumerate(other)}
        if all(gene in place for gene in index):
            return np.array([place[gene] for gene in index])
        self.notes.append(
            f"{self._counts} lacks genes of {self._values}: counts are recovered from {self._values}"
        )
        self._counts = None
        return None


def _look_at(values: np.ndarray) -> str:
    """Return ``counts``, ``log`` or ``other`` for a sample of values."""
    values = np.asarray(values, dtype=np.float64)
    if not np.isfinite(values).all() or (values < 0).any():
        return "other"
    if (values == np.floor(values)).all():
        return "counts"
    return "log" if values.max() <= counts.LARGEST_LOG else "other"


def _read_table(group: h5py.Group | h5py.Dataset, index: str) -> tuple[pl.DataFrame, pl.Series]:
    """Return a table of an h5ad with its index as the column `index`, and that column."""
    try:
        table = anndata.io.read_elem(group)
    except (KeyError, OSError) as problem:
        raise _no_table(group, problem.args[0] if problem.args else problem) from problem
    if not isinstance(table, pd.DataFrame):
        raise _no_table(group, f"it holds a {type(table).__name__}")
    held = {index: pl.Series(index, [str(label) for label in table.index], pl.String)}
    for name in table.columns:
        if str(name) not in held:
            held[str(name)] = _to_polars(str(name), table[name])
    frame = pl.DataFrame(held)
    return frame, frame[index]


def _no_table(group: h5py.Group | h5py.Dataset, said: object) -> SourceError:
    msg = (
        f"{group.file.filename}: {group.name} is no table that can be read ({said}). Write the file again with "
        f"anndata's write_h5ad."
    )
    return SourceError(msg)


def _to_polars(name: str, column: pd.Series) -> pl.Series:
    if isinstance(column.dtype, pd.CategoricalDtype):
        labels = column.cat.categories
        if len(labels) and not all(isinstance(label, str) for label in labels):
            return _to_polars(name, column.astype(labels.dtype))
        codes = pl.Series(column.cat.codes.to_numpy().astype(np.int32))
        known = pl.Series([*labels, None], dtype=pl.String)
        return known.gather(codes.replace(-1, len(labels))).alias(name)
    if column.dtype == object or isinstance(column.dtype, pd.StringDtype):
        return pl.Series(name, [None if pd.isna(value) else str(value) for value in column], pl.String)
    return (
        pl.Series(name, column.to_numpy())
        if column.dtype.kind in "biuf"
        else pl.from_pandas(column.rename(name))
    )


def _read_simulation(file: h5py.File) -> dict[str, Any] | None:
    """Return what a converted simulated release says of itself."""
    said = file.attrs.get("musclebook_simulation")
    return json.loads(said) if said else None
