"""Checks of counts: what the matrix implies against what the metadata state."""

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from helpers import names
from helpers.atlas import scan as scanning
from helpers.atlas.opened import Opened
from helpers.atlas.report import Report

NOT_LOG = "Expression must hold log1p of counts per 10,000: fetch or write it again, not scaled, not raw."
_FILE = names.EXPRESSION_FILE
_ISOLATED = 0.01  # share of mismatches up to which they are single displaced values, not another definition


def compare(
    found: np.ndarray, stated: pl.Series, file: str, column: str, report: Report, *, one_sided: bool = True
) -> None:
    """Compare numbers computed from the matrix with the stated ones, row by row.

    Agreement is ok. A stated number that is a little larger throughout was counted over more genes or cells: a
    warning. Anything else, single rows above all, is damage.

    Parameters
    ----------
    found
        Computed from the matrix.
    stated
        A column of the metadata, in the same order.
    file
        Where the column is.
    column
        Its name.
    report
        Gets one row.
    one_sided
        Whether a number stated smaller than found is always damage.
    """
    values = stated.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    differ = ~(np.abs(values - found) <= 0.5)
    n_differ, n_rows = int(differ.sum()), len(values)
    expected = f"{column} recomputed from {_FILE}"
    if n_differ == 0:
        report.ok("recomputed", file, f"{column} agrees in all {n_rows:,} rows", expected=expected)
        return
    row = int(np.argmax(differ))
    text = (
        f"{column} differs in {n_differ:,} of {n_rows:,} rows, first row {row:,}: stated {values[row]:,.6g},"
        f" found {found[row]:,.6g}"
    )
    usable = np.isfinite(values)
    alike = (
        np.corrcoef(np.log1p(found[usable]), np.log1p(np.maximum(values[usable], 0)))[0, 1]
        if usable.sum() > 2
        else 0
    )
    larger = bool((values >= found - 0.5).all()) or not one_sided
    if n_differ > max(10, _ISOLATED * n_rows) and usable.all() and larger and alike > 0.95:
        text = f"{text}; alike throughout (correlation {alike:.3f})"
        remedy = f"{column} was counted over more genes or cells than the release has; results do not use it."
        report.warn("recomputed", file, text, expected=expected, remedy=remedy)
    else:
        remedy = f"Rows of {file} and {_FILE} do not belong together: fetch or write both again."
        report.damage(
            "recomputed", file, f"{text}; correlation {alike:.3f}", expected=expected, remedy=remedy
        )


def check_counts(opened: Opened, scan: scanning.Scan, report: Report) -> None:
    """Check that values are log1p of whole counts per 10,000, and the stated counts of each cell.

    Parameters
    ----------
    opened
        The small tables.
    scan
        Sums over the matrix.
    report
        Gets one row for each check.
    """
    _check_normalization(scan, report)
    if _check_whole(opened, scan, report):
        _check_stated(opened, scan, report)


def _check_normalization(scan: scanning.Scan, report: Report) -> None:
    off = np.abs(scan.cell_sum / scanning.SCALE - 1)
    n_off = int((off > 1e-3).sum())
    expected = f"expm1 of the values of a cell adds up to {scanning.SCALE:,.0f}"
    row = int(np.argmax(off > 1e-3))
    found = f"{n_off:,} of {len(off):,} cells do not, first row {row:,}: {scan.cell_sum[row]:,.6g}"
    if n_off == 0:
        report.ok("normalization", _FILE, f"true of all {len(off):,} cells", expected=expected)
    elif n_off > max(10, _ISOLATED * len(off)) and np.median(off) < 0.1:
        remedy = "The size factors were taken over more genes than the release has; counts are recovered cell by cell."
        report.warn(
            "normalization",
            _FILE,
            f"{found}; median off by {np.median(off):.2%}",
            expected=expected,
            remedy=remedy,
        )
    else:
        report.damage("normalization", _FILE, found, expected=expected, remedy=NOT_LOG)


def _check_whole(opened: Opened, scan: scanning.Scan, report: Report) -> bool:
    whole = _whole_share(opened, scan)
    expected = "every value a whole number of molecules of its cell"
    if whole < 0.99:
        found = f"{whole:.1%} of the values of the 16 most frequent genes"
        remedy = "Whole counts cannot be recovered (corrected for background?): count models will refuse this release."
        report.warn("whole counts", _FILE, found, expected=expected, remedy=remedy)
        return False
    report.ok(
        "whole counts", _FILE, f"{whole:.2%} of the values of the 16 most frequent genes", expected=expected
    )
    return True


def _check_stated(opened: Opened, scan: scanning.Scan, report: Report) -> None:
    sample = opened.sample
    if sample is None or len(sample) != scan.n_cells or not sample.schema[names.N_COUNTS].is_numeric():
        return
    stated = sample[names.N_COUNTS].cast(pl.Float64).fill_null(float("nan"))
    counts = np.rint(scan.counts())
    # a few cells have no gene with one single molecule: their smallest value stands for two or three
    with np.errstate(divide="ignore", invalid="ignore"):
        times = np.rint(stated.to_numpy() / counts)
    counts = np.where(
        (times >= 2) & (times <= 3) & (np.abs(stated.to_numpy() - times * counts) <= times),
        stated.to_numpy(),
        counts,
    )
    compare(counts, stated, names.SAMPLE_FILE, names.N_COUNTS, report)


def _whole_share(opened: Opened, scan: scanning.Scan) -> float:
    """Return the share of whole molecules among the values of the 16 genes of most cells."""
    top = [scan.genes[i] for i in np.argsort(-scan.gene_cells)[:16]]
    table = pq.read_table(opened.folder / _FILE, columns=top)
    one = np.expm1(scan.cell_min.astype(np.float64))
    n_whole = n_values = 0
    for column in table.columns:
        values = np.expm1(column.to_numpy().astype(np.float64))
        some = values > 0
        molecules = values[some] / one[some]
        # float32 keeps seven digits of a value, so the error grows with the molecules
        n_whole += int((np.abs(molecules - np.rint(molecules)) <= 0.01 + 1e-4 * molecules).sum())
        n_values += int(some.sum())
    return n_whole / max(n_values, 1)
