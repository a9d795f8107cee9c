"""How a trained model does on parts it has not seen, and what it says about new ones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from helpers.errors import PartError
from helpers.scprint import layout, parts, probe
from helpers.scprint.models import Model


@dataclass
class Evaluation:
    """How a model does on parts.

    Attributes
    ----------
    labels
        Label index of each row and column.
    confusion
        True labels x predicted labels.
    bins
        Ten bins of confidence: cells, sum of confidence, cells right.
    unseen
        Cells whose label the model never learned; left out of everything else.
    """

    labels: np.ndarray
    confusion: np.ndarray
    bins: np.ndarray
    unseen: int

    @property
    def accuracy(self) -> float:
        """Share of cells predicted right."""
        return float(np.trace(self.confusion) / max(1, self.confusion.sum()))

    @property
    def calibration_error(self) -> float:
        """Mean distance of confidence and accuracy over cells (expected calibration error)."""
        return float(np.abs(self.bins[:, 1] - self.bins[:, 2]).sum() / max(1.0, self.bins[:, 0].sum()))

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the labels that occur."""
        return float(self.per_class()["f1"].mean() or 0.0)

    def per_class(self, names: Sequence[str] | None = None) -> pl.DataFrame:
        """Return one row a label that occurs: cells, precision, recall and F1."""
        right = np.diag(self.confusion).astype(float)
        truth, guess = self.confusion.sum(axis=1), self.confusion.sum(axis=0)
        table = pl.DataFrame(
            {
                "label": list(names) if names is not None else [str(label) for label in self.labels],
                "cells": truth,
                "precision": right / np.maximum(guess, 1),
                "recall": right / np.maximum(truth, 1),
                "f1": 2 * right / np.maximum(truth + guess, 1),
            }
        )
        return table.filter(pl.col("cells") > 0).sort("cells", "label", descending=[True, False])

    def calibration(self) -> pl.DataFrame:
        """Return confidence and accuracy by bin of confidence; empty bins are left out."""
        cells, sure, right = self.bins.T
        table = pl.DataFrame(
            {
                "confidence_from": np.arange(10) / 10,
                "cells": cells.astype(np.int64),
                "confidence": sure / np.maximum(cells, 1),
                "accuracy": right / np.maximum(cells, 1),
            }
        )
        return table.filter(pl.col("cells") > 0)


def evaluate(model: Model, folder: Path | str, *, stems: Sequence[str] | None = None) -> Evaluation:
    """Test a model on parts.

    Parameters
    ----------
    model
        A trained model.
    folder
        Folder of parts.
    stems
        Names of the parts; those held out in training if none.

    Raises
    ------
    PartError
        If none of the parts is in the folder.
    """
    opened = probe.open_all(folder, model.held_out if stems is None else stems)
    if not opened:
        msg = f"none of the parts to test on lies in {folder}."
        raise PartError(msg)
    n = len(model.labels)
    confusion, bins, left = np.zeros((n, n), np.int64), np.zeros((10, 3)), 0
    for rows, codes in probe.batches(opened, model):
        known = codes >= 0
        left += int((~known).sum())
        chance = model.probabilities(rows[known])
        guess, truth = chance.argmax(axis=1), codes[known]
        np.add.at(confusion, (truth, guess), 1)
        sure = chance[np.arange(len(guess)), guess]
        place = np.minimum((sure * 10).astype(int), 9)
        np.add.at(bins, place, np.column_stack([np.ones(len(sure)), sure, guess == truth]))
    return Evaluation(model.labels, confusion, bins, left)


def predict(model: Model, folder: Path | str, *, only: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
    """Yield the predictions of one part after the other: part, row, label index and probability.

    Parameters
    ----------
    model
        A trained model.
    folder
        Folder of parts.
    only
        Names of the parts; all that open if none.
    """
    for part in probe.open_all(folder, only):
        rows = parts.rows_of(part, layout.EMBEDDINGS, columns=model.recipe.columns)
        chance = model.probabilities(rows)
        best = chance.argmax(axis=1)
        yield pl.DataFrame(
            {
                "part": pl.Series([part.stem], dtype=pl.String).repeat_by(part.cells).explode(),
                "row": np.arange(part.cells),
                "label": model.labels[best],
                "probability": chance[np.arange(len(best)), best].astype(np.float32),
            }
        )
