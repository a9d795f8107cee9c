"""Light co-expression networks per donor, compared between young and old, and networks made by others."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import polars as pl
import scipy.sparse as sp
from anndata import AnnData
from anndata.io import read_elem

from helpers import names
from helpers.analysis import arrangements
from helpers.errors import SourceError, TableError

EDGES_SCHEMA = {
    "gene": pl.String,
    "partner": pl.String,
    "young": pl.Float64,
    "old": pl.Float64,
    "difference": pl.Float64,
    "stability": pl.Float64,
    "p": pl.Float64,
    "dealt_within": pl.String,
    "arrangements": pl.Int64,
}
NO_STRATA = "all donors"
_STRATA = {"sex and chemistry": (names.SEX, names.CHEMISTRY), "sex": (names.SEX,)}
_LEAST_ARRANGEMENTS = 21  # with so many, a p below 0.05 is possible
GRN_SCHEMA = {"gene": pl.String, "partner": pl.String, "weight": pl.Float64}


def correlate(
    adata: AnnData, *, cell_type: str, assay: str, n_genes: int = 60, min_cells: int = 25
) -> dict[str, object]:
    """Correlate genes over the cells of each donor: one network a donor, so that donors can be compared.

    Parameters
    ----------
    adata
        Cells x genes, log-normalized.
    cell_type, assay
        Which cells.
    n_genes
        Genes kept: those of largest variance among the genes seen in a tenth of the cells or more.
    min_cells
        Cells a donor needs.

    Returns
    -------
    dict
        genes (names), donors, young (truth values), covariates (sex and chemistry of each donor, where all have one), z
        (donors x pairs: Fisher's z of the correlation); empty arrays where donors or ages are lacking.
    """
    empty = {
        "genes": [],
        "donors": [],
        "young": np.array([], bool),
        "covariates": {},
        "z": np.empty((0, 0)),
    }
    wanted = (names.LEVEL0, names.ASSAY, names.DONOR, names.AGE_BIN)
    if any(column not in adata.obs or adata.obs[column].isna().all() for column in wanted):
        return empty
    obs = adata.obs[list(wanted)].astype(str)
    here = np.flatnonzero((obs[names.LEVEL0] == cell_type) & (obs[names.ASSAY] == assay))
    if len(here) < min_cells:
        return empty
    matrix = sp.csr_matrix(adata.X[here])
    seen = np.asarray((matrix > 0).mean(axis=0)).ravel()
    mean = np.asarray(matrix.mean(axis=0)).ravel()
    variance = np.asarray(matrix.multiply(matrix).mean(axis=0)).ravel() - mean**2
    chosen = np.argsort(-np.where(seen >= 0.1, variance, -1))[:n_genes]
    chosen = np.sort(chosen[seen[chosen] >= 0.1])
    if len(chosen) < 3:
        return empty
    dense = matrix[:, chosen].toarray()
    people, young, z = [], [], []
    upper = np.triu_indices(len(chosen), 1)
    owner = obs[names.DONOR].to_numpy()[here]
    bins = obs[names.AGE_BIN].to_numpy()[here]
    for donor in np.unique(owner):
        mine = owner == donor
        if mine.sum() < min_cells:
            continue
        part = dense[mine] - dense[mine].mean(axis=0)
        scale = np.maximum(np.sqrt((part**2).sum(axis=0)), 1e-9)
        z.append(np.arctanh(np.clip((part.T @ part / np.outer(scale, scale))[upper], -0.999, 0.999)))
        people.append(str(donor))
        young.append(bins[mine][0] == names.YOUNG)
    genes = adata.var_names[chosen].to_list()
    return {
        "genes": genes,
        "donors": people,
        "young": np.array(young, bool),
        "covariates": _covariates(adata.obs.iloc[here], people),
        "z": np.array(z).reshape(len(people), len(upper[0])),
    }


def compare_ages(networks: dict[str, object], *, n_permutations: int = 999, seed: int = 0) -> pl.DataFrame:
    """Compare every edge between young and old donors, with age bins dealt anew to the donors as the null.

    Bins are dealt among donors of one sex and chemistry, so that an edge of men or of a chemistry is not taken for one of
    age. Where that leaves too few ways to tell anything, they are dealt within sexes, and else among all donors.

    Parameters
    ----------
    networks
        What `correlate` returns.
    n_permutations
        Deals; every one where there are no more than these.
    seed
        Of the deals.

    Returns
    -------
    polars.DataFrame
        gene, partner, young and old (mean correlation over donors), difference (old less young among donors of one
        stratum, Fisher's z), stability (share of donors whose edge has the sign of the mean), p (of the difference, the
        observed deal counted), dealt_within (which donors exchange their bins), arrangements (ways to deal them),
        strongest difference first. Empty with fewer than two donors on either side.
    """
    z, young, genes = networks["z"], networks["young"], networks["genes"]
    if len(young) < 4 or young.sum() < 2 or (~young).sum() < 2:
        return pl.DataFrame(schema=EDGES_SCHEMA)
    within, strata = choose_strata(young, networks["covariates"])
    dealt = arrangements.arrange(~young, strata=strata, draws=n_permutations, limit=n_permutations, seed=seed)
    difference, _, _, p = arrangements.fit_slopes(dealt, z, steps=0)
    first, second = np.triu_indices(len(genes), 1)
    agree = (np.sign(z) == np.sign(z.mean(axis=0))).mean(axis=0)
    return pl.DataFrame(
        {
            "gene": [genes[i] for i in first],
            "partner": [genes[i] for i in second],
            "young": np.tanh(z[young].mean(axis=0)),
            "old": np.tanh(z[~young].mean(axis=0)),
            "difference": difference,
            "stability": agree,
            "p": p,
            "dealt_within": [within] * len(p),
            "arrangements": [dealt.total] * len(p),
        },
        schema=EDGES_SCHEMA,
    ).sort(pl.col("difference").abs(), descending=True)


def choose_strata(
    young: np.ndarray, covariates: dict[str, list[str]]
) -> tuple[str, list[tuple[str, ...]] | None]:
    """Return the finest strata, by name and label of each donor, within which age bins can be dealt in enough ways.

    Parameters
    ----------
    young
        Truth values, one a donor.
    covariates
        Column to value of each donor, as `correlate` returns.

    Returns
    -------
    name, labels
        "sex and chemistry", "sex" or "all donors", and one label a donor, none for the last.
    """
    for name, columns in _STRATA.items():
        if set(columns) <= set(covariates):
            labels = list(zip(*(covariates[column] for column in columns), strict=True))
            if arrangements.count(young, strata=labels) >= _LEAST_ARRANGEMENTS:
                return name, labels
    return NO_STRATA, None


def _covariates(obs: pd.DataFrame, donors: list[str]) -> dict[str, list[str]]:
    """Return sex and chemistry of each donor; a column that lacks a donor, or has two values of one, is left out."""
    found = {}
    for column in (names.SEX, names.CHEMISTRY):
        if column not in obs:
            continue
        values = obs.groupby(obs[names.DONOR].astype(str), observed=True)[column].unique()
        if all(len(values[donor]) == 1 and pd.notna(values[donor][0]) for donor in donors):
            found[column] = [str(values[donor][0]) for donor in donors]
    return found


def read_grn(path: str | Path, *, key: str = "GRN", top: int = 5000) -> pl.DataFrame:
    """Read a gene network that another program wrote, such as scPRINT: an h5ad with a genes x genes ``varp``.

    Parameters
    ----------
    path
        The h5ad.
    key
        Name in ``varp``.
    top
        Strongest edges kept, by absolute weight, self-loops left out.

    Raises
    ------
    SourceError
        If the file cannot be read or has no such network; the message lists those it has.
    """
    path = Path(path)
    try:
        with h5py.File(path) as file:
            there = sorted(file["varp"]) if "varp" in file else []
            if key not in there:
                msg = f"{path.name} has no varp[{key!r}]; it has {', '.join(there) or 'none'}. Name the network's key."
                raise SourceError(msg)
            weights = sp.coo_matrix(read_elem(file[f"varp/{key}"]))
            var = read_elem(file["var"])
    except OSError as error:
        msg = f"{path} cannot be read as an h5ad: {error}. Check the path and the file."
        raise SourceError(msg) from error
    labels = var[names.SYMBOL] if names.SYMBOL in var else var.get("symbol", var.index)
    labels = np.asarray(labels).astype(str)
    keep = (weights.row != weights.col) & (weights.data != 0)
    row, col, value = weights.row[keep], weights.col[keep], weights.data[keep].astype(float)
    order = np.argsort(-np.abs(value), kind="stable")[:top]
    return pl.DataFrame(
        {"gene": labels[row[order]], "partner": labels[col[order]], "weight": value[order]}, schema=GRN_SCHEMA
    )


def overlap(first: pl.DataFrame, second: pl.DataFrame) -> dict[str, float]:
    """Return how many undirected edges two networks share: edges in each, shared, Jaccard index.

    Raises
    ------
    TableError
        If a table lacks the columns gene and partner.
    """
    edges = []
    for table in (first, second):
        if not {"gene", "partner"} <= set(table.columns):
            msg = f"a network needs columns gene and partner, found {', '.join(table.columns)}."
            raise TableError(msg)
        edges.append({frozenset(pair) for pair in table.select("gene", "partner").iter_rows()})
    shared, union = edges[0] & edges[1], edges[0] | edges[1]
    return {
        "edges_first": len(edges[0]),
        "edges_second": len(edges[1]),
        "shared": len(shared),
        "jaccard": len(shared) / len(union) if union else 0.0,
    }


def summarize(edges: pl.DataFrame, per_donor: dict[str, object]) -> dict[str, float | int | str | None]:
    """Return the number of donors and edges, the share of stable edges and of a p below 0.05, and what was permuted."""
    return {
        "donors": len(per_donor["donors"]),
        "edges": edges.height,
        "stable": float((edges["stability"] >= 0.9).mean()) if edges.height else None,
        "small_p": float((edges["p"] < 0.05).mean()) if edges.height else None,
        "dealt_within": edges["dealt_within"][0] if edges.height else None,
        "arrangements": edges["arrangements"][0] if edges.height else None,
    }
