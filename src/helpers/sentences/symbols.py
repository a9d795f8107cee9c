"""From the gene axis of a matrix to the words of a sentence; gene lists as people write them."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

import numpy as np
import polars as pl

from helpers import names
from helpers.errors import SentenceError
from helpers.facts import study
from helpers.files import digest, reading
from helpers.sentences import cells

# The first of these columns that the gene table has gives the symbols, before its index does.
SYMBOL_COLUMNS = (
    "feature_name", names.SYMBOL, "gene_symbols", "gene_symbol", "gene_name", "gene_names", "symbol", "hgnc_symbol",
)  # fmt: skip
HGNC_COLUMNS = ("symbol", "ensembl_gene_id", "prev_symbol", "alias_symbol")

# ENSA is a gene; ENSG00000143420 is an identifier: only a letter code followed by eleven digits is one
_ENSEMBL = re.compile(r"(ENS[A-Z]{0,5})[GTP]\d{11}(?:\.\d+)?(?:_PAR_Y)?")
# Name and term of the organisms that are known by the prefix of Ensembl identifiers.
ORGANISMS = {"ENS": ("Homo sapiens", "NCBITaxon:9606"), "ENSMUS": ("Mus musculus", "NCBITaxon:10090")}
_SUFFIX = re.compile(r"^(.+)_(ENS[A-Z]{0,5}G\d{11})(?:\.\d+)?$")
_SPIKE_IN = re.compile(r"ERCC-\d{5}")
_MISSING = {"", "nan", "none", "<na>"}
# What `_word` counts, by the name it has in the report.
_COUNTED = (
    "dropped_without_symbol", "dropped_spike_ins", "mapped_from_ensembl", "renamed_previous", "renamed_alias",
    "ambiguous_names", "suffixes_removed", "spaces_replaced",
)  # fmt: skip


def check(options: Any, **limits: tuple[bool, str]) -> None:
    """Refuse an option that is not of those its type lists, or beyond its limit: whether it holds, what is wanted."""
    for what, kind in get_type_hints(type(options)).items():
        if get_origin(kind) is Literal:
            allowed = get_args(kind)
            limits[what] = getattr(options, what) in allowed, f"choose one of {str(allowed)[1:-1]}"
    for what, (holds, wanted) in limits.items():
        if not holds:
            msg = f"{what} is {getattr(options, what)!r}; {wanted}."
            raise SentenceError(msg)


def find_column(columns: Iterable[str], named: str | None, known: Iterable[str], what: str) -> str | None:
    """Return the column that is named, else the first that is known; none if there is none."""
    if named is not None and named not in columns:
        msg = f"no column {named!r} for {what}; there are: {', '.join(columns) or 'no columns'}."
        raise SentenceError(msg)
    return named or next((column for column in known if column in columns), None)


@dataclass(frozen=True)
class Rule:
    """How a cell becomes a sentence. Checks itself.

    Parameters
    ----------
    top_n
        Words of a sentence at most; 0: all expressed genes.
    ties
        Order among equal values: ``"symbol"`` by code point, the same for every file; ``"file"``, the order of the
        gene axis; ``"seeded"``, a random order for each cell that depends on seed, barcode and symbol only.
    layer
        ``"X"``, ``"raw"`` or the name of a layer.
    case, duplicates
        ``"upper"`` makes symbols capital; columns that share a word: ``"sum"`` adds their molecules (logarithms are
        undone first), ``"first"`` takes one.
    symbol_column
        Column of the gene table that holds the symbols; none: the first of `SYMBOL_COLUMNS`, else the index.
    gene_lists
        Named lists of symbols or Ensembl identifiers; each gives a further sentence of its genes alone.
    """

    top_n: int = 2_000
    ties: Literal["symbol", "file", "seeded"] = "symbol"
    seed: int = 0
    layer: str = cells.X
    case: Literal["given", "upper"] = "given"
    duplicates: Literal["sum", "first"] = "sum"
    symbol_column: str | None = None
    gene_lists: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        most = "give the most words a sentence may have, or 0 for all expressed genes"
        check(self, top_n=(self.top_n >= 0, most))


STANDARD = Rule()


class Nomenclature(NamedTuple):
    """The identifiers and the older names that lead to approved symbols (an HGNC file); none for an ambiguous name."""

    by_ensembl: Mapping[str, str]
    by_previous: Mapping[str, str | None]
    by_alias: Mapping[str, str | None]
    sha256: str | None


@dataclass(frozen=True)
class Vocabulary:
    """The words of a data set and the column that each comes from.

    ``words[i]`` has rank ``i`` among equal values; ``word_of_column[j]`` is the word of column ``j`` of the matrix, or
    -1 where the column has none. ``report`` counts what became of the columns; ``by_id`` leads from the Ensembl
    identifiers of the gene axis to words.
    """

    words: tuple[str, ...]
    word_of_column: np.ndarray
    report: Mapping[str, str | int]
    by_id: Mapping[str, str] = field(default_factory=dict, repr=False)

    def subset(self, genes: Iterable[str]) -> tuple["Vocabulary", list[str]]:
        """Keep only the words of a gene list, and name its genes that are none; order among equal values stays.

        A gene is a word, an Ensembl identifier, or a word in other letter case where only one can be meant.
        """
        own, folded = set(self.words), fold(self.words)
        genes = list(dict.fromkeys(genes))
        meant = {}
        for gene in genes:
            bare = gene.split(".")[0]
            symbol = (self.by_id.get(bare) or _ensembl_symbols().get(bare)) if is_ensembl(gene) else gene
            meant[gene] = symbol if symbol in own else folded.get((symbol or gene).upper())
        wanted = {word for word in meant.values() if word}
        keep = np.array([word in wanted for word in self.words] + [False])
        columns = np.where(keep[self.word_of_column], self.word_of_column, -1)
        return Vocabulary(self.words, columns, self.report), [gene for gene in genes if not meant[gene]]


def build(
    index: Sequence[str],
    columns: Mapping[str, Sequence[str | None]],
    rule: Rule = STANDARD,
    hgnc: Nomenclature | None = None,
) -> Vocabulary:
    """Turn the gene axis of a matrix, its names and the text columns of its table, into words.

    Identifiers without a symbol and spike-ins are dropped; white space inside a name becomes an underscore; columns
    of one word are one word.

    Examples
    --------
    >>> build(["MYH7", "ENSA", "ENSG00000000001"], {}).words
    ('ENSA', 'MYH7')
    """
    source = find_column(columns, rule.symbol_column, SYMBOL_COLUMNS, "the symbols of genes")
    hgnc = hgnc or Nomenclature({}, {}, {}, None)
    known = {**_ensembl_symbols(), **hgnc.by_ensembl}
    count: Counter[str] = Counter()
    pairs = zip(columns[source] if source else index, index, strict=True)
    labels = [_word(name, gene, known, hgnc, count) for name, gene in pairs]
    if rule.case == "upper":
        labels = [label and label.upper() for label in labels]
    times = Counter(label for label in labels if label is not None)
    if not times:
        first = ", ".join(map(repr, index[:3]))
        remedy = "Name the column of symbols, or an HGNC file that knows the identifiers."
        msg = f"no gene of the {len(index):,} has a symbol (first: {first}). {remedy}"
        raise SentenceError(msg)
    words = tuple(times if rule.ties == "file" else sorted(times))
    rank = {word: number for number, word in enumerate(words)}
    word_of_column = np.array([rank.get(label, -1) for label in labels], dtype=np.int32)
    if rule.duplicates == "first":
        later = np.setdiff1d(np.arange(len(labels)), np.unique(word_of_column, return_index=True)[1])
        word_of_column[later] = -1
    report = {
        "source": source or "index",
        "columns": len(labels),
        "words": len(words),
        **{key: count[key] for key in _COUNTED},
        "duplicated_words": sum(number > 1 for number in times.values()),
        "duplicate_columns": sum(number - 1 for number in times.values()),
        "case_collisions": len(words) - len({word.upper() for word in words}),
    }
    by_id = {gene.split(".")[0]: label for gene, label in zip(index, labels, strict=True) if is_ensembl(gene)}
    return Vocabulary(words, word_of_column, report, {gene: label for gene, label in by_id.items() if label})


def read_lists(paths: Iterable[Path]) -> dict[str, list[str]]:
    """Read lists of genes as people write them, each named as its file.

    Lines, commas, semicolons, tabs or spaces; quoted or not; ``#`` begins a note.
    """
    found: dict[str, list[str]] = {}
    for path in (Path(one).expanduser() for one in paths):
        remedy = "Give a text file (UTF-8) of symbols."
        with reading(path, "a list of genes", fault=SentenceError, remedy=remedy):
            text = re.sub("#.*", "", path.read_text(encoding="utf-8-sig"))
        genes = [gene for word in re.split(r"[\s,;]+", text) if (gene := word.strip("\"'“”‘’"))]
        if not genes:
            msg = f"{path} holds no gene. Give symbols or Ensembl identifiers, one a line or separated by commas."
            raise SentenceError(msg)
        if found.setdefault(path.stem, genes) is not genes:
            msg = f"two gene lists are called {path.stem!r}; rename one, since each names a column of sentences."
            raise SentenceError(msg)
    return found


def read_hgnc(path: Path) -> Nomenclature:
    """Read an HGNC table that the user has: tab-separated text or Parquet with the columns `HGNC_COLUMNS`."""
    path = Path(path).expanduser()
    table = read_table(path, "an HGNC table")
    if missing := [column for column in HGNC_COLUMNS if column not in table.columns]:
        msg = f"{path} lacks the HGNC columns {', '.join(missing)}; it has {', '.join(table.columns[:8])}."
        raise SentenceError(msg)
    rows = table.select(HGNC_COLUMNS).drop_nulls("symbol")
    by_ensembl = dict(rows.select("ensembl_gene_id", "symbol").drop_nulls().iter_rows())
    older = [_older_names(rows, column) for column in ("prev_symbol", "alias_symbol")]
    return Nomenclature(by_ensembl, *older, digest(path))


def read_table(path: Path, what: str) -> pl.DataFrame:
    """Read a table that the user has: Parquet, text with commas (.csv) or with tabs."""
    remedy = "Give tab-separated text, .csv or .parquet."
    with reading(path, what, fault=SentenceError, remedy=remedy):
        if path.suffix == ".parquet":
            return pl.read_parquet(path, glob=False)
        separator = "," if path.suffix == ".csv" else "\t"
        return pl.read_csv(path, separator=separator, infer_schema=False, glob=False)


def is_ensembl(name: str) -> bool:
    """Tell whether a name is an Ensembl identifier; ENSA and ENSAP1 are gene symbols."""
    return _ENSEMBL.fullmatch(name) is not None


def name_organism(source: cells.Cells, given: str | None) -> dict[str, str]:
    """Return name and term as far as known: as the source states, else as given, else of most Ensembl identifiers."""
    prefixes = Counter(match[1] for gene in source.genes if (match := _ENSEMBL.fullmatch(gene)))
    likely = ORGANISMS.get(max(prefixes, key=prefixes.get, default=""), (None,))[0]
    stated = source.organism or {key: name for key in [cells.ORGANISM] if (name := given or likely)}
    for name, term in ORGANISMS.values():
        if stated.get(cells.ORGANISM) == name or stated.get(cells.ORGANISM_TERM) == term:
            return {cells.ORGANISM: name, cells.ORGANISM_TERM: term} | stated
    return stated


def fold(words: Iterable[str]) -> dict[str, str | None]:
    """Return the word for each spelling in capital letters, none where several are meant."""
    found: dict[str, str | None] = {}
    for word in words:
        found[word.upper()] = None if word.upper() in found else word
    return found


def _word(
    stated: str | None, gene: str, known: Mapping[str, str], hgnc: Nomenclature, count: Counter[str]
) -> str | None:
    name = "" if stated is None else str(stated).strip()
    if suffixed := _SUFFIX.match(name):
        count["suffixes_removed"] += 1
        name = suffixed[1]
    if name.lower() in _MISSING or is_ensembl(name):
        found = known.get((name if is_ensembl(name) else gene).split(".")[0])
        if found is None:
            count["dropped_without_symbol"] += 1
            return None
        count["mapped_from_ensembl"] += 1
        name = found
    if _SPIKE_IN.fullmatch(name):
        count["dropped_spike_ins"] += 1
        return None
    for older, key in ((hgnc.by_previous, "renamed_previous"), (hgnc.by_alias, "renamed_alias")):
        if name in older:
            # the identifier, where there is one, settles a name that several genes share
            found = older[name] or hgnc.by_ensembl.get(gene.split(".")[0])
            count["ambiguous_names" if found is None else key] += 1
            name = found or name
            break
    count["spaces_replaced"] += bool(re.search(r"\s", name))
    return re.sub(r"\s+", "_", name)


def _older_names(rows: pl.DataFrame, column: str) -> dict[str, str | None]:
    pairs = rows.select("symbol", pl.col(column).str.split("|")).explode(column).drop_nulls()
    older = pairs.filter(~pl.col(column).is_in(rows["symbol"].to_list())).group_by(column).agg("symbol")
    return {name: found[0] if len(set(found)) == 1 else None for name, found in older.iter_rows()}


@cache
def _ensembl_symbols() -> dict[str, str]:
    return dict(study.genes().select("ensembl_id", "symbol").drop_nulls().iter_rows())
