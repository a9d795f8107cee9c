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
    "n_nuclei": pl.Int64,
    "seen_nuclei": pl.Int64,
}
ZEROS_SCHEMA = {
    names.GENE: pl.String,
    "absent_from": pl.String,
    "share_in_other": pl.Float64,
    "seen_in_other": pl.Int64,
    "cells_absent": pl.Int64,
}


def detect(adata: AnnData) -> pl.DataFrame:
    """Count, for every gene, the cells and the nuclei that hold at least one molecule.

    Parameters
    ----------
    adata
        Cells x genes; which values of ``X`` are zero is all that is read.

    Returns
    -------
    polars.DataFrame
        gene, and per assay the barcodes (n_cells, n_nuclei) and those that see the gene (seen_cells, seen_nuclei).
    """
    assays = adata.obs[names.ASSAY].astype(str).to_numpy() if names.ASSAY in adata.obs else np.array([])
    matrix = sp.csr_matrix(adata.X)
    columns: dict[str, object] = {names.GENE: adata.var_names.to_list()}
    for assay in (names.CELLS, names.NUCLEI):
        here = assays == assay
        weight = np.repeat(here, np.diff(matrix.indptr)) & (matrix.data > 0) if here.any() else None
        seen = (
            np.zeros(adata.n_vars)
            if weight is None
            else np.bincount(matrix.indices[weight], minlength=adata.n_vars)
        )
        columns |= {f"n_{assay}": [int(here.sum())] * adata.n_vars, f"seen_{assay}": seen.astype(np.int64)}
    return pl.DataFrame(columns, schema=DETECTED_SCHEMA)


def find(detected: pl.DataFrame, *, min_share: float = 0.05, min_cells: int = 50) -> pl.DataFrame:
    """Find genes that one assay never sees although the other sees them often.

    Parameters
    ----------
    detected
        What `detect` returns.
    min_share
        Share of cells of the other assay that must express the gene, 0 to 1.
    min_cells
        An assay of fewer cells says nothing about absence.

    Returns
    -------
    polars.DataFrame
        gene, absent_from (assay), share_in_other (0 to 1), seen_in_other (cells), cells_absent (cells without a
        single molecule). A gene seen in a share s of one assay is missing from n independent cells of the other by
        chance with probability (1 - s) ** n if both assays detect alike.
    """
    tables = [pl.DataFrame(schema=ZEROS_SCHEMA)]
    for assay, other in ((names.NUCLEI, names.CELLS), (names.CELLS, names.NUCLEI)):
        tables.append(
            detected.filter((pl.col(f"n_{assay}") >= min_cells) & (pl.col(f"n_{other}") >= min_cells))
            .with_columns((pl.col(f"seen_{other}") / pl.col(f"n_{other}")).alias("share_in_other"))
            .filter((pl.col(f"seen_{assay}") == 0) & (pl.col("share_in_other") >= min_share))
            .select(
                names.GENE,
                pl.lit(assay).alias("absent_from"),
                "share_in_other",
                pl.col(f"seen_{other}").alias("seen_in_other"),
                pl.col(f"n_{assay}").alias("cells_absent"),
            )
        )
    return pl.concat(tables).sort("share_in_other", names.GENE, descending=[True, False])


def compare_with_truth(
    obs: pl.DataFrame,
    absent: pl.DataFrame,
    detected: pl.DataFrame,
    *,
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
    min_share
        As given to `find`: a planted gene that the other assay sees more rarely cannot be told from a rare one.
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
            assay: set(
                detected.filter(pl.col(f"seen_{other}") >= min_share * pl.col(f"n_{other}"))[names.GENE]
            )
            for assay, other in ((names.NUCLEI, names.CELLS), (names.CELLS, names.NUCLEI))
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


def _area(both: pl.DataFrame) -> float | None:
    positive = both.filter("doublet").height
    negative = both.height - positive
    if not positive or not negative:
        return None
    ranks = both[names.DOUBLET_SCORE].rank().filter(both["doublet"]).sum()
    return float((ranks - positive * (positive + 1) / 2) / (positive * negative))
