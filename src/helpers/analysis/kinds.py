"""Cell types predicted from expression: across donors, and across assays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from sklearn.decomposition import TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.preprocessing import StandardScaler

from helpers.analysis.splits import Plan
from helpers.errors import TableError


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
    domains: Sequence[str] | None = None,
    seed: int = 0,
) -> View:
    """Find a low-rank view of log expression for each fold, from its training rows alone.

    Parameters
    ----------
    matrix
        Cells x genes, log-normalized.
    plan
        The folds.
    top
        Genes kept: those of largest variance over the training rows.
    components
        Dimensions of the view.
    domains
        Domain of each cell, such as its assay. Components are then centered and scaled within each domain, of training
        and test rows apart: the reader that knows of the batch. No label is used for it.
    seed
        Of the decomposition.
    """
    folds = []
    for train, test in plan:
        known, new = matrix[train], matrix[test]
        genes = _most_variable(known, top)
        known, new = known[:, genes], new[:, genes]
        found = TruncatedSVD(min(components, len(genes) - 1), n_iter=3, random_state=seed).fit(known)
        folds.append(
            (train, test, *_standardize(found.transform(known), found.transform(new), train, test, domains))
        )
    return View(plan, matrix.shape[0], tuple(folds))


def predict(seen: View, labels: Sequence[str], *, even: bool = False) -> Predictions:
    """Predict labels fold by fold with linear discriminant analysis, whose probabilities also serve rare classes.

    Parameters
    ----------
    seen
        What `view` returns; one view serves any number of labels.
    labels
        One a cell. A class with fewer than two training rows in a fold gets probability zero there.
    even
        Whether all classes are taken to be equally likely beforehand, and not as common as in the training rows.

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
            model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.01, priors=priors)
            model.fit(known[learnable], given[train][learnable])
            part[:, [place[name] for name in model.classes_]] = model.predict_proba(new)
        rows.append(test)
        parts.append(part)
    tested = np.concatenate(rows)
    return Predictions(tested, given[tested], classes, np.concatenate(parts))


def _standardize(
    known: np.ndarray, new: np.ndarray, train: np.ndarray, test: np.ndarray, domains: Sequence[str] | None
) -> tuple[np.ndarray, np.ndarray]:
    if domains is None:
        scaler = StandardScaler().fit(known)
        return scaler.transform(known), scaler.transform(new)
    domain_of = np.asarray(domains).astype(str)
    for view, rows in ((known, train), (new, test)):
        for domain in np.unique(domain_of[rows]):
            here = domain_of[rows] == domain
            view[here] = StandardScaler().fit_transform(view[here])
    return known, new


def _most_variable(matrix: sp.csr_matrix, top: int) -> np.ndarray:
    mean = np.asarray(matrix.mean(axis=0)).ravel()
    square = np.bincount(
        matrix.indices, weights=matrix.data.astype(np.float64) ** 2, minlength=matrix.shape[1]
    )
    variance = square / matrix.shape[0] - mean**2
    top = min(top, matrix.shape[1])
    return np.sort(np.argpartition(-variance, top - 1)[:top])
