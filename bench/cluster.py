"""Sentences on the workers of a Dask cluster: how the time falls from one worker to two, beside threads.

Four .h5ad files of a quarter of the atlas are written by ``musclebook sentences --cluster``, in turn; every worker has
one thread. Files must be the same, by hash, whoever wrote them.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from distributed import Client, LocalCluster

from helpers.simulate import release

COPIES = 4
COMMAND = "from helpers.cli.main import app; app()"


def make_inputs(folder: Path, *, scale: float) -> list[Path]:
    """Write a simulated atlas as .h5ad, and link it under other names: each is a data set of its own."""
    first = folder / "set_1.h5ad"
    release.simulate(scale=scale).adata.write_h5ad(first)
    for number in range(2, COPIES + 1):
        (folder / f"set_{number}.h5ad").hardlink_to(first)
    return sorted(folder.glob("set_*.h5ad"))


def write(inputs: list[Path], out: Path, *options: str) -> tuple[float, str]:
    """Write sentences by the command; return its seconds, start of the interpreter included, and a hash of its files."""
    shutil.rmtree(out, ignore_errors=True)
    started = time.perf_counter()
    call = [sys.executable, "-c", COMMAND, "sentences", *map(str, inputs), str(out)]
    subprocess.run([*call, "--chunk-cells", "2500", *options], check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - started
    sha = hashlib.sha256()
    for path in sorted(out.rglob("*.parquet")):
        sha.update(path.relative_to(out).as_posix().encode() + path.read_bytes())
    return seconds, sha.hexdigest()


def main() -> None:
    """Measure, print seconds by number of workers and of threads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--scale", type=float, default=0.25, help="part of the atlas in each of the four files"
    )
    parser.add_argument("--repeat", type=int, default=3)
    asked = parser.parse_args()
    found: dict[str, list[float]] = {}
    hashes = set()
    with tempfile.TemporaryDirectory(prefix="bench_") as name:
        folder = Path(name)
        inputs = make_inputs(folder, scale=asked.scale)
        for _ in range(asked.repeat):
            for workers in (1, 2):
                with (
                    LocalCluster(
                        n_workers=workers, threads_per_worker=1, dashboard_address=":0", memory_limit="6GiB"
                    ) as cluster,
                    Client(cluster),
                ):
                    seconds, sha = write(inputs, folder / "out", "--cluster", cluster.scheduler_address)
                found.setdefault(f"Dask, {workers} worker(s) of one thread", []).append(seconds)
                hashes.add(sha)
            for workers in (1, 2):
                seconds, sha = write(inputs, folder / "out", "--workers", str(workers))
                found.setdefault(f"threads of this machine, {workers}", []).append(seconds)
                hashes.add(sha)
    if len(hashes) > 1:
        msg = "files differ between ways to write them"
        raise SystemExit(msg)
    for work, seconds in found.items():
        print(f"{work:38}{min(seconds):6.1f} s (runs: {', '.join(f'{one:.1f}' for one in seconds)})")
    one, two = (min(found[f"Dask, {workers} worker(s) of one thread"]) for workers in (1, 2))
    print(f"two workers take 1/{one / two:.2f} of the time of one; files are the same by hash")


if __name__ == "__main__":
    main()
