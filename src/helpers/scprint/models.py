"""Trained models: what was trained, what it says, and how it is kept.

A logistic model is numbers and text on disk; a boosted one has to be a pickle, and is fenced.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from scipy.special import softmax

from helpers import files
from helpers.errors import PartError
from helpers.scprint import layout

KIND = "scprint model"
LOGISTIC, BOOSTED = "logistic", "boosted"
ALL = "all"
_JSON, _ARRAYS, _TREES = "model.json", "model.npz", "trees.joblib"


@dataclass(frozen=True)
class Recipe:
    """What is trained.

    Attributes
    ----------
    target
        Class whose best label is learned.
    block
        Block that is read, or ``all`` for the 424 columns.
    kind
        ``logistic`` or ``boosted``.
    min_cells
        Cells that a label must have in the training parts.
    passes
        Times that the logistic model reads the parts.
    max_cells
        Cells at most for the boosted model.
    held_out
        One part of so many is never trained on.
    """

    target: str = layout.CELL_TYPE
    block: str = layout.CELL_TYPE
    kind: str = LOGISTIC
    min_cells: int = 50
    passes: int = 2
    max_cells: int = 50_000
    held_out: int = 5

    def __post_init__(self) -> None:
        """Check the choices.

        Raises
        ------
        PartError
            If class, block or kind does not exist, or every part would be held out.
        """
        faults = []
        if self.target not in layout.CLASSES:
            faults.append(f"target {self.target!r} is not one of {', '.join(layout.CLASSES)}")
        if self.block != ALL and self.block not in layout.BLOCKS:
            faults.append(f"block {self.block!r} is not {ALL} or one of {', '.join(layout.BLOCKS)}")
        if self.kind not in (LOGISTIC, BOOSTED):
            faults.append(f"kind {self.kind!r} is not {LOGISTIC} or {BOOSTED}")
        if self.held_out < 2 or self.passes < 1:
            faults.append("held_out must be at least 2 and passes at least 1")
        if faults:
            msg = f"{'; '.join(faults)}."
            raise PartError(msg)

    @property
    def columns(self) -> slice:
        """Columns of the embedding that are read."""
        return slice(0, layout.EMBEDDING_WIDTH) if self.block == ALL else layout.BLOCKS[self.block]


@dataclass
class Model:
    """A trained model.

    Attributes
    ----------
    recipe
        What was trained.
    labels
        Label index of each output.
    mean
        Mean of each column in the training parts.
    scale
        Standard deviation of each column.
    temperature
        What raw outputs are divided by before they become probabilities.
    weights
        Columns x labels, of the logistic model.
    intercepts
        One a label, of the logistic model.
    trees
        The boosted model.
    held_out
        Names of the parts that training did not see.
    cells
        Cells trained on.
    """

    recipe: Recipe
    labels: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    temperature: float = 1.0
    weights: np.ndarray | None = None
    intercepts: np.ndarray | None = None
    trees: Any = None
    held_out: list[str] = field(default_factory=list)
    cells: int = 0

    def probabilities(self, rows: np.ndarray) -> np.ndarray:
        """Return calibrated probabilities, cells x labels, from rows of the block that the model reads."""
        return softmax(self._raw(rows) / self.temperature, axis=1)

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Return the most probable label index of each row."""
        return self.labels[self._raw(rows).argmax(axis=1)]

    def _raw(self, rows: np.ndarray) -> np.ndarray:
        if rows.ndim != 2 or rows.shape[1] != len(self.mean):
            msg = f"rows of {rows.shape[1:]} columns; the model reads the {len(self.mean)} of {self.recipe.block}."
            raise PartError(msg)
        points = (rows - self.mean) / self.scale
        if self.weights is not None:
            return points @ self.weights + self.intercepts
        return np.log(np.maximum(self.trees.predict_proba(points), 1e-12))


def save(model: Model, folder: Path, *, force: bool = False) -> Path:
    """Write a model into a folder, whole or not at all.

    The logistic model is a JSON and an npz. The boosted model also writes ``trees.joblib``, a pickle, whose hash
    stands in the JSON.
    """
    with files.writing(Path(folder), kind=KIND, force=force) as part:
        part.mkdir()
        arrays = {"labels": model.labels, "mean": model.mean, "scale": model.scale}
        if model.recipe.kind == LOGISTIC:
            arrays |= {"weights": model.weights, "intercepts": model.intercepts}
        np.savez(part / _ARRAYS, **arrays)
        head = {
            "recipe": asdict(model.recipe),
            "temperature": model.temperature,
            "held_out": model.held_out,
            "cells": model.cells,
        }
        if model.recipe.kind != LOGISTIC:
            joblib.dump(model.trees, part / _TREES)
            head["trees_sha256"] = files.digest(part / _TREES)
        files.write_json(part / _JSON, head)
    return Path(folder)


def load(folder: Path, *, trust: bool = False) -> Model:
    """Read a model that `save` wrote.

    Parameters
    ----------
    folder
        Folder of the model.
    trust
        Allow the pickle of a boosted model. A pickle can run any code: allow it for models you trained yourself.

    Raises
    ------
    PartError
        If the folder is not a model, its trees changed since they were written, or they are a pickle and not
        trusted.
    """
    folder = Path(folder)
    try:
        head = json.loads((folder / _JSON).read_text(encoding="utf-8"))
        with np.load(folder / _ARRAYS, allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in stored.files}
        recipe = Recipe(**head["recipe"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, PartError):
            raise
        msg = f"{folder} is not a saved model: {error}"
        raise PartError(msg) from None
    model = Model(recipe, arrays["labels"], arrays["mean"], arrays["scale"], head["temperature"])
    model.held_out, model.cells = head["held_out"], head["cells"]
    if recipe.kind == LOGISTIC:
        model.weights, model.intercepts = arrays["weights"], arrays["intercepts"]
        return model
    if not trust:
        msg = f"the trees of {folder.name} are a pickle, which can run any code: load(..., trust=True) if it is yours."
        raise PartError(msg)
    if files.digest(folder / _TREES) != head["trees_sha256"]:
        msg = f"{folder.name}/{_TREES} changed since the model was saved. Train it again."
        raise PartError(msg)
    model.trees = joblib.load(folder / _TREES)
    return model
