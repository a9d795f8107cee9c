"""How much of the text of sentences the order among equal values decides."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from helpers.sentences import kernels


@dataclass
class TieReport:
    """How much of the text the tie rule decides, and which values were left out. Adds up over blocks."""

    cells: int = 0
    empty_cells: int = 0
    cells_cut: int = 0
    cells_cut_within_a_tie: int = 0
    expressed: int = 0
    words: int = 0
    words_in_ties: int = 0
    top_words: int = 0
    top_words_in_ties: int = 0
    values_not_finite: int = 0
    values_negative: int = 0
    values_stored_zero: int = 0

    def add(self, statistics: np.ndarray) -> None:
        """Count in the statistics of a block."""
        total = statistics.sum(axis=0)
        expressed, written = statistics[:, kernels.EXPRESSED], statistics[:, kernels.WRITTEN]
        self.cells += len(statistics)
        self.empty_cells += int((expressed == 0).sum())
        self.cells_cut += int((written < expressed).sum())
        self.cells_cut_within_a_tie += int(total[kernels.CUT_IN_TIE])
        self.expressed += int(total[kernels.EXPRESSED])
        self.words += int(total[kernels.WRITTEN])
        self.words_in_ties += int(total[kernels.TIED])
        self.top_words += int(total[kernels.TOP])
        self.top_words_in_ties += int(total[kernels.TOP_TIED])
        self.values_not_finite += int(total[kernels.NOT_FINITE])
        self.values_negative += int(total[kernels.NEGATIVE])
        self.values_stored_zero += int(total[kernels.STORED_ZERO])

    def merge(self, counts: Mapping[str, int]) -> None:
        """Count in another report."""
        for key in vars(self):
            setattr(self, key, getattr(self, key) + int(counts[key]))

    def as_dict(self) -> dict[str, int]:
        """Return the counts, for a manifest."""
        return dict(vars(self))

    @property
    def tied_share(self) -> float | None:
        """Share of words whose gene has the value of another expressed gene of the cell."""
        return self.words_in_ties / self.words if self.words else None

    @property
    def tied_share_of_top(self) -> float | None:
        """The same among the first 200 words."""
        return self.top_words_in_ties / self.top_words if self.top_words else None
