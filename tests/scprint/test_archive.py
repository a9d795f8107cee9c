import zipfile

import numpy as np
import pytest

from helpers.budget import peak_bytes
from helpers.scprint import archive, reading
from helpers.scprint.archive import Damage

VALUES = np.random.default_rng(1).normal(size=(700, 424)).astype(np.float16)


def save(folder, how):
    path = folder / "part_embs.npz"
    with path.open("wb") as stream:
        how(stream)
    return path


STORED = {
    "npz": lambda s: np.savez(s, VALUES),
    "compressed": lambda s: np.savez_compressed(s, VALUES),
    "renamed npy": lambda s: np.save(s, VALUES),
    "another key": lambda s: np.savez(s, embeddings=VALUES),
    "fortran": lambda s: np.savez(s, np.asfortranarray(VALUES)),
    "fortran compressed": lambda s: np.savez_compressed(s, np.asfortranarray(VALUES)),
    "with a neighbor": lambda s: np.savez(s, a=np.zeros((3, 5)), b=VALUES),
}


@pytest.mark.parametrize("how", STORED)
def test_every_storage_gives_the_same_values(tmp_path, how):
    file = archive.open_array(save(tmp_path, STORED[how]), widths=(424,))
    assert file.shape == VALUES.shape
    np.testing.assert_array_equal(np.concatenate(list(reading.blocks(file, rows=128))), VALUES)
    rows = np.array([0, 5, 127, 128, 699])
    np.testing.assert_array_equal(reading.take(file, rows=rows, columns=slice(3, 9)), VALUES[rows, 3:9])
    np.testing.assert_array_equal(reading.take(file, columns=slice(420, 424)), VALUES[:, 420:])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, ">f2"])
def test_other_types_keep_their_values(tmp_path, dtype):
    values = VALUES.astype(dtype)
    file = archive.open_array(save(tmp_path, lambda s: np.savez(s, values)))
    np.testing.assert_array_equal(reading.take(file), values)


def test_only_what_is_asked_for_is_read(tmp_path):
    # a hole in the file takes no room; reading it would take 4 GiB
    path = tmp_path / "big_embs.npy"
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(
            stream, {"descr": "<f2", "fortran_order": False, "shape": (5_000_000, 424)}
        )
        stream.truncate(stream.tell() + 5_000_000 * 424 * 2)
    file = archive.open_array(path, widths=(424,))
    before = peak_bytes()
    assert reading.take(file, rows=np.arange(0, 5_000_000, 1_000_000), columns=slice(3, 9)).shape == (5, 6)
    assert next(reading.blocks(file, rows=10)).shape == (10, 424)
    assert peak_bytes() - before < 100 * 2**20


def test_blocks_may_be_kept(tmp_path):
    file = archive.open_array(save(tmp_path, STORED["npz"]))
    kept = list(reading.blocks(file, rows=100))
    np.testing.assert_array_equal(kept[0], VALUES[:100])


def test_a_file_that_shrinks_while_it_is_read_is_named(tmp_path):
    path = save(tmp_path, STORED["renamed npy"])
    reader = reading.blocks(archive.open_array(path), rows=100)
    next(reader)
    path.write_bytes(path.read_bytes()[:200_000])
    with pytest.raises(Damage, match="ended while it was read") as caught:
        list(reader)
    assert caught.value.kind == archive.TRUNCATED


def test_storage_is_told(tmp_path):
    assert archive.open_array(save(tmp_path, STORED["compressed"])).storage == "compressed npz"
    assert archive.open_array(save(tmp_path, STORED["renamed npy"])).storage == "npy"


@pytest.mark.parametrize("how", ["npz", "compressed", "renamed npy"])
@pytest.mark.parametrize("keep", [0.0, 1e-5, 0.4, 0.999])
def test_a_truncated_file_is_named(tmp_path, how, keep):
    path = save(tmp_path, STORED[how])
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(Damage, match="part_embs") as caught:
        list(reading.blocks(archive.open_array(path)))
    assert caught.value.kind == archive.TRUNCATED


@pytest.mark.parametrize("how", ["npz", "compressed"])
def test_a_flipped_bit_is_found_while_reading(tmp_path, how):
    path = save(tmp_path, STORED[how])
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    file = archive.open_array(path)
    with pytest.raises(Damage) as caught:
        list(reading.blocks(file))
    # a flipped bit in a deflated stream may also break the stream itself
    assert caught.value.kind in (archive.CHECKSUM, archive.TRUNCATED)
    if how == "npz":
        assert caught.value.kind == archive.CHECKSUM
        assert len(list(reading.blocks(file, verify=False))) > 0


def test_the_npy_header_is_part_of_the_checksum(tmp_path):
    path = save(tmp_path, STORED["npz"])
    data = bytearray(path.read_bytes())
    at = data.index(b"'shape'") - 1
    data[at : at + 1] = b" "
    spot = data.index(b"\x93NUMPY") + 120
    data[spot] = ord(" ") if data[spot] != ord(" ") else ord("\t")
    path.write_bytes(data)
    with pytest.raises(Damage) as caught:
        list(reading.blocks(archive.open_array(path)))
    assert caught.value.kind in (archive.CHECKSUM, archive.FORMAT)


def test_pickles_are_never_loaded(tmp_path):
    def pickled(stream):
        np.savez(stream, np.array([[print]], dtype=object))

    with pytest.raises(Damage, match="pickled objects, which are never loaded") as caught:
        archive.open_array(save(tmp_path, pickled))
    assert caught.value.kind == archive.PICKLED


@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [
        (lambda s: s.write(b"<html>not found</html>"), archive.FORMAT, "neither npz nor npy"),
        (lambda s: np.savez(s, np.zeros(7)), archive.FORMAT, "shape"),
        (lambda s: np.savez(s, np.zeros((3, 7))), archive.WIDTH, "7 columns; expected 424"),
        (lambda s: np.savez(s, a=VALUES, b=VALUES), archive.FORMAT, "2 arrays"),
        (lambda s: zipfile.ZipFile(s, "w").close(), archive.FORMAT, "no array"),
    ],
)
def test_what_is_no_array_is_named(tmp_path, how, kind, words):
    with pytest.raises(Damage, match=words) as caught:
        archive.open_array(save(tmp_path, how), widths=(424,))
    assert caught.value.kind == kind


def test_a_file_that_is_not_there_is_unreadable(tmp_path):
    with pytest.raises(Damage, match="cannot be read") as caught:
        archive.open_array(tmp_path / "none_embs.npz")
    assert caught.value.kind == archive.UNREADABLE


def test_the_fingerprint_follows_the_content(tmp_path):
    one = archive.open_array(save(tmp_path, STORED["npz"])).fingerprint
    assert archive.open_array(save(tmp_path, STORED["npz"])).fingerprint == one
    assert archive.open_array(save(tmp_path, lambda s: np.savez(s, VALUES + 1))).fingerprint != one


def test_an_empty_array_is_an_array(tmp_path):
    file = archive.open_array(save(tmp_path, lambda s: np.savez(s, VALUES[:0])), widths=(424,))
    assert list(reading.blocks(file)) == []
    assert reading.take(file).shape == (0, 424)
