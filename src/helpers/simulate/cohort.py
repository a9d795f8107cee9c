"""The 17 donors, 43 libraries and 82 finest labels: published where it is known, a stated assumption where it is not."""

from collections import Counter

import polars as pl

from helpers import names
from helpers.facts import study

# Cells and nuclei of each donor in the deployed object. Cells: the April 2023 table, with the 116 later cells shared
# out. Nuclei: published only as sums of age groups and sexes; the split within a sum is this simulation's assumption.
CELLS_OF_DONOR = {
    "470BR": 12743, "583B": 10866, "411C": 9270, "464C": 1893, "591C": 6449, "621B": 4093,
    "582C": 4999, "362C": 9202, "343B": 4245, "367C": 9538, "339C": 5021, "640C": 12583,
}  # fmt: skip
NUCLEI_OF_DONOR = {
    "470BR": 10602, "398B": 398, "583B": 1010, "566B": 9656, "464C": 10800, "529C": 10234, "582C": 375,
    "362C": 16045, "502B": 2629, "500C": 2100, "343B": 12200, "367C": 5560, "339C": 10650,
}  # fmt: skip
# Nuclei libraries whose donor or chemistry is not stated in public: this simulation's assumption.
ASSUMED_DONOR = {
    "5386STDY7600837": "362C", "5386STDY7796287": "398B", "5386STDY8090407": "470BR", "5386STDY8552614": "464C",
    "5386STDY8552709": "362C", "WS_A_SKM9426496": "502B", "WS_A_SKM9426498": "343B", "WS_A_SKM9426500": "566B",
    "WS_A_SKM9426502": "529C", "WS_A_SKM10691778": "583B", "WS_A_SKM10691779": "582C",
}  # fmt: skip
# Early nuclei libraries are taken for v2, later ones for v3.
ASSUMED_V2_V3 = "5386STDY8090407"
V2_PREFIXES = r"^(mus_SNuc|5386STDY7|5386STDY80)"
# Level-0 labels by lineage. Types of one lineage share a program, and are what a wrong label is confused with.
LINEAGES = {
    "myonuclei": ("MF-I", "MF-II", "Hyb", "Specialised MF"),
    "fragments": ("MF-Isc(fg)", "MF-IIsc(fg)", "MF-Isn(fg)", "MF-IIsn(fg)"),
    "stem": ("MuSC",),
    "stroma": ("FB", "EnFB", "PnFB", "Tenocyte", "Mesothelium", "Adipocyte"),
    "glia": ("mSchwann", "nmSchwann"),
    "mural": ("SMC", "Pericyte"),
    "endothelium": ("ArtEC", "CapEC", "VenEC", "LymphEC"),
    "lymphoid": ("T-cell", "NK-cell", "B-cell", "B-plasma"),
    "myeloid": ("Monocyte", "Macrophage", "cDC1", "cDC2", "pDC", "Neutrophil", "Eosinophil", "Mast"),
    "erythroid": ("RBC",),
}
LINEAGE_OF = {label: lineage for lineage, labels in LINEAGES.items() for label in labels}
# Edits between the per-assay tables of May 2023 and the deployed labels, all among cells.
_LATER_EDITS = {
    "cDC2": -study.N_HIERARCHY_BREAKS,
    "cDC1": study.N_HIERARCHY_BREAKS,
    "Vein-CCL2+": -20,
    "Vein": 20,
}


def list_donors() -> pl.DataFrame:
    """Return one row a donor: identity, exact age, sex, hospital days, age group and midpoint, cells, nuclei."""
    midpoint = pl.col("Age_group_5y").str.split("-").list.eval(pl.element().cast(pl.Float64)).list.mean()
    return study.donors().select(
        names.DONOR,
        pl.col("Age").cast(pl.Float64).alias(names.EXACT_AGE),
        pl.col("Sex").alias(names.SEX),
        "Donor_type",
        "hospital_days",
        pl.col("Age_group_5y").alias(names.AGE_GROUP),
        names.AGE_BIN,
        midpoint.alias(names.AGE_MIDPOINT),
        pl.col(names.DONOR).replace_strict(CELLS_OF_DONOR, default=0).alias("n_cells"),
        pl.col(names.DONOR).replace_strict(NUCLEI_OF_DONOR, default=0).alias("n_nuclei"),
    )


def list_libraries() -> pl.DataFrame:
    """Return one row a library: assay, donor, chemistry, what was assumed, full-size number of cells, donor's age and sex.

    A donor's cells are shared between its libraries of one assay in fixed unequal parts.
    """
    sample = pl.col(names.SAMPLE)
    assumed = pl.when(sample == ASSUMED_V2_V3).then(pl.lit(names.V2_V3))
    assumed = (
        assumed.when(sample.str.contains(V2_PREFIXES)).then(pl.lit(names.V2)).otherwise(pl.lit(names.V3))
    )
    table = study.libraries().select(
        names.SAMPLE,
        names.ASSAY,
        pl.col(names.DONOR).fill_null(sample.replace_strict(ASSUMED_DONOR, default=None)),
        pl.col(names.CHEMISTRY).fill_null(assumed),
        pl.col(names.DONOR).is_null().alias("donor_assumed"),
        pl.col(names.CHEMISTRY).is_null().alias("chemistry_assumed"),
    )
    keys = table.select(names.ASSAY, names.DONOR).rows()
    left = {(names.CELLS, donor): n for donor, n in CELLS_OF_DONOR.items()}
    left |= {(names.NUCLEI, donor): n for donor, n in NUCLEI_OF_DONOR.items()}
    waiting, parts = Counter(keys), []
    for key in keys:
        # The first of k libraries gets a little more than 1/k of what is left, the last one the rest.
        part = left[key] if waiting[key] == 1 else round(left[key] * min(0.9, 1.12 / waiting[key]))
        parts.append(part)
        left[key] -= part
        waiting[key] -= 1
    people = list_donors().select(names.DONOR, names.EXACT_AGE, names.SEX, names.AGE_BIN)
    table = table.with_columns(pl.Series("n", parts))
    return table.join(people, on=names.DONOR, maintain_order="left")


def list_labels() -> pl.DataFrame:
    """Return one row for each finest label and assay it is seen in: parents, lineage, full-size count ``n``."""
    edits = pl.col(names.LEVEL2).replace_strict(_LATER_EDITS, default=0)
    table = study.hierarchy().with_columns(
        (pl.col("n_cells_may2023") + edits).alias(names.CELLS),
        pl.col("n_nuclei_may2023").alias(names.NUCLEI),
        pl.col(names.LEVEL0).replace_strict(LINEAGE_OF).alias("lineage"),
    )
    index = [*names.LEVELS, "lineage"]
    long = table.unpivot([names.CELLS, names.NUCLEI], index=index, variable_name=names.ASSAY, value_name="n")
    return long.filter(pl.col("n") > 0)
