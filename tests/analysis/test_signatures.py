"""Signatures: scores against plain loops, planted slopes found, null sets silent."""

import anndata as ad
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp

from helpers import names
from helpers.analysis import enrichment, gene_scores, signature_genes, signature_tests, signatures
from helpers.analysis import signature_cards as cards
from helpers.errors import TableError
from helpers.facts import signatures as facts
from helpers.facts import study

SETS = {"planted": [f"G{i}" for i in range(10)], "silent": [f"G{i}" for i in range(20, 30)]}


@pytest.fixture(scope="module")
def profiles():
    rng = np.random.default_rng(11)
    people = study.donors().filter(pl.col("cells_10X_version").is_not_null())
    age = people["Age"].to_numpy().astype(float)
    rate = np.exp(rng.normal(4, 0.6, 400))[None, :] * np.exp(rng.normal(0, 0.08, (len(age), 400)))
    rate[:, :10] *= 2 ** (0.2 * (age - 48) / 10)[:, None]
    obs = pd.DataFrame(
        {
            names.DONOR: people["DonorID"].to_list(),
            names.ASSAY: "cells",
            names.LEVEL0: "MuSC",
            names.SEX: people["Sex"].to_list(),
            names.CHEMISTRY: people["cells_10X_version"].to_list(),
            names.EXACT_AGE: age,
            "n_cells": 100,
        },
        index=[f"p{i}" for i in range(len(age))],
    )
    var = pd.DataFrame(index=[f"G{i}" for i in range(400)])
    return ad.AnnData(sp.csr_matrix(rng.poisson(rate).astype(np.float32)), obs=obs, var=var)


def test_a_profile_score_is_that_of_a_plain_loop(profiles):
    scores = signatures.score_profiles(profiles, SETS).filter(pl.col("signature") == "planted")
    counts = profiles.X.toarray()
    for i, found in enumerate(scores["score"]):
        values = []
        for gene in range(10):
            logs = [
                np.log2((counts[d, gene] + 0.5) / (counts[d].sum() + 1) * 1e6) for d in range(profiles.n_obs)
            ]
            values.append(logs[i] - np.mean(logs))
        assert found == pytest.approx(np.mean(values), abs=1e-5)


def test_the_planted_slope_is_covered_and_the_silent_one_is_near_zero(profiles):
    table = signature_tests.slopes(signatures.score_profiles(profiles, SETS))
    found = {row["signature"]: row for row in table.iter_rows(named=True)}
    assert found["planted"]["low"] < 0.2 < found["planted"]["high"]
    assert found["planted"]["q"] < 0.01
    assert found["silent"]["low"] < 0 < found["silent"]["high"]


def test_random_sets_know_the_planted_from_the_silent(profiles):
    null = signature_genes.random_null(profiles, SETS, cell_type="MuSC", assay="cells", n_random=500, seed=3)
    p = dict(null.select("signature", "empirical_p").iter_rows())
    assert p["planted"] == pytest.approx(1 / 501)
    assert p["silent"] > 0.05


def test_random_sets_are_judged_by_the_model_of_the_estimate(profiles):
    scores = signatures.score_profiles(profiles, SETS)
    table = signature_tests.slopes(scores)
    null = signature_genes.random_null(profiles, SETS, cell_type="MuSC", assay="cells", n_random=10)
    for name in SETS:
        assert cards.lookup(null, name, "slope_per_decade") == pytest.approx(
            cards.lookup(table, name, "slope_per_decade"), abs=1e-6
        )
    assert table["adjusted_for"].unique().to_list() == ["Sex, 10X_version"]


def test_leaving_out_a_gene_gives_the_mean_of_the_others(profiles):
    without = signature_genes.without_one_gene(profiles, SETS, cell_type="MuSC", assay="cells")
    whole = signature_genes.random_null(profiles, SETS, cell_type="MuSC", assay="cells", n_random=10)
    mean = without.filter(pl.col("signature") == "planted")["slope_per_decade"].mean()
    assert mean == pytest.approx(cards.lookup(whole, "planted", "slope_per_decade"))
    assert not cards.carriers(without).filter(pl.col("signature") == "planted")["changes_sign"].item()


def test_a_signature_that_follows_hospital_days_is_named(profiles):
    scores = signatures.score_profiles(profiles, SETS)
    days = dict(study.donors().select("DonorID", "hospital_days").iter_rows())
    fake = scores.filter(pl.col("signature") == "silent").with_columns(
        pl.col(names.DONOR).replace_strict(days).cast(pl.Float64).alias("score")
    )
    table = signature_tests.confounders(fake, cell_type="MuSC", assay="cells")
    assert cards.closer_than_age(table)["with"].to_list() == ["hospital days"]


def test_scored_against_the_plant(profiles):
    table = signature_tests.slopes(signatures.score_profiles(profiles, SETS))
    truth = pl.DataFrame(
        {
            "assay": "cells", names.LEVEL0: "MuSC", names.LEVEL2: None,
            "gene": SETS["planted"], "log2_change_per_decade": 0.2,
        },
        schema_overrides={names.LEVEL2: pl.String},
    )  # fmt: skip
    used = signatures.scored_genes(profiles, SETS)
    scored = signature_tests.compare_with_truth(table, used, truth)
    assert dict(scored.select("signature", "planted_slope").iter_rows()) == pytest.approx(
        {"planted": 0.2, "silent": 0}
    )
    assert scored["covered"].all()
    assert signature_tests.compare_with_truth(table, used, None).is_empty()


def test_a_planted_gene_that_nobody_could_score_is_not_in_the_planted_slope(profiles):
    dim = profiles.copy()
    counts = dim.X.toarray()
    counts[:, 0] = 0
    dim.X = sp.csr_matrix(counts)
    table = signature_tests.slopes(signatures.score_profiles(dim, SETS))
    truth = pl.DataFrame(
        {
            "assay": "cells", names.LEVEL0: "MuSC", names.LEVEL2: None,
            "gene": SETS["planted"], "log2_change_per_decade": [5.0] + 9 * [0.2],
        },
        schema_overrides={names.LEVEL2: pl.String},
    )  # fmt: skip
    scored = signature_tests.compare_with_truth(table, signatures.scored_genes(dim, SETS), truth)
    assert cards.lookup(scored, "planted", "planted_slope") == pytest.approx(0.2)
    assert cards.lookup(scored, "planted", "genes") == 9


def test_cells_are_scored_in_two_ways_that_agree_on_a_planted_set():
    rng = np.random.default_rng(4)
    donors = np.repeat([f"D{i}" for i in range(6)], 30)
    rate = np.full((180, 300), 0.4)
    rate[:, :10] += (np.repeat(np.arange(6), 30) * 0.5)[:, None]
    counts = rng.poisson(rate)
    adata = ad.AnnData(
        sp.csr_matrix(np.log1p(counts / counts.sum(1, keepdims=True) * 1e4).astype(np.float32)),
        obs=pd.DataFrame(
            {names.DONOR: donors, names.LEVEL0: "MuSC", names.ASSAY: "cells"},
            index=[f"c{i}" for i in range(180)],
        ),
        var=pd.DataFrame(index=[f"G{i}" for i in range(300)]),
    )
    scores = signatures.score_cells(adata, {"planted": SETS["planted"]}, cell_type="MuSC", assay="cells")
    for method in (signatures.GENES, signatures.RANKS):
        values = scores.filter(pl.col("method") == method).sort(names.DONOR)["score"].to_numpy()
        assert np.corrcoef(values, np.arange(6))[0, 1] > 0.9


def test_enrichment_finds_the_planted_end():
    rng = np.random.default_rng(1)
    change = rng.normal(0, 0.2, 300)
    change[:10] = 1.5
    tested = pl.DataFrame(
        {"gene": [f"G{i}" for i in range(300)], "log2_change": change, "F": np.square(change) * 10 + 0.1}
    )
    table = enrichment.enrich(tested, SETS)
    assert cards.lookup(table, "planted", "score") > 5
    assert cards.lookup(table, "planted", "q") < 0.05


def test_one_file_of_gene_sets_serves_both_chapters_in_either_spelling(tmp_path):
    for column in ("set", "signature"):
        path = tmp_path / f"{column}.csv"
        path.write_text(f"{column},gene,note\nmine,CCL3,x\nmine,CCL2,y\nmine,CCL2,y\nother, TP53 ,\n")
        wanted = {"mine": ["CCL2", "CCL3"], "other": ["TP53"]}
        assert signatures.read(path, built_in=facts.signatures()) == wanted
        assert {name: sorted(genes) for name, genes in gene_scores.read_sets(path).items()} == wanted
    assert "senescence" in signatures.read(built_in=facts.signatures())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,symbol\na,b\n", "has columns 'name', 'symbol': gene sets need 'set'"),
        ("set,signature,gene\na,b,c\n", "'signature', not both"),
        ("set,gene\na,b\n,c\na,\n", "2 of 3 rows lack a set or a gene, first data row 2"),
    ],
)
@pytest.mark.parametrize("read", [gene_scores.read_sets, lambda path: signatures.read(path, built_in=None)])
def test_a_file_that_is_no_gene_sets_is_refused_alike_by_both_chapters(tmp_path, text, message, read):
    path = tmp_path / "sets.csv"
    with pytest.raises(TableError, match=r"no file .*sets\.csv: give a CSV"):
        read(path)
    path.write_text(text)
    with pytest.raises(TableError, match=message):
        read(path)


def test_the_built_in_sets_name_genes_of_the_reference():
    genes = set(study.genes()["symbol"])
    table = facts.signatures()
    assert [gene for gene in table["gene"] if gene not in genes] == []
    assert not table.select("signature", "gene").is_duplicated().any()


def test_sources_without_donors_give_empty_tables():
    adata = ad.AnnData(sp.csr_matrix(np.ones((5, 4), dtype=np.float32)))
    assert signatures.score_cells(adata, SETS, cell_type="MuSC", assay="cells").is_empty()
    empty = signature_tests.slopes(pl.DataFrame(schema=signatures.SCORES_SCHEMA))
    assert empty.is_empty()
    assert cards.compare_methods(empty).is_empty()


def test_ranks_of_sparse_cells_are_those_of_dense_ones():
    rng = np.random.default_rng(0)
    dense = rng.poisson(0.6, (60, 80)).astype(np.float32)
    genes = [f"G{i}" for i in range(80)]
    obs = pd.DataFrame(
        {
            names.DONOR: "D1",
            names.ASSAY: "cells",
            names.LEVEL0: "MuSC",
            names.SEX: "F",
            names.AGE_MIDPOINT: 30.0,
        },
        index=[f"c{i}" for i in range(60)],
    )
    adata = ad.AnnData(sp.csr_matrix(dense), obs=obs, var=pd.DataFrame(index=genes))
    found = signatures.score_cells(adata, {"a": genes[:10]}, cell_type="MuSC", assay="cells")
    net = pd.DataFrame({"source": "a", "target": genes[:10], "weight": 1.0})
    table = pd.DataFrame(dense, index=obs.index, columns=genes)
    wanted = signatures.load_decoupler().mt.aucell(table, net, tmin=3)[0]["a"].mean()
    assert found.filter(pl.col("method") == signatures.RANKS)["score"].item() == pytest.approx(wanted)
