"""The count matrix of all cells, group by group: one library and one true finest label at a time."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import polars as pl
import scipy.sparse as sp

from helpers import names
from helpers.simulate import cells, composition, effects, genes, labels, sampling
from helpers.simulate.chance import generator

# How much a gene's rate differs between the cells of one group: variance of a gamma of mean one.
DISPERSION = {"myonuclei": 0.35, "fragments": 0.5, "lymphoid": 0.3, "stem": 0.3}
DISPERSION_ELSE = 0.4
_KINDS = {"rest": sampling.REST, "mito": sampling.MITO, "ribo": sampling.RIBO, "stress": sampling.STRESS}
_MIDDLE = 0.5  # chemistry is coded 0 to 1: effects are centered


@dataclass(frozen=True)
class Plan:
    """What the matrix is drawn from: mean profiles by assay and finest label, planted age effects, the seed."""

    profiles: dict[str, dict[str, np.ndarray]]
    age_effects: pl.DataFrame
    seed: int


def list_entries(frame: pl.DataFrame) -> pl.DataFrame:
    """Return one row for each cell and source of its molecules: two for a doublet, in order of groups and cells."""
    shares = ("share_mito", "share_ribo", "share_stress")
    frame = frame.with_row_index("row")
    half = pl.when("doublet").then(pl.col("molecules") // 2).otherwise("molecules").alias("molecules")
    keep = ["row", names.SAMPLE, cells.TRUE2, cells.TRUE0, "molecules", *shares]
    first = frame.with_columns(half).select(keep)
    second = frame.filter("doublet").with_columns(half)
    other = frame[second["partner"].to_numpy()].select(cells.TRUE2, cells.TRUE0)
    second = second.select(keep).with_columns(other)
    both = pl.concat(
        [first.with_columns(pl.lit(0).alias("part")), second.with_columns(pl.lit(1).alias("part"))]
    )
    return both.sort(names.SAMPLE, cells.TRUE2, "row", "part")


def _rates(plan: Plan, libraries: pl.DataFrame) -> dict:
    """Return what the rates of groups are made of, by key; the last three are filled as groups need them."""
    return {
        "chemistry": effects.chemistry_log(plan.seed),
        "sex": {sex: effects.sex_log(sex) for sex in libraries[names.SEX].unique()},
        "library": {row[names.SAMPLE]: row for row in libraries.rows(named=True)},
        "age": {},
        "donor": {},
        "tube": {},
    }


def _group_rate(plan: Plan, parts: dict, sample: str, level0: str, level2: str) -> np.ndarray:
    """Return the expected molecules of one group, any scale: profile, age, sex, chemistry, donor and library."""
    library = parts["library"][sample]
    assay, donor = library[names.ASSAY], library[names.DONOR]
    if (assay, level2) not in parts["age"]:
        parts["age"][assay, level2] = effects.age_log(plan.age_effects, assay, level0, level2)
    if (donor, level0) not in parts["donor"]:
        parts["donor"][donor, level0] = effects.donor_log(plan.seed, donor, level0)
    if sample not in parts["tube"]:
        parts["tube"][sample] = effects.library_log(plan.seed, sample)
    decades = (library[names.EXACT_AGE] - composition.CENTER) / composition.DECADE
    log = parts["age"][assay, level2] * decades + parts["donor"][donor, level0]
    log = log + parts["sex"][library[names.SEX]] + parts["tube"][sample]
    log += parts["chemistry"] * (composition.V3_SHARE[library[names.CHEMISTRY]] - _MIDDLE)
    return plan.profiles[assay][level2] * np.exp(log)


def draw_counts(
    frame: pl.DataFrame, libraries: pl.DataFrame, *, plan: Plan, threads: int = 2
) -> sp.csr_matrix:
    """Draw the molecules of every cell: CSR of whole numbers, the same whatever the number of threads."""
    entries = list_entries(frame)
    kind = genes.list_genes()["kind"].replace_strict(_KINDS, return_dtype=pl.Int64).to_numpy()
    seeds = generator(plan.seed, "molecules").integers(0, 2**63, size=(2, len(frame)), dtype=np.uint64)
    factor = {f: sampling.gamma_factors(DISPERSION.get(f, DISPERSION_ELSE)) for f in labels.LINEAGES}
    parts = _rates(plan, libraries)

    def draw(
        part: pl.DataFrame, rate: np.ndarray
    ) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        share = part.select("share_mito", "share_ribo", "share_stress").to_numpy()
        share = np.c_[1 - share.sum(axis=1), share]
        rows = part["row"].to_numpy().astype(np.int64)
        own = seeds[part["part"].to_numpy(), rows]
        lineage = factor[labels.LINEAGE_OF[part[cells.TRUE0][0]]]
        return rows, sampling.draw_cells(rate, kind, part["molecules"].to_numpy(), share, own, lineage)

    pieces = []
    with ThreadPoolExecutor(threads) as pool:
        for (sample, level2), part in entries.group_by(names.SAMPLE, cells.TRUE2, maintain_order=True):
            rate = _group_rate(plan, parts, str(sample), part[cells.TRUE0][0], str(level2))
            pieces.append(pool.submit(draw, part, rate))
        return _assemble([piece.result() for piece in pieces], len(frame), len(kind))


def _assemble(pieces: list, n_cells: int, n_genes: int) -> sp.csr_matrix:
    """Join the groups' cells into one CSR matrix in the order of rows; the two parts of a doublet are added."""
    length, parts = np.zeros(n_cells, np.int64), np.zeros(n_cells, np.int64)
    for rows, (lengths, _, _) in pieces:
        np.add.at(length, rows, lengths)
        np.add.at(parts, rows, 1)
    indptr = np.r_[0, np.cumsum(length)]
    columns, counts = np.empty(indptr[-1], np.int32), np.empty(indptr[-1], np.int32)
    filled = np.zeros(n_cells, np.int64)
    while pieces:
        rows, (lengths, found, number) = pieces.pop()
        sampling.place(indptr, lengths, found, number, rows, filled, columns, counts)
    twice = np.flatnonzero(parts > 1)
    length = np.diff(indptr)
    length[twice] = sampling.add_repeats(indptr, columns, counts, twice)
    used = sampling.close_gaps(indptr, length, columns, counts)
    indptr = np.r_[0, np.cumsum(length)]
    return sp.csr_matrix((counts[:used], columns[:used], indptr), shape=(n_cells, n_genes))
