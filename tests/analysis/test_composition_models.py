"""The arithmetic of the composition tests against statsmodels, closed forms and plain loops."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.regression.mixed_linear_model import MixedLM

from helpers.analysis import composition_mixed, composition_models


@pytest.fixture
def design():
    ages = np.array([19, 22, 28, 29, 35, 38, 50, 58, 60, 64, 70, 74], float)
    sex = np.array([0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 1, 1], float)
    return np.column_stack([np.ones(12), sex, (ages - ages.mean()) / 10])


def test_the_linear_model_is_least_squares(design):
    response = np.random.default_rng(0).normal(size=(12, 4))
    fit = composition_models.linear(response, design, moderate=False)
    for j in range(4):
        plain = sm.OLS(response[:, j], design).fit()
        assert fit.effect[j] == pytest.approx(plain.params[-1])
        assert fit.error[j] == pytest.approx(plain.bse[-1])
        assert fit.p[j] == pytest.approx(plain.pvalues[-1])
        assert (fit.effect - fit.margin)[j] == pytest.approx(plain.conf_int()[-1][0])


def test_weights_enter_as_in_weighted_least_squares(design):
    generator = np.random.default_rng(1)
    response, weights = generator.normal(size=(12, 2)), generator.uniform(0.2, 1, size=(12, 2))
    fit = composition_models.linear(response, design, weights=weights, moderate=False)
    for j in range(2):
        plain = sm.WLS(response[:, j], design, weights=weights[:, j]).fit()
        assert fit.effect[j] == pytest.approx(plain.params[-1])
        assert fit.error[j] == pytest.approx(plain.bse[-1])


def test_squeezed_variances_lie_between_their_own_and_the_common_one():
    variance = np.random.default_rng(2).chisquare(8, 30) / 8 * np.repeat([1.0, 6.0], 15)
    shrunk, df = composition_models.squeeze(variance, 8)
    assert shrunk.std() < variance.std()
    assert (np.sign(shrunk - shrunk.mean()) == np.sign(variance - shrunk.mean())).mean() > 0.9
    assert (df > 8).all()


def test_equal_variances_are_pooled_fully():
    shrunk, df = composition_models.squeeze(np.full(10, 2.0), 5)
    assert shrunk == pytest.approx(np.full(10, shrunk[0]))
    assert df == pytest.approx(np.full(10, 50.0))


def test_squeeze_agrees_with_the_moments_it_is_defined_by():
    # many types drawn from the prior: its degrees of freedom must come back
    generator = np.random.default_rng(3)
    prior_df, df = 6.0, 10
    truth = prior_df / generator.chisquare(prior_df, 20_000)
    variance = truth * generator.chisquare(df, 20_000) / df
    _, freedom = composition_models.squeeze(variance, df)
    assert freedom[0] - df == pytest.approx(prior_df, rel=0.1)


def test_without_overdispersion_the_logistic_fit_is_that_of_statsmodels(design):
    generator = np.random.default_rng(4)
    trials = np.full((12, 3), 2_000.0)
    counts = generator.binomial(2_000, 0.2, size=(12, 3)).astype(float)
    fit, fitted = composition_models.quasi_binomial(counts, trials, design)
    for j in range(3):
        shifted = np.column_stack([counts[:, j] + 0.5, trials[:, j] - counts[:, j] + 0.5])
        plain = sm.GLM(shifted, design, family=sm.families.Binomial()).fit()
        assert fit.effect[j] == pytest.approx(plain.params[-1], abs=2e-3)
        assert fitted[:, j] == pytest.approx(plain.fittedvalues, abs=2e-3)


def test_overdispersed_donors_widen_the_interval(design):
    generator = np.random.default_rng(5)
    share = 1 / (1 + np.exp(1.5 - 0.8 * generator.normal(size=(12, 1))))
    trials = np.full((12, 1), 2_000.0)
    fit, _ = composition_models.quasi_binomial(generator.binomial(2_000, share).astype(float), trials, design)
    binomial = np.sqrt(1 / (2_000 * 0.2 * 0.8) / (design[:, -1] @ design[:, -1]))
    assert fit.error[0] > 5 * binomial


def test_donors_with_very_many_cells_do_not_outweigh_the_others():
    # one donor has a hundred times the cells of the others and lies off the line that the others make
    ages = np.linspace(-3, 3, 10)
    matrix = np.column_stack([np.ones(10), ages])
    share = 1 / (1 + np.exp(2 - 0.3 * ages + 0.4 * np.cos(5 * ages)))
    trials = np.full((10, 1), 1_000.0)
    trials[0], share[0] = 100_000, 0.5
    fit, _ = composition_models.quasi_binomial(share[:, None] * trials, trials, matrix)
    plain = sm.GLM(
        np.column_stack([share * trials[:, 0], (1 - share) * trials[:, 0]]),
        matrix,
        family=sm.families.Binomial(),
    ).fit()
    equal = np.polyfit(ages, np.log(share / (1 - share)), 1)[0]
    assert abs(fit.effect[0] - equal) < 0.25 * abs(plain.params[-1] - equal)


def test_a_type_absent_from_one_end_of_the_ages_keeps_a_finite_slope(design):
    counts = np.zeros((12, 1))
    counts[8:] = 40
    fit, _ = composition_models.quasi_binomial(counts, np.full((12, 1), 1_000.0), design)
    assert np.isfinite(fit.effect[0])
    assert fit.effect[0] > 0
    assert np.isfinite(fit.error[0])


@pytest.mark.filterwarnings("ignore::statsmodels.tools.sm_exceptions.ConvergenceWarning")
def test_the_mixed_model_is_that_of_statsmodels():
    generator = np.random.default_rng(6)
    donors = np.repeat(np.arange(12), [2, 1, 2, 2, 1, 2, 2, 1, 2, 2, 1, 2])
    ages = np.linspace(-3, 3, 12)[donors]
    matrix = np.column_stack([np.ones(len(donors)), ages])
    response = (0.2 * ages + generator.normal(size=12)[donors])[:, None] + 0.4 * generator.normal(
        size=(20, 3)
    )
    fit, between = composition_mixed.mixed(response, matrix, donors)
    for j in range(3):
        plain = MixedLM(response[:, j], matrix, groups=donors).fit(reml=True)
        assert fit.effect[j] == pytest.approx(plain.fe_params[1], abs=5e-3)
        assert fit.error[j] == pytest.approx(plain.bse_fe[1], rel=0.03)
        ratio = float(plain.cov_re.item()) / plain.scale
        assert between[j] == pytest.approx(ratio / (1 + ratio), abs=0.05)
    assert (fit.df == 10).all()


def test_two_libraries_of_a_donor_are_not_two_donors():
    # the same numbers twice: the interval must not shrink as if there were twice the donors
    generator = np.random.default_rng(7)
    once = generator.normal(size=(10, 1))
    ages = np.linspace(-3, 3, 10)
    matrix = np.column_stack([np.ones(10), ages])
    single = composition_models.linear(once, matrix, moderate=False)
    noise = 0.02 * generator.normal(size=(20, 1))
    doubled, between = composition_mixed.mixed(
        np.repeat(once, 2, axis=0) + noise, np.repeat(matrix, 2, axis=0), np.repeat(np.arange(10), 2)
    )
    assert doubled.error[0] == pytest.approx(single.error[0], rel=0.02)
    assert doubled.df[0] == single.df[0]
    assert between[0] > 0.99


def test_the_pooled_test_is_the_chi_square_of_a_two_by_two_table():
    young, old = np.array([120, 880]), np.array([260, 740])
    effect, _, p = composition_models.chi_square(young, old)
    plain = stats.chi2_contingency([[120, 880], [260, 740]], correction=False)
    assert p[0] == pytest.approx(plain.pvalue)
    assert effect[0] == pytest.approx(np.log2(0.26 / 0.12), abs=0.01)


def test_adjusted_p_values_skip_what_was_not_tested():
    p = np.array([0.01, np.nan, 0.04, 0.5])
    adjusted = composition_models.adjust(p)
    assert np.isnan(adjusted[1])
    assert adjusted[[0, 2, 3]] == pytest.approx(stats.false_discovery_control([0.01, 0.04, 0.5]))
