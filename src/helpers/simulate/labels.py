"""The 82 finest labels by assay, with their parents, counts, and the lineage that decides what resembles what."""

import polars as pl

from helpers import names
from helpers.facts import study

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
BREAK_FROM, BREAK_TO, BREAK_COUNT = "cDC2", "cDC1", study.N_HIERARCHY_BREAKS


def list_labels() -> pl.DataFrame:
    """Return one row for each finest label and assay it is seen in: parents, lineage, full-size count ``n``."""
    long = (
        study.hierarchy()
        .rename({"n_cells_may2023": names.CELLS, "n_nuclei_may2023": names.NUCLEI})
        .with_columns(
            (pl.col(names.CELLS) + pl.col(names.LEVEL2).replace_strict(_LATER_EDITS, default=0)).alias(
                names.CELLS
            ),
            pl.col(names.LEVEL0).replace_strict(LINEAGE_OF).alias("lineage"),
        )
        .unpivot(
            on=[names.CELLS, names.NUCLEI],
            index=[*names.LEVELS, "lineage"],
            variable_name=names.ASSAY,
            value_name="n",
        )
    )
    return long.filter(pl.col("n") > 0)


def scale_counts(n: list[int], *, scale: float, at_least: int = 4) -> list[int]:
    """Scale full-size counts, keeping at least a few of each; ``scale=1`` returns them unchanged."""
    return [max(round(count * scale), min(count, at_least)) for count in n]
