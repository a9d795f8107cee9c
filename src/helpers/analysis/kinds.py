"""Cell types predicted from expression: across donors, across assays, and labels that the model disputes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import scipy.sparse as sp
from sklearn.decomposition import TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.preprocessing import StandardScaler

from helpers.analysis import moments
from helpers.analysis.splits import Plan
from helpers.errors import TableError

LINEAR, QUADRATIC = "linear", "quadratic"
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


@dataclass(frozen=True)
class View:
    """Components of the cells, fold by fold: training rows, test rows, and the components of each.

    Attributes
    ----------
    plan
        The split.
    n_rows
        Cells of the data.
    folds
        (training rows, test rows, training components, test components).
    """

    plan: Plan
    n_rows: int
    folds: tuple[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], ...]


@dataclass(frozen=True)
class Predictions:
    """Out-of-fold predictions: the labels, and one probability a class for each tested row.

    Attributes
    ----------
    rows
        Row numbers that were tested.
    truth
        Their given labels.
    classes
        Names of the columns of `probability`.
    probability
        Tested rows x classes.
    """

    rows: np.ndarray
    truth: np.ndarray
    classes: np.ndarray
    probability: np.ndarray

    @property
    def predicted(self) -> np.ndarray:
        """The most probable class of each tested row."""
        return self.classes[self.probability.argmax(axis=1)]


def view(
    matrix: sp.csr_matrix,
    plan: Plan,
    *,
    top: int = 1500,
    components: int = 50,
    genes: np.ndarray | None = None,
    seed: int = 0,
) -> View:
    """Find a low-rank view of log expression for each fold, from its training rows alone.

    Parameters
    ----------
    matrix
        Cells x genes, log-normalized. It is not copied; only the columns kept are.
    plan
        The folds.
    top
        Genes kept: those of largest variance over the training rows.
    components
        Dimensions of the view, each scaled by the training rows.
    genes
        Columns that may be kept; all if none.
    seed
        Of the decomposition.
    """
    allowed = np.arange(matrix.shape[1]) if genes is None else np.asarray(genes)
    folds = []
    for (train, test), variance in zip(
        plan, moments.variances(matrix, [train for train, _ in plan]), strict=True
    ):
        kept = allowed[moments.most_variable(variance[allowed], top)]
        chosen = matrix[:, kept]
        known = chosen[train]
        found = TruncatedSVD(min(components, len(kept) - 1), n_iter=3, random_state=seed).fit(known)
        known, new = found.transform(known), found.transform(chosen[test])
        scaler = StandardScaler().fit(known)
        folds.append((train, test, scaler.transform(known), scaler.transform(new)))
    return View(plan, matrix.shape[0], tuple(folds))


def center(seen: View, domains: Sequence[str]) -> View:
    """Center and scale the components of a view within each domain: the reader that knows of the batch.

    Parameters
    ----------
    seen
        What `view` returns; it stays as it is.
    domains
        Domain of each cell, such as its assay. Center and scale are those of the fold's training rows of the domain;
        where there are none, as when a model meets a new assay, those of the tested rows. No label is used.
    """
    domain_of = np.asarray(domains).astype(str)
    folds = []
    for train, test, known, new in seen.folds:
        known, new = known.copy(), new.copy()
        for domain in np.unique(domain_of[np.concatenate([train, test])]):
            own, theirs = domain_of[train] == domain, domain_of[test] == domain
            scaler = StandardScaler().fit(known[own] if own.any() else new[theirs])
            for points, here in ((known, own), (new, theirs)):
                if here.any():
                    points[here] = scaler.transform(points[here])
        folds.append((train, test, known, new))
    return View(seen.plan, seen.n_rows, tuple(folds))


def predict(seen: View, labels: Sequence[str], *, even: bool = False, reader: str = LINEAR) -> Predictions:
    """Predict labels fold by fold with discriminant analysis, whose probabilities also serve rare classes.

    Parameters
    ----------
    seen
        What `view` returns; one view serves any number of labels.
    labels
        One a cell. A class with fewer than two training rows in a fold gets probability zero there.
    even
        Whether all classes are taken to be equally likely beforehand, and not as common as in the training rows.
    reader
        ``linear`` compares the means of classes; ``quadratic`` also how the components vary and go together in each.

    Raises
    ------
    TableError
        If there are not as many labels as rows.
    """
    given = np.asarray(labels).astype(str)
    if len(given) != seen.n_rows:
        msg = f"{len(given):,} labels for {seen.n_rows:,} cells: give one label a cell."
        raise TableError(msg)
    classes = np.unique(given)
    place = {name: number for number, name in enumerate(classes)}
    rows, parts = [], []
    for train, test, known, new in seen.folds:
        part = np.zeros((len(test), len(classes)))
        kinds, counts = np.unique(given[train], return_counts=True)
        learnable = np.isin(given[train], kinds[counts > 1])
        if (counts > 1).sum() < 2:
            part[:, place[kinds[counts.argmax()]]] = 1
        else:
            n_kinds = int((counts > 1).sum())
            priors = np.full(n_kinds, 1 / n_kinds) if even else None
            model = (
                LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.01, priors=priors)
                if reader == LINEAR
                else QuadraticDiscriminantAnalysis(reg_param=0.01, priors=priors)
            )
            model.fit(known[learnable], given[train][learnable])
            part[:, [place[name] for name in model.classes_]] = model.predict_proba(new)
        rows.append(test)
        parts.append(part)
    tested = np.concatenate(rows)
    return Predictions(tested, given[tested], classes, np.concatenate(parts))


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
