"""Count tables: zeros kept, assays apart, plain tables of other studies accepted, faulty ones refused by name."""

import polars as pl
import pytest

from helpers import names
from helpers.analysis import (
    composition,
    composition_design,
    composition_stability,
    composition_tests,
    reference,
)
from helpers.analysis import draws as made_up
from helpers.errors import DesignError, ParameterError, TableError


def barcodes(rows):
    columns = [
        names.DONOR,
        names.ASSAY,
        names.SAMPLE,
        names.LEVEL0,
        names.SEX,
        names.AGE_BIN,
        names.CHEMISTRY,
    ]
    return pl.DataFrame(rows, schema=columns, orient="row")


@pytest.fixture
def obs():
    one = ("470BR", "cells", "s1")
    rows = [(*one, "MuSC", "M", "young", "3'v2")] * 3 + [(*one, "FB", "M", "young", "3'v2")] * 2
    rows += [("339C", "cells", "s2", "MuSC", "F", "old", "3'v2")] * 4
    rows += [("339C", "cells", "s3", "MuSC", "F", "old", "3'v3")] * 1
    rows += [("339C", "nuclei", "s4", "MF-I", "F", "old", "3'v3")] * 6
    return barcodes(rows)


@pytest.fixture
def counts():
    donors = [f"d{i}" for i in range(8)]
    ages = [20, 25, 30, 38, 52, 60, 66, 74]
    rows = [
        (d, a, t, 40 + 7 * i + 13 * j)
        for i, (d, a) in enumerate(zip(donors, ages, strict=True))
        for j, t in enumerate("ABC")
    ]
    table = pl.DataFrame(rows, schema=["donor", "age", "type", "n"], orient="row")
    return table.with_columns(
        pl.when(pl.col("age") < 45).then(pl.lit("young")).otherwise(pl.lit("old")).alias("group")
    )


def test_a_type_that_a_donor_lacks_is_kept_as_a_zero(obs):
    table = composition.composition(obs)
    row = table.filter((pl.col("DonorID") == "339C") & (pl.col("type") == "FB")).row(0, named=True)
    assert (row["n"], row["total"], row["assay"], row["age"]) == (0, 5, "cells", 73.0)


def test_assays_are_never_pooled(obs):
    table = composition.composition(obs)
    assert table.filter(pl.col("DonorID") == "339C").unique("assay")["total"].sort().to_list() == [5, 6]
    assert table.filter(pl.col("assay") == "nuclei")["type"].unique().to_list() == ["MF-I"]


def test_libraries_keep_their_donor(obs):
    table = composition.composition(obs, unit="library").filter(pl.col("type") == "MuSC")
    assert dict(table.select("unit", "n").iter_rows()) == {"s1": 3, "s2": 4, "s3": 1}
    assert table.filter(pl.col("unit") == "s3")["DonorID"].item() == "339C"


def test_totals_are_the_sums_of_counts(obs):
    table = composition.composition(obs)
    summed = table.group_by("assay", "unit").agg(pl.col("n").sum(), pl.col("total").first())
    assert (summed["n"] == summed["total"]).all()


def test_shares_within_two_types_leave_the_others_out(obs):
    table = composition.composition(obs, within=["MuSC"])
    assert table["total"].to_list() == [3, 5]


def test_order_of_barcodes_does_not_matter(obs):
    assert composition.composition(obs).equals(
        composition.composition(obs.sample(fraction=1, shuffle=True, seed=1))
    )


def test_unknown_donors_get_the_midpoint_of_their_age_group(obs):
    other = obs.with_columns(pl.lit("X1").alias(names.DONOR), pl.lit(27.5).alias(names.AGE_MIDPOINT))
    assert composition.composition(other)["age"].unique().to_list() == [27.5]


def test_the_midpoint_can_be_asked_for(obs):
    other = obs.with_columns(pl.lit(72.5).alias(names.AGE_MIDPOINT))
    assert composition.composition(other, age_as="midpoint")["age"].unique().to_list() == [72.5]


def test_what_is_missing_is_named_and_nothing_is_left(obs):
    bare = obs.drop(names.DONOR)
    assert composition.missing(bare) == ["donors (DonorID)"]
    assert composition.composition(composition.usable(bare)).is_empty()
    assert composition.missing(obs) == []


def test_an_unknown_unit_is_refused(obs):
    with pytest.raises(TableError, match="choose 'donor' or 'library'"):
        composition.composition(obs, unit="cell")


def test_labels_that_no_barcode_carries_are_refused(obs):
    with pytest.raises(TableError, match="no barcode carries"):
        composition.composition(obs, within=["MF-X"])


# plain count tables


def test_a_plain_table_gives_the_same_result_as_barcodes(counts):
    table = composition.composition_from_counts(counts, age="age")
    assert table.columns[:6] == ["assay", "type", "unit", "DonorID", "n", "total"]
    result = composition_tests.slopes(table)
    assert result["type"].to_list() == ["A", "B", "C"]
    assert result["per"].unique().to_list() == ["decade"]
    assert result["p"].null_count() == 0


def test_two_groups_are_compared_old_over_young(counts):
    table = composition.composition_from_counts(counts, group="group")
    result = composition_tests.slopes(table, method=composition_tests.TRANSFORM)
    assert result["per"].unique().to_list() == ["old over young"]
    shares = (
        composition.shares(table).group_by("type", "group").agg(pl.col("share").mean()).sort("type", "group")
    )
    old, young = shares.filter(pl.col("type") == "A")["share"]
    effect = result.filter(pl.col("type") == "A")["log2_change"].item()
    assert (effect > 0) == (old > young)


def test_rows_that_are_absent_count_as_zero(counts):
    table = composition.composition_from_counts(
        counts.filter(~((pl.col("donor") == "d0") & (pl.col("type") == "B"))), age="age"
    )
    assert table.filter((pl.col("DonorID") == "d0") & (pl.col("type") == "B"))["n"].item() == 0


def spoil(counts, **change):
    return counts.with_columns(**change)


FAULTS = [
    ({"n": -1}, TableError, "not whole numbers >= 0"),
    ({"n": 2.5}, TableError, "not whole numbers >= 0"),
    ({"n": "four"}, TableError, "counts are String, not numbers"),
    ({"donor": None}, TableError, "empty values in"),
    ({"donor": " "}, TableError, "name no donor"),
    ({"type": None}, TableError, "empty values in"),
    ({"age": 50}, DesignError, r"columns \['age'\] are the same in every donor"),
]


@pytest.mark.parametrize(("change", "error", "text"), FAULTS)
def test_a_faulty_table_is_refused_by_name(counts, change, error, text):
    column, value = next(iter(change.items()))
    where = pl.lit(True) if column == "age" else pl.int_range(pl.len()) == 4
    if isinstance(value, str) and column == "n":
        spoiled = counts.with_columns(pl.col("n").cast(pl.String))
    else:
        old = pl.col(column).cast(pl.Float64) if isinstance(value, float) else pl.col(column)
        spoiled = counts.with_columns(pl.when(where).then(pl.lit(value)).otherwise(old).alias(column))
    with pytest.raises(error, match=text):
        composition.composition_from_counts(spoiled, age="age")


def test_a_donor_without_cells_is_refused(counts):
    empty = counts.with_columns(pl.when(pl.col("donor") == "d3").then(0).otherwise(pl.col("n")).alias("n"))
    with pytest.raises(DesignError, match="1 donors have a total of zero, first 'd3'"):
        composition.composition_from_counts(empty, age="age")


def test_rows_given_twice_are_refused(counts):
    with pytest.raises(TableError, match="2 rows share donor and type, first donor 'd0', type 'A'"):
        composition.composition_from_counts(pl.concat([counts, counts.head(1)]), age="age")


def test_fewer_than_three_donors_in_a_group_are_refused(counts):
    few = counts.filter(pl.col("donor").is_in(["d0", "d1", "d4", "d5", "d6"]))
    with pytest.raises(DesignError, match="group 'young' of assay 'all' has 2 donors"):
        composition.composition_from_counts(few, group="group")


def test_a_donor_of_two_ages_is_refused(counts):
    moved = counts.with_columns(
        pl.when(pl.int_range(pl.len()) == 1).then(99).otherwise(pl.col("age")).alias("age")
    )
    with pytest.raises(TableError, match="'age' has several values within 1 donors, first 'd0'"):
        composition.composition_from_counts(moved, age="age")


def test_a_covariate_that_never_changes_is_refused(counts):
    with pytest.raises(DesignError, match=r"columns \['sex'\] are the same in every donor"):
        composition.composition_from_counts(
            counts.with_columns(pl.lit("M").alias("sex")), age="age", covariates=["sex"]
        )


def test_a_missing_column_is_named(counts):
    with pytest.raises(TableError, match=r"columns \['donor'\] are missing"):
        composition.composition_from_counts(counts.drop("donor"), age="age")


def test_an_empty_table_is_refused(counts):
    with pytest.raises(TableError, match="no rows"):
        composition.composition_from_counts(counts.clear(), age="age")


@pytest.mark.parametrize("given", [{}, {"age": "age", "group": "group"}])
def test_one_of_age_and_group_is_needed(counts, given):
    with pytest.raises(TableError, match="give one of age"):
        composition.composition_from_counts(counts, **given)


# designs


def test_a_covariate_that_follows_from_age_cannot_be_fitted(counts):
    table = composition.composition_from_counts(counts, age="age", covariates=["group"])
    twice = table.with_columns((pl.col("age") * 2).alias("age_again"))
    assert composition_design.estimable(twice, ["age_again", "group"]) == {"all": ["group"]}
    with pytest.raises(DesignError, match="cannot be told from"):
        composition_tests.slopes(twice, plan=composition_tests.Plan(covariates=["age_again"]))


def test_too_many_covariates_are_left_out(counts):
    table = composition.composition_from_counts(counts, age="age")
    many = table.with_columns(pl.col("DonorID").alias("name"))
    assert composition_design.estimable(many, ["name"]) == {"all": []}


def test_a_constant_covariate_has_a_clear_message(counts):
    table = composition.composition_from_counts(counts, age="age").with_columns(pl.lit("M").alias("Sex"))
    with pytest.raises(DesignError, match="'Sex' is 'M' in every donor"):
        composition_tests.slopes(table, plan=composition_tests.Plan(covariates=["Sex"]))


def test_rare_types_keep_a_row_that_says_why(counts):
    rare = pl.concat(
        [counts, counts.head(1).with_columns(pl.lit("rare").alias("type"), pl.lit(3, pl.Int64).alias("n"))]
    )
    result = composition_tests.slopes(composition.composition_from_counts(rare, age="age"))
    row = result.filter(pl.col("type") == "rare").row(0, named=True)
    assert row["left_out"] == "3 counted, fewer than 20"
    assert row["p"] is None
    assert row["q"] is None


def test_all_methods_share_one_schema(counts):
    table = composition.composition_from_counts(counts, age="age")
    for method in composition_tests.EVERY_METHOD:
        result = composition_tests.slopes(table, method=method)
        assert dict(result.schema) == composition_tests.SCHEMA
        assert (result["low"] <= result["log2_change"]).all()
        assert (result["log2_change"] <= result["high"]).all()
        assert result["p"].is_between(0, 1).all()
        assert (result["p"] > 0).all()


def test_an_unknown_method_is_refused(counts):
    table = composition.composition_from_counts(counts, age="age")
    with pytest.raises(ParameterError, match="is not a test of composition"):
        composition_tests.slopes(table, method="t-test")


def test_counts_cannot_be_divided_by_the_center_of_types(counts):
    table = composition.composition_from_counts(counts, age="age")
    with pytest.raises(ParameterError, match="center of the types is not a count"):
        composition_tests.slopes(table, plan=composition_tests.Plan(reference="center"))


def test_an_unknown_reference_is_refused(counts):
    table = composition.composition_from_counts(counts, age="age")
    with pytest.raises(TableError, match=r"types \['Z'\] cannot be a reference"):
        composition_tests.slopes(table, plan=composition_tests.Plan(reference="Z"))


def test_order_of_rows_and_names_of_donors_do_not_matter(counts):
    shuffled = counts.sample(fraction=1, shuffle=True, seed=2).with_columns("z" + pl.col("donor"))
    first, again = (
        composition_tests.slopes(composition.composition_from_counts(t, age="age"))
        for t in (counts, shuffled)
    )
    assert first["log2_change"].to_list() == pytest.approx(again["log2_change"].to_list())


def test_an_empty_composition_gives_an_empty_result(obs):
    table = composition.composition(composition.usable(obs.drop(names.DONOR)))
    assert composition_tests.compare(table).is_empty()
    assert composition_stability.leave_one_out(table).is_empty()


def test_leave_one_out_finds_the_donor_that_makes_the_slope():
    units = made_up.donors(10, total=3_000)
    table = made_up.draw(units, shares={"A": 1, "B": 4, "C": 5}, concentration=None, log2_sd=0.1, seed=1)
    last = pl.col("DonorID") == "D09"
    table = table.with_columns(
        pl.when(last & (pl.col("type") == "A")).then(pl.col("n") * 8).otherwise(pl.col("n")).alias("n")
    )
    table = table.with_columns(pl.col("n").sum().over("unit").alias("total"))
    row = composition_stability.leave_one_out(table).filter(pl.col("type") == "A").row(0, named=True)
    assert row["most_influential"] == "D09"
    assert row["lowest"] < row["log2_change"]


def test_libraries_are_refused_as_replicates(obs):
    units = made_up.donors(6)
    table = made_up.draw(units, shares={"A": 1, "B": 2}, seed=1)
    twice = pl.concat([table, table.with_columns(("again " + pl.col("unit")).alias("unit"))])
    for method in composition_tests.METHODS:
        with pytest.raises(
            DesignError, match="12 units of 6 donors: libraries of one donor are not replicates"
        ):
            composition_tests.slopes(twice, method=method)
    assert composition_tests.slopes(twice, method="mixed")["donors"].unique().to_list() == [6]


def test_units_without_the_reference_are_left_out_and_many_of_them_refused():
    table = made_up.draw(made_up.donors(10), shares={"A": 1, "B": 2, "C": 3}, seed=1)

    def empty(donors):
        gone = pl.col("DonorID").is_in(donors) & (pl.col("type") == "B")
        return table.with_columns(pl.when(gone).then(0).otherwise(pl.col("n")).alias("n"))

    plan = composition_tests.Plan(reference="B")
    assert composition_tests.slopes(empty(["D01"]), plan=plan)["donors"].unique().to_list() == [9]
    with pytest.raises(DesignError, match="absent from 3 of 10 units"):
        composition_tests.slopes(empty(["D01", "D02", "D03"]), plan=plan)


def test_an_assay_without_the_reference_is_left_out():
    table = made_up.draw(made_up.donors(8), shares={"A": 1, "B": 2, "C": 3}, seed=1)
    other = table.filter(pl.col("type") != "B").with_columns(pl.lit("other").alias("assay"))
    both = composition_tests.slopes(pl.concat([table, other]), plan=composition_tests.Plan(reference="B"))
    assert both["assay"].unique().to_list() == ["simulated"]


def test_every_test_runs_in_one_call_and_its_calls_are_counted():
    units = made_up.donors(10, total=4_000)
    table = made_up.draw(
        units, shares={"A": 1, "B": 2, "C": 5}, slopes={"A": 1.0}, concentration=None, log2_sd=0.2, seed=1
    )
    results = composition_tests.run_all(table, table, covariates=["Sex"])
    assert set(results["method"]) == set(composition_tests.EVERY_METHOD)
    calls = composition_tests.count_calls(results, fdr=0.05)
    assert calls["tested"].to_list() == [3] * 5
    assert (calls["called"] >= 1).all()
    agreement = composition_tests.agreement_of_methods(results)
    assert agreement["lowest_correlation"] > 0.95
    assert 0 <= agreement["same_sign"] <= 1
    centered = composition_tests.run_all(table, table, plan=composition_tests.Plan(reference="center"))
    assert set(centered["method"]) == {"log-ratio", "permutation", "mixed"}


# the frame of reference


def test_when_one_type_grows_the_shares_of_all_others_fall():
    table, planted = reference.trap()
    result = composition_tests.slopes(table, method=composition_tests.TRANSFORM)
    steady = result.filter(pl.col("type").str.starts_with("steady"))
    assert (steady["log2_change"] < 0).all()
    assert (steady["high"] < 0).mean() > 0.5
    assert planted["steady 1"] == 0


def test_in_a_steady_frame_nothing_but_the_growing_type_changes():
    table, planted = reference.trap()
    plan = composition_tests.Plan(reference=["steady 1", "steady 2", "steady 3"])
    result = composition_tests.slopes(table, method=composition_tests.TRANSFORM, plan=plan)
    grown = result.filter(pl.col("type") == "fiber fragments").row(0, named=True)
    assert grown["low"] < planted["fiber fragments"] < grown["high"]
    steady = result.filter(pl.col("type").str.starts_with("steady") & pl.col("p").is_not_null())
    assert (steady["p"] > 0.01).all()


def test_the_steadiest_types_are_found_without_looking_at_age():
    table, _ = reference.trap()
    assert "fiber fragments" not in reference.steadiest(table)["simulated"]


def test_a_conclusion_that_hangs_on_the_frame_is_marked():
    table, _ = reference.trap()
    found = reference.agreement(reference.sensitivity(table))
    assert found["frames"].to_list() == [3] * found.height
    assert found.filter(pl.col("type") == "fiber fragments")["clear_in_all"].item()
    steady = found.filter(pl.col("type").str.starts_with("steady"))
    assert steady["clear_in_some"].mean() > 0.5
    assert steady["clear_in_all"].mean() < 0.2


def test_counts_and_log_ratios_agree_on_a_frame_of_types():
    table, planted = reference.trap()
    plan = composition_tests.Plan(reference=["steady 1", "steady 2", "steady 3"])
    both = composition_tests.compare(table, methods=composition_tests.METHODS[:2], plan=plan)
    grown = both.filter(pl.col("type") == "fiber fragments")["log2_change"]
    assert grown.to_list() == pytest.approx([planted["fiber fragments"]] * 2, abs=0.15)
