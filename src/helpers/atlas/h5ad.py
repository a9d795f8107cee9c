"""An h5ad as a source: the portal's, or any that follows the CELLxGENE schema or less."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import scipy.sparse as sp

from helpers import ages, files, names
from helpers.atlas import columns, counts, matrix, reader, stored
from helpers.atlas.matrix import Chosen
from helpers.errors import SourceError

COUNT_LAYERS = (names.COUNTS, "raw_counts", "raw", "umi")
PRIMARY = "is_primary_data"
NO_GENES = {
    "feature_types": "Gene Expression",
    "feature_biotype": "gene",
}  # columns, and what they say of genes


class H5ad(reader.Atlas):
    """An h5ad file, opened and checked; its matrix is not read."""

    kind = "h5ad"

    def __init__(self, path: Path, *, origin: Path | None = None) -> None:
        self.path = Path(path)
        self.name = (origin or self.path).name
        self.notes: list[str] = []
        with self._open() as file:
            self._require_groups(file)
            self._choose_matrices(file)
            self.var, absent = self._read_var(file)
            self.obs, self.missing = self._read_obs(file)
            self._maps = self._find_maps(file)
        self.missing += absent
        self.missing += [key for key in names.PROJECTION_FILES if key.casefold() not in self._maps]

    @cached_property
    def key(self) -> str:
        """Hash of the file."""
        return files.fingerprint(self.path)

    def _projection(self, key: str) -> np.ndarray | None:
        """Return a map of the file, cells x dimensions float32, or none."""
        if key.casefold() not in self._maps:
            return None
        with self._open() as file:
            value = anndata.io.read_elem(file["obsm"][self._maps[key.casefold()]])
            dense = value.toarray() if sp.issparse(value) else np.asarray(value)
            return np.ascontiguousarray(dense, dtype=np.float32)

    def estimate_values(self, rows: Chosen, places: Chosen) -> int:
        """Return about how many values these rows and genes hold."""
        with self._open() as file:
            node = file[self._values]
            (n_cells, n_genes), dense = stored.shape_of(node), isinstance(node, h5py.Dataset)
            share = np.mean(stored.sample(node) != 0) if dense else 0
            filled = n_cells * n_genes * share + 1 if dense else node["data"].shape[0]
        n_rows = n_cells if rows is None else len(rows)
        whole = n_rows * filled / max(n_cells, 1)  # a few genes may be the fullest ones
        return int(whole if places is None else min(whole, n_rows * len(places)))

    def read_csr(self, rows: Chosen, places: Chosen, **_: Any) -> sp.csr_matrix:
        """Return log-normalized expression; made from counts where the file holds nothing else."""
        with self._open() as file:
            if not self._derived:
                held = stored.read_csr(file[self._values], rows, places, log=self._logged)
                self._require_finite(held, rows)
                return held
            held = stored.read_csr(file[self._values], rows)
        totals = np.asarray(held.sum(axis=1)).ravel()
        factors = np.divide(
            matrix.SCALE, totals, out=np.zeros_like(totals, dtype=np.float64), where=totals > 0
        )
        held.data = np.log1p(held.data * np.repeat(factors, np.diff(held.indptr))).astype(np.float32)
        return held if places is None else held[:, places].tocsr()

    def read_counts(self, rows: Chosen, places: Chosen) -> sp.csr_matrix | None:
        """Return the counts that the file holds for these cells and genes, or none."""
        if self._counts is None:
            return None
        wanted = places
        if self._count_places is not None:
            wanted = self._count_places if places is None else self._count_places[places]
        with self._open() as file:
            held = stored.read_csr(file[self._counts], rows, wanted)
        barcodes = self.obs[names.BARCODE]
        return counts.recover(held, barcodes=(barcodes if rows is None else barcodes[rows]).to_list())

    def _require_finite(self, held: sp.csr_matrix, rows: Chosen) -> None:
        place = counts.scan(held.data)[1]
        if place >= 0:
            row = counts.row_of(held, place)
            barcode = self.obs[names.BARCODE][row if rows is None else int(rows[row])]
            found = f"{self._values} holds {held.data[place]}, no number that can be used, first in cell {barcode!r}"
            msg = f"{self.path}: {found}. A step before divided by zero, or the file is damaged: write or fetch it again."
            raise SourceError(msg)

    @contextmanager
    def _open(self) -> Iterator[h5py.File]:
        """Open the file; whatever cannot be read in it is said in words, with its name."""
        remedy = "It is damaged, cut short, or no .h5ad: fetch or write it again."
        guard = matrix.reading(self.path, "HDF5", fault=SourceError, remedy=remedy)
        with guard, h5py.File(self.path, "r") as file:
            yield file

    def _require_groups(self, file: h5py.File) -> None:
        values = "X" in file or "raw/X" in file or len(file.get("layers", ()))
        absent = [name for name in ("obs", "var") if name not in file] + ["X"] * (not values)
        if absent:
            found = f"it lacks {', '.join(absent)} and holds {', '.join(sorted(file)) or 'nothing'}"
            msg = f"{self.path} is HDF5 but no h5ad: {found}. Write it with anndata's write_h5ad."
            raise SourceError(msg)

    def _choose_matrices(self, file: h5py.File) -> None:
        """Find the matrix of log values and the one of counts by what they hold, not by what they are called."""
        layers = list(stored.matrices(file.get("layers")))
        ordered = dict.fromkeys([*(name for name in COUNT_LAYERS if name in layers), *layers])
        held = [name for name in ("X", *(f"layers/{name}" for name in ordered), "raw/X") if name in file]
        looks = {}
        for name in held:
            try:
                stored.kind_of(file[name])
                looks[name] = _look_at(stored.sample(file[name]))
            except SourceError as problem:
                if name in ("X", held[-1]) and not looks:
                    raise
                self.notes.append(f"{name} is left out: {problem}")
        logs = [name for name in ("X", "raw/X", *looks) if looks.get(name) == "log"]
        whole = [name for name, look in looks.items() if look == "counts"]
        self._values, self._counts = [*logs, *whole, *looks][0], next(iter(whole), None)
        self._logged, self._derived = bool(logs), not logs and bool(whole)
        if self._derived:
            self.notes.append(f"expression is log1p of counts per ten thousand, made from {self._values}")
        elif not logs:
            self.notes.append(f"{self._values} holds neither log-normalized values nor counts")
        elif self._values != "X":
            other = looks.get("X", "nothing")
            self.notes.append(f"expression is taken from {self._values}, not from X, which holds {other}")
        if self._counts is not None:
            self.notes.append(f"counts are taken from {self._counts}")

    def _read_obs(self, file: h5py.File) -> tuple[pl.DataFrame, list[str]]:
        frame = self._read_table(file["obs"], names.BARCODE)
        barcodes = frame[names.BARCODE]
        rows = stored.shape_of(file[self._values])[0]
        if frame.height != rows:
            msg = f"{self.path}: obs has {frame.height:,} rows, {self._values} has {rows:,}. Fetch the file again."
            raise SourceError(msg)
        ids = self.var[names.ENSEMBL].drop_nulls()
        genes = ids if len(ids) else self.var[names.GENE]
        self.species = columns.species_of(_stated_organisms(file, frame), genes)
        if self.species != ages.HUMAN:
            self.notes.append(f"the organism is {self.species}: chapters of human donors do not fit")
        self.simulation = _read_simulation(file, frame)
        frame, notes = columns.map_cells(frame, species=self.species)
        self.notes += notes
        typed, missing = columns.type_columns(frame, columns.TYPES, origin=self.name)
        self.notes += columns.look(typed, barcodes)
        if copies := _says(frame, PRIMARY, ["false"]):
            self.notes.append(f"{copies:,} cells are copies of cells of other data sets ({PRIMARY} is False)")
        empty = [name for name in columns.TYPES if typed[name].null_count() == typed.height]
        missing += [name for name in empty if name not in missing]
        return typed.select(names.BARCODE, pl.exclude(names.BARCODE)), missing

    def _read_var(self, file: h5py.File) -> tuple[pl.DataFrame, list[str]]:
        frame = self._read_table(_genes_of(self._values, file), "_name")
        index = frame["_name"]
        if self._values == "raw/X":  # var may say more of the same genes
            more = self._read_table(file["var"], "_name").unique("_name")
            more = more.select("_name", pl.exclude(frame.columns))
            frame = frame.join(more, on="_name", how="left", maintain_order="left")
        n_genes = stored.shape_of(file[self._values])[1]
        if frame.height != n_genes:
            msg = f"{self.path}: var has {frame.height:,} rows, {self._values} has {n_genes:,} columns. Fetch it again."
            raise SourceError(msg)
        if not n_genes:
            msg = f"{self.path}: var has no rows, so that there is no gene to read. Write it again with its genes."
            raise SourceError(msg)
        for column, gene in NO_GENES.items():
            kinds = set(frame[column].cast(pl.String).drop_nulls()) if column in frame.columns else set()
            if gene in kinds and (others := ", ".join(sorted(kinds - {gene}))):
                self.notes.append(f"var holds {others} beside genes, counted as genes: leave them out before")
        self._count_places = self._match_counts(file, index)
        frame, notes = columns.map_genes(frame, "_name")
        self.notes += notes
        labels, twice = columns.make_unique(frame[names.GENE].to_list())
        self.notes += twice
        frame = frame.drop("_name", names.GENE)
        typed, missing = columns.type_columns(frame, columns.FEATURE_TYPES, origin=f"{self.name} var")
        return typed.insert_column(0, pl.Series(names.GENE, labels, pl.String)), missing

    def _match_counts(self, file: h5py.File, index: pl.Series) -> np.ndarray | None:
        """Return where the genes of the values stand in the counts, none where they stand in the same order."""
        if self._counts is None or (self._counts == "raw/X") == (self._values == "raw/X"):
            return None
        other = self._read_table(_genes_of(self._counts, file), "_name")["_name"]
        if other.equals(index):
            return None
        known = pd.Index(columns.make_unique(other.to_list())[0])
        places = known.get_indexer(columns.make_unique(index.to_list())[0])
        if (places >= 0).all():
            return places
        lack = f"{self._counts} lacks genes of {self._values}"
        self.notes.append(f"{lack}: counts are recovered from {self._values}")
        self._counts = None
        return None

    def _read_table(self, group: h5py.Group | h5py.Dataset, index: str) -> pl.DataFrame:
        """Return a table of an h5ad with its index as the column `index`."""
        table = anndata.io.read_elem(group)
        if not isinstance(table, pd.DataFrame):
            found = f"it holds a {type(table).__name__}"
            msg = f"{self.path}: {group.name} is no table that can be read ({found}). Write it again with anndata."
            raise SourceError(msg)
        held = [pl.Series(index, [str(label) for label in table.index], pl.String)]
        for name in table.columns.drop(index, errors="ignore"):
            if (column := _to_polars(str(name), table[name])) is not None:
                held.append(column)
                continue
            found = f"{group.name}/{name} holds {table[name].dtype}"
            self.notes.append(f"{found}, which no table here can take: left out")
        return pl.DataFrame(held)

    def _find_maps(self, file: h5py.File) -> dict[str, str]:
        """Return the maps that are numbers, one row a cell; the others are noted."""
        found, known = {}, {name.casefold() for name in names.PROJECTION_FILES}
        for key, node in file.get("obsm", {}).items():
            with suppress(SourceError, TypeError):
                if node is not None and stored.kind_of(node) and stored.shape_of(node)[0] == self.obs.height:
                    found[key.casefold()] = key
            if key.casefold() in known - set(found):
                what = f"is no map of {self.obs.height:,} cells in numbers and is left out"
                self.notes.append(f"obsm/{key} {what}")
        return found


def _genes_of(values: str, file: h5py.File) -> h5py.Group:
    """Return the table of the genes of a matrix."""
    return file["raw/var" if values == "raw/X" and "raw/var" in file else "var"]


def _stated_organisms(file: h5py.File, obs: pl.DataFrame) -> set[str]:
    """Return what the first place that says something of the organism says."""
    for name in columns.ORGANISM_COLUMNS:
        said = set(columns.as_labels(obs[name])) if name in obs.columns else set()
        if said := (said | {_unstructured(file, name)}) - {None}:
            return said
    return set()


def _unstructured(file: h5py.File, name: str) -> str | None:
    """Return a single value that a file holds beside its tables, as text."""
    node = file["uns"].get(name) if isinstance(file.get("uns"), h5py.Group) else None
    if not isinstance(node, h5py.Dataset) or node.shape:
        return None
    value = node[()]
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _says(obs: pl.DataFrame, column: str, words: list[str]) -> int:
    """Count the cells with one of these words in a column, in any case."""
    if column not in obs.columns:
        return 0
    return int(columns.as_labels(obs[column]).str.to_lowercase().is_in(words).sum())


def _look_at(values: np.ndarray) -> str:
    """Return ``counts``, ``log`` or ``other`` for a sample of values."""
    values = np.asarray(values, dtype=np.float64)
    if not np.isfinite(values).all() or (values < 0).any():
        return "other"
    if (values == np.floor(values)).all():
        return "counts"
    return "log" if values.max() <= counts.LARGEST_LOG else "other"


def _to_polars(name: str, column: pd.Series) -> pl.Series | None:
    """Return a column of pandas; none where polars has no such type."""
    if column.dtype == object:
        return pl.Series(name, [None if pd.isna(value) else str(value) for value in column], pl.String)
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "biuf":
        return pl.Series(name, column.to_numpy().astype(column.dtype.newbyteorder("=")))
    with suppress(pa.ArrowException):
        held = pl.from_pandas(column).alias(name)
        return held.cast(pl.String) if isinstance(held.dtype, pl.Categorical | pl.Enum) else held
    return None


def _read_simulation(file: h5py.File, obs: pl.DataFrame) -> dict[str, Any] | None:
    """Return what a file made from a simulated release says of itself, in any of the places that may survive."""
    said = file.attrs.get(names.SIMULATION, _unstructured(file, names.SIMULATION))
    if said is None and not _says(obs, names.SIMULATED, ["true", "1"]):
        return None
    with suppress(ValueError):
        return matrix.parse_object(said or "{}")
    return {}
