import json

import polars as pl
import pytest
from typer.testing import CliRunner

from helpers.cli.main import app


@pytest.fixture
def run():
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


def test_files_become_sentences_and_sentences_become_prompts(run, file, tmp_path):
    genes = tmp_path / "muscle.txt"
    genes.write_text("G001\nG002\n")
    options = ("--top-n", 9, "--workers", 2, "--test-fraction", 0.2, "--gene-list", genes)
    made = run("sentences", file, tmp_path / "out", *options)
    assert made.exit_code == 0, made.output
    assert "60 cells (train" in made.output
    table = pl.read_parquet(tmp_path / "out" / "cells" / "*" / "*.parquet")
    assert table["cell_sentence"].str.split(" ").list.len().max() == 9
    assert "gene_sentence_muscle" in table.columns
    asked = run("prompts", tmp_path / "out", tmp_path / "p.jsonl", "--task", "age", "--side", "test")
    assert asked.exit_code == 0, asked.output
    assert all(json.loads(line)["side"] == "test" for line in (tmp_path / "p.jsonl").read_text().splitlines())


def test_what_is_wrong_is_said(run, file, tmp_path):
    twice = run("sentences", file, file, tmp_path / "out")
    assert "two inputs are called 'cells'" in twice.output
    wrong = run("sentences", file, tmp_path / "out", "--split", "donor")
    assert "split is 'donor'" in wrong.output


def test_machines_of_a_cluster_write_the_same_bytes(file, tmp_path):
    distributed = pytest.importorskip("distributed")
    from helpers.sentences import write
    from helpers.sentences.write import Options

    options = Options(chunk_cells=20, test_fraction=0.2)
    write.write(file, tmp_path / "here", options=options)
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0", protocol="tcp"
    ) as cluster:
        write.write(file, tmp_path / "there", options=options, cluster=cluster.scheduler_address)
    for path in sorted((tmp_path / "here").rglob("*.*")):
        if path.suffix in (".parquet", ".json"):
            assert (
                tmp_path / "there" / path.relative_to(tmp_path / "here")
            ).read_bytes() == path.read_bytes()
