"""Columns and labels of the atlas, each written once."""

# The twelve files of the release (see the public dataset card).
STEM = "skeletal_muscle_10x"
EXPRESSION_FILE = f"{STEM}_expression.parquet"
SAMPLE_FILE = f"{STEM}_sample_metadata.parquet"
FEATURE_FILE = f"{STEM}_feature_metadata.parquet"
UNSTRUCTURED_FILE = f"{STEM}_unstructured_metadata.json"
STRUCTURE_FILE = "detailed_structure.json"
VALIDATION_FILE = "validation_report.json"
README_FILE = "README.md"
LICENSE_FILE = "LICENSE"
SCVI, UMAP, PCA, TSNE = "X_scVI", "X_umap", "X_pca", "X_tsne"
PROJECTION_FILES = {key: f"{STEM}_projection_{key}.parquet" for key in (SCVI, UMAP, PCA, TSNE)}
PROJECTION_COLUMNS = {
    SCVI: tuple(f"SCVI{i}" for i in range(1, 31)),
    UMAP: ("UMAP1", "UMAP2"),
    PCA: tuple(f"PCA{i}" for i in range(1, 51)),
    TSNE: ("TSNE1", "TSNE2"),
}
RELEASE_FILES = (EXPRESSION_FILE, SAMPLE_FILE, FEATURE_FILE, *PROJECTION_FILES.values(), UNSTRUCTURED_FILE)
RELEASE_FILES += (STRUCTURE_FILE, VALIDATION_FILE, README_FILE, LICENSE_FILE)
INDEX_COLUMN = "__index_level_0__"
TRUTH_FOLDER = "truth"

# Columns of the sample metadata, in the order of the release.
SAMPLE = "SampleID"
DONOR = "DonorID"
AGE_GROUP = "Age_group"
AGE_BIN = "Age_bin"
SEX = "Sex"
ASSAY = "batch"
CHEMISTRY = "10X_version"
LEVEL0 = "annotation_level0"
LEVEL1 = "annotation_level1"
LEVEL2 = "annotation_level2"
N_COUNTS = "n_counts"
N_GENES = "n_genes"
PERCENT_MITO = "percent_mito"
PERCENT_RIBO = "percent_ribo"
DOUBLET_SCORE = "scrublet_score"
AGE_MIDPOINT = "age_numeric"
BARCODE = "barcode"  # our name for the row index; the release leaves it nameless
LEVELS = (LEVEL0, LEVEL1, LEVEL2)
LABEL_COLUMNS = (SAMPLE, DONOR, AGE_GROUP, AGE_BIN, SEX, ASSAY, CHEMISTRY, *LEVELS)
QUALITY_COLUMNS = (N_COUNTS, N_GENES, PERCENT_MITO, PERCENT_RIBO, DOUBLET_SCORE)
SAMPLE_COLUMNS = (*LABEL_COLUMNS, *QUALITY_COLUMNS, AGE_MIDPOINT)

# Columns of the feature metadata, in the order of the release.
ENSEMBL = "ENSEMBL"
SYMBOL = "SYMBOL"
N_CELLS = "n_cells"
GENE_IDS = "gene_ids"
FEATURE_COLUMNS = (ENSEMBL, SYMBOL, N_CELLS, GENE_IDS)
GENE = "gene"  # our name for the gene axis: the column name of the expression file

# Labels.
CELLS, NUCLEI = "cells", "nuclei"
YOUNG, OLD = "young", "old"
MALE, FEMALE = "M", "F"
V2, V3, V2_V3 = "3'v2", "3'v3", "3'v2/v3"
AGE_GROUPS = ("15-20", "20-25", "25-30", "35-40", "50-55", "55-60", "60-65", "70-75")

# AnnData.
COUNTS = "counts"  # layer of molecule counts
EXACT_AGE = "age"  # exact age in years, from the donor table
SIMULATION = "musclebook_simulation"  # in uns, and on the file: what made up the data, as JSON
SIMULATED = "musclebook_simulated"  # column of obs: the cells were made up

# Words that mean "not given", and those that name no single donor, in lower case.
NOT_GIVEN = frozenset({
    "", "-", "?", ".", "na", "n/a", "#n/a", "nan", "<na>", "none", "null", "nil", "unknown", "unk", "unspecified",
    "undefined", "undetermined", "missing", "not available", "not applicable", "not given", "not provided",
    "not reported", "not specified", "not collected", "not determined", "tbd",
})  # fmt: skip
NOBODY = NOT_GIVEN | frozenset({
    "pooled", "pool", "mixed", "mixture", "multiple", "multiple donors", "various", "several", "unassigned",
    "not assigned", "unmapped", "doublet", "doublets", "multiplet", "multiplets", "ambiguous", "negative", "nobody",
    "unknown donor", "donor unknown",
})  # fmt: skip


def is_given(label: str | None) -> bool:
    """Tell whether a label says something: not null, and none of the words for "not given", in any case."""
    return label is not None and label.strip().casefold() not in NOT_GIVEN


def is_somebody(label: str | None) -> bool:
    """Tell whether a label names one donor."""
    return label is not None and label.strip().casefold() not in NOBODY
