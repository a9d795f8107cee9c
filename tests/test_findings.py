"""What a sentence says of a value that is missing."""

import polars as pl
import pytest

from helpers import findings
from helpers.errors import ParameterError
from helpers.findings import Finding

CELL = """
cell_type: str = "MuSC"  # a type
fdr: float = 0.1  # rate [0.001, 0.5]
level: str = "low"  # level {low, high}
out_dir: str = ""  # folder
"""


@pytest.mark.parametrize(
    ("value", "spec", "said"),
    [
        (None, "", "not available"),
        (None, ".1%", "not available"),
        (7.84, ".1f", "7.8 years (95 % interval 5.2 to 10.6)"),
        (0, "gene|genes", "no genes"),
        (1, "gene|genes", "1 gene"),
        (12345, "gene|genes", "12,345 genes"),
        (None, "gene|genes", "an unknown number of genes"),
    ],
)
def test_a_finding_reads_as_english_and_what_is_missing_has_no_unit(value, spec, said):
    assert format(Finding("mae", value, "years", (5.2, 10.6)), spec) == said


def begin(tmp_path, *, given="", **values):
    cells = ["", CELL, *([f"# Parameters\n{given}\n"] if given else [])]
    space = {"cell_type": "MuSC", "fdr": 0.1, "level": "low", "out_dir": str(tmp_path), "In": cells, **values}
    return findings.begin("01_first", space), space


def test_parameters_are_brought_to_their_type_under_plain_papermill(tmp_path):
    given = {"cell_type": 1, "fdr": "1e-2", "atlas": "/home/me/atlas.h5ad"}
    note, space = begin(tmp_path, given="cell_type = 1", **given)
    assert (space["cell_type"], space["fdr"]) == ("1", 0.01)
    assert note.parameters["cell_type"] == "1"
    assert note.parameters["atlas"] == "atlas.h5ad"  # results do not tell where files lie


def test_a_wrong_parameter_stops_the_first_cells(tmp_path):
    with pytest.raises(ParameterError, match="unknown parameter 'leve', did you mean 'level'"):
        begin(tmp_path, given="leve = 'low'")
    with pytest.raises(ParameterError, match=r"fdr = 3 is not allowed: float from 0\.001 to 0\.5"):
        begin(tmp_path, given="fdr = 3", fdr=3)


def test_say_records_and_speaks(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(findings, "_show", lambda kind, text, **_: "markdown" in kind and said.append(text))
    note, _ = begin(tmp_path)
    note.say("{calls:gene|genes}, {slope}.", calls=1, slope=(0.2, "log2", (0.1, 0.3)))
    assert said == ["1 gene, 0.2 log2 (95 % interval 0.1 to 0.3)."]
    assert note.findings["slope"].interval == (0.1, 0.3)


def test_a_table_shows_the_columns_that_were_chosen_and_saves_all(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(findings, "_show", lambda _, text: shown.append(text))
    rows = [("<b>", "x", -0.312, -0.247, -0.182, 4e-5), ("B", "y", 1.0, 2.0, 3.0, 0.04)]
    frame = pl.DataFrame(rows, schema=["gene", "level", "low", "est", "high", "p"], orient="row")
    note, _ = begin(tmp_path)
    columns = {"gene": "gene", "change": ("est", "low", "high"), "p": "p"}
    note.table(frame, "Changes.", name="changes", columns=columns, groups="level")
    assert all(text in shown[0] for text in ("-0.25 (-0.31 to -0.18)", "&lt; 0.001", "&lt;b&gt;"))
    assert "<b>" not in shown[0]
    assert pl.read_parquet(tmp_path / "changes.parquet").equals(frame)
    with pytest.raises(pl.exceptions.ColumnNotFoundError, match="gene2"):
        note.table(frame, "Changes.", columns={"gene": "gene2"})
    note.table(frame.clear(), "Nothing.")
    assert len(shown) == 1


@pytest.mark.parametrize(
    ("write", "values", "said"),
    [
        (findings.write, (12345, 0.123456, True, None), ["12,345", "0.123", "yes", "not available"]),
        (findings.write_p, (0.2, 0.04321, 0.0000432), ["0.20", "0.043", "< 0.001"]),
    ],
)
def test_numbers_are_written_as_a_reader_does(write, values, said):
    assert [write(value) for value in values] == said
