"""The count matrix of all cells, group by group: one library and one true finest label at a time.

Molecules are drawn one by one: alias tables per group, a gamma factor per cell and gene, a seed per cell.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

import numpy as np
import polars as pl
import scipy.sparse as sp
from scipy.special import gammaincinv

from helpers import names
from helpers.facts import study
from helpers.kernels import kernel
from helpers.simulate import cells, cohort, genes
from helpers.simulate.cohort import CENTER, DECADE, PLANTED, THREADS, generator

FACTORS = 256  # quantiles of the gamma factor
FACTOR_LIMIT = 3.0
SHARES = ("share_mito", "share_ribo", "share_stress")
# The cells of one library and true finest label: library, entries, their shares over four gene classes, and the rates
# of genes, which add up to one in each class.
Group = tuple[str, pl.DataFrame, np.ndarray, np.ndarray]


def _list_entries(frame: pl.DataFrame) -> pl.DataFrame:
    """Return one row for each cell and source of its molecules: two for a doublet, in order of groups and cells."""
    own = [cells.TRUE2, cells.TRUE0, "molecules", *SHARES]
    first = frame.with_row_index("row").select("row", names.SAMPLE, "doublet", "partner", *own)
    second = first.filter("doublet")
    second = second.with_columns(first[second["partner"].to_numpy()].select(own))
    both = pl.concat([first.with_columns(part=0), second.with_columns(part=1)])
    half = (pl.col("molecules") * cells.DOUBLET_YIELD).round().cast(pl.Int64)
    both = both.with_columns(molecules=pl.when("doublet").then(half).otherwise("molecules"))
    return both.sort(names.SAMPLE, cells.TRUE2, "row", "part")


def _scale(rate: np.ndarray) -> np.ndarray:
    """Make the rates of each class of genes add up to one."""
    kind = genes.list_kinds()
    return rate / np.bincount(kind, rate)[kind]


def _list_groups(
    frame: pl.DataFrame, profiles: genes.Profiles, age_effects: pl.DataFrame, *, seed: int
) -> list[Group]:
    """Return the groups of cells with the expected molecules of each gene, as yet without ambient molecules."""
    chemistry_log, after = genes.chemistry_log(seed), PLANTED.late_after
    sex_log = {s: genes.sex_log(s, seed=seed) for s in (names.MALE, names.FEMALE)}
    hinge = genes.hinge_slopes()
    # parts that several groups have in common are made once
    age_log = cache(partial(genes.age_log, age_effects))
    donor_log = cache(partial(genes.donor_log, seed))
    about = (names.ASSAY, names.DONOR, names.EXACT_AGE, names.SEX, names.CHEMISTRY)
    libraries = cohort.list_libraries().rows_by_key(names.SAMPLE, named=True, unique=True)
    groups = []
    entries = _list_entries(frame).group_by(names.SAMPLE, cells.TRUE2, maintain_order=True)
    draws = {s: generator(seed, "library", s).normal(size=study.N_GENES) for s in libraries}
    for (sample, level2), part in entries:
        assay, donor, age, sex, chemistry = (libraries[sample][column] for column in about)
        level0 = part[cells.TRUE0][0]
        linear, late = age_log(assay, level0, level2)
        log = linear * ((age - CENTER) / DECADE) + donor_log(donor, level0)
        log += late * (max(age - after, 0) / DECADE / hinge[assay])
        log += sex_log[sex] + PLANTED.library_sd * draws[sample]
        log += chemistry_log * (cohort.V3_SHARE[chemistry] - 0.5)
        rate = _scale(profiles[assay][level2] * np.exp(log))
        share = part.select(SHARES).to_numpy()
        share = np.c_[1 - share.sum(axis=1), share]
        groups.append((sample, part, share, rate.astype(np.float32)))
    return groups


def _soups(groups: list[Group], *, seed: int) -> dict[str, tuple[float, np.ndarray]]:
    """Return by library the share of ambient molecules, and what they are: its own cells' and other libraries'."""
    own: dict[str, np.ndarray] = {}
    for sample, part, shares, rate in groups:
        weight = part["molecules"].to_numpy() @ shares
        own[sample] = own.get(sample, 0) + weight[genes.list_kinds()] * rate
    libraries = cohort.list_libraries().filter(pl.col(names.SAMPLE).is_in(list(own)))
    libraries, soups = libraries.select(names.SAMPLE, names.ASSAY, names.DONOR).rows(), {}
    for sample, assay, donor in libraries:
        foreign = np.sum([own[other] for other, where, _ in libraries if where == assay], axis=0)
        soup = _scale(own[sample]) * (1 - PLANTED.foreign) + PLANTED.foreign * _scale(foreign)
        soups[sample] = genes.ambient_share(seed, sample, assay, donor), soup
    return soups


def draw_counts(
    frame: pl.DataFrame, profiles: genes.Profiles, age_effects: pl.DataFrame, *, seed: int
) -> sp.csr_matrix:
    """Draw the molecules of every cell: CSR of whole numbers, the same whatever the number of threads."""
    kind = genes.list_kinds()
    groups = _list_groups(frame, profiles, age_effects, seed=seed)
    soups = _soups(groups, seed=seed)
    seeds = generator(seed, "molecules").integers(0, 2**63, size=(2, len(frame)), dtype=np.uint64)
    types = cohort.list_types().select(names.LEVEL0, "dispersion").rows()
    # quantiles of a gamma of mean one, cut at a limit, as chances to keep a draw
    middle, factors = (np.arange(FACTORS) + 0.5) / FACTORS, {}
    for level0, spread in types:
        value = np.minimum(gammaincinv(1 / spread, middle) * spread, FACTOR_LIMIT)
        factors[level0] = (value / FACTOR_LIMIT).astype(np.float32)

    def draw(group: Group) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        sample, part, shares, rate = group
        ambient, soup = soups[sample]
        rate = (1 - ambient) * rate + ambient * soup
        own = seeds[part["part"].to_numpy(), part["row"].to_numpy()]
        factor = factors[part[cells.TRUE0][0]]
        return draw_cells(rate, kind, part["molecules"].to_numpy(), shares, own, factor)

    with ThreadPoolExecutor(THREADS) as pool:
        drawn = list(pool.map(draw, groups))
    lengths, found, number = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
    del drawn
    entries = sp.csr_matrix((number, found, np.r_[0, np.cumsum(lengths)]), shape=(len(lengths), len(kind)))
    # cells back in their order, the two parts of a doublet added
    rows = np.concatenate([part["row"].to_numpy() for _, part, _, _ in groups])
    place = (np.ones(len(rows), np.int32), (rows, np.arange(len(rows))))
    counts = sp.csr_matrix(place, shape=(len(frame), len(rows))) @ entries
    counts.sort_indices()
    return counts


@kernel
def _mix(state):
    """Turn 64 bits into 64 others that look random (splitmix64)."""
    z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@kernel
def make_alias(weight):
    """Return the two arrays of Walker's alias method for drawing a position with a chance as its `weight`."""
    n = weight.size
    chance = weight * (n / weight.sum())
    other = np.arange(n).astype(np.int32)
    small, large = np.empty(n, np.int32), np.empty(n, np.int32)
    n_small = n_large = 0
    for i in range(n):
        if chance[i] < 1.0:
            small[n_small] = i
            n_small += 1
        else:
            large[n_large] = i
            n_large += 1
    while n_small > 0 and n_large > 0:
        n_small -= 1
        low = small[n_small]
        high = large[n_large - 1]
        other[low] = high
        chance[high] -= 1.0 - chance[low]
        if chance[high] < 1.0:
            n_large -= 1
            small[n_small] = high
            n_small += 1
    for i in range(n_small):
        chance[small[i]] = 1.0
    for i in range(n_large):
        chance[large[i]] = 1.0
    return chance.astype(np.float32), other


@kernel
def draw_cells(rate, kind, molecules, shares, seeds, factor):
    """Draw the molecules of the cells of one group."""
    n_genes, shift = rate.size, np.uint64(40)
    members = [np.flatnonzero(kind == k).astype(np.int32) for k in range(4)]
    tables = [make_alias(rate[member] + 1e-300) for member in members]
    count = np.zeros(n_genes, np.int32)
    limit = np.minimum(molecules, n_genes).sum()
    genes, counts = np.empty(limit, np.int32), np.empty(limit, np.int32)
    lengths, used = np.zeros(molecules.size, np.int64), 0
    unit = np.float32(1.0 / (1 << 24))
    for cell in range(molecules.size):
        state = seeds[cell]
        for k in range(4):
            member, chance, other = members[k], tables[k][0], tables[k][1]
            wanted = round(molecules[cell] * shares[cell, k])
            while wanted > 0:
                state += np.uint64(0x9E3779B97F4A7C15)
                bits = _mix(state)
                slot = np.int64(((bits & np.uint64(0xFFFFFFFF)) * np.uint64(member.size)) >> np.uint64(32))
                if np.float32(bits >> shift) * unit >= chance[slot]:
                    slot = np.int64(other[slot])
                gene = member[slot]
                own = _mix(seeds[cell] ^ (np.uint64(gene) * np.uint64(0xD6E8FEB86659FD93)))
                state += np.uint64(0x9E3779B97F4A7C15)
                if np.float32(_mix(state) >> shift) * unit < factor[np.int64(own & np.uint64(255))]:
                    count[gene] += 1
                    wanted -= 1
        found = np.flatnonzero(count)
        lengths[cell] = found.size
        genes[used : used + found.size] = found
        counts[used : used + found.size] = count[found]
        count[found] = 0
        used += found.size
    return lengths, genes[:used].copy(), counts[:used].copy()


@kernel
def log_normalize(indptr, counts, total, out):
    """Fill `out` with the natural log of one plus the counts per 10,000 of each cell."""
    for row in range(indptr.size - 1):
        size = 10_000.0 / max(total[row], 1)
        for i in range(indptr[row], indptr[row + 1]):
            out[i] = np.log1p(counts[i] * size)
