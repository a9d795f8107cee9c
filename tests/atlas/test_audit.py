import re
import shutil

import polars as pl
import pytest

from helpers import names
from helpers.atlas import audit
from helpers.errors import ReleaseError
from helpers.facts import study

import damage  # isort: skip  the folder tests is put on the path by conftest

WRONG = {  # what a faithful release must show to be wrong on the card
    "donor names", "age range", "numeric age", "balance", "age classes", "stratified split", "label hierarchy", "major types",
    "(fg)", "stem cells", "batch", "sex", "protein coding", "symbols", "reference", "barcodes", "access by label", "index check",
    "sparse storage", "PCA settings", "neighbors settings", "variable genes", "origin of maps", "8 GB of memory",
    "6 GB sparse", "2 GB of maps", "loading by name", "normalization", "fold change", "tissue",
}  # fmt: skip
RIGHT = {
    "donors", "young and old", "oldest group", "labels", "genes", "gene table", "phantom column", "float32", "embeddings",
    "12 files", "text",
}  # fmt: skip
OPEN = {"validation", "license", "scVI", "sequencer", "ethics"}
DRAWN = {  # values that a simulation drew say nothing about the card
    "sparsity", "genes per cell", "molecules per cell", "mitochondrial", "range of X_scVI", "range of X_umap", "range of X_pca",
    "range of X_tsne", "fiber switch", "fibroblasts", "sex genes", "genes of aging",
}  # fmt: skip


@pytest.fixture(scope="module")
def tiny_audit(tiny_release):
    return verdicts(tiny_release)


@pytest.fixture(scope="module")
def small_audit(small_release):
    return verdicts(small_release)


def verdicts(folder):
    return {row["claim"]: row for row in audit.audit(folder).iter_rows(named=True)}


def changed(release, folder, file, *expressions):
    copy = shutil.copytree(release, folder)
    pl.read_parquet(copy / file).with_columns(*expressions).write_parquet(copy / file)
    return copy


def test_a_faithful_release_shows_what_the_card_has_right_and_wrong_and_what_it_cannot_show(tiny_audit):
    found = {}
    for claim, row in tiny_audit.items():
        found.setdefault(row["verdict"], set()).add(claim)
    assert found["does not hold"] >= WRONG
    assert found["holds"] >= RIGHT
    assert found["cannot be checked"] == OPEN
    assert found["not judged: simulated"] == DRAWN
    assert len(found) == 5
    assert all(re.search(r"\d", tiny_audit[claim]["found"]) for claim in DRAWN)
    assert len(tiny_audit) == study.read("card_claims.tsv").height  # each has a name of its own
    assert all(row["found"] and row["card"] and row["explanation"] for row in tiny_audit.values())


SAID = {
    "donors": "17 (simulated part",
    "labels": "36 / 43 / 82",
    "age range": "donors are 19 to 74 years old; bins run from 15 to 75",
    "numeric age": "8 distinct values; up to 2.5 years off the exact age",
    "age classes": "4 of 8 bins are one donor each: 15-20, 20-25, 50-55, 55-60",
    "sex": "0 women, 5 men",
    "8 GB of memory": "20.1 GiB",
    "tissue": "10 DCD, 7 DBD",
}


def test_numbers_agree_with_the_published_facts(tiny_release, tiny_audit):
    assert {claim: text for claim, text in SAID.items() if text not in tiny_audit[claim]["found"]} == {}
    nonzero = float(pl.read_parquet(tiny_release / names.SAMPLE_FILE)[names.N_GENES].mean()) * 183_161
    csr = f"as CSR {(8 * nonzero + 8 * 183_161) / 2**30:.1f} GiB"
    assert csr in tiny_audit["6 GB sparse"]["found"]


FLIPS = {  # claim: (file, change, verdict then)
    "donor names": (names.SAMPLE_FILE, pl.format("Donor_{}", names.DONOR).alias(names.DONOR), "holds"),
    "age range": (names.SAMPLE_FILE, pl.format("Donor_{}", names.DONOR).alias(names.DONOR), "cannot be checked"),
    "tissue": (names.SAMPLE_FILE, pl.format("Donor_{}", names.DONOR).alias(names.DONOR), "cannot be checked"),
    "age classes": (names.SAMPLE_FILE, pl.format("{}-{}", names.DONOR, pl.int_range(pl.len()) % 2).alias(names.DONOR), "holds"),
    "stratified split": (names.SAMPLE_FILE, pl.format("one-{}", pl.int_range(pl.len())).alias(names.DONOR), "holds"),
    "mitochondrial": (names.SAMPLE_FILE, pl.lit(25.0).alias(names.PERCENT_MITO), "does not hold"),
    "stem cells": (names.SAMPLE_FILE, pl.lit("FB").alias(names.LEVEL0), "holds"),
    "protein coding": (names.FEATURE_FILE, pl.Series(names.ENSEMBL, study.genes().filter(pl.col("biotype") == "protein_coding")["ensembl_id"][:220]), "holds"),
    "reference": (names.FEATURE_FILE, pl.format("X{}", names.ENSEMBL).alias(names.ENSEMBL), "cannot be checked"),
    "symbols": (names.FEATURE_FILE, pl.lit("MYH7").alias(names.SYMBOL), "holds"),
    "variable genes": (names.FEATURE_FILE, pl.lit(True).alias("highly_variable"), "holds"),
    "range of X_umap": (names.PROJECTION_FILES[names.UMAP], [pl.int_range(pl.len()).cast(pl.Float64).mul(11.7 / 679).add(7.5).alias("UMAP1"), pl.lit(8.0).alias("UMAP2")], "holds"),
}  # fmt: skip


@pytest.mark.parametrize("claim", FLIPS)
def test_a_claim_turns_with_the_files(small_release, small_audit, tmp_path, monkeypatch, claim):
    # donors renamed in halves and rows of a map in a line are damage otherwise
    monkeypatch.setattr(audit.validate, "require_tables", lambda _files: None)
    file, change, verdict = FLIPS[claim]
    after = verdicts(changed(small_release, tmp_path / "copy", file, change))[claim]
    assert after["verdict"] == verdict, after["found"]
    assert small_audit[claim]["verdict"] != verdict


def test_barcodes_in_the_expression_file_turn_three_claims(write_release, tmp_path):
    found = verdicts(write_release(tmp_path / "with", barcodes_in_expression=True))
    assert [found[c]["verdict"] for c in ("barcodes", "access by label", "phantom column")] == [
        "holds", "holds", "does not hold",
    ]  # fmt: skip


def test_a_missing_file_leaves_its_claims_open_and_the_others_answered(copy):
    for file in (names.EXPRESSION_FILE, names.UNSTRUCTURED_FILE):
        (copy / file).unlink()
    found = verdicts(copy)
    assert found["sparsity"]["verdict"] == found["PCA settings"]["verdict"] == "cannot be checked"
    assert found["sparsity"]["found"] == f"not in the release: {names.EXPRESSION_FILE}"
    assert found["12 files"]["found"] == "10 of the 12 files"
    assert found["donors"]["verdict"] == "holds"


def test_a_damaged_table_is_refused_before_numbers_are_made_of_it(copy):
    said = r"1 fault\(s\) make the numbers .*n_counts is String.*musclebook validate"
    with pytest.raises(ReleaseError, match=said):
        audit.audit(damage.DAMAGES["text counts"](copy))


@pytest.mark.parametrize("name", ["infinite expression", "scaled expression", "raw expression"])
def test_no_number_is_made_of_a_damaged_matrix(copy, name):
    fold = verdicts(damage.DAMAGES[name](copy))["fold change"]  # a warning of numpy would fail, as everywhere
    assert fold["verdict"] == "cannot be checked"
    assert "log1p of counts, every value finite" in fold["found"]


def test_the_same_values_are_judged_where_nothing_says_simulated(tiny_release, tmp_path):
    copy = shutil.copytree(tiny_release, tmp_path / "copy")
    shutil.rmtree(copy / names.TRUTH_FOLDER)
    found = verdicts(copy)
    assert {found[claim]["verdict"] for claim in DRAWN - {"genes of aging"}} <= {"holds", "does not hold"}
    assert found["range of X_umap"]["verdict"] == "does not hold"
