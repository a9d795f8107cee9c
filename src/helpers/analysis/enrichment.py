"""Gene-set enrichment of the age test of one cell type."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import polars as pl
from anndata import AnnData

from helpers.analysis import expression, signatures
from helpers.errors import DesignError

ENRICHED_SCHEMA = {"signature": pl.String, "genes": pl.Int64, "score": pl.Float64, "q": pl.Float64}


def by_age(
    profiles: AnnData,
    sets: Mapping[str, Sequence[str]],
    *,
    cell_type: str,
    assay: str,
) -> pl.DataFrame:
    """Test all genes of one type for age over donors and ask which sets crowd one end of the list.

    Parameters
    ----------
    profiles
        Profiles x genes, molecules.
    sets
        Genes by signature.
    cell_type, assay
        Which profiles.

    Returns
    -------
    polars.DataFrame
        What `enrich` returns, farthest from zero first; empty where the donors allow no test.
    """
    empty = pl.DataFrame(schema=ENRICHED_SCHEMA)
    if not profiles.n_obs:
        return empty
    try:
        tested = expression.age_de(profiles, cell_type=cell_type, assay=assay)
    except DesignError:
        return empty
    return enrich(tested, sets).sort(pl.col("score").abs(), "signature", descending=[True, False])


def enrich(tested: pl.DataFrame, sets: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """Test whether the genes of each set lie to one side of all tested genes (decoupler's univariate model [1]_).

    The model takes genes for independent. Genes of a set vary together, so its p-values are too small: read the order.

    Parameters
    ----------
    tested
        Genes of one type and assay with log2_change and F, as `expression.age_de` returns.
    sets
        Genes by signature.

    Returns
    -------
    polars.DataFrame
        signature, genes tested, score (t of the set among genes; above zero: rises with age), q (adjusted over sets).

    References
    ----------
    .. [1] Badia-i-Mompel et al. (2022), Bioinformatics Advances, doi:10.1093/bioadv/vbac016
    """
    have = set(tested["gene"])
    net = pd.DataFrame(
        [(name, gene, 1.0) for name, members in sets.items() for gene in members if gene in have],
        columns=["source", "target", "weight"],
    )
    sizes = net["source"].value_counts()
    if tested.is_empty() or not (sizes >= signatures.MIN_GENES).any():
        return pl.DataFrame(schema=ENRICHED_SCHEMA)
    signed = tested["log2_change"].sign().to_numpy() * np.sqrt(tested["F"].to_numpy())
    ranking = pd.DataFrame([signed], index=["age"], columns=tested["gene"].to_list())
    scores, adjusted = signatures.load_decoupler().mt.ulm(ranking, net, tmin=signatures.MIN_GENES)
    rows = [
        (name, int(sizes[name]), float(scores.loc["age", name]), float(adjusted.loc["age", name]))
        for name in scores.columns
    ]
    return pl.DataFrame(rows, schema=ENRICHED_SCHEMA, orient="row").sort("q", "signature")
