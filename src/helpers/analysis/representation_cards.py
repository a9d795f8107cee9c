"""Representations of one source gathered by name, and what their comparison adds up to."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from anndata import AnnData

from helpers import names
from helpers.analysis.representation import MEASURES, SCHEMA, compare
from helpers.errors import TableError
from helpers.facts import study

DEPOSITED = {
    names.SCVI: "scVI (deposited)",
    names.PCA: "PCA (deposited)",
    names.UMAP: "UMAP (deposited)",
    names.TSNE: "t-SNE (deposited)",
}


def gather(
    adata: AnnData, made: Mapping[str, Callable[[], np.ndarray]], *, extra: str = ""
) -> dict[str, np.ndarray]:
    """Collect representations: the deposited ones that are there, those made here, and one of the user's.

    Parameters
    ----------
    adata
        Cells x genes with ``obsm``.
    made
        Name to a function that makes the representation.
    extra
        Key in ``obsm``, or a Parquet file with one row a cell, numeric columns, in the order of `adata`; empty for none.

    Raises
    ------
    TableError
        If `extra` is neither, or its rows are not as many as the cells.
    """
    found = {title: np.asarray(adata.obsm[key]) for key, title in DEPOSITED.items() if key in adata.obsm}
    found |= {title: make() for title, make in made.items()}
    if extra:
        found[Path(extra).stem] = _read_extra(adata, extra)
    return found


def _read_extra(adata: AnnData, extra: str) -> np.ndarray:
    if extra in adata.obsm:
        return np.asarray(adata.obsm[extra])
    if not Path(extra).is_file():
        msg = f"{extra!r} is neither a key of obsm ({', '.join(adata.obsm) or 'none'}) nor a Parquet file."
        raise TableError(msg)
    table = pl.read_parquet(extra)
    numeric = table.select(pl.col(column) for column in table.columns if table[column].dtype.is_numeric())
    if numeric.height != adata.n_obs or not numeric.width:
        msg = f"{extra} has {numeric.height:,} rows and {numeric.width} numeric columns for {adata.n_obs:,} cells: one row a cell is needed."
        raise TableError(msg)
    return numeric.to_numpy().astype(np.float32)


def texts(adata: AnnData, column: str) -> np.ndarray | None:
    """Return a column of ``obs`` as texts, or none where the source lacks it or any value of it."""
    if column not in adata.obs or adata.obs[column].isna().any():
        return None
    return adata.obs[column].astype(str).to_numpy()


def donor_ages(adata: AnnData) -> dict[str, float]:
    """Return years by donor: exact where the study states them, else the middle of the bin."""
    people = texts(adata, names.DONOR)
    if people is None:
        return {}
    found: dict[str, float] = {}
    if names.AGE_MIDPOINT in adata.obs:
        middle = adata.obs[names.AGE_MIDPOINT].astype(float).to_numpy()
        found = {name: float(value) for name, value in zip(people, middle, strict=True) if np.isfinite(value)}
    exact = dict(study.donors().select(names.DONOR, "Age").iter_rows())
    return found | {name: float(age) for name, age in exact.items() if name in found or name in set(people)}


def widen(table: pl.DataFrame) -> pl.DataFrame:
    """Put representations in rows and measures in columns, in the order of `MEASURES`."""
    if table.is_empty():
        return pl.DataFrame(schema={"representation": pl.String, "dimensions": pl.Int64})
    wide = table.pivot(on="measure", index=["representation", "dimensions"], values="value")
    return wide.select("representation", "dimensions", *(name for name in MEASURES if name in wide.columns))


def best(table: pl.DataFrame, measure: str) -> tuple[str | None, float | None]:
    """Return the representation that scores highest on one measure, and its score."""
    rows = table.filter(pl.col("measure") == measure).sort(
        "value", "representation", descending=[True, False]
    )
    return (None, None) if rows.is_empty() else (rows["representation"][0], rows["value"][0])


def value_of(table: pl.DataFrame, representation: str, measure: str) -> float | None:
    """Return one value, or none."""
    rows = table.filter((pl.col("representation") == representation) & (pl.col("measure") == measure))[
        "value"
    ]
    return None if rows.is_empty() else rows[0]


def meanings(measures: Sequence[str] = tuple(MEASURES)) -> pl.DataFrame:
    """Return what each measure means."""
    return pl.DataFrame({"measure": list(measures), "meaning": [MEASURES[name] for name in measures]})


def compare_where_labeled(
    views: Mapping[str, np.ndarray],
    rows: Sequence[int] | np.ndarray,
    *,
    labels: np.ndarray | None,
    **others: object,
) -> pl.DataFrame:
    """Compare representations where the source has labels; an empty table where it has none, or too few cells.

    Parameters
    ----------
    views, rows, labels
        As for `representation.compare`.
    others
        Passed on to it.
    """
    if labels is None or len(rows) < 50 or len(np.unique(labels[rows])) < 2:
        return pl.DataFrame(schema=SCHEMA)
    return compare(views, np.asarray(rows), labels=labels, **others)


def tells_corrected(table: pl.DataFrame, *, simulated: bool) -> bool | None:
    """Tell whether donor mixing ranks the corrected view above the uncorrected one; none where nothing was planted."""
    corrected = value_of(table, DEPOSITED[names.SCVI], "donor_mixing")
    uncorrected = value_of(table, DEPOSITED[names.PCA], "donor_mixing")
    if not simulated or corrected is None or uncorrected is None:
        return None
    return corrected > uncorrected
