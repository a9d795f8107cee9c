"""Fiber types: the share of type I among myonuclei, a continuous score, myosin molecules, fragments.

Every quantity is reduced to one value per donor before it meets age. A share of nuclei is not a share of fibers: fibers
differ in length and in nuclei per length, and only imaging counts fibers.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from helpers import names
from helpers.analysis import composition, donor_slopes
from helpers.analysis.composition_checks import AGE, ASSAY, TOTAL, TYPE, N

TYPE_I, TYPE_II, HYBRID = "MF-I", "MF-II", "Hyb"
MYONUCLEI = (TYPE_I, TYPE_II)
FRAGMENTS = ("MF-Isc(fg)", "MF-IIsc(fg)", "MF-Isn(fg)", "MF-IIsn(fg)")
JUNCTIONS = ("NMJ", "NMJ_accessory", "MTJ")
SLOW_SCORE, FAST_SCORE, SCORE = "slow", "fast", "fiber_score"


def card_ratio(
    obs: pl.DataFrame,
    *,
    young: Sequence[str] = ("15-20", "25-30", "35-40"),
    old: Sequence[str] = ("60-65", "70-75"),
) -> tuple[pl.DataFrame, dict[str, float | None]]:
    """Compute the share of type I the way the dataset card suggests: pooled cells per age group, groups averaged.

    Parameters
    ----------
    obs
        One row per barcode with age group and level-0 label.
    young, old
        Age groups that the card averages, each group with the same weight however many donors it has.

    Returns
    -------
    One row per age group (counts of both types, ratio, donors), and the two averages with their relative change.
    """
    by_group = (
        obs.with_columns(pl.col(names.AGE_GROUP, names.LEVEL0, names.DONOR).cast(pl.String))
        .filter(pl.col(names.LEVEL0).is_in(MYONUCLEI))
        .group_by(names.AGE_GROUP)
        .agg(
            (pl.col(names.LEVEL0) == TYPE_I).sum().alias(TYPE_I),
            (pl.col(names.LEVEL0) == TYPE_II).sum().alias(TYPE_II),
            pl.col(names.DONOR).n_unique().alias("donors"),
        )
        .with_columns((pl.col(TYPE_I) / (pl.col(TYPE_I) + pl.col(TYPE_II))).alias("type_I_ratio"))
        .sort(names.AGE_GROUP)
    )
    means = {
        key: by_group.filter(pl.col(names.AGE_GROUP).is_in(list(groups)))["type_I_ratio"].mean()
        for key, groups in (("young", young), ("old", old))
    }
    change = None if None in means.values() else (means["old"] - means["young"]) / means["young"]
    return by_group, {**means, "relative_change": change}


def count_myonuclei(obs: pl.DataFrame) -> pl.DataFrame:
    """Return the composition among type I and type II nuclei, donors as units; no rows where there are none."""
    kept = obs.filter(pl.col(names.LEVEL0).cast(pl.String).is_in(MYONUCLEI))
    return composition.composition(kept)


def type_one_shares(table: pl.DataFrame, *, assay: str = names.NUCLEI) -> pl.DataFrame:
    """Return the share of type I among type I and II nuclei, one row per donor, with its log-odds.

    Parameters
    ----------
    table
        Composition among `MYONUCLEI`, donors as units.
    assay
        Which assay.
    """
    one = table.filter((pl.col(ASSAY) == assay) & (pl.col(TYPE) == TYPE_I))
    odds = (pl.col(N) + 0.5) / (pl.col(TOTAL) - pl.col(N) + 0.5)
    return one.with_columns((pl.col(N) / pl.col(TOTAL)).alias("share"), odds.log(2).alias("log2_odds")).sort(
        AGE
    )


def label_shares(
    obs: pl.DataFrame, labels: Sequence[str], *, level: str, assay: str, unit: str = "donor"
) -> pl.DataFrame:
    """Return counts and shares of some labels in every donor (or library) of one assay, zeros kept."""
    table = composition.composition(
        obs.filter(pl.col(names.ASSAY).cast(pl.String) == assay), level=level, unit=unit
    )
    kept = table.filter(pl.col(TYPE).is_in(list(labels)))
    return kept.with_columns(
        (pl.col(N) / pl.col(TOTAL)).alias("share"),
        ((pl.col(N) + 0.5) / (pl.col(TOTAL) + 1)).log(2).alias("log2_share"),
    )


def fragment_shares(obs: pl.DataFrame) -> pl.DataFrame:
    """Return the share of fiber fragments in every library, with assay and chemistry."""
    table = composition.composition(obs, unit="library").filter(pl.col(TYPE).is_in(list(FRAGMENTS)))
    return composition.shares(table)


def compare_ratios(obs: pl.DataFrame, shares: pl.DataFrame, card: Mapping[str, float | None]) -> pl.DataFrame:
    """Return the type I share of young and old under several ways of averaging the same nuclei.

    Parameters
    ----------
    obs
        Barcodes with age bin and level-0 label.
    shares
        One row per donor, from `type_one_shares`.
    card
        The averages of `card_ratio`.
    """
    myonuclei = obs.filter(pl.col(names.LEVEL0).cast(pl.String).is_in(MYONUCLEI))
    pooled = dict(
        myonuclei.group_by(pl.col(names.AGE_BIN).cast(pl.String))
        .agg((pl.col(names.LEVEL0).cast(pl.String) == TYPE_I).mean())
        .iter_rows()
    )
    means = dict(shares.group_by(names.AGE_BIN).agg(pl.col("share").mean()).iter_rows())
    medians = dict(shares.group_by(names.AGE_BIN).agg(pl.col("share").median()).iter_rows())
    rows = [
        {"way": "age groups averaged, as the card does", "young": card["young"], "old": card["old"]},
        *(
            {"way": way, "young": found.get(names.YOUNG), "old": found.get(names.OLD)}
            for way, found in (
                ("all nuclei of young and old pooled", pooled),
                ("mean over donors", means),
                ("median over donors", medians),
            )
        ),
    ]
    schema = {"way": pl.String, "young": pl.Float64, "old": pl.Float64}
    return pl.DataFrame(rows, schema=schema).with_columns(
        (pl.col("old") - pl.col("young")).alias("difference")
    )


def find_myonuclei(obs: pl.DataFrame, *, usable: pl.DataFrame) -> pl.Series:
    """Return one truth value per barcode of `obs`: a type I, type II or hybrid nucleus of a usable donor."""
    kept = usable.filter(pl.col(names.LEVEL0).cast(pl.String).is_in([*MYONUCLEI, HYBRID]))
    return obs[names.BARCODE].cast(pl.String).is_in(kept[names.BARCODE].cast(pl.String).implode())


def subtypes(obs: pl.DataFrame, *, parent: str, assay: str) -> pl.DataFrame:
    """Return the composition of the finest labels among the barcodes of one type, in one assay."""
    own = obs.filter(
        (pl.col(names.LEVEL0).cast(pl.String) == parent) & (pl.col(names.ASSAY).cast(pl.String) == assay)
    )
    return composition.composition(own, level=names.LEVEL2)


def beside_pooled(table: pl.DataFrame, results: pl.DataFrame) -> pl.DataFrame:
    """Set the shares of pooled young and old barcodes beside the donor-level effect of each type."""
    pooled = (
        table.group_by(TYPE, names.AGE_BIN).agg(pl.col(N).sum(), pl.col(TOTAL).sum())
        .with_columns((pl.col(N) / pl.col(TOTAL)).alias("share"))
        .group_by(TYPE)
        .agg(
            pl.col("share").filter(pl.col(names.AGE_BIN) == group).first().alias(f"pooled_{group}")
            for group in (names.YOUNG, names.OLD)
        )
        .with_columns((pl.col("pooled_old") / pl.col("pooled_young")).log(2).alias("pooled_log2_ratio"))
    )  # fmt: skip
    effects = results.select(TYPE, "log2_change", "low", "high", "p", "q", "per", "total", "left_out")
    return (
        pooled.join(effects, on=TYPE)
        .sort("total", descending=True)
        .with_columns(
            (pl.col("pooled_log2_ratio").sign() != pl.col("log2_change").sign())
            .fill_null(value=False)
            .alias("signs_differ")
        )
    )


def contrast_chemistry(fragments: pl.DataFrame, *, assay: str = names.CELLS) -> dict[str, float | int | None]:
    """Return log2 of the mean fragment share of newer over that of older chemistry, donors averaged, and the donors."""
    empty: dict[str, float | int | None] = {"log2_ratio": None, "donors": 0}
    if names.CHEMISTRY not in fragments.columns:
        return empty
    own = fragments.filter((pl.col(ASSAY) == assay) & pl.col(names.CHEMISTRY).is_in([names.V2, names.V3]))
    library = own.group_by("unit").agg(pl.col("share").sum(), pl.col(names.DONOR, names.CHEMISTRY).first())
    donors = library.group_by(names.DONOR, names.CHEMISTRY).agg(pl.col("share").mean())
    means = dict(donors.group_by(names.CHEMISTRY).agg(pl.col("share").mean()).iter_rows())
    if not all(means.get(chemistry) for chemistry in (names.V2, names.V3)):
        return {**empty, "donors": donors[names.DONOR].n_unique()}
    return {
        "log2_ratio": float(np.log2(means[names.V3] / means[names.V2])),
        "donors": donors[names.DONOR].n_unique(),
    }


def trace(
    measures: Mapping[str, tuple[pl.DataFrame, str, str]],
    *,
    covariates: Sequence[str] = (),
    seed: int = 0,
    draws: int = 20_000,
) -> pl.DataFrame:
    """Fit every measure across age, donors as units, and stack the rows.

    Parameters
    ----------
    measures
        Name of a measure to its table (one row per donor), the column of its values, and their unit.
    covariates
        Columns to adjust for where they can be estimated.
    seed, draws
        Of the permutation tests.
    """
    rows = [pl.DataFrame(schema=donor_slopes.SCHEMA)]
    rows += [
        donor_slopes.fit(
            table, value=value, measure=name, unit=unit, covariates=covariates, seed=seed, draws=draws
        )
        for name, (table, value, unit) in measures.items()
    ]
    return pl.concat(rows)
