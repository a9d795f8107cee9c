"""What changes expression beside the type: age, sex, chemistry and donor, all known and written down."""

import numpy as np
import polars as pl

from helpers import names
from helpers.facts import study
from helpers.simulate import donors, genes, labels
from helpers.simulate.chance import generator

LN2 = float(np.log(2.0))
# The study states changes between its old and young donors, on the natural log scale, shrunk toward zero.
DECADES_OLD_OVER_YOUNG = 3.6
UNSHRINK = 1.6
PUBLISHED_DEFAULT = 0.7  # natural log, old over young, where only a direction is published
# Types whose expression does not change with age beyond the published genes: what a method must stay silent on.
AGELESS = (
    "Mesothelium", "RBC", "Eosinophil", "pDC", "Adipocyte", "Hyb", "MF-Isn(fg)", "MF-IIsn(fg)", "B-plasma", "Mast",
    "nmSchwann", "ArtEC", "Tenocyte",
)  # fmt: skip
RANDOM_GENES = 300
EXPRESSED = 0.25  # molecules per 10,000 from which a gene can get a random effect
ESCAPE = {
    "RPS4X": -0.35,
    "KDM6A": -0.7,
    "EIF1AX": -0.5,
    "ZFX": -0.7,
    "DDX3X": -0.3,
    "KDM5C": -0.5,
    "JPX": -0.6,
}
ABSENT = -30.0  # log2: not a molecule
GENE_SD, GENE_SD_SPREAD, DONOR_SHARE = 0.32, 0.5, 0.3
PUBLISHED_SD = 0.2  # a direction that a study could see is in a gene that donors share
CHEMISTRY_SD, LIBRARY_SD = 0.43, 0.04


def _published() -> pl.DataFrame:
    """Turn the published directions into log2 changes per decade."""
    sign = pl.when(pl.col("direction") == "up").then(1.0).otherwise(-1.0)
    size = pl.col("published_change").cast(pl.Float64).abs() * UNSHRINK
    change = sign * size.fill_null(PUBLISHED_DEFAULT) / DECADES_OLD_OVER_YOUNG / LN2
    return study.gene_directions().select(
        pl.col("assay").alias(names.ASSAY),
        names.LEVEL0,
        names.LEVEL2,
        pl.col("gene").alias(names.GENE),
        change.alias("log2_change_per_decade"),
        pl.lit("published").alias("origin"),
    )


def list_age_effects(profiles: dict[str, dict[str, np.ndarray]], *, seed: int) -> pl.DataFrame:
    """Return every planted change of expression with age; what is not listed is exactly zero."""
    published = _published()
    named = set(published[names.GENE])
    free = (genes.list_genes()["kind"] == "rest").to_numpy() & ~genes.list_genes()[names.GENE].is_in(
        named
    ).to_numpy()
    free &= ~genes.list_genes()["chromosome"].is_in(["X", "Y"]).to_numpy()
    rows = []
    table = labels.list_labels().sort("n", descending=True, maintain_order=True)
    for level0 in sorted(set(table[names.LEVEL0]) - set(AGELESS)):
        rng = generator(seed, "age", level0)
        assays = table.filter(pl.col(names.LEVEL0) == level0).unique(names.ASSAY, maintain_order=True)
        rates = {
            row[names.ASSAY]: profiles[row[names.ASSAY]][row[names.LEVEL2]] for row in assays.rows(named=True)
        }
        expressed = free & (np.max(list(rates.values()), axis=0) > EXPRESSED)
        chosen = rng.permutation(np.flatnonzero(expressed))[:RANDOM_GENES]
        size = (0.15 + rng.exponential(0.4, len(chosen))) * rng.choice([-1.0, 1.0], len(chosen))
        for assay, rate in sorted(rates.items()):
            for column, value in zip(chosen, size / DECADES_OLD_OVER_YOUNG / LN2, strict=True):
                if rate[column] > 0:
                    rows.append(
                        (
                            assay,
                            level0,
                            None,
                            genes.list_genes()[names.GENE][int(column)],
                            float(value),
                            "random",
                        )
                    )
    random = pl.DataFrame(rows, schema=published.schema, orient="row")
    return pl.concat([published, random]).sort(
        names.ASSAY, names.LEVEL0, names.LEVEL2, names.GENE, nulls_last=False
    )


def list_sex_effects() -> pl.DataFrame:
    """Return the planted changes between the sexes: gene, log2 male over female, the same in every type."""
    table = genes.list_genes().filter(pl.col("chromosome") == "Y")
    rows = [("XIST", ABSENT), *ESCAPE.items(), *((gene, -ABSENT) for gene in table[names.GENE])]
    return pl.DataFrame(rows, schema=[names.GENE, "log2_male_over_female"], orient="row")


def sex_log(sex: str) -> np.ndarray:
    """Return the natural-log change of each gene in a donor of `sex`, against the sex that has more."""
    change = np.zeros(len(genes.list_genes()))
    for gene, log2 in list_sex_effects().rows():
        lower = names.MALE if log2 < 0 else names.FEMALE
        if sex == lower:
            change[genes.positions()[gene]] = -abs(log2) * LN2
    return change


def gene_spread(seed: int) -> np.ndarray:
    """Return the standard deviation between donors of each gene, natural log: unequal, smaller for published genes."""
    spread = GENE_SD * np.exp(GENE_SD_SPREAD * generator(seed, "spread").normal(size=len(genes.list_genes())))
    published = genes.list_genes()[names.GENE].is_in(study.gene_directions()["gene"].to_list()).to_numpy()
    return np.where(published, PUBLISHED_SD * np.minimum(spread / GENE_SD, 1.2), spread)


def donor_log(seed: int, donor: str, level0: str) -> np.ndarray:
    """Return a donor's own natural-log change of each gene in one type: a part for all types, a part for this one."""
    n = len(genes.list_genes())
    common, own = (generator(seed, "donor", donor, key).normal(size=n) for key in ("", level0))
    return gene_spread(seed) * (np.sqrt(DONOR_SHARE) * common + np.sqrt(1 - DONOR_SHARE) * own)


def chemistry_log(seed: int) -> np.ndarray:
    """Return the natural-log change of each gene from the second to the third version of the chemistry."""
    return CHEMISTRY_SD * generator(seed, "chemistry").normal(size=len(genes.list_genes()))


def library_log(seed: int, sample: str) -> np.ndarray:
    """Return a library's own small natural-log change of each gene."""
    return LIBRARY_SD * generator(seed, "library", sample).normal(size=len(genes.list_genes()))


def age_log(effects: pl.DataFrame, assay: str, level0: str, level2: str) -> np.ndarray:
    """Return the planted natural-log change per decade of each gene in one finest label of one assay."""
    change = np.zeros(len(genes.list_genes()))
    mine = effects.filter(
        (pl.col(names.ASSAY) == assay)
        & (pl.col(names.LEVEL0) == level0)
        & (pl.col(names.LEVEL2).is_null() | (pl.col(names.LEVEL2) == level2))
    )
    columns = [genes.positions()[gene] for gene in mine[names.GENE]]
    np.add.at(change, columns, mine["log2_change_per_decade"].to_numpy() * LN2)
    return change


def stress_share(seed: int, donor: str) -> float:
    """Return the mean share of dissociation-stress molecules in a donor: it grows with hospital days, not with age."""
    days = dict(donors.list_donors().select(names.DONOR, "hospital_days").rows())[donor]
    return float(0.010 * np.exp(0.10 * (days - 4) + 0.3 * generator(seed, "stress", donor).normal()))
