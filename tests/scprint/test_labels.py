import collections
import io
import json
import os
import pickle
import zipfile

import polars as pl
import pytest

from helpers.errors import PartError
from helpers.scprint import agreement, checkpoint, labels, ontology

DECODERS = {
    "cell_type_ontology_term_id": {"0": "CL:0000097", "1": "CL:0000236"},
    "tissue_ontology_term_id": ["UBERON:0002048"],
    "sex_ontology_term_id": {"0": "PATO:0000383", "1": "PATO:0000384"},
}
NAMES = {"CL:0000097": "mast cell"}


def checkpoint_file(path, content):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", pickle.dumps(content, protocol=2))
        archive.writestr("model/data/0", b"\0" * 100)
    return path


def test_organisms_need_no_file():
    decoder = labels.built_in()
    assert [decoder.name("organism", code) for code in (0, 2, 11, 15)] == [
        "mouse",
        "arabidopsis",
        "human",
        "rabbit",
    ]
    assert decoder.id("organism", 11) == "NCBITaxon:9606"
    assert decoder.name("organism", 16) == "16"


def test_undecoded_labels_stay_numbers():
    decoder = labels.built_in()
    assert decoder.name("cell_type", 412) == "412"
    assert decoder.id("cell_type", 412) is None
    assert not decoder.knows("cell_type")


@pytest.mark.parametrize(
    "nest",
    [lambda d: d, lambda d: {"label_decoders": d}, lambda d: {"hyper_parameters": {"label_decoders": d}}],
)
@pytest.mark.parametrize("suffix", ["json", "yaml", "ckpt"])
def test_decoders_are_read_from_every_kind_of_file(tmp_path, nest, suffix):
    path = tmp_path / f"decoders.{suffix}"
    if suffix == "ckpt":
        checkpoint_file(path, nest(DECODERS))
    else:
        path.write_text(json.dumps(nest(DECODERS)))
    decoder = labels.read(path, names=NAMES)
    assert decoder.name("cell_type", 0) == "mast cell"
    assert decoder.name("cell_type", 1) == decoder.id("cell_type", 1) == "CL:0000236"
    assert decoder.name("tissue", 0) == "UBERON:0002048"
    assert decoder.name("sex", 1) == "male"
    assert decoder.name("organism", 11) == "human"
    assert decoder.name("assay", 3) == "3"


def test_what_is_written_is_read(tmp_path, decoder):
    labels.write(tmp_path / "d.json", decoder)
    assert labels.read(tmp_path / "d.json") == decoder


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "no decoder file"),
        ("[1]", "decodes none of"),
        ('{"tissue": {"lung": "x"}}', "'lung' is not the number"),
        ("{}", "decodes none"),
    ],
)
def test_bad_decoders_are_refused(tmp_path, content, words):
    path = tmp_path / "d.json"
    path.write_text(content)
    with pytest.raises(PartError, match=words):
        labels.read(path)


class Hostile:
    def __reduce__(self):
        return (os.system, ("touch hacked",))


def test_a_hostile_checkpoint_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = checkpoint_file(
        tmp_path / "m.ckpt", {"state": Hostile(), "hyper_parameters": {"label_decoders": DECODERS}}
    )
    assert labels.read(path).id("cell_type", 0) == "CL:0000097"
    assert not (tmp_path / "hacked").exists()


def test_unknown_objects_of_a_checkpoint_are_passed_over(tmp_path):
    content = {
        "hyper_parameters": {
            "a": collections.OrderedDict(b=1),
            "c": {1, 2},
            "io": io.BytesIO,
            "c2": collections.Counter("aab"),
        }
    }
    read = checkpoint.read(checkpoint_file(tmp_path / "m.ckpt", content))
    assert read["hyper_parameters"]["a"]["b"] == 1


def test_what_is_no_checkpoint_is_refused(tmp_path):
    path = tmp_path / "m.ckpt"
    path.write_bytes(pickle.dumps({}))
    with pytest.raises(PartError, match="not a zip checkpoint"):
        checkpoint.read(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", b"\x80\x02garbage")
    with pytest.raises(PartError, match="cannot be read"):
        checkpoint.read(path)
    checkpoint_file(path, [1])
    with pytest.raises(PartError, match="holds a list"):
        checkpoint.read(path)


def test_a_table_of_predictions_keeps_its_classes(tmp_path):
    frame = pl.DataFrame(
        {
            "pred_cell_type": ["a", "b"],
            "pred_sex_ontology_term_id": ["PATO:0000383", "PATO:0000384"],
            "x": [0.1, 0.2],
            "r": [1, 2],
        }
    )
    frame.write_parquet(tmp_path / "t.parquet")
    read = labels.read_predicted(tmp_path / "t.parquet")
    assert read.columns == ["cell_type", "sex", "x"]
    assert read["sex"].to_list() == ["female", "male"]
    with pytest.raises(PartError, match="no column tissue"):
        labels.count(read, ("cell_type", "tissue"))
    pl.DataFrame({"q": [1]}).write_parquet(tmp_path / "u.parquet")
    with pytest.raises(PartError, match="no predicted label"):
        labels.read_predicted(tmp_path / "u.parquet")
    (tmp_path / "v.parquet").write_text("no")
    with pytest.raises(PartError, match="not a Parquet table"):
        labels.read_predicted(tmp_path / "v.parquet")
    with pytest.raises(PartError, match="is not a file"):
        labels.read_predicted(tmp_path / "none.parquet")


OBO = """format-version: 1.2

[Term]
id: CL:0
name: cell

[Term]
id: CL:1
name: lymphocyte
is_a: CL:0 ! cell

[Term]
id: CL:2
name: T cell
is_a: CL:1 {source="x"} ! lymphocyte

[Term]
id: CL:3
name: B cell
is_a: CL:1 ! lymphocyte

[Term]
id: CL:4
name: neuron
is_a: CL:0

[Term]
id: CL:9
name: old cell
is_obsolete: true

[Typedef]
id: part_of
name: part of
"""


@pytest.fixture(params=["obo", "json", "graph"])
def tree(request, tmp_path):
    path = tmp_path / f"cl.{'obo' if request.param == 'obo' else 'json'}"
    path.write_text(OBO)
    if request.param != "obo":
        read = ontology.read(tmp_path / "cl.obo") if (tmp_path / "cl.obo").exists() else None
        (tmp_path / "base.obo").write_text(OBO)
        read = ontology.read(tmp_path / "base.obo")
        if request.param == "json":
            path.write_text(
                json.dumps({i: {"name": n, "parents": read.parents[i]} for i, n in read.names.items()})
            )
        else:
            iri = "http://purl.obolibrary.org/obo/"
            nodes = [
                {"id": iri + i.replace(":", "_"), "lbl": n, "type": "CLASS"} for i, n in read.names.items()
            ]
            edges = [
                {"sub": iri + i.replace(":", "_"), "pred": "is_a", "obj": iri + p.replace(":", "_")}
                for i, ps in read.parents.items() for p in ps
            ]  # fmt: skip
            path.write_text(json.dumps({"graphs": [{"nodes": nodes, "edges": edges}]}))
    return ontology.read(path)


@pytest.mark.parametrize(
    ("one", "two", "relation"),
    [
        ("CL:2", "T cell", "same"), ("lymphocyte", "CL:2", "ancestor"), ("cell", "CL:2", "ancestor"),
        ("CL:2", "CL:0", "descendant"), ("T cell", "B cell", "sibling"), ("T cell", "neuron", "unrelated"),
        ("T cell", "412", "unknown"), ("old cell", "cell", "unknown"),
    ],
)  # fmt: skip
def test_relations(tree, one, two, relation):
    assert tree.relation(one, two) == relation


def test_the_coarser_label_of_a_pair(tree):
    assert tree.common("T cell", "B cell") == "CL:1"
    assert tree.common("T cell", "neuron") == "CL:0"
    assert tree.common("T cell", "CL:1") == "CL:1"
    assert tree.common("T cell", "412") is None


def test_an_ontology_with_a_circle_ends():
    circle = ontology.Ontology({"a": "a", "b": "b"}, {"a": ("b",), "b": ("a",)})
    assert circle.relation("a", "b") == "ancestor"


def test_bad_ontologies_are_refused(tmp_path):
    for text in ("", "{}", "[]", '{"a": 1}'):
        path = tmp_path / "o.json"
        path.write_text(text)
        with pytest.raises(PartError, match=r"o\.json"):
            ontology.read(path)


def test_pairs_are_related_by_identifier(tree):
    pairs = pl.DataFrame(
        {"cell_type": ["T cell", "T cell"], "cell_type_2": ["B cell", "neuron"], "cells": [30, 10]}
    )
    related = agreement.relate(pairs, tree)
    assert related["relation"].to_list() == ["sibling", "unrelated"]
    assert related["common_ancestor"].to_list() == ["lymphocyte", "cell"]
    assert dict(agreement.relation_shares(related).select("relation", "share").rows()) == {
        "sibling": 0.75,
        "unrelated": 0.25,
    }
