"""Words called with age against what a simulation planted, or what the study published."""

import polars as pl

from helpers import names
from helpers.sentences.turnover import Group

GENE, CHANGE, DIRECTION = "gene", "log2_change_per_decade", "direction"


def score(
    changes: pl.DataFrame, truth: pl.DataFrame | None, group: Group, *, q: float
) -> dict[str, float | int | None]:
    """Return how the called words agree with the planted changes of expression; nulls where nothing was planted.

    Parameters
    ----------
    changes
        From `turnover.changes`.
    truth
        Table ``age_expression`` of a simulated release, or none.
    group
        The cells that `changes` is about.
    q
        Words below it are called.

    Returns
    -------
    dict
        ``called``; ``planted`` (tested words with a planted change); ``true`` and ``right_way`` (called words that
        have one, and whose direction it is); ``false_share`` (called words without one).
    """
    called = changes.filter(pl.col("q") < q)
    blank = {"called": called.height, "planted": None, "true": None, "right_way": None, "false_share": None}
    if truth is None or group.label is None:
        return blank
    planted = truth.filter(pl.col(names.LEVEL0) == group.label, pl.col(names.LEVEL2).is_null())
    if group.assay is not None:
        planted = planted.filter(
            pl.col(names.ASSAY if names.ASSAY in truth.columns else "assay") == group.assay
        )
    known = planted.group_by(GENE).agg(pl.col(CHANGE).sum())
    met = called.join(known, left_on="word", right_on=GENE, how="inner")
    return blank | {
        "planted": changes.join(known, left_on="word", right_on=GENE, how="semi").height,
        "true": met.height,
        "right_way": int((met["change_per_decade"].sign() == met[CHANGE].sign()).sum()),
        "false_share": 1 - met.height / called.height if called.height else None,
    }


def compare_published(changes: pl.DataFrame, published: pl.DataFrame, group: Group) -> pl.DataFrame:
    """Return the words of the group whose direction the study published, beside what is seen here.

    Parameters
    ----------
    changes
        From `turnover.changes`.
    published
        `study.gene_directions`.
    group
        The cells that `changes` is about.
    """
    own = published.filter(pl.col(names.LEVEL0) == group.label) if group.label else published.clear()
    if group.assay is not None:
        own = own.filter(pl.col("assay") == group.assay)
    joined = own.select(GENE, DIRECTION).unique().join(changes, left_on=GENE, right_on="word", how="inner")
    agrees = (pl.col("change_per_decade") > 0) == (pl.col(DIRECTION) == "up")
    return joined.select(
        GENE,
        pl.col(DIRECTION).alias("published"),
        "change_per_decade",
        "lower",
        "upper",
        agrees.alias("agrees"),
    ).sort(GENE)
