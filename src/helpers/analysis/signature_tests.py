"""Signatures across age, tested on donors: slopes, the null of random sets, leave one gene out, confounders."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import polars as pl
import scipy.sparse as sp
from anndata import AnnData
from scipy import stats
from scipy.stats import false_discovery_control

from helpers import names
from helpers.analysis import donor_slopes, signatures
from helpers.analysis.composition_design import choose_covariates, design_matrix
from helpers.facts import study

SLOPES_SCHEMA = {
    "signature": pl.String,
    "type": pl.String,
    "assay": pl.String,
    "method": pl.String,
    "genes": pl.Int64,
    "donors": pl.Int64,
    "slope_per_decade": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "p": pl.Float64,
    "q": pl.Float64,
    "lowest_without_one": pl.Float64,
    "highest_without_one": pl.Float64,
    "most_influential": pl.String,
    "adjusted_for": pl.String,
}
NULL_SCHEMA = {
    "signature": pl.String,
    "slope_per_decade": pl.Float64,
    "null_low": pl.Float64,
    "null_high": pl.Float64,
    "empirical_p": pl.Float64,
    "sets": pl.Int64,
}
WITHOUT_SCHEMA = {"signature": pl.String, "gene": pl.String, "slope_per_decade": pl.Float64}
ENRICHED_SCHEMA = {"signature": pl.String, "genes": pl.Int64, "score": pl.Float64, "q": pl.Float64}
CONFOUNDER_SCHEMA = {
    "signature": pl.String,
    "with": pl.String,
    "donors": pl.Int64,
    "spearman": pl.Float64,
    "p": pl.Float64,
}
_FIT_COVARIATES = (names.SEX, names.CHEMISTRY)


def slopes(scores: pl.DataFrame, *, min_donors: int = 6) -> pl.DataFrame:
    """Fit each signature's score on age over donors, per type, assay and method.

    Sex and chemistry are in the model where the donors allow it. The 95 % interval is from the t distribution; q is
    Benjamini and Hochberg's over all rows of one method.

    Parameters
    ----------
    scores
        What `signatures.score_profiles` or `signatures.score_cells` return.
    min_donors
        Groups with fewer donors of known age are left out.
    """
    rows = []
    keys = ["signature", "type", "assay", "method"]
    for key, part in scores.filter(pl.col("age").is_not_null()).group_by(keys, maintain_order=True):
        if part.height < min_donors:
            continue
        found = donor_slopes.fit(
            part, value="score", measure=str(key[0]), unit="score", covariates=_FIT_COVARIATES, draws=100
        ).row(0, named=True)
        if found["slope_per_decade"] is None:
            continue
        rows.append({**dict(zip(keys, key, strict=True)), "genes": part["genes"].max(), "q": None, **found})
    table = pl.DataFrame(
        [{name: row.get(name) for name in SLOPES_SCHEMA} for row in rows], schema=SLOPES_SCHEMA
    )
    if table.is_empty():
        return table
    parts = [
        part.with_columns(pl.Series("q", false_discovery_control(part["p"].to_numpy())))
        for _, part in table.group_by("method", maintain_order=True)
    ]
    return pl.concat(parts).sort("p", "signature", "type")


def random_null(
    profiles: AnnData,
    sets: Mapping[str, Sequence[str]],
    *,
    cell_type: str,
    assay: str,
    n_random: int,
    seed: int = 0,
) -> pl.DataFrame:
    """Set each signature's slope beside those of random gene sets of like size and expression.

    A tissue-wide drift, a change of library size or of chemistry moves every set. Only a signature that moves more
    than random sets do says something of its own.

    Parameters
    ----------
    profiles
        Profiles x genes, molecules.
    sets
        Genes by signature.
    cell_type, assay
        Which profiles.
    n_random
        Random sets a signature; genes are drawn from the same tenth of mean expression.
    seed
        Of the draw.

    Returns
    -------
    polars.DataFrame
        signature, slope per decade (of the same model as `slopes`, so that band and estimate can be compared), central
        95 % of the null, empirical two-sided p (distance from the middle of the null, the observed one counted), number
        of random sets.
    """
    logs, people, labels = _one_type(profiles, cell_type, assay)
    gene_slopes = _gene_slopes(logs, people)
    if gene_slopes is None:
        return pl.DataFrame(schema=NULL_SCHEMA)
    bins = np.argsort(np.argsort(logs.mean(axis=0))) * 10 // logs.shape[1]
    members = [np.flatnonzero(bins == number) for number in range(10)]
    place = {gene: number for number, gene in enumerate(labels)}
    rng = np.random.default_rng(seed)
    rows = []
    for name, genes in sets.items():
        at = np.array([place[gene] for gene in genes if gene in place])
        if len(at) < signatures.MIN_GENES:
            continue
        draws = np.stack(
            [members[bins[gene]][rng.integers(0, len(members[bins[gene]]), n_random)] for gene in at]
        )
        null = gene_slopes[draws].mean(axis=0)
        found = float(gene_slopes[at].mean())
        middle = np.median(null)
        extreme = int((np.abs(null - middle) >= abs(found - middle) - 1e-12).sum())
        low, high = np.quantile(null, [0.025, 0.975])
        rows.append((name, found, float(low), float(high), (1 + extreme) / (1 + n_random), n_random))
    return pl.DataFrame(rows, schema=NULL_SCHEMA, orient="row").sort("empirical_p", "signature")


def without_one_gene(
    profiles: AnnData, sets: Mapping[str, Sequence[str]], *, cell_type: str, assay: str
) -> pl.DataFrame:
    """Return the slope of each signature, of the same model as `slopes`, with each of its genes left out in turn."""
    logs, people, labels = _one_type(profiles, cell_type, assay)
    found = _gene_slopes(logs, people)
    if found is None:
        return pl.DataFrame(schema=WITHOUT_SCHEMA)
    gene_slopes = dict(zip(labels, found, strict=True))
    rows = []
    for name, genes in sets.items():
        mine = {gene: gene_slopes[gene] for gene in genes if gene in gene_slopes}
        if len(mine) > signatures.MIN_GENES:
            total = sum(mine.values())
            rows += [(name, gene, (total - slope) / (len(mine) - 1)) for gene, slope in mine.items()]
    return pl.DataFrame(rows, schema=WITHOUT_SCHEMA, orient="row")


def confounders(
    scores: pl.DataFrame, *, cell_type: str, assay: str, stress: str = "dissociation stress"
) -> pl.DataFrame:
    """Correlate each signature over donors with age, with days in hospital and with the stress score.

    Parameters
    ----------
    scores
        What `signatures.score_profiles` returns.
    cell_type, assay
        Which donors' profiles.
    stress
        Signature that stands for handling of the tissue.
    """
    mine = scores.filter((pl.col("type") == cell_type) & (pl.col("assay") == assay))
    days = study.donors().select(names.DONOR, pl.col("hospital_days").cast(pl.Float64))
    mine = mine.join(days, on=names.DONOR, how="left")
    handled = mine.filter(pl.col("signature") == stress).select(names.DONOR, pl.col("score").alias("stress"))
    mine = mine.join(handled, on=names.DONOR, how="left")
    rows = []
    for (name,), part in mine.group_by(["signature"], maintain_order=True):
        for label, column in (
            ("age", "age"),
            ("hospital days", "hospital_days"),
            ("dissociation stress", "stress"),
        ):
            both = part.select("score", column).drop_nulls()
            if both.height < 5 or both[column].n_unique() < 2 or (name == stress and column == "stress"):
                continue
            found = stats.spearmanr(both["score"].to_numpy(), both[column].to_numpy())
            rows.append((name, label, both.height, float(found.statistic), float(found.pvalue)))
    return pl.DataFrame(rows, schema=CONFOUNDER_SCHEMA, orient="row")


def enrich(tested: pl.DataFrame, sets: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """Test whether the genes of each set lie to one side of all tested genes (decoupler's univariate model [1]_).

    The model takes genes for independent. Genes of a set vary together, so its p-values are too small: read the order.

    Parameters
    ----------
    tested
        Genes of one type and assay with log2_change and F, as `expression.age_de` returns.
    sets
        Genes by signature.

    Returns
    -------
    polars.DataFrame
        signature, genes tested, score (t of the set among genes; above zero: rises with age), q (adjusted over sets).

    References
    ----------
    .. [1] Badia-i-Mompel et al. (2022), Bioinformatics Advances, doi:10.1093/bioadv/vbac016
    """
    have = set(tested["gene"])
    net = pd.DataFrame(
        [(name, gene, 1.0) for name, members in sets.items() for gene in members if gene in have],
        columns=["source", "target", "weight"],
    )
    sizes = net["source"].value_counts()
    if tested.is_empty() or not (sizes >= signatures.MIN_GENES).any():
        return pl.DataFrame(schema=ENRICHED_SCHEMA)
    signed = tested["log2_change"].sign().to_numpy() * np.sqrt(tested["F"].to_numpy())
    ranking = pd.DataFrame([signed], index=["age"], columns=tested["gene"].to_list())
    scores, adjusted = signatures.load_decoupler().mt.ulm(ranking, net, tmin=signatures.MIN_GENES)
    rows = [
        (name, int(sizes[name]), float(scores.loc["age", name]), float(adjusted.loc["age", name]))
        for name in scores.columns
    ]
    return pl.DataFrame(rows, schema=ENRICHED_SCHEMA, orient="row").sort("q", "signature")


def headline(
    table: pl.DataFrame, signature: str, *, cell_type: str, assay: str, method: str
) -> dict[str, object]:
    """Return slope, interval, p, q and the range without one donor of one row of `slopes`; all none if it is absent.

    Parameters
    ----------
    table
        What `slopes` returns.
    signature, cell_type, assay, method
        Which row.
    """
    keys = ("slope_per_decade", "p", "q", "lowest_without_one", "highest_without_one", "donors")
    rows = table.filter(
        (pl.col("signature") == signature)
        & (pl.col("type") == cell_type)
        & (pl.col("assay") == assay)
        & (pl.col("method") == method)
    )
    if rows.is_empty():
        return {**dict.fromkeys(keys), "interval": None}
    row = rows.row(0, named=True)
    return {**{key: row[key] for key in keys}, "interval": (row["low"], row["high"])}


def compare_with_truth(
    table: pl.DataFrame,
    scored: Mapping[tuple[str, str, str], Sequence[str]],
    truth: pl.DataFrame | None,
    *,
    method: str = signatures.PROFILE,
) -> pl.DataFrame:
    """Set each slope beside what was planted in the genes of the set.

    Parameters
    ----------
    table
        What `slopes` returns.
    scored
        Genes that were scored by assay, type and signature: what `signatures.scored_genes` returns.
    truth
        Planted effects (assay, annotation_level0, annotation_level2, gene, log2_change_per_decade), or none.
    method
        Rows of this method are compared: only the score of profiles is in log2 units.

    Returns
    -------
    polars.DataFrame
        The rows with `planted_slope`, the planted change averaged over the genes of the set that were scored (zero for
        a gene without a plant), and `covered`, whether the 95 % interval holds it. Empty without a truth.
    """
    rows = table.filter(pl.col("method") == method)
    if truth is None or rows.is_empty():
        return rows.clear().with_columns(
            pl.lit(None, dtype=pl.Float64).alias("planted_slope"),
            pl.lit(None, dtype=pl.Boolean).alias("covered"),
        )
    whole = truth.filter(pl.col(names.LEVEL2).is_null())
    effects = whole.group_by("assay", names.LEVEL0, "gene").agg(pl.col("log2_change_per_decade").sum())
    effect = {(assay, kind, gene): change for assay, kind, gene, change in effects.iter_rows()}
    planted = [
        sum(
            effect.get((row["assay"], row["type"], gene), 0.0)
            for gene in scored.get((row["assay"], row["type"], row["signature"]), ())
        )
        / row["genes"]
        for row in rows.iter_rows(named=True)
    ]
    return rows.with_columns(pl.Series("planted_slope", planted, dtype=pl.Float64)).with_columns(
        pl.col("planted_slope").is_between(pl.col("low"), pl.col("high")).alias("covered")
    )


def _gene_slopes(logs: np.ndarray, people: pl.DataFrame) -> np.ndarray | None:
    """Return each gene's slope per decade, or none with too few donors or one age.

    A least-squares slope is linear in what is fitted: the slope of a score is the mean of its genes' slopes.
    """
    if people.height < 5 or people["age"].n_unique() < 2:
        return None
    kept = choose_covariates(people, _FIT_COVARIATES, exposure="age")
    return np.linalg.pinv(design_matrix(people, exposure="age", covariates=kept))[-1] @ logs


def _one_type(profiles: AnnData, cell_type: str, assay: str) -> tuple[np.ndarray, pl.DataFrame, list[str]]:
    obs = profiles.obs
    here = (obs[names.LEVEL0].astype(str) == cell_type) & (obs[names.ASSAY].astype(str) == assay)
    ages = obs[names.EXACT_AGE].astype(float)
    if names.AGE_MIDPOINT in obs:
        ages = ages.fillna(obs[names.AGE_MIDPOINT].astype(float))
    rows = np.flatnonzero((here & ages.notna()).to_numpy())
    counts = sp.csr_matrix(profiles.X)[rows]
    if not len(rows):
        return np.empty((0, 0)), pl.DataFrame(schema={"age": pl.Float64}), []
    seen = np.flatnonzero(np.asarray(counts.mean(axis=0)).ravel() >= 5)
    logs = signatures.log_profiles(profiles[rows])[:, seen]
    people = pl.DataFrame(
        {names.DONOR: obs[names.DONOR].astype(str).to_numpy()[rows].tolist(), "age": ages.to_numpy()[rows]}
        | {
            column: [None if pd.isna(value) else str(value) for value in obs[column].to_numpy()[rows]]
            for column in _FIT_COVARIATES
            if column in obs
        }
    )
    return logs, people, profiles.var_names[seen].to_list()
