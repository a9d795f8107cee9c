"""Each fault that was measured in Cell2Sentence 1.2.0 and cell2sentence4longevity 0.1.2, shown to be absent."""

from importlib import resources
from importlib.util import find_spec

import anndata
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp

from helpers import ages
from helpers.sentences import encode, prompts, read, write
from helpers.sentences.ranking import Rule
from helpers.sentences.write import Options


def sentences(adata, **options):
    return encode.encode(adata, rule=Rule(**options)).sentences


def test_unexpressed_genes_do_not_fill_a_sentence_up(cells):
    for text, row in zip(sentences(cells, top_n=2000), cells.X.toarray(), strict=True):
        assert len(text.split()) == (row > 0).sum()


def test_a_cell_of_zeros_has_no_words(cells):
    values = cells.X.toarray()
    values[0] = 0
    cells.X = values
    assert sentences(cells)[0] == ""


def test_explicit_zeros_do_not_stay():
    values = sp.csr_matrix(np.array([[1.0, 2.0]]))
    values.data[0] = 0
    assert sentences(anndata.AnnData(values, var=pd.DataFrame(index=["A", "B"]))) == ["B"]


def test_nan_comes_neither_first_nor_last():
    adata = anndata.AnnData(np.array([[np.nan, 1.0, -2.0]]), var=pd.DataFrame(index=["A", "B", "C"]))
    assert sentences(adata) == ["B"]


def test_the_text_does_not_depend_on_the_sort_algorithm():
    # a run of 5,000 equal values is where unstable sorts differ between processors
    genes = [f"G{i:04d}" for i in np.random.default_rng(0).permutation(5000)]
    assert sentences(anndata.AnnData(np.ones((1, 5000)), var=pd.DataFrame(index=genes)), top_n=0) == [
        " ".join(sorted(genes))
    ]


def test_the_seed_is_used_and_chunks_do_not_change_the_text(cells):
    assert sentences(cells, ties="seeded", seed=1) != sentences(cells, ties="seeded", seed=2)
    rule = Rule(ties="seeded", seed=1)
    assert (
        encode.encode(cells, rule=rule, block=1).sentences
        == encode.encode(cells, rule=rule, block=60).sentences
    )


def test_a_duplicated_name_does_not_shift_the_columns_behind_it():
    adata = anndata.AnnData(np.array([[0.0, 0.0, 1.0, 5.0]]))
    adata.var["feature_name"] = ["ACTB", "actb", "TTN", "MYH7"]
    assert sentences(adata) == ["MYH7 TTN"]
    assert sentences(adata, case="upper") == ["MYH7 TTN"]


def test_a_name_with_a_space_is_one_word():
    adata = anndata.AnnData(np.array([[2.0, 1.0]]), var=pd.DataFrame(index=["HLA A", "B"]))
    assert [len(text.split()) for text in sentences(adata)] == [2]


def test_ensa_is_kept_and_identifiers_are_not():
    adata = anndata.AnnData(
        np.array([[1.0, 2.0, 3.0]]), var=pd.DataFrame(index=["ENSA", "ENSAP1", "ENSG99999999999"])
    )
    assert sentences(adata) == ["ENSAP1 ENSA"]


def test_mouse_symbols_keep_their_case():
    assert sentences(anndata.AnnData(np.array([[1.0]]), var=pd.DataFrame(index=["Actb"]))) == ["Actb"]


def test_ages_that_the_peer_loses_are_kept():
    lost = [
        "fifth decade stage",
        "18-month-old stage",
        "15-19 year-old",
        "80 year-old and over stage",
        "newborn stage (0-28 days)",
    ]
    assert all(ages.parse(label).years is not None for label in lost)
    assert ages.parse("infant stage (1-23 months)").years == pytest.approx(
        12.5 / 12, abs=0.01
    )  # not 23 months


def test_cells_without_an_age_are_not_dropped_in_silence(cells, tmp_path):
    cells.obs["development_stage"] = "unknown"
    [done] = write.write({"cells": cells}, tmp_path)
    assert done.manifest["cells"] == 60
    assert done.manifest["ages"] == {"unknown": 60}


@pytest.mark.parametrize("chunk", [5, 17, 60])
def test_no_donor_is_in_train_and_test_with_many_chunks(cells, tmp_path, chunk):
    order = np.random.default_rng(0).permutation(60)  # donors in every chunk
    [done] = write.write(
        {"cells": cells[order].copy()}, tmp_path, options=Options(chunk_cells=chunk, test_fraction=0.2)
    )
    sides = read.read(done.folder).select("donor_id", "side").unique().collect()
    assert sides.height == cells.obs["donor_id"].nunique()


def test_the_promised_column_is_written(cells, tmp_path):
    [done] = write.write({"cells": cells}, tmp_path)
    assert "cell_sentence" in pl.read_parquet_schema(next(done.folder.glob("train/*.parquet")))


def test_missing_labels_do_not_become_the_text_nan(cells, tmp_path):
    cells.obs["disease"] = pd.Categorical([None] * 60, categories=["normal"])
    [done] = write.write({"cells": cells}, tmp_path)
    assert pl.read_parquet(done.folder / "*" / "*.parquet")["disease"].null_count() == 60


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
    assert (write.find_id(name) == "10cc50a0-af80-4fa1-b668-893dd5c0113a") is found


def test_the_name_of_a_packed_file_gives_the_id_too():
    from helpers.sentences import cells

    name = cells.dataset_name("10cc50a0-af80-4fa1-b668-893dd5c0113a.h5ad.gz")
    assert write.find_id(name) is not None


def test_a_prompt_states_the_number_of_genes_that_it_holds(cells, tmp_path):
    cells.X = cells.X.toarray() * (np.arange(40) < 5)
    write.write({"cells": cells}, tmp_path / "out")
    prompts.write(tmp_path / "out", tmp_path / "p.jsonl", task="age", n_genes=200)
    assert "200" not in (tmp_path / "p.jsonl").read_text()


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
