"""Light co-expression networks per donor, compared between young and old, and networks made by others."""

from pathlib import Path

import h5py
import numpy as np
import polars as pl
import scipy.sparse as sp
from anndata import AnnData
from anndata.io import read_elem

from helpers import names
from helpers.errors import SourceError, TableError

EDGES_SCHEMA = {
    "gene": pl.String,
    "partner": pl.String,
    "young": pl.Float64,
    "old": pl.Float64,
    "difference": pl.Float64,
    "stability": pl.Float64,
    "p": pl.Float64,
}
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
        genes (names), donors, young (truth values), z (donors x pairs: Fisher's z of the correlation); empty arrays
        where donors or ages are lacking.
    """
    empty = {"genes": [], "donors": [], "young": np.array([], bool), "z": np.empty((0, 0))}
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
        "z": np.array(z).reshape(len(people), -1),
    }


def compare_ages(networks: dict[str, object], *, n_permutations: int = 999, seed: int = 0) -> pl.DataFrame:
    """Compare every edge between young and old donors, with donors permuted as the null.

    Parameters
    ----------
    networks
        What `correlate` returns.
    n_permutations
        Of age bins over donors.
    seed
        Of the permutations.

    Returns
    -------
    polars.DataFrame
        gene, partner, young and old (mean correlation over donors), difference (old less young, Fisher's z), stability
        (share of donors whose edge has the sign of the mean), p (from permutations, observed counted), strongest
        difference first. Empty with fewer than two donors on either side.
    """
    z, young, genes = networks["z"], networks["young"], networks["genes"]
    if len(young) < 4 or young.sum() < 2 or (~young).sum() < 2:
        return pl.DataFrame(schema=EDGES_SCHEMA)
    rng = np.random.default_rng(seed)
    observed = _gap(z, young)
    extreme = np.ones_like(observed)
    for _ in range(n_permutations):
        extreme += np.abs(_gap(z, rng.permutation(young))) >= np.abs(observed) - 1e-12
    first, second = np.triu_indices(len(genes), 1)
    agree = (np.sign(z) == np.sign(z.mean(axis=0))).mean(axis=0)
    return pl.DataFrame(
        {
            "gene": [genes[i] for i in first],
            "partner": [genes[i] for i in second],
            "young": np.tanh(z[young].mean(axis=0)),
            "old": np.tanh(z[~young].mean(axis=0)),
            "difference": observed,
            "stability": agree,
            "p": extreme / (1 + n_permutations),
        },
        schema=EDGES_SCHEMA,
    ).sort(pl.col("difference").abs(), descending=True)


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


def _gap(z: np.ndarray, young: np.ndarray) -> np.ndarray:
    return z[~young].mean(axis=0) - z[young].mean(axis=0)


def summarize(edges: pl.DataFrame, per_donor: dict[str, object]) -> dict[str, float | int | None]:
    """Return the number of donors and edges, the share of stable edges, and of edges with a permutation p below 0.05."""
    return {
        "donors": len(per_donor["donors"]),
        "edges": edges.height,
        "stable": float((edges["stability"] >= 0.9).mean()) if edges.height else None,
        "small_p": float((edges["p"] < 0.05).mean()) if edges.height else None,
    }
