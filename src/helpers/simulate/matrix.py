"""The count matrix of all cells, group by group: one library and one true finest label at a time."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import polars as pl
import scipy.sparse as sp

from helpers import names
from helpers.simulate import cells, composition, effects, genes, labels, sampling
from helpers.simulate.chance import generator
from helpers.simulate.planted import CENTER, DECADE, DEFAULT, Planted

# How much a gene's rate differs between the cells of one group: variance of a gamma of mean one.
DISPERSION = {"myonuclei": 0.35, "fragments": 0.5, "lymphoid": 0.3, "stem": 0.3}
DISPERSION_ELSE = 0.4
SHARES = ("share_mito", "share_ribo", "share_stress")
_KINDS = {"rest": sampling.REST, "mito": sampling.MITO, "ribo": sampling.RIBO, "stress": sampling.STRESS}
_MIDDLE = 0.5  # chemistry is coded 0 to 1: effects are centered


@dataclass(frozen=True)
class Plan:
    """What the matrix is drawn from: mean profiles by assay and finest label, age effects, seed, what is planted."""

    profiles: dict[str, dict[str, np.ndarray]]
    age_effects: pl.DataFrame
    seed: int
    planted: Planted = DEFAULT


@dataclass(frozen=True)
class Group:
    """The cells of one library and true finest label, their shares over four gene classes, and the rates of genes."""

    sample: str
    cells: pl.DataFrame
    shares: np.ndarray
    rate: np.ndarray  # adds up to one in each class


def list_entries(frame: pl.DataFrame) -> pl.DataFrame:
    """Return one row for each cell and source of its molecules: two for a doublet, in order of groups and cells."""
    keep = ["row", names.SAMPLE, cells.TRUE2, cells.TRUE0, "molecules", *SHARES]
    frame = frame.with_row_index("row")
    yielded = pl.when("doublet").then(pl.col("molecules") * cells.DOUBLET_YIELD).otherwise("molecules")
    first = frame.with_columns(yielded.round().cast(pl.Int64).alias("molecules")).select(keep)
    second = frame.filter("doublet").select("row", names.SAMPLE, "partner")
    other = frame[second["partner"].to_numpy()].select(cells.TRUE2, cells.TRUE0, "molecules", *SHARES)
    second = second.with_columns(other).with_columns(
        (pl.col("molecules") * cells.DOUBLET_YIELD).round().cast(pl.Int64)
    )
    both = pl.concat(
        [
            first.with_columns(pl.lit(0).alias("part")),
            second.select(keep).with_columns(pl.lit(1).alias("part")),
        ]
    )
    return both.sort(names.SAMPLE, cells.TRUE2, "row", "part")


class _Rates:
    """Expected molecules of a group: profile, age, sex, chemistry, donor and library; parts are made once."""

    def __init__(self, plan: Plan, libraries: pl.DataFrame) -> None:
        seed, planted = plan.seed, plan.planted
        self.plan = plan
        self.chemistry = effects.chemistry_log(seed, planted)
        self.sex = {s: effects.sex_log(s, seed=seed, planted=planted) for s in (names.MALE, names.FEMALE)}
        self.library = {row[names.SAMPLE]: row for row in libraries.rows(named=True)}
        self.tube = {s: effects.library_log(seed, s, planted) for s in self.library}
        self.age: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]] = {}
        self.donor: dict[tuple[str, str], np.ndarray] = {}
        kind = genes.list_genes()["kind"].replace_strict(_KINDS, return_dtype=pl.Int64)
        self.kind = kind.to_numpy()

    def scale(self, rate: np.ndarray) -> np.ndarray:
        """Make the rates of each class of genes add up to one."""
        return rate / np.bincount(self.kind, rate)[self.kind]

    def of(self, sample: str, level0: str, level2: str) -> np.ndarray:
        """Return the rates of one group."""
        plan, library = self.plan, self.library[sample]
        assay, donor, age = library[names.ASSAY], library[names.DONOR], library[names.EXACT_AGE]
        if (assay, level2) not in self.age:
            self.age[assay, level2] = tuple(
                effects.age_log(plan.age_effects, assay, level0, level2, late=late) for late in (False, True)
            )
        if (donor, level0) not in self.donor:
            self.donor[donor, level0] = effects.donor_log(plan.seed, donor, level0, plan.planted)
        linear, late = self.age[assay, level2]
        after = plan.planted.late_after
        log = linear * ((age - CENTER) / DECADE) + self.donor[donor, level0]
        log += late * (max(age - after, 0) / DECADE / effects.hinge_slope(assay, after))
        log += self.sex[library[names.SEX]] + self.tube[sample]
        log += self.chemistry * (composition.V3_SHARE[library[names.CHEMISTRY]] - _MIDDLE)
        return self.scale(plan.profiles[assay][level2] * np.exp(log))


def _list_groups(frame: pl.DataFrame, rates: _Rates) -> list[Group]:
    """Return the groups of cells with their rates, as yet without ambient molecules."""
    groups = []
    for (sample, level2), part in list_entries(frame).group_by(
        names.SAMPLE, cells.TRUE2, maintain_order=True
    ):
        share = part.select(SHARES).to_numpy()
        share = np.c_[1 - share.sum(axis=1), share]
        rate = rates.of(str(sample), part[cells.TRUE0][0], str(level2))
        groups.append(Group(str(sample), part, share, rate.astype(np.float32)))
    return groups


def _soups(groups: list[Group], rates: _Rates) -> dict[str, tuple[float, np.ndarray]]:
    """Return by library the share of ambient molecules, and what they are: its own cells' and other libraries'."""
    own = {sample: np.zeros(len(rates.kind)) for sample in rates.library}
    for group in groups:
        weight = group.cells["molecules"].to_numpy() @ group.shares
        own[group.sample] += weight[rates.kind] * group.rate
    foreign, soups = {}, {}
    for assay in (names.CELLS, names.NUCLEI):
        of_assay = [own[s] for s, row in rates.library.items() if row[names.ASSAY] == assay and own[s].any()]
        foreign[assay] = rates.scale(np.sum(of_assay, axis=0)) if of_assay else np.zeros(len(rates.kind))
    plan = rates.plan
    for sample, row in rates.library.items():
        share = effects.ambient_share(plan.seed, sample, row[names.ASSAY], row[names.DONOR], plan.planted)
        if own[sample].any():
            mixed = rates.scale(own[sample]) * (1 - plan.planted.foreign)
            soups[sample] = share, mixed + plan.planted.foreign * foreign[row[names.ASSAY]]
    return soups


def draw_counts(
    frame: pl.DataFrame, libraries: pl.DataFrame, *, plan: Plan, threads: int = 2
) -> sp.csr_matrix:
    """Draw the molecules of every cell: CSR of whole numbers, the same whatever the number of threads."""
    rates = _Rates(plan, libraries)
    groups = _list_groups(frame, rates)
    soups = _soups(groups, rates)
    seeds = generator(plan.seed, "molecules").integers(0, 2**63, size=(2, len(frame)), dtype=np.uint64)
    factor = {f: sampling.gamma_factors(DISPERSION.get(f, DISPERSION_ELSE)) for f in labels.LINEAGES}

    def draw(group: Group) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        part = group.cells
        ambient, soup = soups[group.sample]
        rate = (1 - ambient) * group.rate + ambient * soup
        rows = part["row"].to_numpy().astype(np.int64)
        own = seeds[part["part"].to_numpy(), rows]
        lineage = factor[labels.LINEAGE_OF[part[cells.TRUE0][0]]]
        molecules = part["molecules"].to_numpy()
        return rows, sampling.draw_cells(rate, rates.kind, molecules, group.shares, own, lineage)

    with ThreadPoolExecutor(threads) as pool:
        pieces = list(pool.map(draw, groups))
    groups.clear()
    return _assemble(pieces, len(frame), len(rates.kind))


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
