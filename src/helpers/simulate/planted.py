"""What is planted beside cell types and ages, as named numbers, and the random numbers that plant it."""

from dataclasses import dataclass
from zlib import crc32

import numpy as np

# The common type without any effect of age, neither in its expression nor in how many of its cells there are: what a
# method must stay silent on. The study reports its CCL2 as unchanged and its slope of composition as its weakest.
SILENT = "VenEC"
CENTER, DECADE = 48.0, 10.0  # years; planted effects are linear in age - CENTER
# The type with a program that is not linear in age: flat up to the middle of life, then up or down.
LATE_TYPE = "FB"
THREADS = 2  # what is made does not depend on it


@dataclass(frozen=True)
class Planted:
    """Sizes of what is planted; standard deviations are on the natural log scale.

    `donor_sd` and `chemistry_sd` give the study's shares of variance by donor and chemistry. Everything else is a guess;
    those about donors were set so that the share of null p-values below 0.05 varies between permutations as in counts
    of real people (a standard deviation of about four points).
    """

    donor_sd: float = 0.32  # between donors, of a typical gene
    donor_sd_spread: float = 0.5  # of that standard deviation, between genes
    donor_shared: float = 0.3  # share of a donor's own change that all of the donor's types have in common
    factors: int = 4  # latent factors: genes of a donor move together
    factor_share: float = 0.75  # share of the variance between donors that they carry
    set_share: float = 0.4  # of its loadings, what a gene of a named gene set has in common with the others
    tail_df: float = 5.0  # degrees of freedom of a donor's own changes: a normal tail is too thin
    quality_sd: float = 0.25  # of the donors' quality: poor tissue varies more and leaks more
    chemistry_sd: float = 0.43
    library_sd: float = 0.04
    ambient_cells: float = 0.03  # of a cell's molecules, those from the soup of its library (median)
    ambient_nuclei: float = 0.03
    ambient_sd: float = 0.5  # between libraries
    foreign: float = 0.2  # share of those from other libraries, by barcodes that hop on the flow cell
    doublets: float = 0.015  # what is left after the study's own removal
    sex_genes: int = 150  # autosomal genes that differ between the sexes, the same in every type
    late_genes: int = 60
    late_after: float = 50.0  # years


PLANTED = Planted()


def generator(seed: int, *keys: str) -> np.random.Generator:
    """Return the generator of `seed` for the purpose that `keys` name, so that one part's draws never move another's."""
    return np.random.default_rng([seed, *(crc32(key.encode()) for key in keys)])
