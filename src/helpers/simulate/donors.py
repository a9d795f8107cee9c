"""The 17 donors and 43 libraries: published where it is known, a stated assumption where it is not."""

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
ASSUMED_V2_V3 = ("5386STDY8090407",)
V2_PREFIXES = ("mus_SNuc", "5386STDY7", "5386STDY80")


def list_donors() -> pl.DataFrame:
    """Return one row a donor: identity, exact age, sex, hospital days, age group and midpoint, cells, nuclei."""
    midpoint = pl.col("Age_group_5y").str.split("-").list.eval(pl.element().cast(pl.Float64)).list.mean()
    return study.donors().select(
        names.DONOR,
        pl.col("Age").cast(pl.Float64).alias(names.EXACT_AGE),
        pl.col("Sex").alias(names.SEX),
        pl.col("Donor_type"),
        pl.col("hospital_days"),
        pl.col("Age_group_5y").alias(names.AGE_GROUP),
        pl.col(names.AGE_BIN),
        midpoint.alias(names.AGE_MIDPOINT),
        pl.col(names.DONOR).replace_strict(CELLS_OF_DONOR, default=0).alias("n_cells"),
        pl.col(names.DONOR).replace_strict(NUCLEI_OF_DONOR, default=0).alias("n_nuclei"),
    )


def _chemistry(sample: str, stated: str | None) -> str:
    """Return the stated chemistry, or the assumed one: early nuclei libraries are v2, later ones v3."""
    if stated is not None:
        return stated
    if sample in ASSUMED_V2_V3:
        return names.V2_V3
    return names.V2 if sample.startswith(V2_PREFIXES) else names.V3


def list_libraries() -> pl.DataFrame:
    """Return one row a library: assay, donor, chemistry, full-size number of cells, and what was assumed.

    A donor's cells are shared between its libraries of one assay in fixed unequal parts.
    """
    rows = []
    for row in study.libraries().iter_rows(named=True):
        donor = row[names.DONOR] or ASSUMED_DONOR[row[names.SAMPLE]]
        rows.append(
            {
                names.SAMPLE: row[names.SAMPLE],
                names.ASSAY: row[names.ASSAY],
                names.DONOR: donor,
                names.CHEMISTRY: _chemistry(row[names.SAMPLE], row[names.CHEMISTRY]),
                "donor_assumed": row[names.DONOR] is None,
                "chemistry_assumed": row[names.CHEMISTRY] is None,
            }
        )
    totals = {names.CELLS: CELLS_OF_DONOR, names.NUCLEI: NUCLEI_OF_DONOR}
    left = {(assay, donor): n for assay, table in totals.items() for donor, n in table.items()}
    share = {key: sum((r[names.ASSAY], r[names.DONOR]) == key for r in rows) for key in left}
    for row in rows:
        key = (row[names.ASSAY], row[names.DONOR])
        # The first of k libraries gets a little more than 1/k of what is left, the last one the rest.
        part = left[key] if share[key] == 1 else round(left[key] * min(0.9, 1.12 / share[key]))
        row["n"], left[key], share[key] = part, left[key] - part, share[key] - 1
    return pl.DataFrame(rows)
