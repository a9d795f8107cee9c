"""The 17 donors, 43 libraries and 82 finest labels: published where it is known, a stated assumption where it is not."""

from collections import Counter

import polars as pl

from helpers import names
from helpers.facts import study

# Nuclei libraries whose donor or chemistry is not stated in public: this simulation's assumption.
ASSUMED_DONOR = {
    "5386STDY7600837": "362C", "5386STDY7796287": "398B", "5386STDY8090407": "470BR", "5386STDY8552614": "464C",
    "5386STDY8552709": "362C", "WS_A_SKM9426496": "502B", "WS_A_SKM9426498": "343B", "WS_A_SKM9426500": "566B",
    "WS_A_SKM9426502": "529C", "WS_A_SKM10691778": "583B", "WS_A_SKM10691779": "582C",
}  # fmt: skip
# Early nuclei libraries are taken for v2, later ones for v3.
ASSUMED_V2_V3 = "5386STDY8090407"
V2_PREFIXES = r"^(mus_SNuc|5386STDY7|5386STDY80)"
# Edits between the per-assay tables of May 2023 and the deployed labels, all among cells.
_LATER_EDITS = {
    "cDC2": -study.N_HIERARCHY_BREAKS, "cDC1": study.N_HIERARCHY_BREAKS, "Vein-CCL2+": -20, "Vein": 20,
}  # fmt: skip


def list_donors() -> pl.DataFrame:
    """Return one row a donor: identity, exact age, sex, hospital days, age group and midpoint, cells, nuclei.

    Cells in the deployed object: the April 2023 table, with the 116 later cells shared out. Nuclei: published only as
    sums of age groups and sexes; the split within a sum is this simulation's assumption.
    """
    midpoint = pl.col("Age_group_5y").str.split("-").list.eval(pl.element().cast(pl.Float64)).list.mean()
    sizes = study.read("twin_donors.csv")
    return (
        study.donors()
        .join(sizes, on=names.DONOR, maintain_order="left")
        .select(
            names.DONOR,
            pl.col("Age").cast(pl.Float64).alias(names.EXACT_AGE),
            pl.col("Sex").alias(names.SEX),
            "Donor_type",
            "hospital_days",
            pl.col("Age_group_5y").alias(names.AGE_GROUP),
            names.AGE_BIN,
            midpoint.alias(names.AGE_MIDPOINT),
            "n_cells",
            "n_nuclei",
        )
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
    left = {}
    for donor, n_cells, n_nuclei in list_donors().select(names.DONOR, "n_cells", "n_nuclei").rows():
        left |= {(names.CELLS, donor): n_cells, (names.NUCLEI, donor): n_nuclei}
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


def list_types() -> pl.DataFrame:
    """Return what the 36 level-0 types are made with, all of it assumed.

    ``lineage`` (its types share a program and are what a wrong label is confused with), median molecules by assay, mean
    shares of mitochondrial and ribosomal molecules in cells, ``dispersion`` (between the cells of one group: variance of
    a gamma of mean one), ``abundance_sd`` (log2, between donors: so wide that rank tests of age find next to nothing),
    ``chemistry_slope`` (log2 abundance, v3 over v2), ``assumed_slope`` (log2 abundance per decade where the study's
    model left a label out), ``ageless`` (no change of expression with age beyond the published genes).
    """
    return study.read("twin_types.csv")


def list_labels() -> pl.DataFrame:
    """Return one row for each finest label and assay it is seen in: parents, lineage, full-size count ``n``."""
    edits = pl.col(names.LEVEL2).replace_strict(_LATER_EDITS, default=0)
    table = study.hierarchy().with_columns(
        (pl.col("n_cells_may2023") + edits).alias(names.CELLS),
        pl.col("n_nuclei_may2023").alias(names.NUCLEI),
    )
    table = table.join(list_types().select(names.LEVEL0, "lineage"), on=names.LEVEL0, maintain_order="left")
    index = [*names.LEVELS, "lineage"]
    long = table.unpivot([names.CELLS, names.NUCLEI], index=index, variable_name=names.ASSAY, value_name="n")
    return long.filter(pl.col("n") > 0)
