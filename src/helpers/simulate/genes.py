"""The gene space: exactly 29,400 of the reference's 33,538 genes, and the classes the simulation treats apart."""

from functools import cache
from zlib import crc32

import polars as pl

from helpers import names
from helpers.facts import study
from helpers.simulate import levels

# Absent from every nucleus by annotation, as ALDOA is in the release; the others are this simulation's choice.
STRUCTURAL_ZEROS = {
    names.NUCLEI: ("ALDOA", "MYLPF", "TXN", "SNRPB2", "PSMB6"),
    names.CELLS: ("LINC00486", "MIR133A1HG"),
}
STRESS = (
    "FOS", "FOSB", "JUN", "JUNB", "JUND", "ATF3", "EGR1", "HSPA1A", "HSPA1B", "HSP90AB1", "HSPA8", "HSPB1", "IER2",
    "IER3", "BTG1", "BTG2", "DUSP1", "DNAJB1", "HSPH1", "HSP90AA1", "ZFP36", "NR4A1",
)  # fmt: skip
_RIBOSOMAL = r"^RP[LS]\d+[AXLY]?\d*(L|P0|P1|P2)?$|^RPLP[012]$|^RPSA$"


def _named() -> set[str]:
    """Genes that must be there: every gene that a published table, a marker list or the simulation names."""
    found = set(levels.list_levels()["gene"]) | set(levels.EVERYWHERE) | set(levels.BIOGENESIS) | set(STRESS)
    found |= set(study.gene_sets()["gene"]) | set(study.gene_directions()["gene"])
    return found.union(*STRUCTURAL_ZEROS.values())


@cache
def list_genes() -> pl.DataFrame:
    """Return the 29,400 genes in the order of the release's columns, sorted by symbol.

    Columns: ``gene`` (symbols made unique the way anndata does), ``ENSEMBL``, ``SYMBOL``, chromosome, biotype, and
    ``kind``: "mito", "ribo", "stress" or "rest".
    """
    named = _named()
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
        pl.Series(names.GENE, make_unique(kept["symbol"].to_list())),
        pl.col("ensembl_id").alias(names.ENSEMBL),
        pl.col("symbol").alias(names.SYMBOL),
        "chromosome",
        "biotype",
        kind.alias("kind"),
    )


def make_unique(symbols: list[str]) -> list[str]:
    """Append -1, -2, ... to repeated symbols, skipping names that are taken.

    Examples
    --------
    >>> make_unique(["TBCE", "TTN", "TBCE"])
    ['TBCE', 'TTN', 'TBCE-1']
    """
    taken, repeats, unique = set(symbols), {}, []
    for symbol in symbols:
        if symbol not in repeats:
            repeats[symbol] = 0
            unique.append(symbol)
            continue
        name = symbol
        while name in taken:
            repeats[symbol] += 1
            name = f"{symbol}-{repeats[symbol]}"
        taken.add(name)
        unique.append(name)
    return unique


@cache
def positions() -> dict[str, int]:
    """Return the column of each gene by its name."""
    return {gene: i for i, gene in enumerate(list_genes()[names.GENE])}
