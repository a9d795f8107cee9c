"""Molecule counts recovered from log-normalized values, and refused where there are none to recover."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.sparse as sp

from helpers.atlas import matrix
from helpers.errors import CountsError
from helpers.kernels import kernel

MOST_MOLECULES = 60  # molecules that the smallest value of a cell may stand for
USUAL_TARGETS = (1e6, 1e5, 1e4)  # molecules that a cell is scaled to; the largest that fits is meant
MOST = 2**31 - 1  # molecules that a count of 32 bits holds
LARGEST_LOG = 20.0  # log1p of any count per ten thousand or per million stays far below
SAMPLED = 20_000
ROUNDING = 5e-7  # relative error of a float32 value after scaling and log, a few units in the last place
REMEDY = "Give raw counts, or natural log1p of counts per ten thousand."
DOUBTFUL = 0.3  # molecules; a value less certain than this waits until the unit is known better


def recover(
    values: sp.spmatrix | np.ndarray,
    *,
    barcodes: Sequence[str] | None = None,
    totals: np.ndarray | None = None,
    units: np.ndarray | None = None,
) -> sp.csr_matrix:
    """Recover whole molecule counts from log1p of normalized counts; whole numbers are taken as counts.

    The smallest value of a cell is taken for one molecule and every other value must then be a whole number of
    molecules, up to the rounding of the values. Where that fails, it is taken for two, three, ...

    Parameters
    ----------
    values
        Cells x genes, not negative. A CSR matrix is left as it is; the result, int32, shares its index arrays.
    barcodes
        Names of the cells for messages; row numbers otherwise.
    totals
        Molecules per cell as recorded elsewhere, NaN where unknown; not believed where the values disagree.
    units
        Normalized value of one molecule per cell, for a few genes of each; then nothing else is tried.

    Raises
    ------
    CountsError
        If values are negative, missing, not log-transformed, or not whole numbers of molecules in some cell.

    Examples
    --------
    >>> molecules = np.array([[1, 0, 3], [2, 5, 0]])
    >>> scaled = molecules / molecules.sum(1, keepdims=True) * 1e4
    >>> recover(np.log1p(scaled)).toarray().tolist()
    [[1, 0, 3], [2, 5, 0]]
    """
    held = values if sp.issparse(values) and values.format == "csr" else sp.csr_matrix(values)
    if held.dtype not in (np.float32, np.float64):
        held = held.astype(np.float64)
    if held.nnz and scan(held.data)[4]:  # zeros that are stored
        held = held.copy()
        held.eliminate_zeros()

    def label(row: int) -> str:
        return f"{row:,}" if barcodes is None else f"{barcodes[row]!r}"

    if _are_whole(held, label):
        return matrix.csr(held.data.astype(np.int32), held.indices, held.indptr, held.shape)
    return _invert(held, label, totals, units)


def _are_whole(held: sp.csr_matrix, label: Callable[[int], str]) -> bool:
    """Tell whole counts from logarithms; refuse what is neither."""

    def show(place: int) -> str:
        return f"{held.data[place]:.4g}, first in cell {label(row_of(held, place))}"

    found, (negative, broken, fraction, largest, _) = None, scan(held.data)
    if broken >= 0:
        found = f"a value that is not a number, {show(broken)}. The file is damaged or a step divided by 0."
    elif negative >= 0:
        found = f"a negative value, {show(negative)}. Values were scaled, centered or corrected."
    elif fraction < 0 and largest > MOST:
        found = f"the largest, {largest:,.0f}, is more than {MOST:,}: no molecules of a cell are that many."
    elif fraction >= 0 and largest > LARGEST_LOG:
        seen = f"the largest is {largest:.4g}, and one is not whole, {show(fraction)}"
        what = "values are neither whole counts nor log1p of normalized counts"
        found = f"{what}: {seen}. They may be normalized without log, or corrected."
    if found:
        msg = f"counts cannot be recovered: {found} {REMEDY}"
        raise CountsError(msg)
    return fraction < 0


def unit_from_totals(least: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """Return the normalized value of one molecule that recorded totals imply, 0 where they imply none."""
    product = least * totals
    known = np.isfinite(product) & (product > 0)
    if not known.any():
        return np.zeros(len(least))
    # of cells with a single molecule, surely
    lowest = float(np.quantile(product[known], 0.05, method="lower"))
    for target in (*USUAL_TARGETS, lowest):
        times = product[known] / target  # molecules that the smallest value stands for
        agreeing = (np.rint(times) >= 1) & (np.abs(times - np.rint(times)) < 0.01)
        if agreeing.mean() >= 0.9:
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.where(known, target / totals, 0.0)
    return np.zeros(len(least))


def _invert(
    held: sp.csr_matrix, label: Callable[[int], str], totals: np.ndarray | None, units: np.ndarray | None
) -> sp.csr_matrix:
    n_cells = held.shape[0]
    out = np.empty(held.data.size, np.int32)
    residual, fits, guess = np.zeros(n_cells), np.zeros(n_cells, np.bool_), np.zeros(n_cells)
    if units is not None:
        guess = np.nan_to_num(np.asarray(units, dtype=float))
    elif totals is not None:
        guess = unit_from_totals(smallest_values(held), np.asarray(totals, dtype=float))
    step = _rounding(held.data)
    most = 0 if units is not None else MOST_MOLECULES
    edges = np.linspace(0, n_cells, 8 * matrix.THREADS + 1).astype(int)

    def solve(part: int) -> None:
        first, last = edges[part : part + 2]
        _solve(held.data, held.indptr, first, last, guess, most, step, out, residual, fits)

    with ThreadPoolExecutor(matrix.THREADS) as pool:
        list(pool.map(solve, range(len(edges) - 1)))
    if not fits.all():
        _refuse(held, label, fits, residual, known=units is not None)
    return matrix.csr(out, held.indices, held.indptr, held.shape)


def smallest_values(held: sp.csr_matrix) -> np.ndarray:
    """Return the smallest normalized value above zero of each cell, NaN for an empty cell."""
    filled, least = np.diff(held.indptr) > 0, np.full(held.shape[0], np.nan)
    if filled.any():
        least[filled] = np.expm1(np.minimum.reduceat(held.data, held.indptr[:-1][filled]).astype(np.float64))
    return least


def _rounding(data: np.ndarray) -> float:
    """Return half the decimal step that values were rounded to, 0 where they were not."""
    sample = np.unique(data[:: max(1, data.size // SAMPLED)]).astype(np.float64)
    if sample.size < 6:  # fewer may be round by chance
        return 0.0
    for decimals in (2, 3, 4):
        shifted = sample * 10.0**decimals
        if np.all(np.abs(shifted - np.rint(shifted)) <= shifted * ROUNDING + 1e-9):
            return 0.5 * 10.0**-decimals
    return 0.0


def _refuse(
    held: sp.csr_matrix, label: Callable[[int], str], fits: np.ndarray, residual: np.ndarray, *, known: bool
) -> None:
    bad = np.flatnonzero(~fits)
    row = int(bad[0])
    data = held.data[held.indptr[row] : held.indptr[row + 1]].astype(np.float64)
    x = np.expm1(data)
    ratio = x / x.min()
    worst = int(np.argmax(np.abs(ratio - np.rint(ratio))))
    cause = "They may be corrected, smoothed, integrated or averaged."
    others = {"normalized but not log-transformed": data, "like log2": np.exp2(data) - 1}
    for look, other in others.items():
        parts = other / other.min()
        if data.size > 3 and np.all(np.abs(parts - np.rint(parts)) < 1e-3 * parts):
            cause = f"They look {look}."
    how = "its known size factor" if known else f"the smallest taken for 1 to {MOST_MOLECULES} molecules"
    found = f"in {bad.size:,} of {held.shape[0]:,} cells, first cell {label(row)}"
    shown = f"For one, {data[worst]:.4g} would be {ratio[worst]:.4g} times the smallest, {data.min():.4g}"
    off = f"(largest residual {residual[row]:.3g})"
    msg = f"values are not log1p of normalized counts {found}: with {how}, not all are whole. {shown} {off}. {cause} {REMEDY}"
    raise CountsError(msg)


def row_of(held: sp.csr_matrix, place: int) -> int:
    """Return the row of a stored value."""
    return int(np.searchsorted(held.indptr, place, side="right")) - 1


# The log undone, cell by cell, in compiled loops: from values to whole molecules, or to none


@kernel
def scan(data: np.ndarray) -> tuple[int, int, int, float, int]:
    """Return the first negative, broken and fractional place, -1 for none, then the largest value, the zeros."""
    negative, broken, fraction, zeros = -1, -1, -1, 0
    largest = 0.0
    for i in range(data.size):
        value = data[i]
        if not np.isfinite(value):
            if broken < 0:
                broken = i
        else:
            if value < 0 and negative < 0:
                negative = i
            if fraction < 0 and value != np.floor(value):
                fraction = i
            largest = max(largest, value)
            zeros += value == 0
    return negative, broken, fraction, largest, zeros


@kernel
def _fit(x, slack, n, least, least_slack, k, out):
    """Write whole molecules of one cell; return whether all fit and the largest residual.

    The unit lies between `low` and `high`. Each value that is surely `count` molecules narrows that further, and
    the narrower it is, the larger the counts that can be told. It is no fit once nothing is left between the two.
    """
    low, high = (least - least_slack) / k, (least + least_slack) / k
    worst = 0.0
    before = n + 1
    while True:
        open_values = 0
        for i in range(n):
            unit = 0.5 * (low + high)
            count = max(1.0, np.rint(x[i] / unit))
            residual = abs(x[i] / unit - count)
            blur = slack[i] / unit + count * 0.5 * (high - low) / unit
            if blur > DOUBTFUL:
                open_values += 1
                continue
            worst = max(worst, residual)
            low, high = max(low, (x[i] - slack[i]) / count), min(high, (x[i] + slack[i]) / count)
            if low > high:
                return False, max(worst, residual)
            out[i] = np.int32(count)
        if open_values == 0:
            return True, worst
        if open_values == before:
            return False, max(worst, 0.5)
        before = open_values


@kernel
def _invert_cell(data: np.ndarray, step: float, x: np.ndarray, slack: np.ndarray) -> tuple[float, float]:
    """Undo the log of one cell; return its smallest value and how far that may be off."""
    least, least_slack = np.inf, 0.0
    for i in range(data.size):
        value = np.float64(data[i])
        x[i] = np.expm1(value)
        slack[i] = (1.0 + x[i]) * (value * ROUNDING + step) + x[i] * ROUNDING
        if x[i] < least:
            least, least_slack = x[i], slack[i]
    return least, least_slack


@kernel
def _mostly_multiples(molecules: np.ndarray, k: int) -> bool:
    """Whether far more than chance allows are multiples of `k`: a half added to one gene would else double all."""
    multiples = 0
    for count in molecules:
        multiples += count % k == 0
    return molecules.size >= 20 and multiples >= 0.8 * molecules.size


@kernel
def _solve(data, indptr, start, stop, guess, most, step, out, residual, fits):
    """Recover the cells `start` to `stop`: the guess first, then one molecule, two, and so on to `most`."""
    longest = 0
    for row in range(start, stop):
        longest = max(longest, indptr[row + 1] - indptr[row])
    x, slack = np.empty(longest), np.empty(longest)
    for row in range(start, stop):
        first, last = indptr[row], indptr[row + 1]
        n = last - first
        if n == 0:
            fits[row] = True
            continue
        least, least_slack = _invert_cell(data[first:last], step, x, slack)
        residual[row] = 0.5
        for k in range(most + 1):
            tried = k
            if k == 0:  # the guess, if it is near a whole number of molecules
                if guess[row] <= 0:
                    continue
                tried = int(np.rint(least / guess[row]))
                if tried < 1 or abs(least / guess[row] - tried) > 0.02 + tried * 2e-3:
                    continue
            ok, worst = _fit(x, slack, n, least, least_slack, tried, out[first:last])
            if ok and not (k > 1 and _mostly_multiples(out[first:last], k)):
                residual[row], fits[row] = worst, True
                break
            if k == 1:
                residual[row] = worst
