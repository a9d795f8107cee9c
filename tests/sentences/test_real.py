"""Real input: scanpy's blood cells, the CELLxGENE schema's own fixtures; where installed, celltypist's and a peer."""

import warnings
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp

from helpers.errors import SentenceError
from helpers.sentences import encode, read, write
from helpers.sentences.encode import Rule
from helpers.sentences.write import Options


@pytest.fixture(scope="module")
def blood():
    path = resources.files("scanpy") / "datasets" / "10x_pbmc68k_reduced.h5ad"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the file is of 2019
        return path, anndata.read_h5ad(path)


def test_the_expressed_set_of_each_blood_cell_is_its_sentence(blood):
    path, adata = blood
    values = adata.raw.X.toarray()
    names = np.array(adata.raw.var_names)
    encoded = encode.encode(path, rule=Rule(layer="raw", top_n=0))
    for text, row in zip(encoded.sentences, values, strict=True):
        # what Cell2Sentence writes, tie order aside: the stored values, highest first
        assert set(text.split()) == set(names[row > 0])
        by_name = dict(zip(names, row, strict=True))
        ordered = [by_name[word] for word in text.split()]
        assert ordered == sorted(ordered, reverse=True)
    assert encoded.sentences == encode.encode(adata, rule=Rule(layer="raw", top_n=0), block=33).sentences


def test_scaled_values_give_sentences_of_what_is_above_zero(blood):
    _, adata = blood
    encoded = encode.encode(adata)  # X is z-scored: negatives are no expression
    assert encoded.ties["values_negative"] == int((adata.X < 0).sum())
    assert encoded.table["n_expressed"].to_list() == (adata.X > 0).sum(axis=1).tolist()


def test_the_valid_fixture_gives_symbols_organism_and_null_ages(shared, tmp_path):
    path = shared / "realdata" / "cellxgene_example_valid.h5ad"
    [done] = write.write(path, tmp_path, options=Options(split="none", rule=Rule(layer="raw")))
    table = read.read(done.folder).collect()
    assert table["organism_ontology_term_id"].unique().to_list() == ["NCBITaxon:9606"]  # it sits in uns
    assert table["organism"].unique().to_list() == ["Homo sapiens"]
    assert table["age"].to_list() == [None, None]
    assert table["age_kind"].to_list() == ["prenatal", "prenatal"]  # a Carnegie stage
    raw = anndata.read_h5ad(path).raw
    lengths = [len(text.split()) for text in table["cell_sentence"]]
    assert lengths == (raw.X.toarray() > 0).sum(axis=1).tolist()
    assert "TP53" in table["cell_sentence"][0].split()  # from an Ensembl index without a symbol column
    assert not any(word.startswith("ENSG") for text in table["cell_sentence"] for word in text.split())
    with pytest.raises(SentenceError, match=r"found 1 \(donor_1\)"):
        write.write(path, tmp_path / "split")


def test_the_invalid_fixture_gives_what_it_holds_and_a_clear_error_where_it_must(shared, tmp_path):
    path = shared / "realdata" / "cellxgene_example_invalid_CL.h5ad"
    [done] = write.write(path, tmp_path / "b", options=Options(split="none"))
    table = read.read(done.folder).collect()
    stage = "development_stage_ontology_term_id"
    ages = dict(table.group_by(stage).agg(pl.col("age").unique()).iter_rows())
    assert (ages["HsapDv:0000144"], ages["unknown"]) == ([50.0], [None])
    assert done.manifest["symbols"]["dropped_spike_ins"] >= 1


@pytest.mark.skipif(find_spec("celltypist") is None, reason="celltypist is not installed")
def test_raw_counts_of_celltypist_are_written():
    folder = Path(find_spec("celltypist").origin).parent  # not imported: it wants more than the file
    table = pl.read_csv(folder / "data" / "samples" / "sample_cell_by_gene.csv", infer_schema_length=1)
    values, genes = table[:, 1:].to_numpy().astype(np.float32), np.array(table.columns[1:])
    adata = anndata.AnnData(
        sp.csr_matrix(values), obs=pd.DataFrame(index=table[:, 0]), var=pd.DataFrame(index=genes)
    )
    encoded = encode.encode(adata, rule=Rule(top_n=0))
    assert [set(text.split()) for text in encoded.sentences] == [set(genes[row > 0]) for row in values]


@pytest.mark.skipif(find_spec("cell2sentence") is None, reason="cell2sentence is not installed")
@pytest.mark.filterwarnings("ignore")
def test_the_expressed_sets_are_those_of_the_installed_peer(blood):
    from cell2sentence import CSData

    adata = blood[1].raw.to_adata()
    adata.var["any"] = 1
    table, _ = CSData.adata_to_arrow(adata, sentence_delimiter=" ", label_col_names=["louvain"])
    own = encode.encode(adata, rule=Rule(top_n=0, case="upper")).sentences
    assert [set(text.split()) for text in table["cell_sentence"]] == [set(text.split()) for text in own]
