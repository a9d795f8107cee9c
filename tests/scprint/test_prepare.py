"""Embedding the muscle atlas: what goes to the model and what comes back."""

import json
import os
import resource
import signal
import subprocess
import sys

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from typer.testing import CliRunner

from helpers import names
from helpers.cli.scprint import group
from helpers.errors import CountsError, PartError, StorageError
from helpers.scprint import prepare


def atlas_of(n_cells=250, n_genes=10_050, *, prefix="ENSG", seed=1):
    chance = np.random.default_rng(seed)
    counts = sp.random(n_cells, n_genes, density=0.01, random_state=chance, format="csr")
    counts.data = chance.integers(1, 9, counts.nnz).astype(np.int32)
    ids = [f"{prefix}{i:011d}" for i in range(n_genes)]
    var = pd.DataFrame({names.ENSEMBL: ids}, index=[f"G{i}" for i in range(n_genes)])
    obs = pd.DataFrame(index=[f"cell{i}" for i in range(n_cells)])
    return ad.AnnData(counts.astype(np.float32), obs=obs, var=var, layers={names.COUNTS: counts})


def test_slices_carry_raw_counts_and_ensembl_ids(tmp_path):
    atlas = atlas_of()
    atlas.var.iloc[7, 0] = "not an id"
    halves = (atlas[:200].copy(), atlas[200:].copy())
    made = prepare.write(halves, tmp_path / "out", slice_cells=120)
    assert made == {"slice_0000": 100, "slice_0001": 100, "slice_0002": 50}
    pieces = [ad.read_h5ad(tmp_path / "out" / f"{name}.h5ad") for name in made]
    together = sp.vstack([piece.X for piece in pieces])
    assert (together != atlas.layers[names.COUNTS][:, np.arange(10_050) != 7]).nnz == 0
    assert pieces[0].var_names[7] == "ENSG00000000008"
    assert pieces[0].obs["organism_ontology_term_id"].unique().tolist() == ["NCBITaxon:9606"]
    assert np.concatenate([piece.obs["row_id"] for piece in pieces]).tolist() == list(range(250))


def test_the_organism_is_read_off_the_genes_and_a_mouse_is_never_sent_as_a_person(tmp_path):
    prepare.write([atlas_of(prefix="ENSDARG")], tmp_path / "fish")
    made = ad.read_h5ad(tmp_path / "fish" / "slice_0000.h5ad")
    assert made.obs["organism_ontology_term_id"].unique().tolist() == ["NCBITaxon:7955"]
    assert "--species NCBITaxon:7955" in (tmp_path / "fish" / "embed.sh").read_text()
    mouse = atlas_of(prefix="ENSMUSG")
    with pytest.raises(PartError, match=r"the genes are those of mouse .* stated is NCBITaxon:9606"):
        prepare.write([mouse], tmp_path / "out", organism="NCBITaxon:9606")
    mouse.obs["organism_ontology_term_id"] = "NCBITaxon:9606"
    with pytest.raises(PartError, match="the genes are those of mouse"):
        prepare.write([mouse], tmp_path / "out")
    both = atlas_of(n_genes=12_000)
    both.var.iloc[::2, 0] = mouse.var[names.ENSEMBL].to_numpy()[:6000]
    with pytest.raises(PartError, match="6,000 genes have an Ensembl identifier of"):
        prepare.write([both], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_script_calls_the_published_command_once_a_slice(tmp_path):
    prepare.write([atlas_of()], tmp_path / "slices", slice_cells=125, checkpoint="my weights.ckpt")
    stand_in = tmp_path / "bin" / "scprint2"
    stand_in.parent.mkdir()
    stand_in.write_text('#!/usr/bin/env bash\necho "$@" >> "$LOG"\ntouch "${@: -1}"\n')
    stand_in.chmod(0o755)
    log = tmp_path / "log"
    env = os.environ | {"PATH": f"{stand_in.parent}:{os.environ['PATH']}", "LOG": str(log)}
    for _ in range(2):
        subprocess.run(["bash", str(tmp_path / "slices" / "embed.sh")], check=True, env=env)
    told = log.read_text().splitlines()
    assert len(told) == 2
    asked = "embed --adata slice_0000.h5ad --ckpt_path my weights.ckpt --species NCBITaxon:9606"
    assert told[0].startswith(asked)
    assert (tmp_path / "slices" / "slice_0001_embedded.h5ad").is_file()


def test_bad_input_is_refused(tmp_path):
    atlas = atlas_of()
    halves = atlas.copy()
    halves.layers[names.COUNTS] = halves.layers[names.COUNTS].astype(float) / 2
    with pytest.raises(CountsError, match="stored values are not whole"):
        prepare.write([halves], tmp_path / "out")
    del halves.layers[names.COUNTS]
    with pytest.raises(CountsError, match="no layer 'counts'"):
        prepare.write([halves], tmp_path / "out")
    with pytest.raises(PartError, match="the model needs 10,000"):
        prepare.write([atlas[:, :500].copy()], tmp_path / "out")
    with pytest.raises(PartError, match="slices of 30,000 cells"):
        prepare.write([atlas], tmp_path / "out", slice_cells=30_000)
    assert list(tmp_path.iterdir()) == []


def test_slices_that_were_embedded_are_not_replaced(tmp_path):
    for _ in range(2):
        prepare.write([atlas_of()], tmp_path / "out")
    (tmp_path / "out" / "slice_0000_embedded.h5ad").write_bytes(b"hours of work")
    with pytest.raises(StorageError, match=r"slice_0000_embedded\.h5ad"):
        prepare.write([atlas_of()], tmp_path / "out")
    assert (tmp_path / "out" / "slice_0000_embedded.h5ad").read_bytes() == b"hours of work"


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files")
def test_a_disk_that_fills_up_is_said_and_leaves_nothing(tmp_path):
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    atlas_of().write_h5ad(tmp_path / "atlas.h5ad")
    code = (
        "import sys, anndata as ad\nfrom helpers.scprint import prepare\n"
        "try:\n    prepare.write([ad.read_h5ad(sys.argv[1])], sys.argv[2])\n"
        "except OSError as error:\n    print(type(error).__name__, error)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "atlas.h5ad"), str(tmp_path / "out")]
    done = subprocess.run(command, preexec_fn=limit, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("StorageError")
    assert "Nothing half-written is kept" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["atlas.h5ad"]


# the way back


def model_output(folder, name, *, keep=slice(None), rows=None):
    """Write what the model writes for a slice: shuffled cells, an embedding, class arrays, predictions."""
    piece = ad.read_h5ad(folder / f"{name}.h5ad")[keep].copy()
    piece = piece[np.random.default_rng(1).permutation(piece.n_obs)].copy()
    vectors = np.repeat(piece.obs["row_id"].to_numpy()[:, None], 4, axis=1).astype(np.float32)
    obs = piece.obs.assign(pred_cell_type_ontology_term_id="CL:0000097", conf=1.0)
    if rows is not None:
        obs["row_id"] = rows
    out = ad.AnnData(obs=obs, obsm={"scprint_emb": vectors, "scprint_emb_tissue": vectors[:, :2] + 1})
    out.write_h5ad(folder / f"{name}_embedded.h5ad")


def test_the_output_comes_back_in_the_order_of_the_cells(tmp_path):
    out = tmp_path / "out"
    one, two = prepare.write([atlas_of()], out, slice_cells=130)
    model_output(out, one, keep=slice(5, None))
    model_output(out, two)
    found = prepare.read(out)
    assert found.uns["dropped"] == 5
    assert found.obs["row_id"].tolist() == list(range(5, 250))
    np.testing.assert_array_equal(found.X[:, 0], np.arange(5, 250))
    np.testing.assert_array_equal(found.obsm["scprint_emb_tissue"][:, 0], np.arange(5, 250) + 1)
    assert found.obs["cell_type"].iloc[5] == "CL:0000097"
    assert found.obs_names[5] == "cell10"


def test_a_missing_or_foreign_output_is_named(tmp_path):
    out = tmp_path / "out"
    one, two = prepare.write([atlas_of()], out, slice_cells=130)
    with pytest.raises(PartError, match="2 of 2 slices are not embedded yet, first slice_0000_embedded"):
        prepare.read(out)
    model_output(out, one, rows=np.arange(1000, 1125))
    model_output(out, two)
    with pytest.raises(PartError, match="rows outside 0 to 249"):
        prepare.read(out)
    model_output(out, one, rows=np.arange(125, 250))
    with pytest.raises(PartError, match="125 rows came back twice"):
        prepare.read(out)
    ad.AnnData(np.zeros((2, 2), np.float32)).write_h5ad(out / f"{one}_embedded.h5ad")
    with pytest.raises(PartError, match="not an output of the model"):
        prepare.read(out)
    with pytest.raises(PartError, match="prepare the slices first"):
        prepare.read(tmp_path / "none")


@pytest.mark.parametrize("verb", ["embed", "prepare"])
def test_the_command_takes_a_source_in_even_slices(monkeypatch, tmp_path, small_release, verb):
    monkeypatch.setattr(prepare, "MIN_GENES", 100)
    told = CliRunner().invoke(group, [verb, str(small_release), str(tmp_path / "o"), "--slice-cells", "250"])
    assert told.exit_code == 0, told.output
    assert "680 cells in 3 slice(s)" in told.stdout
    assert json.loads((tmp_path / "o" / "manifest.json").read_text())["slices"]["slice_0002"] == 226
