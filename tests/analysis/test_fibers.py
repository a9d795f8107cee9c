"""Fiber types: shares, scores and molecules per donor, against plain sums and planted slopes."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from anndata import AnnData
from scipy import sparse, stats

from helpers import names
from helpers.analysis import composition, composition_tests, donor_slopes, fiber_scores, fibers
from helpers.errors import TableError
from helpers.facts import fibers as facts

DONORS = ["470BR", "566B", "464C", "529C", "362C", "500C", "343B", "339C"]
AGES = [19, 29, 35, 37, 60, 64, 70, 73]


def nuclei(share_of_one=0.5, n=40, seed=0):
    """Return nuclei of eight donors, a share of them type I, with age groups of the study."""
    generator = np.random.default_rng(seed)
    rows = []
    for donor, age in zip(DONORS, AGES, strict=True):
        group = next(g for g in names.AGE_GROUPS if int(g[:2]) <= age < int(g[3:]))
        one = round(n * share_of_one) if np.isscalar(share_of_one) else round(n * share_of_one[donor])
        for i in range(n):
            kind = fibers.TYPE_I if i < one else fibers.TYPE_II
            rows.append(
                (donor, names.NUCLEI, kind, group, names.YOUNG if age < 40 else names.OLD, generator.normal())
            )
    columns = [names.DONOR, names.ASSAY, names.LEVEL0, names.AGE_GROUP, names.AGE_BIN, "noise"]
    return pl.DataFrame(rows, schema=columns, orient="row")


def test_the_ratio_of_the_card_weighs_groups_not_donors():
    # 60-65 has two donors, 70-75 two, 15-20 one: the card averages groups
    shares = dict(zip(DONORS, [0.9, 0.5, 0.5, 0.5, 0.2, 0.4, 0.6, 0.6], strict=True))
    by_group, means = fibers.card_ratio(nuclei(shares))
    assert dict(by_group.select(names.AGE_GROUP, "donors").iter_rows()) == {
        "15-20": 1,
        "25-30": 1,
        "35-40": 2,
        "60-65": 2,
        "70-75": 2,
    }
    assert means["young"] == pytest.approx((0.9 + 0.5 + 0.5) / 3)
    assert means["old"] == pytest.approx((0.3 + 0.6) / 2)
    assert means["relative_change"] == pytest.approx(0.45 / (1.9 / 3) - 1)


def test_the_ratio_of_the_card_needs_both_age_groups():
    _, means = fibers.card_ratio(nuclei().filter(pl.col(names.AGE_BIN) == names.YOUNG))
    assert means["old"] is None
    assert means["relative_change"] is None


def test_shares_of_type_one_are_of_the_two_kinds_of_nuclei():
    obs = pl.concat([nuclei(0.25), nuclei().head(5).with_columns(pl.lit("FB").alias(names.LEVEL0))])
    shares = fibers.type_one_shares(composition.composition(obs, within=fibers.MYONUCLEI))
    assert shares["share"].to_list() == [0.25] * 8
    assert shares["log2_odds"].to_list() == pytest.approx([np.log2(10.5 / 30.5)] * 8)
    assert shares["age"].to_list() == AGES


def test_fragments_are_counted_per_library_and_assay():
    obs = nuclei().with_columns(
        (pl.col(names.DONOR) + "_1").alias(names.SAMPLE), pl.lit("3'v3").alias(names.CHEMISTRY)
    )
    obs = obs.with_columns(
        pl.when(pl.int_range(pl.len()).over(names.DONOR) < 4)
        .then(pl.lit("MF-Isn(fg)"))
        .otherwise(pl.col(names.LEVEL0))
        .alias(names.LEVEL0)
    )
    table = fibers.fragment_shares(obs)
    assert table["type"].unique().to_list() == ["MF-Isn(fg)"]
    assert table["share"].to_list() == [0.1] * 8


def expression():
    """Return nuclei in which slow genes follow type I and fast genes type II, one fast gene always zero."""
    obs = nuclei()
    slow = (obs[names.LEVEL0] == fibers.TYPE_I).cast(pl.Float64)
    noise = obs["noise"] * 0.1
    return obs.with_columns(
        (2 * slow + noise).alias("MYH7"),
        (slow - noise).alias("TNNT1"),
        (3 * (1 - slow) + noise).alias("MYH2"),
        pl.lit(0.0).alias("MYLPF"),
    )


def test_the_score_tells_slow_from_fast_and_names_what_it_could_not_use():
    scored, used = fiber_scores.score_nuclei(
        expression(), slow=["MYH7", "TNNT1", "TNNC1"], fast=["MYH2", "MYLPF"]
    )
    means = dict(scored.group_by(names.LEVEL0).agg(pl.col("fiber_score").mean()).iter_rows())
    assert means[fibers.TYPE_I] > 1 > -1 > means[fibers.TYPE_II]
    assert used == {"slow": ["MYH7", "TNNT1"], "fast": ["MYH2"], "left_out": ["MYLPF", "TNNC1"]}
    assert "MYH7" not in scored.columns


def test_a_gene_on_another_scale_counts_the_same():
    table = expression()
    first, _ = fiber_scores.score_nuclei(table, slow=["MYH7", "TNNT1"], fast=["MYH2"])
    scaled, _ = fiber_scores.score_nuclei(
        table.with_columns(pl.col("MYH7") * 100), slow=["MYH7", "TNNT1"], fast=["MYH2"]
    )
    assert scaled["fiber_score"].to_list() == pytest.approx(first["fiber_score"].to_list())


def test_a_score_without_one_of_its_sets_is_no_score():
    scored, used = fiber_scores.score_nuclei(expression(), slow=["MYH7"], fast=["MYLPF"])
    assert scored.is_empty()
    assert {"slow", "fast", "fiber_score", names.DONOR} <= set(scored.columns)
    assert used == {"slow": ["MYH7"], "fast": [], "left_out": ["MYLPF"]}


def test_donors_with_too_few_nuclei_have_no_mean():
    table = expression().filter(
        ~((pl.col(names.DONOR) == "529C") & (pl.int_range(pl.len()).over(names.DONOR) >= 3))
    )
    means = fiber_scores.by_donor(table, value="MYH2", label=fibers.TYPE_I, min_cells=4)
    assert "529C" not in means[names.DONOR].to_list()
    assert means.height == 7
    plain = table.filter((pl.col(names.DONOR) == "362C") & (pl.col(names.LEVEL0) == fibers.TYPE_I))[
        "MYH2"
    ].mean()
    assert means.filter(pl.col(names.DONOR) == "362C")["MYH2"].item() == pytest.approx(plain)


def test_molecules_are_summed_per_donor():
    obs = nuclei(n=5)
    counts = (
        sparse.random(obs.height, 4, density=0.6, random_state=1, data_rvs=lambda k: np.full(k, 3))
        .tocsr()
        .astype(np.int32)
    )
    adata = AnnData(
        counts.astype(np.float32),
        obs=obs.to_pandas().set_axis([f"b{i}" for i in range(obs.height)]),
        var=pd.DataFrame(index=["MYH7", "MYH2", "MYH1", "ACTA1"]),
    )
    adata.layers[names.COUNTS] = counts
    summed = fiber_scores.sum_genes(adata, ["MYH7", "MYH2", "MYH1", "MYH99"])
    dense = counts.toarray()
    for donor in DONORS:
        own = (obs[names.DONOR] == donor).to_numpy()
        row = summed.filter((pl.col(names.DONOR) == donor) & (pl.col("type") == "MYH2")).row(0, named=True)
        assert row["n"] == dense[own, 1].sum()
        assert row["total"] == dense[own, :3].sum()
    with pytest.raises(TableError, match=r"only \['MYH7'\] are here"):
        fiber_scores.sum_genes(adata, ["MYH7", "X"])


def values(slope=0.3, noise=0.05, seed=1):
    generator = np.random.default_rng(seed)
    ages = np.array(AGES, float)
    return pl.DataFrame(
        {
            names.DONOR: DONORS,
            "age": ages,
            names.SEX: list("MFMMMMFF"),
            "value": slope * ages / 10 + noise * generator.normal(size=8),
        }
    )


def test_the_slope_of_a_donor_value_is_that_of_a_straight_line():
    table = values()
    row = donor_slopes.fit(table, value="value", measure="m", unit="u").row(0, named=True)
    plain = stats.linregress(table["age"] / 10, table["value"])
    assert row["slope_per_decade"] == pytest.approx(plain.slope)
    assert row["p"] == pytest.approx(plain.pvalue)
    assert row["low"] < plain.slope < row["high"]
    assert row["permutation_p"] < 0.01
    assert row["donors"] == 8


def test_the_extremes_without_one_donor_are_those_of_a_plain_loop():
    table = values(noise=0.6)
    row = donor_slopes.fit(table, value="value", measure="m", unit="u").row(0, named=True)
    without = {
        donor: stats.linregress(
            *(table.filter(pl.col(names.DONOR) != donor).select(pl.col("age") / 10, "value").to_numpy().T)
        ).slope
        for donor in DONORS
    }
    assert row["lowest_without_one"] == pytest.approx(min(without.values()))
    assert row["highest_without_one"] == pytest.approx(max(without.values()))
    assert row["most_influential"] == max(without, key=lambda d: abs(without[d] - row["slope_per_decade"]))


def test_covariates_that_cannot_be_estimated_are_left_out_and_said_so():
    table = values().with_columns(pl.lit("x").alias("constant"))
    row = donor_slopes.fit(
        table, value="value", measure="m", unit="u", covariates=["constant", names.SEX]
    ).row(0, named=True)
    assert row["adjusted_for"] == names.SEX


def test_too_few_donors_give_an_empty_row():
    row = donor_slopes.fit(values().head(2), value="value", measure="m", unit="u").row(0, named=True)
    assert row["slope_per_decade"] is None
    assert row["donors"] == 2


def test_two_rows_of_one_donor_are_refused():
    with pytest.raises(TableError, match="give one value of 'value' per donor"):
        donor_slopes.fit(pl.concat([values(), values().head(1)]), value="value", measure="m", unit="u")


def test_intervals_of_donor_slopes_cover_in_19_of_20():
    hits = []
    for seed in range(150):
        row = donor_slopes.fit(
            values(noise=0.5, seed=seed), value="value", measure="m", unit="u", draws=10
        ).row(0, named=True)
        hits.append(row["low"] <= 0.3 <= row["high"])
    assert 0.9 < np.mean(hits) < 0.99


def test_gene_sets_are_apart_and_name_their_evidence():
    table = facts.gene_sets()
    assert not set(facts.slow_genes()) & set(facts.fast_genes())
    assert table["gene"].is_unique().all()
    assert table["evidence"].str.len_chars().min() > 10
    assert set(facts.MYOSINS.values()) == {"MYH7", "MYH2", "MYH1"}


def test_genes_of_the_sets_are_in_the_reference():
    from helpers.facts import study

    assert set(facts.gene_sets()["gene"]) <= set(study.genes()["symbol"])


def test_ways_of_averaging_differ_where_donors_give_unequal_numbers():
    # the young donor with most nuclei has few of type I: pooling follows that donor, the mean over donors does not
    obs = pl.concat([nuclei(), *[nuclei(0.0).filter(pl.col(names.DONOR) == "470BR")] * 5])
    _, card = fibers.card_ratio(obs)
    ways = fibers.compare_ratios(obs, fibers.type_one_shares(fibers.count_myonuclei(obs)), card)
    found = {way: (young, old) for way, young, old, _ in ways.iter_rows()}
    assert found["all nuclei of young and old pooled"][0] == pytest.approx(80 / 360)
    assert found["mean over donors"][0] == pytest.approx((20 / 240 + 3 * 0.5) / 4)
    assert found["median over donors"][0] == 0.5
    assert all(old == 0.5 for _, old in found.values())


def test_a_pooled_share_can_turn_the_sign_of_every_donor():
    # within each age group the share falls with every older donor, but the donors with most cells are those with more
    rows = []
    for donor, kind, n in [
        ("470BR", "a", 50), ("470BR", "b", 50), ("566B", "a", 300), ("566B", "b", 1700), ("464C", "a", 50), ("464C", "b", 60),
        ("362C", "a", 900), ("362C", "b", 1500), ("343B", "a", 20), ("343B", "b", 180), ("339C", "a", 20), ("339C", "b", 190),
    ]:  # fmt: skip
        rows += [(donor, names.CELLS, "MuSC", kind, names.YOUNG if donor in DONORS[:4] else names.OLD)] * n
    columns = [names.DONOR, names.ASSAY, names.LEVEL0, names.LEVEL2, names.AGE_BIN]
    table = fibers.subtypes(
        pl.DataFrame(rows, schema=columns, orient="row"), parent="MuSC", assay=names.CELLS
    )
    results = composition_tests.slopes(table, method="log-ratio")
    row = fibers.beside_pooled(table, results).filter(pl.col("type") == "a").row(0, named=True)
    assert row["pooled_log2_ratio"] > 0 > row["log2_change"]
    assert row["signs_differ"]
    assert row["pooled_young"] == pytest.approx(400 / 2210)


def test_chemistries_are_compared_over_donors_not_libraries():
    table = pl.DataFrame(
        {"assay": names.CELLS, "type": "MF-Isc(fg)", "unit": list("abcd"), names.DONOR: ["x", "x", "y", "z"],
         names.CHEMISTRY: ["3'v3", "3'v3", "3'v3", "3'v2"], "share": [0.1, 0.3, 0.4, 0.05]}
    )  # fmt: skip
    found = fibers.contrast_chemistry(table)
    assert found["log2_ratio"] == pytest.approx(np.log2((0.2 + 0.4) / 2 / 0.05))
    assert found["donors"] == 3
    assert fibers.contrast_chemistry(table.head(3)) == {"log2_ratio": None, "donors": 2}
    assert fibers.contrast_chemistry(table.drop(names.CHEMISTRY))["log2_ratio"] is None


def test_only_nuclei_of_usable_donors_are_found():
    obs = (
        nuclei(n=4).with_row_index("i").with_columns(("b" + pl.col("i").cast(pl.String)).alias(names.BARCODE))
    )
    usable = obs.filter(pl.col(names.DONOR) != "470BR")
    assert fibers.find_myonuclei(obs, usable=usable).sum() == 28
    assert fibers.find_myonuclei(obs, usable=usable.clear()).sum() == 0


def test_every_measure_has_one_value_a_donor():
    obs = expression().with_columns(pl.lit("MF-I").alias(names.LEVEL1), pl.lit("s").alias(names.SAMPLE))
    scored, _ = fiber_scores.score_nuclei(obs, slow=["MYH7"], fast=["MYH2"])
    molecules = fiber_scores.sum_genes(None, ["MYH7", "MYH2"])
    measures = fiber_scores.measure(obs, scored, molecules, myosins=facts.MYOSINS)
    traced = fibers.trace(measures, draws=50)
    assert traced.height == len(measures)
    assert traced.filter(pl.col("measure").str.contains("MYH"))["slope_per_decade"].null_count() == 3
    assert traced.filter(pl.col("measure") == "fast genes in MF-I nuclei")["donors"].item() == 8
