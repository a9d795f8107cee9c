"""Zeros that mean "cannot": genes that one assay never sees."""

import numpy as np
import polars as pl
import scipy.sparse as sp
from anndata import AnnData

from helpers import names
from helpers.analysis.donors import known

ZEROS_SCHEMA = {
    names.GENE: pl.String,
    "absent_from": pl.String,
    "share_in_other": pl.Float64,
    "seen_in_other": pl.Int64,
    "cells_absent": pl.Int64,
}


def find(adata: AnnData, *, min_share: float = 0.05, min_cells: int = 50) -> pl.DataFrame:
    """Find genes that one assay never sees although the other sees them often.

    Parameters
    ----------
    adata
        Cells x genes, both assays; `X` or its zeros alone are read.
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
    assays = adata.obs[names.ASSAY].astype(str).to_numpy() if names.ASSAY in adata.obs else np.array([])
    matrix = sp.csr_matrix(adata.X)
    seen = {
        assay: (matrix[assays == assay] > 0).sum(axis=0).A1 if (assays == assay).sum() >= min_cells else None
        for assay in (names.CELLS, names.NUCLEI)
    }
    tables = [pl.DataFrame(schema=ZEROS_SCHEMA)]
    for assay, other in ((names.NUCLEI, names.CELLS), (names.CELLS, names.NUCLEI)):
        if seen[assay] is None or seen[other] is None:
            continue
        share = seen[other] / (assays == other).sum()
        at = np.flatnonzero((seen[assay] == 0) & (share >= min_share))
        tables.append(
            pl.DataFrame(
                {
                    names.GENE: adata.var_names[at].to_list(),
                    "absent_from": [assay] * at.size,
                    "share_in_other": share[at],
                    "seen_in_other": seen[other][at].astype(np.int64),
                    "cells_absent": [int((assays == assay).sum())] * at.size,
                },
                schema=ZEROS_SCHEMA,
            )
        )
    return pl.concat(tables).sort("share_in_other", descending=True)


def compare_with_truth(
    obs: pl.DataFrame,
    zeros: pl.DataFrame,
    *,
    truth_zeros: pl.DataFrame | None,
    truth_cells: pl.DataFrame | None,
) -> dict[str, float | int | None]:
    """Score the structural zeros found and the doublet score against what was planted.

    Parameters
    ----------
    obs
        One row a cell.
    zeros
        What `find` returns.
    truth_zeros, truth_cells
        Planted tables (assay, gene) and (barcode, doublet), or none.

    Returns
    -------
    dict
        zeros_planted, zeros_found, zeros_false, and the area under the ROC curve of the doublet score; none where
        there is no truth. A planted gene that the other assay hardly expresses cannot be found and counts as missed.
    """
    score: dict[str, float | int | None] = dict.fromkeys(
        ("zeros_planted", "zeros_found", "zeros_false", "doublet_auc")
    )
    if truth_zeros is not None:
        planted = set(zip(truth_zeros["assay"], truth_zeros["gene"], strict=True))
        found = set(zip(zeros["absent_from"], zeros[names.GENE], strict=True))
        score |= {
            "zeros_planted": len(planted),
            "zeros_found": len(planted & found),
            "zeros_false": len(found - planted),
        }
    if truth_cells is not None and known(obs, names.DOUBLET_SCORE):
        both = obs.select(names.BARCODE, names.DOUBLET_SCORE).join(
            truth_cells.select(names.BARCODE, "doublet"), on=names.BARCODE
        )
        positive = both.filter("doublet").height
        if 0 < positive < both.height:
            ranks = both[names.DOUBLET_SCORE].rank().filter(both["doublet"]).sum()
            negative = both.height - positive
            score["doublet_auc"] = float((ranks - positive * (positive + 1) / 2) / (positive * negative))
    return score
