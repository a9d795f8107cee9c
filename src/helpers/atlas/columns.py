"""Columns of any file brought to those of the release: names, labels, units, and words that say nothing."""

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pandas as pd
import polars as pl
import pyarrow as pa
from anndata.utils import make_index_unique

from helpers import ages, names
from helpers.errors import ReleaseError
from helpers.facts import study

TYPES: dict[str, pl.DataType] = dict.fromkeys(names.SAMPLE_COLUMNS, pl.Float64())
TYPES |= {**dict.fromkeys(names.LABEL_COLUMNS, pl.String()), names.N_GENES: pl.Int64()}
FEATURE_TYPES: dict[str, pl.DataType] = dict.fromkeys(names.FEATURE_COLUMNS, pl.String())
FEATURE_TYPES |= {names.N_CELLS: pl.Int64()}
INDEX_NAMES = (names.INDEX_COLUMN, names.BARCODE, "barcodes", "index", "_index", "cell_id", "cell", "CellID", "Unnamed: 0", "")  # fmt: skip
LABEL, SOMEBODY, NUMBER, WHOLE, PERCENT, SHARE = ("label", "donor", "number", "whole", "percent", "share")
_MOST = {PERCENT: 100.0, SHARE: 1.0}  # largest value of a kind


class Column(NamedTuple):
    """A column of the release, what others call it, what may stand in it, and what their labels mean."""

    name: str
    aliases: list[str]
    kind: str
    meaning: str
    labels: dict[str, str]


def _labels(column: str) -> dict[str, str]:
    """Return what the labels of others in a column mean, by the label in lower case."""
    known = study.read("labels_of_others.tsv").filter(pl.col("column") == column)
    return dict(known.select("theirs", "ours").iter_rows())


COLUMNS = [
    Column(name, aliases.split(";") if aliases else [], kind, meaning, _labels(name))
    for name, aliases, kind, meaning in study.read("columns_of_others.tsv").iter_rows()
]
_AGE_BIN = Column(names.AGE_BIN, [], LABEL, "young or old", _labels(names.AGE_BIN))
# Ages come from the first of these that says one; a plain number is in years unless the name says otherwise.
STAGES = (ages.STAGE_TERM, ages.STAGE)
AGE_UNITS = {names.EXACT_AGE: 1.0, "Age": 1.0, "age_years": 1.0, "donor_age": 1.0, "age_months": 1 / 12}
AGE_UNITS |= {"age_weeks": 7 / 365.25, "age_days": 1 / 365.25, names.AGE_GROUP: 1.0, names.AGE_MIDPOINT: 1.0}
AGE_COLUMNS = (names.AGE_GROUP, names.AGE_BIN, names.AGE_MIDPOINT, names.EXACT_AGE)
_UNIT_UNSAID = (names.EXACT_AGE, "Age", "donor_age")
_GROUP = r"^\d+(?:\.\d+)?(?:-\d+(?:\.\d+)?|\+)$"
_ALWAYS_PERCENT = ("pct_counts_mt", "pct_counts_mito", "pct_counts_ribo")  # scanpy writes no other unit
_OWN_FORMAT = {names.LEVEL2, names.DOUBLET_SCORE, names.CHEMISTRY}  # of the release's own files: units hold

ORGANISMS = _labels("organism")
ORGANISM_COLUMNS = ("organism", "organism_ontology_term_id", "species")
OTHER = "other"
SYMBOL_COLUMNS = ("feature_name", "gene_symbols", "gene_symbol", "gene_name", "gene_names", "symbol", "Symbol", "gene_short_name", "hgnc_symbol")  # fmt: skip
ENSEMBL_COLUMNS = ("gene_ids", "ensembl_id", "ensembl_ids", "feature_id", "gene_id", "ensembl")
_ENSEMBL = re.compile(r"ENS([A-Z]{0,6})G\d{11}")
_SHOWN = 5  # donors named in a note


def map_cells(frame: pl.DataFrame, *, species: str = ages.HUMAN) -> tuple[pl.DataFrame, list[str]]:
    """Bring the cell table of any file to the columns of the release, and say what was taken from where.

    A column of the release's own name is taken only if it holds what the release has there, or can be translated to
    it; else it is kept as ``NAME_own``, and another column takes its place.
    """
    notes: list[str] = []
    made: dict[str, pl.Series] = {}
    refused: set[str] = set()
    trusted = set(frame.columns) >= _OWN_FORMAT
    for column in (*COLUMNS, _AGE_BIN):
        for origin in (column.name, *column.aliases):
            if origin not in frame.columns or column.name in made:
                continue
            values, said = _read(frame[origin], column, trusted=trusted)
            if values is None:
                refused.add(origin)
                notes.append(f"{origin} is not taken for {column.name}: {said}")
                continue
            made[column.name] = values
            notes += [f"{column.name} is taken from {origin}"] * (origin != column.name)
            notes += [f"{origin}: {said}"] * bool(said)
    notes += _read_ages(frame, species, made, refused)
    kept = frame.select(name for name in frame.columns if name not in made or name in refused)
    kept = kept.rename({name: f"{name}_own" for name in kept.columns if name in TYPES or name in AGE_COLUMNS})
    return kept.with_columns(values.alias(name) for name, values in made.items()), notes


def _read(values: pl.Series, column: Column, *, trusted: bool) -> tuple[pl.Series | None, str]:
    """Return the values as the release has them and what was done, or none and why they cannot be taken."""
    if column.kind in (LABEL, SOMEBODY):
        return _read_labels(values, column)
    numbers = values.cast(pl.Float64, strict=False).fill_nan(None)
    known = numbers.drop_nulls()
    if not len(known) or values.dtype == pl.Boolean:
        return None, f"it holds no number, but {_few(values)}"
    low, high = float(known.min()), float(known.max())
    broken = column.kind == WHOLE and (known != known.round(0)).any()
    if broken or low < 0 or high > _MOST.get(column.kind, float("inf")):
        what = "not all whole" if column.kind == WHOLE else f"which is no {column.kind}"
        return None, f"its values go from {low:g} to {high:g}, {what}"
    if column.kind == PERCENT and 0 < high <= 1 and not trusted and values.name not in _ALWAYS_PERCENT:
        return numbers * 100, f"values of at most {high:.3g} are taken for shares and multiplied by 100"
    return numbers, ""


def _read_labels(values: pl.Series, column: Column) -> tuple[pl.Series | None, str]:
    labels = as_labels(values)
    given = labels.drop_nulls().unique().to_list()
    says = names.is_somebody if column.kind == SOMEBODY else names.is_given
    empty = [label for label in given if not says(label)]
    if column.labels:
        table = {label: column.labels.get(label.strip().casefold()) for label in given}
        table |= {label: label for label in given if label in column.labels.values()}
    else:
        table = {label: label if says(label) else None for label in given}
    if not any(table.values()):
        return None, f"it holds {_few(labels) or 'nothing'}"
    read = labels.replace_strict(table, default=None, return_dtype=pl.String) if given else labels
    lost = int((labels.is_not_null() & read.is_null()).sum())
    who = ", ".join(sorted(empty))
    if empty and column.kind == SOMEBODY:
        return read, f"{lost:,} cells of {who} belong to nobody in particular and have no donor"
    if empty and not column.labels:
        return read, f"{lost:,} cells are {who}, which says nothing"
    changed = [one for one, found in table.items() if found not in (None, one) and values.name == column.name]
    shown = _few(pl.Series(changed, dtype=pl.String))
    return read, f"{shown} are read as {column.meaning}" if changed else ""


def _read_ages(frame: pl.DataFrame, species: str, made: dict[str, pl.Series], refused: set[str]) -> list[str]:
    """Make the columns of age, each from its own column if that agrees, else from the best that says one."""
    told, notes = _tell_all(frame, species)
    refused |= {name for name in AGE_COLUMNS if name in frame.columns and name not in {*told, *made}}
    if names.AGE_GROUP in told:  # a group keeps its own words where they are one
        own, read = as_labels(frame[names.AGE_GROUP]), told[names.AGE_GROUP][names.AGE_GROUP]
        kept = pl.when(own.str.contains(_GROUP)).then(own).otherwise(read)
        made[names.AGE_GROUP] = pl.select(kept).to_series()
    for name in AGE_COLUMNS:
        for origin in [name] * (name in told) + list(told):
            if name not in made and told[origin][name].null_count() < frame.height:
                made[name] = told[origin][name]
                if origin != name:
                    notes.append(f"{name} is taken from {origin}")
    return notes


def _tell_all(frame: pl.DataFrame, species: str) -> tuple[dict[str, pl.DataFrame], list[str]]:
    """Return what each column says of ages, best first, and why some are not believed."""
    told: dict[str, pl.DataFrame] = {}
    notes = []
    for name in (name for name in (*STAGES, *AGE_UNITS) if name in frame.columns):
        values = frame[name]
        if species != ages.HUMAN and values.dtype.is_numeric() and name in _UNIT_UNSAID:
            notes.append(f"{name} is not taken for an age: the unit of a number is not known for a {species}")
            continue
        found = _tell(values, name, species)
        if found[ages.AGE_LOWER].null_count() == len(found):
            if values.null_count() < len(values):
                notes.append(f"{name} is not taken for an age: it holds {_few(values)}")
        elif told and not _agree(found, next(iter(told.values()))):
            notes.append(f"{name} is not taken for an age: it contradicts {next(iter(told))}")
        else:
            told[name] = found
    return told, notes


def _tell(values: pl.Series, name: str, species: str) -> pl.DataFrame:
    """Return bounds and the columns of age for each value; each distinct one is read once."""
    schema = dict.fromkeys((ages.AGE_LOWER, ages.AGE_UPPER, *AGE_COLUMNS), pl.Float64)
    schema |= dict.fromkeys((names.AGE_GROUP, names.AGE_BIN), pl.String)
    if values.dtype.is_numeric():
        values = values.cast(pl.Float64) * AGE_UNITS.get(name, 1.0)
    distinct = values.unique()
    rows = []
    for value in distinct:
        age = ages.parse(value if isinstance(value, float | str) else None, species=species)
        row = {ages.AGE_LOWER: age.lower, ages.AGE_UPPER: age.upper, **ages.describe(age, species=species)}
        if name == names.AGE_MIDPOINT:  # the middle of a group, or an age: the column does not say which
            row |= {names.AGE_MIDPOINT: age.years, names.EXACT_AGE: None}
        rows.append(row)
    table = pl.DataFrame(rows, schema=schema).insert_column(0, distinct.alias("_value"))
    each = pl.DataFrame({"_value": values})
    return each.join(table, on="_value", how="left", nulls_equal=True, maintain_order="left").drop("_value")


def _agree(found: pl.DataFrame, best: pl.DataFrame) -> bool:
    """Tell whether most ages of two columns overlap, within a year and a half."""
    upper, most = found[ages.AGE_UPPER].fill_null(ages.OLDEST), best[ages.AGE_UPPER].fill_null(ages.OLDEST)
    both = (found[ages.AGE_LOWER] <= most + 1.5) & (upper >= best[ages.AGE_LOWER] - 1.5)
    share = both.drop_nulls().mean()
    return share is None or share > 0.5


def map_genes(frame: pl.DataFrame, index: str) -> tuple[pl.DataFrame, list[str]]:
    """Name genes by symbol and add the columns of genes of the release that others hold under other names."""
    labels = frame[index].cast(pl.String)
    by_id = _is_ensembl(labels)
    held = [name for name in (*SYMBOL_COLUMNS, names.SYMBOL) if name in frame.columns and name != index][:1]
    notes: list[str] = []
    symbols = labels
    if by_id and held and not _is_ensembl(frame[held[0]].cast(pl.String)):
        symbols = frame[held[0]].cast(pl.String).fill_null(labels)
        notes = ["genes are named by symbol, the file by Ensembl id"]
    elif by_id:
        table = study.genes()
        known = labels.str.split(".").list.first()  # with or without a version
        known = known.replace_strict(table["ensembl_id"], table["symbol"], default=None)
        symbols = known.fill_null(labels)
        named = f"{known.count():,} of {len(known):,} genes are named by the study's table"
        notes = [f"{named}, the file gives Ensembl ids only"]
    made = {}
    ids = [name for name in ENSEMBL_COLUMNS if name in frame.columns and _is_ensembl(frame[name])]
    if names.ENSEMBL not in frame.columns and (by_id or ids):
        made[names.ENSEMBL] = labels if by_id else frame[ids[0]].cast(pl.String)
    named = pl.select(pl.when(symbols != labels).then(symbols)).to_series() if by_id else symbols
    if names.SYMBOL not in frame.columns and named.null_count() < len(named):
        made[names.SYMBOL] = named
    added = [column.alias(name) for name, column in made.items()]
    return frame.with_columns(symbols.alias(names.GENE), *added), notes


def species_of(stated: Iterable[str], genes: Iterable[str]) -> str:
    """Return ``human``, ``mouse`` or ``other``: as the file states, else by the prefix of Ensembl ids, else human."""
    said = {ORGANISMS.get(label.strip().casefold(), OTHER) for label in stated if names.is_given(label)}
    if said:
        return said.pop() if len(said) == 1 else OTHER
    prefixes = [found[1] for gene in genes if (found := _ENSEMBL.match(gene))]
    most = max(set(prefixes), key=prefixes.count, default="")
    return {"": ages.HUMAN, "MUS": ages.MOUSE}.get(most, OTHER)


def _is_ensembl(column: pl.Series) -> bool:
    found = column.dtype == pl.String and column.str.contains(f"^{_ENSEMBL.pattern}").mean()
    return bool(found) and found > 0.5


def as_labels(column: pl.Series) -> pl.Series:
    """Return a column as text: whole floats without their point, as a file with gaps stores whole numbers."""
    if column.dtype.is_float() and (column.drop_nulls().drop_nans() % 1 == 0).all():
        column = column.fill_nan(None).cast(pl.Int64, strict=False)
    return column.cast(pl.String, strict=False)


def _few(column: pl.Series) -> str:
    found = column.drop_nulls().unique().sort().head(4).to_list()
    return ", ".join(str(label)[:40] for label in found[:3]) + (", ..." if len(found) > 3 else "")


def nearest(word: str, known: Iterable[str], *, most: int = 3) -> list[str]:
    """Return the known words most like `word`, in any case, best first, at most so many."""
    folded = {name.casefold(): name for name in reversed(list(known))}  # of several the first
    return [folded[hit] for hit in difflib.get_close_matches(word.casefold(), folded, n=most, cutoff=0.6)]


def make_unique(labels: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return `labels` made unique the way anndata does, and a note on those that came more than once."""
    index = pd.Index(labels, dtype=object)
    if not (twice := sorted(set(index[index.duplicated()]))):
        return list(labels), []
    note = f"{len(twice):,} gene symbols came more than once, made unique: {', '.join(twice[:5])}"
    return list(make_index_unique(index)), [note]


def find_index(schema: pa.Schema, *, known: Iterable[str]) -> str | None:
    """Return the column that pandas or another writer used as the row index, or none."""
    columns = set(schema.names) - set(known)
    block = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
    stated = [name for name in block.get("index_columns", []) if isinstance(name, str)]
    return next((name for name in (*stated, *INDEX_NAMES) if name in columns), None)


def type_columns(
    frame: pl.DataFrame, types: dict[str, pl.DataType], *, origin: str
) -> tuple[pl.DataFrame, list[str]]:
    """Return `frame` with the columns of `types` first and typed, and those that it does not have."""
    missing = [name for name in types if name not in frame.columns]
    wrong, wanted = [], {name: pl.lit(None, dtype).alias(name) for name, dtype in types.items()}
    for name in (name for name in types if name not in missing):
        column, cast = frame[name], _as_type(frame[name], types[name])
        wanted[name] = cast
        if len(lost := column.filter(cast.is_null() & column.is_not_null())):
            found = f"{len(lost):,} values are not, first {lost[0]!r}"
            wrong.append(f"{name!r} should be {types[name]}, but {found}")
    if wrong:
        msg = f"{origin}: {'; '.join(wrong)}. Fetch the file again, or convert those columns."
        raise ReleaseError(msg)
    return frame.select(*wanted.values(), pl.exclude(list(types))), missing


def _as_type(column: pl.Series, dtype: pl.DataType) -> pl.Series:
    if dtype.is_integer() and column.dtype.is_float():
        whole = column.is_null() | (column == column.round(0))
        column = pl.select(pl.when(whole).then(column)).to_series().alias(column.name)
    if column.dtype.is_nested():
        return pl.Series(column.name, [None] * len(column), dtype)
    if dtype.is_float() and column.dtype.is_float():
        column = column.fill_nan(None)  # one word for an absent value
    return column.cast(dtype, strict=False)


def contradicting(obs: pl.DataFrame) -> list[str]:
    """Return the donors that the study lists with another sex, or with an age outside the stated age group, sorted."""
    wanted = (names.DONOR, names.AGE_GROUP, names.SEX)
    published = study.donors().select(names.DONOR, "Age", sex="Sex")
    ends = pl.col(names.AGE_GROUP).str.extract_groups(r"^(\d+)-(\d+)$").struct
    low, high = (ends.field(end).cast(pl.Float64) for end in "12")
    wrong = (pl.col(names.SEX) != pl.col("sex")) | (pl.col("Age") < low) | (pl.col("Age") > high)
    both = obs.select(pl.col(wanted).cast(pl.String)).unique().join(published, on=names.DONOR)
    return both.filter(wrong)[names.DONOR].unique().sort().to_list()


def look(obs: pl.DataFrame, barcodes: pl.Series) -> list[str]:
    """Return notes on cells and donors that are not who they seem."""
    notes = []
    if len(twice := barcodes.filter(barcodes.is_duplicated())):
        found = f"{len(twice):,} cells share a barcode, first {twice[0]!r}"
        notes.append(f"{found}; AnnData gets them made unique by a suffix")
    if others := contradicting(obs):
        more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        found = f"{len(others):,} donors have another age group or sex than the study's table states"
        notes.append(f"{found}: {', '.join(others[:_SHOWN])}{more}; their published exact ages are not used")
    return notes


def tabulate(obs: pl.DataFrame) -> pl.DataFrame:
    """Make the table of donors from the table of cells: see `reader.Atlas.donors`."""
    said = (names.SEX, names.AGE_GROUP, names.AGE_BIN, names.AGE_MIDPOINT, names.EXACT_AGE)
    if names.EXACT_AGE not in obs.columns:
        obs = obs.with_columns(pl.lit(None, pl.Float64).alias(names.EXACT_AGE))
    obs = obs.drop_nulls(names.DONOR)
    in_nuclei = (pl.col(names.ASSAY) == names.NUCLEI).fill_null(value=False)
    known = {name: pl.col(name).drop_nulls() for name in said}
    donors = obs.group_by(names.DONOR).agg(
        *(pl.when(one.n_unique() == 1).then(one.first()).alias(name) for name, one in known.items()),
        chemistry=pl.col(names.CHEMISTRY).filter(~in_nuclei).drop_nulls().unique().sort().str.join(" + "),
        cells=(~in_nuclei).sum().cast(pl.Int64),
        nuclei=in_nuclei.sum().cast(pl.Int64),
    )
    listed = study.donors().select(names.DONOR, exact="Age")
    listed = listed.filter(~pl.col(names.DONOR).is_in(contradicting(obs)))
    stated = pl.coalesce("exact", names.EXACT_AGE, names.AGE_MIDPOINT).cast(pl.Float64).alias(names.EXACT_AGE)
    chemistry = pl.col("chemistry").replace("", None)
    donors = donors.join(listed, on=names.DONOR, how="left").sort(stated, names.DONOR, nulls_last=True)
    return donors.select(names.DONOR, names.SEX, stated, *said[1:4], chemistry, names.CELLS, names.NUCLEI)
