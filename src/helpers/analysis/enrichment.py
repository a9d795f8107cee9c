"""Gene-set enrichment of the age test of one cell type."""

from collections.abc import Mapping, Sequence

import polars as pl
from anndata import AnnData

from helpers.analysis import expression, signature_tests
from helpers.errors import DesignError


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
        What `signature_tests.enrich` returns, farthest from zero first; empty where the donors allow no test.
    """
    empty = pl.DataFrame(schema=signature_tests.ENRICHED_SCHEMA)
    if not profiles.n_obs:
        return empty
    try:
        tested = expression.age_de(profiles, cell_type=cell_type, assay=assay)
    except DesignError:
        return empty
    return signature_tests.enrich(tested, sets).sort(
        pl.col("score").abs(), "signature", descending=[True, False]
    )
