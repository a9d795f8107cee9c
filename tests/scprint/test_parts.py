import numpy as np
import pytest

from helpers.errors import PartError
from helpers.scprint import archive, parts, simulation
from helpers.scprint.archive import Damage
from helpers.scprint.world import Planted


def test_parts_are_sorted_by_number_not_by_text(tmp_path):
    for number in (10, 9, 2):
        for kind in ("embs", "top3", "scores"):
            (tmp_path / f"step_0__predict_part_{number}_0_{kind}.npz").touch()
    assert [part.stem for part in parts.find(tmp_path)] == [f"step_0__predict_part_{n}_0" for n in (2, 9, 10)]


def test_parts_of_folders_with_the_same_names_stay_apart(made, tmp_path):
    import shutil

    shutil.copytree(made, tmp_path / "run1")
    shutil.copytree(made, tmp_path / "run2")
    found = parts.find(tmp_path)
    assert len(found) == 2 * len(parts.find(made))
    assert found[0].stem.startswith("run1/")
    assert all(len({path.parent for path in part.files.values()}) == 1 for part in found)


def test_rows_of_a_part_come_from_its_own_files(made):
    for part in parts.find(made):
        stems = {path.name.rsplit("_", 1)[0] for path in part.files.values()}
        assert stems == {part.stem}


def test_renamed_files_are_found(copied):
    for path in copied.glob("*_scores.npz"):
        path.rename(path.with_name(f"{path.name}.npy"))
    assert (parts.check(copied)["status"] == "ok").all()


def test_a_file_that_lies_there_twice_is_refused(copied):
    first = next(copied.glob("*_embs.npz"))
    first.with_suffix(".npy").write_bytes(first.read_bytes())
    with pytest.raises(PartError, match="1 files lie there twice"):
        parts.find(copied)


def test_a_folder_without_parts_is_refused(tmp_path):
    with pytest.raises(PartError, match="no file in"):
        parts.find(tmp_path)
    with pytest.raises(PartError, match="is not a folder"):
        parts.find(tmp_path / "none")


def test_sound_parts_pass(made):
    report = parts.check(made)
    assert report["status"].to_list() == ["ok"] * 6
    assert report["cells"].to_list() == [500] * 6
    assert report["label_columns"].unique().to_list() == [23]


@pytest.mark.parametrize("fault", simulation.FAULTS)
def test_every_fault_is_reported_with_its_part(tmp_path, fault):
    folder = simulation.simulate_parts(tmp_path, n_cells=90, n_parts=3, faults={1: fault})
    report = parts.check(folder)
    stem = simulation.part_name(1).stem
    bad = report.filter(report["status"] == "fault")
    assert bad["part"].to_list() == [stem]
    assert bad["kind"].to_list() == [fault]
    assert bad["message"][0]
    assert report["cells"].sum() == 60


def test_a_check_of_headers_alone_does_not_read_the_arrays(tmp_path):
    folder = simulation.simulate_parts(tmp_path, n_cells=60, n_parts=2, faults={0: archive.CHECKSUM})
    assert (parts.check(folder, deep=False)["status"] == "ok").all()
    assert (parts.check(folder)["status"] == "fault").sum() == 1


def test_twenty_two_columns_are_accepted_and_the_missing_class_is_said(tmp_path):
    folder = simulation.simulate_parts(tmp_path, n_cells=60, n_parts=2, planted=Planted(width=22))
    report = parts.check(folder)
    assert report["status"].to_list() == ["note", "note"]
    assert "no cell_culture column" in report["message"][0]


def test_scores_that_are_not_best_first_are_noted(copied):
    path = next(copied.glob("*_scores.npz"))
    scores = np.load(path)["arr_0"]
    scores[:7, [0, 1]] = scores[:7, [1, 0]]
    np.savez(path, scores)
    report = parts.check(copied)
    assert "7 label triples are not best first" in report.filter(report["status"] == "note")["message"][0]


def test_nan_in_scores_is_a_fault(copied):
    path = next(copied.glob("*_scores.npz"))
    scores = np.load(path)["arr_0"]
    scores[3, 22] = np.inf
    np.savez(path, scores)
    assert parts.check(copied)["kind"].drop_nulls().to_list() == [archive.NOT_FINITE]


def test_labels_that_do_not_fit_are_a_fault(copied):
    path = next(copied.glob("*_top3.npz"))
    labels = np.load(path)["arr_0"].astype(np.int64)
    np.savez(path, labels)
    assert (parts.check(copied)["status"] == "ok").all()
    labels[0, 0] = -1
    np.savez(path, labels)
    assert parts.check(copied)["kind"].drop_nulls().to_list() == [archive.LABELS]
    np.savez(path, labels.astype(float))
    assert parts.check(copied)["kind"].drop_nulls().to_list() == [archive.TYPE]


def test_an_extra_row_in_one_file_is_never_paired_away(copied):
    path = next(copied.glob("*_embs.npz"))
    values = np.load(path)["arr_0"]
    np.savez(path, np.vstack([values, values[:1]]))
    part = next(p for p in parts.find(copied) if p.files["embs"] == path)
    with pytest.raises(Damage, match="differ in rows: embs 501, top3 500, scores 500"):
        parts.open_part(part)
