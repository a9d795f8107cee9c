import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.errors import PartError
from helpers.scprint import layout
from helpers.scprint.layout import PartName


def test_blocks_follow_the_card():
    widths = [256, 64, 32, 32, 8, 12, 8, 2, 8, 2]
    starts = [0, 256, 320, 352, 384, 392, 404, 412, 414, 422]
    assert [b.start for b in layout.BLOCKS.values()] == starts
    assert [b.stop - b.start for b in layout.BLOCKS.values()] == widths
    assert layout.EMBEDDING_WIDTH == 424


def test_label_columns_follow_the_card():
    starts = {
        "cell_type": 0,
        "tissue": 3,
        "disease": 6,
        "age_group": 9,
        "assay": 12,
        "ethnicity": 15,
        "sex": 18,
    }
    starts |= {"organism": 19, "cell_culture": 22}
    assert {name: columns.start for name, columns in layout.LABELS.items()} == starts
    assert layout.LABEL_WIDTH == len(layout.LABEL_COLUMNS) == 23


def test_a_missing_column_is_named():
    assert layout.missing_classes(22) == ("cell_culture",)
    assert layout.missing_classes(23) == ()
    with pytest.raises(PartError, match="21 label columns; expected 23, or 22 without cell_culture"):
        layout.label_columns(21)


@given(*[st.integers(0, 10**6)] * 3, st.sampled_from(["", "v2-medium", "a_b"]))
def test_names_are_read_as_they_are_written(step, subset, device, model):
    name = PartName(step, subset, device, model)
    assert layout.parse_stem(name.stem) == name
    for kind in layout.KINDS:
        for suffix in layout.SUFFIXES:
            assert layout.split_file_name(name.file(kind, suffix=suffix)) == (name.stem, kind)


def test_the_published_name():
    assert PartName(0, 17, 3).file("embs") == "step_0__predict_part_17_3_embs.npz"


@pytest.mark.parametrize(
    "name", ["README.md", "step_0__predict_part_1_0_logits.npz", "embs.npz", "x_embs.h5ad"]
)
def test_other_files_are_no_parts(name):
    assert layout.split_file_name(name) is None


def test_a_stem_of_another_form_is_refused():
    with pytest.raises(PartError, match="'part_1' is not step_"):
        layout.parse_stem("part_1")


@pytest.mark.parametrize(
    ("spelled", "name"),
    [
        ("cell_type_ontology_term_id", "cell_type"),
        ("pred_self_reported_ethnicity_ontology_term_id", "ethnicity"),
        ("pred_age_group", "age_group"),
        ("donor_id", None),
    ],
)
def test_classes_are_known_by_every_spelling(spelled, name):
    assert layout.class_name(spelled) == name


def test_a_column_that_does_not_exist_is_refused():
    assert layout.column("organism_2") == 20
    with pytest.raises(PartError, match="'sex_2' is not a label column"):
        layout.column("sex_2")
