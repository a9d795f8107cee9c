"""Whether a folder is a whole release: every file present, readable, agreeing with the others."""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from helpers.atlas import check_cells, check_maps, check_matrix
from helpers.atlas import opened as opening
from helpers.atlas.report import Report
from helpers.errors import ReleaseError


def validate(folder: str | Path, *, progress: Callable[[int, int], None] | None = None) -> pl.DataFrame:
    """Check every file of a release, the whole expression matrix included, and write nothing.

    A release of any size passes: its files must agree with each other; where they differ from the published
    figures the table says so. Reads the matrix once, a block of genes at a time.

    Parameters
    ----------
    folder
        Folder with the twelve files.
    progress
        Called with the genes read so far and all genes.

    Returns
    -------
    polars.DataFrame
        A row for each check: ``check``, ``file``, ``status`` (ok, warning or damaged), ``found``, ``expected``,
        ``remedy``.

    Raises
    ------
    ReleaseError
        If there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        msg = f"{str(folder)!r} is not a folder. Give the folder that holds the twelve files of a release."
        raise ReleaseError(msg)
    report = Report()
    opened = opening.read(folder, report)
    opening.check_columns(opened, report)
    opening.check_rows(opened, report)
    opening.check_barcodes(opened, report)
    check_cells.check(opened, report)
    check_maps.check(opened, report)
    scan = check_matrix.scan_file(opened, report, progress=progress)
    check_matrix.check(opened, report, scan)
    return report.frame()
