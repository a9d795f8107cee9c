import polars as pl
import pytest

from helpers.errors import SentenceError
from helpers.facts import study
from helpers.sentences import symbols


def words(index, columns=None, hgnc=None, **options):
    vocabulary = symbols.build(index, columns or {}, symbols.Rule(**options), hgnc)
    return [None if at < 0 else vocabulary.words[at] for at in vocabulary.word_of_column], vocabulary.report


def test_identifiers_without_a_symbol_are_dropped_and_ensa_is_a_gene():
    found, report = words(["ENSA", "ENSAP1", "ENSAP3", "ENSG99999999999", "ENSMUSG99999999999.3", "ACTA1"])
    assert found == ["ENSA", "ENSAP1", "ENSAP3", None, None, "ACTA1"]
    assert report["dropped_without_symbol"] == 2


def test_an_ensembl_index_is_mapped_through_the_carried_table():
    known = study.genes().filter(pl.col("symbol") == "ENSA")["ensembl_id"][0]
    found, report = words([known, f"{known}.7", "ENSG99999999999", "TTN"])
    assert found == ["ENSA", "ENSA", None, "TTN"]
    assert (report["mapped_from_ensembl"], report["duplicated_words"], report["duplicate_columns"]) == (
        2,
        1,
        1,
    )


def test_feature_name_goes_before_the_index_and_a_named_column_before_both():
    columns = {"feature_name": ["A", None], "mine": ["x", "y"]}
    assert words(["ENSG99999999991", "ENSG99999999992"], columns)[0] == ["A", None]
    assert words(["ENSG99999999991", "ENSG99999999992"], columns, symbol_column="mine")[0] == ["x", "y"]
    with pytest.raises(
        SentenceError, match=r"no column 'other' in the gene table; it has: feature_name, mine"
    ):
        words(["ENSG99999999991", "ENSG99999999992"], columns, symbol_column="other")


def test_white_space_spike_ins_and_suffixes_are_handled_and_counted():
    found, report = words(["HLA  A", "ERCC-00002", "ERCC1", "MATR3_ENSG00000280987", "MATR3", "nan", ""])
    assert found == ["HLA_A", None, "ERCC1", "MATR3", "MATR3", None, None]
    assert (report["spaces_replaced"], report["dropped_spike_ins"], report["suffixes_removed"]) == (1, 1, 1)
    assert report["dropped_without_symbol"] == 2


def test_case_collisions_are_counted_and_merge_only_when_upper_case_is_asked_for():
    found, report = words(["Actb", "ACTB", "Ttn"])
    assert found == ["Actb", "ACTB", "Ttn"]
    assert report["case_collisions"] == 1
    found, report = words(["Actb", "ACTB", "Ttn"], case="upper")
    assert found == ["ACTB", "ACTB", "TTN"]
    assert (report["words"], report["duplicated_words"], report["case_collisions"]) == (2, 1, 0)


def test_words_are_in_code_point_order_or_in_file_order():
    assert symbols.build(["b", "B", "a"], {}).words == ("B", "a", "b")
    assert symbols.build(["b", "B", "a"], {}, symbols.Rule(ties="file")).words == ("b", "B", "a")


def test_an_hgnc_file_renames_older_symbols_unless_they_are_ambiguous(tmp_path):
    path = tmp_path / "hgnc.tsv"
    rows = [
        ("symbol", "ensembl_gene_id", "prev_symbol", "alias_symbol"),
        ("NEW1", "ENSG00000000101", "OLD1|SHARED", "AKA1"),
        ("NEW2", "ENSG00000000102", "SHARED", "NEW1"),
    ]
    path.write_text("\n".join("\t".join(row) for row in rows) + "\n")
    table = symbols.read_hgnc(path)
    found, report = words(["OLD1", "AKA1", "SHARED", "NEW1", "ENSG00000000102", "OTHER"], hgnc=table)
    assert found == ["NEW1", "NEW1", "SHARED", "NEW1", "NEW2", "OTHER"]
    assert (report["renamed_previous"], report["renamed_alias"], report["ambiguous_names"]) == (1, 1, 1)
    by_id, _ = words(["ENSG00000000102"], {"feature_name": ["SHARED"]}, hgnc=table)
    assert by_id == ["NEW2"]  # the identifier settles it


def test_the_real_hgnc_table_keeps_ensa(shared):
    table = symbols.read_hgnc(shared / "facts" / "hgnc.parquet")
    found, _ = words(["ENSA", "ENSAP1"], hgnc=table)
    assert found == ["ENSA", "ENSAP1"]


def test_a_table_that_is_not_hgnc_is_refused(tmp_path):
    path = tmp_path / "other.tsv"
    path.write_text("symbol\tid\nA\t1\n")
    with pytest.raises(
        SentenceError, match=r"lacks the HGNC columns ensembl_gene_id, prev_symbol, alias_symbol"
    ):
        symbols.read_hgnc(path)
    with pytest.raises(SentenceError, match=r"cannot be read as an HGNC table"):
        symbols.read_hgnc(tmp_path / "absent.tsv")


def test_no_symbols_at_all_is_an_error_that_says_what_to_do():
    with pytest.raises(SentenceError, match=r"no gene of the 1 has a symbol.*Name the column of symbols"):
        symbols.build(["ENSG99999999999"], {})


@pytest.mark.parametrize(
    "text",
    ["TTN\nMYH7\n", '﻿"TTN", MYH7;\r\n', "TTN\tMYH7\t\n\n", "'TTN','MYH7'", "# mine\nTTN\nMYH7  # slow"],
)
def test_a_list_of_genes_is_read_as_people_write_it(tmp_path, text):
    path = tmp_path / "genes.txt"
    path.write_text(text, encoding="utf-8")
    assert symbols.read_list(path) == ["TTN", "MYH7"]
