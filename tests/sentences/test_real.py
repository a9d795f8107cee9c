"""Real input: scanpy's blood cells, the CELLxGENE schema's own fixtures; where installed, a peer."""

import warnings
from importlib import resources
from importlib.util import find_spec

import anndata
import pytest

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
    encoded = encode.encode(path, rule=Rule(layer="raw", top_n=0))
    for text, (_, row) in zip(encoded.sentences, adata.raw.to_adata().to_df().iterrows(), strict=True):
        # what Cell2Sentence writes, tie order aside: the stored values, highest first
        ranked = row[text.split()]
        assert set(ranked.index) == set(row.index[row > 0])
        assert ranked.is_monotonic_decreasing
    assert encoded.sentences == encode.encode(adata, rule=Rule(layer="raw", top_n=0), block=33).sentences


def test_the_valid_fixture_gives_symbols_organism_and_null_ages(shared, tmp_path):
    path = shared / "realdata" / "cellxgene_example_valid.h5ad"
    [done] = write.write(path, tmp_path, options=Options(split="none", rule=Rule(layer="raw")))
    table = read.read(done.folder).collect()
    told = table.select("organism_ontology_term_id", "organism", "age", "age_kind").rows()
    assert told == [("NCBITaxon:9606", "Homo sapiens", None, "prenatal")] * 2  # from uns; a Carnegie stage
    words = [text.split() for text in table["cell_sentence"]]
    expressed = (anndata.read_h5ad(path).raw.X.toarray() > 0).sum(axis=1)
    assert [len(own) for own in words] == expressed.tolist()
    assert "TP53" in words[0]  # from an Ensembl index without a symbol column
    assert not any(word.startswith("ENSG") for own in words for word in own)
    with pytest.raises(SentenceError, match=r"found 1 \(donor_1\)"):
        write.write(path, tmp_path / "split")


def test_the_invalid_fixture_gives_what_it_holds(shared, tmp_path):
    path = shared / "realdata" / "cellxgene_example_invalid_CL.h5ad"
    [done] = write.write(path, tmp_path, options=Options(split="none"))
    ages = set(read.read(done.folder).select("development_stage_ontology_term_id", "age").collect().rows())
    assert {("HsapDv:0000144", 50.0), ("unknown", None)} <= ages
    assert done.manifest["symbols"]["dropped_spike_ins"] >= 1


@pytest.mark.skipif(find_spec("cell2sentence") is None, reason="cell2sentence is not installed")
@pytest.mark.filterwarnings("ignore")
def test_the_expressed_sets_are_those_of_the_installed_peer(blood):
    from cell2sentence import CSData

    adata = blood[1].raw.to_adata()
    adata.var["any"] = 1
    table, _ = CSData.adata_to_arrow(adata, sentence_delimiter=" ", label_col_names=["louvain"])
    own = encode.encode(adata, rule=Rule(top_n=0, case="upper")).sentences
    assert [set(text.split()) for text in table["cell_sentence"]] == [set(text.split()) for text in own]
