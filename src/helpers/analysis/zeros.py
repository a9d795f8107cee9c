"""Zeros that mean "cannot": genes that one assay never sees."""

import numpy as np
import polars as pl
import scipy.sparse as sp
from anndata import AnnData

from helpers import names
from helpers.analysis.donors import known

DETECTED_SCHEMA = {
    names.GENE: pl.String,
    "n_cells": pl.Int64,
    "seen_cells": pl.Int64,
    "expected_cells": pl.Float64,
    "n_nuclei": pl.Int64,
    "seen_nuclei": pl.Int64,
    "expected_nuclei": pl.Float64,
}
ZEROS_SCHEMA = {
    names.GENE: pl.String,
    "absent_from": pl.String,
    "expected": pl.Float64,
    "seen_in_other": pl.Int64,
}
_ASSAYS = (names.NUCLEI, names.CELLS)


def detect(adata: AnnData) -> pl.DataFrame:
    """Count, for every gene, where it is seen, and in how many barcodes of each assay it should have been.

    A gene of neutrophils is missing from nuclei because there are no neutrophils among them. So what is expected of an
    assay is added up over the cell types that both assays hold: barcodes of the type in one assay, times the share of the
    same type that sees the gene in the other.

    Parameters
    ----------
    adata
        Cells x genes; which values of ``X`` are zero is all that is read. Without cell types all cells count as one.

    Returns
    -------
    polars.DataFrame
        gene, and per assay the barcodes (n_cells, n_nuclei), those that see the gene (seen_cells, seen_nuclei), and those
        expected to if the assays detected alike (expected_cells, expected_nuclei).
    """
    matrix = sp.csr_matrix(adata.X)
    assays = _texts(adata, names.ASSAY)
    kinds = _texts(adata, names.LEVEL0)
    found = {f"{what}_{assay}": np.zeros(adata.n_vars) for what in ("seen", "expected") for assay in _ASSAYS}
    for kind in np.unique(kinds):
        rows = {assay: np.flatnonzero((kinds == kind) & (assays == assay)) for assay in _ASSAYS}
        seen = {assay: _count(matrix[rows[assay]]) for assay in _ASSAYS}
        for assay, other in zip(_ASSAYS, _ASSAYS[::-1], strict=True):
            found[f"seen_{assay}"] += seen[assay]
            found[f"expected_{assay}"] += len(rows[assay]) * seen[other] / max(len(rows[other]), 1)
    columns: dict[str, object] = {names.GENE: adata.var_names.to_list()}
    for assay in _ASSAYS:
        columns[f"n_{assay}"] = [int((assays == assay).sum())] * adata.n_vars
        columns[f"seen_{assay}"] = found[f"seen_{assay}"].astype(np.int64)
        columns[f"expected_{assay}"] = found[f"expected_{assay}"]
    return pl.DataFrame(columns).select(pl.col(name).cast(kind) for name, kind in DETECTED_SCHEMA.items())


def find(detected: pl.DataFrame, *, min_expected: float = 10, min_share: float = 0.03) -> pl.DataFrame:
    """Find genes that one assay never sees although the other sees them often and in the same types.

    Both conditions are needed. Without the first, markers of a type that one assay lacks are listed; without the second,
    rare genes are: assays differ by degrees too, and of thousands of rare genes some are unseen for that reason alone.

    Parameters
    ----------
    detected
        What `detect` returns.
    min_expected
        Barcodes that should have seen the gene, were the assays alike. With ten expected and independent barcodes,
        none seen has a chance of about one in twenty thousand.
    min_share
        Share of all barcodes of the other assay that see the gene, 0 to 1.

    Returns
    -------
    polars.DataFrame
        gene, absent_from (assay), expected (barcodes), seen_in_other (barcodes), largest expectation first.
    """
    tables = [pl.DataFrame(schema=ZEROS_SCHEMA)]
    for assay, other in zip(_ASSAYS, _ASSAYS[::-1], strict=True):
        tables.append(
            detected.filter(
                (pl.col(f"seen_{assay}") == 0) & _is_testable(assay, other, min_expected, min_share)
            ).select(
                names.GENE,
                pl.lit(assay).alias("absent_from"),
                pl.col(f"expected_{assay}").alias("expected"),
                pl.col(f"seen_{other}").alias("seen_in_other"),
            )
        )
    return pl.concat(tables).sort("expected", names.GENE, descending=[True, False])


def compare_with_truth(
    obs: pl.DataFrame,
    absent: pl.DataFrame,
    detected: pl.DataFrame,
    *,
    min_expected: float,
    min_share: float,
    truth_zeros: pl.DataFrame | None,
    truth_cells: pl.DataFrame | None,
) -> dict[str, float | int | None]:
    """Score the structural zeros found and the doublet score against what was planted.

    Parameters
    ----------
    obs
        One row a cell.
    absent
        What `find` returns.
    detected
        What `detect` returns.
    min_expected, min_share
        As given to `find`: a planted gene that is expected or seen more rarely cannot be told from a rare one.
    truth_zeros, truth_cells
        Planted tables (assay, gene) and (barcode, doublet), or none.

    Returns
    -------
    dict
        zeros_planted, zeros_testable, zeros_found, zeros_false, and the area under the ROC curve of the doublet score;
        none where there is no truth.
    """
    keys = ("zeros_planted", "zeros_testable", "zeros_found", "zeros_false", "doublet_auc")
    score: dict[str, float | int | None] = dict.fromkeys(keys)
    if truth_zeros is not None:
        planted = set(zip(truth_zeros["assay"], truth_zeros["gene"], strict=True))
        found = set(zip(absent["absent_from"], absent[names.GENE], strict=True))
        often = {
            assay: set(detected.filter(_is_testable(assay, other, min_expected, min_share))[names.GENE])
            for assay, other in zip(_ASSAYS, _ASSAYS[::-1], strict=True)
        }
        score |= {
            "zeros_planted": len(planted),
            "zeros_testable": sum(gene in often[assay] for assay, gene in planted),
            "zeros_found": len(planted & found),
            "zeros_false": len(found - planted),
        }
    if truth_cells is not None and known(obs, names.DOUBLET_SCORE):
        score["doublet_auc"] = _area(
            obs.select(names.BARCODE, names.DOUBLET_SCORE).join(
                truth_cells.select(names.BARCODE, "doublet"), on=names.BARCODE
            )
        )
    return score


def _is_testable(assay: str, other: str, min_expected: float, min_share: float) -> pl.Expr:
    often = pl.col(f"seen_{other}") >= min_share * pl.col(f"n_{other}")
    return often & (pl.col(f"expected_{assay}") >= min_expected)


def _area(both: pl.DataFrame) -> float | None:
    positive = both.filter("doublet").height
    negative = both.height - positive
    if not positive or not negative:
        return None
    ranks = both[names.DOUBLET_SCORE].rank().filter(both["doublet"]).sum()
    return float((ranks - positive * (positive + 1) / 2) / (positive * negative))


def _texts(adata: AnnData, column: str) -> np.ndarray:
    if column not in adata.obs:
        return np.full(adata.n_obs, "")
    return adata.obs[column].astype(object).fillna("").astype(str).to_numpy()


def _count(matrix: sp.csr_matrix) -> np.ndarray:
    return np.bincount(matrix.indices[matrix.data > 0], minlength=matrix.shape[1]).astype(float)
