import polars as pl
import pytest

from helpers.errors import SentenceError
from helpers.sentences import encode, padding, read, write
from helpers.sentences.write import Options


def other(folder, name="other", **columns):
    path = folder / name / "train" / "chunk_0000.parquet"
    path.parent.mkdir(parents=True)
    pl.DataFrame(columns).write_parquet(path)
    return path


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"cell_sentence": ["A B"], "gene_sentence_all": ["A B C"]}, "A B"),
        ({"gene_sentence_200": ["A"], "gene_sentence_2000": ["A B"], "gene_sentence_all": ["A B C"]}, "A B"),
        ({"gene_sentence_all": ["A B C"], "gene_sentence_opengenes": ["B"]}, "A B C"),
    ],
)
def test_sentences_are_found_under_every_name(tmp_path, columns, expected):
    other(tmp_path, **columns)
    assert read.read(tmp_path).collect()["cell_sentence"].to_list() == [expected]


@pytest.mark.parametrize("age", [[50], [50.0], ["50"]])
def test_whole_and_broken_ages_are_both_years(tmp_path, age):
    other(tmp_path, cell_sentence=["A"], age=age)
    table = read.read(tmp_path).collect()
    assert table["age"].to_list() == [50.0]
    assert table.schema["age"] == pl.Float64


def test_data_sets_with_other_columns_and_types_are_one_table(file, tmp_path):
    write.write(file, tmp_path / "all", options=Options(test_fraction=0.2))
    other(tmp_path / "all", gene_sentence_2000=["A B"], age=[40], sex=["nan"], donor_id=["x"])
    pl.DataFrame({"cell_sentence": ["C"]}).write_parquet(tmp_path / "all" / "alone.parquet")
    table = read.read([tmp_path / "all"]).collect()
    assert table.height == 62
    assert set(table["dataset"]) == {"cells", "other", "all"}
    assert set(table["side"]) == {"train", "test", None}
    assert table.filter(pl.col("dataset") == "other")["sex"].to_list() == [None]


def test_files_folders_and_patterns_are_all_paths(file, tmp_path):
    write.write(file, tmp_path / "all", options=Options(test_fraction=0.2, chunk_cells=10))
    n_test = (
        read.read(str(tmp_path / "all" / "cells" / "test" / "*.parquet")).select(pl.len()).collect().item()
    )
    n_train = read.read(tmp_path / "all" / "cells" / "train").select(pl.len()).collect().item()
    assert n_test + n_train == 60
    with pytest.raises(SentenceError, match=r"no Parquet file in .*absent"):
        read.read(tmp_path / "absent")


def test_a_table_without_sentences_and_a_cut_file_are_named(tmp_path):
    path = other(tmp_path, age=[3])
    with pytest.raises(SentenceError, match=r"chunk_0000.parquet has no sentences .*it has: age"):
        read.read(tmp_path)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(SentenceError, match=r"chunk_0000.parquet cannot be read as Parquet"):
        read.read(tmp_path)


ALL = [f"G{i:03d}" for i in range(200)]


def padded(expressed, *, tail):
    unexpressed = [gene for gene in ALL if gene not in expressed]
    return " ".join(expressed + {"up": sorted(unexpressed), "down": sorted(unexpressed)[::-1]}[tail])


@pytest.mark.parametrize("tail", ["up", "down"])
def test_a_tail_in_alphabetical_order_is_found_without_counts(tail):
    cells = [["G150", "G007", "G100"], ["G004", "G190"], ["G010", "G009", "G002", "G030"]]
    found = padding.find([padded(genes, tail=tail) for genes in cells])
    assert found.rule in ("alphabet", "constant")
    assert all(keep <= len(genes) + 2 for keep, genes in zip(found.keep, cells, strict=True))
    assert found.padded_cells == 1.0


def test_a_folder_whose_name_is_a_pattern_is_read_and_not_its_neighbor(tmp_path):
    for name in ("rel[1]", "rel1", "rel*", "relx"):
        other(tmp_path, name=name, cell_sentence=[name])
    for name in ("rel[1]", "rel*"):
        for path in (tmp_path / name, tmp_path / name / "train" / "chunk_0000.parquet"):
            assert read.read(path).collect()["cell_sentence"].to_list() == [name]


def test_a_tail_that_cells_share_is_found_counts_decide_and_expressed_genes_are_left_alone(cells):
    tail = ALL[100:160:7] + ALL[101:160:9] + ALL[3:90:11]
    found = padding.find([" ".join([*ALL[i : i + 5], *tail]) for i in range(60, 66)])
    assert (found.rule, found.keep.tolist()) == ("constant", [5] * 6)
    found = padding.find(["A B C D", "E F G H", "I J"], expressed=[2, 9, None])
    assert (found.rule, found.keep.tolist()) == ("count", [2, 4, 2])
    assert (found.padded_cells, found.padded_words) == (pytest.approx(1 / 3), pytest.approx(0.2))
    found = padding.find(encode.encode(cells).sentences)
    assert found.rule == "none"
    assert (found.keep == found.words).all()
    assert padding.find([]).padded_cells is None
