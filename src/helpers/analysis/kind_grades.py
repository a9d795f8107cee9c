"""How well labels are predicted: class by class, by the tree of labels, by donor, and which labels are disputed."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from sklearn.metrics import f1_score, roc_auc_score

from helpers.analysis.kinds import Predictions
from helpers.analysis.splits import Plan

CARD_SCHEMA = {
    "task": pl.String,
    "split": pl.String,
    "honest": pl.Boolean,
    "cells": pl.Int64,
    "classes": pl.Int64,
    "accuracy": pl.Float64,
    "macro_f1": pl.Float64,
    "micro_f1": pl.Float64,
}
CLASSES_SCHEMA = {
    "label": pl.String,
    "cells": pl.Int64,
    "recall": pl.Float64,
    "precision": pl.Float64,
    "auroc": pl.Float64,
    "most_confused_with": pl.String,
}
DISPUTE_SCHEMA = {"row": pl.Int64, "given": pl.String, "proposed": pl.String, "score": pl.Float64}


def grade(predictions: Predictions, plan: Plan, *, task: str) -> pl.DataFrame:
    """Return one row of the report card: accuracy, macro and micro F1 over the classes present in the test rows."""
    truth, guess = predictions.truth, predictions.predicted
    present = np.unique(truth)
    row = (
        task,
        plan.name,
        plan.honest,
        len(truth),
        len(present),
        float((truth == guess).mean()),
        float(f1_score(truth, guess, labels=present, average="macro", zero_division=0)),
        float(f1_score(truth, guess, labels=present, average="micro", zero_division=0)),
    )
    return pl.DataFrame([row], schema=CARD_SCHEMA, orient="row")


def grade_classes(predictions: Predictions) -> pl.DataFrame:
    """Return recall, precision and AUROC of each class, rarest class first, and what it is mostly taken for."""
    truth, guess = predictions.truth, predictions.predicted
    rows = []
    for number, name in enumerate(predictions.classes):
        mine, called = truth == name, guess == name
        if not mine.any():
            continue
        wrong, counts = np.unique(guess[mine & ~called], return_counts=True)
        rows.append(
            {
                "label": str(name),
                "cells": int(mine.sum()),
                "recall": float((mine & called).sum() / mine.sum()),
                "precision": float((mine & called).sum() / called.sum()) if called.any() else None,
                "auroc": float(roc_auc_score(mine, predictions.probability[:, number]))
                if not mine.all()
                else None,
                "most_confused_with": str(wrong[counts.argmax()]) if len(wrong) else None,
            }
        )
    return pl.DataFrame(rows, schema=CLASSES_SCHEMA).sort("cells", "label")


def count_errors(predictions: Predictions, parent: Mapping[str, str]) -> dict[str, float]:
    """Split the errors of fine labels by the tree: within the same parent, or across parents.

    Parameters
    ----------
    predictions
        Of fine labels.
    parent
        Coarse label of each fine one.

    Returns
    -------
    dict
        Shares of all tested cells: `right`, `within_parent`, `across_parents`; they add up to one.
    """
    truth, guess = predictions.truth, predictions.predicted
    same = np.array([parent.get(a) == parent.get(b) for a, b in zip(truth, guess, strict=True)])
    right = truth == guess
    return {
        "right": float(right.mean()),
        "within_parent": float((~right & same).mean()),
        "across_parents": float((~right & ~same).mean()),
    }


def dispute(predictions: Predictions) -> pl.DataFrame:
    """Rank cells by how strongly the model, which never saw their donor, prefers another label.

    Returns
    -------
    polars.DataFrame
        row, given, proposed (the best other label), score (log odds of the proposed over the given label), most
        disputed first.
    """
    own = np.searchsorted(predictions.classes, predictions.truth)
    at = np.arange(len(own))
    given = predictions.probability[at, own]
    others = predictions.probability.copy()
    others[at, own] = -1
    best = others.argmax(axis=1)
    tiny = 1e-12
    score = np.log(others[at, best] + tiny) - np.log(given + tiny)
    return pl.DataFrame(
        {
            "row": predictions.rows.astype(np.int64),
            "given": predictions.truth,
            "proposed": predictions.classes[best],
            "score": score,
        },
        schema=DISPUTE_SCHEMA,
    ).sort("score", "row", descending=[True, False])


def precision_at_recall(scores: np.ndarray, planted: np.ndarray, *, recall: float = 0.5) -> float | None:
    """Return the precision of the shortest list, best score first, that holds `recall` of the planted ones."""
    total = int(planted.sum())
    if not total:
        return None
    hits = np.cumsum(planted[np.argsort(-scores, kind="stable")])
    length = int(np.searchsorted(hits, np.ceil(recall * total))) + 1
    return float(hits[length - 1] / length)


def grade_donors(predictions: Predictions, donors: Sequence[str]) -> pl.DataFrame:
    """Add up the evidence of each donor's cells, and tell whether it points the right way.

    A cell without a molecule of any telling gene says nothing; a vote of cells would count it all the same. The sum of
    log probabilities does not.

    Parameters
    ----------
    predictions
        Of a label that is one per donor, such as sex.
    donors
        Donor of every row of the data, in row order.

    Returns
    -------
    polars.DataFrame
        donor, given, share_right (of the donor's cells, 0 to 1), right (all cells together), in order of name.
    """
    owner = np.asarray(donors).astype(str)[predictions.rows]
    evidence = np.log(np.maximum(predictions.probability, 1e-6))
    rows = []
    for name in np.unique(owner):
        mine = owner == name
        given = predictions.truth[mine][0]
        together = predictions.classes[evidence[mine].sum(axis=0).argmax()]
        share = float((predictions.predicted[mine] == given).mean())
        rows.append((str(name), str(given), share, bool(together == given)))
    schema = {"donor": pl.String, "given": pl.String, "share_right": pl.Float64, "right": pl.Boolean}
    return pl.DataFrame(rows, schema=schema, orient="row")
