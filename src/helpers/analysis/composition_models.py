"""The arithmetic of the composition tests: many types at once, one model matrix."""

from dataclasses import dataclass

import numpy as np
from scipy import special, stats

LEVEL = 0.95


@dataclass(frozen=True)
class Fit:
    """Effect of the last column of the matrix, per type: estimate, standard error, degrees of freedom, p."""

    effect: np.ndarray
    error: np.ndarray
    df: np.ndarray
    p: np.ndarray

    @property
    def margin(self) -> np.ndarray:
        """Half the width of the 95 % interval."""
        return stats.t.ppf((1 + LEVEL) / 2, self.df) * self.error


def linear(
    response: np.ndarray, matrix: np.ndarray, *, weights: np.ndarray | None = None, moderate: bool = True
) -> Fit:
    """Fit one straight-line model per type by least squares, residual variances drawn toward each other.

    Parameters
    ----------
    response
        Units x types.
    matrix
        Units x terms, the exposure last.
    weights
        Units x types: relative precision of each response; equal where None.
    moderate
        Shrink the residual variances of the types toward their common value [1]_; this is what propeller does [2]_.

    References
    ----------
    .. [1] Smyth (2004), doi:10.2202/1544-6115.1027
    .. [2] Phipson et al. (2022), Bioinformatics, doi:10.1093/bioinformatics/btac582
    """
    weights = np.ones_like(response) if weights is None else weights
    inverse = np.linalg.inv(np.einsum("ut,ui,uj->tij", weights, matrix, matrix))
    coefficients = np.einsum("tij,uj,ut->ti", inverse, matrix, weights * response)
    df = matrix.shape[0] - matrix.shape[1]
    variance = (weights * (response - matrix @ coefficients.T) ** 2).sum(axis=0) / df
    freedom = np.full(response.shape[1], float(df))
    if moderate and response.shape[1] > 2:
        variance, freedom = squeeze(variance, df)
    return make_fit(coefficients[:, -1], np.sqrt(variance * inverse[:, -1, -1]), freedom)


def precision(
    response: np.ndarray, expected: np.ndarray, matrix: np.ndarray, *, steps: int = 60
) -> np.ndarray:
    """Return the relative precision of log2 shares: donors differ, and few counts add noise of their own.

    The variance of a log2 share is that between donors plus 1 / (expected count x ln(2) squared). The variance
    between donors is found for each type so that the weighted residuals have their expected size (Paule and Mandel
    1982, doi:10.6028/jres.087.022); its median over the types is used for all, so that no type sets its own weights.

    Parameters
    ----------
    response
        log2 shares, units x types.
    expected
        Expected counts, units x types.
    matrix
        Units x terms of the model whose residuals are judged.
    steps
        Halvings of the search range.
    """
    noise = 1 / (np.maximum(expected, 1e-6) * np.log(2) ** 2)
    df = matrix.shape[0] - matrix.shape[1]
    low, high = np.zeros(response.shape[1]), np.full(response.shape[1], 100.0)
    for _ in range(steps):
        middle = (low + high) / 2
        weights = 1 / (middle + noise)
        inverse = np.linalg.inv(np.einsum("ut,ui,uj->tij", weights, matrix, matrix))
        fitted = matrix @ np.einsum("tij,uj,ut->ti", inverse, matrix, weights * response).T
        wide = (weights * (response - fitted) ** 2).sum(axis=0) > df
        low, high = np.where(wide, middle, low), np.where(wide, high, middle)
    between = max(float(np.median(high)), 1e-3)
    return between / (between + noise)


def squeeze(variance: np.ndarray, df: float) -> tuple[np.ndarray, np.ndarray]:
    """Shrink variances toward a common one and return them with their degrees of freedom.

    The prior is a scaled inverse chi-square whose two parameters are matched to the mean and the spread of the log
    variances (Smyth 2004, doi:10.2202/1544-6115.1027).

    Parameters
    ----------
    variance
        One residual variance per type.
    df
        Degrees of freedom of each.
    """
    held = np.maximum(variance, 1e-12 * max(float(np.median(variance)), 1e-300))
    logs = np.log(held) - special.digamma(df / 2) + np.log(df / 2)
    excess = float(np.var(logs, ddof=1) - special.polygamma(1, df / 2))
    if excess <= 0:
        common = np.full_like(variance, np.exp(logs.mean()))
        return common, np.full_like(variance, df * variance.size)
    prior_df = 2 * _inverse_trigamma(excess)
    prior = np.exp(logs.mean() + special.digamma(prior_df / 2) - np.log(prior_df / 2))
    shrunk = (prior_df * prior + df * variance) / (prior_df + df)
    return shrunk, np.full_like(variance, min(prior_df + df, df * variance.size))


def quasi_binomial(
    counts: np.ndarray, trials: np.ndarray, matrix: np.ndarray, *, rounds: int = 12
) -> tuple[Fit, np.ndarray]:
    """Fit a logistic model per type whose donors vary more than chance alone would make them.

    The variance of a count is m p (1 - p) (1 + (m - 1) v p (1 - p)): donors differ in their log-odds with variance
    v (Williams 1982, model III, doi:10.2307/2347977). It is set, type by type, so that the Pearson statistic equals its
    degrees of freedom. A donor with few cells then weighs less, but a donor with very many does not outweigh the
    others. With a dozen donors of skewed abundance the model's own standard error is too small (in audits 7 to 10 % of
    null tests fall below p = 0.05): the larger of it and the leave-one-out sandwich error (HC3; MacKinnon and White 1985,
    doi:10.1016/0304-4076(85)90158-7) is used, with the t distribution of units minus terms degrees of freedom.

    Parameters
    ----------
    counts
        Units x types.
    trials
        Units x types: the count of which `counts` is a part.
    matrix
        Units x terms, the exposure last.
    rounds
        Rounds of estimating the variance between donors.

    Returns
    -------
    The fit, on the log-odds scale, and the fitted shares (units x types).
    """
    df = matrix.shape[0] - matrix.shape[1]
    # a small prior keeps slopes finite where a type is absent from one end of the age range
    prior = 0.5 * trials / trials.mean(axis=0)
    counts, trials = counts + prior, trials + 2 * prior
    between = np.zeros(counts.shape[1])
    fitted = np.repeat((counts / trials).mean(axis=0)[None, :], len(counts), axis=0)
    for _ in range(rounds):
        weights = _williams(trials, fitted, between)
        beta, fitted, hat = _logistic(counts, trials, weights, matrix)
        binomial = trials * fitted * (1 - fitted)
        squares = weights * (counts - trials * fitted) ** 2 / binomial
        slack = (weights * (1 - hat)).sum(axis=0)
        lean = (weights * (1 - hat) * (trials - 1) * fitted * (1 - fitted)).sum(axis=0)
        between = np.clip((squares.sum(axis=0) - slack) / lean, 0, 50)
    weights = _williams(trials, fitted, between)
    beta, fitted, hat = _logistic(counts, trials, weights, matrix)
    curvature = weights * trials * fitted * (1 - fitted)
    residual = weights * (counts - trials * fitted)
    inverse = np.linalg.inv(np.einsum("ut,ui,uj->tij", curvature, matrix, matrix))
    model = np.maximum((residual**2 / curvature).sum(axis=0) / df, 1.0) * inverse[:, -1, -1]
    pull = matrix @ inverse[:, -1, :].T
    sandwich = (pull**2 * residual**2 / np.maximum(1 - hat, 1e-3) ** 2).sum(axis=0)
    error = np.sqrt(np.maximum(model, sandwich))
    return make_fit(beta[:, -1], error, np.full(counts.shape[1], float(df))), fitted


def _williams(trials: np.ndarray, fitted: np.ndarray, between: np.ndarray) -> np.ndarray:
    return 1 / (1 + (trials - 1) * between * fitted * (1 - fitted))


def _logistic(
    counts: np.ndarray, trials: np.ndarray, weights: np.ndarray, matrix: np.ndarray, *, steps: int = 30
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit weighted logistic models by Fisher scoring; return coefficients, fitted shares, leverages."""
    share = counts / trials
    eta = np.log(share / (1 - share))
    for _ in range(steps):
        mu = special.expit(eta)
        curvature = weights * trials * mu * (1 - mu)
        working = eta + (share - mu) / (mu * (1 - mu))
        information = np.einsum("ut,ui,uj->tij", curvature, matrix, matrix)
        score = np.einsum("ut,ut,ui->ti", curvature, working, matrix)
        beta = np.linalg.solve(information, score[:, :, None])[:, :, 0]
        updated = np.clip(matrix @ beta.T, -30, 30)
        moved, eta = float(np.abs(updated - eta).max()), updated
        if moved < 1e-9:
            break
    mu = special.expit(eta)
    curvature = weights * trials * mu * (1 - mu)
    inverse = np.linalg.inv(np.einsum("ut,ui,uj->tij", curvature, matrix, matrix))
    hat = curvature * np.einsum("ui,tij,uj->ut", matrix, inverse, matrix)
    return beta, mu, hat


def chi_square(young: np.ndarray, old: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Test pooled cells of two groups, type against the rest: log2 ratio of shares, its error, p.

    This takes every cell for an independent witness. It is here to show what that gets wrong.

    Parameters
    ----------
    young, old
        Counts per type, pooled over the donors of a group, plus the rest as the last entry of each.
    """
    totals = young.sum(), old.sum()
    table = np.stack([np.stack([young, totals[0] - young]), np.stack([old, totals[1] - old])]).astype(float)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / table.sum(axis=(0, 1))
    statistic = ((table - expected) ** 2 / np.maximum(expected, 1e-300)).sum(axis=(0, 1))
    first, second = young + 0.5, old + 0.5
    effect = np.log2(second / totals[1]) - np.log2(first / totals[0])
    error = np.sqrt(1 / first + 1 / second - 1 / totals[0] - 1 / totals[1]) / np.log(2)
    return effect, error, stats.chi2.sf(statistic, 1)


def adjust(p: np.ndarray) -> np.ndarray:
    """Return Benjamini-Hochberg adjusted p-values; those that are not numbers are left out and stay so.

    Examples
    --------
    >>> adjust(np.array([0.01, 0.02, 0.9])).round(3).tolist()
    [0.03, 0.03, 0.9]
    """
    adjusted = np.full(p.shape, np.nan)
    tested = np.isfinite(p)
    if tested.any():
        adjusted[tested] = stats.false_discovery_control(p[tested])
    return adjusted


def make_fit(effect: np.ndarray, error: np.ndarray, df: np.ndarray) -> Fit:
    """Return a fit with its two-sided p-values from the t distribution."""
    error = np.maximum(error, 1e-12)
    return Fit(effect, error, df, 2 * stats.t.sf(np.abs(effect) / error, df))


def _inverse_trigamma(value: float) -> float:
    """Solve trigamma(x) = value by Newton's method on 1 / trigamma."""
    x = 0.5 + 1 / value
    for _ in range(50):
        trigamma = special.polygamma(1, x)
        step = trigamma * (1 - trigamma / value) / special.polygamma(2, x)
        x += float(step)
        if abs(step / x) < 1e-10:
            break
    return float(x)
