"""The atlas in the hand: tables at once, genes by column, AnnData within a memory budget."""

import json
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import polars as pl
import scipy.sparse as sp
from anndata import AnnData

from helpers import ages, names
from helpers import budget as memory
from helpers.atlas import columns, matrix, stored
from helpers.atlas import counts as molecules
from helpers.atlas.matrix import Chosen
from helpers.errors import CountsError, SourceError, TableError

Choice = pl.Expr | pl.Series | np.ndarray | Sequence[bool]

_PROBED = 64  # cells of an h5ad whose counts are tried before a chapter is promised any
COUNTS_BYTES = 4  # int32; columns are shared with the values


class Atlas:
    """An opened source, a `release.Release` or an `h5ad.H5ad`: nothing big is read until asked."""

    kind: str
    name: str
    path: Path
    key: str  #: Hash of what the source holds.
    #: One row a cell: barcode, the 16 columns of the release (null where absent), then what else there is.
    obs: pl.DataFrame
    #: One row a gene: its name here, then ENSEMBL, SYMBOL, n_cells, gene_ids and what else there is.
    var: pl.DataFrame
    missing: list[str]  #: Columns, files and projections that the source does not have.
    notes: list[str]  #: What was made, converted, matched or renamed while the source was opened.
    species: str  #: ``human``, ``mouse`` or ``other``, as stated, else by Ensembl ids, else human.
    simulation: dict[str, Any] | None  #: What the source says of how it was made up; none for real data.

    @property
    def simulated(self) -> bool:
        """Whether the source says that it was made up."""
        return self.simulation is not None

    @property
    def shape(self) -> tuple[int, int]:
        """Cells, genes."""
        return self.obs.height, self.var.height

    def __repr__(self) -> str:
        """Return kind, name and size."""
        return f"Atlas({self.kind} {self.name!r}, {self.shape[0]:,} cells x {self.shape[1]:,} genes)"

    @cached_property
    def donors(self) -> pl.DataFrame:
        """One row a donor, youngest first; null where the cells of a donor do not agree.

        Columns: DonorID, Sex, age (years), Age_group, Age_bin, age_numeric, chemistry (of the single cells, joined by
        " + "), cells, nuclei (barcodes of each assay). ``age`` is the published exact age where the study lists the
        donor and the cells do not contradict it, else what the source says, else the middle of the age group.
        """
        return columns.tabulate(self.obs)

    def has(self, *wanted: str) -> bool:
        """Say whether the source holds every one of these.

        Parameters
        ----------
        wanted
            Columns of `obs` with a value, ``column=value`` for one value of a column, ``column>=8`` for at least so
            many different values, ``cells>=100``, projections, ``counts`` (molecules held or recoverable), ``donors``,
            ``human`` or ``truth``.
        """
        return all(self._has(name) for name in wanted)

    def _has(self, name: str) -> bool:
        if name in names.PROJECTION_FILES:
            return self._projection(name) is not None
        if name == "counts":
            return self._has_counts
        if name == "human":
            return self.species == ages.HUMAN
        if name == "truth":
            return self.truth("age_expression") is not None
        column, least, value = name.partition(">=" if ">=" in name else "=")
        if (column, least) == ("cells", ">="):
            return self.obs.height >= int(value)
        column = names.DONOR if column == "donors" else column
        if column not in self.obs.columns:
            return False
        held = self.obs[column].drop_nulls().cast(pl.String)
        if least == ">=":
            return held.n_unique() >= int(value)
        return value in held if value else len(held) > 0

    @cached_property
    def _has_counts(self) -> bool:
        # an h5ad is asked about a few of its cells; a release is cheap to ask only by columns, and states log counts
        if self.folder is None and self.obs.height:
            rows = np.arange(min(_PROBED, self.obs.height))
            with suppress(CountsError):
                return self._recover(self.read_csr(rows, None), rows, None, budget="8 GiB") is not None
        return self.folder is not None

    def genes(self, genes: Sequence[str]) -> pl.DataFrame:
        """Return the expression of genes by symbol or Ensembl id: a column each, named as in `var`, a row a cell."""
        places = self._find_genes(genes)
        dense = self.read_csr(None, places, budget="8 GiB").toarray()
        return pl.DataFrame(dense, schema=self.var[names.GENE][places].to_list(), orient="row")

    def projection(self, key: str) -> np.ndarray | None:
        """Return ``X_scVI``, ``X_umap``, ``X_pca`` or ``X_tsne``, cells x dimensions float32; none where there is none."""
        if key not in names.PROJECTION_FILES:
            msg = f"no projection is called {key!r}. Ask for one of {', '.join(names.PROJECTION_FILES)}."
            raise TableError(msg)
        return self._projection(key)

    def truth(self, table: str) -> pl.DataFrame | None:
        """Return a table of what was planted in a simulated release, such as ``age_expression``; none for real data."""
        path = self.path / names.TRUTH_FOLDER / f"{table}.parquet"
        with matrix.reading(path):
            return pl.read_parquet(path, glob=False) if self.simulated and path.is_file() else None

    def unstructured(self) -> dict[str, Any]:
        """Return the settings that came with the maps, or nothing."""
        return {}

    def read_counts(self, rows: Chosen, places: Chosen) -> sp.csr_matrix | None:  # noqa: ARG002
        """Return the counts that the source holds for these cells and genes, or none."""
        return None

    def files(self) -> pl.DataFrame:
        """List the files of this source: file, found (or not), size in MB."""
        listed = [self.path] if self.folder is None else [self.path / name for name in names.RELEASE_FILES]
        sizes = [file.stat().st_size / 1e6 if file.exists() else None for file in listed]
        table = {"file": [file.name for file in listed], "found": [size is not None for size in sizes]}
        return pl.DataFrame({**table, "size_mb": pl.Series(sizes, dtype=pl.Float64)})

    @property
    def folder(self) -> Path | None:
        """The release folder, or none where the source is a single file."""
        return self.path if self.path.is_dir() else None

    def describe(self) -> dict[str, Any]:
        """Return plain values that say which data these are."""
        simulation, (cells, genes) = self.simulation or {}, self.shape
        said = {"kind": self.kind, "name": self.name, "cells": cells, "genes": genes}
        said |= {"simulated": self.simulated}
        said |= {key: simulation[key] for key in ("seed", "scale", "version") if key in simulation}
        missing, notes = ", ".join(self.missing), "; ".join(self.notes)
        return said | {"manifest": self.key[:16], "missing": missing, "notes": notes}

    def to_anndata(
        self,
        *,
        cells: Choice | None = None,
        genes: Sequence[str] | None = None,
        counts: bool | Literal["try"] = True,
        budget: str | int = "8 GiB",
    ) -> AnnData:
        """Return cells x genes: `X` CSR float32 as released, layer ``counts`` CSR int32.

        Parameters
        ----------
        cells
            A polars expression over `obs`, or one truth value a cell; none for all.
        genes
            Symbols or Ensembl ids, in the order wanted; none for all.
        counts
            Whether to recover molecule counts, in a layer that shares its index arrays with `X`. ``"try"``: where they
            cannot be recovered there is no layer, and ``uns["no_counts"]`` says why.
        budget
            Memory that the result and the way to it may take.

        Raises
        ------
        BudgetError
            If more is needed, before it is taken.
        CountsError
            If counts are asked for and the values are not log-normalized counts.
        TableError
            If a gene is unknown, or `cells` does not choose cells of this atlas.
        """
        if counts == "try":
            try:
                return self.to_anndata(cells=cells, genes=genes, budget=budget)
            except CountsError as problem:
                adata = self.to_anndata(cells=cells, genes=genes, counts=False, budget=budget)
                adata.uns["no_counts"] = str(problem)
                return adata
        rows, places = self._choose(cells), None if genes is None else self._find_genes(genes)
        self._require(rows, places, counts=counts, budget=budget)
        held = None if self.folder is None else stored.find_copy(self.folder, self.key)
        whole = rows is None and places is None and counts
        if self.folder is None or held is not None or not whole:
            return self._read(held, rows, places, counts=counts, budget=budget)
        with stored.converting(self.key):
            held = stored.find_copy(self.folder, self.key)  # another process may have converted it meanwhile
            adata = self._read(held, rows, places, counts=counts, budget=budget)
            if held is None:
                stored.store_copy(self.folder, self.key, adata, simulation=self.simulation)
        return adata

    def convert(self, out: str | Path, *, budget: str | int = "8 GiB") -> Path:
        """Write all cells and genes with counts as an h5ad that any program of the field opens."""
        out = Path(out)
        same = out.exists() and out.resolve() == self.path.resolve()
        if out.suffix != ".h5ad" or same:
            why = "is the source itself" if same else "does not end in .h5ad"
            msg = f"{out} {why}. Name another file to write, for example atlas.h5ad."
            raise SourceError(msg)
        adata = self.to_anndata(budget=budget)
        stored.write(out, adata, key=self.key, simulation=self.simulation)
        return out

    def _choose(self, cells: Choice | None) -> Chosen:
        """Return the rows of chosen cells; none where that is all of them."""
        if cells is None:
            return None
        try:
            is_rule = isinstance(cells, pl.Expr)
            mask = self.obs.select(cells).to_series() if is_rule else pl.Series(np.asarray(cells))
        except pl.exceptions.PolarsError as problem:
            msg = f"the choice of cells cannot be made: {problem}. Columns are {', '.join(self.obs.columns)}."
            raise TableError(msg) from problem
        if mask.dtype != pl.Boolean or len(mask) != self.obs.height:
            wanted = f"cells must be one truth value for each of the {self.obs.height:,} cells"
            found = f"it is {len(mask):,} values of type {mask.dtype}"
            msg = f"{wanted}, but {found}. Use an expression such as pl.col('Sex') == 'M'."
            raise TableError(msg)
        rows = mask.fill_null(value=False).arg_true().to_numpy().astype(np.int64)
        if not rows.size:
            msg = f"no cell of {self.name} fits the choice of cells. Check the labels in atlas.obs."
            raise TableError(msg)
        return None if rows.size == self.obs.height else rows

    def _require(self, rows: Chosen, places: Chosen, *, counts: bool, budget: str | int) -> None:
        """Refuse before anything is allocated."""
        each = matrix.ENTRY_BYTES + max(matrix.PIECE_BYTES, COUNTS_BYTES * counts)
        n_cells = self.shape[0] if rows is None else len(rows)
        n_genes = self.shape[1] if places is None else len(places)
        blocks = 2 * matrix.THREADS * 4 * n_cells * min(n_genes, matrix.block_width(n_cells))
        needed = self.estimate_values(rows, places) * each + blocks
        work = f"An AnnData of {n_cells:,} cells x {n_genes:,} genes"
        memory.require(needed, budget=budget, work=work, remedy=matrix.REMEDY)

    def _read(
        self, held: Path | None, rows: Chosen, places: Chosen, *, counts: bool, budget: str | int
    ) -> AnnData:
        """Return chosen cells and genes with their tables and maps, from a converted copy where there is one."""
        if held is not None:
            data, counted = stored.read_copy(held, rows, places, counts=counts)
        else:
            data = self.read_csr(rows, places, budget=budget)
            counted = self._recover(data, rows, places, budget=budget) if counts else None
        cells = self.obs if rows is None else self.obs[rows]
        genes = self.var if places is None else self.var[places]
        obs, var = _to_pandas(cells, names.BARCODE), _to_pandas(genes, names.GENE)
        adata = AnnData(X=data, obs=obs, var=var, uns=self.unstructured())
        if counted is not None:
            adata.layers[names.COUNTS] = counted
        if self.simulated:  # in both places: either is lost by something that others do with files
            adata.uns[names.SIMULATION] = json.dumps(self.simulation)
            adata.obs[names.SIMULATED] = True
        for key in names.PROJECTION_FILES:
            if (projection := self._projection(key)) is not None:
                adata.obsm[key] = projection if rows is None else projection[rows]
        return adata

    def _recover(
        self, data: sp.csr_matrix, rows: Chosen, places: Chosen, *, budget: str | int
    ) -> sp.csr_matrix:
        """Return counts: those that the source holds, else recovered from whole cells."""
        if (held := self.read_counts(rows, places)) is not None:
            return held
        cells = self.obs if rows is None else self.obs[rows]
        known = {"barcodes": cells[names.BARCODE].to_list()}
        totals = cells[names.N_COUNTS].fill_null(np.nan).to_numpy()
        if places is None:
            return molecules.recover(data, totals=totals, **known)
        units = molecules.unit_from_totals(molecules.smallest_values(data), totals)
        try:
            return molecules.recover(data, units=units, **known)
        except CountsError:  # totals do not fit: only the whole cell shows what one molecule is worth
            self._require(rows, None, counts=True, budget=budget)
            whole = self.read_csr(rows, None, budget=budget)
            return molecules.recover(whole, totals=totals, **known)[:, places].tocsr()

    def _find_genes(self, genes: Sequence[str]) -> np.ndarray:
        """Return the places of genes, each once, in the order asked for."""
        wanted = [genes] if isinstance(genes, str) else list(genes)
        if unknown := [gene for gene in wanted if gene not in self._places]:
            near = {gene: ", ".join(columns.nearest(gene, self._places)) or "none" for gene in unknown[:5]}
            shown = ", ".join(f"{gene!r} (nearest: {known})" for gene, known in near.items())
            found = f"{len(unknown):,} of {len(wanted):,} genes are not in {self.name}: {shown}"
            msg = f"{found}. Use the names in atlas.var[{names.GENE!r}] or Ensembl ids."
            raise TableError(msg)
        return np.array(list(dict.fromkeys(self._places[gene] for gene in wanted)), dtype=np.int64)

    @cached_property
    def _places(self) -> dict[str, int]:
        """Every name of a gene with its place: names as in `var` first, then symbols, then Ensembl ids."""
        place: dict[str, int] = {}
        # the last word counts, and of one column the first gene
        for key in (names.ENSEMBL, names.SYMBOL, names.GENE):
            place |= dict(reversed([(gene, at) for at, gene in enumerate(self.var[key]) if gene is not None]))
        return place


def _to_pandas(frame: pl.DataFrame, index: str) -> pd.DataFrame:
    """Return a table as AnnData wants it: the column `index` as the index, unique; labels as sorted categories."""
    table = {}
    for name, column in frame.drop(index).to_dict().items():
        values = column.to_numpy()
        if column.dtype == pl.String:
            repeats = column.null_count() > 0 or column.n_unique() <= max(10, len(column) // 2)
            values = pd.Categorical(values) if repeats or name in names.LABEL_COLUMNS else values
        table[name] = values
    labels = columns.make_unique(frame[index].to_list())[0]
    return pd.DataFrame(table, index=pd.Index(labels, dtype=object))
