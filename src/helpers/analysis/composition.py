"""What tissue is made of: counts of each type by donor, the unit that a test across age may use.

One row is one unit (a donor in one assay, or one library of that donor) and one type. Types that a unit lacks are
kept as zeros: a type that vanishes is a finding, not a missing row. Assays are never pooled, because what an assay
catches differs more between cells and nuclei than between young and old.
"""

from collections.abc import Sequence

import polars as pl

from helpers import names
from helpers.analysis.composition_checks import (
    AGE,
    ASSAY,
    GROUP,
    TOTAL,
    TYPE,
    UNIT,
    N,
    check_counts,
    check_donors,
    require_columns,
)
from helpers.atlas import people
from helpers.errors import TableError
from helpers.facts import study

_COVARIATES = (names.AGE_BIN, names.SEX, names.CHEMISTRY)


def composition(
    obs: pl.DataFrame,
    *,
    level: str = names.LEVEL0,
    unit: str = "donor",
    within: Sequence[str] | None = None,
    age_as: str = "exact",
) -> pl.DataFrame:
    """Count the barcodes of each type in each donor (or library) of each assay.

    Parameters
    ----------
    obs
        One row per barcode: donor, assay, the column `level`, and where present library, sex, age and chemistry.
    level
        Column of labels that are counted.
    unit
        ``"donor"`` (donor x assay) or ``"library"`` (library, with the donor it came from).
    within
        Labels among which shares are taken, such as the two kinds of myonuclei; all labels where None.
    age_as
        ``"exact"``: age in years from the published donor table where it knows every donor; ``"midpoint"``: the
        middle of the age group, as deposited.

    Returns
    -------
    One row per assay, unit and type: n, total (barcodes of the unit, among `within`), age (years), age group, sex,
    chemistry (the one of most barcodes). Every type of an assay has a row in every unit of that assay.

    Raises
    ------
    TableError
        If columns are missing, a barcode lacks donor, assay or label, or no barcode carries a label of `within`.
    """
    if unit not in {"donor", "library"}:
        msg = f"unit {unit!r} is not a unit of composition: choose 'donor' or 'library'."
        raise TableError(msg)
    by = [names.ASSAY, names.DONOR] + ([names.SAMPLE] if unit == "library" else [])
    require_columns(obs, [*by, level])
    full = obs.height
    if within is not None:
        obs = obs.filter(pl.col(level).is_in(list(within)))
        if obs.is_empty() and full:
            msg = f"no barcode carries one of the labels {list(within)} in column {level!r}."
            raise TableError(msg)
    labels = [pl.col(column).cast(pl.String) for column in (*by, level)]
    cells = with_age(obs, age_as=age_as).with_columns(labels)
    units = cells.group_by(by).agg(pl.len().cast(pl.Int64).alias(TOTAL), *_describe(cells))
    counted = cells.group_by([*by, level]).agg(pl.len().cast(pl.Int64).alias(N))
    grid = units.join(counted.select(names.ASSAY, level).unique(), on=names.ASSAY)
    table = grid.join(counted, on=[*by, level], how="left").with_columns(pl.col(N).fill_null(0))
    table = table.rename({names.ASSAY: ASSAY, level: TYPE})
    table = table.with_columns(pl.col(names.DONOR if unit == "donor" else names.SAMPLE).alias(UNIT))
    order = [ASSAY, TYPE, UNIT, names.DONOR, N, TOTAL]
    return table.select(*order, pl.exclude(*order, names.SAMPLE)).sort(ASSAY, TYPE, AGE, UNIT)


def with_age(obs: pl.DataFrame, *, age_as: str = "exact") -> pl.DataFrame:
    """Add each barcode's age in years.

    ``"exact"`` takes a column of ages that is there already, else the published donor table when it knows every
    donor and contradicts none, else the midpoint of the age group; ``"midpoint"`` the last of these. Null where there is none.
    """
    if age_as == "exact":
        if AGE in obs.columns and obs[AGE].null_count() == 0:
            return obs.with_columns(pl.col(AGE).cast(pl.Float64))
        known = dict(study.donors().select("DonorID", pl.col("Age").cast(pl.Float64)).iter_rows())
        donors = obs[names.DONOR].cast(pl.String)
        if set(donors.unique()) <= set(known) and not people.contradicting(obs):
            return obs.with_columns(donors.replace_strict(known, return_dtype=pl.Float64).alias(AGE))
    if names.AGE_MIDPOINT in obs.columns:
        return obs.with_columns(pl.col(names.AGE_MIDPOINT).cast(pl.Float64).alias(AGE))
    return obs.with_columns(pl.lit(None, dtype=pl.Float64).alias(AGE))


def usable(obs: pl.DataFrame, *, level: str = names.LEVEL0) -> pl.DataFrame:
    """Return the barcodes whose donor, assay, label and age are known; none where a column is missing."""
    if missing(obs, level=level):
        lacking = [
            c for c in (names.ASSAY, names.DONOR, names.SAMPLE, level, names.LEVEL0) if c not in obs.columns
        ]
        return obs.clear().with_columns(pl.lit(None, dtype=pl.String).alias(c) for c in lacking)
    known = pl.all_horizontal(pl.col(names.ASSAY, names.DONOR, level).is_not_null())
    obs = with_age(obs.filter(known))
    return obs.filter(pl.col(AGE).is_not_null())


def missing(obs: pl.DataFrame, *, level: str = names.LEVEL0) -> list[str]:
    """Name what a composition by donor across age needs and these barcodes do not have."""
    needed = {names.DONOR: "donors", names.ASSAY: "assays", level: "labels"}
    lacking = [
        f"{what} ({column})"
        for column, what in needed.items()
        if column not in obs.columns or obs[column].null_count() == obs.height
    ]
    if names.DONOR in obs.columns and with_age(obs)[AGE].null_count() == obs.height:
        lacking.append("ages")
    return lacking


def composition_from_counts(
    table: pl.DataFrame,
    *,
    donor: str = "donor",
    kind: str = TYPE,
    n: str = N,
    age: str | None = None,
    group: str | None = None,
    assay: str | None = None,
    covariates: Sequence[str] = (),
) -> pl.DataFrame:
    """Turn a plain count table of any study into a composition that every test here takes.

    Parameters
    ----------
    table
        One row per donor (and assay) and type. Rows that are absent count as zero.
    donor
        Column that names the donor.
    kind
        Column that names the type.
    n
        Column of counts: whole numbers, zero or more.
    age
        Column of ages (years); give this or `group`.
    group
        Column of two groups of donors: old is compared with young, else the second in sorted order with the first.
    assay
        Column that names the assay; one assay where None.
    covariates
        Further columns, one value per donor, that a test may adjust for.

    Raises
    ------
    TableError
        If a column is missing, a donor is empty, a row occurs twice, a count is negative or not whole, or a value
        that should belong to the donor changes within a donor.
    DesignError
        If a donor has no counts at all, a covariate is the same in every donor, the groups are not two, or there are
        fewer than three donors in a group (or in all).

    Examples
    --------
    >>> counts = pl.DataFrame({"donor": list("abcdef") * 2, "type": ["T"] * 6 + ["B"] * 6, "n": [9, 8, 7, 3, 4, 5] * 2,
    ...                        "group": ["old", "old", "old", "young", "young", "young"] * 2})
    >>> composition_from_counts(counts, group="group").shape
    (12, 7)
    """
    exposure = _exposure(age, group)
    chosen = [donor, kind, n, exposure, *covariates, *([assay] if assay else [])]
    require_columns(table, chosen)
    table = table.select(chosen).rename(
        {donor: names.DONOR, kind: TYPE, n: N, exposure: AGE if age else GROUP}
    )
    table = table.rename({assay: ASSAY}) if assay else table.with_columns(pl.lit("all").alias(ASSAY))
    check_counts(table)
    if table.is_empty():
        msg = "the table has no rows."
        raise TableError(msg)
    constant = [AGE if age else GROUP, *covariates]
    units = table.group_by(ASSAY, names.DONOR).agg(
        pl.col(N).cast(pl.Int64).sum().alias(TOTAL), pl.col(constant).first()
    )
    check_donors(table, units, constant=constant, exposure=constant[0])
    types = table.select(ASSAY, TYPE).unique()
    counted = table.select(ASSAY, names.DONOR, TYPE, pl.col(N).cast(pl.Int64))
    full = units.join(types, on=ASSAY).join(counted, on=[ASSAY, names.DONOR, TYPE], how="left")
    full = full.with_columns(pl.col(N).fill_null(0), pl.col(names.DONOR).cast(pl.String).alias(UNIT))
    if age:
        full = full.with_columns(pl.col(AGE).cast(pl.Float64))
    order = [ASSAY, TYPE, UNIT, names.DONOR, N, TOTAL]
    return full.select(*order, pl.exclude(order)).sort(ASSAY, TYPE, UNIT)


def shares(table: pl.DataFrame) -> pl.DataFrame:
    """Add the share of each type among the barcodes of its unit."""
    return table.with_columns((pl.col(N) / pl.col(TOTAL)).alias("share"))


def _describe(cells: pl.DataFrame) -> list[pl.Expr]:
    described = [pl.col(AGE).mean()]
    described += [
        pl.col(c).cast(pl.String).mode().sort().first().alias(c) for c in _COVARIATES if c in cells.columns
    ]
    return described


def _exposure(age: str | None, group: str | None) -> str:
    if (age is None) == (group is None):
        msg = "give one of age (a column of years) and group (a column of two groups of donors)."
        raise TableError(msg)
    return str(age or group)
