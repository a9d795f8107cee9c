"""What is published about fibers and composition: gene sets, library fractions and slopes read off figures.

Sources: the study [1]_ and its authors' public notebooks (github.com/Teichlab/SKM_ageing_atlas); gene sets from
single-fiber proteomics [2]_ and from approved gene names (HGNC).

References
----------
.. [1] Kedlian et al. (2024), Nature Aging, doi:10.1038/s43587-024-00613-3
.. [2] Murgia et al. (2021), Skeletal Muscle, doi:10.1186/s13395-021-00279-0
"""

import polars as pl

from helpers.facts import study

# Library groups behind each panel of fractions: donor x chemistry with libraries of more than 1,000 barcodes. In
# cells a group is a donor. In nuclei donors 470BR (young) and 362C (old) have two chemistries each and so count
# twice, as far as the donor and library tables tell.
FRACTION_GROUPS = {("cells", "young"): 5, ("cells", "old"): 7, ("nuclei", "young"): 6, ("nuclei", "old"): 7}
MYOSINS = {"type I": "MYH7", "type IIa": "MYH2", "type IIx": "MYH1"}
# Median share of nuclei of the young and the old library groups, read off the study's figure.
PUBLISHED_MEDIANS = {"young": {"MF-I": 0.545, "MF-II": 0.282}, "old": {"MF-I": 0.407, "MF-II": 0.366}}


def gene_sets() -> dict[str, list[str]]:
    """Return the slow and the fast genes of skeletal muscle fibers; the file has the evidence for each."""
    table = study.read("fiber_gene_sets.csv").filter(pl.col("set").is_in(["slow", "fast"]))
    return dict(table.group_by("set", maintain_order=True).agg("gene").iter_rows())


def completed_fractions() -> pl.DataFrame:
    """Return the published fractions with the points that a reader of the figure adds, and how many stay lost.

    Fractions of each type within its assay, one a library group (read off a figure, to about 0.005). Points that lie on
    each other are read once; where a person can see them they are added (``reading`` says ``by eye`` or ``near zero``).
    Every type, assay and age group carries how many points it should have (``groups``) and how many are still ``lost``.
    """
    expected = [
        {"batch": assay, "Age_bin": group, "groups": n} for (assay, group), n in FRACTION_GROUPS.items()
    ]
    expected = pl.DataFrame(expected)
    seen = pl.len().over("batch", "annotation_level0", "Age_bin").cast(pl.Int64)
    fractions = study.read("library_fractions.csv").join(expected, on=["batch", "Age_bin"], how="left")
    return fractions.with_columns((pl.col("groups") - seen).alias("lost"))


def published_slopes() -> pl.DataFrame:
    """Return the published age slopes of the two assays: log2 per standard deviation of age and per decade.

    ``clear`` marks slopes that the study calls significant (local true sign rate above 0.95). The study counts
    libraries as replicates and leaves donor and sex out of its model.
    """
    assay = {
        "cells_only(ventilation_days+chemistry)": "cells",
        "nuclei_only(ventilation_cat+chemistry)": "nuclei",
    }
    slopes = study.composition_age_slopes().filter(pl.col("model").is_in(list(assay)))
    return slopes.select(
        pl.col("model").replace_strict(assay).alias("assay"),
        pl.col("celltype").alias("type"),
        pl.col("log2FC_per_SD_age").alias("published_per_sd"),
        (pl.col("log2FC_per_SD_age") / (study.AGE_SD / 10)).alias("published_per_decade"),
        (pl.col("LTSR_approx") > 0.95).alias("clear"),
    )
