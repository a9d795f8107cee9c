"""A release folder: twelve files, tables small, expression dense in Parquet and read by column."""

from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp

from helpers import files, names
from helpers.atlas import columns, matrix, reader
from helpers.atlas.matrix import Chosen
from helpers.errors import ReleaseError

PROBED = 48  # columns read to estimate the share of nonzero values
MIXED = "Files of two releases are mixed in"


class Release(reader.Atlas):
    """The files of a release, opened and checked against one another; the matrix is not read."""

    kind = "release folder"

    def __init__(self, folder: Path) -> None:
        self.path = Path(folder)
        self.name = self.path.resolve().name
        self.notes: list[str] = []
        files.require_utf8(self.path)
        self._require_files()
        self.expression = matrix.Expression(self.path / names.EXPRESSION_FILE)
        self._name_columns()
        self.obs, self.missing = self._read_obs(self._expression_barcodes())
        self.var, absent = self._read_var()
        self.missing += absent
        lacking = [name for name in names.RELEASE_FILES if not (self.path / name).is_file()]
        self.missing += lacking + [key for key, name in names.PROJECTION_FILES.items() if name in lacking]
        self.species = columns.species_of([], self.var[names.ENSEMBL].drop_nulls().to_list())

    @cached_property
    def simulation(self) -> dict[str, Any] | None:
        """What ``truth/simulation.json`` says, or none: a real release has no truth."""
        path = self.path / names.TRUTH_FOLDER / "simulation.json"
        if path.is_file():
            return _read_json(path)
        with suppress(ReleaseError):  # the report says so too, where somebody left the truth behind
            return {} if _read_json(self.path / names.VALIDATION_FILE).get("simulated") is True else None
        return None

    @cached_property
    def key(self) -> str:
        """Hash of what the files hold that a converted copy is made from."""
        there = [name for name in names.RELEASE_FILES[:7] if (self.path / name).is_file()]  # the tables
        return files.digest_text(repr([(name, files.fingerprint(self.path / name)) for name in there]))

    def _projection(self, key: str) -> np.ndarray | None:
        """Return a precomputed map, cells x dimensions float32 in the order of `obs`, or none."""
        path = self.path / names.PROJECTION_FILES[key]
        if not path.is_file():
            return None
        known = names.PROJECTION_COLUMNS[key]
        frame, index = self._open_table(path.name, known, self.obs.height)
        if index is not None and frame[index].dtype == pl.String and self._barcoded:
            frame = frame[match_rows(frame[index], self.obs[names.BARCODE], origin=path)]
        numbers = [name for name in frame.columns if name != index and frame[name].dtype.is_numeric()]
        chosen = known if set(known) <= set(frame.columns) else numbers
        return np.ascontiguousarray(frame.select(pl.col(chosen).cast(pl.Float32)).to_numpy())

    def unstructured(self) -> dict[str, Any]:
        """Return the settings that came with the projections, or nothing."""
        path = self.path / names.UNSTRUCTURED_FILE
        return _read_json(path) if path.is_file() else {}

    def estimate_values(self, rows: Chosen, places: Chosen) -> int:
        """Return about how many nonzero values these rows and genes hold, from a few columns spread over all."""
        chosen = np.arange(len(self.columns)) if places is None else places
        if not len(chosen):
            return 0
        probe = chosen[np.unique(np.linspace(0, len(chosen) - 1, PROBED).astype(int))]
        table, stated = self.expression.read(self.columns[probe]), self.obs[names.N_GENES]
        seen = sum(np.count_nonzero(column.to_numpy()) for column in table.columns)
        total = seen / len(probe) * len(chosen)
        if places is None and not stated.null_count():
            total = max(stated.sum(), total)
        return int(total if rows is None else total * len(rows) / max(self.obs.height, 1))

    def read_csr(self, rows: Chosen, places: Chosen, *, budget: str | int) -> sp.csr_matrix:
        """Return log-normalized expression, rows of `obs` x genes of `var`, as CSR float32."""
        if self.rows is not None:
            rows = self.rows if rows is None else self.rows[rows]
        chosen = self.columns if places is None else self.columns[places]
        return self.expression.read_csr(
            chosen, rows=rows, labels=lambda j: self._labels[chosen[j]], budget=budget
        )

    def _require_files(self) -> None:
        needed = (names.EXPRESSION_FILE, names.SAMPLE_FILE)
        absent = [name for name in needed if not (self.path / name).is_file()]
        if absent:
            here = sorted(path.name for path in self.path.iterdir())
            hits = [(name, columns.nearest(name, here, most=1)) for name in absent]
            near = ", ".join(f"{name} (is {hit[0]} it?)" if hit else name for name, hit in hits)
            remedy = "Fetch the release with `musclebook download`, or name the folder that holds it."
            if h5ad := next((name for name in here if name.endswith(".h5ad")), None):
                remedy = f"To open the .h5ad inside, name it: {self.path / h5ad}."
            held = ", ".join(here[:8]) or "nothing"
            msg = f"{self.path} is not a release: it lacks {near}. It holds {held}. {remedy}"
            raise ReleaseError(msg)

    def _name_columns(self) -> None:
        """Tell gene columns from an index column, and name the genes."""
        schema = self.expression.footer.schema.to_arrow_schema()
        self._labels, types = schema.names, schema.types  # each is made anew when asked for
        texts = [i for i, kind in enumerate(types) if kind in (pa.string(), pa.large_string())]
        alone = self._labels[texts[0]] if len(texts) == 1 else None
        self._index = columns.find_index(schema, known=()) or alone
        genes = [(i, kind) for i, kind in enumerate(types) if self._labels[i] != self._index]
        numbers = {kind for kind in types if pa.types.is_integer(kind) or pa.types.is_floating(kind)}
        if wrong := [f"{self._labels[i]} ({kind})" for i, kind in genes if kind not in numbers]:
            found = f"{len(wrong):,} gene columns are not numbers, first {', '.join(wrong[:3])}"
            remedy = "Expression is one float32 column per gene: fetch the file again."
            msg = f"{names.EXPRESSION_FILE}: {found}. {remedy}"
            raise ReleaseError(msg)
        if others := sum(kind != pa.float32() for _, kind in genes):
            self.notes.append(f"{others:,} expression columns are not float32 and were converted")
        self.columns = np.array([i for i, _ in genes], dtype=np.int64)
        self.gene_names, twice = columns.make_unique([self._labels[i] for i, _ in genes])
        self.notes += twice

    def _read_obs(self, held: pl.Series | None) -> tuple[pl.DataFrame, list[str]]:
        """Return the table of cells and what it lacks; match the rows of the expression, if it has barcodes (`held`)."""
        frame, index = self._open_table(names.SAMPLE_FILE, names.SAMPLE_COLUMNS, self.expression.n_rows)
        barcodes = None if index is None else frame.drop_in_place(index)
        if barcodes is not None:
            numbers = barcodes.null_count() or barcodes.dtype.is_numeric()
            barcodes = None if numbers else barcodes.cast(pl.String)
        typed, missing = columns.type_columns(frame, columns.TYPES, origin=names.SAMPLE_FILE)
        given = typed[names.DONOR].drop_nulls()
        nobody = [one for one in given.unique() if not names.is_somebody(one)]
        if nobody:
            typed = typed.with_columns(pl.col(names.DONOR).replace(dict.fromkeys(nobody)))
            lost = given.is_in(nobody).sum()
            self.notes.append(f"{lost:,} cells belong to nobody in particular and have no donor")
        self.rows: Chosen = None  # of the expression, where its order is another
        self._barcoded = barcodes is not None or held is not None
        if barcodes is None:
            missing.append(names.BARCODE)
            made = [f"row-{i:06d}" for i in range(self.expression.n_rows)]
            barcodes = pl.Series(made, dtype=pl.String) if held is None else held
            whose = "made from row numbers" if held is None else f"those of {names.EXPRESSION_FILE}"
            self.notes.append(f"{names.SAMPLE_FILE} has no barcodes: they are {whose}")
        elif held is not None and not held.equals(barcodes):
            self.rows = match_rows(held, barcodes, origin=self.path / names.EXPRESSION_FILE)
            self.notes.append(f"{names.EXPRESSION_FILE} has its rows in another order; aligned by barcode")
        self.notes += columns.look(typed, barcodes)
        return typed.insert_column(0, barcodes.alias(names.BARCODE)), missing

    def _expression_barcodes(self) -> pl.Series | None:
        if self._index is None:
            return None
        column = pl.Series(self.expression.read([self._labels.index(self._index)]).column(0))
        if not column.dtype.is_integer():
            return column.cast(pl.String)
        if (column == pl.int_range(len(column), eager=True)).all():
            return None  # the phantom index that pandas leaves: row numbers, no barcodes
        found = f"column {self._index!r} holds whole numbers that are not the row numbers"
        lost = f"so rows cannot be matched to {names.SAMPLE_FILE}"
        msg = f"{names.EXPRESSION_FILE}: {found}, {lost}. Fetch the file again."
        raise ReleaseError(msg)

    def _read_var(self) -> tuple[pl.DataFrame, list[str]]:
        file, genes = names.FEATURE_FILE, pl.Series(names.GENE, self.gene_names, pl.String)
        frame = pl.DataFrame(genes)
        if (self.path / file).is_file():
            table, index = self._open_table(file, names.FEATURE_COLUMNS, len(genes), "genes")
            rows, key = match_genes(table, self.gene_names, index=index)
            if key is not None:
                self.notes.append(f"{file} has its genes in another order; aligned by {key}")
            frame = table[rows].drop(index or [])
        typed, missing = columns.type_columns(frame, columns.FEATURE_TYPES, origin=file)
        return typed.drop(names.GENE, strict=False).insert_column(0, genes), missing

    def _open_table(
        self, file: str, known: Sequence[str], wanted: int, unit: str = "rows"
    ) -> tuple[pl.DataFrame, str | None]:
        """Return a table with as many rows as the expression has cells or genes, and the name of its index column."""
        with matrix.reading(self.path / file):
            footer = pq.read_metadata(self.path / file)
            if footer.num_rows != wanted:
                found = f"{file} has {footer.num_rows:,} {unit}, {names.EXPRESSION_FILE} has {wanted:,}"
                msg = f"{found}. {MIXED} {self.path}: fetch it again."
                raise ReleaseError(msg)
            index = columns.find_index(footer.schema.to_arrow_schema(), known=known)
            table = pl.read_parquet(self.path / file, glob=False)
            return table.with_columns(pl.col(pl.Categorical, pl.Enum).cast(pl.String)), index


def match_rows(held: pl.Series, wanted: pl.Series, *, origin: Path) -> np.ndarray:
    """Return for each barcode of the sample metadata the row of a file with the same barcode."""
    if held.equals(wanted):
        return np.arange(len(wanted))
    order = pl.DataFrame({"held": held}).with_row_index("row").unique("held", keep="first")
    found = pl.DataFrame({"held": wanted}).join(order, on="held", how="left", maintain_order="left")["row"]
    twice, absent = wanted.filter(wanted.is_duplicated()), wanted.filter(found.is_null())
    if len(twice):
        fault = f"has other barcodes than {names.SAMPLE_FILE}, where {len(twice):,} are not unique, first {twice[0]!r}"
    elif len(absent):
        fault = f"lacks {len(absent):,} of the {len(wanted):,} barcodes of {names.SAMPLE_FILE}, first {absent[0]!r}"
    else:
        return found.to_numpy().astype(np.int64)
    found = f"{origin.name} {fault} (its own first is {held[0]!r}), so rows cannot be matched"
    msg = f"{found}. {MIXED} {origin.parent}: fetch it again."
    raise ReleaseError(msg)


def match_genes(
    frame: pl.DataFrame, wanted: Sequence[str], *, index: str | None
) -> tuple[np.ndarray, str | None]:
    """Return for each gene of the expression its row in the feature table, and the column that says so."""
    tried = []
    for key in (index, names.GENE_IDS, names.SYMBOL, names.ENSEMBL):
        if key is None or key not in frame.columns:
            continue
        labels = columns.make_unique(frame[key].cast(pl.String).fill_null("").to_list())[0]
        rows = pd.Index(labels).get_indexer(wanted)
        lost = np.flatnonzero(rows < 0)
        if not lost.size:
            return rows, key if (np.diff(rows) != 1).any() else None
        tried.append(f"{key} lacks {lost.size:,}, first {wanted[lost[0]]!r}")
    found = f"{names.FEATURE_FILE} does not name the genes of {names.EXPRESSION_FILE}"
    msg = f"{found}: {'; '.join(tried) or 'it has no column of names'}. Fetch both files again."
    raise ReleaseError(msg)


def _read_json(path: Path) -> dict[str, Any]:
    with matrix.reading(path, "JSON"):
        return matrix.parse_object(path.read_text(encoding="utf-8"))
