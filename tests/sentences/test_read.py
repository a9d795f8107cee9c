import anndata
import numpy as np
import pandas as pd
import polars as pl
import pytest

from helpers.errors import SentenceError
from helpers.sentences import encode, read, write
from helpers.sentences.read import Fit
from helpers.sentences.write import Options

ALL = [f"G{i:03d}" for i in range(200)]


def other(folder, name="other", **columns):
    path = folder / name / "train" / "chunk_0000.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(columns).write_parquet(path)
    return path


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"cell_sentence": ["A B"], "gene_sentence_all": ["A B C"]}, "A B"),
        ({"gene_sentence_200": ["A"], "gene_sentence_2000": ["A B"], "gene_sentence_all": ["A B C"]}, "A B"),
        ({"gene_sentence_all": ["A B C"], "gene_sentence_opengenes": ["B"]}, "A B C"),
        ({"cell_sentence": [["A", "B"]]}, "A B"),
    ],
)
def test_sentences_are_found_under_every_name(tmp_path, columns, expected):
    other(tmp_path, **columns)
    assert read.read(tmp_path).collect()["cell_sentence"].to_list() == [expected]


def test_data_sets_with_other_columns_and_types_are_one_table(file, tmp_path):
    write.write(file, tmp_path, options=Options(test_fraction=0.2))
    other(tmp_path, gene_sentence_2000=["A B"], age=[40], sex=["nan"], donor_id=["x"])
    other(tmp_path, "text", gene_sentence_all=["A B"], age=["50"])
    pl.DataFrame({"cell_sentence": ["C"]}).write_parquet(tmp_path / "alone.parquet")
    table = read.read([tmp_path]).collect()
    assert table.height == 63
    assert set(table["dataset"]) == {"cells", "other", "text", tmp_path.name}
    assert set(table["side"]) == {"train", "test", None}
    found = table.filter(pl.col("dataset").is_in(["other", "text"])).select("dataset", "age", "sex")
    assert found.rows() == [("other", 40.0, None), ("text", 50.0, None)]


def test_files_folders_and_patterns_are_all_paths(tmp_path, monkeypatch):
    for name in ("rel[1]", "rel1", "rel*", "relx"):
        other(tmp_path, name=name, cell_sentence=[name])
    monkeypatch.chdir(tmp_path)

    def found(path):
        return set(read.read(path).collect()["cell_sentence"])

    for name in ("rel[1]", "rel*"):  # a folder whose name is a pattern is read, and not its neighbor
        for path in (tmp_path / name, tmp_path / name / "train" / "chunk_0000.parquet", name):
            assert found(path) == {name}
    for pattern in (str(tmp_path / "re?x" / "*" / "*.parquet"), "re?x/train/*"):
        assert found(pattern) == {"relx"}
    with pytest.raises(SentenceError, match=r"no Parquet file in .*absent"):
        read.read(tmp_path / "absent")


def test_a_table_without_sentences_and_a_cut_file_are_named(tmp_path):
    def refused(message):
        with pytest.raises(SentenceError, match=f"chunk_0000.parquet{message}"):
            read.read(tmp_path)

    other(tmp_path, age=[3])
    refused(" has no sentences .*it has: age")
    path = other(tmp_path, cell_sentence=[7])
    refused(": cell_sentence holds Int64, not text")
    path.write_bytes(path.read_bytes()[:50])
    refused(" .*cannot be read as Parquet")


@pytest.mark.parametrize("down", [False, True])
def test_a_tail_in_alphabetical_order_is_found_without_counts(down):
    cells = [["G150", "G007", "G100"], ["G004", "G190"], ["G010", "G009", "G002", "G030"]]
    filled = [own + sorted(set(ALL) - set(own), reverse=down) for own in cells]
    found = read.find_padding([" ".join(words) for words in filled])
    assert found.rule in ("alphabet", "constant")
    assert all(keep <= len(genes) + 2 for keep, genes in zip(found.keep, cells, strict=True))
    assert found.padded_cells == 1.0


def test_a_tail_that_cells_share_is_found_counts_decide_and_expressed_genes_are_left_alone(cells):
    tail = ALL[100:160:7] + ALL[101:160:9] + ALL[3:90:11]
    for sentences, expressed, rule, keep in (
        ([" ".join([*ALL[i : i + 5], *tail]) for i in range(60, 66)], None, "constant", [5] * 6),
        (["A B C D", "E F G H", "I J"], [2, 9, None], "count", [2, 4, 2]),
    ):
        found = read.find_padding(sentences, expressed=expressed)
        assert (found.rule, found.keep.tolist()) == (rule, keep)
    assert (found.padded_cells, found.padded_words) == (pytest.approx(1 / 3), pytest.approx(0.2))
    found = read.find_padding(encode.encode(cells).sentences)
    assert (found.rule, found.keep.tolist()) == ("none", found.words.tolist())
    assert read.find_padding([]).padded_cells is None


def test_a_sentence_gives_back_values_that_lie_on_the_line():
    line = Fit(slope=-0.8, intercept=2.5)
    values = np.random.default_rng(2).permutation(line.predict(np.arange(60)))
    adata = anndata.AnnData(values[None], var=pd.DataFrame(index=ALL[:60]))
    table = read.decode(encode.encode(adata).sentences[0], line)
    truth = dict(zip(adata.var_names, values, strict=True))
    assert [truth[gene] for gene in table["gene"]] == pytest.approx(table["expression"].to_list())
    assert Fit(slope=-2.0, intercept=1.0).predict([0, 10_000]).tolist() == [1.0, 0.0]  # never below zero


def test_generated_text_is_cleaned():
    cleaned = read.clean("MYH7, ttn foo MYH7 hla-a. actb", ["MYH7", "TTN", "Actb", "HLA-A", "ACTB"])
    assert cleaned.words == ("MYH7", "TTN", "HLA-A")
    assert cleaned.unknown == ("foo", "actb")  # two words of the vocabulary could be meant
    assert cleaned.repeats == 1
    assert read.decode("", Fit(-2.0, 1.0)).height == 0
