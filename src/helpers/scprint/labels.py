"""What a label index stands for: a table of class, code, id and name; and labels that cannot all be right.

A model checkpoint is read without torch and without running anything it names: every class and function in its
``data.pkl`` is taken for the same inert placeholder, so a hostile file can build odd values and nothing else.
"""

import json
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
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
_REMEDY = "Give JSON, YAML or a checkpoint; of one that cannot be read, its hyper-parameters as JSON."
JUDGED = {"rule": pl.String, **dict.fromkeys(("cells", "implausible", "share", "not_judged"), pl.Int64)}
JUDGED |= {"share": pl.Float64}


def built_in() -> pl.DataFrame:
    """Return the decoder that needs no file: the sixteen organisms of the published model.

    Examples
    --------
    >>> built_in().filter(code=11)["name"].item()
    'human'
    """
    return study.read("embedding_organisms.csv").select(*SCHEMA).cast(SCHEMA)


def beside(folder: Path | str, *, named: str = "") -> pl.DataFrame:
    """Return the decoder of a folder of parts: the file named, else ``label_decoders.json`` in it, else `built_in`."""
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
    if not named:
        msg = f"{path.name} has no predicted label: expected columns such as pred_cell_type, found {frame.columns[:8]}."
        raise PartError(msg)
    if len(dict(named)) < len(named):
        msg = f"{path.name} names one class twice: {', '.join(column for _, column in named)}. Keep one column of each."
        raise PartError(msg)
    named.sort(key=lambda one: layout.CLASSES.index(one[0]))
    texts = [pl.col(column).cast(pl.String).replace(SEXES).alias(name) for name, column in named]
    return frame.select(*texts, *[column for column in ("x", "y") if column in frame.columns])


def is_muscle(column: str) -> pl.Expr:
    """Say whether a ``tissue`` or a ``cell_type`` is one of skeletal muscle, by its name."""
    row = study.read("muscle_names.csv").row(by_predicate=pl.col("kind") == column, named=True)
    says = pl.col(column).str.contains(f"(?i){row['pattern']}")
    return says & ~pl.col(column).str.contains(f"(?i){row['except']}") if row["except"] else says


def broad_group(column: str) -> pl.Expr:
    """Bring cell types to broad groups by name: the muscle atlas's own labels, else the first pattern that fits."""
    names = study.read("muscle_names.csv")
    own, patterns = names.filter(kind="label"), names.filter(kind="group")
    text = pl.col(column).cast(pl.String)
    fits = [
        pl.when(text.str.contains(f"(?i){row['pattern']}")).then(pl.lit(row["group"]))
        for row in patterns.iter_rows(named=True)
    ]
    known = text.replace_strict(own["pattern"], own["group"], default=None)
    return pl.coalesce(known, *fits, pl.lit("other")).alias(column)


def judge(cells: Frame, decoder: pl.DataFrame | None = None) -> pl.DataFrame:
    """Count the cells whose labels cannot all be right: one row a rule, cells it applies to, cells that break it, share.

    A rule takes two labels of one cell, by name: taxon notes in cell types such as ``(Mmus)``, plant organs, organs of
    one sex. ``not_judged`` counts cells of which a label is no name. The cells have label columns as names or as codes,
    which the decoder names (see `beside`); rules whose columns are missing are left out.
    """
    rows = []
    for rule, pairs in _pairs(cells, decoder):
        judged = pairs.filter("applies", ~pl.col("open"))["cells"].sum()
        implausible = pairs.filter("broken")["cells"].sum()
        share = implausible / judged if judged else None
        rows.append((rule, judged, implausible, share, pairs.filter("open")["cells"].sum()))
    return pl.DataFrame(rows, schema=JUDGED, orient="row")


def examples(cells: Frame, decoder: pl.DataFrame | None = None) -> pl.DataFrame:
    """List the most common pair of labels that breaks each rule; the rest is as for `judge`."""
    schema = {"rule": pl.String, "given": pl.String, "label": pl.String, "cells": pl.Int64}
    rows = []
    for rule, pairs in _pairs(cells, decoder):
        broken = pairs.filter("broken").sort("cells", "given", "label", descending=[True, False, False])
        rows += [(rule, *row) for row in broken.head(1).select("given", "label", "cells").rows()]
    return pl.DataFrame(rows, schema=schema, orient="row")


def _pairs(cells: Frame, decoder: pl.DataFrame | None) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield each rule of ``impossible_labels.csv`` and its pairs of labels: cells, whether it applies, is broken, is open.

    ``given_like`` is of the label that selects the cells, ``other_like`` of the one that is impossible in them; where
    ``..._unless`` says yes, what does *not* fit the pattern is meant.
    """
    cells = cells.lazy()
    columns = set(cells.collect_schema().names())
    for rule in study.read("impossible_labels.csv").iter_rows(named=True):
        pair = [rule["given"], rule["other"]]
        if not set(pair) <= columns:
            continue
        counted = cells.group_by(pair).len("cells")
        counted = decode(counted, built_in() if decoder is None else decoder)
        given, label = (pl.col(name).cast(pl.String) for name in pair)
        fits = _says(given, rule["given_like"]) ^ (rule["given_unless"] == "yes")
        clash = _says(label, rule["other_like"])
        if rule["other_except"]:
            clash &= ~_says(label, rule["other_except"])
        clash ^= rule["other_unless"] == "yes"
        named = ~_bare(given)
        judged = counted.select(
            given=given,
            label=label,
            cells="cells",
            applies=named & fits,
            open=~named | (fits & _bare(label)),
            broken=named & fits & ~_bare(label) & clash,
        )
        yield rule["rule"], judged.collect(engine="streaming")


def _says(label: pl.Expr, pattern: str) -> pl.Expr:
    return label.fill_null("").str.contains(f"(?i){pattern}")


def _bare(label: pl.Expr) -> pl.Expr:
    # an identifier without its name says nothing about organ or taxon
    return label.is_null() | label.str.contains(r"^(\d+|[A-Za-z]+:\d+)$")


def _content(path: Path) -> Any:
    try:
        if path.suffix in (".ckpt", ".pt", ".pth"):
            return _read_checkpoint(path)
        text = path.read_text(encoding="utf-8-sig")
        return json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except BudgetError:
        raise
    except Exception as error:  # noqa: BLE001 - a damaged zip or pickle may raise anything
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        msg = f"{path.name} is no decoder file ({told[:200]}). {_REMEDY}"
        raise PartError(msg) from None


def _read_checkpoint(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        inside = [info for info in archive.infolist() if info.filename.endswith("data.pkl")]
        if len(inside) != 1:
            msg = f"it holds {len(inside)} data.pkl, not one"
            raise ValueError(msg)  # worded above
        work = f"the description in {path.name}"
        require(inside[0].file_size, budget="256 MiB", work=work, remedy=_REMEDY)
        with archive.open(inside[0]) as stream:
            return _Unpickler(stream).load()


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
