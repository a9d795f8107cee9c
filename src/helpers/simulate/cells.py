"""The cells, one row a barcode: labels, molecules of every gene, doublet score, and the four maps of them.

Molecules are drawn one by one, for one library and true finest label at a time: alias tables per group, a gamma factor
per cell and gene, a seed per cell. Three maps are made from the truth, scVI-like, UMAP-like and t-SNE-like; PCA is that
of the matrix itself.
"""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

import numpy as np
import polars as pl
import scipy.sparse as sp
from scipy.special import gammaincinv
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from helpers import names
from helpers.facts import study
from helpers.kernels import kernel, njit
from helpers.simulate import cohort, genes
from helpers.simulate.cohort import CENTER, DECADE, PLANTED, THREADS, generator

MISLABELED = 0.02
DOUBLET_YIELD = 0.8  # of the molecules of each of the two cells: they share the droplet's reagents
TRUE0, TRUE1, TRUE2 = "true_level0", "true_level1", "true_level2"
MOLECULES_SD, LIBRARY_SD = 0.7, 0.12
POOR_MOLECULES, POOR_MITO = 0.4, 0.6  # natural log by unit of a donor's poor quality
V3_MOLECULES = 0.35  # natural log, v3 over v2
NUCLEAR_SHARES = (0.006, 0.018)  # mean shares of mitochondrial and ribosomal molecules in nuclei
SHARE_SD = (0.5, 0.3, 0.7)  # natural log, between cells: mitochondrial, ribosomal, stress
MITO_LIMIT = 0.5
SHARES = ("share_mito", "share_ribo", "share_stress")
FACTORS = 256  # quantiles of the gamma factor
FACTOR_LIMIT = 3.0
# The cells of one library and true finest label: library, entries, their shares over four gene classes, and the rates
# of genes, which add up to one in each class.
Group = tuple[str, pl.DataFrame, np.ndarray, np.ndarray]
# Of the doublet score.
GENES, COMPONENTS = 800, 20
EXPECTED = 0.06  # share of doublets that Scrublet assumes when it is told nothing
_LEAST = 10  # cells from which neighbors mean anything
# Of the maps.
LATENT = len(names.PROJECTION_COLUMNS[names.SCVI])
PCA_COMPONENTS = len(names.PROJECTION_COLUMNS[names.PCA])
_OVERSAMPLE, _CHUNKS = 10, 8


def _libraries(library: np.ndarray) -> Iterator[tuple[int, int]]:
    """Return the first row of each library and the one after its last: its cells stand together."""
    starts = np.flatnonzero(library[1:] != library[:-1]) + 1
    return itertools.pairwise([0, *starts.tolist(), len(library)])


def _true_labels(frame: pl.DataFrame, *, seed: int) -> pl.DataFrame:
    """Give each cell its true labels: for a few, another finest label of the same lineage and assay."""
    table = cohort.list_labels()
    levels = dict(zip(names.LEVELS, (TRUE0, TRUE1, TRUE2), strict=True))
    parents = table.unique(names.LEVEL2).select(names.LEVELS).rename(levels)
    rng = generator(seed, "mislabeled")
    wrong = rng.random(len(frame)) < MISLABELED
    true = frame[names.LEVEL2].to_numpy().astype(object)
    for (assay, _), group in table.group_by(names.ASSAY, "lineage", maintain_order=True):
        members, weight = group[names.LEVEL2].to_list(), np.sqrt(group["n"].to_numpy())
        for own in members:
            rows = np.flatnonzero(wrong & (true == own) & (frame[names.ASSAY] == assay).to_numpy())
            chance = weight * [other not in (own, *cohort.SINGLE_DONOR) for other in members]
            if len(rows) and chance.sum() > 0:
                wrong[rows] = False
                true[rows] = rng.choice(members, size=len(rows), p=chance / chance.sum())
    frame = frame.with_columns(pl.Series(TRUE2, true.astype(str)))
    frame = frame.join(parents, on=TRUE2, maintain_order="left")
    wrong = pl.any_horizontal(pl.col(shown) != pl.col(true) for shown, true in levels.items())
    return frame.with_columns(mislabeled=wrong)


def _doublets(frame: pl.DataFrame, *, seed: int) -> pl.DataFrame:
    """Mark doublets and give each the row of the second cell, of the same library; -1 for all others."""
    rng = generator(seed, "doublets")
    index = np.arange(len(frame))
    single = frame[names.LEVEL2].is_in(list(cohort.SINGLE_DONOR)).to_numpy()
    partner = index.copy()
    for first, last in _libraries(frame[names.SAMPLE].to_numpy()):
        partner[first:last] = rng.permutation(index[first:last])
    doublet = (rng.random(len(frame)) < PLANTED.doublets) & (partner != index) & ~single
    other = pl.Series("doublet_with", frame[TRUE2].to_numpy()[partner]).set(pl.Series(~doublet), None)
    return frame.with_columns(other, doublet=doublet, partner=np.where(doublet, partner, -1))


def _draw_sizes(frame: pl.DataFrame, *, seed: int) -> pl.DataFrame:
    """Draw each cell's molecules and their shares over mitochondrial, ribosomal and stress genes."""
    rng = generator(seed, "sizes")
    nuclear = (frame[names.ASSAY] == names.NUCLEI).to_numpy()
    types = cohort.list_types().rename({names.LEVEL0: TRUE0})
    types = frame.select(TRUE0).join(types, on=TRUE0, how="left", maintain_order="left")
    median = np.where(nuclear, types["molecules_nuclei"], types["molecules_cells"])
    v3 = frame[names.CHEMISTRY].replace_strict(cohort.V3_SHARE).to_numpy() - 0.5
    tube = {s: LIBRARY_SD * generator(seed, "size", s).normal() for s in frame[names.SAMPLE].unique()}
    log = np.log(median) + V3_MOLECULES * v3
    log += frame[names.SAMPLE].replace_strict(tube).to_numpy() + MOLECULES_SD * rng.normal(size=len(frame))
    poor = frame[names.DONOR].replace_strict(genes.quality(seed)).to_numpy()
    molecules = np.clip(np.exp(log - POOR_MOLECULES * poor), 500, 60_000).round().astype(np.int64)
    shares = types.select("share_mito", "share_ribo").to_numpy()
    shares = np.where(nuclear[:, None], NUCLEAR_SHARES, shares)
    stress = frame[names.DONOR].replace_strict(genes.stress_shares(seed))
    means = np.c_[shares, stress.to_numpy() * np.where(nuclear, 0.4, 1.0)]
    means[:, 0] *= np.exp(POOR_MITO * poor)
    drawn = means * np.exp(np.array(SHARE_SD) * rng.normal(size=means.shape))
    drawn = np.minimum(drawn, [MITO_LIMIT, 0.45, 0.15])
    drawn *= np.minimum(1.0, 0.8 / drawn.sum(axis=1))[:, None]
    drawn = pl.DataFrame(drawn, schema=list(SHARES))
    return frame.with_columns(*drawn, molecules=molecules)


def make_cells(*, scale: float, seed: int) -> pl.DataFrame:
    """Return one row a barcode, libraries one after another: what the release shows of it, and what is true."""
    each = [cohort.count_labels(assay, scale=scale, seed=seed) for assay in (names.CELLS, names.NUCLEI)]
    counts = pl.concat(each).sort(names.ASSAY, names.SAMPLE, maintain_order=True)
    parts = []
    for (sample,), part in counts.group_by(names.SAMPLE, maintain_order=True):
        rng = generator(seed, "barcodes", str(sample))
        rows = part.select(pl.exclude("n").repeat_by("n").explode())
        rows, n = rows[rng.permutation(len(rows))], len(rows)
        code = np.unique(rng.integers(0, 4**16, size=n + n // 8 + 16, dtype=np.int64))
        digits = (rng.permutation(code)[:n, None] >> (2 * np.arange(16))) & 3
        code = np.frombuffer(b"ACGT", "S1")[digits].view("S16").ravel().astype(str)
        barcode = pl.format("{}-{}", names.SAMPLE, pl.Series(code))
        parts.append(rows.with_columns(barcode.alias(names.BARCODE)))
    frame = pl.concat(parts)
    # some type 1 dendritic cells, by their finest label, are under type 2 at the coarser levels
    rows = np.flatnonzero((frame[names.LEVEL2] == "cDC1") & (frame[names.ASSAY] == names.CELLS))
    broken = generator(seed, "break").permutation(rows)[: max(1, round(study.N_HIERARCHY_BREAKS * scale))]
    broken = pl.int_range(pl.len()).is_in(broken.tolist())
    value = pl.when(broken).then(pl.lit("cDC2"))
    frame = frame.with_columns(value.otherwise(pl.col(level)).alias(level) for level in names.LEVELS[:2])
    people = cohort.list_donors().select(names.DONOR, names.AGE_GROUP, names.AGE_MIDPOINT)
    frame = frame.join(people, on=names.DONOR, maintain_order="left")
    return _draw_sizes(_doublets(_true_labels(frame, seed=seed), seed=seed), seed=seed)


def _list_entries(frame: pl.DataFrame) -> pl.DataFrame:
    """Return one row for each cell and source of its molecules: two for a doublet, in order of groups and cells."""
    own = [TRUE2, TRUE0, "molecules", *SHARES]
    first = frame.with_row_index("row").select("row", names.SAMPLE, "doublet", "partner", *own)
    second = first.filter("doublet")
    second = second.with_columns(first[second["partner"].to_numpy()].select(own))
    both = pl.concat([first.with_columns(part=0), second.with_columns(part=1)])
    half = (pl.col("molecules") * DOUBLET_YIELD).round().cast(pl.Int64)
    both = both.with_columns(molecules=pl.when("doublet").then(half).otherwise("molecules"))
    return both.sort(names.SAMPLE, TRUE2, "row", "part")


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
    entries = _list_entries(frame).group_by(names.SAMPLE, TRUE2, maintain_order=True)
    draws = {s: generator(seed, "library", s).normal(size=study.N_GENES) for s in libraries}
    for (sample, level2), part in entries:
        assay, donor, age, sex, chemistry = (libraries[sample][column] for column in about)
        level0 = part[TRUE0][0]
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
        factor = factors[part[TRUE0][0]]
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


def score_doublets(counts: sp.csr_matrix, library: np.ndarray, *, seed: int) -> np.ndarray:
    """Return a score in 0 to 1 for every cell, as Scrublet makes it: how many of its neighbors are made-up doublets.

    Each library by itself (its cells stand together), on its most variable genes; one made-up doublet a cell. Method:
    Wolock, Lopez and Klein (2019), doi:10.1016/j.cels.2018.11.005.
    """
    found = np.zeros(counts.shape[0])
    with threadpool_limits(1):  # sums in one order: the same seed gives the same bytes
        for first, last in _libraries(library):
            if last - first >= _LEAST:
                rng = generator(seed, "scrublet", str(library[first]))
                found[first:last] = _score_library(counts[first:last], rng)
    return found


def _score_library(counts: sp.csr_matrix, rng: np.random.Generator) -> np.ndarray:
    n = counts.shape[0]
    total = np.asarray(counts.sum(axis=1), np.float64).ravel()
    mean = np.asarray(counts.sum(axis=0), np.float64).ravel() / n
    squares = np.asarray(counts.astype(np.float64).power(2).sum(axis=0)).ravel() / n
    # variance beyond what counting gives, over the mean; rare genes last
    excess = (squares - mean**2 - mean) / np.maximum(mean, 1e-9) * (mean > 3 / n)
    chosen = np.sort(np.argsort(-excess, kind="stable")[:GENES])
    dense = counts[:, chosen].toarray().astype(np.float64)
    one, other = rng.integers(0, n, n), rng.integers(0, n, n)
    size = np.median(total)
    cells = np.log1p(dense / total[:, None] * size)
    doublets = np.log1p((dense[one] + dense[other]) / (total[one] + total[other])[:, None] * size)
    center, spread = cells.mean(axis=0), cells.std(axis=0) + 1e-9
    cells, doublets = (cells - center) / spread, (doublets - center) / spread
    vector = np.linalg.eigh(cells.T @ cells)[1][:, -min(COMPONENTS, n - 1) :]
    place = np.r_[cells @ vector, doublets @ vector]
    wanted = round(0.5 * np.sqrt(n)) * 2
    near = NearestNeighbors(n_neighbors=min(wanted, len(place) - 1), algorithm="brute").fit(place)
    neighbors = near.kneighbors(place[:n], return_distance=False)[:, 1:]
    share = ((neighbors >= n).sum(axis=1) + 1) / (neighbors.shape[1] + 2)
    return share * EXPECTED / (1 - EXPECTED - share * (1 - EXPECTED - EXPECTED))


def make_latent(frame: pl.DataFrame, *, seed: int) -> np.ndarray:
    """Return the scVI-like latent values: true label and own state; donor and assay are all but removed."""
    rng = generator(seed, "scvi")
    centers = {}
    for level0, level2, lineage in cohort.list_labels().select(names.LEVEL0, names.LEVEL2, "lineage").rows():
        steps = ((f"lineage {lineage}", 2.0), (f"type {level0}", 1.1), (f"subtype {level2}", 0.4))
        centers[level2] = sum(sd * generator(seed, "latent", key).normal(size=LATENT) for key, sd in steps)
    mean = np.stack([centers[label] for label in frame[TRUE2]])
    partner = frame["partner"].to_numpy()
    double = partner >= 0
    mean[double] = (mean[double] + mean[partner[double]]) / 2
    donors = frame[names.DONOR].unique(maintain_order=True).to_list()
    left = {donor: 0.12 * generator(seed, "latent donor", donor).normal(size=LATENT) for donor in donors}
    mean += np.stack([left[donor] for donor in frame[names.DONOR]])
    return (0.35 * (mean + 0.6 * rng.normal(size=mean.shape))).astype(np.float32)


def make_plane(frame: pl.DataFrame, latent: np.ndarray, *, seed: int, key: str) -> np.ndarray:
    """Return a map whose islands are the true labels: lineages on a ring, types around them, subtypes around those."""
    label, place, radius = frame[TRUE2], {}, {}
    number = dict(label.value_counts().rows())
    lineages = cohort.list_types()["lineage"].unique(maintain_order=True).to_list()
    for level0, level2, lineage in cohort.list_labels().select(names.LEVEL0, names.LEVEL2, "lineage").rows():
        sector = lineages.index(lineage) + 0.3 * generator(seed, key, lineage).random()
        around = (generator(seed, key, name).random() for name in (f"0 {level0}", f"2 {level2}"))
        angles = 2 * np.pi * np.array([sector / len(lineages), *around])
        place[level2] = ([[9.0], [2.4], [0.9]] * np.c_[np.cos(angles), np.sin(angles)]).sum(axis=0)
        radius[level2] = 0.25 + 1.6 * np.sqrt(number.get(level2, 0) / len(frame))
    turn = generator(seed, key, "turn").normal(size=(LATENT, 2)) / np.sqrt(LATENT)
    centers = {name: latent[(label == name).to_numpy()].mean(axis=0) for name in number}
    own = (latent - np.stack([centers[name] for name in label])) @ turn / 0.21
    if key == "tsne":
        length = np.linalg.norm(own, axis=1, keepdims=True)
        own = own / np.maximum(length, 1e-9) * np.sqrt(1 - np.exp(-(length**2) / 2)) * 1.5
    scale = np.array([radius[name] for name in label])[:, None]
    flat = np.stack([place[name] for name in label]) + scale * own
    return (7.0 * flat if key == "tsne" else flat + 5.0).astype(np.float32)


@njit(cache=True, nogil=True, fastmath=True)
def _times(indptr, indices, data, first, last, dense, out):
    """Add the rows `first` to `last` of a CSR matrix times `dense` to `out`."""
    for row in range(first, last):
        for i in range(indptr[row], indptr[row + 1]):
            value, column = data[i], indices[i]
            for k in range(dense.shape[1]):
                out[row, k] += value * dense[column, k]


@njit(cache=True, nogil=True, fastmath=True)
def _times_transposed(indptr, indices, data, first, last, dense, out):
    """Add the transpose of the rows `first` to `last` times `dense` to `out`."""
    for row in range(first, last):
        for i in range(indptr[row], indptr[row + 1]):
            value, column = data[i], indices[i]
            for k in range(dense.shape[1]):
                out[column, k] += value * dense[row, k]


def fit_pca(x: sp.csr_matrix, *, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return scores (cells x 50), variances and their shares, by a randomized decomposition of all genes.

    Nothing is corrected: assay, chemistry and donor show, as in the release. Method: doi:10.1137/090771806.
    """
    n, parts = x.shape[0], (x.indptr, x.indices, x.data)
    mean = np.bincount(x.indices, x.data, x.shape[1]) / n
    # the centered matrix is multiplied in fixed chunks: the number of threads never changes a sum
    chunks = list(itertools.pairwise(np.linspace(0, n, _CHUNKS + 1).astype(np.int64)))

    def times(dense: np.ndarray) -> np.ndarray:
        out = np.zeros((n, dense.shape[1]), np.float32)
        small = np.ascontiguousarray(dense, np.float32)
        list(pool.map(lambda chunk: _times(*parts, *chunk, small, out), chunks))
        return out - (mean @ dense).astype(np.float32)

    def transposed(dense: np.ndarray) -> np.ndarray:
        out = np.zeros((_CHUNKS, x.shape[1], dense.shape[1]), np.float32)
        list(pool.map(lambda chunk, own: _times_transposed(*parts, *chunk, dense, own), chunks, out))
        return sum(map(np.float64, out)) - np.outer(mean, dense.sum(axis=0, dtype=np.float64))

    with threadpool_limits(1), ThreadPoolExecutor(THREADS) as pool:
        basis = generator(seed, "pca").normal(size=(x.shape[1], PCA_COMPONENTS + _OVERSAMPLE))
        for _ in range(2):
            basis = np.linalg.qr(transposed(times(basis)))[0]
        scores = times(basis)
        gram = np.einsum("ij,ik->jk", scores, scores, dtype=np.float64)
        value, vector = np.linalg.eigh(gram)
        order = np.argsort(value)[::-1][:PCA_COMPONENTS]
        vector = vector[:, order] * np.sign((basis @ vector[:, order]).sum(axis=0))
        variance = value[order] / (n - 1)
        total = np.einsum("i,i->", x.data, x.data, dtype=np.float64) - n * (mean**2).sum()
    return scores @ vector.astype(np.float32), variance, variance / (total / (n - 1))
