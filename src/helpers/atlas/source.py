"""What an atlas needs of the file or folder behind it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl
import scipy.sparse as sp


class Source(Protocol):
    """What the atlas needs of a file or folder."""

    kind: str
    name: str
    path: Path
    obs: pl.DataFrame
    var: pl.DataFrame
    missing: list[str]
    notes: list[str]
    key: str
    simulation: dict[str, Any] | None

    def genes(self, places: Sequence[int]) -> pl.DataFrame: ...  # noqa: D102
    def projection(self, key: str) -> np.ndarray | None: ...  # noqa: D102
    def truth(self, table: str) -> pl.DataFrame | None: ...  # noqa: D102
    def unstructured(self) -> dict[str, Any]: ...  # noqa: D102
    def estimate_values(self, rows: np.ndarray | None, places: np.ndarray | None) -> int: ...  # noqa: D102
    def read_csr(  # noqa: D102
        self, rows: np.ndarray | None, places: np.ndarray | None, *, budget: str | int, remedy: str
    ) -> sp.csr_matrix: ...
    def read_counts(self, rows: np.ndarray | None, places: np.ndarray | None) -> sp.csr_matrix | None: ...  # noqa: D102
