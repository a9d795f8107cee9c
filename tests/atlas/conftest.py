"""A release of a few cells with every number known, written the ways other programs write it."""

import shutil

import pytest

import releases  # isort: skip  the folder tests is put on the path by conftest

GENES = ["MYH7", "AC000.1", "AC000", "TTN", "TP53", "XIST", "RP11-34P13.7", "MB", "CKM", "PAX7", "DES", "ACTA1"]  # fmt: skip


@pytest.fixture(autouse=True)
def in_own_cache(own_cache):
    """Keep locks and converted files of a test away from the user's."""


@pytest.fixture
def copy(small_release, tmp_path):
    """Return a copy of the small release, to be changed."""
    return shutil.copytree(small_release, tmp_path / "copy")


@pytest.fixture
def micro():
    """Return the values and tables of a release of forty cells."""
    return releases.Small(40, genes=list(GENES))


@pytest.fixture
def folder(micro, tmp_path):
    """Return the folder of that release, written plainly."""
    return micro.write(tmp_path / "release")
