"""Places to write: no command takes away what it did not write, and none leaves by a traceback."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from helpers import files
from helpers.cli.main import app
from helpers.errors import StorageError
from helpers.simulate import release

SAMPLE = Path(__file__).parent / "book" / "sample"


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def refused(words, *said):
    result = run(*words)
    assert result.exit_code == 2, (result.output, result.exception)
    assert all(word in " ".join(result.output.split()) for word in said), result.output


@pytest.fixture(scope="module")
def given(tmp_path_factory, small_release):
    """What the commands read: a folder of parts, a folder of sentences."""
    place = tmp_path_factory.mktemp("given")
    assert run("scprint", "simulate", place / "parts", "--cells", 3000, "--parts", 4).exit_code == 0
    assert run("sentences", small_release, place / "sentences", "--top-n", 20).exit_code == 0
    return place


@pytest.fixture
def book(tmp_path, monkeypatch):
    monkeypatch.chdir(shutil.copytree(SAMPLE, tmp_path / "book"))
    return tmp_path / "book"


FOLDERS = {
    "simulate": lambda given, out: ("simulate", out, "--scale", "0.001"),
    "workshop": lambda given, out: ("workshop", out),
    "scprint simulate": lambda given, out: ("scprint", "simulate", out, "--cells", "800", "--parts", "2"),
    "scprint survey": lambda given, out: ("scprint", "survey", given / "parts", out, "--processes", "1"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_simulation(monkeypatch):
    """Write one file in place of a release: places are looked at here, not what is simulated."""
    made = lambda folder, *_, **__: (folder / "made").write_text("made")  # noqa: E731
    monkeypatch.setattr(release, "simulate", lambda **_: None)
    monkeypatch.setattr(release, "_write_files", made)


@pytest.mark.parametrize("verb", FOLDERS)
def test_a_folder_is_replaced_only_if_it_is_ours_and_whole(verb, given, book, tmp_path):
    out = tmp_path / "out"
    command = FOLDERS[verb](given, out)
    out.mkdir()
    note = out / "notes.txt"
    note.write_text("mine")
    refused(command, "notes.txt", "--force")
    assert note.read_text() == "mine"
    note.unlink()
    for _ in range(2):  # our own older output may be replaced
        assert run(*command).exit_code == 0
    edited = next(path for path in sorted(out.rglob("*")) if path.is_file() and path.name != files.MARKER)
    edited.write_bytes(edited.read_bytes() + b"x")
    refused(command, f"{edited.name} (edited)")
    assert edited.read_bytes().endswith(b"x")
    done = run(*command, "--force")
    assert done.exit_code == 0, done.output
    assert f"{edited.name} (edited)" in " ".join(done.output.split())
    assert files.foreign(out, kind=json.loads((out / files.MARKER).read_text())["kind"]) == []


@pytest.mark.parametrize("verb", FOLDERS)
@pytest.mark.parametrize("force", [[], ["--force"]])
def test_files_links_and_folders_around_us_stay_even_with_force(verb, force, given, book, tmp_path):
    plain, other, link = (tmp_path / name for name in ("plain", "other", "link"))
    plain.write_text("mine")
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    link.symlink_to(other)
    before = sorted(tmp_path.rglob("*"))
    left = dict.fromkeys((".", "..", "../book", tmp_path, "/"), "is left as it is")
    if verb == "scprint survey":
        left |= dict.fromkeys((given / "parts", given), "which is read")
    for out, said in ({plain: "is a file", link: "symbolic link"} | left).items():
        refused([*FOLDERS[verb](given, out), *force], said)
    assert sorted(tmp_path.rglob("*")) == before
    assert plain.read_text() == "mine"


def test_a_folder_of_another_kind_is_not_replaced(given, book):
    refused(("workshop", given / "parts"), "label_decoders.json")
    assert (given / "parts" / "truth.json").exists()


def write_some(out, *, meanwhile=lambda: None, **options):
    with files.writing(out, kind="some", **options) as part:
        part.mkdir()
        (part / "ours").write_text("ours")
        meanwhile()


def test_files_that_come_while_we_write_and_links_inside_are_foreign(tmp_path):
    out, kept = tmp_path / "out", tmp_path / "kept"
    kept.mkdir()
    (kept / "notes.txt").write_text("mine")
    for _ in range(2):
        write_some(out)
    with pytest.raises(StorageError, match="link"):
        write_some(out, meanwhile=lambda: (out / "link").symlink_to(kept))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "out"]
    assert (out / "link").is_symlink()
    write_some(out, force=True)
    assert not (out / "link").exists()
    assert (kept / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("verb", ["convert", "prompts"])
def test_a_file_is_replaced_only_with_force(verb, given, small_release, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = tmp_path / ("out.h5ad" if verb == "convert" else "out.jsonl")
    out.write_text("mine")
    command = (verb, small_release if verb == "convert" else given / "sentences")
    refused((*command, out), "exists already")
    assert out.read_text() == "mine"
    assert run(*command, out, "--force").exit_code == 0
    assert out.read_bytes()[:4] != b"mine"
    link = out.with_name("link.h5ad")
    link.symlink_to(out)
    for place in (link, tmp_path, ".", ".."):
        refused((*command, place, "--force"), "is left as it is")
    if verb == "convert":
        before = out.read_bytes()
        refused(("convert", out, out, "--force"), "is what is read")
        assert out.read_bytes() == before


def test_a_run_moves_aside_what_has_its_place_and_leaves_parts_of_others_alone(book):
    command = ("run", "01", "--out", book / "mine", "--workers", 1)
    assert run(*command).exit_code == 0
    folder = next((book / "mine").rglob("run.json")).parent
    (folder / "edited.txt").write_text("mine")
    other = folder.with_name(".video.part")
    other.mkdir()
    (other / "half").write_text("mine")
    assert run(*command, "--fresh").exit_code == 0
    assert [path.read_text() for path in (book / "mine").rglob("edited.txt")] == ["mine"]
    assert (other / "half").read_text() == "mine"
    assert not (book / "mine" / "failed").exists()
    (book / "taken").write_text("mine")
    refused(("run", "01", "--out", book / "taken", "--workers", 1), "taken", "cannot be written")
    assert (book / "taken").read_text() == "mine"


def test_without_a_home_everything_has_a_place(tmp_path, small_release):
    named = {*files.HOMELESS, files.CACHE_VARIABLE, "XDG_CACHE_HOME"}
    environment = {name: value for name, value in os.environ.items() if name not in named}
    environment |= {"HOME": "/dev/null/nowhere", "TMPDIR": str(tmp_path)}
    code = "import sys; from helpers import files, sources; import numba"
    code += "; print(files.cache_folder(), numba.config.CACHE_DIR, sources.open_atlas(sys.argv[1]).to_anndata().shape)"
    said = subprocess.check_output(
        [sys.executable, "-c", code, str(small_release)], text=True, env=environment
    )
    assert said.count(str(tmp_path)) == 2
    assert "(680, 220)" in said


def test_a_temporary_home_of_somebody_else_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(files.tempfile, "tempdir", str(tmp_path))
    first = files.temporary_home()
    assert first == files.temporary_home()
    first.chmod(0o777)
    assert files.temporary_home() != first
