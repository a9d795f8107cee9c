import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from helpers import names, sources
from helpers.atlas import download
from helpers.cli.main import app
from helpers.errors import SourceError
from helpers.simulate import release

SAMPLE = Path(__file__).parents[1] / "book" / "sample"
VERBS = "simulate download validate audit convert sentences prompts run build status pair sweep workshop new-chapter doctor"
COMMANDS = [*VERBS.split(), *(f"scprint {verb}" for verb in ("check", "survey", "simulate", "embed"))]
pytestmark = pytest.mark.xdist_group("runs")


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def call(*words):
    """Return exit code and what is said, without colors and in one line."""
    done = run(*words)
    return done.exit_code, " ".join(re.sub(r"\x1b\[[0-9;]*m", "", done.output).split())


@pytest.fixture
def book(tmp_path, monkeypatch):
    shutil.copytree(SAMPLE, tmp_path / "book")
    monkeypatch.chdir(tmp_path / "book" / "notebooks")  # any folder of the book will do
    return tmp_path / "book"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_listed_and_its_help_shows_an_example(command):
    assert command.split()[0] in call("--help")[1]
    code, text = call(*command.split(), "--help")
    assert code == 0
    assert f"Example: musclebook {command}" in text


def test_the_help_loads_no_heavy_package():
    code = "import sys; import helpers.cli.main; print([m for m in ('scanpy', 'numba', 'pyarrow') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("file", "code", "said"),
    [
        (None, 0, "0 found damage"),
        (names.SAMPLE_FILE, 1, f"damaged: {names.SAMPLE_FILE}: missing\\..*Fetch or write {names.SAMPLE_FILE} again"),
        (names.LICENSE_FILE, 0, "warning: LICENSE: missing"),
    ],
)  # fmt: skip
def test_validate_ends_with_one_where_there_is_damage_and_names_file_and_remedy(
    small_release, tmp_path, file, code, said
):
    copy = shutil.copytree(small_release, tmp_path / "copy")
    if file:
        (copy / file).unlink()
    ended, text = call("validate", copy)
    assert ended == code
    assert re.search(said, text)
    rows = json.loads(run("validate", copy, "--json").stdout)
    assert [row["file"] for row in rows if row["status"] == "damaged"] == [file] * code


def test_audit_prints_verdicts_and_json(small_release):
    code, text = call("audit", small_release)
    assert code == 0
    assert "does not hold" in text
    assert {row["verdict"] for row in json.loads(run("audit", small_release, "--json").stdout)} > {"holds"}


def test_download_passes_its_options_on_and_shows_no_token(monkeypatch, tmp_path):
    seen = {}

    def fake(folder, repository, **options):
        seen.update(options, folder=folder, repository=repository)
        return {"files": {"a": {}}, "repository": repository, "commit": "c0ffee"}

    monkeypatch.setattr(download, "download", fake)
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_user")
    given = {"repository": "some/atlas", "revision": "v1", "endpoint": "http://127.0.0.1:1"}
    code, text = call("download", tmp_path, *(f"--{name}={value}" for name, value in given.items()))
    assert (code, "commit c0ffee" in text) == (0, True)
    assert (given | {"token": "hf_of_the_user"}).items() <= seen.items()
    run("download", tmp_path, "--token", "hf_given")
    assert seen["token"] == "hf_given"
    assert "hf_of_the_user" not in run("download", "--help").output


def test_simulate_without_a_folder_writes_where_the_word_full_is_looked_for(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setenv("MUSCLEBOOK_CACHE", str(tmp_path))
    monkeypatch.setattr(release, "write", lambda folder, **options: seen.append((folder, options)))
    assert call("simulate", "--full", "--seed", "4")[0] == 0
    assert call("simulate", tmp_path / "mine", "--scale", "0.5")[0] == 0
    (full, options), (mine, _) = seen
    with pytest.raises(SourceError, match=re.escape(f"({full})")):
        sources.simulated_folder("full", seed=4)
    assert (options["scale"], options["seed"], options["owned"]) == (1.0, 4, True)
    assert mine == tmp_path / "mine"
    for scale, words in (("0.5", "scale 0.5 has no place of its own"), ("3", "--scale")):
        code, text = call("simulate", "--scale", scale)
        assert (code, words in text) == (2, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--memory", "1 KiB"], "1 KiB is less than what these are expected to need"),
        (["--memory", "banana"], "'banana' is not a size"),
        (["-p", "share=9"], "share = 9.0 is not allowed"),
        (["-p", "cuont=3"], "unknown parameter 'cuont', did you mean 'count'?"),
        (["-f", "absent.yaml"], "absent.yaml"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(book, words, said):
    for verb in ("run", *(["build"] if words[0] == "--memory" else [])):
        code, text = call(verb, *words)
        assert (code, said in text) == (2, True)
    assert not list((book / "_build").rglob("*.ipynb"))


def test_a_run_that_fails_ends_with_one_and_names_cell_and_error(book):
    code, text = call("run", "02", "-p", "breaks=yes")
    assert code == 1
    assert "02_second, cell 6: AssertionError: asked to break <b>here</b>" in text
    assert call("status")[1].count("never run") == 2


def test_status_tells_current_from_stale_and_a_run_by_hand_changes_no_page(book):
    assert call("run", "02")[0] == 0
    code, text = call("status")
    assert (code, "02_second current" in text) == (1, True)
    assert call("run", "02", "-p", "rest=0.5")[0] == 0
    assert "02_second current" in call("status")[1]
    assert call("run", "02", "-p", "rest=0.5", "--show")[0] == 0
    assert "02_second stale parameters (rest)" in call("status")[1]


def test_pairs_are_written_and_checked(book):
    code, text = call("pair", "--check")
    assert (code, "01_first.ipynb is missing" in text) == (1, True)
    assert call("pair")[0] == 0
    assert call("pair", "--check") == (0, "2 pairs, 0 differences")
    assert "unchanged" in call("pair")[1]


def test_outside_a_book_the_book_of_the_package_is_used(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, text = call("run", "99")
    assert (code, "no notebook '99'" in text) == (1, True)
