"""Genes that change with age, tested on donors: what edgePython's quasi-likelihood leaves to whoever calls it."""

from collections.abc import Iterator, Sequence

import edgepython as ep
import numpy as np
import pandas as pd
import polars as pl
from anndata import AnnData
from patsy import dmatrix
from scipy import stats

import helpers.kernels  # noqa: F401  edgePython compiles in several processes at once
from helpers import names
from helpers.errors import CountsError, DesignError, ParameterError
from helpers.parameters import require_known

EXACT, MIDPOINT, BIN = "exact", "midpoint", "bin"
ALL = "all"
AGE_TERM = "coded_age"  # decades, or 1 for old and 0 for young
COVARIATES = (names.SEX, "chemistry")
_USUAL, _BETWEEN = "MuSC", "between"
_COARSER = "Choose a more common cell type or a coarser level"
_MIN_GENES = 50  # the variance prior is estimated over genes; below this it is not worth the name
_MIN_COUNT = 10  # molecules
_MIN_RESIDUAL = 3  # residual degrees of freedom below which a covariate is given up
_NUMBERS = ("log2_change", "low", "high", "standard_error", "df", "F", "p", "q", "mean_log2_cpm")
_SCHEMA = {"gene": pl.String, **dict.fromkeys(_NUMBERS, pl.Float64)}
_SIZES = {"donors": pl.Int64, "cells_per_donor": pl.Float64, "decades_seen": pl.Float64}
_SCREEN = {**dict.fromkeys(("level", "cell_type", "assay"), pl.String), **_SCHEMA, **_SIZES}


def sum_profiles(cells: AnnData, donors: pl.DataFrame, *, min_cells: int = 10) -> AnnData:
    """Sum the molecules of cells of one type and assay over each donor.

    `cells` are cells x genes with molecules in layer ``counts`` and donors in ``obs["DonorID"]``; `donors` is
    ``muscle.donors``, of which those of fewer than `min_cells` cells are left out.

    Returned are donors x genes in the order of `donors`: molecules in layer ``sum`` (`scanpy.get.aggregate`), and in
    ``obs`` the columns of `donors`, the chemistries of these cells joined by " + ", and ``n_cells``.
    """
    sizes = cells.obs[names.DONOR].astype(str)[cells.obs[names.DONOR].notna()].value_counts()
    order = [donor for donor in donors[names.DONOR].to_list() if sizes.get(donor, 0) >= min_cells]
    table = donors.to_pandas().set_index(names.DONOR, drop=False).rename_axis(None)
    obs = table.loc[order].assign(n_cells=[int(sizes[donor]) for donor in order])
    if not order:
        return AnnData(obs=obs, var=cells.var[[]], layers={"sum": np.zeros((0, cells.n_vars))})
    import scanpy as sc  # two seconds that a composition need not wait for

    cells = cells[cells.obs[names.DONOR].astype(str).isin(order).to_numpy()]
    summed = sc.get.aggregate(cells, by=names.DONOR, func="sum", layer=names.COUNTS)[order]
    if names.CHEMISTRY in cells.obs and cells.obs[names.CHEMISTRY].notna().any():
        kits = cells.obs.dropna(subset=[names.CHEMISTRY]).astype({names.CHEMISTRY: str, names.DONOR: str})
        joined = kits.groupby(names.DONOR)[names.CHEMISTRY].agg(lambda kit: " + ".join(sorted(set(kit))))
        obs["chemistry"] = joined.reindex(order)
    return AnnData(obs=obs, var=cells.var[[]], layers={"sum": summed.layers["sum"]})


def choose_type(
    obs: pd.DataFrame,
    donors: pl.DataFrame,
    wanted: str = "",
    *,
    level: str = names.LEVEL0,
    assay: str = names.CELLS,
    min_cells: int = 10,
    **comparison: object,
) -> str:
    """Return the cell type to look at: the one asked for, else "MuSC", else the most common that can be tested.

    It takes a table of cells (donor, assay and labels), ``muscle.donors``, and options of `choose_donors`.
    """
    here = obs.loc[(obs[names.ASSAY].astype(str) == assay).to_numpy(), [level, names.DONOR]]
    here = here.dropna().astype(str)
    labels = here[level].value_counts().index.to_list()
    require_known(f"{level} of {assay}", wanted, labels or [wanted])
    tried = [wanted] if wanted in labels else sorted(labels, key=lambda label: label != _USUAL)
    sizes = here.value_counts([level, names.DONOR])
    refusals = []
    for label in tried:
        enough = sizes[label][sizes[label] >= min_cells].index.to_list()
        there = donors.filter(pl.col(names.DONOR).is_in(enough))
        try:
            choose_donors(there, what=f"{label} in {assay}", **comparison)
        except DesignError as refusal:
            refusals.append(str(refusal))
        else:
            return label
    msg = f"no barcode of {assay} has {level} and a donor: see {names.ASSAY} on the page 'Your own files'."
    raise DesignError([*refusals, msg][0])


def choose_donors(
    donors: pd.DataFrame | pl.DataFrame,
    *,
    age_as: str = EXACT,
    young_max: float = 40,
    old_min: float = 50,
    sex: str = ALL,
    min_donors: int = 3,
    what: str = "these profiles",
) -> pd.DataFrame:
    """Choose the donors of a test across age and code their age, or refuse.

    `donors` has one row a donor: ``DonorID``, ``age`` (years) and, where there are, ``age_numeric``, ``Age_bin``,
    ``Sex``, ``chemistry``. `age_as` is ``"exact"``: years; ``"midpoint"``: middle of the deposited five-year bin; or
    ``"bin"``: old against young. A donor up to `young_max` years is young, from `old_min` old; those between are left
    out of a bin comparison. `sex` is ``"M"`` or ``"F"`` for donors of one; young and old must have `min_donors` each.

    Returned are the chosen rows, with ``group`` ("young", "between", "old") and ``coded_age`` (decades; with ``"bin"``
    1 for old and 0 for young). Missing labels of sex and chemistry read "not stated", and a chemistry of a single donor
    is joined to the commonest: alone it would only take its donor out of the test.
    """
    codings, sexes = (EXACT, MIDPOINT, BIN), (ALL, names.MALE, names.FEMALE)
    guards = {
        f"age_as is {age_as!r}; choose one of {codings}": age_as not in codings,
        f"sex is {sex!r}; choose one of {sexes}": sex not in sexes,
        f"young_max {young_max:g} is not below old_min {old_min:g}": not young_max < old_min,
        f"min_donors is {min_donors}; one donor has no variance, ask for 2 or more": min_donors < 2,
    }
    if any(guards.values()):
        msg = f"this comparison makes no sense: {'; '.join(one for one, fault in guards.items() if fault)}."
        raise ParameterError(msg)
    table = donors.to_pandas() if isinstance(donors, pl.DataFrame) else donors.copy()
    repeated = table[names.DONOR][table[names.DONOR].duplicated()].astype(str).unique()
    if len(repeated):
        who = f"donor(s) {', '.join(repeated)} have several profiles, which are not replicates"
        msg = f"{what}: {who}. Choose one assay and one cell type before a test across age."
        raise DesignError(msg)
    nothing = pd.Series(np.nan, index=table.index)
    exact, middle = (table.get(c, nothing).to_numpy(float) for c in ("age", names.AGE_MIDPOINT))
    years = {EXACT: exact, MIDPOINT: middle, BIN: np.where(np.isnan(exact), middle, exact)}[age_as]
    group = np.where(years <= young_max, names.YOUNG, np.where(years >= old_min, names.OLD, _BETWEEN))
    known = ~np.isnan(years)
    if age_as == BIN and names.AGE_BIN in table and not known.all():
        group = np.where(known, group, table[names.AGE_BIN].astype(str))
        known = np.isin(group, [names.YOUNG, names.OLD, _BETWEEN])
    for column in COVARIATES:
        given = table.get(column, pd.Series(None, index=table.index, dtype=object)).astype(object)
        table[column] = given.where(given.notna() & (given != ""), "not stated").astype(str)
    table["group"] = group
    table[AGE_TERM] = (group == names.OLD).astype(float) if age_as == BIN else years / 10
    used = known & ((sex == ALL) | (table[names.SEX] == sex).to_numpy())
    chosen = table[used & ((age_as != BIN) | (group != _BETWEEN))].copy()
    young, old = (int((chosen["group"] == one).sum()) for one in (names.YOUNG, names.OLD))
    if min(young, old) < min_donors:
        lacking = {names.YOUNG: min_donors - young, names.OLD: min_donors - old}
        missing = [f"{n} more {one} donor{'s' if n > 1 else ''}" for one, n in lacking.items() if n > 0]
        who = "" if sex == ALL else f" of sex {sex}"
        ages = "" if known.all() else f" {(~known).sum()} donor(s) have no age that this coding can read."
        msg = (
            f"{what} cannot be tested across age: {young} young and {old} old donors{who} have enough cells, "
            f"{min_donors} of each are needed; missing: {' and '.join(missing)}.{ages} {_COARSER}, or lower min_cells."
        )
        raise DesignError(msg)
    kits = chosen["chemistry"].value_counts()
    rare = sorted(kits.index[kits < 2])
    if rare and len(rare) < len(kits):
        joined = " or ".join([kits.index[0], *rare])
        chosen["chemistry"] = chosen["chemistry"].replace(dict.fromkeys([kits.index[0], *rare], joined))
    return chosen


def choose_terms(donors: pd.DataFrame, covariates: Sequence[str] = COVARIATES) -> pl.DataFrame:
    """Tell which covariates, most important first, can be estimated beside age: term, levels, kept, why."""
    rows, kept = [], [AGE_TERM]
    for term in covariates:
        levels = donors[term].value_counts().sort_index()
        tried = np.asarray(dmatrix(join_terms([*kept, term] if len(levels) > 1 else kept), donors))
        if len(levels) < 2:
            why = f"left out: all donors are {levels.index[0]}"
        elif np.linalg.matrix_rank(tried) < tried.shape[1]:
            why = "left out: it cannot be told apart from age or the terms before it"
        elif tried.shape[0] - tried.shape[1] < _MIN_RESIDUAL:
            why = f"left out: {len(donors)} donors would leave fewer than {_MIN_RESIDUAL} degrees of freedom"
        else:
            why = "adjusted for"
            kept.append(term)
        shown = ", ".join(f"{level}: {n}" for level, n in levels.items())
        rows.append((term, shown, term in kept, why))
    schema = {"term": pl.String, "levels": pl.String, "kept": pl.Boolean, "why": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def join_terms(terms: Sequence[str]) -> str:
    """Return a formula of columns, whatever their names hold."""
    return " + ".join(f"Q({term!r})" for term in terms)


def write_formula(donors: pd.DataFrame, covariates: Sequence[str] = COVARIATES) -> str:
    """Return the formula of the test, such as "coded_age + Sex": age, and the covariates that `choose_terms` keeps."""
    return " + ".join([AGE_TERM, *choose_terms(donors, covariates).filter("kept")["term"]])


def find_expressed(counts: pd.DataFrame, *, what: str = "these profiles") -> pd.DataFrame:
    """Keep the genes (genes x donors, molecules) that half of the donors express, by edgeR's rule [1]_.

    A gene must reach ten molecules, in a profile of median size, in half of the donors. The leverage of the design,
    edgeR's own choice, lets genes pass that two of seven donors have: on simulated atlases their p-values below 1e-4
    were 20 times too many.

    References
    ----------
    .. [1] Chen, Lun and Smyth (2016), F1000Research, doi:10.12688/f1000research.8987.2
    """
    _refuse_no_counts(counts)
    _refuse_empty(counts, what)
    half = -(-counts.shape[1] // 2)
    keep = ep.filter_by_expr(counts.to_numpy(float), min_count=_MIN_COUNT, min_sample_size=half)
    if keep.sum() < _MIN_GENES:
        few = f"only {int(keep.sum())} genes reach {_MIN_COUNT} molecules in half of {counts.shape[1]} donors"
        msg = f"{what}: {few}, {_MIN_GENES} are needed. {_COARSER}."
        raise DesignError(msg)
    _refuse_empty(counts[keep], what)
    return counts[keep]


def find_sizes(counts: pd.DataFrame) -> np.ndarray:
    """Return the effective library size of each donor: molecules times the TMM factor, with pairing of single zeros."""
    values = counts.to_numpy(float)
    return values.sum(axis=0) * ep.calc_norm_factors(values, method="TMMwsp")


def to_log2_cpm(counts: pd.DataFrame, sizes: np.ndarray) -> pd.DataFrame:
    """Return log2 counts per million, half a molecule added; sizes are those of `find_sizes`, of these genes or fewer."""
    return np.log2((counts + 0.5) / (sizes + 1) * 1e6)


def run_test(
    counts: pd.DataFrame,
    design: pd.DataFrame,
    *,
    sizes: np.ndarray | None = None,
    prior_trust: float = 1.0,
) -> pl.DataFrame:
    """Test every gene for a change with ``coded_age`` by edgeR's quasi-likelihood F test [1]_, with intervals.

    `counts` are molecules of expressed genes x donors, `design` is donors x terms as patsy's ``dmatrix(...,
    return_type="dataframe")``, `sizes` are the effective library sizes if not `find_sizes` of the counts. `prior_trust`
    is the share of the prior degrees of freedom that the moderation of variances uses: 1 is edgeR. Where variances of
    genes spread more unevenly than it expects, the smallest p-values come too often.

    Returned is one row a gene, smallest p first: gene, log2_change with its 95 % interval (low, high), standard_error,
    df, F, p, q (Benjamini and Hochberg), mean_log2_cpm.

    References
    ----------
    .. [1] Lun, Chen and Smyth (2016), doi:10.1007/978-1-4939-3578-9_19
    """
    _refuse_no_counts(counts)
    offset = np.broadcast_to(np.log(find_sizes(counts) if sizes is None else sizes), counts.shape)
    # robust: one donor far out must not widen the prior of all genes
    fit = ep.glm_ql_fit(counts.to_numpy(float), design=design.to_numpy(float), offset=offset, robust=True)
    if prior_trust != 1:
        _moderate_less(fit, prior_trust)
    place = design.columns.get_loc(AGE_TERM)
    return add_intervals(ep.glm_ql_ftest(fit, coef=place), fit, coef=place, genes=counts.index)


def add_intervals(tested: dict, fit: dict, *, coef: int, genes: Sequence[str]) -> pl.DataFrame:
    """Turn what ``glm_ql_ftest`` and ``glm_ql_fit`` returned into a table with 95 % intervals, smallest p first.

    The standard error is the one with which a t interval and the F test agree, the change over the root of F; where F
    is nearly zero both vanish and their ratio is noise, so that the curvature of the fit serves there.
    """
    scale, x = np.asarray(fit["average.ql.dispersion"], dtype=float), np.asarray(fit["design"], dtype=float)
    dispersion = np.reshape(np.asarray(fit["dispersion"], dtype=float) / scale, (-1, 1))
    fitted = np.asarray(fit["fitted.values"], dtype=float)
    weight = np.maximum(fitted / (1 + dispersion * fitted), 1e-10)
    covariance = np.linalg.inv(np.einsum("gn,ni,nj->gij", weight, x, x))[:, coef, coef]
    curved = np.sqrt(covariance * np.asarray(fit["s2.post"], dtype=float)) / np.log(2)
    table = tested["table"]
    change, f_value = table["logFC"].to_numpy(float), table["F"].to_numpy(float)
    p, mean = table["PValue"].to_numpy(float), table["logCPM"].to_numpy(float)
    df = np.broadcast_to(np.asarray(tested["df.total"], dtype=float), change.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.where(f_value > 0.1, np.abs(change) / np.sqrt(f_value), curved)
    reach = stats.t.isf(0.025, df) * error
    q = stats.false_discovery_control(p)
    numbers = (change, change - reach, change + reach, error, df.copy(), f_value, p, q, mean)
    columns = {"gene": np.asarray(genes, dtype=str), **dict(zip(_NUMBERS, numbers, strict=True))}
    return pl.DataFrame(columns, schema=_SCHEMA).sort("p", "gene")


def find_testable(
    adata: AnnData,
    donors: pl.DataFrame,
    *,
    level: str = names.LEVEL0,
    min_cells: int = 10,
    **comparison: object,
) -> Iterator[tuple[str, str, pd.DataFrame | None, pd.DataFrame | str]]:
    """Sum every cell type in every assay over donors, one at a time, and say which can be tested.

    `adata` has molecules in layer ``counts`` and cell types in a column `level`; `donors` is ``muscle.donors``, and
    `min_cells` what a donor needs for a profile. Yielded are cell type, assay, the chosen donors and the counts of all
    genes (genes x donors); or none, and why not.
    """
    known = adata.obs[[names.ASSAY, level, names.DONOR]].notna().all(axis=1).to_numpy()
    labels = adata.obs.loc[known, [level, names.ASSAY]].astype(str)
    places = np.flatnonzero(known)
    for (cell_type, assay), at in sorted(labels.groupby([level, names.ASSAY]).indices.items()):
        what = f"{cell_type} in {assay}"
        # one type at a time, so that no copy of the matrix is made
        profiles = sum_profiles(adata[places[at]], donors, min_cells=min_cells)
        try:
            chosen = choose_donors(profiles.obs, what=what, **comparison)
            counts = profiles.to_df("sum").T[chosen[names.DONOR]]
            find_expressed(counts, what=what)
        except DesignError as refusal:
            yield cell_type, assay, None, str(refusal)
        else:
            yield cell_type, assay, chosen, counts


def screen(
    adata: AnnData,
    donors: pl.DataFrame,
    *,
    level: str = names.LEVEL0,
    min_cells: int = 10,
    prior_trust: float = 1.0,
    **comparison: object,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Test every cell type in every assay for a change with age, donors as units.

    It takes what `find_testable` takes, options of `choose_donors` among them, and the trust of `run_test`.

    Returned are the tests (the columns of `run_test`, with level, cell_type, assay, donors, cells_per_donor and
    decades_seen: what a change of one per decade becomes in the unit of the test), and the pairs of type and assay that
    were refused with the reason.
    """
    tests, refused = [pl.DataFrame(schema=_SCREEN)], []
    pairs = find_testable(adata, donors, level=level, min_cells=min_cells, **comparison)
    for cell_type, assay, chosen, found in pairs:
        if chosen is None:
            refused.append((cell_type, assay, found))
            continue
        design = dmatrix(write_formula(chosen), chosen, return_type="dataframe")
        seen = np.nan
        if chosen["age"].notna().all():
            slopes = np.linalg.lstsq(design, chosen["age"] / 10, rcond=None)[0]
            seen = slopes[design.columns.get_loc(AGE_TERM)]
        about = {"level": level, "cell_type": cell_type, "assay": assay, "donors": len(chosen)}
        about |= {"cells_per_donor": chosen["n_cells"].median(), "decades_seen": float(seen)}
        test = run_test(find_expressed(found), design, prior_trust=prior_trust)
        test = test.with_columns(pl.lit(value).alias(name) for name, value in about.items())
        tests.append(test.select(*_SCREEN).cast(_SCREEN))
    refusals = dict.fromkeys(("cell_type", "assay", "reason"), pl.String)
    table = pl.concat(tests).sort("cell_type", "assay", "p", "gene")
    return table, pl.DataFrame(refused, schema=refusals, orient="row")


def _refuse_empty(counts: pd.DataFrame, what: str) -> None:
    empty = counts.columns[counts.sum() == 0]
    if len(empty):
        who = ", ".join(map(str, empty))
        msg = f"{what}: donor(s) {who} have no molecule of a tested gene. Raise min_cells to leave them out."
        raise DesignError(msg)


def _refuse_no_counts(counts: pd.DataFrame) -> None:
    # edgePython takes fractions in silence
    values = counts.to_numpy(float)
    bad = ~((values >= 0) & (values == np.floor(values)))
    if bad.any():
        gene, donor = np.argwhere(bad)[0]
        first = f"first {values[gene, donor]:.3g} of {counts.index[gene]} in {counts.columns[donor]}"
        many = f"{int(bad.sum()):,} of {values.size:,} sums are not whole numbers >= 0"
        msg = f"{many}, {first}: sum molecules, not normalized values."
        raise CountsError(msg)


def _moderate_less(fit: dict, prior_trust: float) -> None:
    """Take a share of the prior degrees of freedom and moderate the quasi-dispersions anew."""
    residual = np.asarray(fit["df.residual.adj"], dtype=float)
    prior, center, moderated = (
        np.broadcast_to(np.asarray(fit[key], dtype=float), residual.shape)
        for key in ("df.prior", "s2.prior", "s2.post")
    )
    finite = np.isfinite(prior)
    trusted = np.where(finite, prior_trust * np.where(finite, prior, 0), prior)
    with np.errstate(invalid="ignore", divide="ignore"):
        # residual x own variance, taken back out of the moderated one
        own = np.maximum(moderated * (prior + residual) - prior * center, 0)
        fit["s2.post"] = np.where(finite, (trusted * center + own) / (trusted + residual), moderated)
    fit["df.prior"] = trusted
