"""Which cell types carry age: profiles of donors as features, type by type, each with its null."""

import numpy as np
import pandas as pd
import polars as pl
import scipy.sparse as sp
from anndata import AnnData
from scipy.stats import false_discovery_control

from helpers import names
from helpers.analysis import ages, pseudobulk

SCAN_SCHEMA = {
    "type": pl.String,
    "assay": pl.String,
    "donors": pl.Int64,
    "mae_years": pl.Float64,
    "baseline_mae_years": pl.Float64,
    "gain_years": pl.Float64,
    "p": pl.Float64,
    "q": pl.Float64,
}


def scan(profiles: AnnData, *, n_permutations: int, min_donors: int = 8, seed: int = 0) -> pl.DataFrame:
    """Tell, per cell type and assay, whether age can be predicted for donors left out.

    Parameters
    ----------
    profiles
        Profiles x genes, molecules; ``obs`` names donor, assay, coarse type and age (years).
    n_permutations
        Permutations of age over donors for the p-value.
    min_donors
        Types with fewer donors are left out: too few to learn from.
    seed
        Of the permutations.

    Returns
    -------
    polars.DataFrame
        type, assay, donors, mae_years, baseline_mae_years (mean age of the others), gain_years (how much better than
        the mean), p (share of permutations with at most this error, the observed one counted), q (Benjamini and
        Hochberg), smallest p first.
    """
    rows = []
    groups = (
        profiles.obs[[names.LEVEL0, names.ASSAY]]
        .astype(str)
        .drop_duplicates()
        .sort_values([names.LEVEL0, names.ASSAY])
    )
    for kind, assay in groups.itertuples(index=False):
        features, years, donors = donor_features(profiles, cell_type=kind, assay=assay)
        if len(years) < min_donors or np.ptp(years) == 0:
            continue
        found = ages.leave_donors_out(features, years, donors)
        error = float((found["predicted"] - found["age"]).abs().mean())
        base = float((found["baseline"] - found["age"]).abs().mean())
        null = ages.permute_ages(features, years, n_permutations=n_permutations, seed=seed)
        p = (1 + int((null <= error + 1e-9).sum())) / (1 + n_permutations)
        rows.append((kind, assay, len(years), error, base, base - error, p, None))
    table = pl.DataFrame(rows, schema=SCAN_SCHEMA, orient="row")
    if table.is_empty():
        return table
    return table.with_columns(pl.Series("q", false_discovery_control(table["p"].to_numpy()))).sort(
        "p", "type", "assay"
    )


def donor_features(
    profiles: AnnData, *, cell_type: str | None = None, assay: str | None = None, min_molecules: int = 10
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return log2 counts per million, ages and donors of the profiles of one type and assay.

    Parameters
    ----------
    profiles
        Profiles x genes, molecules.
    cell_type, assay
        Which profiles; all if none.
    min_molecules
        Genes with fewer molecules in more than half of the profiles are left out.

    Returns
    -------
    features, ages, donors
        Profiles x genes (log2 CPM, half a molecule added), years (exact where known, else the bin's midpoint), names.
    """
    keep = np.ones(profiles.n_obs, dtype=bool)
    for column, wanted in ((names.LEVEL0, cell_type), (names.ASSAY, assay)):
        if wanted is not None:
            keep &= (profiles.obs[column].astype(str) == wanted).to_numpy()
    obs = profiles.obs[keep]
    ages = obs[names.EXACT_AGE].astype(float)
    if names.AGE_MIDPOINT in obs:
        ages = ages.fillna(obs[names.AGE_MIDPOINT].astype(float))
    known = ages.notna().to_numpy()
    molecules = sp.csr_matrix(profiles.X)[np.flatnonzero(keep)[known]].toarray().astype(np.float64)
    total = molecules.sum(axis=1, keepdims=True)
    seen = (
        (molecules >= min_molecules).mean(axis=0) >= 0.5
        if len(molecules)
        else np.zeros(molecules.shape[1], bool)
    )
    features = np.log2((molecules[:, seen] + 0.5) / (total + 1) * 1e6)
    return features, ages.to_numpy()[known], obs[names.DONOR].astype(str).to_numpy()[known]


def profiles(adata: AnnData, *, counted: bool, min_cells: int = 10) -> AnnData:
    """Sum molecules per donor, assay and coarse type; no profiles where the source lacks counts or donors.

    Parameters
    ----------
    adata
        Cells x genes.
    counted
        Whether counts could be recovered.
    min_cells
        Cells that a profile needs.
    """
    if not counted or any(
        column not in adata.obs or adata.obs[column].isna().all() for column in names.PROFILE
    ):
        empty = pd.DataFrame(
            {name: pd.Series(dtype=str) for name in names.PROFILE} | {names.EXACT_AGE: pd.Series(dtype=float)}
        )
        empty.index = empty.index.astype(str)
        return AnnData(X=sp.csr_matrix((0, adata.n_vars), dtype=np.float32), obs=empty, var=adata.var[[]])
    return pseudobulk.sum_by_donor(adata, min_cells=min_cells)


def split_donors(
    adata: AnnData, *, cell_type: str, assay: str, counted: bool, pieces: int = 5, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Deal each donor's cells of one type at random into pieces and sum each: several profiles a donor.

    Pieces of one donor are no replicates; they serve to show what happens to whoever takes them for such.

    Parameters
    ----------
    adata
        Cells x genes, with counts.
    cell_type, assay
        Which cells.
    counted
        Whether counts could be recovered.
    pieces
        Profiles a donor.
    seed
        Of the deal.

    Returns
    -------
    features, ages, donors
        As `donor_features`, one row a piece.
    """
    if not counted or any(column not in adata.obs for column in names.PROFILE):
        return np.empty((0, 0)), np.empty(0), np.empty(0, dtype=str)
    here = (adata.obs[names.LEVEL0].astype(str) == cell_type) & (adata.obs[names.ASSAY].astype(str) == assay)
    if not here.any():
        return np.empty((0, 0)), np.empty(0), np.empty(0, dtype=str)
    dealt = np.random.default_rng(seed).integers(0, pieces, int(here.sum()))
    # the counts of these cells alone: no copy of the released values
    mine = AnnData(
        adata.layers[names.COUNTS][np.flatnonzero(here)],
        obs=adata.obs[here].assign(piece=dealt.astype(str)),
        var=adata.var[[]],
    )
    by = [names.DONOR, names.ASSAY, names.LEVEL0, "piece"]
    summed = pseudobulk.sum_by_donor(mine, by=by, layer="X", min_cells=3)
    return donor_features(summed, min_molecules=3)
