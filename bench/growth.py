"""Growth of time and memory with the number of cells: loading, age tests, sentences, survey at 1/8, 1/4, 1/2 and full size.

Each measurement runs in a fresh process; time is that of the work without imports, memory the peak of the process
with them. The exponent b of `cells ** b` is the slope of a line through the logarithms.

    python bench/growth.py                      # simulates the releases: about half an hour
    python bench/growth.py --release FOLDER     # a full-size release that is already there
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import planning
from cold import cold

from helpers import budget

HERE = Path(__file__).parent
SHARES = (1 / 8, 1 / 4, 1 / 2, 1)
CELLS_OF_A_PART = 20_000
PARTS = 200  # at full size; their number is what grows
WORKS = {
    "loading": "values and counts of the release",
    "age tests": "profiles, all types and both assays",
    "sentences": "release to Parquet, 2 workers",
    "survey": "all tables and statistics of the parts, 1 process",
}


def load(folder: Path) -> dict:
    from helpers import sources

    atlas = sources.open_atlas(folder)
    started = time.perf_counter()
    shape = atlas.to_anndata(budget="12 GiB").shape
    return {"cells": shape[0], "seconds": time.perf_counter() - started}


def compare_ages(folder: Path) -> dict:
    from helpers import sources
    from helpers.stats import expression

    atlas = sources.open_atlas(folder)
    cells = atlas.to_anndata(budget="12 GiB")
    started = time.perf_counter()
    tests, _ = expression.screen(cells, atlas.donors)
    return {"cells": cells.n_obs, "seconds": time.perf_counter() - started, "tests": len(tests)}


def write_sentences(folder: Path) -> dict:
    from helpers import sources
    from helpers.sentences import write

    cells = sources.open_atlas(folder).to_anndata(counts=False, budget="12 GiB")
    with tempfile.TemporaryDirectory() as out:
        started = time.perf_counter()
        [done] = write.write(cells, Path(out) / "sentences", workers=2)
        seconds = time.perf_counter() - started
        written = sum(one["bytes"] for one in done.manifest["files"])
    return {"cells": cells.n_obs, "seconds": seconds, "bytes": written, "values": int(cells.X.nnz)}


def survey_parts(folder: Path) -> dict:
    from helpers.scprint import survey

    with tempfile.TemporaryDirectory() as cache:
        started = time.perf_counter()
        found = survey.run(folder, cache=Path(cache))
        return {"cells": found.parts["cells"].sum(), "seconds": time.perf_counter() - started}


CHILDREN = {"loading": load, "age tests": compare_ages, "sentences": write_sentences, "survey": survey_parts}


def measure(work: str, folder: Path, cache: Path) -> dict:
    """Do one piece of work in a fresh process."""
    env = {**os.environ, "MUSCLEBOOK_CACHE": str(cache)}
    command = [sys.executable, __file__, "--child", work, "--release", str(folder)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        msg = f"{work} of {folder.name} failed:\n{done.stderr[-2000:]}"
        raise SystemExit(msg)
    row = {"work": work, **json.loads(done.stdout.splitlines()[-1])}
    print(
        f"  {work}: {row['cells']:,} cells, {row['seconds']:.1f} s, {budget.to_text(row['peak'])}",
        file=sys.stderr,
        flush=True,
    )
    return row


def measure_all(release: Path | None, scratch: Path) -> list[dict]:
    """Measure every work at every share, smallest first."""
    from helpers.scprint import twin
    from helpers.simulate import release as simulated

    rows = []
    for share in SHARES:
        folder = scratch / f"share{share:g}"
        if share == 1 and release is not None:
            cold(release, folder)
        else:
            simulated.write(folder, scale=share, seed=1)
        cache = scratch / f"cache{share:g}"
        parts = twin.simulate_parts(
            scratch / f"parts{share:g}",
            n_cells=int(PARTS * share) * CELLS_OF_A_PART,
            n_parts=int(PARTS * share),
        )
        rows += [measure(work, parts if work == "survey" else folder, cache) for work in WORKS]
        shutil.rmtree(folder)
        shutil.rmtree(parts)
    return rows


def exponent(cells: list[float], values: list[float]) -> float:
    """Return b of values = a * cells ** b, by least squares on logarithms."""
    return float(np.polyfit(np.log(cells), np.log(values), 1)[0])


def tell(rows: list[dict]) -> str:
    """Return the table as Markdown, with the exponents."""
    lines = ["| work | cells | seconds | peak |", "| --- | ---: | ---: | ---: |"]
    exponents = [
        "| work | time: cells to the power | from half to full size | peak memory |",
        "| --- | ---: | ---: | ---: |",
    ]
    for work, what in WORKS.items():
        own = [row for row in rows if row["work"] == work]
        for row in own:
            peak = budget.to_text(row["peak"])
            lines.append(f"| {work}: {what} | {row['cells']:,} | {row['seconds']:.1f} | {peak} |")
        cells = [row["cells"] for row in own]
        times, peaks = ([row[name] for row in own] for name in ("seconds", "peak"))
        exponents.append(
            f"| {work} | {exponent(cells, times):.2f} | {exponent(cells[-2:], times[-2:]):.2f} | "
            f"{exponent(cells, peaks):.2f} |"
        )
    return "\n".join([*lines, "", *exponents])


def draw(rows: list[dict], path: Path) -> None:
    """Draw time and memory over the number of cells, readable in black and white."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    mpl.rcParams["svg.hashsalt"] = "growth"
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    marks = dict(zip(WORKS, (("o", "-"), ("s", "--"), ("^", ":"), ("D", "-.")), strict=True))
    for panel, name, scale, label in zip(
        panels, ("seconds", "peak"), (1, 2**30), ("seconds", "peak memory, GiB"), strict=True
    ):
        for work, (marker, line) in marks.items():
            own = [row for row in rows if row["work"] == work]
            values = [row[name] / scale for row in own]
            panel.plot(
                [row["cells"] for row in own], values, marker=marker, ls=line, color="black", label=work
            )
        panel.set(xscale="log", yscale="log", xlabel="cells", ylabel=label)
        panel.grid(visible=True, which="major", color="0.85")
    panels[0].legend(frameon=False)
    figure.savefig(path, facecolor="white", metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--release", type=Path, help="full-size release; simulated now if absent")
    parser.add_argument("--figure", type=Path, default=HERE / "growth.svg")
    parser.add_argument("--json", type=Path, help="write the measurements here too")
    parser.add_argument("--child", choices=list(WORKS), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        row = CHILDREN[asked.child](asked.release)
        print(json.dumps({**row, "peak": budget.peak_bytes()}))
        return
    with tempfile.TemporaryDirectory() as scratch:
        rows = measure_all(asked.release, Path(scratch))
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    draw(rows, asked.figure)
    print(tell(rows))
    print(f"\n![Time and memory over the number of cells]({asked.figure.name})\n")
    print(planning.tell(rows))


if __name__ == "__main__":
    main()
