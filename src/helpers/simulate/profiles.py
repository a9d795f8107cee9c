"""The mean expression of every finest label in each assay, before donors and ages: lineage, type and subtype programs."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from helpers import names
from helpers.facts import study
from helpers.simulate import genes, labels, levels
from helpers.simulate.chance import generator


@dataclass(frozen=True)
class Spread:
    """How strongly programs differ: standard deviations on the natural log scale, and shares of genes touched."""

    base: float = 1.2
    assay: float = 1.1
    lineage: float = 1.5
    lineage_share: float = 0.5
    kind: float = 1.2
    kind_share: float = 0.35
    subtype: float = 0.6
    subtype_share: float = 0.06


_BIOTYPE_SHIFT = {"protein_coding": 0.0, "lncRNA": -2.4, "unknown": -3.0}
_SILENT = (
    r"^(OR\d+[A-Z]\d*|KRTAP|TAS2R|VN1R|DEFB\d|IG[HKL]V|IG[HKL]J|TR[ABGD][VJ]|PRAMEF|USP17L|SPATA31|MAGE[ABC])"
)
# Log shares of the ribosomal and mitochondrial genes within their class vary less than those of other genes.
_CLASS_SD = 0.7


def _base(seed: int, spread: Spread) -> np.ndarray:
    """Natural-log abundance of each gene in an average cell."""
    table = genes.list_genes()
    shift = table["biotype"].replace_strict(_BIOTYPE_SHIFT, default=-3.5, return_dtype=pl.Float64).to_numpy()
    silent = table[names.SYMBOL].str.contains(_SILENT).to_numpy()
    draw = generator(seed, "base").normal(size=len(table))
    special = (table["kind"] != "rest").to_numpy()
    base = np.where(special, _CLASS_SD * draw, shift + spread.base * draw)
    return np.where(silent, base - 5.0, base)


def _program(seed: int, key: str, *, share: float, sd: float) -> np.ndarray:
    """Natural-log change of each gene by one program: most genes unchanged."""
    rng = generator(seed, "program", key)
    return (
        np.where(rng.random(len(genes.list_genes())) < share, rng.normal(size=len(genes.list_genes())), 0.0)
        * sd
    )


def _fixed_levels(assay: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return, for each label that names markers, their columns and molecules per 10,000."""
    position, rows = genes.positions(), {}
    for gene, label, level in levels.list_levels().rows():
        rows.setdefault(label, []).append((position[gene], level))
    nuclear = int(assay == names.NUCLEI)
    everywhere = dict.fromkeys(levels.list_levels()["gene"].unique(), levels.ELSEWHERE)
    everywhere |= dict.fromkeys(_biogenesis(), levels.BIOGENESIS_DEFAULT) | levels.BIOGENESIS
    everywhere |= {gene: pair[nuclear] for gene, pair in levels.EVERYWHERE.items()}
    rows[""] = [(position[gene], level) for gene, level in everywhere.items()]
    return {
        label: (np.array([i for i, _ in pairs]), np.array([v for _, v in pairs]))
        for label, pairs in rows.items()
    }


def _biogenesis() -> list[str]:
    sets = study.gene_sets()
    return sets.filter(pl.col("set") == "ribosome_biogenesis_dotplot")["gene"].to_list()


def make_profiles(assay: str, *, seed: int, spread: Spread | None = None) -> dict[str, np.ndarray]:
    """Return, for each finest label of `assay`, the expected molecules per 10,000 of every gene.

    Mitochondrial, ribosomal and stress genes are only relative to their class here: each cell draws its own share.
    """
    spread = spread or Spread()
    base = _base(seed, spread)
    if assay == names.NUCLEI:
        lnc = (genes.list_genes()["biotype"] == "lncRNA").to_numpy()
        base = base + 0.8 * lnc + generator(seed, "assay").normal(size=len(base)) * spread.assay
    fixed, rest = _fixed_levels(assay), (genes.list_genes()["kind"] == "rest").to_numpy()
    zeros = [genes.positions()[gene] for gene in genes.STRUCTURAL_ZEROS[assay]]
    table = labels.list_labels().filter(pl.col(names.ASSAY) == assay)
    profiles = {}
    for level0, level1, level2, lineage in table.select(*names.LEVELS, "lineage").rows():
        log = base + _program(seed, lineage, share=spread.lineage_share, sd=spread.lineage)
        log = log + _program(seed, f"0:{level0}", share=spread.kind_share, sd=spread.kind)
        log = log + _program(seed, f"2:{level2}", share=spread.subtype_share, sd=spread.subtype)
        rate = np.exp(log)
        held = np.zeros(len(rate), dtype=bool)
        for label in dict.fromkeys(("", lineage, level0, level1, level2)):
            if label in fixed:
                columns, value = fixed[label]
                rate[columns], held[columns] = value, True
        # Markers keep their level; the other genes share what is left of 10,000.
        free = rest & ~held
        rate[free] *= max(10_000.0 - rate[held & rest].sum(), 1_000.0) / rate[free].sum()
        rate[zeros] = 0.0
        profiles[level2] = rate
    return profiles
