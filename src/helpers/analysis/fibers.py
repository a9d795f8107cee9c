"""Fiber types: the share of type I among myonuclei, a continuous score, myosin molecules, fragments.

Every quantity is reduced to one value per donor before it meets age. A share of nuclei is not a share of fibers: fibers
differ in length and in nuclei per length, and only imaging counts fibers.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from anndata import AnnData
from scipy import sparse

from helpers import names
from helpers.analysis import composition, donor_slopes
from helpers.analysis.composition_checks import AGE, ASSAY, TOTAL, TYPE, N
from helpers.errors import TableError

TYPE_I, TYPE_II, HYBRID, SPECIAL = "MF-I", "MF-II", "Hyb", "Specialised MF"
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
    parts = [
        label_shares(obs, FRAGMENTS, level=names.LEVEL0, assay=assay, unit="library")
        for assay in sorted(obs[names.ASSAY].cast(pl.String).unique())
    ]
    return pl.concat(parts, how="diagonal") if parts else composition.composition(obs, unit="library")


def score_nuclei(
    expression: pl.DataFrame, *, slow: Sequence[str], fast: Sequence[str]
) -> tuple[pl.DataFrame, dict[str, list[str]]]:
    """Score nuclei from fast to slow: mean of slow genes minus mean of fast genes, each scaled by its spread.

    Parameters
    ----------
    expression
        One row per nucleus: log-normalized genes beside any columns of `obs`.
    slow, fast
        Genes. Those that are absent, or zero in every nucleus (as some genes are in nuclei), are left out and named.

    Returns
    -------
    The rows with ``slow``, ``fast`` and ``fiber_score`` instead of the genes, and the genes used and left out.

    Raises
    ------
    TableError
        If no gene of one set is left.
    """
    used: dict[str, list[str]] = {}
    genes = {"slow": list(slow), "fast": list(fast)}
    for name, group in genes.items():
        used[name] = [g for g in group if g in expression.columns and (expression[g].max() or 0) > 0]
        if not used[name] and expression.height:
            msg = f"none of the {name} genes {group} is expressed here; a fiber score needs both sets."
            raise TableError(msg)
    scored = expression.with_columns(
        (
            pl.mean_horizontal(pl.col(g) / pl.col(g).std() for g in used[name])
            if used[name]
            else pl.lit(None)
        ).alias(name)
        for name in genes
    ).with_columns((pl.col(SLOW_SCORE) - pl.col(FAST_SCORE)).alias(SCORE))
    every = {*slow, *fast}
    used["left_out"] = sorted(every - set(used["slow"]) - set(used["fast"]))
    return scored.drop([g for g in every if g in scored.columns]), used


def by_donor(
    scored: pl.DataFrame, *, value: str, label: str, level: str = names.LEVEL0, min_cells: int = 5
) -> pl.DataFrame:
    """Return the mean of a value over the nuclei of one label, one row per donor with at least `min_cells` of them."""
    chosen = scored.filter(pl.col(level).cast(pl.String) == label).with_columns(
        pl.col(names.DONOR).cast(pl.String)
    )
    described = [c for c in (names.AGE_BIN, names.SEX) if c in chosen.columns]
    return (
        composition.with_age(chosen)
        .group_by(names.DONOR)
        .agg(
            pl.col(value).mean(),
            pl.col(value).std().alias("spread"),
            pl.len().alias("n"),
            pl.col(AGE).first(),
            *(pl.col(c).cast(pl.String).first() for c in described),
            *(
                [pl.col(names.CHEMISTRY).cast(pl.String).mode().sort().first()]
                if names.CHEMISTRY in chosen.columns
                else []
            ),
        )
        .filter(pl.col("n") >= min_cells)
        .sort(AGE, names.DONOR)
    )


def sum_genes(adata: AnnData, genes: Sequence[str]) -> pl.DataFrame:
    """Sum molecules of some genes over the nuclei of each donor: a composition whose types are genes.

    Parameters
    ----------
    adata
        Nuclei x genes with the layer of counts.
    genes
        Genes among whose molecules shares are taken; those that are absent are left out.

    Raises
    ------
    TableError
        If fewer than two of the genes are there.
    """
    kept = [gene for gene in genes if gene in adata.var_names]
    if len(kept) < 2:
        msg = f"of the genes {list(genes)} only {kept} are here; shares need two."
        raise TableError(msg)
    counts = adata[:, kept].layers[names.COUNTS]
    dense = counts.toarray() if sparse.issparse(counts) else np.asarray(counts)
    columns = [
        c
        for c in (names.DONOR, names.AGE_BIN, names.SEX, names.CHEMISTRY, names.AGE_MIDPOINT)
        if c in adata.obs
    ]
    obs = pl.from_pandas(adata.obs[columns].reset_index(drop=True)).with_columns(
        pl.col(names.DONOR).cast(pl.String)
    )
    obs = composition.with_age(obs).hstack(pl.DataFrame(dense.astype(np.int64), schema=kept))
    described = [c for c in (names.AGE_BIN, names.SEX) if c in columns]
    summed = obs.group_by(names.DONOR).agg(
        pl.col(kept).sum(),
        pl.col(AGE).first(),
        *(pl.col(c).cast(pl.String).first() for c in described),
        *(
            [pl.col(names.CHEMISTRY).cast(pl.String).mode().sort().first()]
            if names.CHEMISTRY in columns
            else []
        ),
    )
    long = summed.unpivot(
        on=kept, index=[c for c in summed.columns if c not in kept], variable_name=TYPE, value_name=N
    )
    long = long.with_columns(
        pl.lit(names.NUCLEI).alias(ASSAY),
        pl.col(names.DONOR).alias(composition.UNIT),
        pl.col(N).sum().over(names.DONOR).alias(TOTAL),
    ).filter(pl.col(TOTAL) > 0)
    order = [ASSAY, TYPE, composition.UNIT, names.DONOR, N, TOTAL]
    return long.select(*order, pl.exclude(order)).sort(ASSAY, TYPE, AGE, composition.UNIT)


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
