import pytest

from helpers.scprint import layout


def test_label_columns_follow_the_card():
    starts = {"cell_type": 0, "tissue": 3, "disease": 6, "age_group": 9, "assay": 12, "ethnicity": 15}
    starts |= {"sex": 18, "organism": 19, "cell_culture": 22}
    assert {name: columns.start for name, columns in layout.LABELS.items()} == starts
    assert layout.LABEL_WIDTH == len(layout.LABEL_COLUMNS) == 23
    assert layout.LABEL_COLUMNS.index("organism_2") == 20


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".npz.npy"])
def test_the_published_names_are_read(suffix):
    stem = "step_0__predict_part_17_3"
    assert layout.FILE_NAME.fullmatch(f"{stem}_embs{suffix}").group("stem", "kind") == (stem, "embs")


@pytest.mark.parametrize(
    "name", ["README.md", "step_0__predict_part_1_0_logits.npz", "embs.npz", "x_embs.h5ad"]
)
def test_other_files_are_no_parts(name):
    assert layout.FILE_NAME.fullmatch(name) is None


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
