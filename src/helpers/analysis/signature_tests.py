"""Signatures across age, tested on donors: slopes, what else moves with them, and what was planted."""

from collections.abc import Mapping, Sequence

import polars as pl
from scipy import stats
from scipy.stats import false_discovery_control

from helpers import names
from helpers.analysis import donor_slopes, signatures
from helpers.facts import study

SLOPES_SCHEMA = {
    "signature": pl.String,
    "type": pl.String,
    "assay": pl.String,
    "method": pl.String,
    "genes": pl.Int64,
    "donors": pl.Int64,
    "slope_per_decade": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "p": pl.Float64,
    "q": pl.Float64,
    "lowest_without_one": pl.Float64,
    "highest_without_one": pl.Float64,
    "most_influential": pl.String,
    "adjusted_for": pl.String,
}
CONFOUNDER_SCHEMA = {
    "signature": pl.String,
    "with": pl.String,
    "donors": pl.Int64,
    "spearman": pl.Float64,
    "p": pl.Float64,
}
COVARIATES = (names.SEX, names.CHEMISTRY)


def slopes(scores: pl.DataFrame, *, min_donors: int = 6) -> pl.DataFrame:
    """Fit each signature's score on age over donors, per type, assay and method.

    Sex and chemistry are in the model where the donors allow it. The 95 % interval is from the t distribution; q is
    Benjamini and Hochberg's over all rows of one method.

    Parameters
    ----------
    scores
        What `signatures.score_profiles` or `signatures.score_cells` return.
    min_donors
        Groups with fewer donors of known age are left out.
    """
    rows = []
    keys = ["signature", "type", "assay", "method"]
    for key, part in scores.filter(pl.col("age").is_not_null()).group_by(keys, maintain_order=True):
        if part.height < min_donors:
            continue
        found = donor_slopes.fit(
            part, value="score", measure=str(key[0]), unit="score", covariates=COVARIATES, draws=100
        ).row(0, named=True)
        if found["slope_per_decade"] is None:
            continue
        rows.append({**dict(zip(keys, key, strict=True)), "genes": part["genes"].max(), "q": None, **found})
    table = pl.DataFrame(
        [{name: row.get(name) for name in SLOPES_SCHEMA} for row in rows], schema=SLOPES_SCHEMA
    )
    if table.is_empty():
        return table
    parts = [
        part.with_columns(pl.Series("q", false_discovery_control(part["p"].to_numpy())))
        for _, part in table.group_by("method", maintain_order=True)
    ]
    return pl.concat(parts).sort("p", "signature", "type")


def confounders(
    scores: pl.DataFrame, *, cell_type: str, assay: str, stress: str = "dissociation stress"
) -> pl.DataFrame:
    """Correlate each signature over donors with age, with days in hospital and with the stress score.

    Parameters
    ----------
    scores
        What `signatures.score_profiles` returns.
    cell_type, assay
        Which donors' profiles.
    stress
        Signature that stands for handling of the tissue.
    """
    mine = scores.filter((pl.col("type") == cell_type) & (pl.col("assay") == assay))
    days = study.donors().select(names.DONOR, pl.col("hospital_days").cast(pl.Float64))
    mine = mine.join(days, on=names.DONOR, how="left")
    handled = mine.filter(pl.col("signature") == stress).select(names.DONOR, pl.col("score").alias("stress"))
    mine = mine.join(handled, on=names.DONOR, how="left")
    rows = []
    for (name,), part in mine.group_by(["signature"], maintain_order=True):
        for label, column in (
            ("age", "age"),
            ("hospital days", "hospital_days"),
            ("dissociation stress", "stress"),
        ):
            both = part.select("score", column).drop_nulls()
            if both.height < 5 or both[column].n_unique() < 2 or (name == stress and column == "stress"):
                continue
            found = stats.spearmanr(both["score"].to_numpy(), both[column].to_numpy())
            rows.append((name, label, both.height, float(found.statistic), float(found.pvalue)))
    return pl.DataFrame(rows, schema=CONFOUNDER_SCHEMA, orient="row")


def headline(
    table: pl.DataFrame, signature: str, *, cell_type: str, assay: str, method: str
) -> dict[str, object]:
    """Return slope, interval, p, q and the range without one donor of one row of `slopes`; all none if it is absent.

    Parameters
    ----------
    table
        What `slopes` returns.
    signature, cell_type, assay, method
        Which row.
    """
    keys = ("slope_per_decade", "p", "q", "lowest_without_one", "highest_without_one", "donors")
    rows = table.filter(
        (pl.col("signature") == signature)
        & (pl.col("type") == cell_type)
        & (pl.col("assay") == assay)
        & (pl.col("method") == method)
    )
    if rows.is_empty():
        return {**dict.fromkeys(keys), "interval": None}
    row = rows.row(0, named=True)
    return {**{key: row[key] for key in keys}, "interval": (row["low"], row["high"])}


def compare_with_truth(
    table: pl.DataFrame,
    scored: Mapping[tuple[str, str, str], Sequence[str]],
    truth: pl.DataFrame | None,
    *,
    method: str = signatures.PROFILE,
) -> pl.DataFrame:
    """Set each slope beside what was planted in the genes of the set.

    Parameters
    ----------
    table
        What `slopes` returns.
    scored
        Genes that were scored by assay, type and signature: what `signatures.scored_genes` returns.
    truth
        Planted effects (assay, annotation_level0, annotation_level2, gene, log2_change_per_decade), or none.
    method
        Rows of this method are compared: only the score of profiles is in log2 units.

    Returns
    -------
    polars.DataFrame
        The rows with `planted_slope`, the planted change averaged over the genes of the set that were scored (zero for
        a gene without a plant), and `covered`, whether the 95 % interval holds it. Empty without a truth.
    """
    rows = table.filter(pl.col("method") == method)
    if truth is None or rows.is_empty():
        return rows.clear().with_columns(
            pl.lit(None, dtype=pl.Float64).alias("planted_slope"),
            pl.lit(None, dtype=pl.Boolean).alias("covered"),
        )
    whole = truth.filter(pl.col(names.LEVEL2).is_null())
    effects = whole.group_by("assay", names.LEVEL0, "gene").agg(pl.col("log2_change_per_decade").sum())
    effect = {(assay, kind, gene): change for assay, kind, gene, change in effects.iter_rows()}
    planted = [
        sum(
            effect.get((row["assay"], row["type"], gene), 0.0)
            for gene in scored.get((row["assay"], row["type"], row["signature"]), ())
        )
        / row["genes"]
        for row in rows.iter_rows(named=True)
    ]
    return rows.with_columns(pl.Series("planted_slope", planted, dtype=pl.Float64)).with_columns(
        pl.col("planted_slope").is_between(pl.col("low"), pl.col("high")).alias("covered")
    )
