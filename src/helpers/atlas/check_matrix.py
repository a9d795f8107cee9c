"""Checks on the whole expression matrix, and on what the metadata say of it."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pyarrow as pa

from helpers import names
from helpers.atlas import scan as scanning
from helpers.atlas.check_counts import NOT_LOG, check_counts, compare
from helpers.atlas.opened import Opened, owner
from helpers.atlas.report import Report, listing
from helpers.facts import study

_FILE = names.EXPRESSION_FILE
_TOP = float(np.log1p(scanning.SCALE)) + 1e-3  # one gene holds every molecule of a cell


def check(opened: Opened, report: Report, scan: scanning.Scan | None) -> None:
    """Check the matrix against itself, the feature metadata and the sample metadata.

    Parameters
    ----------
    opened
        The small tables.
    report
        Gets one row for each check.
    scan
        Sums over the matrix, none if it could not be read.
    """
    if scan is None:
        return
    _check_genes(opened, scan, report)
    if not _check_types(scan, report):
        return
    if scan.n_cells == 0 or not scan.genes:
        report.damage("matrix", _FILE, f"{scan.n_cells} x {len(scan.genes)}", expected="cells x genes")
        return
    logged = _check_values(scan, report)
    sample, features = opened.sample, opened.features
    if sample is not None and len(sample) == scan.n_cells and sample.schema[names.N_GENES].is_numeric():
        compare(scan.cell_genes, sample[names.N_GENES], names.SAMPLE_FILE, names.N_GENES, report)
    if (
        features is not None
        and len(features) == len(scan.genes)
        and features.schema[names.N_CELLS].is_numeric()
    ):
        compare(
            scan.gene_cells,
            features[names.N_CELLS],
            names.FEATURE_FILE,
            names.N_CELLS,
            report,
            one_sided=False,
        )
    if logged:
        check_counts(opened, scan, report)


def scan_file(
    opened: Opened, report: Report, *, progress: Callable[[int, int], None] | None = None
) -> scanning.Scan | None:
    """Scan the expression file, or say in `report` why it cannot be scanned.

    Parameters
    ----------
    opened
        The release; its expression file is read.
    report
        Gets a row if the file cannot be read to its end.
    progress
        Called with the genes read so far and all genes.
    """
    if _FILE not in opened.schemas:
        return None
    if owner(tuple(opened.schemas[_FILE].names), but=_FILE):
        report.skip("matrix", _FILE, "it holds the columns of another file")
        return None
    try:
        return scanning.read(opened.folder / _FILE, progress=progress)
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:200]
        report.damage(
            "matrix", _FILE, f"cannot be read to its end: {reason}", expected="every column readable"
        )
        return None


def _check_types(scan: scanning.Scan, report: Report) -> bool:
    strange = {kind: columns for kind, columns in scan.types.items() if kind not in ("float", "double")}
    if strange:
        kind, columns = next(iter(strange.items()))
        n_columns = sum(map(len, strange.values()))
        found = f"{n_columns:,} of {len(scan.genes):,} columns are not float32, first {columns[0]!r}: {kind}"
        report.damage("types", _FILE, found, expected="float32 in every column", remedy=NOT_LOG)
        return False
    if "double" in scan.types:
        found = f"{len(scan.types['double']):,} columns are float64"
        remedy = "Nothing to do: values are the same, the file is larger."
        report.warn("types", _FILE, found, expected="float32 in every column", remedy=remedy)
    else:
        report.ok("types", _FILE, "float32", expected="float32 in every column")
    return True


def _check_genes(opened: Opened, scan: scanning.Scan, report: Report) -> None:
    features = opened.features
    if features is None:
        return
    expected = f"the genes of {names.FEATURE_FILE}, in its order"
    if len(features) != len(scan.genes):
        found = f"{len(scan.genes):,} columns, {len(features):,} genes in {names.FEATURE_FILE}"
        remedy = f"Fetch or write both {_FILE} and {names.FEATURE_FILE} again."
        report.damage("genes", _FILE, found, expected=expected, remedy=remedy)
        return
    lists = [features[c].cast(pl.String).to_list() for c in (names.GENE_IDS, names.SYMBOL, names.ENSEMBL)]
    if scan.genes in lists:
        report.ok("genes", _FILE, f"{len(scan.genes):,} genes", expected=expected)
        return
    # symbols that occur twice get a number behind them, as anndata does
    closest = max(lists, key=lambda one: sum(a == b for a, b in zip(one, scan.genes, strict=True)))
    differ = [i for i, pair in enumerate(zip(scan.genes, closest, strict=True)) if pair[0] != pair[1]]
    renamed = [i for i in differ if scan.genes[i].rpartition("-")[0] == closest[i]]
    first = differ[0]
    if set(scan.genes) == set(closest):
        found = f"{len(differ):,} genes in another place, first column {first:,}: {scan.genes[first]!r}, not {closest[first]!r}"
        remedy = f"The order of {_FILE} and {names.FEATURE_FILE} differs: fetch or write both again."
        report.damage("genes", _FILE, found, expected=expected, remedy=remedy)
    elif len(renamed) == len(differ):
        found = f"{len(differ):,} repeated symbols with a number: {listing([scan.genes[i] for i in differ])}"
        report.ok("genes", _FILE, found, expected=expected)
    else:
        found = f"{len(differ):,} other genes, first column {first:,}: {scan.genes[first]!r}, not {closest[first]!r}"
        remedy = f"Fetch or write both {_FILE} and {names.FEATURE_FILE} again."
        report.damage("genes", _FILE, found, expected=expected, remedy=remedy)


def _check_values(scan: scanning.Scan, report: Report) -> bool:
    for kind in ("negative", "infinite", "NaN"):
        faults = [fault for fault in scan.faults if fault.kind == kind]
        if faults:
            n_values, first = sum(fault.count for fault in faults), faults[0]
            found = f"{n_values:,} {kind} values in {len(faults):,} genes, first in row {first.row:,}, gene {first.column!r}"
            report.damage("values", _FILE, found, expected="finite values, none below 0", remedy=NOT_LOG)
    top = float(scan.cell_max.max())
    expected = f"0 to {_TOP:.2f}, log1p of counts per 10,000"
    if scan.nonzero and scan.fractions == 0:
        found = f"whole numbers only, up to {top:g}: raw counts"
        report.damage("value range", _FILE, found, expected=expected, remedy=NOT_LOG)
    elif top > _TOP:
        row = int(np.argmax(scan.cell_max))
        report.damage(
            "value range", _FILE, f"up to {top:.4g}, first in row {row:,}", expected=expected, remedy=NOT_LOG
        )
    else:
        report.ok("value range", _FILE, f"0 to {top:.2f}", expected=expected)
    empty = int((scan.cell_genes == 0).sum())
    found = f"{scan.zero_share:.2%} zeros; {int((scan.gene_cells == 0).sum()):,} genes in no cell"
    logged = not scan.faults and scan.fractions > 0 and top <= _TOP
    if empty:
        row = int(np.argmax(scan.cell_genes == 0))
        report.damage(
            "zeros",
            _FILE,
            f"{empty:,} cells hold no molecule, first row {row:,}",
            expected="a gene in every cell",
        )
    else:
        report.ok("zeros", _FILE, found, expected=f"published: {study.ZERO_SHARE:.2%} zeros")
    return logged
