"""Scores of gene sets over donors: a planted slope is found, random sets are alike in expression, files are read or refused."""

import numpy as np
import pandas as pd
import pytest

from helpers.errors import TableError
from helpers.facts import signatures as facts
from helpers.facts import study
from helpers.stats import expression
from helpers.stats.signatures import draw_sets, fit_scores


def test_a_set_that_falls_is_scored_to_fall_with_the_planted_slope(plant):
    planted = plant(8, share=0, spread=0.1)
    years = planted.donors["age"].to_numpy()
    genes = [f"G{i}" for i in range(0, 1500, 30)]
    counts = planted.counts.copy()
    factor = 2 ** (-0.3 * (years - 48) / 10)
    counts.loc[genes] = np.random.default_rng(0).poisson(counts.loc[genes] * factor)
    donors = expression.choose_donors(planted.donors)
    sizes = expression.find_sizes(expression.find_expressed(counts))
    logs = expression.to_log2_cpm(counts[counts.mean(axis=1) >= 5], sizes)
    scores = pd.DataFrame(
        {"falling": logs.loc[logs.index.isin(genes)].mean(), "flat": logs.loc[~logs.index.isin(genes)].mean()}
    )
    falling, flat = fit_scores(scores, donors).to_dicts()
    assert falling["low"] < -0.3 < falling["high"]
    assert falling["p"] < 0.01
    assert abs(flat["change"]) < 0.05
    # a least-squares slope is the mean of its genes' slopes
    slopes = [fit_scores(logs.loc[[gene]].T, donors)["change"].item() for gene in logs.index[:5]]
    five = fit_scores(logs.iloc[:5].mean().to_frame("five"), donors)["change"].item()
    assert five == pytest.approx(np.mean(slopes))


def test_random_sets_are_alike_in_size_and_expression_and_know_planted_from_silent():
    generator = np.random.default_rng(3)
    mean = pd.Series(generator.normal(5, 2, 400), [f"G{i}" for i in range(400)])
    genes = [f"G{i}" for i in range(10)]
    drawn = draw_sets(mean, genes, n=500, seed=3)
    assert drawn.shape == (500, 10)
    deciles = pd.qcut(mean, 10, labels=False).to_numpy()
    assert (deciles[drawn] == deciles[:10]).all()
    slopes = generator.normal(0, 0.1, 400)
    slopes[:10] += 0.5
    assert (np.abs(slopes[drawn].mean(axis=1)) < slopes[:10].mean()).all()
    np.testing.assert_array_equal(drawn, draw_sets(mean, genes, n=500, seed=3))


def test_one_file_of_gene_sets_is_read_in_either_spelling(tmp_path):
    for column in ("set", "signature"):
        path = tmp_path / f"{column}[1].csv"
        path.write_text(f"{column},gene,note\nmine,CCL3,x\nmine,CCL2,y\nmine,CCL2,y\nother, TP53 ,\n")
        assert facts.read_sets(path) == {"mine": ["CCL3", "CCL2"], "other": ["TP53"]}
    assert {facts.SHORT, facts.LONG, "senescence"} <= set(facts.read_sets())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,symbol\na,b\n", "has columns 'name', 'symbol': gene sets need 'set'"),
        ("set,signature,gene\na,b,c\n", "'signature', not both"),
        ("set,gene\na,b\n,c\na,\n", "2 of 3 rows lack a set or a gene, first data row 2"),
    ],
)
def test_a_file_that_is_no_gene_sets_is_refused(tmp_path, text, message):
    path = tmp_path / "sets.csv"
    with pytest.raises(TableError, match=r"no file .*sets\.csv: give a CSV"):
        facts.read_sets(path)
    path.write_text(text)
    with pytest.raises(TableError, match=message):
        facts.read_sets(path)


def test_a_set_is_chosen_by_name_and_near_names_are_told():
    sets = facts.read_sets()
    assert facts.choose_set(sets) == facts.LONG
    assert facts.choose_set({"mine": ["A"]}) == "mine"
    assert facts.choose_set(sets, "senescence") == "senescence"
    with pytest.raises(TableError, match="no gene set is called 'senescense'; there are 'senescence'"):
        facts.choose_set(sets, "senescense")


def test_the_built_in_sets_name_genes_of_the_reference_once_and_no_two_sets_share_a_name():
    genes = set(study.genes()["symbol"])
    table = facts.signatures()
    assert [gene for gene in table["gene"] if gene not in genes] == []
    assert not table.select("signature", "gene").is_duplicated().any()
    sizes = {name: len(genes) for name, genes in facts.read_sets().items()}
    assert sizes[facts.SHORT] == 26
    assert sizes[facts.LONG] == 283
