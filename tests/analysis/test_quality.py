"""Quality tables against hand counts, sex against planted genes, structural zeros against planted ones."""

import anndata as ad
import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp

from helpers import names
from helpers.analysis import labels, quality, sexes, zeros
from helpers.errors import TableError

LIMITS = quality.Thresholds(min_genes=300, min_counts=500, max_percent_mito=10.0, max_doublet_score=0.4)


@pytest.fixture
def obs():
    return pl.DataFrame(
        {
            names.BARCODE: list("abcdef"),
            names.DONOR: ["A", "A", "A", "B", "B", "B"],
            names.SEX: ["F", "F", "F", "M", "M", "M"],
            names.ASSAY: ["cells", "cells", "nuclei", "cells", "nuclei", "nuclei"],
            names.LEVEL0: ["FB", "FB", "MF-I", "T-cell", "MF-I", "MF-I"],
            names.LEVEL1: ["FB", "FB", "MF-I", "CD4+T", "MF-I", "MF-I"],
            names.LEVEL2: ["FB", "MF-I", "MF-I", "CD4+T", "MF-I", "MF-I"],
            names.N_GENES: [1000, 200, 800, 250, 700, 900],
            names.N_COUNTS: [2000.0, 400.0, 1500.0, 600.0, 900.0, 1000.0],
            names.PERCENT_MITO: [5.0, 12.0, 0.1, 3.0, 0.2, None],
            names.DOUBLET_SCORE: [0.1, 0.1, 0.1, 0.1, 0.9, 0.1],
        }
    )


def test_what_each_rule_removes_is_counted_by_hand(obs):
    table = dict(quality.removed(obs, LIMITS).select("rule", "removed").iter_rows())
    assert table == {
        "fewer than 300 genes": 2,
        "fewer than 500 counts": 1,
        "more than 10 % mitochondrial": 1,
        "doublet score above 0.4": 1,
        "any of these": 3,
    }


def test_removal_by_group_adds_up_to_removal_overall(obs):
    overall = quality.removed(obs, LIMITS)
    grouped = quality.removed(obs, LIMITS, by=names.DONOR).group_by("rule").agg(pl.col("removed").sum())
    assert dict(grouped.iter_rows()) == dict(overall.select("rule", "removed").iter_rows())


def test_a_rule_whose_measure_is_missing_is_left_out(obs):
    rules = quality.removed(obs.drop(names.DOUBLET_SCORE), LIMITS)["rule"].to_list()
    assert not [rule for rule in rules if "doublet" in rule]


def test_medians_by_group(obs):
    table = quality.summarize(obs, by=[names.ASSAY])
    assert dict(table.select(names.ASSAY, names.N_COUNTS).iter_rows()) == {"cells": 600.0, "nuclei": 1000.0}


def test_sex_is_read_from_genes_and_a_swap_is_seen(obs):
    expression = pl.DataFrame({"XIST": [1.0, 0.5, 0.0, 0.0, 0.9, 0.8], "UTY": [0.0, 0.0, 0.0, 0.0, 0.0, 0.0]})
    table = sexes.check(obs, expression)
    assert dict(table.select(names.DONOR, "seen").iter_rows()) == {"A": "F", "B": "F"}
    assert dict(table.select(names.DONOR, "agrees").iter_rows()) == {"A": True, "B": False}


def test_expression_of_other_cells_is_refused(obs):
    with pytest.raises(TableError, match="2 rows of expression for 6 cells"):
        sexes.check(obs, pl.DataFrame({"XIST": [1.0, 0.5], "UTY": [0.0, 0.0]}))


def test_a_gene_absent_from_nuclei_is_found_and_a_rare_one_is_not():
    rng = np.random.default_rng(7)
    assay = np.array(["cells"] * 100 + ["nuclei"] * 100)
    dense = (rng.random((200, 3)) < 0.5).astype(np.float32)
    dense[assay == "nuclei", 0] = 0  # structural
    dense[:, 1] = 0
    dense[0, 1] = 1  # rare: one cell
    adata = ad.AnnData(sp.csr_matrix(dense))
    adata.var_names = ["ALDOA", "RARE", "ACTB"]
    adata.obs[names.ASSAY] = assay
    adata.obs[names.LEVEL0] = "FB"
    table = zeros.find(zeros.detect(adata), min_expected=10)
    assert table[names.GENE].to_list() == ["ALDOA"]
    assert table["seen_in_other"].item() == int(dense[:100, 0].sum())
    assert table["absent_from"].item() == "nuclei"


def test_structural_zeros_need_two_assays():
    adata = ad.AnnData(sp.csr_matrix(np.ones((100, 2), dtype=np.float32)))
    adata.obs[names.ASSAY] = "cells"
    assert zeros.find(zeros.detect(adata)).is_empty()


def test_the_doublet_area_is_that_of_a_plain_count(obs):
    truth = pl.DataFrame(
        {names.BARCODE: list("abcdef"), "doublet": [False, False, False, False, True, False]}
    )
    absent = pl.DataFrame(schema=zeros.ZEROS_SCHEMA)
    score = zeros.compare_with_truth(
        obs,
        absent,
        pl.DataFrame(schema=zeros.DETECTED_SCHEMA),
        min_expected=10,
        min_share=0.03,
        truth_zeros=None,
        truth_cells=truth,
    )
    assert score["doublet_auc"] == 1.0
    assert score["zeros_planted"] is None


def test_labels_are_counted_by_assay_and_breaks_of_the_tree_are_named(obs):
    assert labels.count(obs).row(0) == ("MF-I", 0, 3, 3)
    breaks = labels.check_tree(obs)
    assert breaks.select("label", "expected", "found", "cells").rows() == [("MF-I", "MF-I", "FB", 1)]


def test_loading_that_swaps_two_cells_does_not_agree_with_the_truth(obs):
    truth = obs.select(
        names.BARCODE, pl.col(names.LEVEL0).alias("true_level0"), pl.lit(value=False).alias("mislabeled")
    )
    assert labels.compare_with_truth(obs, truth)["aligned"] == 1.0
    swapped = obs.with_columns(pl.col(names.LEVEL0).reverse())
    assert labels.compare_with_truth(swapped, truth)["aligned"] < 1.0
    assert labels.compare_with_truth(obs, None)["aligned"] is None


def test_a_gene_of_a_type_that_one_assay_lacks_is_no_structural_zero():
    assay = np.array(["cells"] * 100 + ["nuclei"] * 100)
    kinds = np.array(["Neutrophil"] * 50 + ["FB"] * 150)
    dense = np.zeros((200, 2), dtype=np.float32)
    dense[:50, 0] = 1  # neutrophils alone, and they are found among cells alone
    dense[50:100, 1] = 1  # fibroblasts among cells, never their nuclei
    adata = ad.AnnData(sp.csr_matrix(dense))
    adata.var_names = ["CSF3R", "ALDOA"]
    adata.obs[names.ASSAY], adata.obs[names.LEVEL0] = assay, kinds
    detected = zeros.detect(adata)
    assert dict(detected.select(names.GENE, "expected_nuclei").iter_rows()) == {"CSF3R": 0, "ALDOA": 100}
    assert zeros.find(detected)[names.GENE].to_list() == ["ALDOA"]


def test_a_gene_that_few_barcodes_see_is_not_listed_and_not_counted_as_missed():
    assay = np.array(["cells"] * 1000 + ["nuclei"] * 1000)
    dense = np.zeros((2000, 2), dtype=np.float32)
    dense[:20, 0] = 1  # 2 % of cells: an assay that detects a tenth as well would miss it too
    dense[:40, 1] = 1  # 4 %
    adata = ad.AnnData(sp.csr_matrix(dense))
    adata.var_names = ["LMBR1", "ALDOA"]
    adata.obs[names.ASSAY], adata.obs[names.LEVEL0] = assay, "FB"
    detected = zeros.detect(adata)
    absent = zeros.find(detected, min_share=0.03)
    assert absent[names.GENE].to_list() == ["ALDOA"]
    assert zeros.find(detected, min_share=0.01)[names.GENE].to_list() == ["ALDOA", "LMBR1"]
    planted = pl.DataFrame({"assay": ["nuclei", "nuclei"], "gene": ["ALDOA", "LMBR1"]})
    obs = pl.DataFrame({names.BARCODE: ["a"]})
    score = zeros.compare_with_truth(
        obs, absent, detected, min_expected=10, min_share=0.03, truth_zeros=planted, truth_cells=None
    )
    assert [score[f"zeros_{what}"] for what in ("planted", "testable", "found", "false")] == [2, 1, 1, 0]


def test_a_donor_without_any_sex_gene_is_not_judged(obs):
    table = sexes.check(obs, pl.DataFrame({"XIST": [0.0] * 6, "UTY": [0.0] * 3 + [1.0] * 3}))
    assert dict(table.select(names.DONOR, "seen").iter_rows()) == {"A": None, "B": "M"}
    assert table.filter(~pl.col("agrees")).is_empty()
