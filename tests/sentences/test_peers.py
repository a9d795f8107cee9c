"""Each fault that was measured in Cell2Sentence 1.2.0 and cell2sentence4longevity 0.1.2, shown to be absent."""

from importlib import resources
from importlib.util import find_spec

import anndata
import numpy as np
import pandas as pd
import pytest

from helpers.sentences import encode, write
from helpers.sentences.encode import Rule


def sentences(adata, **options):
    return encode.encode(adata, rule=Rule(**options)).sentences


def test_the_text_does_not_depend_on_the_sort_algorithm():
    # a run of 5,000 equal values is where unstable sorts differ between processors
    genes = [f"G{i:04d}" for i in np.random.default_rng(0).permutation(5000)]
    assert sentences(anndata.AnnData(np.ones((1, 5000)), var=pd.DataFrame(index=genes)), top_n=0) == [
        " ".join(sorted(genes))
    ]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("10CC50A0-AF80-4FA1-B668-893DD5C0113A", True),
        ("10cc50a0af804fa1b668893dd5c0113a", True),
        ("study_10cc50a0-af80-4fa1-b668-893dd5c0113a_v2", True),
        ("cellxgene_download", False),
        ("10cc50a0-af80-4fa1-b668-893dd5c0113", False),
    ],
)
def test_only_a_uuid_is_an_id_in_whatever_spelling(name, found):
    stated = write._describe_source(name, None)["dataset_id"]
    assert (stated == "10cc50a0-af80-4fa1-b668-893dd5c0113a") is found


@pytest.mark.skipif(find_spec("cell2sentence") is None, reason="cell2sentence is not installed")
@pytest.mark.filterwarnings("ignore")
def test_the_expressed_sets_are_those_of_the_installed_peer():
    from cell2sentence import CSData

    adata = anndata.read_h5ad(
        resources.files("scanpy") / "datasets" / "10x_pbmc68k_reduced.h5ad"
    ).raw.to_adata()
    adata.var["any"] = 1
    table, _ = CSData.adata_to_arrow(adata, sentence_delimiter=" ", label_col_names=["louvain"])
    own = sentences(adata, top_n=0, case="upper")
    assert [set(text.split()) for text in table["cell_sentence"]] == [set(text.split()) for text in own]
