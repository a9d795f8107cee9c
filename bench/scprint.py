"""Parts of the embedding atlas: questions and the survey against raw `np.load`, memory over many parts.

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
import polars as pl

CELLS, ATLAS, DISK = 20_000, 338_000_000, 500e6
FIRST = {
    "cell_type": ("tissue", "age_group", "assay", "disease", "organism", "sex"),
    "tissue": ("age_group", "assay", "disease", "organism", "sex"),
    "organism": ("ethnicity", "disease", "cell_culture"),
}


def timed(one, other, repeats: int) -> tuple[float, float]:
    """Return the best seconds of each of two pieces of work, done in turn so that both meet the same machine."""
    seconds = ([], [])
    for _ in range(repeats + 1):
        for work, found in zip((one, other), seconds, strict=True):
            started = time.perf_counter()
            work()
            found.append(time.perf_counter() - started)
    return min(seconds[0][1:]), min(seconds[1][1:])


def tables() -> list[tuple[str, ...]]:
    """Return 31 combinations of labels that a reader may ask for."""
    from helpers.scprint import layout

    pairs = [(name, other) for name, others in FIRST.items() for other in others]
    choices = [(name, f"{name}_2") for name in layout.RANKED]
    return [*((name,) for name in layout.CLASSES), *pairs, *choices, ("cell_type", "tissue", "age_group")]


def rates(folder: Path, repeats: int) -> list[tuple[str, int, float, float]]:
    """Return (step, cells, seconds, seconds of np.load of the same files)."""
    from helpers.scprint import parts, survey

    listed = list(parts.open_all(folder))

    def load(*kinds: str, of: list = listed) -> None:
        for part in of:
            for kind in kinds:
                with np.load(part.files[kind].path) as stored:
                    stored["arr_0"]

    with tempfile.TemporaryDirectory() as cache:
        cells = survey.run(folder, cache=Path(cache)).cells

        def ask(*wanted: tuple[str, ...]) -> None:
            asked = [cells.group_by(table).len() for table in wanted]
            pl.collect_all(asked, engine="streaming")

        few = max(3, repeats // 5)
        near = (
            pl.col("tissue_score").cast(pl.Float32) - pl.col("tissue_2_score").cast(pl.Float32) <= 0.15
        ).mean()
        one = listed[:1]
        found = [
            ("one label table", *timed(lambda: ask(("cell_type", "tissue")), lambda: load("top3"), few)),
            ("31 label tables", *timed(lambda: ask(*tables()), lambda: load("top3"), few)),
            (
                "share of near labels",
                *timed(lambda: cells.select(near).collect(engine="streaming"), lambda: load("scores"), few),
            ),
            (
                "the survey of one part, once",
                *timed(lambda: survey.work(one[0]), lambda: load("embs", "top3", "scores", of=one), repeats),
            ),
        ]
    many = CELLS * len(listed)
    return [(name, CELLS if "one part" in name else many, *seconds) for name, *seconds in found]


def memory(folder: Path, n_parts: int) -> dict[str, float]:
    """Survey a folder in a fresh process and return its peak memory and time."""
    code = (
        "import json, sys, tempfile, time; from pathlib import Path; from helpers.budget import peak_bytes\n"
        "from helpers.scprint import survey\n"
        "started = time.perf_counter()\n"
        "found = survey.run(Path(sys.argv[1]), cache=Path(tempfile.mkdtemp()))\n"
        "seconds = time.perf_counter() - started\n"
        "print(json.dumps({'cells': found.parts['cells'].sum(), 'seconds': seconds, 'peak': peak_bytes()}))"
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
    from helpers.scprint import twin

    with tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch) / "whole"
        twin.simulate_parts(whole, n_cells=arguments.parts * CELLS, n_parts=arguments.parts)
        print(
            f"Questions to 20 parts of {CELLS:,} cells, the survey of one of them; uncompressed, in memory:"
        )
        found = rates(some(whole, Path(scratch) / "twenty", 20), arguments.repeats)
        for name, cells, ours, raw in found:
            print(
                f"  {name:30s} {cells / ours:12,.0f} cells/s; np.load {cells / raw:12,.0f} cells/s; {raw / ours:6.0%}"
            )
        print("Memory of a survey (nothing known, 1 process):")
        for n in sorted({1, 20, arguments.parts}):
            told = memory(some(whole, Path(scratch) / f"first{n}", n), n)
            print(
                f"  {n:4d} parts, {told['cells']:10,} cells: {told['seconds']:6.1f} s, peak {told['peak'] / 2**20:.0f} MiB"
            )
        print("The whole atlas on one core:")
        for (name, cells, seconds, _), size in zip(found, (46, 46, 46, 940), strict=True):
            core, disk = ATLAS * seconds / cells / 60, ATLAS * size / DISK / 60
            print(
                f"  {name}: {core:.1f} min of the processor, {disk:.1f} min of a disk of {DISK / 1e6:.0f} MB/s"
            )


if __name__ == "__main__":
    main()
