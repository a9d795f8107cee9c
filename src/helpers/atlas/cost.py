"""What loading costs: the dense way against the sparse way, each measured in a fresh process."""

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from helpers import names
from helpers.budget import to_bytes
from helpers.errors import ReleaseError

COST_SCHEMA = {
    "way": pl.String,
    "seconds": pl.Float64,
    "peak_gib": pl.Float64,
    "genes_read": pl.Int64,
    "measured": pl.Boolean,
}

_DENSE = """
import json, sys, time
import pyarrow.parquet as pq
from helpers.budget import peak_bytes
path, count = sys.argv[1], int(sys.argv[2])
columns = pq.read_schema(path).names[:count]
start = time.perf_counter()
table = pq.read_table(path, columns=columns).to_pandas()
seconds = time.perf_counter() - start
print(json.dumps([seconds, peak_bytes()]))
"""
_SPARSE = """
import json, sys, time
from helpers.atlas.release import Release
from helpers.budget import peak_bytes
start = time.perf_counter()
Release(sys.argv[1]).read_csr(None, None, budget="64 GiB", remedy="")
seconds = time.perf_counter() - start
print(json.dumps([seconds, peak_bytes()]))
"""


def measure(folder: Path | str, *, budget: str = "2 GiB") -> pl.DataFrame:
    """Time the dense and the sparse way of reading one release, and their peak memory.

    Parameters
    ----------
    folder
        A release.
    budget
        Memory that the dense way may take. A larger matrix is read in part, and the row for the whole is scaled up
        from the part by the number of genes; its `measured` is false.

    Returns
    -------
    polars.DataFrame
        way, seconds, peak_gib, genes_read, measured; one row a way.

    Raises
    ------
    ReleaseError
        If a child process cannot read the release.
    """
    folder = Path(folder)
    path = folder / names.EXPRESSION_FILE
    meta = pq.ParquetFile(path).metadata
    genes = meta.num_columns
    # pandas holds the Arrow table and its own copy for a moment: two dense matrices
    fits = max(1, int(to_bytes(budget) // (2 * 4 * meta.num_rows)))
    read = min(genes, fits)
    seconds, peak = _child(_DENSE, path, str(read))
    rows = [("dense table (pandas)", seconds, peak, read, read == genes)]
    if read < genes:
        rows.append(
            ("dense table, whole (scaled)", seconds * genes / read, peak * genes / read, genes, False)
        )
    rows.append(("sparse, in blocks (this book)", *_child(_SPARSE, folder), genes, True))
    return pl.DataFrame(
        [(way, time, peak / 2**30, count, whole) for way, time, peak, count, whole in rows],
        schema=COST_SCHEMA,
        orient="row",
    )


def _child(code: str, path: Path, *arguments: str) -> tuple[float, int]:
    run = subprocess.run(
        [sys.executable, "-c", code, str(path), *arguments], capture_output=True, text=True, check=False
    )
    if run.returncode != 0:
        last = (run.stderr.strip().splitlines() or ["no message"])[-1]
        msg = f"{path} could not be read in a fresh process: {last}. Run `musclebook validate` on its folder."
        raise ReleaseError(msg)
    seconds, peak = json.loads(run.stdout.strip().splitlines()[-1])
    return seconds, peak
