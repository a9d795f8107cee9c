"""Every cell type in every assay, tested across age."""

import polars as pl
from anndata import AnnData
from joblib import Parallel, delayed

from helpers import names
from helpers.analysis import design, expression, fits, schemas, scoring
from helpers.errors import DesignError, TableError


def age_de_everywhere(
    profiles: AnnData | None,
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
        As in `expression.prepare`; without profiles nothing is tested.
    workers
        Processes. One fit takes about a fifth of a second, a new process three: worth it for many tests only.

    Returns
    -------
    The tests, as `schemas.AGE_DE`, and the types that cannot be tested with the reason, as `schemas.REFUSALS`.
    """
    if profiles is None:
        return schemas.AGE_DE.empty(), schemas.REFUSALS.empty()
    pairs = profiles.obs[[level, names.ASSAY]].astype(str).drop_duplicates().sort_values([level, names.ASSAY])
    results = Parallel(n_jobs=workers)(
        delayed(_try_age_de)(
            fits.choose_profiles(profiles, cell_type=cell_type, assay=assay, level=level),
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


def score_everywhere(
    profiles: AnnData | None,
    tests: pl.DataFrame,
    truth: pl.DataFrame | None,
    *,
    comparison: design.Comparison | None = None,
    fdr: float = 0.1,
) -> pl.DataFrame:
    """Set every test beside what was planted.

    Parameters
    ----------
    profiles
        As given to `age_de_everywhere`.
    tests
        What it returned.
    truth
        Planted changes; without them there are no rows.
    comparison
        As given to `age_de_everywhere`.
    fdr
        q-value below which a gene is called.

    Returns
    -------
    The columns of `scoring.score_changes`, and ``cells_per_donor``: the median over the donors of the test.
    """
    scored = [scoring.no_scores().with_columns(cells_per_donor=pl.lit(None, dtype=pl.Float64))]
    if truth is None or profiles is None:
        return scored[0]
    for (level, cell_type, assay), table in tests.group_by(
        "level", "cell_type", "assay", maintain_order=True
    ):
        where = {"cell_type": cell_type, "assay": assay, "level": level}
        planned = design.build(fits.choose_profiles(profiles, **where).obs, comparison)
        known = scoring.find_planted(truth, **where)
        cells = float(planned.donors["cells"].median())
        one = scoring.score_changes(table, known, planned, fdr=fdr)
        scored.append(one.select(scoring.no_scores().columns).with_columns(cells_per_donor=pl.lit(cells)))
    return pl.concat(scored)


def summarize_tests(scored: pl.DataFrame) -> pl.DataFrame:
    """Sum up each test: power and false discoveries beside cells per donor, most cells first.

    Parameters
    ----------
    scored
        From `score_everywhere`.
    """
    rows = [
        {
            "cell_type": cell_type,
            "assay": assay,
            "donors": one["donors"][0],
            "cells_per_donor": one["cells_per_donor"][0],
        }
        | scoring.summarize_calls(one)
        for (cell_type, assay), one in scored.group_by("cell_type", "assay", maintain_order=True)
    ]
    table = pl.DataFrame(rows, infer_schema_length=None)
    return table.sort("cells_per_donor", descending=True) if rows else table


def count_calls(tests: pl.DataFrame, *, fdr: float = 0.1) -> pl.DataFrame:
    """Count the calls of each test, and how many of them no other cell type of the assay shares.

    Parameters
    ----------
    tests
        From `age_de_everywhere`.
    fdr
        q-value below which a gene is called.

    Returns
    -------
    One row a test: cell_type, assay, donors, genes tested, calls, up, down, only_here, shared.
    """
    called = tests.filter(pl.col("q") < fdr).with_columns(
        types=pl.col("cell_type").n_unique().over("assay", "gene"), up=pl.col("log2_change") > 0
    )
    counts = called.group_by("cell_type", "assay").agg(
        calls=pl.len().cast(pl.Int64),
        up=pl.col("up").sum().cast(pl.Int64),
        down=(~pl.col("up")).sum().cast(pl.Int64),
        only_here=(pl.col("types") == 1).sum().cast(pl.Int64),
        shared=(pl.col("types") > 1).sum().cast(pl.Int64),
    )
    sizes = tests.group_by("cell_type", "assay").agg(pl.col("donors").first(), genes=pl.len().cast(pl.Int64))
    return (
        sizes.join(counts, on=["cell_type", "assay"], how="left")
        .with_columns(pl.col("calls", "up", "down", "only_here", "shared").fill_null(0))
        .sort("calls", "cell_type", "assay", descending=[True, False, False])
    )


def _try_age_de(profiles: AnnData, options: dict) -> pl.DataFrame | str:
    try:
        return expression.age_de(profiles, **options)
    except (DesignError, TableError) as refusal:
        return str(refusal)
