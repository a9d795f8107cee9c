"""A release of a few cells with every number known, written the ways other programs write it."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from helpers import names

GENES = ["MYH7", "AC000.1", "AC000", "TTN", "TP53", "XIST", "RP11-34P13.7", "MB", "CKM", "PAX7", "DES", "ACTA1"]  # fmt: skip


@pytest.fixture(autouse=True)
def in_own_cache(own_cache):
    """Keep locks and converted files of a test away from the user's."""


@dataclass
class Micro:
    """Forty cells of twelve genes, or more; `counts` and `x` are what a reader must find."""

    n_cells: int = 40
    genes: list[str] = field(default_factory=lambda: list(GENES))
    seed: int = 3

    def __post_init__(self):
        rng = np.random.default_rng(self.seed)
        self.counts = rng.poisson(0.7, (self.n_cells, len(self.genes)))
        self.counts[:, 7] = 1  # every cell holds a single molecule
        self.totals = self.counts.sum(1)
        self.x = np.log1p(self.counts / self.totals[:, None] * 1e4).astype(np.float32)
        self.barcodes = [f"lib-{rng.integers(10**9):09d}-{i}" for i in range(self.n_cells)]
        odd = np.arange(self.n_cells) % 2 == 1
        self.obs = pd.DataFrame(
            {
                names.SAMPLE: np.where(odd, "S1", "S2"),
                names.DONOR: [f"D{i % 4}" for i in range(self.n_cells)],
                names.AGE_GROUP: np.where(odd, "20-25", "70-75"),
                names.AGE_BIN: np.where(odd, "young", "old"),
                names.SEX: np.where(odd, "M", "F"),
                names.ASSAY: "cells",
                names.CHEMISTRY: "3'v3",
                **{level: pd.Categorical(np.where(odd, "MuSC", "FB")) for level in names.LEVELS},
                names.N_COUNTS: self.totals.astype(np.float32),
                names.N_GENES: (self.counts > 0).sum(1),
                names.PERCENT_MITO: np.float32(1.5),
                names.PERCENT_RIBO: np.float32(2.5),
                names.DOUBLET_SCORE: 0.1,
                names.AGE_MIDPOINT: np.where(odd, 22.5, 72.5),
            },
            index=self.barcodes,
        )
        self.var = pd.DataFrame(
            {
                names.ENSEMBL: [f"ENSG{i:011d}" for i in range(len(self.genes))],
                names.SYMBOL: self.genes,
                names.N_CELLS: (self.counts > 0).sum(0),
                names.GENE_IDS: self.genes,
            },
            index=self.genes,
        )
        self.umap = rng.normal(size=(self.n_cells, 2)).astype(np.float32)

    def write(self, folder: Path) -> Path:
        """Write the way the release was written: pandas, nameless index, expression without barcodes."""
        folder.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(self.x, columns=self.genes).to_parquet(folder / names.EXPRESSION_FILE)
        self.obs.to_parquet(folder / names.SAMPLE_FILE)
        self.var.to_parquet(folder / names.FEATURE_FILE)
        umap = pd.DataFrame(self.umap, index=self.barcodes, columns=["UMAP1", "UMAP2"])
        umap.to_parquet(folder / names.PROJECTION_FILES[names.UMAP])
        return folder

    def write_expression(self, folder: Path, frame: pd.DataFrame | pl.DataFrame, **options) -> Path:
        """Replace the expression file."""
        path = folder / names.EXPRESSION_FILE
        (frame.write_parquet if isinstance(frame, pl.DataFrame) else frame.to_parquet)(path, **options)
        return folder


@pytest.fixture
def copy(small_release, tmp_path):
    """Return a copy of the small release, to be changed."""
    return shutil.copytree(small_release, tmp_path / "copy")


@pytest.fixture
def make_micro():
    """Return the class, to make releases of other sizes."""
    return Micro


@pytest.fixture
def micro():
    """Return the values and tables of a release of forty cells."""
    return Micro()


@pytest.fixture
def folder(micro, tmp_path):
    """Return the folder of that release, written plainly."""
    return micro.write(tmp_path / "release")
