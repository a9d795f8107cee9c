"""Whether a folder is a whole release: every file present, readable, agreeing with the others."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from helpers import files as storage
from helpers import names
from helpers.atlas import columns, matrix
from helpers.errors import ReleaseError
from helpers.facts import study

OK, WARNING, DAMAGED = "ok", "warning", "damaged"
SCHEMA = dict.fromkeys(("check", "file", "status", "found", "expected", "remedy"), pl.String)
_SAMPLE, _FEATURES, _MATRIX = names.SAMPLE_FILE, names.FEATURE_FILE, names.EXPRESSION_FILE
_MAPS = {file: names.PROJECTION_COLUMNS[key] for key, file in names.PROJECTION_FILES.items()}
_COLUMNS = {_SAMPLE: names.SAMPLE_COLUMNS, _FEATURES: names.FEATURE_COLUMNS, **_MAPS}
_TEXTS = {*names.LABEL_COLUMNS, names.ENSEMBL, names.SYMBOL, names.GENE_IDS}
CELL_FILES = (_MATRIX, _SAMPLE, *_MAPS)
_FOR_READERS = (names.README_FILE, names.LICENSE_FILE)  # no number rests on them
_MOST_STRANGE = 0.1  # share of cells with labels of no known name from which the column is damaged
_ISOLATED = 0.01  # share of mismatches up to which they are single displaced values, not another definition
_MOSTLY = 0.99  # share of values from which they are whole counts
_TOP = float(np.log1p(matrix.SCALE)) + 1e-3  # one gene holds every molecule of a cell
_NOT_LOG = "Expression must hold log1p of counts per 10,000: fetch or write it again, not scaled, not raw."
_STEPS = ("pca", "neighbors", "tsne")


class Finding(NamedTuple):
    """What one check found; damage without a remedy of its own is mended by fetching the file again."""

    status: str
    found: str
    remedy: str = ""


_good, _note, _bad = partial(Finding, OK), partial(Finding, WARNING), partial(Finding, DAMAGED)


class Check(NamedTuple):
    """A row of the table of checks."""

    name: str
    file: str  # the one to blame
    expected: str
    needs: tuple[str, ...]  # keys of `Files.get`; where one is not to be had, what is wrong is said elsewhere
    look: Callable[..., Finding | Iterable[Finding] | None]


class Files:
    """What could be read of a release, by file name, and what was wrong with the rest; the matrix waits."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            wanted = "Give the folder that holds the twelve files of a release."
            msg = f"{str(folder)!r} is not a folder. {wanted}"
            raise ReleaseError(msg)
        storage.require_utf8(self.folder)
        self.schemas: dict[str, pa.Schema] = {}
        self.n_rows: dict[str, int] = {}
        self.tables: dict[str, pl.DataFrame] = {}
        self.barcodes: dict[str, list[str]] = {}
        self.texts: dict[str, Any] = {}
        self.scan: matrix.Scan | None = None
        self.broken: Finding | None = None  # why the matrix cannot be read to its end
        self.first_look = {file: self._open(self.folder / file) for file in names.RELEASE_FILES}

    def _open(self, path: Path) -> Finding:
        size = path.stat().st_size if path.is_file() else -1
        if size <= 0:
            return _bad("missing" if size else "empty, 0 bytes")
        kind = {".parquet": "whole Parquet file", ".json": "JSON object"}.get(path.suffix, "text in UTF-8")
        try:
            if path.suffix == ".parquet":
                self._open_parquet(path)
            else:
                text = path.read_text(encoding="utf-8")
                self.texts[path.name] = matrix.parse_object(text) if path.suffix == ".json" else text
        except matrix.UNREADABLE as error:
            self.schemas.pop(path.name, None)
            hint = storage.pointer_hint(path)
            return _bad(f"cannot be read as a {kind} ({size:,} bytes): {_short(error)}{hint}")
        return _good(f"a {kind}, {size:,} bytes")

    def _open_parquet(self, path: Path) -> None:
        file, name = pq.ParquetFile(path), path.name
        self.schemas[name], self.n_rows[name] = file.schema_arrow, file.metadata.num_rows
        index = columns.find_index(file.schema_arrow, known=_COLUMNS.get(name, ()))
        if name != _MATRIX:
            table = pl.from_arrow(file.read()).with_columns(pl.col(pl.Categorical).cast(pl.String))
            self.tables[name] = table if index is None else table.drop(index)
        # row numbers under the name of an index are not barcodes: pandas leaves them there
        if index is not None and not pa.types.is_integer(file.schema_arrow.field(index).type):
            self.barcodes[name] = file.read(columns=[index]).column(0).cast(pa.string()).to_pylist()

    def get(self, what: str) -> Any:
        """Return the files, a text, a table with its columns right, the scan of any matrix, of numbers, of logarithms."""
        scan, table = self.scan, self.tables.get(what)
        if table is not None:
            return table if _mistyped(table, what) == [] else None
        numbers = scan if scan is not None and scan.is_numeric else None
        clean = numbers is not None and scan.found[:, 1].any() and not scan.found[:, 2:5].any()
        logs = scan if clean and scan.cell_max.max() <= _TOP else None
        return {**self.texts, "files": self, "matrix": scan, "scan": numbers, "logs": logs}.get(what)

    @cached_property
    def whole_share(self) -> float:
        """Share of the values of the 16 genes of most cells that are a whole number of molecules of their cell."""
        scan, n_whole, n_values = self.scan, 0, 0
        top = [scan.genes[i] for i in np.argsort(-scan.found[:, 0])[:16]]
        for column in pq.read_table(self.folder / _MATRIX, columns=top).columns:
            values = np.expm1(column.to_numpy().astype(np.float64))
            some = values > 0
            molecules = values[some] / np.expm1(scan.cell_min[some].astype(np.float64))
            # float32 keeps seven digits of a value, so the error grows with the molecules
            n_whole += int((np.abs(molecules - np.rint(molecules)) <= 0.01 + 1e-4 * molecules).sum())
            n_values += len(molecules)
        return n_whole / max(n_values, 1)

    def read_matrix(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Read the whole matrix once, if it can be."""
        if _MATRIX not in self.schemas or _owner(self.schemas[_MATRIX].names, but=_MATRIX):
            return
        try:
            self.scan = matrix.scan(self.folder / _MATRIX, progress=progress)
        except ReleaseError as error:
            self.broken = _bad(f"cannot be read to its end: {_short(error.__cause__)}")


def validate(folder: str | Path, *, progress: Callable[[int, int], None] | None = None) -> pl.DataFrame:
    """Check every file of a release, the whole expression matrix included, and write nothing.

    A release of any size passes: its files must agree with each other; where they differ from the published
    figures the table says so. `progress` is called with the genes read so far and all genes. No such folder is a
    `ReleaseError`.

    Returns
    -------
    polars.DataFrame
        A row for each check: ``check``, ``file``, ``status`` (ok, warning or damaged), ``found``, ``expected``,
        ``remedy``.
    """
    files = Files(folder)
    files.read_matrix(progress)
    rows = []
    for check, (status, found, remedy) in _run(files):
        again = f"Fetch or write {check.file} again." if status == DAMAGED else ""
        rows.append((check.name, check.file, status, found, check.expected, remedy or again))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def require_tables(files: Files) -> None:
    """Refuse a release whose small tables are so damaged that numbers made of them would mean nothing."""
    rows = _run(files, without=("readable", "barcodes"))
    if faults := [f"{check.file}: {found.found}" for check, found in rows if found.status == DAMAGED]:
        found = f"{len(faults)} fault(s) make the numbers of this release mean nothing"
        msg = f"{found}: {'; '.join(faults[:3])}. `musclebook validate` names all and what to do."
        raise ReleaseError(msg)


def _run(files: Files, *, without: Sequence[str] = ()) -> Iterator[tuple[Check, Finding]]:
    for check in CHECKS:
        given = [files.get(what) for what in check.needs]
        if check.name not in without and all(one is not None for one in given):
            found = check.look(*given) or ()
            for one in (found,) if isinstance(found, Finding) else found:
                yield check, one


def _mistyped(table: pl.DataFrame, file: str) -> list[str] | None:
    """Return the columns of the wrong type; none where columns are missing, which is said elsewhere."""
    if not set(_COLUMNS[file]) <= set(table.columns):
        return None
    kinds = {column: table.schema[column] for column in _COLUMNS[file]}
    right = {c: kind == pl.String if c in _TEXTS else kind.is_numeric() for c, kind in kinds.items()}
    return [f"{column} is {kinds[column]}" for column in kinds if not right[column]]


def _owner(have: Iterable[str], *, but: str) -> str | None:
    """Return the file of a release, other than `but`, whose columns these are."""
    have = set(have)
    for file, wanted in _COLUMNS.items():
        if file != but and set(wanted) <= have:
            return file
    # a table as wide as a genome is the expression file under another name
    return _MATRIX if but != _MATRIX and len(have) > 100 else None


def _check_readable(files: Files, *, file: str) -> Finding:
    found = files.first_look[file]
    if found.status == DAMAGED and file in _FOR_READERS:
        return _note(found.found, "Nothing rests on it; a copy is on the page of the dataset.")
    return found


def _check_columns(files: Files, *, file: str) -> Finding | None:
    if file not in (files.schemas if file == _MATRIX else files.tables):
        return None
    have = files.schemas[file].names if file == _MATRIX else files.tables[file].columns
    wanted, other = list(_COLUMNS.get(file, ())), _owner(have, but=file)
    missing, extra = [c for c in wanted if c not in have], [c for c in have if wanted and c not in wanted]
    if other and (missing or not wanted):
        remedy = f"The two files look swapped: give {file} and {other} each its own name."
        return _bad(f"the columns of {other}", remedy)
    if twice := [name for name, times in Counter(have).items() if times > 1]:
        return _bad(f"{len(twice):,} columns more than once: {_list(twice)}")
    if missing:
        return _bad(f"{len(have)} columns, {len(missing)} missing: {_list(missing)}")
    if extra:
        remedy = "Nothing to do if they are meant; they are not used."
        return _note(f"{len(extra)} more: {_list(extra)}", remedy)
    if wanted and have != wanted:
        return _note("the columns in another order", "Nothing to do: columns are found by name.")
    return _good(f"{len(have):,} columns")


def _check_rows(files: Files, *, file: str) -> Finding | None:
    rows = {name: n for name, n in files.n_rows.items() if name in CELL_FILES}
    if file in rows:
        usual = Counter(rows.values()).most_common(1)[0][0]
        right = rows[file] == usual > 0
        return _good(f"{usual:,} rows") if right else _bad(f"{rows[file]:,} rows, other files {usual:,}")
    return None


def _check_barcodes(files: Files, *, file: str) -> Finding | None:
    if file not in files.n_rows:
        return None
    held = {name: files.barcodes[name] for name in CELL_FILES if name in files.barcodes}
    if file not in held:
        return _good("no barcodes; rows are taken in the order of the other files")
    reference = Counter(tuple(barcodes) for barcodes in held.values()).most_common(1)[0][0]
    barcodes, counted = held[file], Counter(held[file])
    repeated = [str(barcode) for barcode, times in counted.items() if times > 1]
    if repeated or None in counted:
        return _bad(f"{len(repeated):,} barcodes more than once: {_list(repeated)}")
    kind = "the rows in another order" if counted == Counter(reference) else "other barcodes"
    for row, (one, other) in enumerate(zip(barcodes, reference, strict=False)):
        if one != other:
            return _bad(f"{kind}: row {row:,} is {one!r}, not {other!r}")
    return _good(f"{len(barcodes):,} barcodes")


def _check_types(files: Files, *, file: str) -> Finding | None:
    wrong = _mistyped(files.tables.get(file, pl.DataFrame()), file)
    found = _bad(f"{len(wrong)} column(s) of the wrong type: {_list(wrong)}") if wrong else _good("they are")
    return None if wrong is None else found


def _check_complete(table: pl.DataFrame) -> Finding:
    empty = [f"{column.name} ({column.null_count():,})" for column in table if column.null_count()]
    return _bad(f"values missing in {_list(empty)}") if empty else _good("no missing value")


def _check_rule(sample: pl.DataFrame, *, broken: pl.Expr, show: Sequence[str]) -> Finding:
    wrong = sample.with_row_index("row").filter(broken)
    if wrong.is_empty():
        return _good(f"true of all {len(sample):,} cells")
    first = wrong.row(0, named=True)
    values = ", ".join(str(first[column]) for column in show)
    return _bad(f"{len(wrong):,} cells break it, first row {first['row']:,}: {values}")


def _check_labels(sample: pl.DataFrame, *, level: str) -> Finding:
    counts = sample[level].value_counts(sort=True)
    strange = counts.filter(~pl.col(level).is_in(study.hierarchy()[level].to_list()))
    if not (n_strange := int(strange["count"].sum())):
        return _good(f"{len(counts)} labels")
    found = f"{n_strange:,} of {len(sample):,} cells with unknown labels: {_list(strange[level].to_list())}"
    remedy = "Analyses by label keep them apart; correct the spelling if they are published labels."
    return _bad(found) if n_strange > _MOST_STRANGE * len(sample) else _note(found, remedy)


def _check_tree(sample: pl.DataFrame) -> Finding:
    tree = study.hierarchy().select(names.LEVELS)
    paths = sample.select(names.LEVELS).group_by(names.LEVELS).len()
    known = pl.all_horizontal(*(pl.col(level).is_in(tree[level].to_list()) for level in names.LEVELS))
    breaks = paths.filter(known).join(tree, on=names.LEVELS, how="anti")
    breaks = breaks.sort("len", *names.LEVELS, descending=[True, False, False, False]).rows()
    if not breaks:
        return _good("no cell breaks the tree")
    shown = _list([" > ".join(row[:3]) + f" ({row[3]:,})" for row in breaks])
    found = f"cells that break the tree: {sum(row[3] for row in breaks):,}: {shown}"
    others = sum(row[3] for row in breaks if row[:3] != ("cDC2", "cDC2", "cDC1"))
    remedy = "Use one level at a time: a cDC1 of level 2 may be a cDC2 of levels 0 and 1."
    return _bad(found) if others > _ISOLATED * len(sample) else _note(found, remedy)


def _check_people(sample: pl.DataFrame) -> Finding:
    donors, other = sample[names.DONOR].unique().sort().to_list(), columns.contradicting(sample)
    strange = [donor for donor in donors if donor not in study.donors()[names.DONOR]]
    if not strange and not other:
        return _good(f"{len(donors)} donors agree")
    found = f"{len(strange)} unknown donors {_list(strange)}; {len(other)} with another age or sex"
    remedy = "Ages of other donors are known as bins only; nothing else depends on it."
    return _note(f"{found} {_list(other)}", remedy)


def _check_genes_once(features: pl.DataFrame) -> Finding:
    ids = features[names.ENSEMBL].drop_nulls()
    if twice := [one for one, times in Counter(ids).most_common() if times > 1]:
        return _bad(f"{len(twice):,} {names.ENSEMBL} more than once: {_list(twice)}")
    return _good(f"{len(features):,} genes, {features[names.SYMBOL].n_unique():,} symbols")


def _numbers(table: pl.DataFrame | pl.Series) -> np.ndarray:
    return table.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _check_finite(table: pl.DataFrame, *, file: str) -> Finding:
    bad = np.argwhere(~np.isfinite(_numbers(table.select(_COLUMNS[file]))))
    if not len(bad):
        return _good("finite")
    row, column = bad[0]
    return _bad(f"{len(bad):,} values missing or infinite, first in row {row:,}, {_COLUMNS[file][column]}")


def _check_aligned(table: pl.DataFrame, sample: pl.DataFrame, *, file: str) -> Finding | None:
    """Cells of one label lie together on a map; where they do not, its rows are not those of the metadata."""
    values, labels = table.select(pl.col(_COLUMNS[file]).cast(pl.Float64)), sample[names.LEVEL0]
    if len(table) != len(sample) or not np.isfinite(_numbers(values)).all():
        return None
    n_cells, n_labels = len(labels), labels.n_unique()
    if n_cells < 10 * n_labels or n_labels < 2:
        return _good("too few cells to tell")
    centered = values.select(pl.all() - pl.all().mean())
    means = centered.select(pl.all().mean().over(labels.alias("label")))
    between = (_numbers(means) ** 2).sum() / max((_numbers(centered) ** 2).sum(), 1e-300)
    chance = (n_labels - 1) / (n_cells - 1)
    found = f"{between:.1%} of the variance lies between labels; rows in random order give {chance:.1%}"
    if between < 3 * chance and between < 0.05 + chance:
        return _bad(found, f"The rows of {file} are in another order. Fetch or write it again.")
    return _good(found)


def _check_structure(files: Files, stated: dict[str, Any]) -> Finding:
    """Compare the producer's own count of the object with the files."""
    labels, shape = stated.get("annotation_mapping", {}), stated.get("shape", [])
    if (type(labels), type(shape), type(stated.get("obsm_keys", []))) != (dict, list, list):
        return _bad("annotation_mapping, shape or obsm_keys is of the wrong kind")
    remedy = "The report was made from another object than these files; trust the files."
    sizes, sample = [files.n_rows.get(_MATRIX), files.n_rows.get(_FEATURES)], files.get(_SAMPLE)
    if shape and None not in sizes and shape != sizes:
        return _note(f"shape {str(shape)[:60]}, files {sizes}", remedy)
    for level in names.LEVELS if sample is not None else ():
        counts, have = labels.get(level), dict(sample[level].value_counts().iter_rows())
        if isinstance(counts, dict) and counts != have:
            differ = sorted(one for one in {*have, *counts} if have.get(one) != counts.get(one))
            return _note(f"{level}: {len(differ)} labels counted otherwise: {_list(differ)}", remedy)
    return _good("agrees with the files")


def _check_settings(stated: dict[str, Any]) -> Finding:
    def is_right(held: Any) -> bool:
        numbers = (
            [held.get(key, []) for key in ("variance", "variance_ratio")]
            if isinstance(held, dict)
            else [None]
        )
        lists = all(isinstance(one, list) and {*map(type, one)} <= {int, float} for one in numbers)
        return lists and isinstance(held.get("params", {}), dict)

    if wrong := [step for step in _STEPS if not is_right(stated.get(step, {}))]:
        return _bad(f"settings of the wrong kind under {_list(wrong)}")
    if missing := [step for step in _STEPS if step not in stated]:
        return _note(f"no parameters of {_list(missing)}", "How these were made is unknown.")
    return _good("all three")


def _check_matrix_types(scan: matrix.Scan) -> Finding:
    types, genes, n_cells = scan.types, scan.genes, len(scan.cell_genes)
    others = [
        (gene, kind) for kind, held in types.items() if kind not in ("float", "double") for gene in held
    ]
    if others:
        found = f"{len(others):,} of {len(genes):,} columns are not float32, first {others[0][0]!r}"
        return _bad(f"{found}: {others[0][1]}", _NOT_LOG)
    if not n_cells or not genes:
        return _bad(f"{n_cells:,} cells x {len(genes):,} genes")
    if "double" in types:
        found = f"{len(types['double']):,} columns are float64"
        return _note(found, "Nothing to do: values are the same, the file is larger.")
    return _good("float32")


def _check_gene_names(scan: matrix.Scan, features: pl.DataFrame) -> Finding:
    genes, remedy = scan.genes, f"Fetch or write both {_MATRIX} and {_FEATURES} again."
    if len(features) != len(genes):
        return _bad(f"{len(genes):,} columns, {len(features):,} genes in {_FEATURES}", remedy)
    lists = [features[column].to_list() for column in (names.GENE_IDS, names.SYMBOL, names.ENSEMBL)]
    closest = max(lists, key=lambda one: sum(a == b for a, b in zip(one, genes, strict=True)))
    differ = [(i, a, b) for i, (a, b) in enumerate(zip(genes, closest, strict=True)) if a != b]
    if not differ:
        return _good(f"{len(genes):,} genes")
    # symbols that occur twice get a number behind them, as anndata does
    if all(a.rpartition("-")[0] == b for _, a, b in differ):
        return _good(f"{len(differ):,} repeated symbols with a number: {_list([a for _, a, _ in differ])}")
    moved = "genes in another place" if set(genes) == set(closest) else "other genes"
    first, found, wanted = differ[0]
    return _bad(f"{len(differ):,} {moved}, first column {first:,}: {found!r}, not {wanted!r}", remedy)


def _check_values(scan: matrix.Scan) -> Iterable[Finding]:
    for place, kind in enumerate(matrix.KINDS):
        counted, rows = scan.found[:, 2 + place], scan.found[:, 5 + place]
        if len(genes := np.flatnonzero(counted)):
            where = f"first in row {rows[genes[0]]:,}, gene {scan.genes[genes[0]]!r}"
            yield _bad(f"{counted.sum():,} {kind} values in {len(genes):,} genes, {where}", _NOT_LOG)


def _check_range(scan: matrix.Scan) -> Finding:
    top = float(scan.cell_max.max())
    if top > 0 and not scan.found[:, 1].any():
        return _bad(f"whole numbers only, up to {top:g}: raw counts", _NOT_LOG)
    if top > _TOP:
        return _bad(f"up to {top:.4g}, first in row {int(np.argmax(scan.cell_max)):,}", _NOT_LOG)
    return _good(f"0 to {top:.2f}")


def _check_zeros(scan: matrix.Scan) -> Finding:
    if len(empty := np.flatnonzero(scan.cell_genes == 0)):
        return _bad(f"{len(empty):,} cells hold no molecule, first row {empty[0]:,}")
    return _good(f"{scan.zero_share:.2%} zeros; {int((scan.found[:, 0] == 0).sum()):,} genes in no cell")


def _check_normalization(scan: matrix.Scan) -> Finding:
    off = np.abs(scan.cell_sum / matrix.SCALE - 1)
    if not len(wrong := np.flatnonzero(off > 1e-3)):
        return _good(f"true of all {len(off):,} cells")
    first = f"first row {wrong[0]:,}: {scan.cell_sum[wrong[0]]:,.6g}"
    found = f"{len(wrong):,} of {len(off):,} cells do not, {first}"
    if len(wrong) > max(10, _ISOLATED * len(off)) and np.median(off) < 0.1:
        why = "Size factors were taken over more genes than the release has"
        return _note(
            f"{found}; median off by {np.median(off):.2%}", f"{why}; counts are recovered all the same."
        )
    return _bad(found, _NOT_LOG)


def _check_whole(files: Files, _scan: matrix.Scan) -> Finding:
    found = f"{files.whole_share:.2%} of the values of the 16 most frequent genes"
    cannot = "Whole counts cannot be recovered (corrected for background?)"
    remedy = f"{cannot}: count models will refuse this release."
    return _good(found) if files.whole_share >= _MOSTLY else _note(found, remedy)


def _check_counts(files: Files, scan: matrix.Scan, sample: pl.DataFrame) -> Finding | None:
    if len(sample) != len(scan.cell_genes) or files.whole_share < _MOSTLY:
        return None
    stated = _numbers(sample[names.N_COUNTS])
    with np.errstate(divide="ignore", invalid="ignore"):
        # log1p of counts per 10,000 makes one molecule of a cell with N molecules log1p(10,000 / N)
        counts = np.rint(np.nan_to_num(scan.cell_sum / np.expm1(scan.cell_min.astype(np.float64))))
        # a few cells have no gene with one single molecule: their smallest value stands for two or three
        times = np.rint(stated / counts)
        multiple = (times >= 2) & (times <= 3) & (np.abs(stated - times * counts) <= times)
    return _compare(np.where(multiple, stated, counts), sample[names.N_COUNTS], _SAMPLE)


def _compare(found: np.ndarray, stated: pl.Series, file: str, *, one_sided: bool = True) -> Finding | None:
    """Compare with stated numbers: a little larger throughout is a warning (counted over more), all else is damage."""
    if len(found) != len(stated):
        return None
    column, values = stated.name, _numbers(stated)
    differ = np.flatnonzero(~(np.abs(values - found) <= 0.5))
    if not len(differ):
        return _good(f"{column} agrees in all {len(values):,} rows")
    row, usable = differ[0], np.isfinite(values)
    first = f"first row {row:,}: stated {values[row]:,.6g}, found {found[row]:,.6g}"
    pairs = np.log1p(found[usable]), np.log1p(np.maximum(values[usable], 0))
    with np.errstate(divide="ignore", invalid="ignore"):  # of numbers that are all the same, there is none
        alike = np.nan_to_num(np.corrcoef(*pairs)[0, 1]) if usable.sum() > 2 else 0.0
    text = f"{column} differs in {len(differ):,} of {len(values):,} rows, {first}; correlation {alike:.3f}"
    larger = not one_sided or bool((values >= found - 0.5).all())
    if len(differ) > max(10, _ISOLATED * len(values)) and usable.all() and larger and alike > 0.95:
        remedy = f"{column} was counted over more genes or cells than the release has; results do not use it."
        return _note(f"{text}, alike throughout", remedy)
    return _bad(text, f"Rows of {file} and {_MATRIX} do not belong together: fetch or write both again.")


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _list(values: Sequence[object], *, most: int = 4) -> str:
    shown = ", ".join(repr(value) for value in values[:most])
    return shown if len(values) <= most else f"{shown} and {len(values) - most:,} more"


_LOW, _HIGH = (pl.col(names.AGE_GROUP).str.extract(e).cast(pl.Float64) for e in (r"^(\d+)-", r"-(\d+)$"))
_BIN = pl.when(_HIGH <= 40).then(pl.lit(names.YOUNG)).otherwise(pl.lit(names.OLD))
_AGES = (names.AGE_GROUP, names.AGE_BIN, names.AGE_MIDPOINT)
_WORDS = {
    names.AGE_GROUP: names.AGE_GROUPS, names.AGE_BIN: (names.YOUNG, names.OLD), names.SEX: (names.MALE, names.FEMALE),
    names.ASSAY: (names.CELLS, names.NUCLEI), names.CHEMISTRY: (names.V2, names.V3, names.V2_V3),
}  # fmt: skip
_LIMITS = {
    names.N_COUNTS: (0, float("inf")), names.N_GENES: (0, float("inf")), names.PERCENT_MITO: (0, 100),
    names.PERCENT_RIBO: (0, 100), names.DOUBLET_SCORE: (0, 1), names.AGE_MIDPOINT: (0, 120),
}  # fmt: skip
_UNITS = {names.AGE_GROUP: names.DONOR, names.SEX: names.DONOR, names.DONOR: names.SAMPLE, names.ASSAY: names.SAMPLE}  # fmt: skip
_RULES = [  # of every cell: the check, the rule, what breaks it, what to show of the first cell that does
    *(("vocabulary", f"{c} is one of {_list(words, most=8)}", ~pl.col(c).is_in(words), [c]) for c, words in _WORDS.items()),
    ("ages", "age_numeric is the middle of Age_group", (pl.col(names.AGE_MIDPOINT) - (_LOW + _HIGH) / 2).abs() > 1e-3, _AGES),
    ("ages", "Age_bin is young below 40 years", pl.col(names.AGE_BIN) != _BIN, _AGES),
    *(("donors", f"one {c} for each {unit}", pl.col(c).n_unique().over(unit) > 1, [unit, c]) for c, unit in _UNITS.items()),
    *(("values", f"{c} is finite, {low} to {high}", ~(pl.col(c).is_finite() & pl.col(c).is_between(low, high)), [c]) for c, (low, high) in _LIMITS.items()),
]  # fmt: skip
_TREE = f"labels in the published tree; published: {study.N_HIERARCHY_BREAKS} cells break it"
_HAVE, _SCAN = ("files",), ("scan",)

CHECKS: tuple[Check, ...] = (
    *(Check("readable", f, "a whole file", _HAVE, partial(_check_readable, file=f)) for f in names.RELEASE_FILES),
    Check("matrix", _MATRIX, "every column readable", _HAVE, lambda files: files.broken),
    *(Check("columns", f, "the columns of the card, each once", _HAVE, partial(_check_columns, file=f)) for f in (*_COLUMNS, _MATRIX)),
    *(Check("rows", f, "a row for each cell, as many in every file", _HAVE, partial(_check_rows, file=f)) for f in CELL_FILES),
    *(Check("barcodes", f, "unique, the same in every file, in one order", _HAVE, partial(_check_barcodes, file=f)) for f in CELL_FILES),
    *(Check("types", f, "labels are text, all else numbers", _HAVE, partial(_check_types, file=f)) for f in _COLUMNS),
    *(Check("complete", f, "no missing value", (f,), _check_complete) for f in (_SAMPLE, _FEATURES)),
    *(Check(name, _SAMPLE, rule, (_SAMPLE,), partial(_check_rule, broken=broken, show=show)) for name, rule, broken, show in _RULES),
    *(Check("labels", _SAMPLE, f"{c}: of the {n} published labels", (_SAMPLE,), partial(_check_labels, level=c)) for c, n in study.N_LABELS.items()),
    Check("label tree", _SAMPLE, f"{_TREE} (cDC2 > cDC2 > cDC1)", (_SAMPLE,), _check_tree),
    Check("donors", _SAMPLE, "age group and sex as the authors give them for 17 donors", (_SAMPLE,), _check_people),
    *(Check("values", f, "finite numbers", (f,), partial(_check_finite, file=f)) for f in _MAPS),
    *(Check("aligned", f, "more variance between labels than by chance", (f, _SAMPLE), partial(_check_aligned, file=f)) for f in _MAPS),
    Check("genes", _FEATURES, "each gene once", (_FEATURES,), _check_genes_once),
    Check("reports", names.STRUCTURE_FILE, "shape and label counts of these files", ("files", names.STRUCTURE_FILE), _check_structure),
    Check("reports", names.UNSTRUCTURED_FILE, "parameters of pca, neighbors, tsne", (names.UNSTRUCTURED_FILE,), _check_settings),
    Check("types", _MATRIX, "float32 in every column", ("matrix",), _check_matrix_types),
    Check("genes", _MATRIX, f"the genes of {_FEATURES}, in its order", ("matrix", _FEATURES), _check_gene_names),
    Check("values", _MATRIX, "finite values, none below 0", _SCAN, _check_values),
    Check("value range", _MATRIX, f"0 to {_TOP:.2f}, log1p of counts per 10,000", _SCAN, _check_range),
    Check("zeros", _MATRIX, f"a gene in every cell; published: {study.ZERO_SHARE:.2%} zeros", _SCAN, _check_zeros),
    Check("recomputed", _SAMPLE, f"n_genes recomputed from {_MATRIX}", ("scan", _SAMPLE),
          lambda scan, sample: _compare(scan.cell_genes, sample[names.N_GENES], _SAMPLE)),
    Check("recomputed", _FEATURES, f"n_cells recomputed from {_MATRIX}", ("scan", _FEATURES),
          lambda scan, features: _compare(scan.found[:, 0], features[names.N_CELLS], _FEATURES, one_sided=False)),
    Check("normalization", _MATRIX, "expm1 of the values of a cell adds up to 10,000", ("logs",), _check_normalization),
    Check("whole counts", _MATRIX, "every value a whole number of molecules of its cell", ("files", "logs"), _check_whole),
    Check("recomputed", _SAMPLE, f"n_counts recomputed from {_MATRIX}", ("files", "logs", _SAMPLE), _check_counts),
)  # fmt: skip
