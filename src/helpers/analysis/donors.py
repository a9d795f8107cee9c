"""Who was sampled: donors, libraries, age bins, and which effects such a set of donors can estimate."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from helpers import names
from helpers.atlas import people
from helpers.facts import study

BY_DONOR_SCHEMA = {
    names.DONOR: pl.String,
    names.AGE_GROUP: pl.String,
    names.AGE_MIDPOINT: pl.Float64,
    names.EXACT_AGE: pl.Int64,
    names.SEX: pl.String,
    names.AGE_BIN: pl.String,
    names.CELLS: pl.Int64,
    names.NUCLEI: pl.Int64,
    "chemistry_cells": pl.String,
    "chemistry_nuclei": pl.String,
    "libraries": pl.Int64,
}
TERMS_SCHEMA = {
    names.ASSAY: pl.String,
    "term": pl.String,
    "estimable": pl.Boolean,
    "donors": pl.Int64,
    "residual_df": pl.Int64,
    "reason": pl.String,
}


def known(obs: pl.DataFrame, *columns: str) -> bool:
    """Tell whether every one of `columns` is there and holds a value."""
    return all(column in obs.columns and obs[column].null_count() < obs.height for column in columns)


def by_donor(obs: pl.DataFrame) -> pl.DataFrame:
    """Count what each donor gave.

    Parameters
    ----------
    obs
        One row a cell, with the columns of the release.

    Returns
    -------
    polars.DataFrame
        One row a donor, youngest first: age group, bin midpoint (years), exact age of the study's donor table where
        the donor is one of its seventeen and of the same age group and sex (years, else null), sex, cells, nuclei, chemistry per assay, libraries.
        Empty when the source has no donors.
    """
    if not known(obs, names.DONOR):
        return pl.DataFrame(schema=BY_DONOR_SCHEMA)
    plain = _plain(obs)
    counts = plain.group_by(names.DONOR).agg(
        pl.col(names.AGE_GROUP).drop_nulls().first(),
        pl.col(names.AGE_MIDPOINT).drop_nulls().first(),
        pl.col(names.SEX).drop_nulls().first(),
        pl.col(names.AGE_BIN).drop_nulls().first(),
        *(
            (pl.col(names.ASSAY) == assay).sum().cast(pl.Int64).alias(assay)
            for assay in (names.CELLS, names.NUCLEI)
        ),
        *(
            pl.col(names.CHEMISTRY)
            .filter(pl.col(names.ASSAY) == assay)
            .drop_nulls()
            .unique()
            .sort()
            .str.join(", ")
            .alias(f"chemistry_{assay}")
            for assay in (names.CELLS, names.NUCLEI)
        ),
        pl.col(names.SAMPLE).drop_nulls().n_unique().cast(pl.Int64).alias("libraries"),
    )
    exact = study.donors().select(names.DONOR, pl.col("Age").cast(pl.Int64).alias(names.EXACT_AGE))
    # a donor of a published name but of another age or sex is somebody else
    exact = exact.filter(~pl.col(names.DONOR).is_in(people.contradicting(plain)))
    return (
        counts.join(exact, on=names.DONOR, how="left")
        .select(pl.col(name).cast(kind) for name, kind in BY_DONOR_SCHEMA.items())
        .sort(pl.coalesce(names.EXACT_AGE, names.AGE_MIDPOINT), names.DONOR, nulls_last=True)
    )


def by_age_group(donors: pl.DataFrame) -> pl.DataFrame:
    """Count donors, cells and nuclei per age group; a group of one donor cannot be told from that donor.

    Parameters
    ----------
    donors
        What `by_donor` returns.
    """
    return (
        donors.filter(pl.col(names.AGE_GROUP).is_not_null())
        .group_by(names.AGE_GROUP)
        .agg(
            pl.len().cast(pl.Int64).alias("donors"),
            (pl.col(names.SEX) == names.FEMALE).sum().cast(pl.Int64).alias("women"),
            pl.col(names.CELLS).sum(),
            pl.col(names.NUCLEI).sum(),
            pl.col(names.DONOR).sort().str.join(", ").alias("who"),
        )
        .with_columns((pl.col("donors") == 1).alias("one_donor"))
        .sort(names.AGE_GROUP)
    )


def by_group(donors: pl.DataFrame) -> pl.DataFrame:
    """Count donors per assay, age bin and sex: who is compared with whom."""
    return pl.concat(
        [
            donors.filter(pl.col(assay) > 0)
            .group_by(names.AGE_BIN, names.SEX)
            .agg(
                pl.len().cast(pl.Int64).alias("donors"),
                pl.col(names.DONOR).sort().str.join(", ").alias("who"),
                pl.col(f"chemistry_{assay}")
                .value_counts()
                .sort()
                .struct.field(f"chemistry_{assay}")
                .str.join(" | ")
                .alias("chemistry"),
            )
            .select(pl.lit(assay).alias(names.ASSAY), names.AGE_BIN, names.SEX, "donors", "chemistry", "who")
            .sort(names.AGE_BIN, names.SEX, descending=[True, False])
            for assay in (names.CELLS, names.NUCLEI)
        ]
    )


def estimable_terms(donors: pl.DataFrame) -> pl.DataFrame:
    """Tell, per assay, which effects the donors can estimate beside age.

    A term is estimable when adding it to intercept and age raises the rank of the donor-level design by as many
    columns as it has, and leaves residual degrees of freedom. Nothing is fitted.

    Parameters
    ----------
    donors
        What `by_donor` returns.
    """
    rows = []
    for assay in (names.CELLS, names.NUCLEI):
        there = donors.filter(
            pl.col(assay) > 0, pl.col(names.AGE_BIN).is_not_null(), pl.col(names.SEX).is_not_null()
        )
        if there.is_empty():
            continue
        columns = _design_columns(there, assay)
        base = columns["1"]
        for term, added in columns.items():
            if term == "1":
                continue
            start = base if term == "age" else np.hstack([base, columns["age"]])
            if term == "age x sex":
                start = np.hstack([start, columns["sex"]])
            rank = np.linalg.matrix_rank(np.hstack([start, added]))
            gained = rank - np.linalg.matrix_rank(start)
            free = there.height - rank
            rows.append(
                {
                    names.ASSAY: assay,
                    "term": term,
                    "estimable": bool(gained == added.shape[1] > 0 and free > 0),
                    "donors": there.height,
                    "residual_df": int(free),
                    "reason": _reason(there, assay, term, gained=int(gained), wanted=added.shape[1]),
                }
            )
    return pl.DataFrame(rows, schema=TERMS_SCHEMA)


def _design_columns(there: pl.DataFrame, assay: str) -> Mapping[str, np.ndarray]:
    one = np.ones((there.height, 1))
    old = (there[names.AGE_BIN] == names.OLD).cast(pl.Float64).to_numpy()[:, None]
    male = (there[names.SEX] == names.MALE).cast(pl.Float64).to_numpy()[:, None]
    kinds = there[f"chemistry_{assay}"].fill_null("").to_list()
    levels = sorted(set(kinds))[1:]
    chemistry = np.array([[float(kind == level) for level in levels] for kind in kinds]).reshape(
        there.height, -1
    )
    return {"1": one, "age": old, "sex": male, "chemistry": chemistry, "age x sex": old * male}


def _reason(there: pl.DataFrame, assay: str, term: str, *, gained: int, wanted: int) -> str:
    if wanted == 0:
        return "one chemistry only"
    if gained == wanted:
        return "estimable"
    if term == "age x sex":
        empty = [
            f"{age} {sex}"
            for age in (names.YOUNG, names.OLD)
            for sex in (names.FEMALE, names.MALE)
            if there.filter((pl.col(names.AGE_BIN) == age) & (pl.col(names.SEX) == sex)).is_empty()
        ]
        return f"no donor is {' or '.join(empty)} in {assay}"
    return f"every donor of {assay} is alike, or the term repeats another one"


def _plain(obs: pl.DataFrame) -> pl.DataFrame:
    # labels as plain strings: categories of different sources cannot be joined
    return obs.with_columns(
        pl.col(column).cast(pl.String) for column in names.LABEL_COLUMNS if column in obs.columns
    )
