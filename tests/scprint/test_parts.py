import io
import os
import shutil
import struct
import zipfile

import numpy as np
import pytest
from damage import cut
from typer.testing import CliRunner

from helpers.budget import peak_bytes
from helpers.cli.scprint import group
from helpers.errors import PartError
from helpers.scprint import parts

EVERY_FAULT = "sibling truncated checksum not_finite width rows type labels pickled".upper().split()
STEM = "step_0__predict_part_0_0"
VALUES = np.random.default_rng(1).normal(size=(700, 424)).astype(np.float16)


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".npz.npy"])
def test_parts_are_sorted_by_number_not_by_text_and_other_files_passed_over(tmp_path, suffix):
    for number in (10, 9, 2):
        for kind in ("embs", "top3", "scores", "logits"):
            (tmp_path / f"step_0__predict_part_{number}_0_{kind}{suffix}").touch()
    (tmp_path / f"embs{suffix}").touch()
    assert [part.stem for part in parts.find(tmp_path)] == [f"step_0__predict_part_{n}_0" for n in (2, 9, 10)]
    assert set(parts.find(tmp_path)[0].files) == {"embs", "top3", "scores"}


def test_parts_of_folders_with_the_same_names_stay_apart(made, tmp_path):
    for name in ("run1", "run2"):
        shutil.copytree(made, tmp_path / name)
    found = parts.find(tmp_path)
    assert [part.stem.split("/")[0] for part in found] == ["run1"] * 6 + ["run2"] * 6
    assert all(len({path.parent for path in part.files.values()}) == 1 for part in found)


def test_a_folder_without_parts_or_with_one_twice_is_refused(copied, tmp_path):
    (tmp_path / "empty").mkdir()
    first = next(copied.glob("*_embs.npz"))
    first.with_suffix(".npy").write_bytes(first.read_bytes())
    for place, words in (
        ("none", "is not a folder"),
        ("empty", "no file in"),
        (copied, "1 files lie there twice"),
    ):
        with pytest.raises(PartError, match=words):
            parts.find(tmp_path / place)


def test_sound_parts_pass_and_headers_alone_say_nothing_of_bytes(copied, spoil):
    report = parts.check(copied)
    assert report.select("status", "cells", "label_columns").rows() == [("ok", 500, 23)] * 6
    assert CliRunner().invoke(group, ["check", str(copied)]).exit_code == 0
    spoil(copied, 0, parts.CHECKSUM)
    assert (parts.check(copied, deep=False)["status"] == "ok").all()


def one_fault(folder):
    """Give the only fault of a folder of six parts of 500 cells, whose other cells are counted."""
    report = parts.check(folder)
    assert report["cells"].sum() == 2500
    [fault] = report.filter(status="fault").iter_rows(named=True)
    return fault


@pytest.mark.parametrize("fault", EVERY_FAULT)
def test_every_fault_is_reported_with_its_part(copied, spoil, fault):
    fault = getattr(parts, fault)
    stem = spoil(copied, 1, fault)
    bad = one_fault(copied)
    assert (bad["part"], bad["kind"]) == (stem, fault)
    told = CliRunner().invoke(group, ["check", str(copied)])
    assert told.exit_code == 1
    assert stem in told.stdout
    assert "6 parts, 2,500 cells, 1 parts with a fault" in told.stdout


def test_a_missing_class_and_scores_that_are_not_best_first_are_noted(narrow):
    path = narrow / f"{STEM}_scores.npz"
    scores = np.load(path)["arr_0"]
    scores[:7, [0, 1]] = scores[:7, [1, 0]]
    np.savez(path, scores)
    report = parts.check(narrow)
    assert report["status"].to_list() == ["note"] * 6
    assert report["message"][0] == "no cell_culture column; 7 label triples are not best first"


# one array in every storage


def put(folder, how):
    """Write a part of 700 cells whose embeddings are stored as `how` does."""
    for kind, dtype in (("top3", np.uint16), ("scores", np.float16)):
        np.savez(folder / f"{STEM}_{kind}.npz", np.zeros((len(VALUES), 23), dtype))
    with (folder / f"{STEM}_embs.npz").open("wb") as stream:
        how(stream)
    return parts.find(folder)[0]


STORED = {
    "npz": lambda s: np.savez(s, VALUES),
    "compressed": lambda s: np.savez_compressed(s, VALUES),
    "renamed npy": lambda s: np.save(s, VALUES),
    "another key": lambda s: np.savez(s, embeddings=VALUES),
    "fortran": lambda s: np.savez(s, np.asfortranarray(VALUES)),
    "fortran compressed": lambda s: np.savez_compressed(s, np.asfortranarray(VALUES)),
    "with a neighbor": lambda s: np.savez(s, a=np.zeros((3, 5)), b=VALUES),
    "single precision": lambda s: np.savez(s, VALUES.astype(np.float32)),
    "big-endian": lambda s: np.savez(s, VALUES.astype(">f2")),
}


@pytest.mark.parametrize("how", STORED)
def test_every_storage_gives_the_same_values(tmp_path, how):
    opened = parts.open_part(put(tmp_path, STORED[how]))
    np.testing.assert_array_equal(parts.read(opened, "embs"), VALUES)
    rows = np.array([0, 5, 127, 128, 699])
    np.testing.assert_array_equal(parts.read_rows(opened, "embs", rows), VALUES[rows])
    np.testing.assert_array_equal(parts.read(opened, "embs", columns=slice(420, 424)), VALUES[:, 420:])


@pytest.mark.parametrize("how", ["npz", "compressed", "renamed npy"])
@pytest.mark.parametrize("keep", [0.0, 1e-5, 0.4, 0.999])
def test_a_truncated_file_is_named(tmp_path, how, keep):
    path = put(tmp_path, STORED[how]).files["embs"]
    cut(keep)(path)
    report = parts.check(tmp_path)
    assert report["kind"].to_list() == [parts.TRUNCATED]
    assert f"{STEM}_embs" in report["message"][0]


def test_a_flipped_bit_in_a_compressed_part_is_found_while_reading(tmp_path, spoil):
    put(tmp_path, STORED["compressed"])
    spoil(tmp_path, 0, parts.CHECKSUM)
    # a flipped bit in a deflated stream may also break the stream itself
    assert parts.check(tmp_path)["kind"][0] in (parts.CHECKSUM, parts.TRUNCATED)


def put_holes(folder, cells):
    """Write a part whose arrays are holes: they take no room."""
    for kind, width, dtype in (("embs", 424, "<f2"), ("top3", 23, "<u2"), ("scores", 23, "<f2")):
        with (folder / f"{STEM}_{kind}.npy").open("wb") as stream:
            header = {"descr": dtype, "fortran_order": False, "shape": (cells, width)}
            np.lib.format.write_array_header_1_0(stream, header)
            stream.truncate(stream.tell() + cells * width * 2)
    return parts.find(folder)[0]


def test_only_the_rows_that_are_asked_for_are_read(tmp_path):
    opened = parts.open_part(put_holes(tmp_path, 2_000_000))  # reading it would take 1.7 GiB
    before = peak_bytes()
    assert parts.read_rows(opened, "embs", np.arange(0, 2_000_000, 500_000)).shape == (4, 424)
    assert peak_bytes() - before < 100 * 2**20


def test_a_part_that_would_fill_the_memory_is_refused_by_its_header(tmp_path):
    put_holes(tmp_path, 5_000_000)
    [(kind, message)] = parts.check(tmp_path).select("kind", "message").rows()
    assert kind == parts.SIZE
    assert "the budget is 2.0 GiB" in message


# what hostile or broken files hold


def npy(header):
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + header.encode() + b"\n"


def of_shape(shape, descr="'<f2'"):
    return npy(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}")


def zipped(name, data, **options):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **options) as archive:
        archive.writestr(name, data)
    return buffer.getvalue()


def of_method(number):
    """Return an npz whose member claims a compression that nobody knows."""
    data = bytearray(zipped("arr_0.npy", b"x" * 100))
    for mark, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        place = data.index(mark) + at
        data[place : place + 2] = struct.pack("<H", number)
    return bytes(data)


BROKEN = {
    "a web page": b"<html>not found</html>",
    "a nested header": npy("(" * 3000),
    "a header of code": of_shape("(1, 424)", "__import__('os').system('touch hacked')"),
    "a nested header in a zip": zipped("arr_0.npy", npy("[" * 9000)),
    "a header without end": b"\x93NUMPY\x01\x00\xff\xff{",
    "version nine": b"\x93NUMPY\x09\x00" + b"\0" * 100,
    "an unknown compression": of_method(97),
    "a zip without array": zipped("readme.txt", b"hello"),
    "a vector": zipped("arr_0.npy", of_shape("(700,)") + bytes(1400)),
    "a negative shape": zipped("arr_0.npy", of_shape("(-1, 424)")),
    "a structure": zipped("arr_0.npy", of_shape("(500, 424)", "[('a', '<f2')]") + bytes(424000)),
    "a bzip2 with garbage": zipped("arr_0.npy", b"garbage" * 50, compression=zipfile.ZIP_BZIP2),
}


@pytest.mark.parametrize("what", BROKEN)
def test_one_broken_file_is_named_and_stops_nothing(copied, what, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (copied / f"{STEM}_embs.npz").write_bytes(BROKEN[what])
    bad = one_fault(copied)
    assert bad["part"] == STEM
    assert f"{STEM}_embs.npz" in bad["message"]
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("nowhere")])
def test_a_pipe_a_folder_and_a_dead_link_are_no_files(copied, make):
    path = copied / f"{STEM}_top3.npz"
    path.unlink()
    make(path)
    assert one_fault(copied)["kind"] == parts.UNREADABLE


def test_pickles_are_never_loaded(tmp_path):
    class Payload:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "hacked"),))

    put(tmp_path, lambda stream: np.savez(stream, np.array([[Payload()]], dtype=object)))
    assert parts.check(tmp_path)["kind"].to_list() == [parts.PICKLED]
    assert not (tmp_path / "hacked").exists()
