import numpy as np
import pytest

from helpers import names
from helpers.analysis import design, precision
from helpers.analysis.design import Comparison
from helpers.errors import DesignError, ParameterError


def test_the_twelve_donors_of_the_cells_carry_age_sex_and_chemistry(planted):
    planned = design.build(planted.profiles.obs)
    assert planned.columns == ("intercept", "age", "sex M", "chemistry 3'v3")
    assert planned.residual_df == 8
    assert np.linalg.matrix_rank(planned.matrix) == 4
    assert planned.terms["kept"].to_list() == [True, True, True]


def test_men_only_are_five_young_against_three_old_and_sex_is_left_out_with_a_reason(planted):
    planned = design.build(planted.profiles.obs, Comparison(sex="M", age_as="bin"))
    assert planned.donors["group"].value_counts().to_dict() == {"young": 5, "old": 3}
    why = dict(zip(planned.terms["term"], planned.terms["why"], strict=True))
    assert why["sex"] == "left out: all donors are M"
    assert planned.terms.filter(planned.terms["term"] == "sex")["kept"].to_list() == [False]


def test_chemistry_that_follows_age_is_left_out(planted):
    obs = planted.profiles.obs.copy()
    obs[names.CHEMISTRY] = np.where(obs[names.AGE_BIN] == "young", "3'v2", "3'v3")
    planned = design.build(obs, Comparison(age_as="bin"))
    assert "cannot be told apart" in planned.terms["why"][2]
    assert "chemistry" not in " ".join(planned.columns)


def test_a_chemistry_of_one_donor_is_joined_and_said(planted):
    obs = planted.profiles.obs.copy()
    obs.iloc[0, obs.columns.get_loc(names.CHEMISTRY)] = "3'v2/v3"
    planned = design.build(obs)
    assert planned.terms["why"][2] == "adjusted for; 3'v2/v3 joined to 3'v2"


def test_covariates_give_way_where_donors_are_few(planted):
    few = planted.profiles.obs.iloc[[0, 1, 2, 6, 7, 8]]
    planned = design.build(few)
    assert planned.residual_df >= 3
    assert any("degrees of freedom" in why for why in planned.terms["why"])


@pytest.mark.parametrize(
    ("age_as", "per"), [("exact", "decade"), ("midpoint", "decade"), ("bin", "old over young")]
)
def test_each_coding_of_age_estimates_the_slope_it_names(planted, age_as, per):
    planned = design.build(planted.profiles.obs, Comparison(age_as=age_as))
    assert planned.per == per
    line = planned.matrix[:, planned.tested] * 0.7 + 3
    assert planned.project(line) == pytest.approx(0.7)
    years = planned.donors["years"].to_numpy()
    if age_as == "midpoint":
        assert set(years % 5) == {2.5}
    if age_as == "bin":
        # least squares of exact age on the design, by hand
        others = np.delete(planned.matrix, 1, axis=1)
        group = planned.matrix[:, 1]
        left = group - others @ np.linalg.pinv(others) @ group
        assert planned.project(years / 10) == pytest.approx(left @ years / 10 / (left @ left))


def test_too_few_donors_are_refused_with_how_many_of_what_are_missing(planted):
    obs = planted.profiles.obs
    few = obs[(obs[names.AGE_BIN] == "old") | (obs[names.DONOR] == "470BR")]
    with pytest.raises(
        DesignError, match=r"pDC in cells cannot be tested .* 1 young .* missing: 2 more young donors\."
    ):
        design.build(few, what="pDC in cells")
    with pytest.raises(DesignError, match="missing: 3 more young donors"):
        design.build(obs, Comparison(sex="F"))


def test_donors_without_an_exact_age_are_counted_in_the_refusal(planted):
    obs = planted.profiles.obs.copy()
    obs[names.EXACT_AGE] = np.nan
    with pytest.raises(DesignError, match=r"12 profile.s. lack an age coded as 'exact'"):
        design.build(obs)
    assert design.build(obs, Comparison(age_as="bin")).matrix[:, 1].sum() == 7
    unaged = obs.drop(columns=[names.EXACT_AGE, names.AGE_MIDPOINT])
    assert design.build(unaged, Comparison(age_as="bin")).matrix[:, 1].sum() == 7


def test_two_profiles_of_a_donor_are_refused(planted):
    obs = planted.profiles.obs
    with pytest.raises(DesignError, match="470BR have several profiles, which are not replicates"):
        design.build(obs.iloc[[*range(12), list(obs[names.DONOR]).index("470BR")]])


def test_all_faults_of_a_comparison_are_named_at_once():
    with pytest.raises(ParameterError, match=r"age_as is 'years'.*sex is 'X'.*not below.*min_donors is 1"):
        Comparison(age_as="years", sex="X", young_max=50, old_min=40, min_donors=1)


def test_the_smallest_detectable_change_is_detected_with_the_power_named(planted):
    import polars as pl
    from scipy import stats

    table = pl.DataFrame(
        {"standard_error": [0.2] * 30, "df": [12.0] * 30, "mean_log2_cpm": [float(i) for i in range(30)]}
    )
    found = precision.find_detectable(table, alpha=0.05, power=0.8)
    change = found["smallest_log2_change"][0]
    t = stats.t.isf(0.025, 12)
    # noncentral t, the exact power
    assert stats.nct.sf(t, 12, change / 0.2) == pytest.approx(0.8, abs=0.02)
    assert found["genes"].to_list() == [10, 10, 10]
