"""What tissue is made of: counts by donor, tests of shares across age, made-up compositions with a known answer.

One row is one donor (or one library) of one assay and one type, zeros kept: a type that vanishes is a finding, not a
missing row. Cells and nuclei are never pooled, because what an assay catches differs more between them than between
young and old. A share is what an assay shows, not abundance: when one type grows, the shares of all others fall.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import edgepython as ep
import numpy as np
import polars as pl
import statsmodels.api as sm
from patsy import dmatrix
from polars import selectors
from scipy import stats

from helpers import names
from helpers.errors import DesignError, ParameterError, TableError
from helpers.stats import expression, permute

TYPE, N, TOTAL, GROUP, CHEMISTRY, ALL, CENTER = "type", "n", "total", "group", "chemistry", "all", "center"
ADJUST = (names.SEX, CHEMISTRY)
NOT_STATED = "not stated"
DECADE, CENTER_AGE = 10.0, 48.0
MIN_DONORS = 3
FEW_TYPES, TREND_TYPES = 3, 10  # types below which variances say nothing of each other, or nothing of a trend
_NUMBERS = ("log2_change", "low", "high", "error", "df", "p")
SCHEMA = {
    names.ASSAY: pl.String,
    TYPE: pl.String,
    **dict.fromkeys((*_NUMBERS, "q"), pl.Float64),
    **dict.fromkeys(("donors", TOTAL, "arrangements"), pl.Int64),
    **dict.fromkeys(("per", "method", "reference", "adjusted_for", "left_out"), pl.String),
}


def count_by_donor(
    obs: pl.DataFrame, donors: pl.DataFrame, *, level: str = names.LEVEL0, libraries: bool = False
) -> pl.DataFrame:
    """Count the barcodes of each type in each donor (or library) of each assay, zeros filled.

    `obs` has one row a barcode: ``DonorID``, the column `level`, and where present ``batch`` (the assay) and
    ``10X_version``; `donors` one row a donor, such as ``muscle.donors``. Donors without age are left out, and barcodes
    without donor or label.

    Returned are ``batch``, ``type``, ``DonorID`` (and ``SampleID``), ``n``, ``total`` (barcodes of the donor in the
    assay), what is known of the donor, and ``chemistry`` (of most of these barcodes).
    """
    key = [names.ASSAY, names.DONOR, *([names.SAMPLE] if libraries else [])]
    _require(obs, [*key[1:], level])
    absent = {name: None for name in (names.ASSAY, names.CHEMISTRY) if name not in obs.columns}
    labels = [*key, names.CHEMISTRY, pl.col(level).alias(TYPE)]
    cells = obs.with_columns(**absent).select(labels).cast(pl.String)
    if cells[names.ASSAY].null_count() == cells.height:
        cells = cells.with_columns(pl.lit(NOT_STATED).alias(names.ASSAY))
    described = [c for c in (names.AGE_BIN, names.SEX) if c in donors.columns]
    known = donors.select(pl.col(names.DONOR).cast(pl.String), names.EXACT_AGE, *described)
    cells = cells.drop_nulls([*key, TYPE]).join(known.drop_nulls(names.EXACT_AGE), on=names.DONOR)
    counted = cells.group_by(*key, TYPE).agg(pl.len().cast(pl.Int64).alias(N))
    units = cells.group_by(key).agg(
        pl.len().cast(pl.Int64).alias(TOTAL),
        pl.col(names.EXACT_AGE, *described).first(),
        pl.col(names.CHEMISTRY).drop_nulls().mode().sort().first().alias(CHEMISTRY),
    )
    return _fill(units, counted, key)


def composition_from_counts(
    table: pl.DataFrame,
    *,
    donor: str = names.DONOR,
    kind: str = TYPE,
    n: str = N,
    age: str | None = None,
    group: str | None = None,
    assay: str | None = None,
    covariates: Sequence[str] = (),
) -> pl.DataFrame:
    """Turn a count table of any study into a composition that every test here takes; all its faults at once.

    `table` has one row per donor (and assay) and type; rows that are absent count as zero. All else are names of its
    columns: donor, type, count (a whole number), either age (years) or group (two of them), assay (one where None), and
    covariates that a test may adjust for. Age, group and covariates have one value per donor.
    """
    if (age is None) == (group is None):
        msg = "give one of age (a column of years) and group (a column of two groups of donors)."
        raise TableError(msg)
    constant = [names.EXACT_AGE if age else GROUP, *covariates]
    own = {donor: names.DONOR, kind: TYPE, n: N, str(age or group): constant[0]}
    own |= {assay: names.ASSAY} if assay else {}
    _require(table, [*own, *covariates])
    table = table.select(*own, *covariates).rename(own)
    table = table if assay else table.with_columns(pl.lit(NOT_STATED).alias(names.ASSAY))
    if faults := _faults(table, constant):
        raise TableError("; ".join(faults) + ".")
    key = [names.ASSAY, names.DONOR]
    units = table.group_by(key).agg(pl.col(N).cast(pl.Int64).sum().alias(TOTAL), pl.col(constant).first())
    return _fill(units, table.select(*key, TYPE, pl.col(N).cast(pl.Int64)), key)


def compare(
    counts: pl.DataFrame,
    *,
    method: str = "permutation",
    adjust: Sequence[str] = ADJUST,
    exposure: str = names.EXACT_AGE,
    reference: str = ALL,
    min_total: int = 20,
    draws: int = 1999,
    seed: int = 1,
    intervals: bool = True,
) -> pl.DataFrame:
    """Test every type of every assay for a change of its share with age, or between two groups of donors.

    Parameters
    ----------
    method
        ``"permutation"``: slope of log2 shares, ages dealt over the donors within `adjust` (`permute.deal`), interval
        by inverting the test. ``"least squares"``: a line through log2 shares with `adjust` as terms.
        ``"moderated"``: the same, residual variances drawn to their trend with counts by limma's method [1]_ [2]_.
        ``"binomial"``: logistic regression with Pearson dispersion. ``"chi-square"``: all barcodes of the older half
        against those of the younger, each a witness of its own; only to be held against the rest.
    adjust
        Columns to adjust for, the most important first; those that these donors cannot tell from age are left out.
    exposure
        Column that is compared: numbers are years (slopes per decade), else two groups.
    reference
        What a share is a share of: ``"all"`` barcodes, ``"center"`` (geometric mean of the types), or one type. Counts
        (binomial, chi-square) have no center.
    min_total
        Barcodes that a type needs in an assay, in at least three donors.
    draws, intervals
        Of the permutation test: ages dealt, and whether to find intervals, which takes most of its time.

    Returns
    -------
    One row per assay and type: change of the share (log2) with its 95 % interval, p, Benjamini-Hochberg q within the
    assay; what could not be tested has its reason in ``left_out``.

    References
    ----------
    .. [1] Smyth (2004), doi:10.2202/1544-6115.1027
    .. [2] Phipson et al. (2022), doi:10.1093/bioinformatics/btac582 (shares by donor, tested that way)
    """
    types = sorted(set(counts[TYPE]), key=str)
    center = reference == CENTER and method in ("binomial", "chi-square")
    guards = {
        f"{method!r} is not a test of composition: choose one of {list(_TESTS)}": method not in _TESTS,
        f"{method!r} compares counts, and the center of the types is not a count": center,
        f"{exposure!r} is not a column of the composition; it has {counts.columns}": exposure not in counts,
        f"{reference!r} is no reference: the types are {types}": reference not in [ALL, CENTER, *types],
    }
    if any(guards.values()):
        raise ParameterError("; ".join(one for one, fault in guards.items() if fault) + ".")
    results = [pl.DataFrame(schema=SCHEMA)]
    for (assay,), part in counts.group_by(names.ASSAY, maintain_order=True):
        one = _lay_out(part, adjust=adjust, exposure=exposure, reference=reference)
        reasons = _reasons(one, min_total)
        tested = np.array([reason is None for reason in reasons])
        numbers, ways = np.full((len(_NUMBERS) + 1, len(one.types)), np.nan), None
        if tested.any():
            *answers, ways = _TESTS[method](one, tested, draws, seed, 40 if intervals else 0)
            numbers[:, tested] = (*answers, stats.false_discovery_control(answers[-1]))
        columns = dict(zip((*_NUMBERS, "q"), numbers, strict=True)) | {TYPE: one.types}
        columns |= {TOTAL: one.counts.sum(axis=0), "left_out": pl.Series(reasons, dtype=pl.String)}
        columns |= {names.ASSAY: str(assay), "donors": len(one.donors), "arrangements": ways, "per": one.per}
        columns |= {"method": method, "reference": reference}
        columns["adjusted_for"] = "" if method == "chi-square" else ", ".join(one.adjusted)
        results.append(pl.DataFrame(columns).select(*SCHEMA).cast(SCHEMA))
    return pl.concat(results).with_columns(pl.col(pl.Float64).fill_nan(None))


def estimable(
    donors: pl.DataFrame, adjust: Sequence[str] = ADJUST, *, exposure: str = names.EXACT_AGE
) -> list[str]:
    """Return those columns that these donors (one row each) can tell from their age or group, in the order given."""
    any_type = {TYPE: pl.lit("any"), N: pl.lit(1), TOTAL: pl.lit(1)}
    part = donors.unique(names.DONOR).with_columns(**any_type)
    return _lay_out(part, adjust=adjust, exposure=exposure, reference=ALL).adjusted


def draw(
    donors: pl.DataFrame,
    *,
    shares: Mapping[str, float],
    slopes: Mapping[str, float] | None = None,
    log2_sd: float | Mapping[str, float] = 0.0,
    seed: int,
) -> pl.DataFrame:
    """Draw counts of types for given donors, abundances log-normal between them: a composition with a known answer.

    `donors` has one row a donor: ``DonorID``, ``age`` (years), ``total``, and any further columns. `shares` are those of
    the types at 48 years, `slopes` log2 changes per decade of their abundance, before shares are taken, and `log2_sd`
    is how log2 abundance varies between donors, one for all types or one for each.
    """
    donors = donors.sort(names.DONOR)  # one seed gives one table, in whatever order the donors come
    types = list(shares)
    base = np.array([shares[name] for name in types], dtype=float)
    if (base <= 0).any():
        msg = f"shares must be above zero; {types[int(base.argmin())]!r} has {base.min():g}."
        raise ParameterError(msg)
    spread = np.array([log2_sd[t] if isinstance(log2_sd, Mapping) else log2_sd for t in types], dtype=float)
    generator = np.random.default_rng(seed)
    decades = (donors[names.EXACT_AGE].to_numpy() - CENTER_AGE) / DECADE
    change = np.outer(decades, [(slopes or {}).get(name, 0.0) for name in types])
    abundance = base * np.exp2(change + spread * generator.normal(size=change.shape))
    drawn = generator.multinomial(donors[TOTAL].to_numpy(), abundance / abundance.sum(axis=1, keepdims=True))
    if names.ASSAY not in donors.columns:
        donors = donors.with_columns(pl.lit("made up").alias(names.ASSAY))
    key = [names.ASSAY, names.DONOR]
    counted = pl.concat(
        donors.select(*key, pl.lit(name).alias(TYPE), pl.Series(N, column, dtype=pl.Int64))
        for name, column in zip(types, drawn.T, strict=True)
    )
    return _fill(donors.drop(TYPE, N, strict=False), counted, key)


def estimand(
    counts: pl.DataFrame,
    planted: pl.DataFrame,
    *,
    adjust: Sequence[str] = ADJUST,
    exposure: str = names.EXACT_AGE,
    reference: str = ALL,
) -> pl.DataFrame:
    """Return what a test would find in endless barcodes of these donors, if they differed in nothing but age.

    Planted is a change of *abundance* (``batch``, ``type``, ``log2_change_per_decade``). A test of shares estimates that
    minus the change of everything together, which depends on how common the other types are; their shares are taken from
    the data, the planted change removed. Returned are ``batch``, ``type``, ``planted`` and ``estimand``.
    """
    rows = []
    for (assay,), part in counts.group_by(names.ASSAY, maintain_order=True):
        one = _lay_out(part, adjust=adjust, exposure=exposure, reference=reference)
        if one.fault:
            continue
        own = planted.filter(pl.col(names.ASSAY) == assay).select(TYPE, "log2_change_per_decade")
        slopes = np.array([dict(own.iter_rows()).get(name, 0.0) for name in one.types])
        change = np.outer((one.donors[names.EXACT_AGE].to_numpy() - CENTER_AGE) / DECADE, slopes)
        typical = (one.counts / one.totals[:, None] / np.exp2(change)).mean(axis=0)
        if reference == CENTER:
            frame = change.mean(axis=1, keepdims=True)
        else:
            typical = typical * ((np.array(one.types) == reference) | (reference == ALL))
            frame = np.log2(np.exp2(change) @ (typical / typical.sum()))[:, None]
        expected = np.linalg.lstsq(one.matrix, change - frame, rcond=None)[0][-1]
        rows += [(str(assay), *row) for row in zip(one.types, slopes, expected, strict=True)]
    schema = {names.ASSAY: pl.String, TYPE: pl.String, "planted": pl.Float64, "estimand": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


@dataclass(frozen=True)
class _Layout:
    """One assay, ready for a test: donors x types, and a matrix with the exposure in its last column."""

    types: list[str]
    donors: pl.DataFrame
    counts: np.ndarray
    totals: np.ndarray
    base: np.ndarray | None
    matrix: np.ndarray
    adjusted: list[str]
    per: str
    fault: str | None

    def log_shares(self, tested: np.ndarray) -> np.ndarray:
        """Return log2 shares; half a count is added in a donor of average size, in proportion in others."""
        prior = 0.5 * self.totals[:, None] / self.totals.mean()
        if self.base is None:
            logs = np.log2(self.counts + prior)
            return (logs - logs.mean(axis=1, keepdims=True))[:, tested]
        return np.log2((self.counts[:, tested] + prior) / (self.base[:, None] + 2 * prior))


def _lay_out(part: pl.DataFrame, *, adjust: Sequence[str], exposure: str, reference: str) -> _Layout:
    if part.select(names.DONOR, TYPE).is_duplicated().any():
        msg = "a donor has several rows of one type: libraries of one donor are not replicates. Count donors."
        raise DesignError(msg)
    part = part.filter(pl.col(exposure).is_not_null())
    if reference not in (ALL, CENTER):
        held = pl.col(N).filter(pl.col(TYPE) == reference).sum().over(names.DONOR)
        part = part.with_columns(base=held).filter(pl.col("base") > 0)
    donors = part.unique(names.DONOR).sort(names.DONOR)
    wide = part.pivot(on=TYPE, index=names.DONOR, values=N, sort_columns=True).sort(names.DONOR)
    wide = wide.drop(names.DONOR)
    totals = donors[TOTAL].to_numpy().astype(float)
    base = None if reference == CENTER else totals
    base = donors["base"].to_numpy().astype(float) if "base" in donors.columns else base
    values, numeric = donors[exposure], donors[exposure].dtype.is_numeric()
    groups = sorted(values.unique().to_list(), key=lambda g: (g != names.YOUNG, str(g)))
    fault = None
    if values.n_unique() < 2:
        fault = f"{exposure} is the same in all {len(donors)} donors"
    elif not numeric and len(groups) > 2:
        fault = f"{exposure} has {len(groups)} groups, two are compared"
    elif len(donors) < MIN_DONORS or (not numeric and values.value_counts()["count"].min() < MIN_DONORS):
        fault = f"fewer than {MIN_DONORS} donors" + ("" if numeric else " in a group")
    coded = (values - values.mean()).to_numpy() / DECADE if numeric else values.is_in(groups[-1:]).to_numpy()
    # intercept, the covariates that can be told from the exposure, and the exposure last
    labels = [column for column in adjust if column in donors.columns and not donors[column].null_count()]
    terms = donors.select(labels).cast({~selectors.numeric(): pl.String}).to_pandas()
    coded = terms.assign(**{expression.AGE_TERM: coded.astype(float)})
    adjusted = [] if fault else expression.choose_terms(coded, labels).filter("kept")["term"].to_list()
    matrix = np.asarray(dmatrix(expression.join_terms([*adjusted, expression.AGE_TERM]), coded))
    per = "decade" if numeric else f"{groups[-1]} over {groups[0]}" if groups else ""
    counts = wide.to_numpy().astype(float)
    return _Layout(wide.columns, donors, counts, totals, base, matrix, adjusted, per, fault)


def _permutation(one: _Layout, tested: np.ndarray, draws: int, seed: int, steps: int) -> tuple:
    """Return the six numbers of each type, and the number of arrangements: none in the tests below."""
    labels = [column for column in one.adjusted if not one.donors[column].dtype.is_numeric()]
    dealt = permute.deal(one.matrix[:, -1], strata=one.donors.select(labels), draws=draws, seed=seed)
    slope, low, high, p = permute.fit_slopes(dealt, one.log_shares(tested), steps=steps)
    return slope, low, high, *np.full((2, len(p)), np.nan), p, dealt.n


def _least_squares(one: _Layout, tested: np.ndarray, *_: object, moderate: bool = False) -> tuple:
    response, df = one.log_shares(tested), len(one.matrix) - one.matrix.shape[1]
    slopes, *_rest = np.linalg.lstsq(one.matrix, response, rcond=None)
    variance = ((response - one.matrix @ slopes) ** 2).sum(axis=0) / df
    freedom = np.full(len(variance), float(df))
    if moderate and len(variance) >= FEW_TYPES:
        trend = np.log(one.counts[:, tested].mean(axis=0)) if len(variance) >= TREND_TYPES else None
        squeezed = ep.squeeze_var(variance, freedom, covariate=trend)
        # as limma does: no test has more freedom than all types together
        freedom = np.minimum(freedom + squeezed["df_prior"], df * len(variance))
        variance = np.asarray(squeezed["var_post"])
    error = np.sqrt(variance * np.linalg.inv(one.matrix.T @ one.matrix)[-1, -1])
    return _with_t(slopes[-1], error, freedom)


def _binomial(one: _Layout, tested: np.ndarray, *_: object) -> tuple:
    prior = 0.5 * one.totals / one.totals.mean()  # keeps slopes finite where a type is absent from one end
    trials = one.base + 2 * prior
    fits = []
    for j in np.flatnonzero(tested):
        # shares with their trials as weights: statsmodels' two-column form gets the dispersion wrong
        whole = trials if one.base is one.totals else trials + one.counts[:, j]
        share = (one.counts[:, j] + prior) / whole
        fit = sm.GLM(share, one.matrix, family=sm.families.Binomial(), var_weights=whole).fit(scale="X2")
        # a slope of log odds b is a slope b (1 - share) of the log share; against a reference it is one of the ratio
        factor = (1 - fit.fittedvalues.mean() if one.base is one.totals else 1) / np.log(2)
        fits.append((fit.params[-1] * factor, fit.bse[-1] * factor))
    slope, error = np.array(fits).T
    return _with_t(slope, error, np.full(len(slope), float(len(one.matrix) - one.matrix.shape[1])))


def _chi_square(one: _Layout, tested: np.ndarray, *_: object) -> tuple:
    old = one.matrix[:, -1] > (np.median(one.matrix[:, -1]) if one.per == "decade" else 0.5)
    if not old.any():
        msg = "chi-square holds an older half against a younger, but most donors share the highest age: choose another method."
        raise DesignError(msg)
    young_n, old_n = one.counts[~old][:, tested].sum(axis=0), one.counts[old][:, tested].sum(axis=0)
    young_all, old_all = one.base[~old].sum(), one.base[old].sum()
    inside = one.base is one.totals  # a type is a part of all barcodes, and stands beside another reference
    halves = zip(young_n, young_all - young_n * inside, old_n, old_all - old_n * inside, strict=True)
    p = np.array([stats.chi2_contingency([[a, b], [c, d]], correction=False).pvalue for a, b, c, d in halves])
    change = np.log2((old_n + 0.5) / old_all) - np.log2((young_n + 0.5) / young_all)
    error = np.sqrt(1 / (young_n + 0.5) + 1 / (old_n + 0.5)) / np.log(2)
    return change, change - 1.96 * error, change + 1.96 * error, error, np.full_like(p, np.inf), p, None


def _with_t(slope: np.ndarray, error: np.ndarray, df: np.ndarray) -> tuple:
    margin, p = stats.t.ppf(0.975, df) * error, 2 * stats.t.sf(np.abs(slope / error), df)
    return slope, slope - margin, slope + margin, error, df, p, None


_TESTS = {
    "permutation": _permutation,
    "least squares": _least_squares,
    "moderated": partial(_least_squares, moderate=True),
    "binomial": _binomial,
    "chi-square": _chi_square,
}


def _reasons(one: _Layout, min_total: int) -> list[str | None]:
    """Say for each type why it is not tested, or None."""
    reasons = [one.fault] * len(one.types)
    for j, counts in enumerate(one.counts.T if one.fault is None else ()):
        if counts.sum() < min_total:
            reasons[j] = f"{int(counts.sum())} counted, fewer than {min_total}"
        elif (counts > 0).sum() < MIN_DONORS:
            reasons[j] = f"in {(counts > 0).sum()} donors, fewer than {MIN_DONORS}"
        elif one.base is not None and (counts == one.base).all():
            reasons[j] = "is the reference"
    return reasons


def _require(table: pl.DataFrame, columns: Sequence[str]) -> None:
    if missing := [column for column in columns if column not in table.columns]:
        msg = f"columns {missing} are missing; the table has {table.columns}."
        raise TableError(msg)


def _faults(table: pl.DataFrame, constant: Sequence[str]) -> list[str]:
    """Name what is wrong with a count table of another study, the first place of each fault."""
    if table.is_empty():
        return ["the table has no rows"]
    faults = [
        f"{holes} empty values in {column!r}, first in row {table[column].is_null().arg_max()}: fill or drop these rows"
        for column in table.columns
        if (holes := table[column].null_count())
    ]
    nameless = table.filter(pl.col(names.DONOR).cast(pl.String).str.strip_chars() == "")
    twice = table.filter(pl.struct(names.ASSAY, names.DONOR, TYPE).is_duplicated())
    found = [
        (nameless, "rows name no donor", names.DONOR),
        (twice, "rows share donor and type: add them up first", TYPE),
    ]
    for column in constant:
        values = table.group_by(names.DONOR).agg(pl.col(column).n_unique())
        several = values.filter(pl.col(column) > 1).sort(names.DONOR)
        what = f"donors have several values of {column!r}: one per donor is needed"
        found.append((several, what, names.DONOR))
    if table[N].dtype.is_numeric():
        whole = (pl.col(N) >= 0) & (pl.col(N) == pl.col(N).round(0)) & pl.col(N).cast(pl.Float64).is_finite()
        held = table.group_by(names.ASSAY, names.DONOR).agg(pl.col(N).sum()).sort(names.DONOR)
        found.append((table.filter(~whole), "counts are not whole numbers >= 0", N))
        found.append((held.filter(pl.col(N) == 0), "donors have no counts at all: drop them", names.DONOR))
    else:
        faults.append(f"counts are {table[N].dtype}, not numbers")
    faults += [
        f"{bad.height} {what}, first {bad[column][0]!r} in donor {bad[names.DONOR][0]!r}"
        for bad, what, column in found
        if bad.height
    ]
    return faults


def _fill(units: pl.DataFrame, counted: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    """Give every unit of an assay a row for every type of that assay, zero where it has none; types together, by age."""
    grid = units.join(counted.select(names.ASSAY, TYPE).unique(), on=names.ASSAY)
    table = grid.join(counted, on=[*key, TYPE], how="left").with_columns(pl.col(N).fill_null(0))
    first = [names.ASSAY, TYPE, *key[1:], N, TOTAL]
    age = [names.EXACT_AGE] if names.EXACT_AGE in table.columns else []
    return table.select(*first, pl.exclude(first)).sort(names.ASSAY, TYPE, *age, *key[1:])
