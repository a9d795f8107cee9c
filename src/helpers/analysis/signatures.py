"""Scores of aging signatures: by cell, by rank, and by donor's profile."""

import importlib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import polars as pl
import scanpy as sc
import scipy.sparse as sp
from anndata import AnnData

from helpers import names
from helpers.analysis import gene_sets
from helpers.analysis.donors import known

_BLOCK = 2_000  # cells made dense at a time
PROFILE, GENES, RANKS = "profile", "score_genes", "aucell"
METHODS = (PROFILE, GENES, RANKS)
MIN_GENES = 3  # a set with fewer genes in the data is a gene list, not a score
SCORES_SCHEMA = {
    names.DONOR: pl.String,
    "assay": pl.String,
    "type": pl.String,
    "age": pl.Float64,
    names.SEX: pl.String,
    names.CHEMISTRY: pl.String,
    "signature": pl.String,
    "method": pl.String,
    "genes": pl.Int64,
    "cells": pl.Int64,
    "score": pl.Float64,
}
_PRIOR = 0.5  # molecules added before the logarithm


def read(path: str | Path = "", *, built_in: pl.DataFrame) -> dict[str, list[str]]:
    """Return gene sets by name, genes in alphabetical order: the built-in ones, or those of a file.

    Parameters
    ----------
    path
        CSV that `gene_sets.read` reads (columns ``set`` and ``gene``); empty for the built-in sets.
    built_in
        Table of the built-in sets: signature (or set), gene.

    Raises
    ------
    TableError
        As `gene_sets.read`.
    """
    found = gene_sets.read(path) if path else gene_sets.split(built_in, source="the built-in table")
    return {name: sorted(genes) for name, genes in found.items()}


def log_profiles(profiles: AnnData) -> np.ndarray:
    """Return log2 counts per million of profiles, half a molecule added, profiles x genes float64."""
    counts = sp.csr_matrix(profiles.X).toarray().astype(np.float64)
    return np.log2((counts + _PRIOR) / (counts.sum(axis=1, keepdims=True) + 1) * 1e6)


def score_profiles(
    profiles: AnnData, sets: Mapping[str, Sequence[str]], *, min_molecules: float = 5
) -> pl.DataFrame:
    """Score each set in each profile: mean log2 expression of its genes, each centered over the type's profiles.

    Parameters
    ----------
    profiles
        Profiles x genes, molecules; ``obs`` names donor, assay, type, age, sex, chemistry, cells.
    sets
        Genes by signature.
    min_molecules
        A gene counts for a type and assay if its profiles hold this many molecules on average.

    Returns
    -------
    polars.DataFrame
        One row a profile and signature; the score is in log2 units, zero on average over the type's profiles.
    """
    place = {gene: number for number, gene in enumerate(profiles.var_names)}
    logs = log_profiles(profiles) if profiles.n_obs else np.empty((0, profiles.n_vars))
    rows = []
    for here, seen in _seen(profiles, min_molecules):
        for name, genes in sets.items():
            at = [place[gene] for gene in genes if gene in seen]
            if len(at) < MIN_GENES:
                continue
            part = logs[np.ix_(here, at)]
            rows += _rows(
                profiles.obs.iloc[here], name, PROFILE, len(at), (part - part.mean(axis=0)).mean(axis=1)
            )
    return pl.DataFrame(rows, schema=SCORES_SCHEMA, orient="row")


def scored_genes(
    profiles: AnnData, sets: Mapping[str, Sequence[str]], *, min_molecules: float = 5
) -> dict[tuple[str, str, str], list[str]]:
    """Return the genes that `score_profiles` scores, by assay, type and signature.

    Parameters
    ----------
    profiles, sets, min_molecules
        As for `score_profiles`.
    """
    found = {}
    for here, seen in _seen(profiles, min_molecules):
        row = profiles.obs.iloc[here[0]]
        for name, genes in sets.items():
            found[str(row[names.ASSAY]), str(row[names.LEVEL0]), name] = [g for g in genes if g in seen]
    return found


def score_cells(
    adata: AnnData, sets: Mapping[str, Sequence[str]], *, cell_type: str, assay: str, seed: int = 0
) -> pl.DataFrame:
    """Score each cell of one type in two ways and average over the cells of a donor.

    ``score_genes`` is the mean of the set less the mean of random genes of like expression [1]_; ``aucell`` is the
    area under the recovery curve of the set among the cell's ranked genes [2]_, which no scaling of a cell can move.

    Parameters
    ----------
    adata
        Cells x genes, log-normalized.
    sets
        Genes by signature.
    cell_type, assay
        Which cells.
    seed
        Of the control genes.

    Returns
    -------
    polars.DataFrame
        As `score_profiles`, one row a donor, signature and method.

    References
    ----------
    .. [1] Tirosh et al. (2016), Science, doi:10.1126/science.aad0501
    .. [2] Aibar et al. (2017), Nature Methods, doi:10.1038/nmeth.4463
    """
    wanted = (names.LEVEL0, names.ASSAY, names.DONOR)
    if any(column not in adata.obs or adata.obs[column].isna().all() for column in wanted):
        return pl.DataFrame(schema=SCORES_SCHEMA)
    here = (adata.obs[names.LEVEL0].astype(str) == cell_type) & (adata.obs[names.ASSAY].astype(str) == assay)
    if not here.any():
        return pl.DataFrame(schema=SCORES_SCHEMA)
    mine = AnnData(adata.X[here.to_numpy()], obs=adata.obs[here].copy(), var=adata.var[[]])
    mine = mine[:, np.asarray((mine.X > 0).sum(axis=0)).ravel() >= MIN_GENES].copy()
    present = {name: [gene for gene in genes if gene in mine.var_names] for name, genes in sets.items()}
    present = {name: genes for name, genes in present.items() if len(genes) >= MIN_GENES}
    for name, genes in present.items():
        sc.tl.score_genes(mine, genes, score_name=f"{GENES}:{name}", random_state=seed, use_raw=False)
    ranked = _recover(mine, present)
    return _average(mine.obs, present, ranked)


def load_decoupler() -> ModuleType:
    """Import decoupler, whose progress bar otherwise warns on every page that it has no widgets to draw with."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="IProgress not found")
        return importlib.import_module("decoupler")


def _recover(mine: AnnData, sets: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    decoupler = load_decoupler()
    net = pd.DataFrame(
        [(name, gene, 1.0) for name, genes in sets.items() for gene in genes],
        columns=["source", "target", "weight"],
    )
    held = AnnData(mine.X, obs=pd.DataFrame(index=mine.obs_names), var=pd.DataFrame(index=mine.var_names))
    # cells without any gene are left out by the library, which then returns the others
    found = decoupler.mt.aucell(held, net, tmin=MIN_GENES, bsize=_BLOCK) or held
    return found.obsm["score_aucell"].reindex(mine.obs_names)


def _average(obs: pd.DataFrame, sets: Mapping[str, Sequence[str]], ranked: pd.DataFrame) -> pl.DataFrame:
    rows = []
    for _, part in obs.groupby(names.DONOR, observed=True):
        first = part.iloc[[0]].assign(n_cells=len(part))
        for name, genes in sets.items():
            values = {GENES: part[f"{GENES}:{name}"].mean()}
            if name in ranked.columns:
                values[RANKS] = ranked.loc[part.index, name].mean()
            for method, value in values.items():
                rows += _rows(first, name, method, len(genes), [value])
    return pl.DataFrame(rows, schema=SCORES_SCHEMA, orient="row")


def _seen(profiles: AnnData, min_molecules: float) -> list[tuple[np.ndarray, set[str]]]:
    """Return, per type and assay, the rows of its profiles and the genes with so many molecules on average."""
    counts = sp.csr_matrix(profiles.X)
    groups = _groups(profiles.obs)
    means = [np.asarray(counts[here].mean(axis=0)).ravel() for here in groups]
    return [
        (here, set(profiles.var_names[mean >= min_molecules]))
        for here, mean in zip(groups, means, strict=True)
    ]


def _groups(obs: pd.DataFrame) -> list[np.ndarray]:
    keys = obs[names.LEVEL0].astype(str) + "\t" + obs[names.ASSAY].astype(str)
    return [np.flatnonzero(keys == key) for key in sorted(keys.unique())]


def _rows(obs: pd.DataFrame, name: str, method: str, n_genes: int, values: Sequence[float]) -> list[tuple]:
    ages = obs[names.EXACT_AGE] if names.EXACT_AGE in obs else pd.Series(np.nan, obs.index)
    if names.AGE_MIDPOINT in obs:
        ages = ages.fillna(obs[names.AGE_MIDPOINT].astype(float))
    text = {
        column: obs[column].astype(object).where(obs[column].notna(), None)
        if column in obs
        else pd.Series(None, obs.index, dtype=object)
        for column in (names.SEX, names.CHEMISTRY)
    }
    return [
        (
            str(row[names.DONOR]),
            str(row[names.ASSAY]),
            str(row[names.LEVEL0]),
            None if pd.isna(ages.loc[index]) else float(ages.loc[index]),
            text[names.SEX].loc[index],
            text[names.CHEMISTRY].loc[index],
            name,
            method,
            n_genes,
            int(row["n_cells"]),
            float(value),
        )
        for (index, row), value in zip(obs.iterrows(), values, strict=True)
    ]


def detection(obs: pl.DataFrame, expression: pl.DataFrame, *, cell_type: str, assay: str) -> pl.DataFrame:
    """Return, per donor and gene, the share of one type's cells that hold the gene.

    Parameters
    ----------
    obs
        One row a cell.
    expression
        One row a cell, one column a gene, in the order of `obs`.
    cell_type, assay
        Which cells.
    """
    schema = {names.DONOR: pl.String, "gene": pl.String, "cells": pl.Int64, "share": pl.Float64}
    if not known(obs, names.DONOR, names.LEVEL0, names.ASSAY) or expression.is_empty():
        return pl.DataFrame(schema=schema)
    labels = obs.select(pl.col(column).cast(pl.String) for column in (names.DONOR, names.LEVEL0, names.ASSAY))
    here = (pl.col(names.LEVEL0) == cell_type) & (pl.col(names.ASSAY) == assay)
    return (
        labels.hstack(expression)
        .filter(here)
        .group_by(names.DONOR)
        .agg(
            pl.len().cast(pl.Int64).alias("cells"),
            *((pl.col(gene) > 0).mean() for gene in expression.columns),
        )
        .unpivot(index=[names.DONOR, "cells"], variable_name="gene", value_name="share")
        .select(*schema)
        .sort("gene", names.DONOR)
    )
