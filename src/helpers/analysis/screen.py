"""Every cell type in every assay, tested across age."""

import polars as pl
from anndata import AnnData
from joblib import Parallel, delayed

from helpers import names
from helpers.analysis import design, expression, schemas
from helpers.errors import DesignError, TableError


def age_de_everywhere(
    profiles: AnnData,
    *,
    level: str = names.LEVEL0,
    comparison: design.Comparison | None = None,
    min_count: float = 10,
    workers: int = 1,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Test every cell type in every assay.

    Parameters
    ----------
    profiles, level, comparison, min_count
        As in `prepare`.
    workers
        Processes. One fit takes about a fifth of a second, a new process three: worth it for many tests only.

    Returns
    -------
    The tests, as `schemas.AGE_DE`, and the types that cannot be tested with the reason, as `schemas.REFUSALS`.
    """
    pairs = profiles.obs[[level, names.ASSAY]].astype(str).drop_duplicates().sort_values([level, names.ASSAY])
    results = Parallel(n_jobs=workers)(
        delayed(_try_age_de)(
            expression.choose_profiles(profiles, cell_type=cell_type, assay=assay, level=level),
            {
                "cell_type": cell_type,
                "assay": assay,
                "level": level,
                "comparison": comparison,
                "min_count": min_count,
            },
        )
        for cell_type, assay in pairs.itertuples(index=False)
    )
    tests = [result for result in results if isinstance(result, pl.DataFrame)]
    refusals = [
        {"cell_type": cell_type, "assay": assay, "reason": result}
        for (cell_type, assay), result in zip(pairs.itertuples(index=False), results, strict=True)
        if isinstance(result, str)
    ]
    reasons = pl.DataFrame(refusals, schema=schemas.REFUSALS.empty().schema)
    return pl.concat(tests) if tests else schemas.AGE_DE.empty(), schemas.REFUSALS.check(reasons)


def _try_age_de(profiles: AnnData, options: dict) -> pl.DataFrame | str:
    try:
        return expression.age_de(profiles, **options)
    except (DesignError, TableError) as refusal:
        return str(refusal)
