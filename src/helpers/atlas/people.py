"""What the cells of any source say of its donors, held against the published table."""

import polars as pl

from helpers import names
from helpers.facts import study

_SHOWN = 5


def contradicting(obs: pl.DataFrame) -> list[str]:
    """Return the donors that the study lists with another sex, or with an age outside the stated age group, sorted.

    Parameters
    ----------
    obs
        One row a cell or more, with ``DonorID``, ``Age_group`` and ``Sex``; what is absent or null contradicts nothing.

    Examples
    --------
    >>> cells = pl.DataFrame({"DonorID": ["339C", "390C"], "Age_group": ["20-25", None], "Sex": ["M", None]})
    >>> contradicting(cells)
    ['339C']
    """
    if names.DONOR not in obs.columns:
        return []
    absent = [column for column in (names.AGE_GROUP, names.SEX) if column not in obs.columns]
    obs = obs.with_columns(pl.lit(None, pl.String).alias(column) for column in absent)
    published = study.donors().select(names.DONOR, "Age", pl.col("Sex").alias("sex"))
    stated = obs.select(pl.col(names.DONOR, names.AGE_GROUP, names.SEX).cast(pl.String)).unique()
    ends = pl.col(names.AGE_GROUP).str.extract_groups(r"^(\d+)-(\d+)$").struct
    both = stated.join(published, on=names.DONOR).with_columns(
        low=ends.field("1").cast(pl.Float64), high=ends.field("2").cast(pl.Float64)
    )
    wrong = (
        (pl.col(names.SEX) != pl.col("sex"))
        | (pl.col("Age") < pl.col("low"))
        | (pl.col("Age") > pl.col("high"))
    )
    return both.filter(wrong)[names.DONOR].unique().sort().to_list()


def look(obs: pl.DataFrame, barcodes: pl.Series) -> list[str]:
    """Return notes on cells and donors that are not who they seem.

    Parameters
    ----------
    obs
        As for `contradicting`.
    barcodes
        One a cell.
    """
    notes = []
    twice = barcodes.filter(barcodes.is_duplicated())
    if len(twice):
        notes.append(
            f"{len(twice):,} cells share a barcode, first {twice[0]!r}; AnnData gets them made unique by a suffix"
        )
    others = contradicting(obs)
    if others:
        shown = ", ".join(others[:_SHOWN]) + (
            f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        )
        notes.append(
            f"{len(others):,} donors have another age group or sex than the study's table states: {shown}; their "
            f"published exact ages are not used"
        )
    return notes
