"""Parts of the embedding atlas: label tables and embedding moments against raw `np.load`, memory over many parts.

Run it alone on the machine. Files are read from memory (the second time), as the peer's numbers were.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

CELLS = 20_000


def timed(one, other, repeats: int) -> tuple[float, float]:
    """Return the best seconds of each of two pieces of work, done in turn so that both meet the same machine."""
    seconds = ([], [])
    for _ in range(repeats + 1):
        for work, found in zip((one, other), seconds, strict=True):
            started = time.perf_counter()
            work()
            found.append(time.perf_counter() - started)
    return min(seconds[0][1:]), min(seconds[1][1:])


def rates(folder: Path, repeats: int) -> list[tuple[str, float, float, float]]:
    """Return (step, seconds for a part, seconds of np.load of the same files, relative rate)."""
    from helpers.scprint import parts
    from helpers.scprint.statistics import Plan, measure

    part = parts.find(folder)[0]
    files = part.files

    def load(*kinds: str) -> None:
        for kind in kinds:
            with np.load(files[kind]) as stored:
                stored["arr_0"]

    def step(plan: Plan):
        return lambda: measure(parts.open_part(part), plan=plan)

    pair = (("cell_type", "tissue"),)
    steps = [
        ("label table, cell type x tissue", Plan(pair, scores=False, embeddings=False), ("top3",)),
        ("all 30 label tables", Plan(scores=False, embeddings=False), ("top3",)),
        ("all label tables and scores", Plan(embeddings=False), ("top3", "scores")),
        ("embedding means, covariances of 1 in 64", Plan((), scores=False), ("embs",)),
        ("embedding means, covariances of all", Plan((), scores=False, covariance_every=1), ("embs",)),
        ("the whole survey", Plan(), ("embs", "top3", "scores")),
    ]
    found = []
    for name, plan, kinds in steps:
        ours, raw = timed(step(plan), lambda kinds=kinds: load(*kinds), repeats)
        found.append((name, ours, raw, raw / ours))
    return found


def memory(folder: Path, n_parts: int) -> dict[str, float]:
    """Survey a folder in a fresh process and return its peak memory and time."""
    code = (
        "import json, sys, tempfile, time; from pathlib import Path; from helpers.budget import peak_bytes\n"
        "from helpers.scprint import survey\n"
        "started = time.perf_counter()\n"
        "found = survey.run(Path(sys.argv[1]), cache=Path(tempfile.mkdtemp()))\n"
        "print(json.dumps({'cells': found.cells, 'seconds': time.perf_counter() - started, 'peak': peak_bytes()}))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, str(folder)], check=True, capture_output=True, text=True
    )
    return {"parts": n_parts, **json.loads(out.stdout)}


def some(whole: Path, out: Path, n_parts: int) -> Path:
    """Make a folder of the first parts of another, by links."""
    from helpers.scprint import parts

    out.mkdir()
    for part in parts.find(whole)[:n_parts]:
        for path in part.files.values():
            (out / path.name).hardlink_to(path)
    return out


def main() -> None:
    """Print rates, memory, and what follows for the whole atlas."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=30)
    arguments = parser.parse_args()
    from helpers.scprint import cost, simulation
    from helpers.scprint.cost import Measured

    with tempfile.TemporaryDirectory() as scratch:
        one = simulation.simulate_parts(Path(scratch) / "one", n_cells=CELLS, n_parts=1)
        found = rates(one, arguments.repeats)
        print(f"One part of {CELLS:,} cells, uncompressed, in memory, one core:")
        for name, ours, raw, share in found:
            print(
                f"  {name:42s} {CELLS / ours:12,.0f} cells/s; np.load {CELLS / raw:12,.0f} cells/s; {share:6.0%}"
            )
        print("Memory of a survey (nothing cached):")
        whole = simulation.simulate_parts(
            Path(scratch) / "whole", n_cells=arguments.parts * CELLS, n_parts=arguments.parts
        )
        for n in sorted({1, 20, arguments.parts}):
            folder = some(whole, Path(scratch) / f"first{n}", n)
            told = memory(folder, n)
            print(
                f"  {n:4d} parts, {told['cells']:10,} cells: {told['seconds']:6.1f} s, peak {told['peak'] / 2**20:.0f} MiB"
            )
        print("The whole atlas on one core:")
        sizes = [
            cost.LABEL_BYTES,
            cost.LABEL_BYTES,
            2 * cost.LABEL_BYTES,
            *[cost.EMBEDDING_BYTES] * 2,
            cost.CELL_BYTES,
        ]
        steps = [Measured(row[0], CELLS, row[1], size) for row, size in zip(found, sizes, strict=True)]
        for row in cost.extrapolate(steps).iter_rows(named=True):
            print(f"  {row['step']}: {row['arithmetic']}")


if __name__ == "__main__":
    main()
