"""Read sentences, our own and those of others, as one lazy table."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from helpers.errors import SentenceError
from helpers.files import pointer_hint
from helpers.sentences.cells import NULL_TEXTS
from helpers.sentences.encode import SENTENCE
from helpers.sentences.split import TEST, TRAIN

AGE, DATASET, SIDE = "age", "dataset", "side"
_NUMBERED = re.compile(r"gene_sentence_(\d+)")

Paths = str | Path | Sequence[str | Path]


def read(paths: Paths) -> pl.LazyFrame:
    """Scan one or many data sets of sentences: Parquet files, their folders, folders of folders, or patterns.

    Columns ``cell_sentence`` (in files of others: ``gene_sentence_N`` with the largest number, else
    ``gene_sentence_all``), ``age`` in years as a float, ``dataset`` and ``side`` (from the folders; null where there is
    none) come first; all other columns follow. Nothing is read until the table is collected; select the columns you
    need.

    Raises
    ------
    SentenceError
        If there is no file, or a file has no sentences.
    """
    listed = [paths] if isinstance(paths, str | Path) else list(paths)
    files = [file for path in listed for file in _find_files(Path(path).expanduser())]
    if not files:
        msg = f"no Parquet file in {', '.join(map(str, listed)) or 'an empty list'}. Give files, folders or patterns."
        raise SentenceError(msg)
    alike: dict[tuple[Any, ...], list[Path]] = {}
    for file in files:
        alike.setdefault((*_place(file), tuple(_read_schema(file).items())), []).append(file)
    frames = [_scan(group, *place, dict(schema)) for (*place, schema), group in alike.items()]
    return pl.concat(frames, how="diagonal_relaxed")


def _find_files(path: Path) -> list[Path]:
    """Return the Parquet files that a path means, sorted: a file, a folder at any depth, or a pattern."""
    if path.is_file():
        return [path]
    if path.is_dir():
        return sorted(file for file in path.rglob("*.parquet") if not file.name.startswith("."))
    if any(sign in str(path) for sign in "*?["):
        root = Path(path.anchor)
        return sorted(root.glob(str(path.relative_to(root))))
    return []


def _read_schema(file: Path) -> dict[str, pl.DataType]:
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
    files: list[Path], dataset: str | None, side: str | None, schema: dict[str, pl.DataType]
) -> pl.LazyFrame:
    numbered = [(int(found[1]), name) for name in schema if (found := _NUMBERED.fullmatch(name))]
    likely = [SENTENCE, *(name for _, name in sorted(numbered, reverse=True)), "gene_sentence_all"]
    column = next((name for name in likely if name in schema), None)
    if column is None:
        looked = "cell_sentence, gene_sentence_N, gene_sentence_all"
        msg = f"{files[0]} has no sentences (looked for {looked}); it has: {', '.join(schema)}."
        raise SentenceError(msg)
    texts = [name for name, kind in schema.items() if kind in (pl.String, pl.Categorical) and name != column]
    labels = pl.col(texts).cast(pl.String)
    years = pl.col(AGE).cast(pl.Float64, strict=False) if AGE in schema else pl.lit(None, pl.Float64)
    return (
        pl.scan_parquet(files, glob=False)
        .with_columns(pl.when(~labels.is_in(list(NULL_TEXTS))).then(labels))
        .select(
            pl.col(column).cast(pl.String).alias(SENTENCE),
            years.alias(AGE),
            pl.lit(dataset, pl.String).alias(DATASET),
            pl.lit(side, pl.String).alias(SIDE),
            *(name for name in schema if name not in {SENTENCE, AGE, DATASET, SIDE, column}),
        )
    )
