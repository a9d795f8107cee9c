import collections
import io
import json
import os
import pickle
import zipfile

import polars as pl
import pytest

from helpers.errors import PartError
from helpers.scprint import labels, layout

DECODERS = {
    "cell_type_ontology_term_id": {"0": "CL:0000097", "1": {"id": "CL:0000236", "name": "B cell"}},
    "tissue_ontology_term_id": ["UBERON:0002048", "lung"],
    "sex_ontology_term_id": {"0": "PATO:0000383", "1": "PATO:0000384"},
}


def zipped(pickled):
    """Return a file of weights around the description of a model."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model/data.pkl", pickled)
        archive.writestr("model/data/0", b"\0" * 100)
    return buffer.getvalue()


def named(decoder, class_name, code, *, to="name"):
    frame = pl.DataFrame({class_name: [code]}, schema={class_name: pl.UInt16})
    return labels.decode(frame, decoder, to=to)[class_name].item()


def test_label_columns_follow_the_card():
    starts = {"cell_type": 0, "tissue": 3, "disease": 6, "age_group": 9, "assay": 12, "ethnicity": 15}
    starts |= {"sex": 18, "organism": 19, "cell_culture": 22}
    assert {name: columns.start for name, columns in layout.LABELS.items()} == starts
    assert layout.LABEL_COLUMNS.index("organism_2") == 20


def test_organisms_need_no_file(tmp_path):
    decoder = labels.beside(tmp_path)
    assert named(decoder, "cell_type_2", 412) == "412"
    assert [named(decoder, "organism", code) for code in (0, 11, 16)] == ["mouse", "human", "16"]
    assert named(decoder, "organism", 11, to="id") == "NCBITaxon:9606"


@pytest.mark.parametrize(
    "nest",
    [lambda d: d, lambda d: {"label_decoders": d}, lambda d: {"hyper_parameters": {"label_decoders": d}}],
)
@pytest.mark.parametrize("suffix", ["json", "yaml", "ckpt"])
def test_decoders_are_read_from_every_kind_of_file(tmp_path, nest, suffix):
    path, content = tmp_path / f"decoders.{suffix}", nest(DECODERS)
    path.write_bytes(zipped(pickle.dumps(content, 2)) if suffix == "ckpt" else json.dumps(content).encode())
    decoder = labels.read(path)
    assert named(decoder, "cell_type", 0) == named(decoder, "cell_type", 0, to="id") == "CL:0000097"
    assert named(decoder, "cell_type_3", 1, to="id") == "CL:0000236"
    asked = (("cell_type", 1), ("tissue", 0), ("tissue", 1), ("sex", 1), ("organism", 11), ("assay", 3))
    said = ["B cell", "UBERON:0002048", "lung", "male", "human", "3"]
    assert [named(decoder, *one) for one in asked] == said


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("content", "words", "suffix"),
    [
        ("{", "no decoder file", "json"),
        ("[" * 100_000, "no decoder file", "json"),
        ("[1]", "decodes none of", "json"),
        ('{"tissue": {"lung": "x"}}', "'lung' is not the number", "json"),
        ('{"tissue": {"99999": "x"}}', "'99999' is not the number", "json"),
        ('{"tissue": [["x"]]}', "a term is an identifier, a name", "json"),
        ("{}", "decodes none", "json"),
        (BOMB + "tissue: *i\n", "a term is an identifier, a name", "yaml"),
        (pickle.dumps({}), "no decoder file .*its hyper-parameters as JSON", "ckpt"),
        (zipped(b"\x80\x02garbage"), "no decoder file", "ckpt"),
        (zipped(pickle.dumps([1])), "decodes none of", "ckpt"),
    ],
)
def test_bad_decoders_are_refused(tmp_path, content, words, suffix):
    path = tmp_path / f"d.{suffix}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(PartError, match=words):
        labels.read(path)


class Hostile:
    def __reduce__(self):
        return (os.system, ("touch hacked",))


def test_a_hostile_checkpoint_runs_nothing_and_odd_objects_are_passed_over(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    odd = {"a": collections.OrderedDict(b=1), "c": {1, 2}, "io": io.BytesIO, "d": collections.Counter("aab")}
    content = {"state": [Hostile(), odd], "hyper_parameters": {"label_decoders": DECODERS}}
    (tmp_path / "m.ckpt").write_bytes(zipped(pickle.dumps(content)))
    assert named(labels.read(tmp_path / "m.ckpt"), "cell_type", 0) == "CL:0000097"
    assert not (tmp_path / "hacked").exists()


def test_a_table_of_predictions_keeps_its_classes_and_others_are_refused(tmp_path):
    path = tmp_path / "t.parquet"

    def read(**columns):
        pl.DataFrame(columns).write_parquet(path)
        return labels.read_predicted(path)

    people = {
        "pred_self_reported_ethnicity_ontology_term_id": ["x", "y"],
        "donor_id": [1, 2],
        "x": [0.1, 0.2],
    }
    table = read(
        pred_sex_ontology_term_id=["PATO:0000383", "PATO:0000384"], pred_cell_type=["a", "b"], **people
    )
    assert table.columns == ["cell_type", "ethnicity", "sex", "x"]
    assert table["sex"].to_list() == ["female", "male"]
    with pytest.raises(PartError, match="names one class twice: pred_cell_type, cell_type"):
        read(pred_cell_type=["a"], cell_type=["b"])
    with pytest.raises(PartError, match="no predicted label"):
        read(q=[1])
    path.write_text("no")
    with pytest.raises(PartError, match="is not a Parquet table"):
        labels.read_predicted(path)


@pytest.mark.parametrize(
    ("group", "names"),
    [
        ("muscle fiber", ["MF-Isn(fg)", "Specialised MF", "fast muscle cell"]), ("red blood cell", ["RBC"]),
        ("muscle stem cell", ["MuSC", "skeletal muscle satellite stem cell"]), ("other", ["cardiac muscle cell", "podocyte"]),
        ("smooth muscle and pericyte", ["vascular smooth muscle cell"]), ("lymphocyte", ["CD4-positive, alpha-beta T cell"]),
    ],
)  # fmt: skip
def test_two_ways_of_naming_cells_meet_in_broad_groups(group, names):
    assert set(pl.DataFrame({"x": names}).select(labels.broad_group("x")).to_series()) == {group}


@pytest.mark.parametrize(
    ("column", "muscle", "others"),
    [
        ("tissue", "gastrocnemius", ["cardiac muscle tissue", "tendon of biceps"]),
        ("cell_type", "fast muscle cell", ["aortic smooth muscle cell"]),
    ],
)
def test_muscle_is_known_by_name(column, muscle, others):
    frame = pl.DataFrame({column: [muscle, *others]})
    assert frame.filter(labels.is_muscle(column)).rows() == [(muscle,)]
