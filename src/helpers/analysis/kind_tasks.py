"""The classification tasks of the public card, each with the same honest split and the same report card."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from anndata import AnnData

from helpers import names
from helpers.analysis import kind_grades, kinds, splits
from helpers.errors import DesignError

NO_CARD = pl.DataFrame(schema=kind_grades.CARD_SCHEMA)


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
    cards, predictions = [], {}
    for level in there:
        labels = adata.obs[level].astype(str).to_numpy()
        predictions[level] = kinds.predict(seen, labels)
        cards.append(kind_grades.grade(predictions[level], plan, task=level))
        cards.append(kind_grades.grade(kinds.predict(leaky, labels), leaking, task=level))
    return Result(pl.concat(cards), predictions)


def across_assays(adata: AnnData, *, level: str = names.LEVEL0, min_cells: int = 10, seed: int = 0) -> Result:
    """Train on one assay and test on the other, both ways, blind to the assay and with components centered by assay.

    Only labels with at least `min_cells` in both assays take part: the others cannot be learned or cannot be tested.
    Donors with both assays stand on both sides, and the card then says that the split is not honest about donors.
    """
    if (
        level not in adata.obs
        or names.ASSAY not in adata.obs
        or adata.obs[[level, names.ASSAY]].isna().any(axis=None)
    ):
        return Result(reason="this source names no cell types or no assays")
    counts = adata.obs.groupby([level, names.ASSAY], observed=True).size().unstack(fill_value=0)
    if not {names.CELLS, names.NUCLEI} <= set(counts.columns):
        return Result(reason="this source holds one assay")
    shared = counts.index[(counts[[names.CELLS, names.NUCLEI]] >= min_cells).all(axis=1)].astype(str)
    if len(shared) < 2:
        return Result(reason="fewer than two labels are found in both assays")
    part = adata[adata.obs[level].astype(str).isin(shared).to_numpy()]
    labels, assays = part.obs[level].astype(str).to_numpy(), part.obs[names.ASSAY].astype(str).to_numpy()
    matrix = part.X.tocsr()
    donors = None if names.DONOR not in part.obs else part.obs[names.DONOR].astype(str).to_numpy()
    cards, predictions = [], {}
    for train, test in ((names.CELLS, names.NUCLEI), (names.NUCLEI, names.CELLS)):
        plan = splits.across(assays, train=train, test=test, donors=donors)
        for reader, domains in (("blind", None), ("centered by assay", assays)):
            task = f"{level} ({reader})"
            found = kinds.predict(kinds.view(matrix, plan, domains=domains, seed=seed), labels)
            predictions[f"{plan.name}, {reader}"] = found
            cards.append(kind_grades.grade(found, plan, task=task))
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
    linked = np.isin(adata.var_names, [*sex_linked, *genes])
    readings = {
        "sex from XIST and Y genes": adata[:, list(genes)].X.tocsr(),
        "sex from all other genes": adata[:, ~linked].X.tocsr(),
    }
    cards, predictions = [], {}
    for task, matrix in readings.items():
        predictions[task] = kinds.predict(kinds.view(matrix, plan, seed=seed), given, even=True)
        cards.append(kind_grades.grade(predictions[task], plan, task=task))
    return Result(pl.concat(cards), predictions)


def protocol(adata: AnnData, plan: splits.Plan | None, *, seed: int = 0) -> Result:
    """Predict the assay for donors left out: as it is, and after components are centered by assay."""
    labels = adata.obs.get(names.ASSAY)
    if plan is None or labels is None or labels.isna().any() or labels.nunique() < 2:
        return Result(reason="this source names no donors or holds one assay")
    given = labels.astype(str).to_numpy()
    cards, predictions = [], {}
    for task, domains in (("assay", None), ("assay (centered by assay)", given)):
        predictions[task] = kinds.predict(kinds.view(adata.X, plan, domains=domains, seed=seed), given)
        cards.append(kind_grades.grade(predictions[task], plan, task=task))
    return Result(pl.concat(cards), predictions)
