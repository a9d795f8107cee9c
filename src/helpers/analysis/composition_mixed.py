"""A mixed model of composition: libraries nested in donors, many types at once."""

import numpy as np

from helpers.analysis.composition_models import Fit, make_fit


def mixed(
    response: np.ndarray, matrix: np.ndarray, groups: np.ndarray, *, weights: np.ndarray | None = None
) -> tuple[Fit, np.ndarray]:
    """Fit a model with a random intercept of the donor, for units (libraries) of which a donor has several.

    The ratio of the variance between donors to that within is found by restricted maximum likelihood over a grid. Age
    is a property of the donor, so that its interval uses donors minus donor-level terms as degrees of freedom.

    Parameters
    ----------
    response
        Units x types.
    matrix
        Units x terms, the exposure last.
    groups
        The donor of each unit.
    weights
        Units x types: relative precision of each response; equal where None.

    Returns
    -------
    The fit, and the share of the residual variance that lies between donors.
    """
    _, codes = np.unique(groups, return_inverse=True)
    member = (codes[:, None] == np.arange(codes.max() + 1)).astype(float)
    means = (member / member.sum(axis=0)).T @ matrix
    df = max(member.shape[1] - int(np.linalg.matrix_rank(means, tol=1e-8)), 1)
    weights = np.ones_like(response) if weights is None else weights
    ratios = np.concatenate([[0.0], np.geomspace(1e-3, 1e5, 96)])
    tried = [_given_ratio(response, matrix, member @ member.T * ratio, weights) for ratio in ratios]
    likelihood, effect, error = (np.array(part) for part in zip(*tried, strict=True))
    best, columns = likelihood.argmax(axis=0), np.arange(response.shape[1])
    between = ratios[best] / (1 + ratios[best])
    return make_fit(effect[best, columns], error[best, columns], np.full(len(columns), float(df))), between


def _given_ratio(
    response: np.ndarray, matrix: np.ndarray, shared: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    covariance = shared + (1 / weights).T[:, :, None] * np.eye(len(matrix))
    inverse = np.linalg.inv(covariance)
    information = np.einsum("ui,tuv,vj->tij", matrix, inverse, matrix)
    beta = np.linalg.solve(information, np.einsum("ui,tuv,vt->ti", matrix, inverse, response)[:, :, None])[
        :, :, 0
    ]
    residual = response.T - beta @ matrix.T
    df = matrix.shape[0] - matrix.shape[1]
    variance = np.maximum(np.einsum("tu,tuv,tv->t", residual, inverse, residual) / df, 1e-300)
    likelihood = -0.5 * (
        df * np.log(variance) + np.linalg.slogdet(covariance)[1] + np.linalg.slogdet(information)[1]
    )
    return likelihood, beta[:, -1], np.sqrt(variance * np.linalg.inv(information)[:, -1, -1])
