import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from helpers.sentences import write
from helpers.sentences.write import Options

OPTIONS = Options(chunk_cells=150, test_fraction=0.2)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that forks")
def test_a_writer_killed_at_ten_random_moments_and_resumed_gives_the_same_bytes(tmp_path):
    values = sp.random(2_000, 300, 0.2, format="csr", dtype=np.float32, random_state=1)
    values.data = np.random.default_rng(0).poisson(2, len(values.data)).astype(np.float32)
    labels = {
        "donor_id": [f"d{i % 20}" for i in range(2_000)],
        "development_stage": [f"{20 + i % 20}-year-old stage" for i in range(2_000)],
    }
    obs = pd.DataFrame(labels, index=[f"c{i}" for i in range(2_000)], dtype="category")
    source = tmp_path / "cells.h5ad"
    anndata.AnnData(values, obs, pd.DataFrame(index=[f"G{i}" for i in range(300)])).write_h5ad(source)
    # one process imports everything and touches nothing, and forks a writer for each attempt
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["helpers.sentences.write"])

    def start(out):
        child = forks.Process(target=write.write, args=(source, out), kwargs={"options": OPTIONS})
        child.start()
        return child

    start(whole := tmp_path / "whole").join()
    expected = content(whole)
    assert len(expected) > 15
    moments = random.Random(1)
    killed, unfinished = 0, 0
    for attempt in range(10):
        out = tmp_path / f"out{attempt}"
        child = start(out)
        # a random number of finished files, then a random instant: spread over the whole run
        wanted, until = moments.randrange(0, 14), time.monotonic() + 20
        while len(list(out.rglob("chunk_*.parquet"))) < wanted and time.monotonic() < until:
            time.sleep(0.0005)
        time.sleep(moments.random() * 0.01)
        child.kill()
        child.join()
        killed += child.exitcode == -signal.SIGKILL
        half = content(out)
        unfinished += set(half) != set(expected)
        # what is visible is whole
        assert all(expected[name] == half[name] for name in half if not Path(name).name.startswith("."))
        write.write(source, out, options=OPTIONS)
        assert content(out) == expected
    assert killed >= 8
    assert unfinished >= 8
