"""Age predicted from expression: donors left out, beside the mean, permuted ages and the split that leaks."""

import numpy as np
import polars as pl
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import ElasticNetCV, RidgeCV
from sklearn.model_selection import LeaveOneOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from helpers.analysis import splits
from helpers.errors import DesignError, TableError

MODELS = ("ridge", "elastic net", "random forest")
PREDICTIONS_SCHEMA = {"donor": pl.String, "age": pl.Float64, "predicted": pl.Float64, "baseline": pl.Float64}
LEAST_DONORS = 5
_RIDGE_PENALTIES = np.logspace(0, 5, 11)


def leave_donors_out(
    features: np.ndarray,
    ages: np.ndarray,
    donors: np.ndarray,
    *,
    model: str = "ridge",
    top: int = 500,
    seed: int = 0,
) -> pl.DataFrame:
    """Predict each donor's age from a model that never saw that donor.

    Features are chosen, scaled and the model tuned inside each fold, on training donors alone.

    Parameters
    ----------
    features
        Donors x genes, log expression per donor.
    ages
        Years, one a donor.
    donors
        Names, one a row, none twice.
    model
        One of `MODELS`; penalties are tuned by leaving one more donor out.
    top
        Genes kept: those of largest variance over the training donors.
    seed
        Of the forest.

    Returns
    -------
    polars.DataFrame
        donor, age, predicted, baseline (mean age of the training donors), all in years.

    Raises
    ------
    DesignError
        If there are fewer than five donors.
    TableError
        If rows, ages and donors differ in number or a donor occurs twice.
    """
    check(features, ages, donors)
    predicted, baseline = np.empty(len(ages)), np.empty(len(ages))
    for train, test in splits.by_donor(donors):
        genes = most_variable(features[train], top)
        fitted = _make(model, len(train), seed).fit(features[np.ix_(train, genes)], ages[train])
        predicted[test] = fitted.predict(features[np.ix_(test, genes)])
        baseline[test] = ages[train].mean()
    return pl.DataFrame(
        {"donor": [str(name) for name in donors], "age": ages, "predicted": predicted, "baseline": baseline},
        schema=PREDICTIONS_SCHEMA,
    )


def permute_ages(
    features: np.ndarray, ages: np.ndarray, *, n_permutations: int, top: int = 500, seed: int = 0
) -> np.ndarray:
    """Return the leave-one-donor-out error (MAE, years) of ridge regression under permuted ages, one a permutation.

    The same nested tuning as `leave_donors_out` with ridge, in closed form: the kernel of each fold is decomposed
    once and serves every permutation.
    """
    if len(ages) < LEAST_DONORS:
        return np.array([])
    rng = np.random.default_rng(seed)
    orders = np.array([rng.permutation(len(ages)) for _ in range(n_permutations)])
    shuffled = ages[orders].T  # donors x permutations
    errors = np.empty_like(shuffled)
    for test in range(len(ages)):
        train = np.delete(np.arange(len(ages)), test)
        errors[test] = np.abs(_ridge_fold(features, shuffled, train, test, top) - shuffled[test])
    return errors.mean(axis=0)


def leak(
    features: np.ndarray, ages: np.ndarray, donors: np.ndarray, *, top: int = 500, seed: int = 0
) -> pl.DataFrame:
    """Predict age after splitting pieces of donors at random: donors stand on both sides, and the error is a lie.

    The model, its features and its tuning are those of `leave_donors_out`; the split alone differs.

    Parameters
    ----------
    features
        Pieces x genes: several profiles a donor, each summed over some of the donor's cells.
    ages, donors
        One a piece.
    top
        Genes kept.
    seed
        Of the split.

    Returns
    -------
    polars.DataFrame
        donor, age, predicted (mean over the donor's held-out pieces), baseline; one row a donor.
    """
    if len(ages) < 10:
        return pl.DataFrame(schema=PREDICTIONS_SCHEMA)
    predicted, baseline = np.empty(len(ages)), np.empty(len(ages))
    for train, test in splits.by_cell(len(ages), seed=seed):
        genes = most_variable(features[train], top)
        fitted = _make("ridge", len(train), seed).fit(features[np.ix_(train, genes)], ages[train])
        predicted[test] = fitted.predict(features[np.ix_(test, genes)])
        baseline[test] = ages[train].mean()
    return (
        pl.DataFrame(
            {
                "donor": donors.astype(str),
                "age": ages.astype(float),
                "predicted": predicted,
                "baseline": baseline,
            }
        )
        .group_by("donor")
        .agg(pl.col("age").first(), pl.col("predicted").mean(), pl.col("baseline").mean())
        .sort("age", "donor")
        .select(*PREDICTIONS_SCHEMA)
    )


def most_variable(features: np.ndarray, top: int) -> np.ndarray:
    """Return the places of the `top` columns of largest variance, in column order."""
    top = min(top, features.shape[1])
    return np.sort(np.argpartition(-features.var(axis=0), top - 1)[:top])


def check(features: np.ndarray, ages: np.ndarray, donors: np.ndarray) -> None:
    """Refuse rows, ages and donors that differ in number, a donor given twice, and fewer than five donors."""
    if not len(features) == len(ages) == len(donors) or len(set(donors)) != len(donors):
        msg = f"{len(features)} rows, {len(ages)} ages, {len(set(donors))} different donors: one row a donor is needed."
        raise TableError(msg)
    if len(ages) < LEAST_DONORS:
        msg = f"{len(ages)} donors are too few to predict age with donors left out: five is the least."
        raise DesignError(msg)


def _make(model: str, n_train: int, seed: int) -> object:
    makers = {
        "ridge": lambda: RidgeCV(alphas=_RIDGE_PENALTIES),
        "elastic net": lambda: ElasticNetCV(
            l1_ratio=0.5, alphas=12, cv=LeaveOneOut(), max_iter=5000, tol=1e-2
        ),
        "random forest": lambda: RandomForestRegressor(
            200, min_samples_leaf=2, max_features=0.3, random_state=seed
        ),
    }
    if model not in makers:
        msg = f"no model {model!r}; there are {', '.join(MODELS)}."
        raise TableError(msg)
    if n_train < 4:
        msg = f"{n_train} training donors cannot tune a model."
        raise DesignError(msg)
    return make_pipeline(StandardScaler(), makers[model]())


def _ridge_fold(
    features: np.ndarray, targets: np.ndarray, train: np.ndarray, test: int, top: int
) -> np.ndarray:
    genes = most_variable(features[train], top)
    middle, scale = features[np.ix_(train, genes)].mean(axis=0), features[np.ix_(train, genes)].std(axis=0)
    scale[scale == 0] = 1
    known = (features[np.ix_(train, genes)] - middle) / scale
    new = (features[test, genes] - middle) / scale
    values, vectors = np.linalg.eigh(known @ known.T)
    centered = targets[train] - targets[train].mean(axis=0)
    turned = vectors.T @ centered
    best, choice = np.full(targets.shape[1], np.inf), np.zeros(targets.shape[1])
    for penalty in _RIDGE_PENALTIES:
        weight = vectors / (values + penalty)
        # leave-one-out residuals in closed form; the intercept takes 1 / n of each leverage
        leverage = 1 - penalty * (weight @ vectors.T).diagonal() + 1 / len(train)
        residual = penalty * (weight @ turned) / np.maximum(1 - leverage, 1e-12)[:, None]
        error = np.square(residual).mean(axis=0)
        guess = targets[train].mean(axis=0) + (new @ known.T) @ (weight @ turned)
        better = error < best
        best, choice = np.where(better, error, best), np.where(better, guess, choice)
    return choice


def usable(donors: np.ndarray) -> tuple[str, ...]:
    """Return the models that so many donors allow: all of them, or none below five."""
    return MODELS if len(donors) >= LEAST_DONORS else ()
