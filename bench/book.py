"""The whole book at the full size of the release: time, memory of all processes together, sizes of figures and pages.

    python bench/book.py                      # simulates the release first
    python bench/book.py --release FOLDER     # a full-size release that is already there

Everything is made in a temporary folder, nothing is reused. Memory is the sum over all processes of what each holds
alone and its share of what several hold (proportional set size), sampled twice a second; it misses shorter peaks.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from cold import cold

from helpers import budget

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("_config.yml", "_toc.yml", "requirements.lock", "book", "notebooks")
CALL = "from helpers.cli.main import app; app()"


def copy_book(target: Path) -> Path:
    """Copy what a book is made of, without anything made before."""
    target.mkdir()
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("results", "__pycache__"))
        else:
            shutil.copy(source, target)
    return target


def held(process: psutil.Process) -> int:
    """Return the bytes that a process and its children hold, shared ones counted once."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            total += one.memory_full_info().pss
        except (psutil.Error, AttributeError):
            continue
    return total


def build(book: Path, release: Path, *, memory: str, cache: Path) -> tuple[float, int]:
    """Build the book and return seconds and peak bytes."""
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "MUSCLEBOOK_CACHE": str(cache)}
    options = ["--profile", "full", "--atlas", str(release), "--memory", memory]
    started, peak = time.monotonic(), 0
    with (book / "build.log").open("w") as log:
        child = subprocess.Popen(
            [sys.executable, "-c", CALL, "build", *options], cwd=book, env=env, stdout=log, stderr=log
        )
        watched = psutil.Process(child.pid)
        while child.poll() is None:
            with contextlib.suppress(psutil.Error):
                peak = max(peak, held(watched))
            time.sleep(0.5)
    if child.returncode:
        msg = (book / "build.log").read_text()[-3000:]
        raise SystemExit(msg)
    return time.monotonic() - started, peak


def list_runs(book: Path) -> list[dict]:
    """Return the record of every run, in the order of the book."""
    found = (book / "_build" / "runs").glob("[0-9][0-9]_*/[0-9a-f]*/run.json")
    return sorted((json.loads(path.read_text()) for path in found), key=lambda run: run["name"])


def largest(folder: Path, suffixes: tuple[str, ...]) -> tuple[str, int]:
    """Return name and bytes of the largest file of some kinds."""
    files = [path for path in folder.rglob("*") if path.suffix in suffixes and path.is_file()]
    best = max(files, key=lambda path: path.stat().st_size)
    return best.name, best.stat().st_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--release", type=Path, help="full-size release; simulated now if absent")
    parser.add_argument("--memory", default="8 GiB", help="what all runs together may take")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        release = asked.release
        if release is None:
            from helpers.simulate import release as simulated

            release = simulated.write(Path(scratch) / "full", scale=1.0, seed=1)
        else:
            release = cold(release, Path(scratch) / "full")
        book = copy_book(Path(scratch) / "book")
        seconds, peak = build(book, release, memory=asked.memory, cache=Path(scratch) / "cache")
        print("| chapter | seconds | peak, with child processes |\n| --- | ---: | ---: |")
        for run in list_runs(book):
            print(f"| {run['name']} | {run['seconds']:.0f} | {budget.to_text(run['peak_bytes'])} |")
        print(
            f"| **whole book, site included** | **{seconds:.0f}** | **{budget.to_text(peak)}, all processes** |"
        )
        html = book / "_build" / "html"
        picture, page = largest(html / "_images", (".png", ".svg")), largest(html, (".html",))
        printed = re.findall(r"Site built in \d+ s", (book / "build.log").read_text())
        print(
            f"\n{printed[0] if printed else 'Site built'}. Largest figure: {picture[0]}, {picture[1] / 1e3:.0f} kB; largest "
            f"page: {page[0]}, {page[1] / 1e6:.2f} MB. Allowed to all runs together: {asked.memory}."
        )


if __name__ == "__main__":
    main()
