"""What the donors at hand can tell: groups, terms, rank, and a refusal where they cannot."""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pandas as pd
import polars as pl

from helpers import names
from helpers.analysis import covariates
from helpers.errors import DesignError, ParameterError

EXACT, MIDPOINT, BIN = "exact", "midpoint", "bin"
DECADE, OLD_OVER_YOUNG = "decade", "old over young"
ALL = "all"
_BETWEEN = "between"


@dataclass(frozen=True)
class Comparison:
    """How age enters a test, and which donors do.

    Parameters
    ----------
    age_as
        ``"exact"``: years from the donor table; ``"midpoint"``: middle of the deposited five-year bin;
        ``"bin"``: old against young. The first two estimate a change per decade.
    young_max, old_min
        Years: a donor up to the first is young, from the second old. Donors between are left out of a bin
        comparison.
    sex
        ``"M"`` or ``"F"`` for donors of one sex, ``"all"`` for both.
    min_donors
        Donors that each of young and old must have.
    covariates
        Columns added to the model where they can be estimated, most important first.
    """

    age_as: str = EXACT
    young_max: float = 40
    old_min: float = 50
    sex: str = ALL
    min_donors: int = 3
    covariates: tuple[str, ...] = (names.SEX, names.CHEMISTRY)

    def __post_init__(self) -> None:
        """Refuse what cannot be meant, all faults at once."""
        faults = []
        if self.age_as not in (EXACT, MIDPOINT, BIN):
            faults.append(f"age_as is {self.age_as!r}; choose {EXACT!r}, {MIDPOINT!r} or {BIN!r}")
        if self.sex not in (ALL, names.MALE, names.FEMALE):
            faults.append(f"sex is {self.sex!r}; choose {ALL!r}, {names.MALE!r} or {names.FEMALE!r}")
        if not self.young_max < self.old_min:
            faults.append(f"young_max {self.young_max:g} is not below old_min {self.old_min:g}")
        if self.min_donors < 2:
            faults.append(
                f"min_donors is {self.min_donors}; a group of one donor has no variance, ask for 2 or more"
            )
        if faults:
            msg = f"this comparison makes no sense: {'; '.join(faults)}."
            raise ParameterError(msg)

    @property
    def per(self) -> str:
        """What a change is per."""
        return OLD_OVER_YOUNG if self.age_as == BIN else DECADE


@dataclass(frozen=True)
class Design:
    """A design matrix over profiles, one a donor, and how it came about."""

    rows: np.ndarray  # positions of the used profiles in the table given
    donors: pd.DataFrame  # one row a used profile: donor, years, group, sex, chemistry, cells
    matrix: np.ndarray  # profiles x columns: intercept, age, covariates
    columns: tuple[str, ...]
    per: str
    terms: pl.DataFrame  # term, levels, kept, why
    comparison: Comparison = field(repr=False)

    tested = 1  # column of age

    @property
    def residual_df(self) -> int:
        """Profiles less columns."""
        return self.matrix.shape[0] - self.matrix.shape[1]

    @property
    def age_inflation(self) -> float:
        """Variance inflation of the age effect by the covariates: 1 is none."""
        age = self.matrix[:, self.tested]
        others = np.delete(self.matrix, self.tested, axis=1)
        left = age - others @ np.linalg.lstsq(others, age, rcond=None)[0]
        return float(((age - age.mean()) ** 2).sum() / (left**2).sum())

    def project(self, values: np.ndarray) -> np.ndarray:
        """Return what the age coefficient estimates of a donor-level quantity: its least-squares projection.

        Parameters
        ----------
        values
            One value a used profile, or profiles x quantities.
        """
        return np.linalg.lstsq(self.matrix, values, rcond=None)[0][self.tested]

    def with_age_of(self, order: np.ndarray) -> Self:
        """Return the design with ages handed from profile to profile.

        Parameters
        ----------
        order
            A permutation: profile ``i`` gets the age of profile ``order[i]``.
        """
        matrix = self.matrix.copy()
        matrix[:, self.tested] = self.matrix[order, self.tested]
        donors = self.donors.copy()
        donors[["years", "group"]] = self.donors[["years", "group"]].to_numpy()[order]
        return type(self)(self.rows, donors, matrix, self.columns, self.per, self.terms, self.comparison)


def build(obs: pd.DataFrame, comparison: Comparison | None = None, *, what: str = "these profiles") -> Design:
    """Build the design of a test across age from profiles, one a donor.

    Parameters
    ----------
    obs
        ``obs`` of pseudobulk profiles of one cell type and assay.
    comparison
        How age enters, and which donors do; that of the class where none is given.
    what
        Cell type and assay, for the message of a refusal.

    Raises
    ------
    DesignError
        If a donor has two profiles, or young or old donors are too few; the message says how many are missing.
    """
    comparison = comparison or Comparison()
    donors = _describe_donors(obs, comparison)
    used = donors["usable"].to_numpy()
    kept = donors.loc[used].reset_index(drop=True)
    _refuse_repeats(kept, what)
    _refuse_too_few(kept, comparison, what, n_without_age=int(donors["years"].isna().sum()))
    age = (
        (kept["group"] == names.OLD).to_numpy(float)
        if comparison.age_as == BIN
        else kept["years"].to_numpy() / 10
    )
    matrix, columns, terms = covariates.add(kept, age, wanted=comparison.covariates)
    tested = {
        "term": "age",
        "levels": comparison.age_as,
        "kept": True,
        "why": f"tested, per {comparison.per}",
    }
    terms = pl.concat([pl.DataFrame([tested], schema=terms.schema), terms])
    return Design(np.flatnonzero(used), kept, matrix, columns, comparison.per, terms, comparison)


def _describe_donors(obs: pd.DataFrame, comparison: Comparison) -> pd.DataFrame:
    years = _find_years(obs, comparison.age_as)
    group = np.where(
        years <= comparison.young_max, names.YOUNG, np.where(years >= comparison.old_min, names.OLD, _BETWEEN)
    )
    if comparison.age_as == BIN and np.isnan(years).any() and names.AGE_BIN in obs.columns:
        group = np.where(np.isnan(years), obs[names.AGE_BIN].astype(str), group)
        known = np.isin(group, [names.YOUNG, names.OLD, _BETWEEN])
    else:
        known = ~np.isnan(years)
    sex = _read_labels(obs, names.SEX)
    usable = known & ((comparison.sex == ALL) | (sex == comparison.sex))
    if comparison.age_as == BIN:
        usable &= group != _BETWEEN
    return pd.DataFrame(
        {
            "donor": obs[names.DONOR].astype(str).to_numpy(),
            "years": years,
            "group": group,
            "sex": sex,
            "chemistry": _read_labels(obs, names.CHEMISTRY),
            "cells": obs[names.N_CELLS].to_numpy(),
            "usable": usable,
        }
    )


def _find_years(obs: pd.DataFrame, age_as: str) -> np.ndarray:
    nothing = np.full(len(obs), np.nan)
    exact = obs[names.EXACT_AGE].to_numpy(float) if names.EXACT_AGE in obs.columns else nothing
    middle = obs[names.AGE_MIDPOINT].to_numpy(float) if names.AGE_MIDPOINT in obs.columns else nothing
    if age_as == EXACT:
        return exact
    return middle if age_as == MIDPOINT else np.where(np.isnan(exact), middle, exact)


def _read_labels(obs: pd.DataFrame, column: str) -> np.ndarray:
    if column not in obs.columns:
        return np.full(len(obs), "not stated", dtype=object)
    return (
        obs[column].astype(object).where(obs[column].notna(), "not stated").astype(str).to_numpy(dtype=object)
    )


def _refuse_repeats(donors: pd.DataFrame, what: str) -> None:
    repeated = donors["donor"][donors["donor"].duplicated()].unique()
    if len(repeated):
        msg = (
            f"{what}: donor(s) {', '.join(repeated)} have several profiles, which are not replicates. "
            f"Choose one assay and one cell type before a test across age."
        )
        raise DesignError(msg)


def _refuse_too_few(donors: pd.DataFrame, comparison: Comparison, what: str, *, n_without_age: int) -> None:
    found = {group: int((donors["group"] == group).sum()) for group in (names.YOUNG, names.OLD)}
    lacking = {group: comparison.min_donors - n for group, n in found.items() if n < comparison.min_donors}
    if not lacking:
        return
    missing = " and ".join(f"{n} more {group} donor{'s' if n > 1 else ''}" for group, n in lacking.items())
    who = "" if comparison.sex == ALL else f" of sex {comparison.sex}"
    ages = f" {n_without_age} profile(s) lack an age coded as {comparison.age_as!r}." if n_without_age else ""
    msg = (
        f"{what} cannot be tested across age: {found[names.YOUNG]} young (up to {comparison.young_max:g} years) and "
        f"{found[names.OLD]} old (from {comparison.old_min:g}) donors{who} have enough cells, "
        f"{comparison.min_donors} of each are needed; missing: {missing}.{ages} "
        f"Choose a more common cell type or a coarser level, or lower min_cells."
    )
    raise DesignError(msg)
