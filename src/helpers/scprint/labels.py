"""What a label index stands for: a table of class, code, id and name, read from the files that name them.

A model checkpoint is read without torch and without running anything it names: every class and function in its
``data.pkl`` is taken for the same inert placeholder, so a hostile file can build odd values and nothing else.
"""

import json
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import polars as pl
import yaml

from helpers.budget import require
from helpers.errors import BudgetError, PartError
from helpers.facts import study
from helpers.scprint import layout

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)

SCHEMA = {"class": pl.String, "code": pl.UInt16, "id": pl.String, "name": pl.String}
SEXES = {"PATO:0000383": "female", "PATO:0000384": "male"}
DECODER_FILE = "label_decoders.json"


def built_in() -> pl.DataFrame:
    """Return the decoder that needs no file: the sixteen organisms of the published model.

    Examples
    --------
    >>> built_in().filter(code=11)["name"].item()
    'human'
    """
    return study.read("embedding_organisms.csv").select(*SCHEMA).cast(SCHEMA)


def beside(folder: Path | str, *, named: str = "") -> pl.DataFrame:
    """Return the decoder of a folder of parts: ``label_decoders.json`` in it, another file by name, or `built_in`."""
    path = Path(named).expanduser() if named else Path(folder) / DECODER_FILE
    return read(path) if named or path.is_file() else built_in()


def read(path: Path | str) -> pl.DataFrame:
    """Read a decoder file: ``class``, ``code``, ``id`` (empty if there is none) and ``name``, one row a label.

    It is JSON, YAML, or the checkpoint (``.ckpt``) of the model. For each class it has an object of index to term, or a
    list; a term is an identifier, a name, or ``{"id": ..., "name": ...}``. Class names are those of the card or ours;
    they may lie under ``label_decoders``.
    """
    path = Path(path)
    content = _content(path)
    for key in ("hyper_parameters", "label_decoders"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    rows = []
    for key, values in content.items() if isinstance(content, Mapping) else ():
        name = layout.class_name(str(key))
        if name is not None and isinstance(values, Mapping | list):
            pairs = values.items() if isinstance(values, Mapping) else enumerate(values)
            rows += [(name, *_label(f"{path.name}, {key}", number, term)) for number, term in pairs]
    if not rows:
        msg = f"{path.name} decodes none of {', '.join(layout.CLASSES)}."
        raise PartError(msg)
    found = pl.DataFrame(rows, schema=SCHEMA, orient="row").unique(["class", "code"], maintain_order=True)
    rest = built_in().filter(~pl.col("class").is_in(found["class"].unique().to_list()))
    return pl.concat([found, rest])


def decode(frame: Frame, decoder: pl.DataFrame, *, to: str = "name") -> Frame:
    """Turn label codes into names (or with `to` ``id``); a code without a name becomes the number as text.

    Label columns such as ``tissue`` or ``cell_type_2`` are decoded where they are whole numbers; others stay.
    """
    schema = frame.lazy().collect_schema()
    for column in layout.LABEL_COLUMNS:
        if column in schema and schema[column].is_integer():
            known = decoder.filter((pl.col("class") == layout.CLASS_OF[column]) & (pl.col(to) != ""))
            text = pl.col(column).cast(pl.String)
            if known.height:
                text = pl.col(column).replace_strict(known["code"], known[to], default=text)
            frame = frame.with_columns(text.alias(column))
    return frame


def read_predicted(path: Path | str) -> pl.DataFrame:
    """Read a table of predicted labels, one row a cell: its classes under our names, and ``x`` and ``y`` if there."""
    path = Path(path).expanduser()
    try:
        frame = pl.read_parquet(path, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        msg = f"{path} is not a Parquet table of predicted labels ({str(error).splitlines()[0]}). Name one."
        raise PartError(msg) from None
    named = [(name, column) for column in frame.columns if (name := layout.class_name(column))]
    column_of = dict(named)
    if not named:
        msg = f"{path.name} has no predicted label: expected columns such as pred_cell_type, found {frame.columns[:8]}."
        raise PartError(msg)
    if len(column_of) < len(named):
        msg = f"{path.name} names one class twice: {', '.join(column for _, column in named)}. Keep one column of each."
        raise PartError(msg)
    texts = [
        pl.col(column_of[name]).cast(pl.String).alias(name) for name in layout.CLASSES if name in column_of
    ]
    frame = frame.select(*texts, *[column for column in ("x", "y") if column in frame.columns])
    return frame.with_columns(pl.col("sex").replace(SEXES)) if "sex" in frame.columns else frame


def is_muscle(column: str) -> pl.Expr:
    """Say whether a ``tissue`` or a ``cell_type`` is one of skeletal muscle, by its name.

    Examples
    --------
    >>> pl.DataFrame({"tissue": ["gastrocnemius", "tendon"]}).select(is_muscle("tissue"))["tissue"].to_list()
    [True, False]
    """
    row = study.read("muscle_names.csv").row(by_predicate=pl.col("kind") == column, named=True)
    says = pl.col(column).str.contains(f"(?i){row['pattern']}")
    return says & ~pl.col(column).str.contains(f"(?i){row['except']}") if row["except"] else says


def broad_group(column: str) -> pl.Expr:
    """Bring cell types to broad groups by name: the muscle atlas's own labels, else the first pattern that fits.

    Examples
    --------
    >>> pl.DataFrame({"type": ["MF-II", "podocyte"]}).select(broad_group("type"))["type"].to_list()
    ['muscle fiber', 'other']
    """
    names = study.read("muscle_names.csv")
    own, patterns = names.filter(kind="label"), names.filter(kind="group")
    text = pl.col(column).cast(pl.String)
    fits = [
        pl.when(text.str.contains(f"(?i){row['pattern']}")).then(pl.lit(row["group"]))
        for row in patterns.iter_rows(named=True)
    ]
    known = text.replace_strict(own["pattern"], own["group"], default=None)
    return pl.coalesce(known, *fits, pl.lit("other")).alias(column)


def _content(path: Path) -> Any:
    if path.suffix in (".ckpt", ".pt", ".pth"):
        return _read_checkpoint(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
        return json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, ValueError, RecursionError, yaml.YAMLError) as error:
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        msg = f"{path.name} is no decoder file: {told}"
        raise PartError(msg) from None


def _label(where: str, number: Any, term: Any) -> tuple[int, str, str]:
    """Return code, identifier and name of a label; a text such as CL:0000097 is both."""
    if not str(number).isdecimal() or int(number) > 65_535:
        msg = f"{where}: {str(number)[:40]!r} is not the number of a label."
        raise PartError(msg)
    identifier, name = (term.get("id"), term.get("name")) if isinstance(term, Mapping) else (None, term)
    if any(isinstance(part, Mapping | list | tuple | set) for part in (identifier, name)):
        msg = f"{where}, {number}: a term is an identifier, a name, or an object of id and name."
        raise PartError(msg)
    identifier, name = str(identifier or ""), "" if name is None else str(name)
    prefix, colon, _ = name.partition(":")
    if not identifier and colon and prefix.isalpha() and " " not in name:
        identifier = name
    return int(number), identifier, SEXES.get(name or identifier, name or identifier)


class _Inert(dict):  # type: ignore[type-arg]
    """Stands for any object of a checkpoint: accepts arguments, state and items, does nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.update(state)

    def append(self, _: Any) -> None:
        """Accept what goes into a list or a set that is none here."""

    extend = add = append

    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str, /) -> Any:
        return OrderedDict if (module, name) == ("collections", "OrderedDict") else _Inert

    def persistent_load(self, _: Any, /) -> Any:
        return None


def _read_checkpoint(path: Path) -> Any:
    """Read the nested dictionaries of a checkpoint whose description is not larger than 256 MiB."""
    remedy = "Export its hyper-parameters as JSON."
    try:
        with zipfile.ZipFile(path) as archive:
            inside = [info for info in archive.infolist() if info.filename.endswith("data.pkl")]
            if len(inside) != 1:
                msg = f"it holds {len(inside)} data.pkl, not one"
                raise ValueError(msg)  # worded below
            require(inside[0].file_size, budget="256 MiB", work=f"{path.name}'s description", remedy=remedy)
            with archive.open(inside[0]) as stream:
                return _Unpickler(stream).load()
    except BudgetError:
        raise
    except Exception as error:  # noqa: BLE001 - a damaged zip or pickle may raise anything
        msg = f"{path.name} cannot be read as a checkpoint ({type(error).__name__}: {error}). {remedy}"
        raise PartError(msg) from None
