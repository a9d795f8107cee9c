"""Molecule counts recovered from log-normalized values, and refused where there are none to recover."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import polars as pl
import scipy.sparse as sp

from helpers import names
from helpers.atlas import inversion, matrix
from helpers.errors import CountsError

MOST_MOLECULES = 60  # molecules that the smallest value of a cell may stand for
USUAL_TARGETS = (1e6, 1e5, 1e4)  # molecules that a cell is scaled to; the largest that fits is meant
MOST = 2**31 - 1  # molecules that a count of 32 bits holds
LARGEST_LOG = 20.0  # log1p of any count per ten thousand or per million stays far below
SAMPLED = 20_000
REPORT = {
    names.BARCODE: pl.String,
    "molecules": pl.Int64,
    "genes": pl.Int64,
    "unit": pl.Float64,
    "smallest_count": pl.Int64,
    "residual": pl.Float64,
}
"""Columns of the report: cell, its total, genes seen, normalized value of one molecule, molecules that the smallest
value stands for, largest distance from a whole number."""


@dataclass(frozen=True)
class Scan:
    """What one pass over the values saw; places are -1 where there is none."""

    negative: int
    broken: int  # NaN or infinite
    fraction: int  # not a whole number
    largest: float


def recover(
    values: sp.spmatrix | np.ndarray,
    *,
    barcodes: Sequence[str] | None = None,
    totals: np.ndarray | None = None,
    units: np.ndarray | None = None,
) -> tuple[sp.csr_matrix, pl.DataFrame]:
    """Recover whole molecule counts from log1p of normalized counts; whole numbers are taken as counts.

    The smallest value of a cell is taken for one molecule and every other value must then be a whole number of
    molecules, up to the rounding of the values. Where that fails, it is taken for two, three, ...

    Parameters
    ----------
    values
        Cells x genes, not negative. A CSR matrix is left as it is, and the result shares its index arrays.
    barcodes
        Names of the cells for messages and report; row numbers otherwise.
    totals
        Molecules per cell as recorded elsewhere, NaN where unknown. Settles cells without a single molecule of any
        gene; not believed where it disagrees with the values.
    units
        Normalized value of one molecule per cell, if known. Needed where `values` hold a few genes only; then
        nothing else is tried.

    Returns
    -------
    tuple
        CSR int32, and a report with one row a cell, see `REPORT`.

    Raises
    ------
    CountsError
        If values are negative, missing, not log-transformed, or not whole numbers of molecules in some cell. The
        message says what was seen and where.

    Examples
    --------
    >>> molecules = np.array([[1, 0, 3], [2, 5, 0]])
    >>> scaled = molecules / molecules.sum(1, keepdims=True) * 1e4
    >>> recover(np.log1p(scaled))[0].toarray().tolist()
    [[1, 0, 3], [2, 5, 0]]
    """
    held = _to_csr(values)
    label = _labeler(barcodes)
    seen = _look(held, label)
    n_cells = held.shape[0]
    if seen.fraction < 0:
        if seen.largest > MOST:
            msg = f"the largest count, {seen.largest:,.0f}, is more than {MOST:,}: no molecules of a cell are that many."
            raise CountsError(msg)
        data = held.data.astype(np.int32)
        report = _report(held, data, barcodes, np.ones(n_cells), np.full(n_cells, np.nan), np.zeros(n_cells))
        return matrix.csr(data, held.indices, held.indptr, held.shape), report
    if seen.largest > LARGEST_LOG:
        i, row = seen.fraction, _row_of(held, seen.fraction)
        msg = (
            f"values are neither whole counts nor log1p of normalized counts: the largest is {seen.largest:.4g}, and "
            f"{held.data[i]:.4g} in cell {label(row)} is not whole. They may be normalized without log, or corrected. "
            f"Give raw counts, or log1p of counts per ten thousand."
        )
        raise CountsError(msg)
    return _invert(held, label, barcodes, totals, units)


def unit_from_totals(least: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """Return the normalized value of one molecule that recorded totals imply, 0 where they imply none."""
    product = least * totals
    known = np.isfinite(product) & (product > 0)
    if not known.any():
        return np.zeros(len(least))
    lowest = float(
        np.quantile(product[known], 0.05, method="lower")
    )  # of cells with a single molecule, surely
    for target in (*USUAL_TARGETS, lowest):
        times = product[known] / target  # molecules that the smallest value stands for
        agreeing = (np.rint(times) >= 1) & (np.abs(times - np.rint(times)) < 0.01)
        if agreeing.mean() >= 0.9:
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.where(known, target / totals, 0.0)
    return np.zeros(len(least))


def _to_csr(values: sp.spmatrix | np.ndarray) -> sp.csr_matrix:
    held = values if sp.issparse(values) and values.format == "csr" else sp.csr_matrix(values)
    if held.dtype not in (np.float32, np.float64):
        held = held.astype(np.float64)
    if held.nnz and inversion.scan(held.data)[4]:  # zeros that are stored
        held = held.copy()
        held.eliminate_zeros()
    return held


def _look(held: sp.csr_matrix, label: "_Label") -> Scan:
    negative, broken, fraction, largest, _ = inversion.scan(held.data)
    for place, saw, cause in (
        (broken, "a value that is not a number", "The file is damaged or a step divided by zero."),
        (negative, "a negative value", "Values were scaled, centered or corrected."),
    ):
        if place >= 0:
            row = _row_of(held, place)
            msg = (
                f"counts cannot be recovered: {saw}, {held.data[place]:.4g}, first in cell {label(row)}. {cause} Give "
                f"raw counts, or log1p of counts per ten thousand."
            )
            raise CountsError(msg)
    return Scan(negative, broken, fraction, largest)


def _invert(
    held: sp.csr_matrix,
    label: "_Label",
    barcodes: Sequence[str] | None,
    totals: np.ndarray | None,
    units: np.ndarray | None,
) -> tuple[sp.csr_matrix, pl.DataFrame]:
    n_cells = held.shape[0]
    out = np.empty(held.data.size, np.int32)
    unit, residual = np.full(n_cells, np.nan), np.zeros(n_cells)
    smallest, fits = np.zeros(n_cells, np.int64), np.zeros(n_cells, np.bool_)
    guess = np.zeros(n_cells)
    if units is not None:
        guess = np.nan_to_num(np.asarray(units, dtype=float))
    elif totals is not None:
        guess = unit_from_totals(smallest_values(held), np.asarray(totals, dtype=float))
    step = _rounding(held.data)
    most = 0 if units is not None else MOST_MOLECULES
    edges = np.linspace(0, n_cells, 8 * matrix.THREADS + 1).astype(int)

    def solve(part: int) -> None:
        inversion.solve(
            held.data, held.indptr, edges[part], edges[part + 1], guess, most, step,
            out, unit, smallest, residual, fits,
        )  # fmt: skip

    with ThreadPoolExecutor(matrix.THREADS) as pool:
        list(pool.map(solve, range(len(edges) - 1)))
    if not fits.all():
        _refuse(held, label, fits, residual, known=units is not None)
    report = _report(held, out, barcodes, unit, residual, smallest)
    return matrix.csr(out, held.indices, held.indptr, held.shape), report


def smallest_values(held: sp.csr_matrix) -> np.ndarray:
    """Return the smallest normalized value above zero of each cell, NaN for an empty cell."""
    lengths = np.diff(held.indptr)
    least = np.full(held.shape[0], np.nan)
    filled = lengths > 0
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
        if np.all(np.abs(shifted - np.rint(shifted)) <= shifted * inversion.ROUNDING + 1e-9):
            return 0.5 * 10.0**-decimals
    return 0.0


def _refuse(
    held: sp.csr_matrix, label: "_Label", fits: np.ndarray, residual: np.ndarray, *, known: bool
) -> None:
    bad = np.flatnonzero(~fits)
    row = int(bad[0])
    data = held.data[held.indptr[row] : held.indptr[row + 1]].astype(np.float64)
    x = np.expm1(data)
    ratio = x / x.min()
    worst = int(np.argmax(np.abs(ratio - np.rint(ratio))))
    cause = "They may be corrected, smoothed, integrated or averaged."
    for other, said in (
        (data, "They look normalized but not log-transformed."),
        (np.exp2(data) - 1, "They look like log2."),
    ):
        parts = other / other.min()
        if data.size > 3 and np.all(np.abs(parts - np.rint(parts)) < 1e-3 * parts):
            cause = said
    how = (
        "with its known size factor"
        if known
        else f"with the smallest taken for 1 to {MOST_MOLECULES} molecules"
    )
    msg = (
        f"values are not log1p of normalized counts in {bad.size:,} of {held.shape[0]:,} cells, first cell {label(row)}: "
        f"{how}, not all are whole. For one, {data[worst]:.4g} would be {ratio[worst]:.4g} times the smallest, "
        f"{data.min():.4g} (largest residual {residual[row]:.3g}). {cause} Give raw counts, or natural log1p of counts "
        f"per ten thousand."
    )
    raise CountsError(msg)


def _report(
    held: sp.csr_matrix,
    data: np.ndarray,
    barcodes: Sequence[str] | None,
    unit: np.ndarray,
    residual: np.ndarray,
    smallest: np.ndarray,
) -> pl.DataFrame:
    n_cells = held.shape[0]
    sums = inversion.sum_rows(data, held.indptr)
    cells = [str(i) for i in range(n_cells)] if barcodes is None else list(barcodes)
    return pl.DataFrame(
        {
            names.BARCODE: cells,
            "molecules": sums,
            "genes": np.diff(held.indptr),
            "unit": unit,
            "smallest_count": smallest,
            "residual": np.nan_to_num(residual),
        },
        schema=REPORT,
        strict=False,
    )


class _Label:
    """Names of cells for messages."""

    def __init__(self, barcodes: Sequence[str] | None) -> None:
        self.barcodes = barcodes

    def __call__(self, row: int) -> str:
        return f"{row:,}" if self.barcodes is None else f"{self.barcodes[row]!r}"


def _labeler(barcodes: Sequence[str] | None) -> _Label:
    return _Label(barcodes)


def _row_of(held: sp.csr_matrix, place: int) -> int:
    return int(np.searchsorted(held.indptr, place, side="right")) - 1
