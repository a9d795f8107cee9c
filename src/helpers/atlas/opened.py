"""The files of a release as far as they can be opened, and why the others cannot."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from helpers import files, names
from helpers.atlas import columns
from helpers.atlas.report import Report, listing

COLUMNS = {
    names.SAMPLE_FILE: names.SAMPLE_COLUMNS,
    names.FEATURE_FILE: names.FEATURE_COLUMNS,
    **{file: names.PROJECTION_COLUMNS[key] for key, file in names.PROJECTION_FILES.items()},
}
CELL_FILES = (names.EXPRESSION_FILE, names.SAMPLE_FILE, *names.PROJECTION_FILES.values())
_UNREADABLE = (OSError, pa.ArrowException, ValueError)


@dataclass
class Opened:
    """What could be read of a release, by file name."""

    folder: Path
    schemas: dict[str, pa.Schema] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    tables: dict[str, pl.DataFrame] = field(default_factory=dict)
    index: dict[str, list[str]] = field(default_factory=dict)
    texts: dict[str, Any] = field(default_factory=dict)

    @property
    def sample(self) -> pl.DataFrame | None:
        """The sample metadata, if its columns are whole."""
        return self._whole(names.SAMPLE_FILE)

    @property
    def features(self) -> pl.DataFrame | None:
        """The feature metadata, if its columns are whole."""
        return self._whole(names.FEATURE_FILE)

    def projection(self, key: str) -> pl.DataFrame | None:
        """Return a projection, if its columns are whole."""
        return self._whole(names.PROJECTION_FILES[key])

    def _whole(self, file: str) -> pl.DataFrame | None:
        table = self.tables.get(file)
        return table if table is not None and set(COLUMNS[file]) <= set(table.columns) else None


def read(folder: Path, report: Report) -> Opened:
    """Open the twelve files of `folder`; each that is missing, empty or unreadable becomes a row of `report`."""
    files.require_utf8(folder)
    opened = Opened(folder)
    for file in names.RELEASE_FILES:
        path = folder / file
        if not path.is_file():
            report.damage("present", file, "missing", expected="one of the 12 files of a release")
        elif path.stat().st_size == 0:
            report.damage("present", file, "empty, 0 bytes", expected="a file with content")
        else:
            _open(opened, path, report)
    return opened


def _open(opened: Opened, path: Path, report: Report) -> None:
    size = f"{path.stat().st_size:,} bytes"
    try:
        if path.suffix == ".parquet":
            kind = _open_parquet(opened, path)
        elif path.suffix == ".json":
            kind = _open_json(opened, path)
        else:
            opened.texts[path.name] = path.read_text(encoding="utf-8")
            kind = "text"
    except _UNREADABLE as error:
        reason = " ".join(str(error).split())[:200]
        expected = {".parquet": "a whole Parquet file", ".json": "a JSON object"}.get(
            path.suffix, "text in UTF-8"
        )
        report.damage("readable", path.name, f"cannot be read ({size}): {reason}", expected=expected)
        opened.schemas.pop(path.name, None)
        return
    report.ok("readable", path.name, f"{kind}, {size}")


def _open_json(opened: Opened, path: Path) -> str:
    value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        msg = f"the file holds a {type(value).__name__}, not an object"
        raise ValueError(msg)
    opened.texts[path.name] = value
    return f"JSON with {', '.join(value) or 'no keys'}"


def _open_parquet(opened: Opened, path: Path) -> str:
    file = pq.ParquetFile(path)
    schema, n_rows = file.schema_arrow, file.metadata.num_rows
    opened.schemas[path.name], opened.rows[path.name] = schema, n_rows
    index = columns.find_index(schema, known=COLUMNS.get(path.name, ()))
    if path.name == names.EXPRESSION_FILE:
        # row numbers under the name of an index are not barcodes: pandas leaves them there
        if index is not None and not pa.types.is_integer(schema.field(index).type):
            opened.index[path.name] = file.read(columns=[index]).column(0).cast(pa.string()).to_pylist()
        width = len(schema.names) - (index is not None)
        return f"Parquet, {n_rows:,} x {width:,}, {file.metadata.num_row_groups} row group(s)"
    table = pl.from_arrow(file.read())
    table = table.with_columns(pl.col(pl.Categorical).cast(pl.String))
    if index is not None and not table.schema[index].is_integer():
        opened.index[path.name] = table[index].cast(pl.String).to_list()
    opened.tables[path.name] = table if index is None else table.drop(index)
    return f"Parquet, {n_rows:,} x {len(opened.tables[path.name].columns):,}"


def check_columns(opened: Opened, report: Report) -> None:
    """Compare the columns of the small tables with the card; columns of another file mean a swap."""
    for file, wanted in COLUMNS.items():
        if file not in opened.tables:
            continue
        have = tuple(opened.tables[file].columns)
        missing, extra = [c for c in wanted if c not in have], [c for c in have if c not in wanted]
        expected = f"{len(wanted)} columns: {listing(list(wanted), most=3)}"
        other = owner(have, but=file)
        if missing and other:
            found, remedy = (
                f"the columns of {other}",
                f"The two files look swapped: give {file} and {other} each its own name.",
            )
            report.damage("columns", file, found, expected=expected, remedy=remedy)
        elif missing:
            found = f"{len(have)} columns, {len(missing)} missing: {listing(missing)}"
            report.damage("columns", file, found, expected=expected)
        elif extra:
            remedy = "Nothing to do if they are meant; they are not used."
            report.warn(
                "columns", file, f"{len(extra)} more: {listing(extra)}", expected=expected, remedy=remedy
            )
        elif have != wanted:
            remedy = "Nothing to do: columns are found by name."
            report.warn("columns", file, "the columns in another order", expected=expected, remedy=remedy)
        else:
            report.ok("columns", file, f"{len(have)} columns", expected=expected)
    if names.EXPRESSION_FILE in opened.schemas:
        have = tuple(
            name for name in opened.schemas[names.EXPRESSION_FILE].names if name != names.INDEX_COLUMN
        )
        other = owner(have, but=names.EXPRESSION_FILE)
        if other:
            remedy = (
                f"The two files look swapped: give {names.EXPRESSION_FILE} and {other} each its own name."
            )
            expected = "one column for each gene"
            report.damage(
                "columns", names.EXPRESSION_FILE, f"the columns of {other}", expected=expected, remedy=remedy
            )


def owner(have: tuple[str, ...], *, but: str) -> str | None:
    """Return the file of a release, other than `but`, whose columns these are."""
    for file, wanted in COLUMNS.items():
        if file != but and set(wanted) <= set(have):
            return file
    # a table as wide as a genome is the expression file under another name
    return names.EXPRESSION_FILE if but != names.EXPRESSION_FILE and len(have) > 100 else None


def check_rows(opened: Opened, report: Report) -> None:
    """Compare the number of rows between the files that have a row for each cell; the odd ones out are damaged."""
    rows = {file: opened.rows[file] for file in CELL_FILES if file in opened.rows}
    if not rows:
        return
    usual = Counter(rows.values()).most_common(1)[0][0]
    for file, n_rows in rows.items():
        if n_rows == 0:
            report.damage("rows", file, "0 rows", expected="a row for each cell")
        elif n_rows != usual:
            report.damage(
                "rows", file, f"{n_rows:,} rows", expected=f"{usual:,} rows, as the other files have"
            )
        else:
            report.ok("rows", file, f"{n_rows:,} rows", expected="the same in every file; published: 183,161")


def check_barcodes(opened: Opened, report: Report) -> None:
    """Compare barcodes, in order, between the files that hold them; the odd ones out are damaged."""
    indexed = {file: opened.index[file] for file in CELL_FILES if file in opened.index}
    bare = [file for file in CELL_FILES if file in opened.rows and file not in indexed]
    for file in bare:
        report.ok("barcodes", file, "no barcodes; rows are taken in the order of the other files")
    if not indexed:
        return
    usual = Counter(hash(tuple(barcodes)) for barcodes in indexed.values()).most_common(1)[0][0]
    reference_file = next(file for file, barcodes in indexed.items() if hash(tuple(barcodes)) == usual)
    reference = indexed[reference_file]
    expected = f"unique, as in {reference_file}, in the same order"
    for file, barcodes in indexed.items():
        repeated = [barcode for barcode, n in Counter(barcodes).items() if n > 1]
        at = next(
            (i for i, pair in enumerate(zip(barcodes, reference, strict=False)) if pair[0] != pair[1]), None
        )
        if repeated or None in barcodes:
            found = f"{len(repeated):,} barcodes more than once: {listing([str(b) for b in repeated])}"
            report.damage("barcodes", file, found, expected=expected)
        elif at is not None and Counter(barcodes) == Counter(reference):
            found = f"the rows in another order: row {at:,} is {barcodes[at]!r}, not {reference[at]!r}"
            report.damage("barcodes", file, found, expected=expected)
        elif at is not None:
            found = f"other barcodes: row {at:,} is {barcodes[at]!r}, not {reference[at]!r}"
            report.damage("barcodes", file, found, expected=expected)
        else:
            report.ok("barcodes", file, f"{len(barcodes):,} barcodes", expected=expected)
