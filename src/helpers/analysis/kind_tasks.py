"""The classification tasks of the public card, each with the same honest split and the same report card."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from anndata import AnnData

from helpers import names
from helpers.analysis import kind_intervals, kinds, splits
from helpers.errors import DesignError

NO_CARD = pl.DataFrame(schema=kind_intervals.CARD_SCHEMA)
CENTERED = "centered by assay"


@dataclass(frozen=True)
class Result:
    """Report cards of a task, the predictions behind them by name, and why the task was not done, if it was not."""

    cards: pl.DataFrame = field(default_factory=lambda: NO_CARD)
    predictions: dict[str, kinds.Predictions] = field(default_factory=dict)
    reason: str = ""


def donor_plan(adata: AnnData, *, n_folds: int, seed: int = 0) -> splits.Plan | None:
    """Return whole-donor folds, or none where the source names too few donors."""
    if names.DONOR not in adata.obs or adata.obs[names.DONOR].isna().all():
        return None
    try:
        return splits.by_donor(adata.obs[names.DONOR].astype(str).to_numpy(), n_folds=n_folds, seed=seed)
    except DesignError:
        return None


def by_level(
    adata: AnnData, plan: splits.Plan | None, *, levels: Sequence[str] = names.LEVELS, seed: int = 0
) -> Result:
    """Predict the labels of each level across donors, and across random cells beside it.

    Parameters
    ----------
    adata
        Cells x genes, log-normalized ``X``.
    plan
        Whole-donor folds, or none.
    levels
        Columns of labels.
    seed
        Of the low-rank view and of the random split.
    """
    there = [level for level in levels if level in adata.obs and adata.obs[level].notna().all()]
    if plan is None or not there:
        return Result(reason="this source names too few donors or no cell types")
    seen = kinds.view(adata.X, plan, seed=seed)
    leaking = splits.by_cell(adata.n_obs, n_folds=len(plan.folds), seed=seed)
    leaky = kinds.view(adata.X, leaking, seed=seed)
    donors = _donors(adata)
    cards, predictions = [], {}
    for level in there:
        labels = adata.obs[level].astype(str).to_numpy()
        predictions[level] = kinds.predict(seen, labels)
        for found, split in ((predictions[level], plan), (kinds.predict(leaky, labels), leaking)):
            cards.append(kind_intervals.grade(found, split, task=level, donors=donors, seed=seed))
    return Result(pl.concat(cards), predictions)


def across_assays(
    adata: AnnData, *, level: str = names.LEVEL0, n_folds: int = 4, min_cells: int = 10, seed: int = 0
) -> Result:
    """Train on one assay of some donors and test on the other assay of other donors, both ways.

    One reader is blind to the assay, one has components centered by assay. Only labels with at least `min_cells` in
    both assays take part: the others cannot be learned or cannot be tested.

    Parameters
    ----------
    adata
        Cells x genes, log-normalized ``X``.
    level
        Column of labels.
    n_folds
        Groups of tested donors that are left out of the training in turn.
    min_cells
        Cells of a label in each assay.
    seed
        Of the folds, the view and the intervals.
    """
    columns = [level, names.ASSAY, names.DONOR]
    if any(column not in adata.obs for column in columns) or adata.obs[columns].isna().any(axis=None):
        return Result(reason="this source names no cell types, no assays or no donors")
    counts = adata.obs.groupby([level, names.ASSAY], observed=True).size().unstack(fill_value=0)
    if not {names.CELLS, names.NUCLEI} <= set(counts.columns):
        return Result(reason="this source holds one assay")
    shared = counts.index[(counts[[names.CELLS, names.NUCLEI]] >= min_cells).all(axis=1)].astype(str)
    if len(shared) < 2:
        return Result(reason="fewer than two labels are found in both assays")
    labels, assays = (adata.obs[column].astype(str).to_numpy() for column in (level, names.ASSAY))
    donors = _donors(adata)
    taking_part = np.where(np.isin(labels, shared), assays, "")
    cards, predictions = [], {}
    for train, test in ((names.CELLS, names.NUCLEI), (names.NUCLEI, names.CELLS)):
        try:
            plan = splits.across(taking_part, donors, train=train, test=test, n_folds=n_folds, seed=seed)
        except DesignError as error:
            return Result(reason=str(error))
        blind = kinds.view(adata.X, plan, seed=seed)
        for reader, seen in (("blind", blind), (CENTERED, kinds.center(blind, assays))):
            found = kinds.predict(seen, labels)
            predictions[f"{train} to {test}, {reader}"] = found
            cards.append(
                kind_intervals.grade(found, plan, task=f"{level} ({reader})", donors=donors, seed=seed)
            )
    return Result(pl.concat(cards), predictions)


def sex(
    adata: AnnData,
    plan: splits.Plan | None,
    *,
    genes: Sequence[str],
    sex_linked: Sequence[str],
    seed: int = 0,
) -> Result:
    """Predict sex for donors left out: from the sex genes alone, and from everything but sex-linked genes.

    Parameters
    ----------
    adata
        Cells x genes.
    plan
        Whole-donor folds, or none.
    genes
        XIST and the Y genes.
    sex_linked
        Genes of the X and Y chromosomes, left out of the second reading.
    seed
        Of the view.
    """
    labels = adata.obs.get(names.SEX)
    if plan is None or labels is None or labels.isna().any() or labels.nunique() < 2 or not len(genes):
        return Result(reason="this source names no donors, no sexes or no sex genes")
    given = labels.astype(str).to_numpy()
    readings = {
        "sex from XIST and Y genes": np.isin(adata.var_names, list(genes)),
        "sex from all other genes": ~np.isin(adata.var_names, [*sex_linked, *genes]),
    }
    donors = _donors(adata)
    cards, predictions = [], {}
    for task, read in readings.items():
        seen = kinds.view(adata.X, plan, genes=np.flatnonzero(read), seed=seed)
        predictions[task] = kinds.predict(seen, given, even=True)
        cards.append(kind_intervals.grade(predictions[task], plan, task=task, donors=donors, seed=seed))
    return Result(pl.concat(cards), predictions)


def protocol(adata: AnnData, plan: splits.Plan | None, *, seed: int = 0) -> Result:
    """Predict the assay for donors left out: as it is, and after components are centered by assay.

    The reader is quadratic. A linear one compares the means of the two assays, which centering makes equal in every
    training set: it would fall back on the larger assay among the training donors, which tends to be the smaller one
    among those left out, and so come out below chance by construction. Centers are those of the training donors.
    """
    labels = adata.obs.get(names.ASSAY)
    if plan is None or labels is None or labels.isna().any() or labels.nunique() < 2:
        return Result(reason="this source names no donors or holds one assay")
    given, donors = labels.astype(str).to_numpy(), _donors(adata)
    blind = kinds.view(adata.X, plan, seed=seed)
    cards, predictions = [], {}
    for task, seen in (("assay", blind), (f"assay ({CENTERED})", kinds.center(blind, given))):
        predictions[task] = kinds.predict(seen, given, even=True, reader=kinds.QUADRATIC)
        cards.append(kind_intervals.grade(predictions[task], plan, task=task, donors=donors, seed=seed))
    return Result(pl.concat(cards), predictions)


def _donors(adata: AnnData) -> np.ndarray:
    return adata.obs[names.DONOR].astype(str).to_numpy()
