"""Shares of types against age: answers worked out by hand or by statsmodels, and what is refused."""

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from scipy import stats

from helpers import names
from helpers.errors import DesignError, ParameterError, TableError
from helpers.stats import composition


def make_donors(n: int = 17, *, total: int = 2_000, seed: int) -> pl.DataFrame:
    """Return made-up donors: ages spread from 19 to 74 years, sexes by turns, totals that differ fourfold."""
    ages = np.linspace(19, 74, n).round(0)
    totals = np.exp2(np.log2(total) + np.random.default_rng(seed).uniform(-1, 1, n)).astype(int)
    bins = [names.YOUNG if age < 40 else names.OLD for age in ages]
    sexes = [names.MALE if i % 2 else names.FEMALE for i in range(n)]
    donors = {names.DONOR: [f"D{i:02}" for i in range(n)], names.EXACT_AGE: ages, names.AGE_BIN: bins}
    return pl.DataFrame(donors | {names.SEX: sexes, composition.TOTAL: totals})


@pytest.fixture
def made():
    """Return sixteen donors of three types, of which only A changes: by one log2 unit a decade, before shares."""
    return composition.draw(
        make_donors(16, total=4_000, seed=1),
        shares={"A": 0.1, "B": 0.5, "C": 0.4}, slopes={"A": 1.0}, log2_sd=0.2, seed=2,
    )  # fmt: skip


@pytest.mark.parametrize("method", ["permutation", "least squares", "moderated", "binomial"])
def test_a_planted_change_is_found_with_its_size_and_interval(made, method):
    reference = "B" if method != "binomial" else "all"
    found = composition.compare(made, method=method, reference=reference, draws=499)
    (row,) = found.filter(pl.col("type") == "A").iter_rows(named=True)
    assert row["p"] < 0.01
    assert row["low"] < row["log2_change"] < row["high"]
    if method != "binomial":  # against a type that does not change, the slope is the planted one
        assert row["low"] < 1 < row["high"]
        assert found.filter(pl.col("type") == "C")["p"].item() > 0.01


def test_chi_square_sets_a_type_beside_its_reference_also_where_it_outnumbers_it(made):
    found = composition.compare(made, method="chi-square", reference="A", adjust=())
    half = pl.col("age") > made.unique("DonorID")["age"].median()
    halves = [made.filter(half == old) for old in (False, True)]
    table = [[one.filter(type=kind)["n"].sum() for kind in "BA"] for one in halves]
    assert found.filter(type="B")["p"].item() == pytest.approx(
        stats.chi2_contingency(table, correction=False).pvalue
    )
    same = made.with_columns(age=pl.when(half | (pl.col("DonorID") == "D07")).then(70.0).otherwise("age"))
    with pytest.raises(DesignError, match="most donors share the highest age: choose another method"):
        composition.compare(same, method="chi-square", adjust=())


def test_least_squares_is_that_of_statsmodels(made):
    found = composition.compare(made, method="least squares", adjust=(), reference="all")
    one = made.filter(pl.col("type") == "A")
    prior = 0.5 * one["total"] / one["total"].mean()  # half a count in a donor of average size
    share = np.log2((one["n"] + prior) / (one["total"] + 2 * prior))
    fit = sm.OLS(share.to_numpy(), sm.add_constant(one["age"].to_numpy() / 10)).fit()
    row = found.row(by_predicate=pl.col("type") == "A", named=True)
    assert row["log2_change"] == pytest.approx(fit.params[1], rel=1e-6)
    assert row["p"] == pytest.approx(fit.pvalues[1], rel=1e-4)


def test_without_a_change_few_are_called():
    called = 0
    for seed in range(40):
        donors = make_donors(12, seed=seed)
        drawn = composition.draw(donors, shares={"A": 0.2, "B": 0.8}, log2_sd=0.5, seed=seed)
        called += composition.compare(drawn, draws=199, intervals=False)["p"][0] < 0.05
    assert called <= 7  # of forty, two are expected; eight or more come once in a thousand times


def test_the_donors_decide_which_columns_can_be_told_from_age(made):
    donors = made.unique("DonorID").with_columns(
        Sex=pl.when(pl.col("age") > 48).then(pl.lit("F")).otherwise(pl.lit("M")), chemistry=pl.lit("v3")
    )
    assert composition.estimable(donors, ["Sex", "chemistry"]) == ["Sex"]
    assert composition.estimable(donors.drop("total").head(3), ["Sex"]) == []


def test_a_type_that_some_donors_or_an_assay_lack_can_be_the_reference(made):
    without = (pl.col("type") == "B") & pl.col("DonorID").is_in(["D00", "D15"])
    some = made.with_columns(n=pl.when(without).then(0).otherwise("n"))
    planted = pl.DataFrame({"batch": "made up", "type": ["A"], "log2_change_per_decade": [1.0]})
    ages = made.filter(~pl.col("DonorID").is_in(["D00", "D15"])).unique("DonorID")
    young, old = (ages.filter(Age_bin=group)["age"].mean() / 10 for group in ("young", "old"))
    for exposure, wanted in (("age", 1), ("Age_bin", old - young)):
        found = composition.estimand(some, planted, reference="B", exposure=exposure, adjust=())
        assert found.filter(type="A")["estimand"].item() == pytest.approx(wanted)
    other = pl.concat([some, some.filter(pl.col("type") != "B").with_columns(batch=pl.lit("other"))])
    for exposure in ("age", "Age_bin"):
        found = composition.compare(other, reference="B", exposure=exposure, draws=99)
        assert set(found["batch"]) == {"made up"}


def test_what_cannot_be_meant_is_refused(made):
    for wrong, said in (
        ({"method": "t test"}, "not a test of"),
        ({"reference": "x"}, "'x' is no reference: the"),
    ):
        with pytest.raises(ParameterError, match=said):
            composition.compare(made, **wrong)
    with pytest.raises(DesignError):
        composition.compare(pl.concat([made, made]))


def test_a_table_of_counts_names_every_fault_with_its_place():
    donors = {"who": ["a", "a", "b", None, " ", "c"], "age": [30, 31, 50, 60, 70, 80]}
    counts = pl.DataFrame(donors | {"what": list("TTBBBB"), "n": [1, 2, -3, 4, 5, 0]})
    own = {"donor": "who", "kind": "what", "age": "age"}
    with pytest.raises(TableError) as told:
        composition.composition_from_counts(counts, **own)
    for fault in (
        "1 empty or infinite values in 'DonorID', first in row 3",
        "1 rows name no donor",
        "2 rows share donor and type: add them up first, first 'T' in donor 'a'",
        "1 donors have several values of 'age'",
        "1 counts are not whole numbers >= 0, first -3 in donor 'b'",
        "1 donors have no counts at all: drop them, first 'c'",
    ):
        assert fault in str(told.value)
    unknown = counts.with_columns(age=pl.lit(float("nan")))  # as pandas writes what is not known
    for wrong, columns, said in (
        (counts, own | {"age": None}, "give one of age"),
        (counts.cast({"n": pl.String}), own, "counts are String, not numbers"),
        (counts.cast({"age": pl.String}), own, "ages are String, not years"),
        (unknown, own, "6 empty or infinite values in 'age'"),
    ):
        with pytest.raises(TableError, match=said):
            composition.composition_from_counts(wrong, **columns)


@pytest.mark.parametrize("method", ["permutation", "least squares", "moderated", "binomial", "chi-square"])
def test_shares_that_never_vary_are_not_tested_and_rare_types_keep_a_row_with_the_reason(made, method):
    same, rare = (made.with_columns(n=pl.lit(n, pl.Int64), total=pl.lit(40)) for n in (10, 0))
    rare = rare.filter(pl.col("type") == "A").with_columns(type=pl.lit("rare"))
    found = composition.compare(pl.concat([same, rare]), method=method, draws=99)
    why = dict(found.select("type", "left_out").iter_rows())
    assert why.pop("rare")
    assert set(why.values()) == {"has the same share in every donor"}
    assert found["p"].null_count() == found.height == 4


def test_a_table_of_counts_of_two_groups_is_compared():
    donors = {"donor": list("abcdef") * 2, "state": (["old"] * 3 + ["young"] * 3) * 2}
    counts = pl.DataFrame(donors | {"type": ["T"] * 6 + ["B"] * 6, "n": [9, 8, 7, 3, 4, 5] * 2})
    found = composition.composition_from_counts(counts, donor="donor", group="state")
    found = composition.compare(found, exposure="group")
    assert found["donors"].to_list() == [6, 6]
    assert found["per"].to_list() == ["old over young"] * 2
