"""What was planted in simulated parts beside what was found: the only reader of their truth."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from helpers.scprint import knowledge, layout, muscle
from helpers.scprint.labels import Decoder
from helpers.scprint.results import Survey

SCHEMA = {"quantity": pl.String, "planted": pl.Int64, "found": pl.Int64, "agrees": pl.Boolean}
_RULES = {
    "plant cells with an animal tissue": "plant",
    "human cells with a mouse-only cell type": "human_with_mouse_type",
    "cells not human with a human ethnicity": "not_human",
}


def score(
    survey: Survey, judged: pl.DataFrame, truth: Mapping[str, Any] | None, *, decoder: Decoder
) -> pl.DataFrame:
    """Compare counts of a survey with those that were planted.

    Parameters
    ----------
    survey
        Survey of the parts.
    judged
        What `plausibility.judge` found.
    truth
        What `simulation.read_truth` returned; an empty table if none.
    decoder
        Names of the labels.
    """
    if truth is None:
        return pl.DataFrame(schema=SCHEMA)
    planted = truth["counted"]
    found = {"cells": survey.cells}
    for tally in survey.tallies().iter_rows(named=True):
        found[f"near_{tally['class']}"] = tally["near"]
    broken = dict(judged.select("rule", "implausible").iter_rows())
    found |= {key: broken[rule] for rule, key in _RULES.items() if rule in broken}
    chosen = muscle.select(survey.count(layout.CELL_TYPE, layout.TISSUE, decoder=decoder))
    found["muscle"] = int(chosen.filter(pl.col("why").is_in(["tissue", "both"]))["cells"].sum())
    rows = [(key, value, found[key], value == found[key]) for key, value in planted.items() if key in found]
    rows.append(("parts with a fault", len(truth["faults"]), survey.faults.height, None))
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    return frame.with_columns((pl.col("planted") == pl.col("found")).alias("agrees"))


def score_leaks(probes: pl.DataFrame, truth: Mapping[str, Any] | None) -> dict[str, int | None]:
    """Count the planted relations of block and class that the linear probes found, and those they missed.

    Parameters
    ----------
    probes
        What `knowledge.probe` found.
    truth
        What `simulation.read_truth` returned.
    """
    if truth is None:
        return {"planted": None, "found": None, "other": None}
    known = probes.filter((pl.col("method") == knowledge.LINEAR) & pl.col("knows"))
    found = set(known.select("block", "class").iter_rows())
    asked = set(probes.select("block", "class").iter_rows())
    planted = {(leak["block"], leak["class"]) for leak in truth["leaks"]} | {(n, n) for n in layout.CLASSES}
    planted &= asked
    # tissue follows from cell type and sex from organs of one sex: relations beyond these are none
    return {"planted": len(planted), "found": len(planted & found), "other": len(found - planted)}
