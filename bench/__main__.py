"""All budgets, one after the other, each in its own process; writes bench/RESULTS.md.

make bench                        # everything, at full size: about an hour
python -m bench loading sentences # some of them; the sections of the others stay as they are
python -m bench --release FOLDER  # a full-size release that is already there
"""

import argparse
import os
import platform
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "RESULTS.md"
SHOWN = ("numpy", "polars", "pyarrow", "numba", "scipy", "scanpy", "anndata", "edgepython", "cell2sentence")
TITLES = {
    "loading": "Loading the full release: this loader and the plain column-block loader, in turn",
    "expression": "Age tests on donors: calibration over seeds, time",
    "sentences": "Cell sentences, 20,000 cells by 20,000 genes, h5ad to Parquet",
    "cluster": "Cell sentences on a Dask cluster: one worker and two",
    "scprint": "Embedding parts: label tables and moments against raw np.load",
    "growth": "Growth with the number of cells, and what larger data would take",
    "book": "The whole book at full size",
}
MARKDOWN = ("growth", "book")  # these print tables, not text
TAKE_RELEASE = ("loading", "growth", "book")


HEAD = """# Measured budgets

Written by `make bench`, each measurement in processes of its own. Machines are shared and noisy: compare rows of one
table, not seconds across tables.
"""


def command(name: str, asked: argparse.Namespace) -> list[str]:
    call = [sys.executable, str(ROOT / "bench" / f"{name}.py")]
    if name in TAKE_RELEASE and asked.release:
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
    told = text if name in MARKDOWN else f"```text\n{text}\n```"
    foot = f"{machine()} Whole measurement: {took:,.0f} s, peak of all its processes {peak / 2**30:.1f} GiB."
    verdict = "" if good else f" It ended with code {child.returncode}."
    return f"{told}\n\n{foot}{verdict}\n", good


def read_sections(path: Path) -> dict[str, str]:
    """Return the sections measured before, by title."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    parts = re.split(r"(?m)^## (.+)\n", text)[1:]
    return {title: body.strip() + "\n" for title, body in zip(parts[::2], parts[1::2], strict=True)}


def machine() -> str:
    installed = {one.metadata["Name"].lower(): one.version for one in metadata.distributions()}
    versions = ", ".join(f"{name} {installed[name]}" for name in SHOWN if name in installed)
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
    found, failed = read_sections(asked.out), []
    for name in asked.names or TITLES:
        print(f"{TITLES[name]} ...", flush=True)
        text, good = section(name, asked)
        print(text, flush=True)
        found[TITLES[name]] = text
        failed += [] if good else [name]
        parts = [f"## {title}\n\n{found[title]}" for title in TITLES.values() if title in found]
        asked.out.write_text("\n".join([HEAD, *parts]), encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
