"""One row a barcode: library, observed and true labels, molecules to draw and their shares over gene classes."""

import itertools
from collections.abc import Iterator

import numpy as np
import polars as pl
import scipy.sparse as sp
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from helpers import names
from helpers.facts import study
from helpers.simulate import cohort, effects
from helpers.simulate.planted import PLANTED, generator

MISLABELED = 0.02
DOUBLET_YIELD = 0.8  # of the molecules of each of the two cells: they share the droplet's reagents
TRUE0, TRUE1, TRUE2 = "true_level0", "true_level1", "true_level2"
MOLECULES_SD, LIBRARY_SD = 0.7, 0.12
POOR_MOLECULES, POOR_MITO = 0.4, 0.6  # natural log by unit of a donor's poor quality
V3_MOLECULES = 0.35  # natural log, v3 over v2
NUCLEAR_SHARES = (0.006, 0.018)  # mean shares of mitochondrial and ribosomal molecules in nuclei
SHARE_SD = (0.5, 0.3, 0.7)  # natural log, between cells: mitochondrial, ribosomal, stress
MITO_LIMIT = 0.5
# Of the doublet score.
GENES, COMPONENTS = 800, 20
EXPECTED = 0.06  # share of doublets that Scrublet assumes when it is told nothing
_LEAST = 10  # cells from which neighbors mean anything


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


def _doublets(frame: pl.DataFrame, *, seed: int, share: float) -> pl.DataFrame:
    """Mark doublets and give each the row of the second cell, of the same library; -1 for all others."""
    rng = generator(seed, "doublets")
    index = np.arange(len(frame))
    library = frame[names.SAMPLE].to_numpy()
    single = frame[names.LEVEL2].is_in(list(cohort.SINGLE_DONOR)).to_numpy()
    partner = index.copy()
    for first, last in _libraries(library):
        partner[first:last] = rng.permutation(index[first:last])
    doublet = (rng.random(len(frame)) < share) & (partner != index) & ~single
    other = pl.Series("doublet_with", frame[TRUE2].to_numpy()[partner]).set(pl.Series(~doublet), None)
    return frame.with_columns(other, doublet=doublet, partner=np.where(doublet, partner, -1))


def _draw_sizes(frame: pl.DataFrame, *, seed: int) -> pl.DataFrame:
    """Draw each cell's molecules and their shares over mitochondrial, ribosomal and stress genes."""
    rng = generator(seed, "sizes")
    nuclear = (frame[names.ASSAY] == names.NUCLEI).to_numpy()
    types = frame.select(TRUE0).join(
        cohort.list_types(), left_on=TRUE0, right_on=names.LEVEL0, how="left", maintain_order="left"
    )
    median = np.where(nuclear, types["molecules_nuclei"], types["molecules_cells"])
    v3 = frame[names.CHEMISTRY].replace_strict(cohort.V3_SHARE).to_numpy() - 0.5
    tube = {s: LIBRARY_SD * generator(seed, "size", s).normal() for s in frame[names.SAMPLE].unique()}
    log = np.log(median) + V3_MOLECULES * v3
    log += frame[names.SAMPLE].replace_strict(tube).to_numpy() + MOLECULES_SD * rng.normal(size=len(frame))
    poor = frame[names.DONOR].replace_strict(effects.quality(seed)).to_numpy()
    molecules = np.clip(np.exp(log - POOR_MOLECULES * poor), 500, 60_000).round().astype(np.int64)
    shares = types.select("share_mito", "share_ribo").to_numpy()
    shares = np.where(nuclear[:, None], NUCLEAR_SHARES, shares)
    stress = frame[names.DONOR].replace_strict(effects.stress_shares(seed))
    means = np.c_[shares, stress.to_numpy() * np.where(nuclear, 0.4, 1.0)]
    means[:, 0] *= np.exp(POOR_MITO * poor)
    drawn = means * np.exp(np.array(SHARE_SD) * rng.normal(size=means.shape))
    drawn = np.minimum(drawn, [MITO_LIMIT, 0.45, 0.15])
    drawn *= np.minimum(1.0, 0.8 / drawn.sum(axis=1))[:, None]
    drawn = pl.DataFrame(drawn, schema=["share_mito", "share_ribo", "share_stress"])
    return frame.with_columns(*drawn, molecules=molecules)


def make_cells(*, scale: float, seed: int) -> pl.DataFrame:
    """Return one row a barcode, libraries one after another: what the release shows of it, and what is true."""
    counts = pl.concat(
        cohort.count_labels(assay, scale=scale, seed=seed) for assay in (names.CELLS, names.NUCLEI)
    )
    counts = counts.sort(names.ASSAY, names.SAMPLE, maintain_order=True)
    parts = []
    for (sample,), part in counts.group_by(names.SAMPLE, maintain_order=True):
        rng = generator(seed, "barcodes", str(sample))
        rows = part.select(pl.exclude("n").repeat_by("n").explode())
        rows, n = rows[rng.permutation(len(rows))], len(rows)
        code = np.unique(rng.integers(0, 4**16, size=n + n // 8 + 16, dtype=np.int64))
        digits = (rng.permutation(code)[:n, None] >> (2 * np.arange(16))) & 3
        code = np.frombuffer(b"ACGT", "S1")[digits].view("S16").ravel().astype(str)
        parts.append(
            rows.with_columns(pl.format("{}-{}", names.SAMPLE, pl.Series(code)).alias(names.BARCODE))
        )
    frame = pl.concat(parts)
    # some type 1 dendritic cells, by their finest label, are under type 2 at the coarser levels
    rows = np.flatnonzero((frame[names.LEVEL2] == "cDC1") & (frame[names.ASSAY] == names.CELLS))
    broken = generator(seed, "break").permutation(rows)[: max(1, round(study.N_HIERARCHY_BREAKS * scale))]
    broken = pl.int_range(pl.len()).is_in(broken.tolist())
    value = pl.when(broken).then(pl.lit("cDC2"))
    frame = frame.with_columns(value.otherwise(pl.col(level)).alias(level) for level in names.LEVELS[:2])
    people = cohort.list_donors().select(names.DONOR, names.AGE_GROUP, names.AGE_MIDPOINT)
    frame = frame.join(people, on=names.DONOR, maintain_order="left")
    frame = _doublets(_true_labels(frame, seed=seed), seed=seed, share=PLANTED.doublets)
    return _draw_sizes(frame, seed=seed)


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
