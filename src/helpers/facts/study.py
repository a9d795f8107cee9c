"""What is published about the atlas, its study and sets of genes, each with where it comes from.

Sources: the study [1]_, its authors' public notebooks (github.com/Teichlab/SKM_ageing_atlas), the public files
of the release's producer (github.com/winternewt/muscle-ageing-cell-atlas), and for the genes of fibers single-fiber
proteomics [2]_ and approved gene names (HGNC).

References
----------
.. [1] Kedlian et al. (2024), Nature Aging, doi:10.1038/s43587-024-00613-3
.. [2] Murgia et al. (2021), Skeletal Muscle, doi:10.1186/s13395-021-00279-0
"""

import difflib
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path

import polars as pl

from helpers.errors import TableError

# The deployed object (producer's structure and processing files).
N_CELLS = 183_161
N_GENES = 29_400
ZERO_SHARE = 0.9541416311666919
MEDIAN_GENES = 1_172
MEDIAN_COUNTS = 2_751
N_BY_AGE_GROUP = {
    "15-20": 23_345,
    "20-25": 398,
    "25-30": 30_802,
    "35-40": 29_376,
    "50-55": 4_093,
    "55-60": 5_374,
    "60-65": 29_976,
    "70-75": 59_797,
}
N_LABELS = {"annotation_level0": 36, "annotation_level1": 43, "annotation_level2": 82}
# Barcodes that are cDC2 at levels 0 and 1 but cDC1 at level 2: the one break in the label tree.
N_HIERARCHY_BREAKS = 62

# Age as the study scaled it: one standard deviation over the libraries, in years.
AGE_SD = 19.32

# Median share of nuclei of the young and the old library groups, read off the study's figure.
FIBER_MEDIANS = {"young": {"MF-I": 0.545, "MF-II": 0.282}, "old": {"MF-I": 0.407, "MF-II": 0.366}}
# Names of two sets of `signatures`.
SHORT, LONG = "ribosome biogenesis (short list)", "ribosome biogenesis (long list)"

HUB_REPOSITORY = "longevity-db/skeletal-muscle-atlas"


@cache
def read(name: str) -> pl.DataFrame:
    """Return one table of ``facts/tables`` by its file name; empty fields are missing."""
    path = Path(__file__).with_name("tables") / name
    if path.suffix == ".parquet":
        return pl.read_parquet(path)
    separator = "\t" if path.suffix == ".tsv" else ","
    return pl.read_csv(path, separator=separator, comment_prefix="#", null_values=[""])


#: The 17 donors: exact age (years), sex, donor type, hospital days, chemistry, approximate cells (authors' notebooks).
donors = partial(read, "donors.csv")
#: The 43 libraries: assay, and donor and chemistry where the authors state them.
libraries = partial(read, "libraries.csv")
#: The 82 finest labels under their parents, with counts in total and by assay.
hierarchy = partial(read, "hierarchy.csv")
#: The 43 middle labels with their counts in cells and nuclei.
level1_by_assay = partial(read, "level1_by_assay.csv")
#: What each of the 36 coarse labels means, and how it has been misread in public.
label_meanings = partial(read, "label_meanings.csv")
#: Marker genes of the coarse labels (authors' notebooks; fiber genes from their dot plots).
markers = partial(read, "markers.csv")
#: The 33,538 genes of the 10x reference: Ensembl id, symbol, chromosome, biotype.
genes = partial(read, "genes.parquet")
#: The study's gene sets: ribosome biogenesis (full, dot plot) and dissociation stress.
gene_sets = partial(read, "gene_sets.csv")
#: Published directions of expression with age, per cell type, assay and gene.
gene_directions = partial(read, "gene_directions.csv")
#: Published cytokine directions with age, those reported unchanged included.
cytokine_directions = partial(read, "cytokine_directions.csv")
#: Published age slopes of composition, log2 fold change per standard deviation of age (read off a figure).
composition_age_slopes = partial(read, "composition_age_slopes.csv")
#: What loading costs by way: cells, seconds, peak memory in GiB (``bench/RESULTS.md``; pandas measured the same way).
loading = partial(read, "loading.csv")
#: Sets of aging: signature, gene, expected (direction claimed with age: up, down, none), source. Ribosome biogenesis comes
#: twice: the short list of the study's figure and the long one of its notebooks, which also have dissociation stress. The
#: others were put together for this book from genes that the field commonly names; `read_sets` takes your own.
signatures = partial(read, "signatures.csv")


def fiber_genes() -> dict[str, list[str]]:
    """Return the slow and the fast genes of skeletal muscle fibers; the file has the evidence for each."""
    table = read("fiber_gene_sets.csv").filter(pl.col("set").is_in(["slow", "fast"]))
    return dict(table.group_by("set", maintain_order=True).agg("gene").iter_rows())


def completed_fractions() -> pl.DataFrame:
    """Return the published fractions with the points that a reader of the figure adds, and how many stay lost.

    Fractions of each type within its assay, one a library group (read off a figure, to about 0.005). Points that lie on
    each other are read once; where a person can see them they are added (``reading`` says ``by eye`` or ``near zero``).
    Every type, assay and age group carries how many points it should have (``groups``) and how many are still ``lost``.
    """
    # A group is a donor and a chemistry with libraries of more than 1,000 barcodes; of the nuclei, donors 470BR (young)
    # and 362C (old) have two chemistries each and so count twice, as far as the donor and library tables tell.
    groups = {"batch": ["cells", "cells", "nuclei", "nuclei"], "Age_bin": ["young", "old"] * 2}
    expected = pl.DataFrame({**groups, "groups": [5, 7, 6, 7]})
    seen = pl.len().over("batch", "annotation_level0", "Age_bin").cast(pl.Int64)
    fractions = read("library_fractions.csv").join(expected, on=["batch", "Age_bin"], how="left")
    return fractions.with_columns((pl.col("groups") - seen).alias("lost"))


def published_slopes() -> pl.DataFrame:
    """Return the published age slopes of the two assays (``batch``): log2 per standard deviation of age and per decade.

    ``clear`` marks slopes that the study calls significant (local true sign rate above 0.95). The study counts
    libraries as replicates and leaves donor and sex out of its model.
    """
    slopes = composition_age_slopes().filter(pl.col("model").str.contains("_only"))
    return slopes.select(
        pl.col("model").str.split("_only").list.first().alias("batch"),
        pl.col("celltype").alias("type"),
        pl.col("log2FC_per_SD_age").alias("published_per_sd"),
        (pl.col("log2FC_per_SD_age") / (AGE_SD / 10)).alias("published_per_decade"),
        (pl.col("LTSR_approx") > 0.95).alias("clear"),
    )


def read_sets(path: str | Path = "") -> dict[str, list[str]]:
    """Read gene sets: genes by set, both in the order of the file, each gene once a set.

    The file is a CSV of one row a gene, with columns ``set`` (or ``signature``) and ``gene``; other columns are left
    alone. Without one it is the book's own sets.
    """
    if path and not Path(path).is_file():
        msg = f"no file {path}: give a CSV with columns 'set' and 'gene', or leave the parameter empty."
        raise TableError(msg)
    table = pl.read_csv(path, infer_schema=False, glob=False) if path else signatures()
    named = [column for column in ("set", "signature") if column in table.columns]
    if len(named) != 1 or "gene" not in table.columns:
        found = ", ".join(map(repr, table.columns)) or "none"
        msg = f"{path} has columns {found}: gene sets need 'set' (or 'signature', not both) and 'gene'."
        raise TableError(msg)
    rows = table.select(set=named[0], gene="gene")
    rows = rows.with_columns(pl.all().str.strip_chars().replace("", None))
    empty = rows.with_row_index(offset=1).filter(pl.any_horizontal(pl.all().is_null()))["index"]
    if len(empty):
        msg = f"{path}: {len(empty)} of {rows.height} rows lack a set or a gene, first data row {empty[0]}. Fill or drop them."
        raise TableError(msg)
    return dict(rows.unique(maintain_order=True).group_by("set", maintain_order=True).agg("gene").iter_rows())


def choose_set(sets: Mapping[str, list[str]], wanted: str = "") -> str:
    """Return the name of the set asked for; if none is, the long list, or the first where that is not there."""
    if wanted and wanted not in sets:
        near = difflib.get_close_matches(wanted, sets, n=3) or list(sets)
        msg = f"no gene set is called {wanted!r}; there are {', '.join(map(repr, near))}."
        raise TableError(msg)
    return wanted or (LONG if LONG in sets else next(iter(sets)))
