"""Models trained on embeddings: out of core, calibrated, tested on parts they have not seen, saved without pickles.

The logistic model reads one part after the other (`partial_fit`), so millions of cells need no more memory than one
part. The boosted model needs its cells at once and is trained on a sample.
"""

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy.optimize import minimize_scalar
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import SGDClassifier
from threadpoolctl import threadpool_limits

from helpers.errors import PartError
from helpers.scprint import layout, parts
from helpers.scprint.archive import Damage
from helpers.scprint.models import LOGISTIC, Model, Recipe
from helpers.scprint.parts import Opened


def train(
    folder: Path | str, *, recipe: Recipe | None = None, only: Sequence[str] | None = None, seed: int = 7
) -> Model:
    """Train a model to predict the best label of a class from an embedding block.

    Parameters
    ----------
    folder
        Folder of parts.
    recipe
        What to train.
    only
        Parts to use, such as those a survey counted; all that open if none.
    seed
        Seed of the order of cells and of the fit. Which parts are held out depends on their names alone.

    Raises
    ------
    PartError
        If there are fewer than three parts or fewer than two labels.
    """
    recipe = recipe or Recipe()
    opened = open_all(folder, only)
    if len(opened) < 3:
        msg = f"{len(opened)} parts: need one to train on, one to calibrate on and one to test on."
        raise PartError(msg)
    train_parts, calibration, test = _divide(opened, recipe)
    model = _describe(train_parts, recipe)
    model.held_out = [part.stem for part in test]
    with threadpool_limits(limits=1):
        (_fit_logistic if recipe.kind == LOGISTIC else _fit_boosted)(model, train_parts, seed)
        _calibrate(model, calibration)
    return model


def open_all(folder: Path | str, only: Sequence[str] | None) -> list[Opened]:
    """Open the parts of a folder; those with a fault are left out (`parts.check` and surveys name them)."""
    opened = []
    for part in parts.find(folder):
        if only is not None and part.stem not in only:
            continue
        try:
            opened.append(parts.open_part(part))
        except Damage:
            continue
    return opened


def _divide(opened: list[Opened], recipe: Recipe) -> tuple[list[Opened], list[Opened], list[Opened]]:
    # by a hash of the name: a new part does not move the others between training and test
    order = sorted(opened, key=lambda part: zlib.crc32(part.stem.encode()))
    held = max(1, len(order) // recipe.held_out)
    return order[2 * held :], order[held : 2 * held], order[:held]


def _describe(opened: list[Opened], recipe: Recipe) -> Model:
    column = layout.LABELS[recipe.target].start
    counts, total, squares, cells = np.zeros(1 << 16, np.int64), 0.0, 0.0, 0
    for part in opened:
        if layout.LABELS[recipe.target].stop > len(part.label_columns):
            msg = f"{part.stem} has no labels of {recipe.target}."
            raise PartError(msg)
        for block in parts.label_blocks(part):
            counts += np.bincount(block[:, column], minlength=1 << 16)
        rows = parts.rows_of(part, layout.EMBEDDINGS, columns=recipe.columns).astype(np.float64)
        total, squares, cells = total + rows.sum(0), squares + (rows**2).sum(0), cells + len(rows)
    labels = np.flatnonzero(counts >= recipe.min_cells)
    if len(labels) < 2:
        msg = f"{len(labels)} labels of {recipe.target} have {recipe.min_cells} cells; need two."
        raise PartError(msg)
    mean = total / max(1, cells)
    spread = np.sqrt(np.maximum(squares / max(1, cells) - mean**2, 0))
    return Model(recipe, labels, mean, np.where(spread > 0, spread, 1.0))


def batches(opened: list[Opened], model: Model) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows and label places of one part after the other; -1 where the model does not know the label."""
    column = slice(layout.LABELS[model.recipe.target].start, layout.LABELS[model.recipe.target].start + 1)
    for part in opened:
        rows = parts.rows_of(part, layout.EMBEDDINGS, columns=model.recipe.columns)
        label = parts.rows_of(part, layout.TOP3, columns=column)[:, 0].astype(np.int64)
        place = np.minimum(np.searchsorted(model.labels, label), len(model.labels) - 1)
        yield rows, np.where(model.labels[place] == label, place, -1)


def _fit_logistic(model: Model, opened: list[Opened], seed: int) -> None:
    chance = np.random.default_rng(seed)
    fitted = SGDClassifier(loss="log_loss", alpha=1e-5, average=True, random_state=seed)
    every = np.arange(len(model.labels))
    for _ in range(model.recipe.passes):
        for rows, codes in batches(opened, model):
            order = chance.permutation(np.flatnonzero(codes >= 0))
            fitted.partial_fit((rows[order] - model.mean) / model.scale, codes[order], classes=every)
            model.cells += len(order)
    model.cells //= model.recipe.passes
    if len(every) == 2:
        # one column stands for two labels
        model.weights = np.column_stack([-fitted.coef_[0], fitted.coef_[0]]) / 2
        model.intercepts = np.array([-fitted.intercept_[0], fitted.intercept_[0]]) / 2
    else:
        model.weights, model.intercepts = fitted.coef_.T.copy(), fitted.intercept_.copy()


def _fit_boosted(model: Model, opened: list[Opened], seed: int) -> None:
    chance = np.random.default_rng(seed)
    share = min(1.0, model.recipe.max_cells / max(1, sum(part.cells for part in opened)))
    pieces = []
    for rows, codes in batches(opened, model):
        keep = np.flatnonzero((codes >= 0) & (chance.random(len(codes)) < share))
        pieces.append((rows[keep], codes[keep]))
    points = (np.concatenate([rows for rows, _ in pieces]) - model.mean) / model.scale
    codes = np.concatenate([codes for _, codes in pieces])
    # labels that the sample missed would shift the columns of the output
    present, place = np.unique(codes, return_inverse=True)
    model.labels = model.labels[present]
    model.trees = HistGradientBoostingClassifier(max_iter=60, early_stopping=False, random_state=seed)
    model.trees.fit(points, place)
    model.cells = len(place)


def _calibrate(model: Model, opened: list[Opened]) -> None:
    raw, truth = [], []
    for rows, codes in batches(opened, model):
        keep = np.flatnonzero(codes >= 0)[:20_000]
        raw.append(model._raw(rows[keep]))
        truth.append(codes[keep])
    outputs, codes = np.concatenate(raw), np.concatenate(truth)
    if not len(codes):
        return

    def loss(log_temperature: float) -> float:
        scaled = outputs / np.exp(log_temperature)
        top = scaled.max(axis=1)
        total = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        return float((total - scaled[np.arange(len(codes)), codes]).mean())

    found = minimize_scalar(loss, bounds=(-5.0, 5.0), method="bounded", options={"xatol": 1e-3})
    model.temperature = float(np.exp(found.x))
