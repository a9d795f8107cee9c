"""What a label index stands for: decoders from files, organism codes built in, everything else stays a number."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from helpers.errors import PartError
from helpers.scprint import checkpoint, layout

# Codes of the published model, from the notebook that wrote the atlas; taxonomy identifiers of NCBI.
ORGANISMS = {
    0: ("NCBITaxon:10090", "mouse"),
    1: ("NCBITaxon:10181", "naked mole-rat"),
    2: ("NCBITaxon:3702", "arabidopsis"),
    3: ("NCBITaxon:4577", "maize"),
    4: ("NCBITaxon:6239", "c. elegans"),
    5: ("NCBITaxon:7227", "drosophila"),
    6: ("NCBITaxon:7955", "zebrafish"),
    7: ("NCBITaxon:9031", "chicken"),
    8: ("NCBITaxon:9483", "marmoset"),
    9: ("NCBITaxon:9544", "macaque"),
    10: ("NCBITaxon:9598", "chimpanzee"),
    11: ("NCBITaxon:9606", "human"),
    12: ("NCBITaxon:9823", "pig"),
    13: ("NCBITaxon:9913", "cow"),
    14: ("NCBITaxon:9940", "sheep"),
    15: ("NCBITaxon:9986", "rabbit"),
}
PLANTS = ("arabidopsis", "maize")
HUMAN, MOUSE = "human", "mouse"
SEXES = {"PATO:0000383": "female", "PATO:0000384": "male"}


@dataclass(frozen=True)
class Term:
    """One label: its ontology identifier (may be empty) and its name."""

    id: str
    name: str


@dataclass(frozen=True)
class Decoder:
    """Terms by class and index. Without a term an index is written as the number it is.

    Attributes
    ----------
    terms
        For each class, the term of each known index.
    """

    terms: dict[str, dict[int, Term]] = field(default_factory=dict)

    def name(self, class_name: str, index: int) -> str:
        """Name of a label, or its number as text."""
        term = self.terms.get(class_name, {}).get(index)
        return str(index) if term is None else term.name

    def id(self, class_name: str, index: int) -> str | None:
        """Ontology identifier of a label; none if it is not known."""
        term = self.terms.get(class_name, {}).get(index)
        return None if term is None or not term.id else term.id

    def knows(self, class_name: str) -> bool:
        """Whether any label of the class is decoded."""
        return bool(self.terms.get(class_name))

    def index(self, class_name: str, name: str) -> int | None:
        """Index of a label by its name or identifier; none if there is no such label."""
        for index, term in self.terms.get(class_name, {}).items():
            if name in (term.name, term.id):
                return index
        return None

    def names(self, class_name: str, indices: Sequence[int]) -> list[str]:
        """Names of many labels of one class."""
        known = self.terms.get(class_name, {})
        return [known[i].name if i in known else str(i) for i in indices]

    def ids_by_name(self, class_name: str) -> dict[str, str]:
        """Map names to identifiers, for the labels that have both."""
        return {term.name: term.id for term in self.terms.get(class_name, {}).values() if term.id}


def built_in() -> Decoder:
    """Return the decoder that needs no file: the sixteen organisms.

    Examples
    --------
    >>> built_in().name("organism", 11), built_in().name("tissue", 11)
    ('human', '11')
    """
    return Decoder({layout.ORGANISM: {code: Term(*term) for code, term in ORGANISMS.items()}})


def read(path: Path | str, *, names: Mapping[str, str] | None = None) -> Decoder:
    """Read a decoder file.

    Parameters
    ----------
    path
        JSON or YAML, or the checkpoint (``.ckpt``) of the model, of which only the hyper-parameters are read
        and no code is run. For each class an object of index to term, or a list; a term is an identifier, a
        name, or ``{"id": ..., "name": ...}``. Class names are those of the card or ours; the classes may lie
        under ``label_decoders``.
    names
        Names by identifier, for decoders that hold identifiers only (see `ontology.Ontology.names`).

    Raises
    ------
    PartError
        If the file cannot be read or holds no class of the atlas.
    """
    path = Path(path)
    content = _content(path)
    for key in ("hyper_parameters", "label_decoders"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    terms = dict(built_in().terms)
    found = 0
    for key, values in content.items() if isinstance(content, Mapping) else ():
        name = layout.class_name(str(key))
        if name is not None and isinstance(values, Mapping | list):
            terms[name] = _terms(path, str(key), values, names or {})
            found += 1
    if not found:
        msg = f"{path.name} decodes none of {', '.join(layout.CLASSES)}."
        raise PartError(msg)
    return Decoder(terms)


def write(path: Path, decoder: Decoder) -> None:
    """Write a decoder as JSON that `read` reads."""
    from helpers.files import write_json

    plain = {
        name: {str(index): {"id": term.id, "name": term.name} for index, term in terms.items()}
        for name, terms in decoder.terms.items()
    }
    write_json(path, {"label_decoders": plain})


def read_predicted(path: Path | str) -> pl.DataFrame:
    """Read a table of predicted labels, one row a cell, such as the public 50,000-cell sample.

    Returns the classes it holds under our names, as text, and the coordinates ``x`` and ``y`` if there are any.

    Raises
    ------
    PartError
        If the file cannot be read or has no column of predicted labels.
    """
    path = Path(path)
    if not path.is_file():
        msg = f"{path} is not a file. Name a Parquet table of predicted labels."
        raise PartError(msg)
    try:
        held = pl.read_parquet_schema(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        msg = f"{path.name} is not a Parquet table ({str(error).splitlines()[0]})."
        raise PartError(msg) from None
    columns = {column: layout.class_name(column) for column in held}
    chosen = {column: name for column, name in columns.items() if name is not None}
    if not chosen:
        msg = f"{path.name} has no predicted label: expected columns such as pred_cell_type, found {list(held)[:8]}."
        raise PartError(msg)
    keep = [column for column in ("x", "y") if column in held]
    frame = pl.read_parquet(path, columns=[*chosen, *keep]).rename(chosen)
    frame = frame.with_columns(pl.col(name).cast(pl.String) for name in chosen.values())
    if layout.SEX in frame.columns:
        frame = frame.with_columns(pl.col(layout.SEX).replace(SEXES))
    order = [name for name in layout.CLASSES if name in frame.columns]
    return frame.select(*order, *keep)


def count(frame: pl.DataFrame, classes: Sequence[str]) -> pl.DataFrame:
    """Count the cells of each combination of labels in a table of one row a cell.

    Raises
    ------
    PartError
        If a class is not a column.
    """
    lacking = [name for name in classes if name not in frame.columns]
    if lacking:
        msg = f"the table has no column {', '.join(lacking)}; it has {', '.join(frame.columns)}."
        raise PartError(msg)
    counted = frame.group_by(list(classes)).len("cells").with_columns(pl.col("cells").cast(pl.Int64))
    return counted.sort("cells", *classes, descending=[True, *[False] * len(classes)])


def _content(path: Path) -> Any:
    if path.suffix in (".ckpt", ".pt", ".pth"):
        return checkpoint.read(path)
    try:
        text = path.read_text(encoding="utf-8")
        return json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, yaml.YAMLError) as error:
        msg = f"{path.name} is no decoder file: {str(error).splitlines()[0]}"
        raise PartError(msg) from None


def _terms(path: Path, key: str, values: Any, names: Mapping[str, str]) -> dict[int, Term]:
    pairs = values.items() if isinstance(values, Mapping) else enumerate(values)
    terms = {}
    for index, value in pairs:
        try:
            terms[int(index)] = _term(value, names)
        except (TypeError, ValueError):
            msg = f"{path.name}, {key}: {index!r} is not the number of a label."
            raise PartError(msg) from None
    return terms


def _term(value: Any, names: Mapping[str, str]) -> Term:
    if isinstance(value, Mapping):
        identifier = str(value.get("id") or "")
        return Term(identifier, str(value.get("name") or names.get(identifier, identifier)))
    text = str(value)
    prefix, colon, _ = text.partition(":")
    if colon and prefix.isalpha() and " " not in text:
        return Term(text, names.get(text) or SEXES.get(text, text))
    return Term("", text)


def beside(folder: Path, *, named: str = "") -> Decoder:
    """Return the decoder of a folder of parts.

    Parameters
    ----------
    folder
        Folder of parts; a file ``label_decoders.json`` in it is used.
    named
        Path of another decoder file, used instead.
    """
    path = Path(named) if named else Path(folder) / "label_decoders.json"
    return read(path) if named or path.is_file() else built_in()
