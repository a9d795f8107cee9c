"""Scores of gene sets, one value a donor, and how they change with age."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from scipy import stats

from helpers.analysis import gene_sets, schemas
from helpers.analysis.fits import Prepared
from helpers.facts import study

RIBOSOME, STRESS, SENESCENCE, CYTOKINES = (
    "ribosome biogenesis",
    "dissociation stress",
    "senescence",
    "cytokines",
)
_MIN_GENES = 3  # genes without which a set is a gene list, not a score
# Markers of senescence and its secretions: Hernandez-Segura et al. (2018), doi:10.1016/j.tcb.2018.02.001
_SENESCENCE_GENES = (
    "CDKN1A", "CDKN2A", "CDKN2B", "CDKN2D", "GDF15", "GLB1", "IGFBP3", "IGFBP5", "IGFBP7", "IL6", "CXCL8", "MMP1",
    "MMP3", "PLAUR", "SERPINE1", "SERPINE2", "TIMP2", "TNFRSF10B", "TP53", "HMGA1",
)  # fmt: skip


def read_sets(path: str | Path = "") -> dict[str, list[str]]:
    """Read gene sets: the study's own and two marker lists, or those of a file.

    Parameters
    ----------
    path
        CSV that `gene_sets.read` reads (columns ``set`` and ``gene``); empty for the built-in sets: ribosome biogenesis
        as in the study's figure and dissociation stress as its notebooks list it, cytokines of its figures, and
        senescence markers.

    Raises
    ------
    TableError
        As `gene_sets.read`.
    """
    if path:
        return gene_sets.read(path)
    listed = gene_sets.split(study.gene_sets())
    return {
        RIBOSOME: _find_set(listed, "ribosome_biogenesis_dotplot"),
        STRESS: _find_set(listed, "stress"),
        SENESCENCE: list(_SENESCENCE_GENES),
        CYTOKINES: study.cytokine_directions()["gene"].unique().sort().to_list(),
    }


def score_donors(prepared: Prepared | None, sets: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """Score each set in each donor: the mean log2 expression of its genes, each gene centered on its mean.

    Parameters
    ----------
    prepared
        From `expression.prepare`: one profile a donor; none gives no scores.
    sets
        Genes by set. Genes with less than a molecule in the average profile are left out, and sets of fewer than
        three genes skipped. Genes too rare for a test of their own still count in a score.

    Returns
    -------
    Table `schemas.SCORES`.
    """
    if prepared is None:
        return schemas.SCORES.empty()
    donors = prepared.design.donors
    tables = [schemas.SCORES.empty()]
    for name, genes in sets.items():
        found, values = prepared.find(genes)
        if len(found) < _MIN_GENES:
            continue
        tables.append(
            pl.DataFrame(
                {
                    "set": [name] * len(donors),
                    "donor": donors["donor"].to_list(),
                    "age": donors["years"].to_numpy(float),
                    "sex": donors["sex"].astype(str).to_list(),
                    "score": (values - values.mean(axis=0)).mean(axis=1),
                    "genes": [len(found)] * len(donors),
                },
                schema=schemas.SCORES.empty().schema,
                nan_to_null=True,
            )
        )
    return schemas.SCORES.check(pl.concat(tables))


def change_with_age(prepared: Prepared | None, scores: pl.DataFrame) -> pl.DataFrame:
    """Fit each set's donor scores on the design of the test and return the change with age.

    Parameters
    ----------
    prepared
        From `expression.prepare`.
    scores
        From `score_donors` of the same.

    Returns
    -------
    Table `schemas.SCORE_CHANGES`: t intervals with donors as units.
    """
    if prepared is None:
        return schemas.SCORE_CHANGES.empty()
    planned = prepared.design
    x, df = planned.matrix, planned.residual_df
    inverse = np.linalg.inv(x.T @ x)
    rows = []
    for name in scores["set"].unique(maintain_order=True):
        mine = scores.filter(pl.col("set") == name)
        y = mine["score"].to_numpy()
        beta = inverse @ x.T @ y
        variance = ((y - x @ beta) ** 2).sum() / df
        error = float(np.sqrt(variance * inverse[planned.tested, planned.tested]))
        change = float(beta[planned.tested])
        reach = float(stats.t.isf(0.025, df)) * error
        rows.append(
            {
                "set": name,
                "per": planned.per,
                "change": change,
                "low": change - reach,
                "high": change + reach,
                "p": float(2 * stats.t.sf(abs(change) / error, df)) if error > 0 else 1.0,
                "genes": mine["genes"][0],
                "donors": mine.height,
            }
        )
    return schemas.SCORE_CHANGES.check(pl.DataFrame(rows, schema=schemas.SCORE_CHANGES.empty().schema))


def find_change(changes: pl.DataFrame, name: str) -> dict:
    """Return the row of one set and its ``interval``, each None where it was not scored.

    Parameters
    ----------
    changes
        From `change_with_age`.
    name
        Gene set.
    """
    found = changes.filter(pl.col("set") == name)
    if found.is_empty():
        return dict.fromkeys((*changes.columns, "interval"))
    row = found.row(0, named=True)
    return row | {"interval": (row["low"], row["high"])}


def _find_set(listed: Mapping[str, list[str]], word: str) -> list[str]:
    """Return the first listed set whose name holds the word."""
    return next(genes for name, genes in listed.items() if word in name)
