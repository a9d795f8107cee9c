"""A small generator of donors with planted changes, for unit tests of the statistics."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import polars as pl
import pytest

from helpers import names
from helpers.facts import study


@dataclass(frozen=True)
class Planted:
    """Molecules of the twelve donors of the cells, and what was planted in them."""

    counts: pd.DataFrame  # genes x donors
    donors: pd.DataFrame
    slope: np.ndarray  # log2 per decade
    sex: np.ndarray  # log2 male over female
    truth: pl.DataFrame


def plant(seed, *, genes=1500, share=0.08, spread=0.3, effect=0.3, sex_share=0.01, depth=3000, cells=None):
    """Negative-binomial molecules of donors: each donor has a change of its own, each cell is overdispersed."""
    generator = np.random.default_rng(seed)
    donors = study.donors().filter(pl.col("cells_10X_version").is_not_null()).to_pandas()
    n = len(donors)
    n_cells = generator.lognormal(np.log(500), 1, n).astype(int) + 20 if cells is None else np.asarray(cells)
    base = generator.normal(0, 1.5, genes)
    slope = np.where(generator.random(genes) < share, generator.normal(0, effect, genes), 0.0)
    sex = np.where(generator.random(genes) < sex_share, generator.choice([-4.0, 4.0], genes), 0.0)
    own = generator.normal(0, 1, (genes, n)) * (spread * generator.lognormal(0, 0.4, genes))[:, None]
    age = donors["Age"].to_numpy(float)
    male = (donors["Sex"] == names.MALE).to_numpy(float)
    log2 = base[:, None] + slope[:, None] * (age - 48) / 10 + sex[:, None] * male + own
    mean = 2**log2
    mean *= n_cells * depth / mean.sum(axis=0)
    molecules = generator.poisson(generator.gamma(n_cells * 2, mean / (n_cells * 2)))
    bounds = donors["Age_group_5y"].str.split("-", expand=True).astype(float)
    obs = donors[[names.DONOR, names.SEX, names.AGE_BIN]].assign(
        age=age, age_numeric=bounds.mean(axis=1), chemistry=donors["cells_10X_version"], n_cells=n_cells
    )
    symbols = [f"G{i}" for i in range(genes)]
    counts = pd.DataFrame(molecules.astype(np.int64), symbols, donors["DonorID"].to_list())
    truth = pl.DataFrame({names.GENE: symbols, "log2_change_per_decade": slope}).filter(pl.Series(slope != 0))
    about = {"assay": names.CELLS, names.LEVEL0: "MuSC", "origin": "random", names.LEVEL2: None}
    truth = truth.with_columns(pl.lit(value, pl.String).alias(name) for name, value in about.items())
    return Planted(counts, obs, slope, sex, truth)


@pytest.fixture(scope="session", name="plant")
def _plant():
    return plant


@pytest.fixture(scope="session")
def planted():
    """One planted set of donors; tests must not change it."""
    return plant(1)
