import polars as pl
import pytest

from helpers import ages
from helpers.errors import SentenceError
from helpers.facts import study
from helpers.sentences import split, symbols


def words(index, columns=None, hgnc=None, **options):
    vocabulary = symbols.build(index, columns or {}, symbols.Rule(**options), hgnc)
    return [None if at < 0 else vocabulary.words[at] for at in vocabulary.word_of_column], vocabulary.report


ENSA = study.genes().filter(pl.col("symbol") == "ENSA")["ensembl_id"][0]


@pytest.mark.parametrize(
    ("index", "expected", "counted", "options"),
    [
        (
            ["ENSAP1", "ENSG99999999999", "ENSMUSG99999999999.3"],
            ["ENSAP1", None, None],
            {"dropped_without_symbol": 2},
            {},
        ),
        ([ENSA, f"{ENSA}.7"], ["ENSA", "ENSA"], {"mapped_from_ensembl": 2, "duplicate_columns": 1}, {}),
        (
            ["HLA  A", "nan", ""],
            ["HLA_A", None, None],
            {"spaces_replaced": 1, "dropped_without_symbol": 2},
            {},
        ),
        (["ERCC-00002", "ERCC1"], [None, "ERCC1"], {"dropped_spike_ins": 1}, {}),
        (["MATR3_ENSG00000280987", "MATR3"], ["MATR3", "MATR3"], {"suffixes_removed": 1}, {}),
        (["Actb", "ACTB", "Ttn"], ["Actb", "ACTB", "Ttn"], {"case_collisions": 1, "words": 3}, {}),
        (
            ["Actb", "ACTB"],
            ["ACTB", "ACTB"],
            {"duplicated_words": 1, "case_collisions": 0},
            {"case": "upper"},
        ),
    ],
)
def test_each_column_gets_its_word_and_what_became_of_it_is_counted(index, expected, counted, options):
    found, report = words(index, **options)
    assert found == expected
    assert counted.items() <= report.items()


def test_feature_name_goes_before_the_index_and_a_named_column_before_both():
    ids, columns = ["ENSG99999999991", "ENSG99999999992"], {"feature_name": ["A", None], "mine": ["x", "y"]}
    assert words(ids, columns)[0] == ["A", None]
    assert words(ids, columns, symbol_column="mine")[0] == ["x", "y"]
    with pytest.raises(SentenceError, match=r"no column 'other' for .*; there are: feature_name, mine"):
        words(ids, columns, symbol_column="other")
    with pytest.raises(SentenceError, match=r"no gene of the 2 has a symbol.*Name the column of symbols"):
        words(ids)


def test_columns_of_donors_and_ages_are_the_named_ones_or_the_best_known():
    term, stage = ages.AGE_SOURCES[:2]
    for known, columns, found in (
        (split.DONOR_COLUMNS, ["x", "donor_id"], "donor_id"),
        (ages.AGE_SOURCES, [stage, term], term),
        (ages.AGE_SOURCES, ["x"], None),
    ):
        assert symbols.find_column(columns, None, known, "it") == found
        assert symbols.find_column([*columns, "own"], "own", known, "it") == "own"


def test_words_are_in_code_point_order_or_in_file_order():
    assert symbols.build(["b", "B", "a"], {}).words == ("B", "a", "b")
    assert symbols.build(["b", "B", "a"], {}, symbols.Rule(ties="file")).words == ("b", "B", "a")


def test_an_hgnc_file_renames_older_symbols_unless_they_are_ambiguous(tmp_path):
    path = tmp_path / "hgnc.tsv"
    path.write_text(
        "symbol\tensembl_gene_id\tprev_symbol\talias_symbol\n"
        "NEW1\tENSG00000000101\tOLD1|SHARED\tAKA1\n"
        "NEW2\tENSG00000000102\tSHARED\tNEW1\n"
    )
    table = symbols.read_hgnc(path)
    found, report = words(["OLD1", "AKA1", "SHARED", "NEW1", "ENSG00000000102", "OTHER"], hgnc=table)
    assert found == ["NEW1", "NEW1", "SHARED", "NEW1", "NEW2", "OTHER"]
    assert (report["renamed_previous"], report["renamed_alias"], report["ambiguous_names"]) == (1, 1, 1)
    by_id, _ = words(["ENSG00000000102"], {"feature_name": ["SHARED"]}, hgnc=table)
    assert by_id == ["NEW2"]  # the identifier settles it


def test_the_real_hgnc_table_keeps_ensa(shared):
    table = symbols.read_hgnc(shared / "facts" / "hgnc.parquet")
    assert words(["ENSA", "ENSAP1"], hgnc=table)[0] == ["ENSA", "ENSAP1"]


def test_a_table_that_is_not_hgnc_is_refused(tmp_path):
    path = tmp_path / "other.tsv"
    with pytest.raises(SentenceError, match=r"other.tsv .*cannot be read as an HGNC table"):
        symbols.read_hgnc(path)
    path.write_text("symbol\tid\nA\t1\n")
    with pytest.raises(SentenceError, match=r"lacks the HGNC columns ensembl_gene_id, prev_symbol, alias_sy"):
        symbols.read_hgnc(path)


@pytest.mark.parametrize(
    "text",
    ["TTN\nMYH7\n", '﻿"TTN", MYH7;\r\n', "TTN\tMYH7\t\n\n", "'TTN','MYH7'", "# mine\nTTN\nMYH7  # slow"],
)
def test_a_list_of_genes_is_read_as_people_write_it(tmp_path, text):
    path = tmp_path / "genes.txt"
    path.write_text(text, encoding="utf-8")
    assert symbols.read_lists([path]) == {"genes": ["TTN", "MYH7"]}
    with pytest.raises(SentenceError, match="two gene lists are called 'genes'"):
        symbols.read_lists([path, path])
