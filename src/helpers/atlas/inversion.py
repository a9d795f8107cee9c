"""The log undone, cell by cell, in compiled loops: from values to whole molecules, or to none."""

import numba as nb
import numpy as np

ROUNDING = 5e-7  # relative error of a float32 value after scaling and log, a few units in the last place
DOUBTFUL = 0.3  # molecules; a value less certain than this waits until the unit is known better


@nb.njit(nogil=True, cache=True)
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


@nb.njit(nogil=True, cache=True)
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


@nb.njit(nogil=True, cache=True)
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


@nb.njit(nogil=True, cache=True)
def _mostly_multiples(molecules: np.ndarray, k: int) -> bool:
    """Whether far more values than chance allows are multiples of `k`: then one molecule was one, and a few are off.

    Whole counts with a half added to one gene would else pass as twice the counts.
    """
    multiples = 0
    for count in molecules:
        multiples += count % k == 0
    return molecules.size >= 20 and multiples >= 0.8 * molecules.size


@nb.njit(nogil=True, cache=True)
def solve(data, indptr, start, stop, guess, most, step, out, residual, fits):
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
