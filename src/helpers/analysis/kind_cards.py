"""What the classification tasks add up to: classes, errors in the tree, disputed labels, votes of donors."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import polars as pl
from anndata import AnnData

from helpers import names
from helpers.analysis import kind_grades, kind_intervals
from helpers.analysis.kind_tasks import CENTERED, Result

DISPUTED_SCHEMA = {"group": pl.String, "cells": pl.Int64, "disputed": pl.Int64, "share": pl.Float64}
DONORS_SCHEMA = {
    "task": pl.String,
    "donor": pl.String,
    "given": pl.String,
    "share_right": pl.Float64,
    "right": pl.Boolean,
}


def grade_donors(result: Result, donors: Sequence[str]) -> pl.DataFrame:
    """Let the cells of each donor vote, task by task: one row a task and donor."""
    tables = [
        kind_grades.grade_donors(predictions, donors).select(
            pl.lit(task).alias("task"), "donor", "given", "share_right", "right"
        )
        for task, predictions in result.predictions.items()
    ]
    return pl.concat(tables) if tables else pl.DataFrame(schema=DONORS_SCHEMA)


def count_disputes(disputes: pl.DataFrame, groups: Sequence[str], *, odds: float) -> pl.DataFrame:
    """Count, per group, the cells for which another label is at least `odds` times as probable as the given one.

    Parameters
    ----------
    disputes
        What `kind_grades.dispute` returns.
    groups
        Group of each row of the data: donors, or types.
    odds
        How many times as probable.
    """
    table = disputes.with_columns(
        pl.Series("group", np.asarray(groups).astype(str)[disputes["row"].to_numpy()]),
        (pl.col("score") >= np.log(odds)).alias("hit"),
    )
    return (
        table.group_by("group")
        .agg(pl.len().cast(pl.Int64).alias("cells"), pl.col("hit").sum().cast(pl.Int64).alias("disputed"))
        .with_columns((pl.col("disputed") / pl.col("cells")).alias("share"))
        .sort("share", "group", descending=[True, False])
        .select(*DISPUTED_SCHEMA)
    )


def column(adata: AnnData, name: str) -> np.ndarray:
    """Return a column of ``obs`` as texts; "not stated" where the source lacks it."""
    if name not in adata.obs:
        return np.full(adata.n_obs, "not stated")
    return adata.obs[name].astype(object).where(adata.obs[name].notna(), "not stated").astype(str).to_numpy()


def classes(result: Result, level: str) -> pl.DataFrame:
    """Return recall, precision and AUROC by class of one level; empty if the level was not predicted."""
    found = result.predictions.get(level)
    return (
        pl.DataFrame(schema=kind_grades.CLASSES_SCHEMA) if found is None else kind_grades.grade_classes(found)
    )


def errors_in_tree(result: Result, obs: pd.DataFrame) -> dict[str, float | None]:
    """Split the errors of the finest labels into those within a coarse type and those across; none if not predicted."""
    found = result.predictions.get(names.LEVEL2)
    if found is None or names.LEVEL0 not in obs:
        return dict.fromkeys(("right", "within_parent", "across_parents"))
    pairs = (
        obs.groupby([names.LEVEL2, names.LEVEL0], observed=True).size().reset_index(name="n").sort_values("n")
    )
    parent = dict(zip(pairs[names.LEVEL2].astype(str), pairs[names.LEVEL0].astype(str), strict=True))
    return dict(kind_grades.count_errors(found, parent))


def disputes(result: Result, level: str) -> pl.DataFrame:
    """Return what `kind_grades.dispute` finds at one level; empty if the level was not predicted."""
    found = result.predictions.get(level)
    return pl.DataFrame(schema=kind_grades.DISPUTE_SCHEMA) if found is None else kind_grades.dispute(found)


def score_disputes(
    table: pl.DataFrame, obs: pl.DataFrame, truth: pl.DataFrame | None
) -> dict[str, float | int | None]:
    """Score disputed labels against the ones planted wrong: how many there are, and precision at half recall.

    Parameters
    ----------
    table
        What `disputes` returns.
    obs
        One row a cell, with barcodes, in the order that was predicted.
    truth
        Planted (barcode, mislabeled), or none for real data.
    """
    if truth is None or table.is_empty():
        return {"planted": None, "precision": None}
    wrong = obs.select(names.BARCODE).join(truth, on=names.BARCODE, how="left", maintain_order="left")
    planted = wrong["mislabeled"].fill_null(value=False).to_numpy()
    return {
        "planted": int(planted.sum()),
        "precision": kind_grades.precision_at_recall(
            table["score"].to_numpy(), planted[table["row"].to_numpy()]
        ),
    }


def summarize(levels: Result, transfer: Result) -> dict[str, dict[str, object]]:
    """Return the macro F1, as `value` and `interval`, of coarse and finest labels across donors, and across assays."""

    def pick(cards: pl.DataFrame, task: str, split: str) -> dict[str, object]:
        found = cards.filter(
            "honest", (pl.col("task") == task) & pl.col("split").str.starts_with(split)
        ).select("macro_f1", "macro_f1_low", "macro_f1_high")
        value, low, high = found.row(0) if found.height else (None, None, None)
        return {"value": value, "interval": None if low is None else (low, high)}

    donors = "whole donors left out"
    to_nuclei, to_cells = f"{names.CELLS} to {names.NUCLEI}", f"{names.NUCLEI} to {names.CELLS}"
    return {
        "donors": pick(levels.cards, names.LEVEL0, donors),
        "fine": pick(levels.cards, names.LEVEL2, donors),
        "to_nuclei": pick(transfer.cards, f"{names.LEVEL0} (blind)", to_nuclei),
        "to_cells": pick(transfer.cards, f"{names.LEVEL0} (blind)", to_cells),
        "to_nuclei_aware": pick(transfer.cards, f"{names.LEVEL0} ({CENTERED})", to_nuclei),
    }


def summarize_sex(
    votes: pl.DataFrame, protocol: Result, donors: Sequence[str], *, seed: int = 0
) -> dict[str, dict[str, object]]:
    """Return, as `value` and `interval`, the share of donors whose sex is read right and the assay's balanced accuracy.

    Parameters
    ----------
    votes
        What `grade_donors` returns. The interval of a share of donors is the exact binomial one.
    protocol
        What `kind_tasks.protocol` returns. The interval of its balanced accuracy is a bootstrap over donors.
    donors
        Donor of each row of the data.
    seed
        Of the bootstrap.
    """

    def share(task: str) -> dict[str, object]:
        found = votes.filter(pl.col("task") == task)["right"]
        return kind_intervals.share_of_donors(int(found.sum()), len(found))

    def balanced(task: str) -> dict[str, object]:
        found = protocol.predictions.get(task)
        if found is None:
            return {"value": None, "interval": None}
        bounds = kind_intervals.bootstrap(found, donors, seed=seed)["balanced_accuracy"]
        return {"value": kind_intervals.balanced_accuracy(found), "interval": bounds}

    return {
        "genes": share("sex from XIST and Y genes"),
        "rest": share("sex from all other genes"),
        "assay": balanced("assay"),
        "assay_aware": balanced(f"assay ({CENTERED})"),
    }
