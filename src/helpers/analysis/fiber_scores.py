"""How slow or fast a nucleus is: gene-set scores, myosin molecules, and what a donor's nuclei add up to."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from anndata import AnnData
from scipy import sparse

from helpers import names
from helpers.analysis import composition, fibers
from helpers.analysis.composition_checks import AGE, ASSAY, TOTAL, TYPE, UNIT, N
from helpers.errors import TableError

SLOW_SCORE, FAST_SCORE, SCORE = "slow", "fast", "fiber_score"


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
    The rows with ``slow``, ``fast`` and ``fiber_score`` instead of the genes, and the genes used and left out. No row
    where no gene of one set is left.
    """
    used: dict[str, list[str]] = {}
    genes = {"slow": list(slow), "fast": list(fast)}
    for name, group in genes.items():
        used[name] = [g for g in group if g in expression.columns and (expression[g].max() or 0) > 0]
    if not (used["slow"] and used["fast"]):
        # half a score would be a score of something else
        expression = expression.clear()
    scored = expression.with_columns(
        (
            pl.mean_horizontal(pl.col(g) / pl.col(g).std() for g in used[name])
            if used[name]
            else pl.lit(None, pl.Float64)
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


def sum_genes(adata: AnnData | None, genes: Sequence[str]) -> pl.DataFrame:
    """Sum molecules of some genes over the nuclei of each donor: a composition whose types are genes.

    Parameters
    ----------
    adata
        Nuclei x genes with the layer of counts; None gives an empty composition.
    genes
        Genes among whose molecules shares are taken; those that are absent are left out.

    Raises
    ------
    TableError
        If fewer than two of the genes are there.
    """
    if adata is None:
        return _no_molecules()
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


def _no_molecules() -> pl.DataFrame:
    strings = dict.fromkeys((ASSAY, TYPE, UNIT, names.DONOR), pl.String)
    return pl.DataFrame(schema={**strings, N: pl.Int64, TOTAL: pl.Int64, AGE: pl.Float64})


def measure(
    obs: pl.DataFrame,
    scored: pl.DataFrame,
    molecules: pl.DataFrame,
    *,
    myosins: Mapping[str, str],
    min_cells: int = 5,
) -> dict[str, tuple[pl.DataFrame, str, str]]:
    """Reduce everything about fiber type in nuclei to values of donors, ready for `fibers.trace`.

    Parameters
    ----------
    obs
        Barcodes of donors with known age.
    scored
        Nuclei with their scores, from `score_nuclei`.
    molecules
        Myosin molecules per donor, from `sum_genes`.
    myosins
        Name of a fiber type to its myosin gene.
    min_cells
        Nuclei of a label that a donor needs for a mean.
    """
    one = fibers.type_one_shares(fibers.count_myonuclei(obs))
    found = {"type I among type I and II nuclei": (one, "log2_odds", "log2 odds")}
    odds = ((pl.col(N) + 0.5) / (pl.col(TOTAL) - pl.col(N) + 0.5)).log(2).alias("log2_odds")
    for name, gene in myosins.items():
        own = molecules.filter(pl.col(TYPE) == gene).with_columns(odds)
        found[f"{gene} ({name}) among myosin molecules"] = (own, "log2_odds", "log2 odds")
    for label, level in (
        (fibers.HYBRID, names.LEVEL0),
        *((junction, names.LEVEL1) for junction in fibers.JUNCTIONS),
    ):
        own = (
            fibers.label_shares(obs, [label], level=level, assay=names.NUCLEI)
            if obs.height
            else molecules.clear()
        )
        if own.height:
            found[f"{label} among all nuclei"] = (own, "log2_share", "log2 share")
    for label in fibers.MYONUCLEI:
        table = by_donor(scored, value=SCORE, label=label, min_cells=min_cells)
        found[f"fiber score of {label} nuclei"] = (table, SCORE, "scaled expression")
    for value, label in ((FAST_SCORE, fibers.TYPE_I), (SLOW_SCORE, fibers.TYPE_II)):
        table = by_donor(scored, value=value, label=label, min_cells=min_cells)
        found[f"{value} genes in {label} nuclei"] = (table, value, "scaled expression")
    return found
