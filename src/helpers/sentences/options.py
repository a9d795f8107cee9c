"""What a run of the sentence writer is asked for."""

from dataclasses import asdict, dataclass
from typing import Any

from helpers.errors import SentenceError
from helpers.sentences import ranking, split

KEEP, DROP = "keep", "drop"


@dataclass(frozen=True)
class Options:
    """What is written. Checks itself.

    Parameters
    ----------
    rule
        How a cell becomes a sentence.
    split
        ``"donors"``: whole donors to train or test; ``"cells"``: single cells, which leaks donors; ``"none"``.
    test_fraction
        Target share of the test side.
    seed
        Of the split.
    chunk_cells
        Cells of one file.
    missing_age
        ``"keep"`` or ``"drop"``: cells whose age is not known.
    donor_column, age_column
        Columns of the donor and of the age; none: found.
    organism
        Organism where the data do not state it.
    level
        Of the Zstandard compression.
    """

    rule: ranking.Rule = ranking.STANDARD
    split: str = split.DONORS
    test_fraction: float = 0.05
    seed: int = 0
    chunk_cells: int = 10_000
    missing_age: str = KEEP
    donor_column: str | None = None
    age_column: str | None = None
    organism: str | None = None
    level: int = 1

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        for value, allowed, what in (
            (self.split, (split.DONORS, split.CELLS, split.NONE), "split"),
            (self.missing_age, (KEEP, DROP), "missing_age"),
        ):
            if value not in allowed:
                msg = f"{what} is {value!r}; choose one of {', '.join(map(repr, allowed))}."
                raise SentenceError(msg)
        if self.chunk_cells < 1:
            msg = f"chunk_cells is {self.chunk_cells}; a file holds at least one cell."
            raise SentenceError(msg)
        if not 0 < self.test_fraction < 1:
            msg = f"test_fraction is {self.test_fraction}; give a share above 0 and below 1, or split='none'."
            raise SentenceError(msg)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for a manifest."""
        found = asdict(self)
        found["rule"]["gene_lists"] = {name: list(genes) for name, genes in self.rule.gene_lists.items()}
        return found
