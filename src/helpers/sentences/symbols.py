"""From the gene axis of a matrix to the words of a sentence."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from helpers import names
from helpers.errors import SentenceError
from helpers.facts import study
from helpers.sentences.hgnc import Nomenclature

GIVEN, UPPER = "given", "upper"
SUM, FIRST = "sum", "first"
SYMBOL_ORDER, FILE_ORDER, SEEDED = "symbol", "file", "seeded"
# The first of these columns that the gene table has gives the symbols, before its index does.
SYMBOL_COLUMNS = (
    "feature_name",
    names.SYMBOL,
    "gene_symbols",
    "gene_symbol",
    "gene_name",
    "gene_names",
    "symbol",
    "hgnc_symbol",
)

# ENSA is a gene; ENSG00000143420 is an identifier: only a letter code followed by eleven digits is one
_ENSEMBL = re.compile(r"ENS[A-Z]{0,5}[GTP]\d{11}(?:\.\d+)?(?:_PAR_Y)?")
_SUFFIX = re.compile(r"^(.+)_(ENS[A-Z]{0,5}G\d{11})(?:\.\d+)?$")
_SPIKE_IN = re.compile(r"ERCC-\d{5}")
_MISSING = {"", "nan", "none", "<na>"}
# What `_word` counts, by the name it has in the report.
_COUNTED = (
    "dropped_without_symbol",
    "dropped_spike_ins",
    "mapped_from_ensembl",
    "renamed_previous",
    "renamed_alias",
    "ambiguous_names",
    "suffixes_removed",
    "spaces_replaced",
)


@dataclass(frozen=True)
class SymbolReport:
    """What became of the columns of the gene axis."""

    source: str
    columns: int
    words: int
    dropped_without_symbol: int
    dropped_spike_ins: int
    mapped_from_ensembl: int
    renamed_previous: int
    renamed_alias: int
    ambiguous_names: int
    suffixes_removed: int
    spaces_replaced: int
    duplicated_words: int
    duplicate_columns: int
    case_collisions: int

    def as_dict(self) -> dict[str, str | int]:
        """Return plain values, for a manifest."""
        return dict(vars(self))


@dataclass(frozen=True)
class Vocabulary:
    """The words of a data set and the column that each comes from.

    ``words[i]`` has rank ``i`` among equal values; ``word_of_column[j]`` is the word of column ``j`` of the matrix, or
    -1 where the column has none.
    """

    words: tuple[str, ...]
    word_of_column: np.ndarray
    report: SymbolReport

    @cached_property
    def letters(self) -> tuple[np.ndarray, np.ndarray]:
        """The bytes of all words one after another, and where each word starts."""
        encoded = [word.encode() for word in self.words]
        starts = np.concatenate([[0], np.cumsum([len(word) for word in encoded])]).astype(np.int64)
        return np.frombuffer(b"".join(encoded), np.uint8), starts

    def subset(self, symbols: Iterable[str]) -> "Vocabulary":
        """Keep only the given words, for a sentence of a gene list; order among equal values stays."""
        wanted = set(symbols)
        keep = np.array([word in wanted for word in self.words] + [False])
        return Vocabulary(
            self.words, np.where(keep[self.word_of_column], self.word_of_column, -1), self.report
        )


def build(
    index: Sequence[str],
    columns: Mapping[str, Sequence[str | None]],
    *,
    symbol_column: str | None = None,
    hgnc: Nomenclature | None = None,
    case: str = GIVEN,
    duplicates: str = SUM,
    order: str = SYMBOL_ORDER,
) -> Vocabulary:
    """Turn the gene axis of a matrix into words.

    Identifiers without a symbol and spike-ins are dropped; white space inside a name becomes an underscore; columns
    of one word are one word.

    Parameters
    ----------
    index
        Names of the genes, one a column of the matrix.
    columns
        Further columns of the gene table, each as long as `index`.
    symbol_column
        Column of the symbols; none: the first of `SYMBOL_COLUMNS` that is there, else the index.
    hgnc
        From `read_hgnc`; previous symbols and aliases that lead to one approved symbol are renamed.
    case
        ``"given"`` or ``"upper"``.
    duplicates
        ``"sum"``: columns of one word are added up; ``"first"``: later ones are dropped.
    order
        What decides among equal values: ``"symbol"``, the order of the words by code point, the same for every file;
        ``"file"``, the order of the columns.

    Raises
    ------
    SentenceError
        If the symbol column is missing, an option is unknown, or no word is left.

    Examples
    --------
    >>> build(["MYH7", "ENSA", "ENSG00000000001"], {}).words
    ('ENSA', 'MYH7')
    """
    _check_options(case=case, duplicates=duplicates, order=order)
    source = _choose(columns, symbol_column)
    count: Counter[str] = Counter()
    labels = _label(list(columns[source]) if source else list(index), index, hgnc=hgnc, count=count)
    if case == UPPER:
        labels = [None if label is None else label.upper() for label in labels]
    distinct = dict.fromkeys(label for label in labels if label is not None)
    if not distinct:
        msg = (
            f"no gene of the {len(index):,} has a symbol (first: {', '.join(map(repr, index[:3]))}). "
            "Name the column of symbols, or an HGNC file that knows the identifiers."
        )
        raise SentenceError(msg)
    words = tuple(sorted(distinct)) if order == SYMBOL_ORDER else tuple(distinct)
    rank = {word: number for number, word in enumerate(words)}
    word_of_column = np.array([-1 if label is None else rank[label] for label in labels], dtype=np.int32)
    if duplicates == FIRST:
        word_of_column = _keep_first(word_of_column)
    return Vocabulary(words, word_of_column, _report(source, labels, words, count=count))


def is_ensembl(name: str) -> bool:
    """Tell whether a name is an Ensembl identifier; ENSA and ENSAP1 are gene symbols.

    Examples
    --------
    >>> is_ensembl("ENSG00000143420.19"), is_ensembl("ENSA")
    (True, False)
    """
    return _ENSEMBL.fullmatch(name) is not None


def _label(
    stated: Sequence[str | None], index: Sequence[str], *, hgnc: Nomenclature | None, count: Counter[str]
) -> list[str | None]:
    known = _ensembl_symbols() if hgnc is None else {**_ensembl_symbols(), **hgnc.by_ensembl}
    naming = hgnc or Nomenclature()
    return [
        _word(name, str(gene), known=known, hgnc=naming, count=count)
        for name, gene in zip(stated, index, strict=True)
    ]


def _report(
    source: str | None, labels: Sequence[str | None], words: Sequence[str], *, count: Counter[str]
) -> SymbolReport:
    times = Counter(label for label in labels if label is not None)
    return SymbolReport(
        source=source or "index",
        columns=len(labels),
        words=len(words),
        duplicated_words=sum(number > 1 for number in times.values()),
        duplicate_columns=sum(number - 1 for number in times.values()),
        case_collisions=len(words) - len({word.upper() for word in words}),
        **{key: count[key] for key in _COUNTED},
    )


def _word(
    stated: str | None, gene: str, *, known: Mapping[str, str], hgnc: Nomenclature, count: Counter[str]
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
    name = _approved(name, gene, hgnc=hgnc, count=count)
    if re.search(r"\s", name):
        count["spaces_replaced"] += 1
        name = re.sub(r"\s+", "_", name)
    return name


def _approved(name: str, gene: str, *, hgnc: Nomenclature, count: Counter[str]) -> str:
    if not hgnc.approved or name in hgnc.approved:
        return name
    for names_, key in ((hgnc.by_previous, "renamed_previous"), (hgnc.by_alias, "renamed_alias")):
        if name in names_:
            # the identifier, where there is one, settles a name that several genes share
            found = names_[name] or hgnc.by_ensembl.get(gene.split(".")[0])
            count["ambiguous_names" if found is None else key] += 1
            return found or name
    return name


def _choose(columns: Mapping[str, Sequence[str | None]], named: str | None) -> str | None:
    if named is None:
        return next((column for column in SYMBOL_COLUMNS if column in columns), None)
    if named not in columns:
        msg = f"no column {named!r} in the gene table; it has: {', '.join(columns) or 'no columns'}."
        raise SentenceError(msg)
    return named


def _keep_first(word_of_column: np.ndarray) -> np.ndarray:
    kept = np.full_like(word_of_column, -1)
    _, first = np.unique(word_of_column, return_index=True)
    kept[first] = word_of_column[first]
    return kept


def _check_options(*, case: str, duplicates: str, order: str) -> None:
    for value, allowed, what in (
        (case, (GIVEN, UPPER), "case"),
        (duplicates, (SUM, FIRST), "duplicates"),
        (order, (SYMBOL_ORDER, FILE_ORDER), "order"),
    ):
        if value not in allowed:
            msg = f"{what} is {value!r}; choose one of {', '.join(map(repr, allowed))}."
            raise SentenceError(msg)


@cache
def _ensembl_symbols() -> dict[str, str]:
    table = study.genes().drop_nulls()
    return dict(zip(table["ensembl_id"].to_list(), table["symbol"].to_list(), strict=True))
