"""What the cells of any source say of its donors, held against the published table."""

import polars as pl

from helpers import names
from helpers.facts import study

_SHOWN = 5


def contradicting(obs: pl.DataFrame) -> list[str]:
    """Return the donors that the study lists with another sex, or with an age outside the stated age group, sorted.

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


def tabulate(obs: pl.DataFrame) -> pl.DataFrame:
    """Make the table of donors from the table of cells: see `reader.Atlas.donors`.

    Examples
    --------
    >>> cells = pl.DataFrame({"DonorID": ["339C", "339C", "A"], "Sex": ["F", "F", "M"], "age_numeric": [72.5, 72.5, 30]})
    >>> tabulate(cells).select("DonorID", "age", "cells").rows()
    [('A', 30.0, 1), ('339C', 73.0, 2)]
    """
    said = (names.SEX, names.AGE_GROUP, names.AGE_BIN, names.AGE_MIDPOINT, names.EXACT_AGE)
    wanted = (names.DONOR, names.ASSAY, names.CHEMISTRY, *said)
    obs = obs.with_columns(
        pl.lit(None, pl.Float64 if name in (names.AGE_MIDPOINT, names.EXACT_AGE) else pl.String).alias(name)
        for name in wanted
        if name not in obs.columns
    ).filter(pl.col(names.DONOR).is_not_null())
    in_nuclei = (pl.col(names.ASSAY) == names.NUCLEI).fill_null(value=False)
    alone = [
        pl.when(pl.col(name).drop_nulls().n_unique() == 1).then(pl.col(name).drop_nulls().first()).alias(name)
        for name in said
    ]
    chemistry = pl.col(names.CHEMISTRY).filter(~in_nuclei).drop_nulls().unique().sort().str.join(" + ")
    donors = obs.group_by(names.DONOR).agg(
        *alone,
        chemistry=chemistry,
        cells=(~in_nuclei).sum().cast(pl.Int64),
        nuclei=in_nuclei.sum().cast(pl.Int64),
    )
    listed = study.donors().select(names.DONOR, exact="Age")
    listed = listed.filter(~pl.col(names.DONOR).is_in(contradicting(obs)))
    stated = pl.coalesce("exact", names.EXACT_AGE, names.AGE_MIDPOINT).cast(pl.Float64).alias(names.EXACT_AGE)
    return (
        donors.join(listed, on=names.DONOR, how="left")
        .with_columns(stated, pl.col("chemistry").replace("", None))
        .select(names.DONOR, names.SEX, names.EXACT_AGE, *said[1:4], "chemistry", names.CELLS, names.NUCLEI)
        .sort(names.EXACT_AGE, names.DONOR, nulls_last=True)
    )
