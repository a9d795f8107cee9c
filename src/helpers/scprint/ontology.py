"""How two labels are related: same, ancestor, descendant, sibling, in an ontology file that the user names."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from helpers.errors import PartError

SAME, ANCESTOR, DESCENDANT, SIBLING = "same", "ancestor", "descendant", "sibling"
UNRELATED, UNKNOWN = "unrelated", "unknown"
RELATIONS = (SAME, ANCESTOR, DESCENDANT, SIBLING, UNRELATED, UNKNOWN)


@dataclass
class Ontology:
    """Names and parents by identifier.

    Attributes
    ----------
    names
        Name of each term.
    parents
        Direct parents (``is_a``) of each term.
    """

    names: dict[str, str]
    parents: dict[str, tuple[str, ...]]
    _above: dict[str, frozenset[str]] = field(default_factory=dict, repr=False)

    @cached_property
    def ids(self) -> dict[str, str]:
        """Identifier by name."""
        return {name: identifier for identifier, name in self.names.items()}

    def ancestors(self, term: str) -> frozenset[str]:
        """All terms above one, itself left out."""
        if term not in self._above:
            seen: set[str] = set()
            waiting = list(self.parents.get(term, ()))
            while waiting:
                parent = waiting.pop()
                if parent not in seen:
                    seen.add(parent)
                    waiting.extend(self.parents.get(parent, ()))
            self._above[term] = frozenset(seen - {term})
        return self._above[term]

    def relation(self, first: str, second: str) -> str:
        """Say what `first` is to `second`; both by identifier or name.

        Examples
        --------
        >>> tree = Ontology({"a": "cell", "b": "T cell", "c": "B cell"}, {"b": ("a",), "c": ("a",)})
        >>> tree.relation("cell", "T cell"), tree.relation("b", "c")
        ('ancestor', 'sibling')
        """
        one, two = (self.ids.get(term, term) for term in (first, second))
        if one not in self.names or two not in self.names:
            return UNKNOWN
        if one == two:
            return SAME
        if one in self.ancestors(two):
            return ANCESTOR
        if two in self.ancestors(one):
            return DESCENDANT
        shared = set(self.parents.get(one, ())) & set(self.parents.get(two, ()))
        return SIBLING if shared else UNRELATED

    def common(self, first: str, second: str) -> str | None:
        """Return the nearest common ancestor of two terms (itself allowed): the coarser label that both share.

        The one with the most terms above it; ties go to the first identifier.
        """
        one, two = (self.ids.get(term, term) for term in (first, second))
        shared = (self.ancestors(one) | {one}) & (self.ancestors(two) | {two})
        return min(shared, key=lambda term: (-len(self.ancestors(term)), term), default=None)


def read(path: Path | str) -> Ontology:
    """Read an ontology file.

    Parameters
    ----------
    path
        An ``.obo`` file, an OBO graph as JSON, or JSON of ``{identifier: {"name": ..., "parents": [...]}}``.

    Raises
    ------
    PartError
        If the file cannot be read or holds no term.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        terms = list(_json_terms(json.loads(text)) if path.suffix == ".json" else _obo_terms(text))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
        msg = f"{path.name} is no ontology file: {type(error).__name__} {error}"
        raise PartError(msg) from None
    if not terms:
        msg = f"{path.name} holds no term. Expected an .obo file or JSON with names and parents."
        raise PartError(msg)
    return Ontology(
        {identifier: name for identifier, name, _ in terms}, {identifier: up for identifier, _, up in terms}
    )


def _obo_terms(text: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for stanza in text.split("\n[")[1:]:
        if not stanza.startswith("Term]"):
            continue
        identifier, name, parents, obsolete = "", "", [], False
        for line in stanza.splitlines()[1:]:
            tag, _, value = line.partition(": ")
            if tag == "id":
                identifier = value.strip()
            elif tag == "name":
                name = value.strip()
            elif tag == "is_a":
                parents.append(value.split()[0])
            elif tag == "is_obsolete":
                obsolete = value.strip() == "true"
        if identifier and not obsolete:
            yield identifier, name or identifier, tuple(parents)


def _json_terms(content: Any) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    if "graphs" in content:
        for graph in content["graphs"]:
            yield from _graph_terms(graph)
        return
    for identifier, term in content.items():
        yield identifier, str(term["name"]), tuple(term.get("parents", ()))


def _graph_terms(graph: Mapping[str, Any]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    parents: dict[str, list[str]] = {}
    for edge in graph.get("edges", ()):
        if edge["pred"] == "is_a":
            parents.setdefault(_curie(edge["sub"]), []).append(_curie(edge["obj"]))
    for node in graph.get("nodes", ()):
        if node.get("type", "CLASS") == "CLASS" and not node.get("meta", {}).get("deprecated"):
            identifier = _curie(node["id"])
            yield identifier, node.get("lbl", identifier), tuple(parents.get(identifier, ()))


def _curie(address: str) -> str:
    return address.rsplit("/", 1)[-1].replace("_", ":", 1)


def beside(folder: Path, *, named: str = "") -> Ontology | None:
    """Return the ontology of a folder of parts; none if there is none.

    Parameters
    ----------
    folder
        Folder of parts; a file ``cell_ontology.json`` in it is used.
    named
        Path of another ontology file, used instead.
    """
    path = Path(named) if named else Path(folder) / "cell_ontology.json"
    return read(path) if named or path.is_file() else None
