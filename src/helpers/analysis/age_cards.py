"""Report cards of age: errors with intervals over donors, beside the mean, the null and the leak."""

from collections.abc import Mapping

import numpy as np
import polars as pl

REPORT_SCHEMA = {
    "task": pl.String,
    "split": pl.String,
    "honest": pl.Boolean,
    "donors": pl.Int64,
    "mae_years": pl.Float64,
    "mae_low": pl.Float64,
    "mae_high": pl.Float64,
    "r2": pl.Float64,
}


def report(
    predictions: pl.DataFrame,
    *,
    task: str,
    split: str,
    honest: bool,
    column: str = "predicted",
    seed: int = 0,
) -> pl.DataFrame:
    """Grade predictions: mean absolute error with a 95 % bootstrap interval over donors, and R squared.

    Parameters
    ----------
    predictions
        One row a donor.
    task, split
        What was predicted, and how it was split.
    honest
        Whether donors were held out whole.
    column
        The predictions to grade.
    seed
        Of the bootstrap.
    """
    age, guess = predictions["age"].to_numpy(), predictions[column].to_numpy()
    error = np.abs(guess - age)
    rng = np.random.default_rng(seed)
    means = error[rng.integers(0, len(error), (2000, len(error)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    r2 = 1 - np.sum((guess - age) ** 2) / np.sum((age - age.mean()) ** 2)
    row = (task, split, honest, len(age), float(error.mean()), float(low), float(high), float(r2))
    return pl.DataFrame([row], schema=REPORT_SCHEMA, orient="row")


def collect(
    predicted: Mapping[str, pl.DataFrame], leaked: pl.DataFrame, *, task: str, seed: int = 0
) -> pl.DataFrame:
    """Grade all ways of predicting age in one table: each model, the mean of the others, the split that leaks.

    Parameters
    ----------
    predicted
        Model to what `ages.leave_donors_out` returns; empty where donors are too few.
    leaked
        What `ages.leak` returns.
    task
        What was predicted from, for the label.
    seed
        Of the bootstrap.
    """
    cards = [pl.DataFrame(schema=REPORT_SCHEMA)]
    for model, table in predicted.items():
        cards.append(report(table, task=f"{task}, {model}", split="donors left out", honest=True, seed=seed))
    for table in list(predicted.values())[:1]:
        cards.append(
            report(
                table,
                task="mean of the others",
                split="donors left out",
                honest=True,
                column="baseline",
                seed=seed,
            )
        )
    if predicted and leaked.height:
        cards.append(report(leaked, task=f"{task}, ridge", split="random pieces", honest=False, seed=seed))
    return pl.concat(cards)


def best(cards: pl.DataFrame, null: np.ndarray) -> dict[str, object]:
    """Pick the honest model of least error and set it beside the mean, the permuted ages and the leak.

    Parameters
    ----------
    cards
        What `collect` returns.
    null
        Ridge errors under permuted ages.

    Returns
    -------
    dict
        model, mae, interval, r2, mean, permuted (median of the null), p (of ridge, against the null, observed counted),
        leaking; all none where nothing was predicted.
    """
    names = ("model", "mae", "interval", "r2", "mean", "permuted", "p", "leaking")
    found: dict[str, object] = dict.fromkeys(names)
    models = cards.filter(pl.col("honest") & (pl.col("task") != "mean of the others")).sort("mae_years")
    if models.is_empty():
        return found
    top = models.row(0, named=True)
    ridge = models.filter(pl.col("task").str.ends_with("ridge"))["mae_years"]
    leaking = cards.filter(~pl.col("honest"))["mae_years"]
    return found | {
        "model": top["task"].rsplit(", ", 1)[-1],
        "mae": top["mae_years"],
        "interval": (top["mae_low"], top["mae_high"]),
        "r2": top["r2"],
        "mean": cards.filter(pl.col("task") == "mean of the others")["mae_years"].item(),
        "permuted": float(np.median(null)) if len(null) else None,
        "p": float((1 + (null <= ridge.item() + 1e-9).sum()) / (1 + len(null))) if len(null) else None,
        "leaking": leaking.item() if len(leaking) else None,
    }
