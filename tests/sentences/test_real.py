"""Real input: scanpy's blood cells, the CELLxGENE schema's own fixtures, celltypist's raw counts where installed."""

import warnings
from importlib import resources

import anndata
import numpy as np
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


def test_the_valid_fixture_gives_symbols_organism_and_null_ages(shared, tmp_path):
    path = shared / "realdata" / "cellxgene_example_valid.h5ad"
    [done] = write.write(path, tmp_path, options=Options(split="none", rule=Rule(layer="raw")))
    table = read.read(done.folder).collect()
    assert table["organism_ontology_term_id"].unique().to_list() == ["NCBITaxon:9606"]  # it sits in uns
    assert table["organism"].unique().to_list() == ["Homo sapiens"]
    assert table["age"].to_list() == [None, None]
    assert table["age_kind"].to_list() == ["prenatal", "prenatal"]  # a Carnegie stage
    raw = anndata.read_h5ad(path).raw
    assert [len(text.split()) for text in table["cell_sentence"]] == (raw.X.toarray() > 0).sum(
        axis=1
    ).tolist()
    assert "TP53" in table["cell_sentence"][0].split()  # from an Ensembl index without a symbol column
    assert not any(word.startswith("ENSG") for text in table["cell_sentence"] for word in text.split())
    with pytest.raises(SentenceError, match=r"found 1 \(donor_1\)"):
        write.write(path, tmp_path / "split")
