"""The converted atlas: kept whole, found again, never stale, written once."""

import anndata
import h5py
import numpy as np
import pytest

from helpers import files, names
from helpers.atlas import h5ad, release, stored
from helpers.errors import SourceError


def refuse_reading(monkeypatch):
    monkeypatch.setattr(release.Release, "read_csr", lambda *_, **__: pytest.fail("read again"))


def test_the_second_time_nothing_is_converted(folder, micro, monkeypatch):
    release.Release(folder).to_anndata()
    (copy,) = folder.glob("*.h5ad")
    refuse_reading(monkeypatch)
    again = release.Release(folder).to_anndata()
    micro.assert_held(again)
    assert np.shares_memory(again.X.indices, again.layers[names.COUNTS].indices)
    micro.assert_held(anndata.read_h5ad(copy))  # a plain h5ad to everybody else


def test_a_changed_release_is_converted_anew_and_the_old_copy_goes(folder, micro):
    release.Release(folder).to_anndata()
    (old,) = folder.glob("*.h5ad")
    other = type(micro)(40, seed=9, genes=micro.genes)
    other.write(folder)
    other.assert_held(release.Release(folder).to_anndata())
    (new,) = folder.glob("*.h5ad")
    assert new != old


def other_key(file):
    file.attrs[stored.KEY] = "1:other"


def short_data(file):
    file["X/data"] = file.pop("X/data")[:-1]


@pytest.mark.parametrize("damage", ["cut", other_key, lambda file: file.pop("layers/counts"), short_data])
def test_a_damaged_copy_is_not_used(folder, micro, damage):
    release.Release(folder).to_anndata()
    (copy,) = folder.glob("*.h5ad")
    if damage == "cut":
        copy.write_bytes(copy.read_bytes()[:-5000])
    else:
        with h5py.File(copy, "a") as file:
            damage(file)
    assert stored.find_copy(folder, release.Release(folder).key) is None
    micro.assert_held(release.Release(folder).to_anndata())
    assert stored.find_copy(folder, release.Release(folder).key) == copy


def test_a_folder_that_cannot_be_written_leaves_the_copy_in_the_cache(folder, micro, own_cache, monkeypatch):
    plain = files.writing

    def no_leave(path):
        if path.parent == folder:
            raise PermissionError(13, "read-only", str(path))
        return plain(path)

    monkeypatch.setattr(stored.files, "writing", no_leave)
    micro.assert_held(release.Release(folder).to_anndata())
    assert not list(folder.glob("*.h5ad"))
    (copy,) = (own_cache / "converted").glob("*.h5ad")
    refuse_reading(monkeypatch)
    micro.assert_held(release.Release(folder).to_anndata())
    assert copy.exists()


def test_a_converted_file_carries_everything_but_the_truth(folder, micro, tmp_path):
    (folder / "truth").mkdir()
    (folder / "truth" / "simulation.json").write_text('{"seed": 7}')
    atlas = h5ad.H5ad(release.Release(folder).convert(tmp_path / "atlas.h5ad"))
    micro.assert_held(atlas.to_anndata())
    assert atlas.obs.select(names.BARCODE, *names.SAMPLE_COLUMNS).equals(release.Release(folder).obs)
    np.testing.assert_array_equal(atlas.projection(names.UMAP), micro.umap)
    assert atlas.simulated  # simulated cells stay known as such
    assert atlas.truth("composition") is None


def test_conversion_refuses_a_name_that_would_mislead(folder, tmp_path):
    with pytest.raises(SourceError, match=r"does not end in .h5ad"):
        release.Release(folder).convert(tmp_path / "atlas.parquet")
    out = release.Release(folder).convert(tmp_path / "atlas.h5ad")
    with pytest.raises(SourceError, match="is the source itself"):
        h5ad.H5ad(out).convert(out)
