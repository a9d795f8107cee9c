"""Cell types predicted from expression: across donors, and across assays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from sklearn.decomposition import TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.preprocessing import StandardScaler

from helpers.analysis import moments
from helpers.analysis.splits import Plan
from helpers.errors import TableError

LINEAR, QUADRATIC = "linear", "quadratic"


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
    most: int = 30_000,
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
    most
        Training rows at most from which the components are found, drawn with the seed; all rows are projected.
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
        found = TruncatedSVD(min(components, len(kept) - 1), n_iter=3, random_state=seed)
        points = found.fit(chosen[_draw(train, most, seed)]).transform(chosen)
        known, new = points[train], points[test]
        scaler = StandardScaler().fit(known)
        folds.append((train, test, scaler.transform(known), scaler.transform(new)))
    return View(plan, matrix.shape[0], tuple(folds))


def _draw(rows: np.ndarray, most: int, seed: int) -> np.ndarray:
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


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
