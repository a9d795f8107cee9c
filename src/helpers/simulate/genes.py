"""The gene space: 29,400 of the reference's 33,538 genes, their mean expression in every finest label of each assay."""

from functools import cache
from zlib import crc32

import numpy as np
import pandas as pd
import polars as pl
from anndata.utils import make_index_unique

from helpers import names
from helpers.facts import study
from helpers.simulate import cohort
from helpers.simulate.planted import generator

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
_SILENT = (
    r"^(OR\d+[A-Z]\d*|KRTAP|TAS2R|VN1R|DEFB\d|IG[HKL]V|IG[HKL]J|TR[ABGD][VJ]|PRAMEF|USP17L|SPATA31|MAGE[ABC])"
)
# Log shares of the ribosomal and mitochondrial genes within their class vary less than those of other genes.
_CLASS_SD = 0.7


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
    return kept.select(
        pl.Series(names.GENE, make_index_unique(pd.Index(kept["symbol"].to_list())).to_list()),
        pl.col("ensembl_id").alias(names.ENSEMBL),
        pl.col("symbol").alias(names.SYMBOL),
        "chromosome",
        "biotype",
        kind.alias("kind"),
    )


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
