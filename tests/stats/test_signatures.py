"""Gene sets: files are read or refused, a set is chosen by name, the built-in ones name real genes."""

import pytest

from helpers.errors import TableError
from helpers.facts import study


def test_one_file_of_gene_sets_is_read_in_either_spelling(tmp_path):
    for column in ("set", "signature"):
        path = tmp_path / f"{column}[1].csv"
        path.write_text(f"{column},gene,note\nmine,CCL3,x\nmine,CCL2,y\nmine,CCL2,y\nother, TP53 ,\n")
        assert study.read_sets(path) == {"mine": ["CCL3", "CCL2"], "other": ["TP53"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"no file .*sets\.csv: give a CSV"),
        ("name,symbol\na,b\n", "has columns 'name', 'symbol': gene sets need 'set'"),
        ("set,signature,gene\na,b,c\n", "'signature', not both"),
        ("set,gene\na,b\n,c\na,\n", "2 of 3 rows lack a set or a gene, first data row 2"),
    ],
)
def test_a_file_that_is_no_gene_sets_is_refused(tmp_path, text, message):
    path = tmp_path / "sets.csv"
    if text:
        path.write_text(text)
    with pytest.raises(TableError, match=message):
        study.read_sets(path)


def test_a_set_is_chosen_by_name_and_near_names_are_told():
    sets = study.read_sets()
    assert study.choose_set(sets) == study.LONG
    assert study.choose_set({"mine": ["A"]}) == "mine"
    assert study.choose_set(sets, "senescence") == "senescence"
    with pytest.raises(TableError, match="no gene set is called 'senescense'; there are 'senescence'"):
        study.choose_set(sets, "senescense")


def test_the_built_in_sets_name_genes_of_the_reference_once_and_no_two_sets_share_a_name():
    genes = set(study.genes()["symbol"])
    table = study.signatures()
    assert [gene for gene in table["gene"] if gene not in genes] == []
    assert not table.select("signature", "gene").is_duplicated().any()
    sizes = {name: len(genes) for name, genes in study.read_sets().items()}
    assert sizes[study.SHORT] == 26
    assert sizes[study.LONG] == 283
