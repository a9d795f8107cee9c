import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import anndata
import numpy as np
import pytest
from typer.testing import CliRunner

from helpers import names
from helpers.cli.main import app
from helpers.errors import SourceError

COMMANDS = (
    *("simulate", "download", "validate", "audit", "convert", "sentences", "prompts", "scprint check"),
    *(
        "scprint survey",
        "scprint simulate",
        "scprint embed",
        "run",
        "build",
        "status",
        "pair",
        "sweep",
        "workshop",
    ),
    *("new-chapter", "doctor"),
)


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def plain(text):
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", text).split())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_listed_and_its_help_shows_an_example(command):
    assert command.split()[0] in plain(run("--help").output)
    result = run(*command.split(), "--help")
    assert result.exit_code == 0
    assert f"Example: musclebook {command}" in plain(result.output)


SPOILED = {  # file: what is done to it, exit code, what is said
    None: (None, 0, "0 found damage"),
    names.SAMPLE_FILE: (Path.unlink, 1, f"damaged: {names.SAMPLE_FILE}: missing\\..*Fetch or write {names.SAMPLE_FILE} again"),
    names.LICENSE_FILE: (Path.unlink, 0, "warning: LICENSE: missing"),
}  # fmt: skip


@pytest.mark.parametrize("file", SPOILED)
def test_validate_ends_with_one_where_there_is_damage_and_names_file_and_remedy(
    small_release, tmp_path, file
):
    spoil, code, said = SPOILED[file]
    copy = shutil.copytree(small_release, tmp_path / "copy")
    if spoil:
        spoil(copy / file)
    result = run("validate", copy)
    assert result.exit_code == code
    assert re.search(said, plain(result.output))
    rows = json.loads(run("validate", copy, "--json").stdout)
    assert [row["file"] for row in rows if row["status"] == "damaged"] == [file] * code


def test_audit_prints_verdicts_and_json(small_release):
    result = run("audit", small_release)
    assert result.exit_code == 0, result.output
    assert "does not hold" in plain(result.output)
    assert {row["verdict"] for row in json.loads(run("audit", small_release, "--json").stdout)} > {"holds"}


def test_download_and_simulate_pass_their_options_on(monkeypatch, tmp_path):
    from helpers.atlas import download

    seen = {}

    def fake(folder, repository, **options):
        seen.update(options, folder=folder, repository=repository)
        return {"files": {"a": {}}, "repository": repository, "commit": "c0ffee"}

    monkeypatch.setattr(download, "download", fake)
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_user")
    given = {"repository": "some/atlas", "revision": "v1", "endpoint": "http://127.0.0.1:1"}
    options = [word for name, value in given.items() for word in (f"--{name}", value)]
    result = run("download", tmp_path, *options)
    assert result.exit_code == 0, result.output
    assert {name: seen[name] for name in given} == given
    assert "commit c0ffee" in plain(result.output)
    assert seen["token"] == "hf_of_the_user"
    run("download", tmp_path, "--token", "hf_given")
    assert seen["token"] == "hf_given"
    assert "hf_of_the_user" not in run("download", "--help").output


def test_simulate_without_a_folder_writes_where_the_word_full_is_looked_for(monkeypatch, tmp_path):
    from helpers import sources
    from helpers.simulate import release

    seen = []
    monkeypatch.setenv("MUSCLEBOOK_CACHE", str(tmp_path))
    monkeypatch.setattr(release, "write", lambda folder, **options: seen.append((folder, options)))
    assert run("simulate", "--full", "--seed", "4").exit_code == 0
    assert run("simulate", tmp_path / "mine", "--scale", "0.5").exit_code == 0
    with pytest.raises(SourceError) as error:
        sources.simulated_folder("full", seed=4)
    (full, options), (mine, _) = seen
    assert f"({full})" in str(error.value)
    assert (options["scale"], options["seed"], options["owned"]) == (1.0, 4, True)
    assert mine == tmp_path / "mine"
    for options, words in (
        (("--scale", "0.5"), "scale 0.5 has no place of its own"),
        (("--scale", "3"), "--scale"),
    ):
        result = run("simulate", *options)
        assert result.exit_code == 2
        assert words in plain(result.stderr)


def test_convert_writes_an_h5ad_that_opens_with_its_counts(small_release, tmp_path):
    out = tmp_path / "atlas.h5ad"
    result = run("convert", small_release, out)
    assert result.exit_code == 0, result.output + result.stderr
    adata = anndata.read_h5ad(out)
    assert adata.shape == (680, 220)
    totals = np.asarray(adata.layers["counts"].sum(axis=1)).ravel()
    assert totals == pytest.approx(adata.obs["n_counts"].to_numpy())


def test_the_help_loads_no_heavy_package():
    code = "import sys; import helpers.cli.main; print([m for m in ('scanpy', 'numba', 'pyarrow') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
