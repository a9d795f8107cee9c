"""The inner loops of a survey: label tables, score histograms and embedding sums of one part."""

from dataclasses import dataclass

import numba
import numpy as np

from helpers.scprint import layout

# Half-precision bits, moved into the fields of a single-precision number, are too small by this power of two.
_HALF_TO_SINGLE = float(2**112)
_INFINITE = 0x7C00

SCORE_LOW, SCORE_HIGH, SCORE_BINS = -10.0, 10.0, 200
MARGIN_LOW, MARGIN_HIGH, MARGIN_BINS = 0.0, 10.0, 200
# The model's own rule: a runner-up this close to the best is reported as a second choice.
NEAR = 0.15
DENSE = 1 << 22

TALLIES = ("cells", "near", "second_positive", "unordered", "tied", "repeated")


@numba.njit(cache=True)
def _add_half(bits: np.ndarray, total: np.ndarray) -> int:
    rows, width = bits.shape
    sums = np.zeros(width, np.float32)
    largest = np.zeros(width, np.uint16)
    for i in range(rows):
        for j in range(width):
            magnitude = bits[i, j] & np.uint16(0x7FFF)
            largest[j] = max(largest[j], magnitude)
            single = np.uint32(magnitude) << np.uint32(13)
            single |= np.uint32(bits[i, j] & np.uint16(0x8000)) << np.uint32(16)
            sums[j] += np.uint32(single).view(np.float32)
    for j in range(width):
        total[j] += np.float64(sums[j]) * _HALF_TO_SINGLE
    return largest.max() if width else 0


@numba.njit(cache=True)
def _widen(bits: np.ndarray, out: np.ndarray) -> int:
    rows, width = bits.shape
    largest = np.uint16(0)
    for i in range(rows):
        for j in range(width):
            magnitude = bits[i, j] & np.uint16(0x7FFF)
            largest = max(largest, magnitude)
            single = np.uint32(magnitude) << np.uint32(13)
            single |= np.uint32(bits[i, j] & np.uint16(0x8000)) << np.uint32(16)
            out[i, j] = np.uint32(single).view(np.float32) * np.float32(_HALF_TO_SINGLE)
    return largest


@numba.njit(cache=True)
def _rank(labels: np.ndarray, column: int, seen: np.ndarray, ranks: np.ndarray, values: np.ndarray) -> int:
    # ranks in order of appearance; `seen` is all zero on entry and on return
    known = 0
    for i in range(labels.shape[0]):
        value = labels[i, column]
        if seen[value] == 0:
            values[known] = value
            known += 1
            seen[value] = known
        ranks[i] = seen[value] - 1
    for k in range(known):
        seen[values[k]] = 0
    return known


@numba.njit(cache=True)
def _tally_scores(
    scores: np.ndarray, first: int, best: np.ndarray, margins: np.ndarray, tallies: np.ndarray
) -> float:
    probability = 0.0
    for i in range(scores.shape[0]):
        one, two, three = scores[i, first], scores[i, first + 1], scores[i, first + 2]
        _into(best, one, SCORE_LOW, SCORE_HIGH)
        _into(margins, one - two, MARGIN_LOW, MARGIN_HIGH)
        tallies[1] += one - two <= np.float32(NEAR)
        tallies[2] += two > 0
        tallies[3] += (two > one) | (three > two)
        tallies[4] += one == two
        probability += 1.0 / (1.0 + np.exp(-np.float64(one)))
    tallies[0] += scores.shape[0]
    return probability


@numba.njit(cache=True)
def _tally_single(scores: np.ndarray, column: int, best: np.ndarray, tallies: np.ndarray) -> float:
    probability = 0.0
    for i in range(scores.shape[0]):
        _into(best, scores[i, column], SCORE_LOW, SCORE_HIGH)
        probability += 1.0 / (1.0 + np.exp(-np.float64(scores[i, column])))
    tallies[0] += scores.shape[0]
    return probability


@numba.njit(cache=True)
def _into(histogram: np.ndarray, value: float, low: float, high: float) -> None:
    # first and last bin hold what lies outside
    inner = histogram.shape[0] - 2
    position = np.floor((value - low) / (high - low) * inner)
    histogram[int(min(max(position, -1.0), float(inner))) + 1] += 1


@numba.njit(cache=True)
def _count_repeats(labels: np.ndarray, first: int) -> int:
    repeats = 0
    for i in range(labels.shape[0]):
        one, two, three = labels[i, first], labels[i, first + 1], labels[i, first + 2]
        repeats += (one == two) | (one == three) | (two == three)
    return repeats


@numba.njit(cache=True)
def _count_pairs(first: np.ndarray, second: np.ndarray, width: int, table: np.ndarray) -> None:
    for i in range(first.shape[0]):
        table[np.int64(first[i]) * width + second[i]] += 1


@dataclass
class ClassScores:
    """Score statistics of one class: histograms with two outer bins, tallies by `TALLIES`, mean sigmoid."""

    best: np.ndarray
    margins: np.ndarray
    tallies: np.ndarray
    probability: float


def count_labels(
    labels: np.ndarray, tables: tuple[tuple[str, ...], ...]
) -> dict[tuple[str, ...], tuple[np.ndarray, np.ndarray]]:
    """Count the combinations of labels in columns of one part.

    Parameters
    ----------
    labels
        Cells x label columns, uint16.
    tables
        One to three label columns each.

    Returns
    -------
    dict
        For each table the sorted codes (16 bits a column) and their counts, int64. Tables over a column that
        the part does not have are left out.
    """
    present = [t for t in tables if all(layout.column(name) < labels.shape[1] for name in t)]
    seen = np.zeros(1 << 16, np.int32)
    ranks, values = {}, {}
    for name in dict.fromkeys(name for table in present for name in table):
        rank = np.empty(len(labels), np.int32)
        known = np.empty(1 << 16, np.uint16)
        size = _rank(labels, layout.column(name), seen, rank, known)
        ranks[name], values[name] = rank, known[:size].astype(np.int64)
    return {table: _joint([ranks[n] for n in table], [values[n] for n in table]) for table in present}


def count_scores(labels: np.ndarray, scores: np.ndarray) -> dict[str, ClassScores]:
    """Tally the scores of one part, class by class.

    Parameters
    ----------
    labels
        Cells x label columns, uint16.
    scores
        Cells x label columns, float32, finite.
    """
    found = {}
    for name, columns in layout.LABELS.items():
        if columns.stop > scores.shape[1]:
            continue
        best = np.zeros(SCORE_BINS + 2, np.int64)
        margins = np.zeros(MARGIN_BINS + 2, np.int64)
        tallies = np.zeros(len(TALLIES), np.int64)
        if name in layout.RANKED:
            probability = _tally_scores(scores, columns.start, best, margins, tallies)
            tallies[5] = _count_repeats(labels, columns.start)
        else:
            probability = _tally_single(scores, columns.start, best, tallies)
        found[name] = ClassScores(best, margins, tallies, probability)
    return found


def add_rows(block: np.ndarray, total: np.ndarray) -> bool:
    """Add the rows of a block to the sums, in double precision over blocks.

    Parameters
    ----------
    block
        Rows x columns, any float type.
    total
        Sums of the columns, float64; changed.

    Returns
    -------
    bool
        True if every number is finite.
    """
    if block.dtype == np.float16 and block.flags.c_contiguous:
        return bool(_add_half(block.view(np.uint16), total) < _INFINITE)
    sums = block.sum(axis=0, dtype=np.float64)
    total += sums
    return bool(np.isfinite(sums).all())


def widen(values: np.ndarray) -> tuple[np.ndarray, bool]:
    """Turn values into float32 and say whether all are finite."""
    if values.dtype == np.float16 and values.strides[-1] == values.itemsize:
        out = np.empty(values.shape, np.float32)
        return out, bool(_widen(values.view(np.uint16), out) < _INFINITE)
    out = values.astype(np.float32)
    return out, bool(np.isfinite(out).all())


def _joint(ranks: list[np.ndarray], values: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    sizes = [len(known) for known in values]
    key, width = ranks[0], sizes[0]
    for rank, size in zip(ranks[1:-1], sizes[1:-1], strict=True):
        key, width = key.astype(np.int64) * size + rank, width * size
    last_rank, last_size = (ranks[-1], sizes[-1]) if len(ranks) > 1 else (np.zeros_like(ranks[0]), 1)
    if width * last_size <= DENSE:
        table = np.zeros(width * last_size, np.int32)
        _count_pairs(key, last_rank, last_size, table)
        filled = np.flatnonzero(table)
        counts = table[filled].astype(np.int64)
    else:
        filled, counts = np.unique(key.astype(np.int64) * last_size + last_rank, return_counts=True)
        counts = counts.astype(np.int64)
    codes = np.zeros(len(filled), np.int64)
    for shift, (known, size) in enumerate(zip(reversed(values), reversed(sizes), strict=True)):
        filled, rank = np.divmod(filled, size)
        codes |= known[rank] << (16 * shift)
    order = np.argsort(codes)
    return codes[order], counts[order]
