import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp

from helpers import names
from helpers.analysis import design, expression, gene_scores, schemas, scoring
from helpers.analysis.design import Comparison
from helpers.errors import TableError

MUSC = {"cell_type": "MuSC", "assay": "cells"}


def truth(rows):
    columns = ["assay", names.LEVEL0, names.LEVEL2, names.GENE, "log2_change_per_decade", "origin"]
    schema = dict.fromkeys(columns, pl.String) | {"log2_change_per_decade": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


@pytest.fixture
def scored(planted):
    planned = design.build(planted.profiles.obs)
    table = pl.DataFrame(
        {
            "gene": ["A", "B", "C", "D"],
            "log2_change": [0.3, -0.2, 0.1, 0.5],
            "low": [0.1, -0.4, -0.1, 0.3],
            "high": [0.5, 0.0, 0.3, 0.7],
            "standard_error": [0.1] * 4,
            "df": [10.0] * 4,
            "p": [0.01, 0.06, 0.3, 0.001],
            "q": [0.02, 0.2, 0.5, 0.01],
        }
    )
    known = pl.DataFrame({"gene": ["A", "B"], "planted": [0.35, -0.5], "origin": ["random", "published"]})
    return scoring.score_changes(table, known, planned)


def test_scores_are_those_by_hand(scored):
    summary = scoring.summarize_calls(scored)
    assert scored.sort("gene")["covered"].to_list() == [True, False, True, False]
    assert summary["calls"] == 2
    assert summary["false_calls"] == 1
    assert summary["false_discovery_proportion"] == 0.5
    assert summary["power"] == 0.5
    assert summary["right_sign"] == 1
    assert summary["coverage"] == 0.5
    assert summary["coverage_planted"] == 0.5
    assert summary["slope"] == pytest.approx((0.3 * 0.35 + 0.2 * 0.5) / (0.35**2 + 0.5**2))
    assert summary["null_rate"] == 0.5


def test_power_is_tabulated_by_size(scored):
    table = scoring.find_power(scored, edges=(0, 0.4, 1))
    assert table["genes"].to_list() == [1, 1]
    assert table["power"].to_list() == [1, 0]
    assert table["coverage"].to_list() == [1, 0]


def test_no_calls_are_no_false_discoveries_and_nothing_planted_has_no_power(scored):
    summary = scoring.summarize_calls(scored.filter(pl.col("gene") == "C"))
    assert summary["false_discovery_proportion"] == 0
    assert summary["power"] is summary["slope"] is summary["right_sign"] is None
    assert scoring.find_power(scored.filter(pl.col("gene") == "C")).is_empty()


def test_a_bin_comparison_is_scored_by_the_projection_of_the_line(planted):
    planned = design.build(planted.profiles.obs, Comparison(age_as="bin"))
    table = expression.age_de(planted.profiles, **MUSC, comparison=Comparison(age_as="bin"))
    scored = scoring.score_changes(table, scoring.find_planted(planted.truth, **MUSC), planned)
    years = planned.donors["years"].to_numpy()
    gene = scored.filter(~pl.col("is_null"))["gene"][0]
    per_decade = planted.slope[int(gene[1:])]
    line = per_decade * (years - 48) / 10
    expected = np.linalg.lstsq(planned.matrix, line, rcond=None)[0][1]
    assert scored.filter(pl.col("gene") == gene)["planted"][0] == pytest.approx(expected)


def test_what_is_planted_in_a_part_of_the_subtypes_has_no_one_number():
    table = truth(
        [
            ("cells", "MuSC", None, "A", 0.1, "random"),
            ("cells", "MuSC", "ICAM1+MuSCs", "A", 0.2, "published"),
            ("cells", "MuSC", "ICAM1+MuSCs", "B", 0.2, "published"),
            ("cells", "MuSC", None, "C", 0.3, "random"),
            ("cells", "FB", None, "D", 0.3, "random"),
            ("nuclei", "MuSC", None, "E", 0.3, "random"),
        ]
    )
    coarse = scoring.find_planted(table, **MUSC).sort("gene")
    assert coarse["gene"].to_list() == ["A", "B", "C"]
    assert coarse["planted"].to_list() == [None, None, 0.3]
    fine = scoring.find_planted(table, cell_type="ICAM1+MuSCs", assay="cells", level=names.LEVEL2).sort(
        "gene"
    )
    assert fine["gene"].to_list() == ["A", "B", "C"]
    assert fine["planted"].to_list() == pytest.approx([0.3, 0.2, 0.3])


def test_a_truth_without_its_columns_is_refused():
    with pytest.raises(TableError, match=r"lacks column.s. assay"):
        scoring.find_planted(pl.DataFrame({"gene": ["A"]}), **MUSC)


def test_published_directions_are_compared_by_sign():
    published = pl.DataFrame(
        {
            "cell_type": ["MuSC"] * 4,
            "assay": ["cells"] * 4,
            "gene": ["A", "B", "C", "Z"],
            "direction": ["up", "down", "none", "up"],
        }
    )
    table = pl.DataFrame(
        {
            "cell_type": ["MuSC"] * 3,
            "assay": ["cells"] * 3,
            "gene": ["A", "B", "C"],
            "log2_change": [0.2, 0.1, 0.3],
            "low": [0.1] * 3,
            "high": [0.4] * 3,
            "q": [0.5] * 3,
        }
    )
    concordance = scoring.compare_directions(table, published)
    assert concordance["gene"].to_list() == ["A", "B", "C"]
    assert concordance["agrees"].to_list() == [True, False, None]
    coin = scoring.compare_with_coin(concordance)
    assert (coin["genes"], coin["agree"], coin["p"]) == (2, 1, 1.0)
    nothing = scoring.compare_with_coin(schemas.CONCORDANCE.empty())
    assert nothing["share"] is None


def test_the_sign_test_is_the_binomial_sum():
    concordance = pl.DataFrame({"agrees": [True] * 9 + [False]})
    expected = 2 * sum([10, 1]) / 2**10
    assert scoring.compare_with_coin(concordance)["p"] == pytest.approx(expected)


def test_published_tables_name_each_gene_once():
    for level in (names.LEVEL0, names.LEVEL2):
        table = scoring.read_published(level=level)
        assert not table.select("cell_type", "assay", "gene").is_duplicated().any()
        assert set(table["direction"]) <= {"up", "down", "none"}


def test_a_set_that_falls_is_scored_to_fall_with_the_planted_slope(plant):
    planted = plant(8, share=0, spread=0.1)
    profiles = planted.profiles
    years = profiles.obs[names.EXACT_AGE].to_numpy()
    genes = [f"G{i}" for i in range(0, 1500, 30)]
    columns = profiles.var_names.get_indexer(genes)
    counts = profiles.X.toarray()
    factor = 2 ** (-0.3 * (years[:, None] - 48) / 10)
    counts[:, columns] = np.random.default_rng(0).poisson(counts[:, columns] * factor)
    profiles.X = sp.csr_matrix(counts)
    prepared = expression.prepare(profiles, **MUSC)
    scores = gene_scores.score_donors(
        prepared, {"falling": genes, "tiny": genes[:2], "flat": ["G1", "G2", "G3", "G4"]}
    )
    assert scores["set"].unique().sort().to_list() == ["falling", "flat"]
    assert scores.filter(pl.col("set") == "falling")["score"].mean() == pytest.approx(0, abs=1e-12)
    changes = gene_scores.change_with_age(prepared, scores)
    falling = changes.row(by_predicate=pl.col("set") == "falling", named=True)
    assert falling["low"] < -0.3 < falling["high"]
    assert falling["p"] < 0.01


def test_built_in_sets_hold_genes_that_exist(tmp_path):
    from helpers.facts import study

    known = set(study.genes()["symbol"] if "symbol" in study.genes().columns else study.genes()["gene"])
    sets = gene_scores.read_sets()
    assert list(sets) == ["ribosome biogenesis", "dissociation stress", "senescence", "cytokines"]
    for genes in sets.values():
        assert len(set(genes) & known) > 0.9 * len(genes)
    (tmp_path / "sets.csv").write_text("set,gene\nmine,CCL2\nmine,CCL3\n")
    assert gene_scores.read_sets(tmp_path / "sets.csv") == {"mine": ["CCL2", "CCL3"]}
    (tmp_path / "bad.csv").write_text("name,symbol\nmine,CCL2\n")
    with pytest.raises(TableError, match="gene sets need 'set'"):
        gene_scores.read_sets(tmp_path / "bad.csv")


def test_all_faults_of_a_table_are_named_at_once():
    table = pl.DataFrame(
        {"set": ["a", "a"], "donor": ["x", "x"], "age": [1, 2], "score": [0.1, float("nan")], "genes": [1, 2]}
    )
    with pytest.raises(
        TableError,
        match=r"'age' is Int64, promised Float64; no column 'sex'; 'score' has 1 missing.*repeat the key",
    ):
        schemas.SCORES.check(table)
    assert schemas.SCORES.describe().height == len(schemas.SCORES.columns)
