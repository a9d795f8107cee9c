"""The genes, 29,400 of the reference's 33,538: their expression in every finest label, and what changes it.

Type, age, sex, chemistry and donor, all known and written down.
"""

from functools import cache
from zlib import crc32

import numpy as np
import pandas as pd
import polars as pl
from anndata.utils import make_index_unique

from helpers import names
from helpers.facts import study
from helpers.simulate import cohort
from helpers.simulate.cohort import DECADE, LATE_TYPE, PLANTED, generator

# Absent from every nucleus by annotation, as ALDOA is in the release; the others are this simulation's choice.
STRUCTURAL_ZEROS = {
    names.NUCLEI: ("ALDOA", "MYLPF", "TXN", "SNRPB2", "PSMB6"),
    names.CELLS: ("LINC00486", "MIR133A1HG"),
}
STRESS = (
    "FOS", "FOSB", "JUN", "JUNB", "JUND", "ATF3", "EGR1", "HSPA1A", "HSPA1B", "HSP90AB1", "HSPA8", "HSPB1", "IER2",
    "IER3", "BTG1", "BTG2", "DUSP1", "DNAJB1", "HSPH1", "HSP90AA1", "ZFP36", "NR4A1",
)  # fmt: skip
# The cytokine table names some types by their 2022 labels.
_NEW_LABELS = {"Mural": ["SMC-PC"], "NerveFB": ["EnFB", "PnFB"]}
MARKER_LEVEL, ELSEWHERE, BIOGENESIS = 8.0, 0.03, 0.7  # molecules per 10,000 where no table says more
_RIBOSOMAL = r"^RP[LS]\d+[AXLY]?\d*(L|P0|P1|P2)?$|^RPLP[012]$|^RPSA$"
KINDS = ("rest", "mito", "ribo", "stress")  # in the order of a cell's shares
Profiles = dict[str, dict[str, np.ndarray]]  # by assay and finest label
# Programs of lineage, type and subtype: standard deviation on the natural log scale, share of genes touched.
PROGRAMS = ((1.5, 0.5), (1.2, 0.35), (0.6, 0.06))
_BASE_SD, _ASSAY_SD = 1.2, 1.1
_BIOTYPE_SHIFT = {"protein_coding": 0.0, "lncRNA": -2.4, "unknown": -3.0}
_SILENT = r"^(OR\d+[A-Z]\d*|KRTAP|TAS2R|VN1R|DEFB\d|IG[HKL][VJ]|TR[ABGD][VJ]|PRAMEF|USP17L|SPATA31|MAGE[ABC])"
# Log shares of the ribosomal and mitochondrial genes within their class vary less than those of other genes.
_CLASS_SD = 0.7
LN2 = float(np.log(2.0))
# The study states changes between its old and young donors, on the natural log scale, shrunk toward zero.
DECADES_OLD_OVER_YOUNG = 3.6
UNSHRINK = 1.6
PUBLISHED_DEFAULT = 0.7  # natural log, old over young, where only a direction is published
RANDOM_GENES = 300
EXPRESSED = 0.25  # molecules per 10,000 from which a gene can get a random effect
ESCAPE = {
    "RPS4X": -0.35, "KDM6A": -0.7, "EIF1AX": -0.5, "ZFX": -0.7, "DDX3X": -0.3, "KDM5C": -0.5, "JPX": -0.6,
}  # fmt: skip
ABSENT = -30.0  # log2: not a molecule
TAIL_LIMIT = 6.0  # standard deviations
FACTOR_WEIGHT = 0.35  # variance of a factor over that of the one before it


@cache
def list_levels() -> pl.DataFrame:
    """Return gene, label (lineage, level 0, 1 or 2, or "everywhere") and molecules per 10,000 in cells and in nuclei.

    Genes and where they are high: the study's public notebooks (`facts.study.markers` and the authors' dot plots); the
    levels are set so that mean log-normalized values come near the published ones. A later row overrides.
    """
    markers = study.markers().select("gene", label=names.LEVEL0, level=pl.lit(MARKER_LEVEL))
    published = study.cytokine_directions()
    new_label = pl.col("celltype_2022_label")
    new_label = new_label.replace_strict(_NEW_LABELS, default=pl.concat_list(new_label))
    level = pl.col("mean_lognorm_aged").exp() - 1.0
    cytokines = published.select("gene", label=new_label, level=level).explode("label")
    both = pl.concat([markers, cytokines]).rename({"level": names.CELLS})
    both = both.with_columns(pl.col(names.CELLS).alias(names.NUCLEI))
    own = study.read("twin_levels.csv").select(both.columns)
    return pl.concat([both, own]).unique(["gene", "label"], keep="last", maintain_order=True)


@cache
def list_genes() -> pl.DataFrame:
    """Return the 29,400 genes in the order of the release, sorted by symbol: names, chromosome, biotype, and `KINDS`."""
    # every gene that a published table, a marker list or the simulation names must be there
    named = set(list_levels()["gene"]).union(STRESS, *STRUCTURAL_ZEROS.values())
    named |= set(study.gene_sets()["gene"]) | set(study.gene_directions()["gene"])
    frame = study.genes().with_columns(
        pl.col("biotype").fill_null("unknown"),
        pl.col("chromosome").fill_null(""),
        pl.col("ensembl_id").map_elements(lambda e: crc32(e.encode()), return_dtype=pl.Int64).alias("draw"),
        (pl.col("symbol").is_in(sorted(named)) | pl.col("chromosome").is_in(["X", "Y", "MT"])).alias("must"),
    )
    plain = ~pl.col("symbol").str.contains(r"\.\d+$")
    rank = (
        pl.when("must").then(0).when(pl.col("biotype") == "protein_coding").then(1)
        .when(pl.col("biotype").str.contains(r"^(IG|TR)_[CV]_gene$")).then(2).when(plain).then(3)
        .when(pl.col("biotype") == "lncRNA").then(4).otherwise(5)
    )  # fmt: skip
    kept = frame.sort(rank, "draw").head(study.N_GENES).sort("symbol", "ensembl_id")
    kind = (
        pl.when(pl.col("chromosome") == "MT").then(pl.lit("mito"))
        .when(pl.col("symbol").str.contains(_RIBOSOMAL)).then(pl.lit("ribo"))
        .when(pl.col("symbol").is_in(STRESS)).then(pl.lit("stress")).otherwise(pl.lit("rest"))
    )  # fmt: skip
    kept = kept.with_columns(kind=kind)
    unique = pl.Series(names.GENE, make_index_unique(pd.Index(kept["symbol"].to_list())).to_list())
    kept = kept.rename({"ensembl_id": names.ENSEMBL, "symbol": names.SYMBOL}).with_columns(unique)
    return kept.select(names.GENE, names.ENSEMBL, names.SYMBOL, "chromosome", "biotype", "kind")


@cache
def list_kinds() -> np.ndarray:
    """Return the class of each gene as its place in `KINDS`."""
    return list_genes()["kind"].replace_strict(KINDS, range(4), return_dtype=pl.Int64).to_numpy()


@cache
def positions() -> dict[str, int]:
    """Return the column of each gene by its name."""
    return {gene: i for i, gene in enumerate(list_genes()[names.GENE])}


def make_profiles(assay: str, *, seed: int) -> dict[str, np.ndarray]:
    """Return, for each finest label of `assay`, the expected molecules per 10,000 of every gene.

    Before donors and ages: lineage, type and subtype programs. Mitochondrial, ribosomal and stress genes are only
    relative to their class here: each cell draws its own share.
    """
    table, fixed = list_genes(), _fixed_levels(assay)
    rest = (table["kind"] == "rest").to_numpy()
    shift = table["biotype"].replace_strict(_BIOTYPE_SHIFT, default=-3.5, return_dtype=pl.Float64).to_numpy()
    draw = generator(seed, "base").normal(size=len(table))
    base = np.where(rest, shift + _BASE_SD * draw, _CLASS_SD * draw)
    base[table[names.SYMBOL].str.contains(_SILENT).to_numpy()] -= 5.0
    if assay == names.NUCLEI:
        lnc = (table["biotype"] == "lncRNA").to_numpy()
        base = base + 0.8 * lnc + generator(seed, "assay").normal(size=len(base)) * _ASSAY_SD
    zeros = [positions()[gene] for gene in STRUCTURAL_ZEROS[assay]]
    labels = cohort.list_labels().filter(pl.col(names.ASSAY) == assay)
    profiles = {}
    for level0, level1, level2, lineage in labels.select(*names.LEVELS, "lineage").rows():
        log = base
        for key, (sd, share) in zip((lineage, f"0:{level0}", f"2:{level2}"), PROGRAMS, strict=True):
            rng = generator(seed, "program", key)
            log = log + np.where(rng.random(len(base)) < share, rng.normal(size=len(base)), 0.0) * sd
        rate, levels = np.exp(log), {}
        for label in ("everywhere", lineage, level0, level1, level2):
            levels |= fixed.get(label, {})
        held = [positions()[gene] for gene in levels]
        rate[held] = list(levels.values())
        # Markers keep their level; the other genes share what is left of 10,000.
        free = rest.copy()
        free[held] = False
        rate[free] *= max(10_000.0 - rate[rest & ~free].sum(), 1_000.0) / rate[free].sum()
        rate[zeros] = 0.0
        profiles[level2] = rate
    return profiles


def _fixed_levels(assay: str) -> dict[str, dict[str, float]]:
    """Return, for each label that names markers, and for everywhere, genes with their molecules per 10,000."""
    biogenesis = study.gene_sets().filter(pl.col("set") == "ribosome_biogenesis_dotplot")["gene"]
    parts = list_levels().group_by("label")
    levels = {label: dict(part.select("gene", assay).rows()) for (label,), part in parts}
    plain = dict.fromkeys(list_levels()["gene"], ELSEWHERE) | dict.fromkeys(biogenesis, BIOGENESIS)
    return levels | {"everywhere": plain | levels["everywhere"]}


def list_published() -> pl.DataFrame:
    """Turn the published directions into log2 changes per decade."""
    sign = pl.when(pl.col("direction") == "up").then(1.0).otherwise(-1.0)
    size = pl.col("published_change").cast(pl.Float64).abs() * UNSHRINK
    change = sign * size.fill_null(PUBLISHED_DEFAULT) / DECADES_OLD_OVER_YOUNG / LN2
    about = ("assay", names.LEVEL0, names.LEVEL2, names.GENE)
    return study.gene_directions().select(*about, log2_change_per_decade=change, origin=pl.lit("published"))


@cache
def _free() -> np.ndarray:
    """Which genes may get made-up effects: autosomal, of no class of their own, with no published direction."""
    table = list_genes()
    named = table[names.GENE].is_in(study.gene_directions()["gene"].to_list())
    return ((table["kind"] == "rest") & ~named & ~table["chromosome"].is_in(["X", "Y"])).to_numpy()


def hinge_slopes() -> dict[str, float]:
    """Return by assay the slope per decade of the line through a change that begins late and then is 1 per decade."""
    slopes = {}
    for assay, column in ((names.CELLS, "n_cells"), (names.NUCLEI, "n_nuclei")):
        age = cohort.list_donors().filter(pl.col(column) > 0)[names.EXACT_AGE].to_numpy() / DECADE
        slopes[assay] = float(np.polyfit(age, np.maximum(age - PLANTED.late_after / DECADE, 0), 1)[0])
    return slopes


def list_age_effects(profiles: Profiles, *, seed: int) -> pl.DataFrame:
    """Return assay, level 0, level 2 (null: every subtype), gene, log2 change per decade, origin; absent is zero."""
    published, hinges = list_published(), hinge_slopes()
    rows = []
    table = cohort.list_labels().sort("n", descending=True, maintain_order=True)
    symbols = list_genes()[names.GENE].to_list()
    for level0 in cohort.list_types().filter(~pl.col("ageless"))[names.LEVEL0].sort():
        rng = generator(seed, "age", level0)
        assays = table.filter(pl.col(names.LEVEL0) == level0).unique(names.ASSAY, maintain_order=True)
        rates = {a: profiles[a][level2] for a, level2 in assays.select(names.ASSAY, names.LEVEL2).rows()}
        expressed = _free() & (np.max(list(rates.values()), axis=0) > EXPRESSED)
        order = rng.permutation(np.flatnonzero(expressed))
        chosen = order[:RANDOM_GENES]
        size = (0.15 + rng.exponential(0.4, len(chosen))) * rng.choice([-1.0, 1.0], len(chosen))
        late = order[RANDOM_GENES : RANDOM_GENES + PLANTED.late_genes * (level0 == LATE_TYPE)]
        reach = (0.5 + rng.exponential(0.5, len(late))) * rng.choice([-1.0, 1.0], len(late)) / 2
        for assay, rate in sorted(rates.items()):
            slopes = size / DECADES_OLD_OVER_YOUNG / LN2, reach / LN2 * hinges[assay]
            origins = ["random"] * len(chosen) + ["late"] * len(late)
            for i, slope, origin in zip(np.r_[chosen, late], np.r_[slopes], origins, strict=True):
                if rate[i] > 0:
                    rows.append((assay, level0, None, symbols[i], float(slope), origin))
    made_up = pl.DataFrame(rows, schema=published.schema, orient="row")
    return pl.concat([published, made_up]).sort("assay", names.LEVEL0, names.LEVEL2, names.GENE)


@cache
def list_sex_effects(seed: int) -> pl.DataFrame:
    """Return the planted changes between the sexes: gene, log2 male over female, origin, the same in every type."""
    table, rng = list_genes(), generator(seed, "sex")
    coding = _free() & (table["biotype"] == "protein_coding").to_numpy()
    chosen = np.sort(rng.permutation(np.flatnonzero(coding))[: PLANTED.sex_genes])
    size = (0.1 + rng.exponential(0.3, len(chosen))) * rng.choice([-1.0, 1.0], len(chosen))
    rows = [("XIST", ABSENT, "X and Y"), *((gene, log2, "X and Y") for gene, log2 in ESCAPE.items())]
    rows += [(gene, -ABSENT, "X and Y") for gene in table.filter(pl.col("chromosome") == "Y")[names.GENE]]
    symbols = table[names.GENE][chosen]
    rows += [(gene, float(log2), "autosomal") for gene, log2 in zip(symbols, size, strict=True)]
    return pl.DataFrame(rows, schema=[names.GENE, "log2_male_over_female", "origin"], orient="row")


def sex_log(sex: str, *, seed: int) -> np.ndarray:
    """Return the natural-log change of each gene in a donor of `sex`, against the sex that has more."""
    change = np.zeros(study.N_GENES)
    for gene, log2, _ in list_sex_effects(seed).rows():
        if (log2 < 0) == (sex == names.MALE):
            change[positions()[gene]] = -abs(log2) * LN2
    return change


def gene_spread(seed: int) -> np.ndarray:
    """Return the standard deviation between donors of each gene, natural log: unequal, the published ones' as well."""
    draw = generator(seed, "spread").normal(size=study.N_GENES)
    return PLANTED.donor_sd * np.exp(PLANTED.donor_sd_spread * draw)


@cache
def quality(seed: int) -> dict[str, float]:
    """Return how poor each donor's tissue is, natural log: zero on average over cells."""
    people = cohort.list_donors()
    poor = np.array([generator(seed, "quality", donor).normal() for donor in people[names.DONOR]])
    weight = (people["n_cells"] + people["n_nuclei"]).to_numpy()
    poor = PLANTED.quality_sd * (poor - np.average(poor, weights=weight))
    return dict(zip(people[names.DONOR], poor.tolist(), strict=True))


@cache
def factor_loadings(seed: int) -> np.ndarray:
    """Return factors x genes: how much of a gene's change each latent factor makes; genes of a named set agree."""
    shape = (PLANTED.factors, study.N_GENES)
    loading = generator(seed, "loadings").normal(size=shape)
    for (key,), members in study.gene_sets().group_by("set", maintain_order=True):
        columns = [positions()[gene] for gene in members["gene"].unique(maintain_order=True)]
        common = generator(seed, "loadings", str(key)).normal(size=(PLANTED.factors, 1))
        own = loading[:, columns]
        loading[:, columns] = np.sqrt(PLANTED.set_share) * common + np.sqrt(1 - PLANTED.set_share) * own
    weight = FACTOR_WEIGHT ** np.arange(PLANTED.factors)
    return loading * np.sqrt(weight / weight.sum())[:, None]


def factor_scores(seed: int, donor: str, level0: str) -> np.ndarray:
    """Return a donor's score on each latent factor in one type: half is the donor's, half the type's own."""
    keys = ("", level0)
    common, own = (generator(seed, "factors", donor, key).normal(size=PLANTED.factors) for key in keys)
    return (common + own) / np.sqrt(2)


def donor_log(seed: int, donor: str, level0: str) -> np.ndarray:
    """Return a donor's own natural-log change of each gene in one type: factors, and heavy tails of donor and type."""
    df, draws = PLANTED.tail_df, (generator(seed, "donor", donor, key) for key in ("", level0))
    heavy = (draw.standard_t(df, size=study.N_GENES) for draw in draws)
    common, own = (values.clip(-TAIL_LIMIT, TAIL_LIMIT) for values in heavy)
    single = np.sqrt(PLANTED.donor_shared) * common + np.sqrt(1 - PLANTED.donor_shared) * own
    single *= np.sqrt((df - 2) / df)
    together = factor_scores(seed, donor, level0) @ factor_loadings(seed)
    change = np.sqrt(1 - PLANTED.factor_share) * single + np.sqrt(PLANTED.factor_share) * together
    return gene_spread(seed) * np.exp(quality(seed)[donor]) * change


def chemistry_log(seed: int) -> np.ndarray:
    """Return the natural-log change of each gene from the second to the third version of the chemistry."""
    return PLANTED.chemistry_sd * generator(seed, "chemistry").normal(size=study.N_GENES)


def ambient_share(seed: int, sample: str, assay: str, donor: str) -> float:
    """Return the share of a library's molecules that were ambient: poor tissue leaks more."""
    median = PLANTED.ambient_cells if assay == names.CELLS else PLANTED.ambient_nuclei
    own = PLANTED.ambient_sd * generator(seed, "ambient", sample).normal()
    return float(min(median * np.exp(own + 2 * quality(seed)[donor]), 0.3))


def age_log(effects: pl.DataFrame, assay: str, level0: str, level2: str) -> tuple[np.ndarray, np.ndarray]:
    """Return each gene's planted natural-log change per decade in one finest label of one assay: linear ones, late ones."""
    fits = pl.col(names.LEVEL2).is_null() | (pl.col(names.LEVEL2) == level2)
    mine = effects.filter(fits, pl.col("assay") == assay, pl.col(names.LEVEL0) == level0)
    changes = np.zeros((2, study.N_GENES))
    columns = [positions()[gene] for gene in mine[names.GENE]]
    late = (mine["origin"] == "late").to_numpy().astype(int)
    np.add.at(changes, (late, columns), mine["log2_change_per_decade"].to_numpy() * LN2)
    return changes[0], changes[1]


def stress_shares(seed: int) -> dict[str, float]:
    """Return each donor's mean share of dissociation-stress molecules: it grows with hospital days, not with age."""
    return {
        donor: float(0.010 * np.exp(0.10 * (days - 4) + 0.3 * generator(seed, "stress", donor).normal()))
        for donor, days in cohort.list_donors().select(names.DONOR, "hospital_days").rows()
    }
