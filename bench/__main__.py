"""All budgets, one after the other, each in its own process; writes bench/RESULTS.md.

make bench                        # everything, at full size: about an hour
python -m bench loading sentences # some of them
python -m bench --release FOLDER  # a full-size release that is already there
"""

import argparse
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "RESULTS.md"
SHOWN = ("numpy", "polars", "pyarrow", "numba", "scipy", "scanpy", "anndata", "edgepython")
TITLES = {
    "loading": "Loading the full release: this loader and the plain column-block loader, in turn",
    "expression": "Age tests on donors: calibration over seeds, time",
    "composition": "Composition: coverage over seeds, nulls, time of permutations",
    "sentences": "Cell sentences, 20,000 cells by 20,000 genes, h5ad to Parquet",
    "scprint": "Embedding parts: label tables and moments against raw np.load",
}


def command(name: str, asked: argparse.Namespace) -> list[str]:
    call = [sys.executable, str(ROOT / "bench" / f"{name}.py")]
    if name == "loading" and asked.release:
        call += ["--release", str(asked.release)]
    return call


def peak_of(child: subprocess.Popen) -> int:
    import psutil

    peak = 0
    while child.poll() is None:
        try:
            family = [psutil.Process(child.pid), *psutil.Process(child.pid).children(recursive=True)]
            peak = max(peak, sum(process.memory_info().rss for process in family))
        except psutil.Error:
            pass
        time.sleep(0.5)
    return peak


def section(name: str, asked: argparse.Namespace) -> tuple[str, bool]:
    started = time.monotonic()
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    log = ROOT / "_build" / f"bench-{name}.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as out:
        child = subprocess.Popen(
            command(name, asked), stdout=out, stderr=subprocess.DEVNULL, env=env, cwd=ROOT
        )
        peak = peak_of(child)
    took = time.monotonic() - started
    good = child.returncode == 0
    text = log.read_text().strip() or "(no output)"
    foot = f"Whole measurement: {took:,.0f} s, peak of all its processes {peak / 2**30:.1f} GiB."
    verdict = "" if good else f" It ended with code {child.returncode}."
    return f"## {TITLES[name]}\n\n```text\n{text}\n```\n\n{foot}{verdict}\n", good


def machine() -> str:
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in SHOWN)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {os.cpu_count()} cores ({platform.machine()}), {memory:.0f} GiB, "
        f"Python {platform.python_version()}; {versions}."
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[[], *TITLES], help="which; all if none")
    parser.add_argument("--release", type=Path, help="full-size release; simulated if absent")
    parser.add_argument("--out", type=Path, default=RESULTS, help="Markdown file to write")
    asked = parser.parse_args()
    parts, failed = [], []
    for name in asked.names or TITLES:
        print(f"{TITLES[name]} ...", flush=True)
        text, good = section(name, asked)
        print(text, flush=True)
        parts.append(text)
        failed += [] if good else [name]
    head = f"# Measured budgets\n\n{machine()} These machines are shared and noisy: compare ratios.\n"
    asked.out.write_text("\n".join([head, *parts]), encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
