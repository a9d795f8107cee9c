"""Young or old predicted from expression: donors left out, beside labels dealt anew, and what it adds up to."""

import numpy as np
import polars as pl
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from helpers.analysis import ages as regression
from helpers.analysis.arrangements import arrange
from helpers.analysis.kind_intervals import share_of_donors

CLASSES_SCHEMA = {
    "donor": pl.String,
    "age": pl.Float64,
    "old": pl.Boolean,
    "probability": pl.Float64,
    "baseline": pl.Float64,
}
OLD_FROM = 45  # years: no donor of the study lies between its young and its old


def classify(features: np.ndarray, ages: np.ndarray, donors: np.ndarray, *, top: int = 500) -> pl.DataFrame:
    """Predict young or old for each donor from a model that never saw that donor.

    Parameters
    ----------
    features
        Donors x genes.
    ages
        Years, one a donor; from `OLD_FROM` on a donor is old.
    donors
        Names.
    top
        Genes kept.

    Returns
    -------
    polars.DataFrame
        donor, age, old, probability (of old), baseline (share of old among the training donors); empty with fewer than
        five donors.
    """
    if len(ages) < regression.LEAST_DONORS:
        return pl.DataFrame(schema=CLASSES_SCHEMA)
    regression.check(features, ages, donors)
    old = np.asarray(ages) >= OLD_FROM
    probability = _classify_folds(features, old[None, :], top)[0]
    baseline = (old.sum() - old) / (len(old) - 1)
    return pl.DataFrame(
        {
            "donor": [str(name) for name in donors],
            "age": np.asarray(ages, float),
            "old": old,
            "probability": probability,
            "baseline": baseline,
        },
        schema=CLASSES_SCHEMA,
    )


def permute(
    features: np.ndarray, ages: np.ndarray, *, n_permutations: int, top: int = 500, seed: int = 0
) -> np.ndarray:
    """Return the AUROC of `classify` with young and old dealt anew to the donors, the observed deal first.

    Parameters
    ----------
    features, ages
        As for `classify`.
    n_permutations
        Deals; every one where there are no more than these.
    top
        As for `classify`.
    seed
        Of the deals.
    """
    old = np.asarray(ages) >= OLD_FROM
    if len(old) < regression.LEAST_DONORS or old.all() or not old.any():
        return np.array([])
    dealt = arrange(old, draws=n_permutations, limit=n_permutations, seed=seed).values.astype(bool)
    found = _classify_folds(features, dealt, top)
    return np.array([roc_auc_score(own, guess) for own, guess in zip(dealt, found, strict=True)])


def _classify_folds(features: np.ndarray, labels: np.ndarray, top: int) -> np.ndarray:
    """Return the probability of old for each donor left out, under each row of labels (deals x donors)."""
    donors = np.arange(labels.shape[1])
    found = np.empty(labels.shape)
    for test in donors:
        train = np.delete(donors, test)
        genes = regression.most_variable(features[train], top)
        scaler = StandardScaler().fit(features[np.ix_(train, genes)])
        known, new = (scaler.transform(features[np.ix_(rows, genes)]) for rows in (train, [test]))
        # a penalty on the length of the weights sees only the space of the training donors: the same model, in a
        # dimension a donor and not in one a gene
        _, size, axes = np.linalg.svd(known, full_matrices=False)
        axes = axes[size > 1e-9 * size.max()].T
        known, new = known @ axes, new @ axes
        for number, old in enumerate(labels):
            share = old[train].mean()
            found[number, test] = share
            if 0 < share < 1:
                model = LogisticRegression(C=0.1, class_weight="balanced", solver="newton-cholesky")
                found[number, test] = model.fit(known, old[train]).predict_proba(new)[0, 1]
    return found


def grade(table: pl.DataFrame, null: np.ndarray) -> dict[str, object]:
    """Grade young-or-old predictions, with the same under permuted labels beside them.

    Parameters
    ----------
    table
        What `classify` returns.
    null
        What `permute` returns: AUROC under permuted labels, the observed one first.

    Returns
    -------
    dict
        accuracy with its exact binomial interval over donors, baseline (share of the larger group), auroc, permuted
        (median AUROC of the null), p (share of arrangements with at least this AUROC, the observed one counted), wrong
        (ages of the donors on the wrong side, as text); all none where nothing was predicted.
    """
    if table.is_empty():
        return dict.fromkeys(("accuracy", "interval", "baseline", "auroc", "permuted", "p", "wrong"))
    old, probability = table["old"].to_numpy(), table["probability"].to_numpy()
    right = (probability > 0.5) == old
    found = share_of_donors(int(right.sum()), len(right))
    wrong = table.filter(~pl.Series(right))["age"].sort()
    return {
        "accuracy": found["value"],
        "interval": found["interval"],
        "baseline": float(max(old.mean(), 1 - old.mean())),
        "auroc": float(roc_auc_score(old, probability)) if 0 < old.mean() < 1 else None,
        "permuted": float(np.median(null[1:])) if len(null) > 1 else None,
        "p": float((null >= null[0] - 1e-9).mean()) if len(null) > 1 else None,
        "wrong": ", ".join(f"{age:g}" for age in wrong) or "none",
    }
