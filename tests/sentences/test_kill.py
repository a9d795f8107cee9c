import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from helpers.sentences import write
from helpers.sentences.write import Options

# One process imports everything and touches nothing, and forks a writer for each attempt: ten writers, one import.
SERVER = """
import os, sys
import numpy as np
from helpers.sentences import write, kernels
from helpers.sentences.write import Options
empty = np.zeros(0, np.uint64)
kernels.rank_words(
    np.zeros(2, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(1, np.int32), 1, np.uint64(0),
    np.zeros(1, np.uint64), empty, 1,
)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        write.write(sys.argv[1], line.strip(), options=Options(chunk_cells=150, test_fraction=0.2))
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


class Writers:
    """Starts writers and tells how they ended."""

    def __init__(self, source):
        self.server = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", SERVER, str(source)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip

    def start(self, out):
        self.server.stdin.write(f"{out}\n")
        self.server.stdin.flush()
        return int(self.server.stdout.readline())

    def wait(self):
        return int(self.server.stdout.readline())


def content(folder: Path) -> dict[str, bytes]:
    found = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    found.pop(".lock", None)
    return found


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that forks")
def test_a_writer_killed_at_ten_random_moments_and_resumed_gives_the_same_bytes(tmp_path):
    rng = np.random.default_rng(0)
    values = sp.random(2_000, 300, 0.2, format="csr", dtype=np.float32, random_state=1)
    values.data = rng.poisson(2, len(values.data)).astype(np.float32)
    obs = pd.DataFrame(
        {
            "donor_id": pd.Categorical([f"d{i % 20}" for i in range(2_000)]),
            "development_stage": pd.Categorical([f"{20 + i % 20}-year-old stage" for i in range(2_000)]),
        },
        index=[f"c{i}" for i in range(2_000)],
    )
    source = tmp_path / "cells.h5ad"
    anndata.AnnData(values, obs, pd.DataFrame(index=[f"G{i}" for i in range(300)])).write_h5ad(source)
    whole = tmp_path / "whole"
    writers = Writers(source)
    writers.start(whole)
    assert writers.wait() == 0
    expected = content(whole)
    assert len(expected) > 15
    moments = random.Random(1)
    killed, unfinished = 0, 0
    for attempt in range(10):
        out = tmp_path / f"out{attempt}"
        child = writers.start(out)
        # a random number of finished files, then a random instant: spread over the whole run
        wanted, until = moments.randrange(0, 14), time.monotonic() + 20
        while len(list(out.rglob("chunk_*.parquet"))) < wanted and time.monotonic() < until:
            time.sleep(0.0005)
        time.sleep(moments.random() * 0.01)
        os.kill(child, signal.SIGKILL)
        killed += writers.wait() == signal.SIGKILL
        half = content(out)
        unfinished += set(half) != set(expected)
        # what is visible is whole
        assert all(expected[name] == half[name] for name in half if not Path(name).name.startswith("."))
        write.write(source, out, options=Options(chunk_cells=150, test_fraction=0.2))
        assert content(out) == expected
    writers.server.stdin.close()
    writers.server.wait()
    writers.server.stdout.close()
    assert killed >= 8
    assert unfinished >= 8
