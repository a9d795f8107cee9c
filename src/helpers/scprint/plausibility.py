"""Predicted labels that cannot all be right: counted, listed, never guessed.

Every rule takes two labels of one cell and asks whether both can hold. Only what the labels say is used: taxon
notes in the names of cell types such as ``(Mmus)``, plant organs, names of organs that one sex has. A label that is
only a number is not judged, and how many were not judged is told.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from helpers.errors import PartError
from helpers.scprint import layout
from helpers.scprint.labels import HUMAN, MOUSE, PLANTS

_IDENTIFIER = re.compile(r"[A-Za-z]+:\d+")
_MOUSE_ONLY = re.compile(r"\(mmus\)|\(sensu mus\)|, mouse$", re.IGNORECASE)
_HUMAN_ONLY = re.compile(r"\(hsap\)|\(sensu homo\)|, human$", re.IGNORECASE)
_MAMMAL_ONLY = re.compile(r", mammalian$|\(sensu mammalia\)", re.IGNORECASE)
_PLANT_ORGAN = re.compile(
    r"^PO:|\b(leaf|leaves|root|shoot|seed|seedling|flower|inflorescence|stem|xylem|phloem|meristem|cotyledon|"
    r"hypocotyl|silique|pollen|stomat\w+|guard cell|trichome|companion cell|endosperm|ear|tassel|callus)\b",
    re.IGNORECASE,
)
_NOT_PLANT = re.compile(
    r"hair root|nerve root|root ganglion|spermatic|brain ?stem|stem cell|aortic root|\bear\b", re.I
)
_MALE_ONLY = re.compile(
    r"\b(testis|testes|testicular|prostat\w+|penis|epididym\w+|seminal|seminiferous|sertoli|leydig|sperm\w*)\b",
    re.I,
)
_FEMALE_ONLY = re.compile(
    r"\b(ovar(y|ian)|uter(us|ine)|endometri\w+|myometri\w+|fallopian|vagin\w+|oocyte|oogonial|granulosa|theca)\b",
    re.I,
)
_MAMMALS = (
    "mouse",
    "naked mole-rat",
    "marmoset",
    "macaque",
    "chimpanzee",
    "human",
    "pig",
    "cow",
    "sheep",
    "rabbit",
)
_NOT_SAID = ("", "unknown", "na", "nan", "none")

Judge = Callable[[str], bool]


@dataclass(frozen=True)
class Rule:
    """Two labels of one cell that cannot both hold.

    Attributes
    ----------
    name
        The contradiction in words.
    given
        Class whose label selects the cells, and `holds`, whether it does.
    other
        Class whose label is judged, and `contradicts`, whether it is impossible in the selected cells.
    """

    name: str
    given: str
    holds: Judge
    other: str
    contradicts: Judge


def is_organism(label: str, *names: str) -> bool:
    """Say whether an organism label is one of some names; notes such as the sex behind a name are allowed.

    Examples
    --------
    >>> is_organism("naked mole-rat female", "naked mole-rat")
    True
    """
    return any(label == name or label.startswith(f"{name} ") for name in names)


def is_mouse_only(label: str) -> bool:
    """Say whether a cell type is defined in mouse, by its own name.

    Examples
    --------
    >>> is_mouse_only("vascular leptomeningeal cell (Mmus)"), is_mouse_only("mast cell")
    (True, False)
    """
    return bool(_MOUSE_ONLY.search(label))


def is_animal(label: str) -> bool:
    """Say whether a tissue or cell type is not one of plants, by its name."""
    return not _PLANT_ORGAN.search(label) or bool(_NOT_PLANT.search(label))


def rules() -> tuple[Rule, ...]:
    """Return the contradictions that are looked for."""
    return (*_rules_of_organisms(), *_rules_of_sexes())


def pairs_needed() -> tuple[tuple[str, str], ...]:
    """Return the pairs of classes whose counts the rules need."""
    return tuple(dict.fromkeys((rule.given, rule.other) for rule in rules()))


def judge(
    tables: Mapping[tuple[str, str], pl.DataFrame], *, decoded: Sequence[str] | None = None
) -> pl.DataFrame:
    """Count the cells that break each rule.

    Parameters
    ----------
    tables
        Counts of pairs of classes, as `tables_of` collects them. Rules whose pair is missing are left out.
    decoded
        Classes whose labels are names; labels of other classes are numbers and not judged. All if none.

    Returns
    -------
    polars.DataFrame
        One row a rule: cells it applies to, cells that break it, their share, cells not judged because a label
        is only a number.
    """
    rows = []
    for rule in rules():
        table = tables.get((rule.given, rule.other))
        if table is None:
            continue
        applies, broken, open_ = 0, 0, 0
        for given, other, cells in table.select(rule.given, rule.other, "cells").iter_rows():
            if not _is_named(given, rule.given, decoded):
                open_ += cells
            elif rule.holds(given):
                if _is_named(other, rule.other, decoded):
                    applies += cells
                    broken += cells * rule.contradicts(other)
                else:
                    open_ += cells
        rows.append((rule.name, applies, broken, broken / applies if applies else None, open_))
    schema = {
        "rule": pl.String,
        "cells": pl.Int64,
        "implausible": pl.Int64,
        "share": pl.Float64,
        "not_judged": pl.Int64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def examples(tables: Mapping[tuple[str, str], pl.DataFrame], *, top: int = 5) -> pl.DataFrame:
    """List the most common pairs of labels that break each rule.

    Parameters
    ----------
    tables
        Counts of pairs of classes.
    top
        Pairs listed for a rule.
    """
    rows = []
    for rule in rules():
        table = tables.get((rule.given, rule.other))
        if table is None:
            continue
        broken = [
            (rule.name, given, other, cells)
            for given, other, cells in table.select(rule.given, rule.other, "cells").iter_rows()
            if _is_named(given, rule.given, None) and _is_named(other, rule.other, None)
            and rule.holds(given) and rule.contradicts(other)
        ]  # fmt: skip
        rows.extend(sorted(broken, key=lambda row: (-row[3], row[1], row[2]))[:top])
    schema = {"rule": pl.String, "given": pl.String, "label": pl.String, "cells": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def tables_of(count: Callable[..., pl.DataFrame]) -> dict[tuple[str, str], pl.DataFrame]:
    """Collect the pair counts that the rules need; pairs that cannot be counted are left out.

    Parameters
    ----------
    count
        Called with two class names; returns their counts or raises `PartError`.
    """
    found = {}
    for pair in pairs_needed():
        try:
            found[pair] = count(*pair)
        except PartError:
            continue
    return found


def _rules_of_organisms() -> tuple[Rule, ...]:
    def plant(label: str) -> bool:
        return is_organism(label, *PLANTS)

    organism = layout.ORGANISM
    return (
        Rule("plant cells with an animal tissue", organism, plant, layout.TISSUE, is_animal),
        Rule("plant cells with an animal cell type", organism, plant, layout.CELL_TYPE, is_animal),
        Rule("plant cells with an animal disease", organism, plant, layout.DISEASE, lambda d: d != "normal"),
        Rule(
            "human cells with a mouse-only cell type", organism, lambda o: is_organism(o, HUMAN), layout.CELL_TYPE,
            is_mouse_only,
        ),
        Rule(
            "mouse cells with a human-only cell type", organism, lambda o: is_organism(o, MOUSE), layout.CELL_TYPE,
            _says(_HUMAN_ONLY),
        ),
        Rule(
            "other animals with a cell type of human or mouse only", organism,
            lambda o: not is_organism(o, HUMAN, MOUSE, *PLANTS), layout.CELL_TYPE,
            lambda t: bool(_HUMAN_ONLY.search(t)) or is_mouse_only(t),
        ),
        Rule(
            "cells of no mammal with a mammalian cell type", organism, lambda o: not is_organism(o, *_MAMMALS),
            layout.CELL_TYPE, _says(_MAMMAL_ONLY),
        ),
        Rule(
            "cells not human with a human ethnicity", organism, lambda o: not is_organism(o, HUMAN), layout.ETHNICITY,
            lambda e: e.lower() not in _NOT_SAID,
        ),
    )  # fmt: skip


def _rules_of_sexes() -> tuple[Rule, ...]:
    def female(label: str) -> bool:
        return label == "female"

    def male(label: str) -> bool:
        return label == "male"

    return (
        Rule("female cells with an organ of males", layout.SEX, female, layout.TISSUE, _says(_MALE_ONLY)),
        Rule("male cells with an organ of females", layout.SEX, male, layout.TISSUE, _says(_FEMALE_ONLY)),
        Rule(
            "female cells with a cell type of males", layout.SEX, female, layout.CELL_TYPE, _says(_MALE_ONLY)
        ),
        Rule(
            "male cells with a cell type of females", layout.SEX, male, layout.CELL_TYPE, _says(_FEMALE_ONLY)
        ),
    )


def _says(pattern: re.Pattern[str]) -> Judge:
    return lambda label: bool(pattern.search(label))


def _is_named(label: str | None, class_name: str, decoded: Sequence[str] | None) -> bool:
    if label is None or (decoded is not None and class_name not in decoded):
        return False
    # an identifier without its name says nothing about organ or taxon
    return not label.isdigit() and not _IDENTIFIER.fullmatch(label)
