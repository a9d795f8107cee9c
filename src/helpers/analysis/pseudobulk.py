"""Profiles of donors: molecules summed over the cells of one donor, assay and cell type."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import polars as pl
import scipy.sparse as sp
from anndata import AnnData

from helpers import names
from helpers.atlas import people
from helpers.errors import CountsError, TableError
from helpers.facts import study

MOLECULES = "molecules"  # column of profiles: molecules summed over cells and genes
_SEPARATOR = " + "  # between chemistries of one profile
_BLOCK = 8_192  # cells summed at a time


def sum_by_donor(
    adata: AnnData, *, by: Sequence[str] = names.PROFILE, layer: str = names.COUNTS, min_cells: int = 10
) -> AnnData:
    """Sum molecules over the cells of one donor, assay and cell type.

    Parameters
    ----------
    adata
        Cells x genes, with molecule counts in `layer` (sparse or dense) and donors in ``obs``.
    by
        Columns of ``obs`` that name a profile. Must hold the donor: the donor, not the cell, is replicated [1]_.
    layer
        Layer of molecule counts: whole numbers, never log values. ``"X"`` stands for the main matrix.
    min_cells
        Profiles of fewer cells are left out.

    Returns
    -------
    Profiles x genes, sorted by `by`: summed molecules in ``X`` and in layer ``counts`` (one sparse matrix of
    whole numbers). ``obs`` carries `by`, every covariate that is constant within all profiles, the chemistries
    joined by " + " where a profile has several, ``n_cells``, ``molecules``, and ``age``: exact years from the
    published donor table, NaN for donors that it does not list.

    Raises
    ------
    CountsError
        If a stored value is not a whole number of at least zero; the first bad cell is named.
    TableError
        If columns are missing, the donor is not in `by`, or one donor has two values of age or sex.

    References
    ----------
    .. [1] Squair et al. (2021), Nature Communications, doi:10.1038/s41467-021-25960-2

    Examples
    --------
    >>> cells = AnnData(
    ...     sp.csr_matrix([[1, 0], [2, 3], [5, 0]]),
    ...     obs=pd.DataFrame({"DonorID": ["339C", "339C", "470BR"]}, index=list("abc")),
    ... )
    >>> profiles = sum_by_donor(cells, by=["DonorID"], layer="X", min_cells=1)
    >>> profiles.X.toarray().tolist(), profiles.obs["age"].tolist()
    ([[3, 3], [5, 0]], [73.0, 19.0])
    """
    by = list(by)
    counts = _count_matrix(adata, layer)
    _check_columns(adata.obs, by)
    codes, labels = _number_profiles(adata.obs, by)
    sizes = np.bincount(codes[codes >= 0], minlength=len(labels))
    kept = np.flatnonzero(sizes >= min_cells)
    position = np.full(len(labels) + 1, -1)
    position[kept] = np.arange(len(kept))
    codes = position[codes]  # a cell without a label has code -1, which reads the last entry, -1
    summed = _sum_rows(counts, codes, len(kept), layer=layer, barcodes=adata.obs_names)
    obs = _describe_profiles(adata.obs, codes, labels.iloc[kept].reset_index(drop=True))
    obs[names.N_CELLS] = sizes[kept]
    obs[MOLECULES] = np.asarray(summed.sum(axis=1)).ravel().astype(np.int64)
    obs.index = pd.Index(obs[by].astype(str).agg("|".join, axis=1) if len(obs) else [], dtype=str)
    profiles = AnnData(summed, obs=obs, var=adata.var.copy())
    profiles.layers[names.COUNTS] = profiles.X
    return profiles


def exact_ages(donors: Sequence[str]) -> np.ndarray:
    """Return the exact age in years of each donor, NaN where the published table does not list the donor.

    Parameters
    ----------
    donors
        Donor codes, repeated or not.

    Examples
    --------
    >>> exact_ages(["339C", "unknown"]).tolist()
    [73.0, nan]
    """
    table = study.donors()
    known = dict(zip(table[names.DONOR], table["Age"], strict=True))
    return np.array([known.get(str(donor), np.nan) for donor in donors], dtype=float)


def check_counts(counts: sp.csr_matrix | np.ndarray, *, barcodes: Sequence[str], layer: str) -> None:
    """Refuse values that are not molecule counts.

    Parameters
    ----------
    counts
        Cells x genes.
    barcodes
        Name of each cell, for the message.
    layer
        Name of the layer, for the message.

    Raises
    ------
    CountsError
        If any stored value is not a whole number of at least zero.
    """
    n_bad, n_values, first = 0, 0, None
    for start, block in _blocks(counts):
        n_values += block.data.size
        bad = _is_no_count(block.data)
        if bad is None:
            continue
        n_bad += int(bad.sum())
        if first is None:
            entry = int(np.flatnonzero(bad)[0])
            first = start + int(np.searchsorted(block.indptr, entry, side="right")) - 1, block.data[entry]
    if first is not None:
        row, value = first
        msg = (
            f"layer {layer!r} is not molecules: {n_bad:,} of {n_values:,} stored values are not whole numbers >= 0, "
            f"first {value:.3g} in cell {barcodes[row]!r}. X of the release is log-normalized: recover counts first."
        )
        raise CountsError(msg)


def _count_matrix(adata: AnnData, layer: str) -> sp.csr_matrix | np.ndarray:
    if layer == "X":
        counts = adata.X
    elif layer in adata.layers:
        counts = adata.layers[layer]
    else:
        msg = (
            f"no layer {layer!r} of molecule counts; this table has {sorted(filter(None, adata.layers)) or 'no layers'}. "
            f"Open the atlas with counts=True, or name the layer that holds whole numbers."
        )
        raise TableError(msg)
    return counts.tocsr() if sp.issparse(counts) and counts.format != "csr" else counts


def _check_columns(obs: pd.DataFrame, by: list[str]) -> None:
    missing = [column for column in dict.fromkeys([names.DONOR, *by]) if column not in obs.columns]
    if missing:
        msg = f"the cells lack column(s) {', '.join(missing)}; they have {', '.join(map(str, obs.columns))}."
        raise TableError(msg)
    if names.DONOR not in by:
        msg = f"profiles by {by} mix donors. Add {names.DONOR!r}: the donor is the unit of every test across age."
        raise TableError(msg)
    for column in (names.SEX, names.AGE_BIN, names.AGE_GROUP):
        if column in obs.columns:
            pairs = obs[[names.DONOR, column]].drop_duplicates().dropna()
            twice = pairs[names.DONOR][pairs[names.DONOR].duplicated()].unique()
            if len(twice):
                msg = f"{column} has more than one value in donor(s) {', '.join(map(str, twice))}; a donor has one."
                raise TableError(msg)


def _number_profiles(obs: pd.DataFrame, by: list[str]) -> tuple[np.ndarray, pd.DataFrame]:
    """Give each cell the number of its profile in sorted order of labels; -1 where a label is missing."""
    missing = obs[by].isna().any(axis=1).to_numpy()
    keys = obs.loc[~missing, by].astype(str)
    codes = np.full(len(obs), -1)
    codes[~missing] = keys.groupby(by, sort=True).ngroup()
    return codes, keys.drop_duplicates().sort_values(by).reset_index(drop=True)


def _blocks(counts: sp.csr_matrix | np.ndarray) -> Iterator[tuple[int, sp.csr_matrix]]:
    """Give blocks of rows as sparse matrices that share memory with the whole."""
    for start in range(0, counts.shape[0], _BLOCK):
        stop = min(start + _BLOCK, counts.shape[0])
        if not sp.issparse(counts):
            yield start, sp.csr_matrix(counts[start:stop])
            continue
        low, high = counts.indptr[start], counts.indptr[stop]
        parts = counts.data[low:high], counts.indices[low:high], counts.indptr[start : stop + 1] - low
        yield start, sp.csr_matrix(parts, shape=(stop - start, counts.shape[1]), copy=False)


def _is_no_count(values: np.ndarray) -> np.ndarray | None:
    """Mark values that are no molecule counts; None where all are."""
    if np.issubdtype(values.dtype, np.unsignedinteger):
        return None
    if np.issubdtype(values.dtype, np.integer):
        good = values >= 0
    else:
        good = (values >= 0) & (values == np.floor(values)) & np.isfinite(values)
    return None if good.all() else ~good


def _sum_rows(
    counts: sp.csr_matrix | np.ndarray, codes: np.ndarray, n_profiles: int, *, layer: str, barcodes: pd.Index
) -> sp.csr_matrix:
    check_counts(counts, barcodes=barcodes, layer=layer)
    total = np.zeros((n_profiles, counts.shape[1]), dtype=np.int64)
    for start, block in _blocks(counts):
        here = codes[start : start + block.shape[0]]
        rows = np.flatnonzero(here >= 0)
        present, local = np.unique(here[rows], return_inverse=True)
        # 64 bits before the sum: 32-bit sums wrap, and float32 loses molecules beyond 2**24
        ones = np.ones(len(rows), dtype=np.int64)
        pick = sp.csr_matrix((ones, (local, rows)), shape=(len(present), block.shape[0]))
        total[present] += (pick @ block.astype(np.int64)).toarray()
    return sp.csr_matrix(total)


def _describe_profiles(obs: pd.DataFrame, codes: np.ndarray, labels: pd.DataFrame) -> pd.DataFrame:
    """Carry what is constant within every profile; join chemistries; add exact age."""
    used = np.flatnonzero(codes >= 0)
    described = labels.copy()
    first = np.full(len(labels), -1)
    first[codes[used][::-1]] = used[::-1]
    for column in obs.columns:
        if column in described.columns or column == names.N_CELLS:
            continue
        values = pd.factorize(obs[column])[0]
        if np.array_equal(values[used], values[first][codes[used]]):
            carried = obs[column].iloc[first].reset_index(drop=True)
            described[column] = carried.cat.remove_unused_categories() if hasattr(carried, "cat") else carried
        elif column == names.CHEMISTRY:
            described[column] = _join_labels(obs[column].iloc[used].astype(str), codes[used], len(labels))
    if names.EXACT_AGE not in described.columns:
        described[names.EXACT_AGE] = np.where(
            described[names.DONOR].isin(_others(described)), np.nan, exact_ages(described[names.DONOR])
        )
    return described


def _others(described: pd.DataFrame) -> list[str]:
    """Return donors of a published name who are somebody else: of another age group or sex."""
    stated = {
        column: [None if pd.isna(label) else str(label) for label in described[column]]
        for column in (names.DONOR, names.AGE_GROUP, names.SEX)
        if column in described.columns
    }
    return people.contradicting(pl.DataFrame(stated, schema=dict.fromkeys(stated, pl.String)))


def _join_labels(values: pd.Series, codes: np.ndarray, n_profiles: int) -> list[str]:
    pairs = (
        pd.DataFrame({"profile": codes, "label": values.to_numpy()})
        .drop_duplicates()
        .sort_values(["profile", "label"])
    )
    joined = pairs.groupby("profile")["label"].agg(_SEPARATOR.join)
    return [joined[profile] for profile in range(n_profiles)]
