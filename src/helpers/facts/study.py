"""Published figures of the atlas and its study, each with where it comes from.

Sources: the study [1]_, its authors' public notebooks (github.com/Teichlab/SKM_ageing_atlas), and the public files
of the release's producer (github.com/winternewt/muscle-ageing-cell-atlas).

References
----------
.. [1] Kedlian et al. (2024), Nature Aging, doi:10.1038/s43587-024-00613-3
"""

from functools import cache, partial
from pathlib import Path

import polars as pl

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
