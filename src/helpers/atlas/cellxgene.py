"""Columns of other programs' files brought to those of the atlas: CELLxGENE schema, scanpy, Seurat."""

from collections.abc import Callable

import polars as pl

from helpers import ages, names

ALIASES: dict[str, tuple[str, ...]] = {
    names.SAMPLE: ("sample_id", "library_id", "sample", "Sample"),
    names.DONOR: ("donor_id", "donor", "Donor", "individual"),
    names.LEVEL0: ("cell_type", "author_cell_type", "celltype", "cell_type_ontology_term_id"),
    names.N_COUNTS: ("total_counts", "nCount_RNA", "n_umi", "nUMIs"),
    names.N_GENES: ("n_genes_by_counts", "nFeature_RNA", "n_features"),
    names.PERCENT_MITO: ("pct_counts_mt", "pct_counts_mito", "percent.mt"),
    names.PERCENT_RIBO: ("pct_counts_ribo", "percent.ribo"),
    names.DOUBLET_SCORE: ("doublet_score", "scrublet_scores"),
}
"""Columns that mean the same, best first."""

SEX_COLUMNS = ("sex", "sex_ontology_term_id", "gender")
SEXES = {
    "male": names.MALE,
    "m": names.MALE,
    "pato:0000384": names.MALE,
    "female": names.FEMALE,
    "f": names.FEMALE,
    "pato:0000383": names.FEMALE,
}
SUSPENSIONS = {"cell": names.CELLS, "nucleus": names.NUCLEI, "cells": names.CELLS, "nuclei": names.NUCLEI}
CHEMISTRY_COLUMNS = ("assay", "assay_ontology_term_id")
CHEMISTRIES = {"10x 3' v2": names.V2, "efo:0009899": names.V2, "10x 3' v3": names.V3, "efo:0009922": names.V3}
STAGE_COLUMNS = (ages.STAGE_TERM, ages.STAGE)
AGE_COLUMNS = (names.AGE_GROUP, names.AGE_BIN, names.AGE_MIDPOINT, names.EXACT_AGE)
SYMBOL_COLUMNS = (
    "feature_name",
    "gene_symbols",
    "gene_symbol",
    "gene_name",
    "symbol",
    "Symbol",
    "gene_short_name",
)
ENSEMBL_COLUMNS = ("gene_ids", "ensembl_id", "ensembl_ids", "feature_id", "gene_id", "ensembl")


def map_cells(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Add the atlas's columns that can be derived from others, and say from which.

    Parameters
    ----------
    frame
        Cell table as it came, labels as strings; its own columns stay as they are.

    Returns
    -------
    tuple
        The table with more columns, and one note for each column added.
    """
    notes: list[str] = []
    added: list[pl.Series] = []

    def add(name: str, origin: str, column: pl.Series) -> None:
        if name not in frame.columns and column.null_count() < len(column):
            added.append(column.alias(name))
            notes.append(f"{name} is taken from {origin}")

    for name, aliases in ALIASES.items():
        origin = _first(frame, aliases)
        if origin is not None:
            add(name, origin, frame[origin])
    for name, candidates, labels in (
        (names.SEX, SEX_COLUMNS, SEXES),
        (names.ASSAY, ("suspension_type",), SUSPENSIONS),
        (names.CHEMISTRY, CHEMISTRY_COLUMNS, CHEMISTRIES),
    ):
        origin = _first(frame, candidates)
        if origin is not None:
            add(
                name,
                origin,
                _translate(frame[origin], lambda label, known=labels: known.get(label.casefold())),
            )
    origin = _first(frame, STAGE_COLUMNS)
    if origin is not None:
        for name in AGE_COLUMNS:
            add(
                name,
                origin,
                _translate(frame[origin], lambda label, key=name: ages.describe(ages.parse(label))[key]),
            )
    return frame.with_columns(added), notes


def map_genes(frame: pl.DataFrame, index: str) -> tuple[pl.DataFrame, list[str]]:
    """Name genes by symbol and add the atlas's columns of genes that others hold.

    Parameters
    ----------
    frame
        Gene table as it came.
    index
        Column of the names by which the file indexes its genes.
    """
    labels = frame[index].cast(pl.String)
    ensembl = labels.str.starts_with("ENS").mean() or 0.0
    by_id = ensembl > 0.5
    origin = _first(frame, SYMBOL_COLUMNS)
    symbols = labels
    if by_id and origin is not None:
        symbols = frame[origin].cast(pl.String).fill_null(labels)
    elif by_id and names.SYMBOL in frame.columns:
        symbols = frame[names.SYMBOL].cast(pl.String).fill_null(labels)
    notes, columns = [], {}
    if by_id and symbols is not labels:
        notes.append("genes are named by symbol, the file by Ensembl id")
    held = next(
        (name for name in ENSEMBL_COLUMNS if name in frame.columns and _is_ensembl(frame[name])), None
    )
    if names.ENSEMBL not in frame.columns:
        if by_id:
            columns[names.ENSEMBL] = labels
        elif held is not None:
            columns[names.ENSEMBL] = frame[held].cast(pl.String)
    if names.SYMBOL not in frame.columns and not (by_id and symbols is labels):
        columns[names.SYMBOL] = symbols
    made = [column.alias(name) for name, column in columns.items()]
    return frame.with_columns(symbols.alias(names.GENE), *made), notes


def _is_ensembl(column: pl.Series) -> bool:
    return column.dtype == pl.String and (column.str.starts_with("ENS").mean() or 0.0) > 0.5


def _first(frame: pl.DataFrame, candidates: tuple[str, ...]) -> str | None:
    return next((name for name in candidates if name in frame.columns), None)


def _translate(column: pl.Series, translate: Callable[[str], str | float | None]) -> pl.Series:
    """Translate the distinct labels of a column once each."""
    labels = column.cast(pl.String)
    table = {label: translate(label) for label in labels.drop_nulls().unique().to_list()}
    values = list(table.values())
    dtype = pl.String if any(isinstance(value, str) for value in values) else pl.Float64
    return labels.replace_strict(table, default=None, return_dtype=dtype)
