"""Published figures of the atlas and its study, each with where it comes from.

Sources: the study [1]_, its authors' public notebooks (github.com/Teichlab/SKM_ageing_atlas), and the public files
of the release's producer (github.com/winternewt/muscle-ageing-cell-atlas).

References
----------
.. [1] Kedlian et al. (2024), Nature Aging, doi:10.1038/s43587-024-00613-3
"""

from functools import cache
from importlib import resources

import polars as pl

# The deployed object (producer's structure and processing files).
N_CELLS = 183_161
N_GENES = 29_400
ZERO_SHARE = 0.9541416311666919
MEDIAN_GENES = 1_172
MEDIAN_COUNTS = 2_751
N_BY_ASSAY = {"cells": 90_902, "nuclei": 92_259}
N_BY_SEX = {"M": 120_405, "F": 62_756}
N_BY_AGE_BIN = {"young": 83_921, "old": 99_240}
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

# Share of variance by term, read off the authors' bar plots (coarse labels).
VARIANCE_SHARES = {
    "cells": {"celltype": 0.198, "celltype:age": 0.011, "chemistry": 0.0085, "donor": 0.008},
    "nuclei": {"celltype": 0.250, "celltype:age": 0.021, "donor": 0.0115, "chemistry": 0.007},
}
HUB_REPOSITORY = "longevity-db/skeletal-muscle-atlas"


@cache
def read(name: str) -> pl.DataFrame:
    """Return one table of ``facts/tables`` by its file name; empty fields are missing."""
    source = resources.files("helpers.facts").joinpath("tables", name)
    with resources.as_file(source) as path:
        if name.endswith(".parquet"):
            return pl.read_parquet(path)
        return pl.read_csv(path, separator="\t" if name.endswith(".tsv") else ",", null_values=[""])


def donors() -> pl.DataFrame:
    """Return the 17 donors: exact age (years), sex, donor type, hospital days, chemistry, approximate cells.

    Source: authors' notebooks.
    """
    return read("donors.csv")


def libraries() -> pl.DataFrame:
    """Return the 43 libraries: assay, and donor and chemistry where the authors state them."""
    return read("libraries.csv").with_columns(
        pl.when(pl.col(name) == "not stated").then(None).otherwise(pl.col(name)).alias(name)
        for name in ("DonorID", "10X_version")
    )


def hierarchy() -> pl.DataFrame:
    """Return the 82 finest labels under their parents, with counts in total and by assay."""
    return read("hierarchy.csv")


def level1_by_assay() -> pl.DataFrame:
    """Return the 43 middle labels with their counts in cells and nuclei."""
    return read("level1_by_assay.csv")


def label_meanings() -> pl.DataFrame:
    """Return what each of the 36 coarse labels means, and how it has been misread in public."""
    return read("label_meanings.csv")


def markers() -> pl.DataFrame:
    """Return marker genes of the coarse labels (authors' notebooks; fiber genes from their dot plots)."""
    return read("markers.csv")


def genes() -> pl.DataFrame:
    """Return the 33,538 genes of the 10x reference: Ensembl id, symbol, chromosome, biotype."""
    return read("genes.parquet")


def gene_sets() -> pl.DataFrame:
    """Return the study's gene sets: ribosome biogenesis (full, dot plot) and dissociation stress."""
    return read("gene_sets.csv")


def gene_directions() -> pl.DataFrame:
    """Return published directions of expression with age, per cell type, assay and gene."""
    return read("gene_directions.csv")


def cytokine_directions() -> pl.DataFrame:
    """Return published cytokine directions with age, those reported unchanged included."""
    return read("cytokine_directions.csv")


def composition_age_slopes() -> pl.DataFrame:
    """Return published age slopes of composition, log2 fold change per SD of age (read off a figure)."""
    return read("composition_age_slopes.csv")


def library_fractions() -> pl.DataFrame:
    """Return per-library-group fractions of each type within its assay (read off figures, about 0.005)."""
    return read("library_fractions.csv")


def loading() -> pl.DataFrame:
    """Return what loading costs by way: cells, seconds, peak memory in GiB.

    Source: ``bench/RESULTS.md``; the row of pandas was measured the same way on the default atlas.
    """
    return read("loading.csv")
