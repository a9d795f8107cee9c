"""The 17 donors, 43 libraries and 82 finest labels, how many barcodes of each every library gives, and what is planted.

Published where it is known, a stated assumption where it is not; planted slopes, wide donor differences, exact margins.
"""

from dataclasses import dataclass
from functools import partial
from zlib import crc32

import numpy as np
import polars as pl

from helpers import names
from helpers.facts import study

# The common type without any effect of age, neither in its expression nor in how many of its cells there are: what a
# method must stay silent on. The study reports its CCL2 as unchanged and its slope of composition as its weakest.
SILENT = "VenEC"
CENTER, DECADE = 48.0, 10.0  # years; planted effects are linear in age - CENTER
# The type with a program that is not linear in age: flat up to the middle of life, then up or down.
LATE_TYPE = "FB"
THREADS = 2  # what is made does not depend on it


@dataclass(frozen=True)
class Planted:
    """Sizes of what is planted; standard deviations are on the natural log scale.

    `donor_sd` and `chemistry_sd` give the study's shares of variance by donor and chemistry. Everything else is a guess;
    those about donors were set so that the share of null p-values below 0.05 varies between permutations as in counts
    of real people (a standard deviation of about four points).
    """

    donor_sd: float = 0.32  # between donors, of a typical gene
    donor_sd_spread: float = 0.5  # of that standard deviation, between genes
    donor_shared: float = 0.3  # share of a donor's own change that all of the donor's types have in common
    factors: int = 4  # latent factors: genes of a donor move together
    factor_share: float = 0.75  # share of the variance between donors that they carry
    set_share: float = 0.4  # of its loadings, what a gene of a named gene set has in common with the others
    tail_df: float = 5.0  # degrees of freedom of a donor's own changes: a normal tail is too thin
    quality_sd: float = 0.25  # of the donors' quality: poor tissue varies more and leaks more
    chemistry_sd: float = 0.43
    library_sd: float = 0.04
    ambient_cells: float = 0.03  # of a cell's molecules, those from the soup of its library (median)
    ambient_nuclei: float = 0.03
    ambient_sd: float = 0.5  # between libraries
    foreign: float = 0.2  # share of those from other libraries, by barcodes that hop on the flow cell
    doublets: float = 0.015  # what is left after the study's own removal
    sex_genes: int = 150  # autosomal genes that differ between the sexes, the same in every type
    late_genes: int = 60
    late_after: float = 50.0  # years


PLANTED = Planted()


def generator(seed: int, *keys: str) -> np.random.Generator:
    """Return the generator of `seed` for the purpose that `keys` name, so that one part's draws never move another's."""
    return np.random.default_rng([seed, *(crc32(key.encode()) for key in keys)])


# Edits between the per-assay tables of May 2023 and the deployed labels, all among cells.
_LATER_EDITS = {
    "cDC2": -study.N_HIERARCHY_BREAKS, "cDC1": study.N_HIERARCHY_BREAKS, "Vein-CCL2+": -20, "Vein": 20,
}  # fmt: skip
# Slopes of subtypes beside their parent's, log2 per decade, in the directions the study reports for neighborhoods.
SUBTYPE_SLOPES = {
    "ICAM1+MuSCs": -0.25, "TNFRSF12A+MuSCs": -0.45, "MYOG+MuSCs": 0.25, "Adv_FB": 0.3, "Par_FB": -0.15,
    "Endoneural_FB-CDH19+": -0.2, "Pericyte-CCL26+": 0.3, "SMC-CCL2+": -0.15,
    "CD16-NK": 0.25, "CD8+T-CRTAM+": 0.15, "II-OTU+TNF+": 0.2, "I-OTU+TNF+": 0.15,
}  # fmt: skip
V3_SHARE = {names.V2: 0.0, names.V2_V3: 0.5, names.V3: 1.0}
# Populations of one donor, and the one lymphoid outlier (log2 on the lymphoid types).
SINGLE_DONOR = {"Vein-Lymph-CD8A+": "367C", "mural-CXCL1+": "367C"}
OUTLIER_DONOR, OUTLIER_LOG2, LYMPHOID_LIMIT = "640C", 3.5, 1.5
LEAST = 4  # barcodes of each label and library that a small atlas keeps
LIBRARY_LOG2_SD, SUBTYPE_LOG2_SD = 0.25, 0.6


def list_donors() -> pl.DataFrame:
    """Return one row a donor: identity, exact age, sex, hospital days, age group and midpoint, cells, nuclei."""
    midpoint = pl.col("Age_group_5y").str.split("-").list.eval(pl.element().cast(pl.Float64)).list.mean()
    about = [names.SEX, "Donor_type", "hospital_days", pl.col("Age_group_5y").alias(names.AGE_GROUP)]
    about += [names.AGE_BIN, midpoint.alias(names.AGE_MIDPOINT), "n_cells", "n_nuclei"]
    table = study.donors().join(study.read("twin_donors.csv"), on=names.DONOR, maintain_order="left")
    return table.select(names.DONOR, pl.col("Age").cast(pl.Float64).alias(names.EXACT_AGE), *about)


def list_libraries() -> pl.DataFrame:
    """Return one row a library: assay, donor, chemistry, what was assumed, full-size number of cells, donor's age and sex."""
    people = list_donors().select(names.DONOR, names.EXACT_AGE, names.SEX, names.AGE_BIN)
    return study.read("twin_libraries.csv").join(people, on=names.DONOR, maintain_order="left")


#: What the 36 level-0 types are made with, all of it assumed; the file says what each column means.
list_types = partial(study.read, "twin_types.csv")


def list_labels() -> pl.DataFrame:
    """Return one row for each finest label and assay it is seen in: parents, lineage, full-size count ``n``."""
    edits = pl.col(names.LEVEL2).replace_strict(_LATER_EDITS, default=0)
    numbers = {names.CELLS: pl.col("n_cells_may2023") + edits, names.NUCLEI: pl.col("n_nuclei_may2023")}
    table = study.hierarchy().with_columns(**numbers)
    table = table.join(list_types().select(names.LEVEL0, "lineage"), on=names.LEVEL0, maintain_order="left")
    index = [*names.LEVELS, "lineage"]
    long = table.unpivot([names.CELLS, names.NUCLEI], index=index, variable_name=names.ASSAY, value_name="n")
    return long.filter(pl.col("n") > 0)


def list_slopes() -> pl.DataFrame:
    """Return the planted level-0 slopes: assay, label, log2 change per decade, origin."""
    slopes = {}
    for model, label, value, *_ in study.composition_age_slopes().rows():
        slopes[model.split("(")[0], label] = value / (study.AGE_SD / DECADE)
    assumed = dict(list_types().select(names.LEVEL0, "assumed_slope").rows())
    rows = []
    for assay, label in list_labels().select(names.ASSAY, names.LEVEL0).unique(maintain_order=True).rows():
        published = slopes.get((f"{assay}_only", label))
        made_up = published is None or label == SILENT
        rows.append((assay, label, *((assumed[label], "assumed") if made_up else (published, "published"))))
    return pl.DataFrame(rows, schema=["assay", "label", "log2_change_per_decade", "origin"], orient="row")


def planted_log2(table: pl.DataFrame, libraries: pl.DataFrame) -> np.ndarray:
    """Return the age part of log2 abundance, libraries x labels; within a type the subtypes keep its total."""
    assay = table[names.ASSAY][0]
    slopes = {label: value for where, label, value, _ in list_slopes().rows() if where == assay}
    decades = (libraries[names.EXACT_AGE].to_numpy() - CENTER) / DECADE
    parent = np.array([slopes[label] for label in table[names.LEVEL0]])
    child = np.array([SUBTYPE_SLOPES.get(label, 0.0) for label in table[names.LEVEL2]])
    inside = np.outer(decades, child)
    weight = table["n"].to_numpy().astype(float)
    for label in table[names.LEVEL0].unique():
        member = (table[names.LEVEL0] == label).to_numpy()
        total = np.exp2(inside[:, member]) @ (weight[member] / weight[member].sum())
        inside[:, member] -= np.log2(total)[:, None]
    return np.outer(decades, parent) + inside


def _varied_log2(table: pl.DataFrame, libraries: pl.DataFrame, *, seed: int) -> np.ndarray:
    """Return everything about abundance that is not age: chemistry, donors, libraries, single-donor populations."""
    assay, children = table[names.ASSAY][0], sorted(table[names.LEVEL2])
    types = list_types().filter(pl.col(names.LEVEL0).is_in(table[names.LEVEL0].to_list()))
    types = types.sort(names.LEVEL0)
    n = len(types) + len(children)
    scale = np.r_[types["abundance_sd"], np.full(len(children), SUBTYPE_LOG2_SD)]
    lymphoid = np.flatnonzero(types["lineage"] == "lymphoid")
    # the columns of each label's type and of the label itself
    a = np.searchsorted(types[names.LEVEL0], table[names.LEVEL0])
    b = len(types) + np.array([children.index(child) for child in table[names.LEVEL2]])
    rows = []
    for library in libraries.iter_rows(named=True):
        donor = library[names.DONOR]
        own = generator(seed, "composition", assay, donor).normal(size=n) * scale
        outlier = donor == OUTLIER_DONOR
        own[lymphoid] = OUTLIER_LOG2 if outlier else np.minimum(own[lymphoid], LYMPHOID_LIMIT)
        tube = generator(seed, "composition", library[names.SAMPLE]).normal(size=n) * LIBRARY_LOG2_SD
        v3 = V3_SHARE[library[names.CHEMISTRY]] - 0.5
        value = own[a] + own[b] + tube[a] + tube[b] + v3 * types["chemistry_slope"].to_numpy()[a]
        value[[SINGLE_DONOR.get(child, donor) != donor for child in table[names.LEVEL2]]] = -np.inf
        rows.append(value)
    return np.array(rows)


def _fit_margins(weight: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Scale rows and columns of `weight` until they add up to `rows` and `columns` (odds ratios are kept)."""
    fitted = weight.astype(float)
    for _ in range(400):
        fitted *= (rows / fitted.sum(axis=1))[:, None]
        fitted *= columns / fitted.sum(axis=0)
    return fitted


def _round_margins(expected: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Round to whole numbers that add up exactly to `rows` and `columns`, moving as few units as possible."""
    whole = np.floor(expected).astype(np.int64)
    for j in range(whole.shape[1]):
        short = int(columns[j] - whole[:, j].sum())
        order = np.argsort(whole[:, j] - expected[:, j], kind="stable")
        for step in range(abs(short)):
            if short > 0:
                whole[order[step % len(order)], j] += expected[order[step % len(order)], j] > 0
            else:
                whole[np.argmax(whole[:, j]), j] -= 1
        whole[np.argmax(expected[:, j]), j] += columns[j] - whole[:, j].sum()
    excess = whole.sum(axis=1) - rows
    while excess.any():
        give, take = int(np.argmax(excess)), int(np.argmin(excess))
        gain = (whole[give] - expected[give]) - (whole[take] - expected[take])
        gain[(whole[give] == 0) | (expected[take] == 0)] = -np.inf
        j = int(np.argmax(gain))
        whole[give, j] -= 1
        whole[take, j] += 1
        excess[give] -= 1
        excess[take] += 1
    return whole


def count_labels(assay: str, *, scale: float, seed: int) -> pl.DataFrame:
    """Return the number of barcodes of each library and finest label of one assay: only those above zero."""
    table = list_labels().filter(pl.col(names.ASSAY) == assay)
    libraries = list_libraries().filter(pl.col(names.ASSAY) == assay)
    columns = np.array([max(round(n * scale), min(n, LEAST)) for n in table["n"]])
    # libraries are scaled by largest remainders, with a few barcodes in each
    n, total = libraries["n"].to_numpy().astype(float), int(columns.sum())
    floor = np.minimum(n, LEAST)
    share = floor + (total - floor.sum()) * (n - floor) / (n - floor).sum()
    rows = np.floor(share).astype(np.int64)
    rows[np.argsort(rows - share, kind="stable")[: total - rows.sum()]] += 1
    log2 = planted_log2(table, libraries) + _varied_log2(table, libraries, seed=seed)
    expected = _fit_margins(np.exp2(log2) * table["n"].to_numpy(), rows, columns)
    drawn = generator(seed, "multinomial", assay).poisson(expected) + 0.02 * expected
    counts = _round_margins(_fit_margins(drawn, rows, columns), rows, columns)
    i, j = np.nonzero(counts)
    parts = libraries[i].drop("n"), table[j].drop(names.ASSAY, "n"), pl.DataFrame({"n": counts[i, j]})
    return pl.concat(parts, how="horizontal")
