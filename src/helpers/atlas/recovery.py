"""An atlas in memory with its counts, or with the reason why there are none."""

from dataclasses import dataclass

import numpy as np
from anndata import AnnData

from helpers import names
from helpers.atlas.reader import Atlas
from helpers.errors import CountsError

_BLOCK = 8_192  # cells checked at a time


@dataclass(frozen=True)
class Recovery:
    """What came of recovering counts.

    Attributes
    ----------
    adata
        Cells x genes; with layer ``counts`` if they were found.
    found
        Whether they were.
    residual
        Largest distance of any released value, turned back, from its whole count, in molecules; none without counts.
    reason
        One sentence: how they were found, or why not.
    """

    adata: AnnData
    found: bool
    residual: float | None
    reason: str


def with_counts(atlas: Atlas, *, budget: str | int = "8 GiB") -> Recovery:
    """Load all cells and genes with counts where they can be recovered, without them where they cannot.

    Parameters
    ----------
    atlas
        An opened source.
    budget
        Memory that the work may take.
    """
    try:
        adata = atlas.to_anndata(counts=True, budget=budget)
    except CountsError as error:
        adata = atlas.to_anndata(counts=False, budget=budget)
        return Recovery(adata, found=False, residual=None, reason=str(error).split(". ")[0])
    return Recovery(adata, found=True, residual=_residual(adata), reason="every value came back whole")


def _residual(adata: AnnData) -> float | None:
    worst = 0.0
    counts, released = adata.layers[names.COUNTS].tocsr(), adata.X.tocsr()
    if released.nnz != counts.nnz:
        return None  # counts of their own, not recovered from these values
    for start in range(0, adata.n_obs, _BLOCK):
        here = slice(counts.indptr[start], counts.indptr[min(start + _BLOCK, adata.n_obs)])
        rows = np.repeat(
            np.arange(min(_BLOCK, adata.n_obs - start)), np.diff(counts.indptr[start : start + _BLOCK + 1])
        )
        whole, back = counts.data[here].astype(np.float64), np.expm1(released.data[here].astype(np.float64))
        if not len(whole):
            continue
        unit = np.bincount(rows, back) / np.maximum(np.bincount(rows, whole), 1)
        worst = max(worst, float(np.abs(back / unit[rows] - whole).max()))
    return worst
