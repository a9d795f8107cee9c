"""Read sentences, our own and those of others, as one lazy table."""

import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from helpers.errors import SentenceError
from helpers.files import pointer_hint
from helpers.sentences import cells, padding
from helpers.sentences.encode import SENTENCE
from helpers.sentences.split import TEST, TRAIN

AGE, DATASET, SIDE = "age", "dataset", "side"
_NUMBERED = re.compile(r"gene_sentence_(\d+)")
_ALL = "gene_sentence_all"

Paths = str | Path | Sequence[str | Path]


def read(
    paths: Paths, *, sentence: str | None = None, null_texts: Sequence[str] = cells.NULL_TEXTS
) -> pl.LazyFrame:
    """Scan one or many data sets of sentences.

    Columns ``cell_sentence`` (whatever its name in the file), ``age`` in years as a float, ``dataset`` and ``side``
    (from the folders; null where there is none) come first; all other columns follow. Nothing is read until the
    table is collected; select the columns you need.

    Parameters
    ----------
    paths
        Parquet files, folders of a data set, folders of many data sets, or patterns.
    sentence
        Column of the sentences; none: ``cell_sentence``, else ``gene_sentence_N`` with the largest number, else
        ``gene_sentence_all``.
    null_texts
        Texts of text columns that mean a missing label.

    Raises
    ------
    SentenceError
        If there is no file, or a file has no sentences.
    """
    listed = [paths] if isinstance(paths, str | Path) else list(paths)
    files = [file for path in listed for file in find_files(Path(path).expanduser())]
    if not files:
        msg = f"no Parquet file in {', '.join(map(str, listed)) or 'an empty list'}. Give files, folders or patterns."
        raise SentenceError(msg)
    alike: dict[tuple[object, ...], list[Path]] = {}
    for file in files:
        alike.setdefault((_place(file), tuple(_schema(file).items())), []).append(file)
    frames = [
        _scan(group, dict(schema), place=place, sentence=sentence, null_texts=null_texts)
        for (place, schema), group in alike.items()
    ]
    return pl.concat(frames, how="diagonal_relaxed")


def read_trimmed(
    paths: Paths, *, columns: Sequence[str] = (), count_column: str | None = None
) -> tuple[pl.DataFrame, padding.Padding]:
    """Read sentences made by others into memory with the padding cut off, and say what was found."""
    scanned = read(paths)
    counts = count_column or padding.find_counts(scanned.collect_schema().names())
    wanted = list(dict.fromkeys([SENTENCE, *columns]))
    frame = scanned.select(list(dict.fromkeys([*wanted, *([counts] if counts else [])]))).collect()
    expressed = frame[counts].cast(pl.Float64, strict=False).to_list() if counts else None
    found = padding.find(frame[SENTENCE].to_list(), expressed=expressed)
    return padding.trim(frame, count_column=counts).select(wanted), found


def find_files(path: Path) -> list[Path]:
    """Return the Parquet files that a path means, sorted: a file, a folder at any depth, or a pattern."""
    if path.is_file():
        return [path]
    if path.is_dir():
        return sorted(file for file in path.rglob("*.parquet") if not file.name.startswith("."))
    if any(sign in str(path) for sign in "*?["):
        root = Path(path.anchor) if path.is_absolute() else Path()
        return sorted(root.glob(str(path.relative_to(root)) if path.is_absolute() else str(path)))
    return []


def find_sentence(columns: Sequence[str]) -> str | None:
    """Return the column that holds the sentences, by the names that makers of such data use."""
    if SENTENCE in columns:
        return SENTENCE
    numbered = [(int(found[1]), name) for name in columns if (found := _NUMBERED.fullmatch(name))]
    if numbered:
        return max(numbered)[1]
    return _ALL if _ALL in columns else None


def _schema(file: Path) -> dict[str, pl.DataType]:
    try:
        with file.open("rb") as stream:  # a name with brackets is no pattern
            return dict(pl.read_parquet_schema(stream))
    except (OSError, pl.exceptions.PolarsError) as problem:
        msg = f"{file} cannot be read as Parquet ({problem}). It may be cut short; make or fetch it again.{pointer_hint(file)}"
        raise SentenceError(msg) from problem


def _place(file: Path) -> tuple[str | None, str | None]:
    parent = file.absolute().parent
    if parent.name in (TRAIN, TEST):
        return parent.parent.name, parent.name
    return (parent.parent.name if parent.name == "chunks" else parent.name), None


def _scan(
    files: list[Path], schema: dict[str, pl.DataType], *, place: tuple[str | None, str | None], sentence: str | None,
    null_texts: Sequence[str],
) -> pl.LazyFrame:  # fmt: skip
    column = sentence or find_sentence(list(schema))
    if column not in schema:
        looked = sentence or "cell_sentence, gene_sentence_N, gene_sentence_all"
        msg = f"{files[0]} has no sentences (looked for {looked}); it has: {', '.join(schema)}."
        raise SentenceError(msg)
    texts = [name for name, kind in schema.items() if kind in (pl.String, pl.Categorical) and name != column]
    frame = pl.scan_parquet(files, glob=False).with_columns(_nulls(name, null_texts) for name in texts)
    years = pl.col(AGE).cast(pl.Float64, strict=False) if AGE in schema else pl.lit(None, pl.Float64)
    return frame.select(
        pl.col(column).cast(pl.String).alias(SENTENCE),
        years.alias(AGE),
        pl.lit(place[0], pl.String).alias(DATASET),
        pl.lit(place[1], pl.String).alias(SIDE),
        *(name for name in schema if name not in {SENTENCE, AGE, DATASET, SIDE, column}),
    )


def _nulls(name: str, null_texts: Sequence[str]) -> pl.Expr:
    text = pl.col(name).cast(pl.String)
    return pl.when(~text.is_in(list(null_texts))).then(text).alias(name)
