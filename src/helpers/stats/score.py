"""Found against planted, and found against published. The only statistics that are handed a planted truth."""

import polars as pl

from helpers import names
from helpers.facts import study


def find_planted(
    truth: pl.DataFrame, *, cell_type: str, assay: str, level: str = names.LEVEL0
) -> pl.DataFrame:
    """Return what was planted in one cell type and assay."""
    tree = study.hierarchy().filter(pl.col(level) == cell_type)
    # a type and its only subtype may share a name; the broadest parent holds what every subtype has
    parents, subtypes = tree[names.LEVEL0].unique().to_list(), tree[names.LEVEL2].unique().to_list()
    mine = truth.filter((pl.col("assay") == assay) & pl.col(names.LEVEL0).is_in(parents or [cell_type]))
    everywhere, inside = pl.col(names.LEVEL2).is_null(), pl.col(names.LEVEL2).is_in(subtypes)
    if len(subtypes) == 1:
        everywhere = everywhere | inside
    mine = mine.filter(everywhere if level == names.LEVEL2 else everywhere | inside)
    return mine.group_by(names.GENE).agg(
        pl.when(everywhere.all()).then(pl.col("log2_change_per_decade").sum()).alias("planted"),
        pl.col("origin").sort().first(),
    )


def score_changes(
    tests: pl.DataFrame, truth: pl.DataFrame, *, level: str = names.LEVEL0, fdr: float = 0.1
) -> pl.DataFrame:
    """Set each tested gene beside what was planted.

    A planted change is linear in exact age. What another coding of age estimates is the projection of that line on the
    fitted design: the planted slope times ``decades_seen``.

    Returned are the tests (of `expression.screen`) with ``origin`` ("none" where nothing was planted), ``planted`` in
    the unit of `log2_change`, ``is_null``, ``called`` (q below `fdr`) and ``covered`` (planted within the interval).
    """
    known = [
        find_planted(truth, cell_type=cell_type, assay=assay, level=level).select(
            names.GENE, "planted", "origin", cell_type=pl.lit(cell_type), assay=pl.lit(assay)
        )
        for cell_type, assay in tests.select("cell_type", "assay").unique().sort(pl.all()).iter_rows()
    ]
    key = ["cell_type", "assay", names.GENE]
    schema = {names.GENE: pl.String, "planted": pl.Float64, **dict.fromkeys(("origin", *key[:2]), pl.String)}
    planted = pl.concat([pl.DataFrame(schema=schema), *known])
    joined = tests.join(planted, on=key, how="left").with_columns(pl.col("origin").fill_null("none"))
    silent = pl.col("origin") == "none"
    in_unit = pl.when(silent).then(0.0).otherwise(pl.col("planted") * pl.col("decades_seen"))
    joined = joined.with_columns(called=pl.col("q") < fdr, is_null=silent, planted=in_unit)
    return joined.with_columns(covered=pl.col("planted").is_between("low", "high"))


def summarize_calls(scored: pl.DataFrame) -> dict[str, float | int | None]:
    """Sum up calls: false-discovery proportion (zero without calls), power, bias and interval coverage.

    ``power`` is the share of planted genes called, ``right_sign`` that of true calls, ``slope`` found on planted through
    the origin, weighted by precision (one is unbiased), ``null_rate`` the share of null genes with p < 0.05. None where
    nothing is left to average.
    """
    calls, null = scored.filter("called"), scored.filter("is_null")
    planted = scored.filter(~pl.col("is_null") & pl.col("planted").fill_null(float("nan")).is_not_nan())
    true_calls = calls.filter(pl.col("planted").is_not_null() & (pl.col("planted") != 0))
    n_false = int(calls["is_null"].sum())
    weight = planted["standard_error"].to_numpy() ** -2.0
    x, y = planted["planted"].to_numpy(), planted["log2_change"].to_numpy()
    return {
        "genes": scored.height,
        "planted": scored.filter(~pl.col("is_null")).height,
        "calls": calls.height,
        "false_calls": n_false,
        "false_discovery_proportion": n_false / max(calls.height, 1) if scored.height else None,
        "power": planted["called"].mean(),
        "right_sign": (true_calls["planted"].sign() == true_calls["log2_change"].sign()).mean(),
        "coverage": scored["covered"].mean(),
        "coverage_planted": planted["covered"].mean(),
        "slope": float((weight * x * y).sum() / (weight * x * x).sum()) if planted.height else None,
        "null_rate": (null["p"] < 0.05).mean(),
    }


def summarize_tests(scored: pl.DataFrame) -> pl.DataFrame:
    """Sum up each test of `score_changes`: power and false discoveries beside cells per donor, most cells first."""
    about = ["cell_type", "assay", "donors", "cells_per_donor"]
    tests = scored.group_by("cell_type", "assay", maintain_order=True)
    rows = [one.select(about).row(0, named=True) | summarize_calls(one) for _, one in tests]
    table = pl.DataFrame(rows, infer_schema_length=None)
    return table.sort("cells_per_donor", descending=True) if rows else table


def read_published(*, level: str = names.LEVEL0) -> pl.DataFrame:
    """Return the published directions with age of one level: cell_type, assay, gene, direction."""
    subtype = pl.col(names.LEVEL2).is_not_null()
    within = study.gene_directions().filter(subtype if level == names.LEVEL2 else ~subtype)
    # level 1 keeps the names of level 0 but for a few types that it splits
    named = names.LEVEL2 if level == names.LEVEL2 else names.LEVEL0
    columns = [pl.col(named).alias("cell_type"), "assay", "gene", "direction"]
    return within.select(columns).unique(["cell_type", "assay", "gene"], maintain_order=True)
