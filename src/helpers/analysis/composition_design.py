"""From a composition to matrices: who is compared with whom, and in which frame of reference."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from helpers import names
from helpers.analysis.composition_checks import AGE, ASSAY, GROUP, MIN_DONORS, TOTAL, TYPE, UNIT, N
from helpers.errors import DesignError, TableError

DECADE = 10.0
ALL, CENTER = "all", "center"
ABSENT = 0.25  # share of units that may lack the reference and are then left out


@dataclass(frozen=True)
class Design:
    """Units of one assay: their counts by type, the base of each share, and the model matrix.

    ``matrix`` has the exposure (decades of age, or 0 and 1 for two groups) in its last column.
    """

    assay: str
    types: list[str]
    counts: np.ndarray
    base: np.ndarray
    totals: np.ndarray
    matrix: np.ndarray
    terms: list[str]
    units: pl.DataFrame
    per: str
    reference: str

    @property
    def donors(self) -> int:
        """Donors among the units."""
        return self.units[names.DONOR].n_unique()

    @property
    def exposure(self) -> np.ndarray:
        """The last column of the matrix."""
        return self.matrix[:, -1]


def exposure_of(table: pl.DataFrame) -> str:
    """Return the column that is compared: age in years where there is one, else the two groups."""
    if AGE in table.columns and table[AGE].null_count() < table.height:
        return AGE
    if GROUP in table.columns:
        return GROUP
    msg = f"the composition has neither ages (column {AGE!r}) nor two groups (column {GROUP!r}) to compare."
    raise DesignError(msg)


def build(
    table: pl.DataFrame,
    *,
    assay: str,
    covariates: Sequence[str] = (),
    reference: str | Sequence[str] = ALL,
    exposure: str | None = None,
) -> Design:
    """Lay out one assay of a composition for a test.

    Parameters
    ----------
    table
        From `composition` or `composition_from_counts`.
    assay
        Which assay; assays are never pooled.
    covariates
        Columns that the model adjusts for.
    reference
        What a share is a share of: ``"all"`` barcodes of the unit, ``"center"`` for the geometric mean of its types,
        or the type (or types) taken as stable; units that lack these are left out.
    exposure
        Column that is compared; found where None.

    Raises
    ------
    TableError
        If the assay or a type of the reference is unknown.
    DesignError
        If the exposure or a covariate cannot be estimated, or too few donors remain.
    """
    part = table.filter(pl.col(ASSAY) == assay)
    if part.is_empty():
        msg = f"assay {assay!r} is not in the table; it has {sorted(table[ASSAY].unique())}."
        raise TableError(msg)
    exposure = exposure or exposure_of(part)
    part = _with_reference(part.filter(pl.col(exposure).is_not_null()), reference, assay)
    wide = part.pivot(on=TYPE, index=UNIT, values=N, sort_columns=True).sort(UNIT)
    units = part.unique(UNIT).sort(UNIT)
    types = [column for column in wide.columns if column != UNIT]
    counts = wide.select(types).to_numpy().astype(float)
    totals = units[TOTAL].to_numpy().astype(float)
    _check_units(units, totals, assay)
    matrix = design_matrix(units, exposure=exposure, covariates=covariates)
    _check_rank(matrix, units, exposure=exposure, covariates=covariates, assay=assay)
    base, label = _base(counts, totals, types, reference)
    return Design(
        assay=assay,
        types=types,
        counts=counts,
        base=base,
        totals=totals,
        matrix=matrix,
        terms=[*covariates, exposure],
        units=units,
        per=_per(units, exposure),
        reference=label,
    )


def estimable(
    table: pl.DataFrame, covariates: Sequence[str], *, exposure: str | None = None
) -> dict[str, list[str]]:
    """Return, for each assay, those covariates that can be fitted beside the exposure.

    Covariates are taken in the order given; one that is missing, constant, or a combination of those before it and
    of the exposure is left out, as is one that would leave fewer than three degrees of freedom.
    """
    kept: dict[str, list[str]] = {}
    for (assay,), part in table.group_by(ASSAY, maintain_order=True):
        units = part.unique(UNIT, maintain_order=True).sort(UNIT)
        kept[str(assay)] = choose_covariates(units, covariates, exposure=exposure or exposure_of(part))
    return kept


def choose_covariates(units: pl.DataFrame, covariates: Sequence[str], *, exposure: str) -> list[str]:
    """Return those covariates that one set of units can estimate beside the exposure (see `estimable`)."""
    kept: list[str] = []
    for covariate in covariates:
        tried = [*kept, covariate]
        if covariate not in units.columns or units[covariate].null_count() or units[covariate].n_unique() < 2:
            continue
        matrix = design_matrix(units, exposure=exposure, covariates=tried)
        if rank(matrix) == matrix.shape[1] and units[names.DONOR].n_unique() - matrix.shape[1] >= MIN_DONORS:
            kept = tried
    return kept


def design_matrix(units: pl.DataFrame, *, exposure: str, covariates: Sequence[str] = ()) -> np.ndarray:
    """Return intercept, covariates (one column per further category) and the exposure last.

    Ages are in decades from their mean; two groups are 0 and 1 in the order of `groups_of`.
    """
    columns = [np.ones(units.height)]
    for covariate in covariates:
        values = units[covariate]
        if values.dtype.is_numeric():
            columns.append((values.cast(pl.Float64) - values.mean()).to_numpy())
        else:
            columns += [(values == level).to_numpy().astype(float) for level in values.unique().sort()[1:]]
    values = units[exposure]
    if values.dtype.is_numeric():
        coded = ((values.cast(pl.Float64) - values.mean()) / DECADE).to_numpy()
    else:
        coded = (values == groups_of(values)[-1]).to_numpy().astype(float)
    return np.column_stack([*columns, coded])


def groups_of(values: pl.Series) -> list[str]:
    """Return the names of the groups, the one compared with first: young before old, else in sorted order."""
    found = values.unique().sort().to_list()
    return (
        sorted(found, key=[names.YOUNG, names.OLD].index) if set(found) == {names.YOUNG, names.OLD} else found
    )


def rank(matrix: np.ndarray) -> int:
    """Return the rank of a model matrix, its columns scaled to one length."""
    return int(np.linalg.matrix_rank(matrix / np.maximum(np.linalg.norm(matrix, axis=0), 1e-300), tol=1e-8))


def _per(units: pl.DataFrame, exposure: str) -> str:
    if units[exposure].dtype.is_numeric():
        return "decade"
    low, *_, high = groups_of(units[exposure])
    return f"{high} over {low}"


def assays_of(table: pl.DataFrame, reference: str | Sequence[str] = ALL) -> list[str]:
    """Return the assays in which the reference can be used, sorted.

    Raises
    ------
    TableError
        If no assay holds a type of the reference.
    """
    assays = table[ASSAY].unique().sort().to_list()
    if _is_frame(reference) or not assays:
        return assays
    chosen = [reference] if isinstance(reference, str) else list(reference)
    holding = table.filter(pl.col(TYPE).is_in(chosen) & (pl.col(N) > 0))[ASSAY].unique().sort().to_list()
    if not holding:
        msg = f"types {sorted(chosen)} cannot be a reference: the table has {table[TYPE].unique().sort().to_list()}."
        raise TableError(msg)
    return holding


def _is_frame(reference: str | Sequence[str]) -> bool:
    return isinstance(reference, str) and reference in {ALL, CENTER}


def _with_reference(part: pl.DataFrame, reference: str | Sequence[str], assay: str) -> pl.DataFrame:
    """Leave out the few units that lack the reference altogether; refuse a reference that many lack."""
    if _is_frame(reference):
        return part
    chosen = [reference] if isinstance(reference, str) else list(reference)
    unknown = sorted(set(chosen) - set(part[TYPE]))
    if unknown or not chosen:
        msg = f"types {unknown} cannot be a reference: assay {assay!r} has {part[TYPE].unique().sort().to_list()}."
        raise TableError(msg)
    held = part.filter(pl.col(TYPE).is_in(chosen)).group_by(UNIT).agg(pl.col(N).sum())
    absent = held.filter(pl.col(N) == 0)[UNIT]
    if absent.len() > ABSENT * held.height:
        msg = f"the reference {' + '.join(chosen)} is absent from {absent.len()} of {held.height} units of assay {assay!r}. Choose a more common one."
        raise DesignError(msg)
    return part.filter(~pl.col(UNIT).is_in(absent.implode()))


def _base(
    counts: np.ndarray, totals: np.ndarray, types: list[str], reference: str | Sequence[str]
) -> tuple[np.ndarray, str]:
    """Return, for every unit and type, the count that the type's count is divided by, and its name."""
    if _is_frame(reference):
        return np.repeat(totals[:, None], len(types), axis=1), str(reference)
    chosen = [reference] if isinstance(reference, str) else list(reference)
    held = counts[:, [types.index(name) for name in chosen]].sum(axis=1)
    return np.repeat(held[:, None], len(types), axis=1), " + ".join(chosen)


def _check_units(units: pl.DataFrame, totals: np.ndarray, assay: str) -> None:
    if (totals <= 0).any():
        unit = units[UNIT][int(np.argmin(totals))]
        msg = f"{int((totals <= 0).sum())} units of assay {assay!r} have a total of zero, first {unit!r}: drop them."
        raise DesignError(msg)


def _check_rank(
    matrix: np.ndarray, units: pl.DataFrame, *, exposure: str, covariates: Sequence[str], assay: str
) -> None:
    donors = units[names.DONOR].n_unique()
    if donors < MIN_DONORS:
        msg = f"assay {assay!r} has {donors} donors with {exposure!r}; at least {MIN_DONORS} are needed."
        raise DesignError(msg)
    if not units[exposure].dtype.is_numeric() and units[exposure].n_unique() > 2:
        msg = f"{exposure!r} has {units[exposure].n_unique()} groups in assay {assay!r}: two are compared."
        raise DesignError(msg)
    sizes = units.unique(names.DONOR)[exposure].value_counts()
    if not units[exposure].dtype.is_numeric() and sizes["count"].min() < MIN_DONORS:
        smallest = sizes.sort("count").row(0)
        msg = f"group {smallest[0]!r} of assay {assay!r} has {smallest[1]} donors; at least {MIN_DONORS} are needed."
        raise DesignError(msg)
    for term in (exposure, *covariates):
        if units[term].n_unique() < 2:
            msg = f"{term!r} is {units[term][0]!r} in every donor of assay {assay!r}: its effect cannot be estimated."
            raise DesignError(msg)
    if rank(matrix) < matrix.shape[1]:
        msg = (
            f"{exposure!r} cannot be told from {list(covariates)} in the {donors} donors of assay {assay!r}: "
            "a covariate follows from the others. Leave it out; `estimable` says which fit."
        )
        raise DesignError(msg)
    if donors <= matrix.shape[1]:
        msg = f"{donors} donors of assay {assay!r} leave no freedom for {matrix.shape[1]} terms. Use fewer covariates."
        raise DesignError(msg)
