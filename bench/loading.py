"""Time and memory of loading a release: this package against a plain column-block loader.

Each measurement runs in a fresh process, the two loaders in turn, so that neither gains from the other's warm-up.

    python bench/loading.py                      # simulates a full-size release first
    python bench/loading.py --release FOLDER --repeat 3 --json loading.json
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cold import cold

from helpers import budget, names

THREE = ["MYH7", "MYH2", "XIST"]


def plain(folder: Path):
    """Load the way many scripts do: blocks of 1,000 columns by name, each made sparse, then joined."""
    import numpy as np
    import pyarrow.parquet as pq
    import scipy.sparse as sp

    file = pq.ParquetFile(folder / names.EXPRESSION_FILE)
    genes = [name for name in file.schema_arrow.names if name != names.INDEX_COLUMN]
    blocks = []
    for start in range(0, len(genes), 1000):
        table = file.read(columns=genes[start : start + 1000])
        dense = np.column_stack([table[name].to_numpy() for name in genes[start : start + 1000]])
        blocks.append(sp.csr_matrix(dense))
    return sp.hstack(blocks, format="csr").shape


def values(folder: Path):
    from helpers import sources

    return sources.open_atlas(folder).to_anndata(counts=False).X.shape


def whole(folder: Path):
    from helpers import sources

    return sources.open_atlas(folder).to_anndata().shape


def tables(folder: Path):
    from helpers import sources

    atlas = sources.open_atlas(folder)
    return atlas.obs.shape


def genes(folder: Path):
    from helpers import sources

    atlas = sources.open_atlas(folder)
    _START[0] = time.perf_counter()  # the genes alone: opening is measured by `tables`
    return atlas.genes(THREE).shape


WORK = {
    "plain column blocks, values": plain,
    "this package, values": values,
    "this package, values and counts, converted copy kept": whole,
    "reopened from the converted copy, with counts": whole,
    "open: cell and gene tables": tables,
    "three genes of all cells": genes,
}
_START, _CPU = [0.0], [0.0]


def child(work: str, folder: Path) -> None:
    """Do one piece of work and print what it took."""
    import helpers.sources  # noqa: F401  (imports are not what is measured)

    before = resource.getrusage(resource.RUSAGE_SELF)
    _CPU[0], _START[0] = before.ru_utime + before.ru_stime, time.perf_counter()
    shape = WORK[work](folder)
    took = time.perf_counter() - _START[0]
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = used.ru_utime + used.ru_stime - _CPU[0]
    print(
        json.dumps({"seconds": took, "cpu_seconds": cpu, "peak": budget.peak_bytes(), "shape": list(shape)})
    )


def measure(work: str, folder: Path, cache: Path) -> dict:
    command = [sys.executable, __file__, "--child", work, "--release", str(folder)]
    env = {**os.environ, "MUSCLEBOOK_CACHE": str(cache)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    print(
        f"  {work}: {found['seconds']:.2f} s, processor {found['cpu_seconds']:.1f} s, {budget.to_text(found['peak'])}",
        file=sys.stderr,
        flush=True,
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--release", type=Path, help="full-size release; simulated now if absent")
    parser.add_argument("--repeat", type=int, default=2, help="runs of each of the two loaders, in turn")
    parser.add_argument("--json", type=Path, help="write the results here too")
    parser.add_argument("--child", choices=list(WORK), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        child(asked.child, asked.release)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.release
        if folder is None:
            from helpers.simulate import release

            folder = release.write(Path(scratch) / "full", scale=1.0, seed=1)
        else:
            folder = cold(folder, Path(scratch) / "full")
        found: dict[str, list[dict]] = {work: [] for work in WORK}
        both = list(WORK)[:2]
        for number in range(asked.repeat):
            for work in both if number % 2 == 0 else both[::-1]:
                found[work].append(measure(work, folder, Path(scratch)))
        for work in list(WORK)[2:]:
            found[work].append(measure(work, folder, Path(scratch)))
        report(found, asked.json)


def report(found: dict[str, list[dict]], out: Path | None) -> None:
    summary = {}
    print(f"{'work':55} {'seconds':>18} {'peak':>10}")
    for work, runs in found.items():
        seconds = [run["seconds"] for run in runs]
        middle, peak = statistics.median(seconds), max(run["peak"] for run in runs)
        spread = f" ({min(seconds):.1f}-{max(seconds):.1f})" if len(seconds) > 1 else ""
        print(f"{work:55} {f'{middle:.2f}' + spread:>18} {budget.to_text(peak):>10}")
        summary[work] = {"seconds": seconds, "median": middle, "peak_bytes": peak, "shape": runs[0]["shape"]}
    ratio = summary["plain column blocks, values"]["median"] / summary["this package, values"]["median"]
    print(f"\nThis package loads the values in 1/{ratio:.1f} of the time of the plain loader.")
    if out is not None:
        out.write_text(json.dumps({"work": summary, "ratio": ratio}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
