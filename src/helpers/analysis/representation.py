"""Representations of cells compared: how well each keeps types apart, mixes donors and assays, and knows age."""

from collections.abc import Mapping, Sequence

import igraph
import numpy as np
import polars as pl
import scipy.sparse as sp
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import adjusted_rand_score, f1_score, normalized_mutual_info_score, silhouette_score
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from helpers.analysis import ages, moments, splits
from helpers.errors import DesignError, TableError

MEASURES = {
    "kmeans_ari": "k-means clusters against labels, adjusted Rand index (1 best)",
    "kmeans_nmi": "k-means clusters against labels, normalized mutual information (1 best)",
    "leiden_ari": "Leiden clusters against labels, adjusted Rand index (1 best)",
    "silhouette": "silhouette of the labels (1 best)",
    "neighbor_purity": "share of neighbors with the cell's label (1 best)",
    "donor_mixing": "entropy of donors among neighbors of one type, 1 as in the type",
    "assay_mixing": "entropy of assays among neighbors of one type, 1 as in the type",
    "label_transfer_f1": "macro F1 of labels voted by neighbors from other donors (1 best)",
    "age_gain_years": "years better than the mean of the others, age of donors left out",
}
SCHEMA = {
    "representation": pl.String,
    "dimensions": pl.Int64,
    "cells": pl.Int64,
    "measure": pl.String,
    "value": pl.Float64,
}


def sample_cells(n_cells: int, labels: np.ndarray, *, size: int, seed: int = 0) -> np.ndarray:
    """Draw rows at random, at most `size`, leaving out labels of fewer than ten cells: too few for any measure."""
    names, counts = np.unique(labels, return_counts=True)
    usable = np.flatnonzero(np.isin(labels, names[counts >= 10]))
    if len(usable) == 0:
        usable = np.arange(n_cells)
    rng = np.random.default_rng(seed)
    return np.sort(rng.choice(usable, min(size, len(usable)), replace=False))


def principal_components(matrix: sp.csr_matrix, *, dimensions: int = 50, top: int = 1500) -> np.ndarray:
    """Return principal components of the most variable genes, centered without a dense copy.

    Parameters
    ----------
    matrix
        Cells x genes, log-normalized.
    dimensions
        Components.
    top
        Genes kept.
    """
    chosen = moments.most_variable(moments.variances(matrix)[0], top)
    kept = min(dimensions, len(chosen) - 1, matrix.shape[0] - 1)
    found = PCA(kept, svd_solver="covariance_eigh").fit_transform(matrix[:, chosen].astype(np.float64))
    return found.astype(np.float32)


def from_sentences(sentences: Sequence[str], *, dimensions: int = 50, seed: int = 0) -> np.ndarray:
    """Return a low-rank view of cell sentences: words weighted by rarity, the order of words left out.

    Parameters
    ----------
    sentences
        One a cell, gene names separated by spaces.
    dimensions
        Components.
    seed
        Of the randomized decomposition.
    """
    counted = TfidfVectorizer(
        lowercase=False, token_pattern=r"\S+", min_df=max(1, min(3, len(sentences) // 10)), dtype=np.float32
    ).fit_transform(sentences)
    kept = min(dimensions, counted.shape[1] - 1)
    return TruncatedSVD(kept, n_iter=3, random_state=seed).fit_transform(counted).astype(np.float32)


def measure(
    points: np.ndarray,
    *,
    labels: np.ndarray,
    donors: np.ndarray | None,
    assays: np.ndarray | None,
    donor_ages: Mapping[str, float] | None = None,
    n_neighbors: int = 15,
    seed: int = 0,
) -> dict[str, float | None]:
    """Compute every measure of one representation.

    Parameters
    ----------
    points
        Cells x dimensions.
    labels
        Cell type of each.
    donors, assays
        Donor and assay of each, or none.
    donor_ages
        Years by donor, or none.
    n_neighbors
        Neighbors of the graph and of the votes.
    seed
        Of k-means and Leiden.

    Returns
    -------
    dict
        Measure to value; none where the source lacks what it needs. `MEASURES` says what each means.

    Raises
    ------
    TableError
        If points are not finite or do not match the labels.
    """
    if len(points) != len(labels) or not np.isfinite(points).all():
        msg = f"{len(points):,} points for {len(labels):,} labels, all finite: {bool(np.isfinite(points).all())}. Give one finite row a cell."
        raise TableError(msg)
    scaled = points.astype(np.float64)
    kinds = np.unique(labels)
    neighbors = (
        NearestNeighbors(n_neighbors=min(n_neighbors + 1, len(scaled)))
        .fit(scaled)
        .kneighbors(scaled, return_distance=False)[:, 1:]
    )
    clusters = KMeans(len(kinds), n_init=2, random_state=seed).fit_predict(scaled)
    found: dict[str, float | None] = dict.fromkeys(MEASURES)
    found |= {
        "kmeans_ari": float(adjusted_rand_score(labels, clusters)),
        "kmeans_nmi": float(normalized_mutual_info_score(labels, clusters)),
        "leiden_ari": float(adjusted_rand_score(labels, _leiden(neighbors, seed))),
        "silhouette": float(silhouette_score(scaled, labels)) if 1 < len(kinds) < len(labels) else None,
        "neighbor_purity": float((labels[neighbors] == labels[:, None]).mean()),
    }
    if donors is not None:
        found["donor_mixing"] = mixing(neighbors, donors, labels)
        found["label_transfer_f1"] = _transfer(scaled, labels, donors, n_neighbors)
        if donor_ages:
            found["age_gain_years"] = _age_gain(scaled, labels, donors, donor_ages)
    if assays is not None:
        found["assay_mixing"] = mixing(neighbors, assays, labels)
    return found


def compare(
    representations: Mapping[str, np.ndarray],
    rows: np.ndarray,
    *,
    labels: np.ndarray,
    donors: np.ndarray | None,
    assays: np.ndarray | None,
    donor_ages: Mapping[str, float] | None = None,
    seed: int = 0,
) -> pl.DataFrame:
    """Measure several representations on the same cells.

    Parameters
    ----------
    representations
        Name to cells x dimensions, all cells.
    rows
        Rows measured.
    labels, donors, assays
        Of all cells, or none.
    donor_ages, seed
        As for `measure`.
    """
    out = []
    for name, points in representations.items():
        values = measure(
            points[rows],
            labels=labels[rows],
            donors=None if donors is None else donors[rows],
            assays=None if assays is None else assays[rows],
            donor_ages=donor_ages,
            seed=seed,
        )
        out += [
            (name, points.shape[1], len(rows), key, value)
            for key, value in values.items()
            if value is not None
        ]
    return pl.DataFrame(out, schema=SCHEMA, orient="row")


def mixing(neighbors: np.ndarray, groups: np.ndarray, labels: np.ndarray) -> float | None:
    """Return how evenly `groups` mix among the neighbors of a cell's own type: 1 as in the type, 0 not at all.

    The entropy of groups among neighbors of the same label, divided by the entropy of groups in the label as a whole,
    averaged over cells of labels that hold more than one group. An integration that mixes what should be mixed scores 1;
    one that also mixes types is punished by `neighbor_purity`, not here.
    """
    codes = np.unique(groups, return_inverse=True)[1]
    total, count = 0.0, 0
    for label in np.unique(labels):
        mine = np.flatnonzero(labels == label)
        whole = _entropy(np.bincount(codes[mine])[None, :])[0]
        if whole < 1e-9 or len(mine) < 20:
            continue
        near = neighbors[mine]
        same = labels[near] == label
        tally = np.zeros((len(mine), codes.max() + 1))
        np.add.at(tally, (np.repeat(np.arange(len(mine)), near.shape[1])[same.ravel()], codes[near][same]), 1)
        kept = tally.sum(axis=1) >= 3
        total += (_entropy(tally[kept]) / whole).clip(max=1).sum()
        count += int(kept.sum())
    return total / count if count else None


def _entropy(tally: np.ndarray) -> np.ndarray:
    share = tally / np.maximum(tally.sum(axis=1, keepdims=True), 1)
    return -(share * np.log(np.where(share > 0, share, 1))).sum(axis=1)


def _leiden(neighbors: np.ndarray, seed: int) -> np.ndarray:
    import random

    source = np.repeat(np.arange(len(neighbors)), neighbors.shape[1])
    graph = igraph.Graph(n=len(neighbors), edges=np.column_stack([source, neighbors.ravel()]), directed=False)
    graph.simplify()
    igraph.set_random_number_generator(random.Random(seed))
    try:
        return np.array(
            graph.community_leiden(objective_function="modularity", resolution=1.0, n_iterations=2).membership
        )
    finally:
        igraph.set_random_number_generator(random)


def _transfer(points: np.ndarray, labels: np.ndarray, donors: np.ndarray, n_neighbors: int) -> float | None:
    try:
        plan = splits.by_donor(donors, n_folds=min(4, len(np.unique(donors))))
    except DesignError:
        return None
    kinds, codes = np.unique(labels, return_inverse=True)
    guess = np.empty(len(labels), dtype=int)
    for train, test in plan:
        near = NearestNeighbors(n_neighbors=min(n_neighbors, len(train))).fit(points[train])
        votes = codes[train][near.kneighbors(points[test], return_distance=False)]
        guess[test] = [np.bincount(row, minlength=len(kinds)).argmax() for row in votes]
    return float(f1_score(codes, guess, average="macro", zero_division=0))


def _age_gain(
    points: np.ndarray, labels: np.ndarray, donors: np.ndarray, donor_ages: Mapping[str, float]
) -> float | None:
    """Predict age from the donor's mean position in the commonest type that most donors have."""
    kinds, counts = np.unique(labels, return_counts=True)
    for kind in kinds[np.argsort(-counts)]:
        mine = labels == kind
        people = [
            name
            for name in np.unique(donors[mine])
            if name in donor_ages and (donors[mine] == name).sum() >= 5
        ]
        if len(people) >= 8:
            break
    else:
        return None
    means = np.array([points[mine & (donors == name)].mean(axis=0) for name in people])
    years = np.array([donor_ages[name] for name in people])
    means = StandardScaler().fit_transform(means)
    found = ages.leave_donors_out(means, years, np.array(people), top=means.shape[1])
    error = (found["predicted"] - found["age"]).abs().mean()
    return float((found["baseline"] - found["age"]).abs().mean() - error)
