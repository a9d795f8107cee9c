"""Compare what two sets of runs recorded: ``python tests/golden/compare.py OLD NEW [--chapter 02] [--tolerance 0.02]``.

OLD and NEW are folders below which ``results.json`` files lie, one a chapter, or JSON files written with ``--freeze``.
"""

import argparse
import json
import math
from pathlib import Path


def read(place: Path) -> dict[str, dict[str, object]]:
    """Return, by chapter, the recorded values by name; of several runs of a chapter the newest."""
    if place.is_file():
        return json.loads(place.read_text(encoding="utf-8"))
    found: dict[str, dict[str, object]] = {}
    for path in sorted(place.rglob("results.json"), key=lambda path: path.stat().st_mtime):
        results = json.loads(path.read_text(encoding="utf-8"))
        found[results["notebook"]] = {name: one["value"] for name, one in results["findings"].items()}
    return found


def moved(old: object, new: object, tolerance: float) -> bool:
    """Say whether a value differs by more than a share of itself."""
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (old, new))
    return not math.isclose(old, new, rel_tol=tolerance, abs_tol=1e-9) if numbers else old != new


def main() -> None:
    """Print chapter, name, old and new value of what moved, ``absent`` where a side lacks it; or freeze OLD into a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--chapter", default="")
    parser.add_argument("--tolerance", type=float, default=0.0)
    parser.add_argument("--freeze", action="store_true", help="write what OLD recorded to the file NEW")
    options = parser.parse_args()
    if options.freeze:
        frozen = json.dumps(read(options.old), indent=0, sort_keys=True)
        options.new.write_text(f"{frozen}\n", encoding="utf-8")
        return
    old, new = (
        {(chapter, name): value for chapter, values in read(place).items() for name, value in values.items()}
        for place in (options.old, options.new)
    )
    for chapter, name in sorted({*old, *new}):
        before, after = (side.get((chapter, name), "absent") for side in (old, new))
        if chapter.startswith(options.chapter) and moved(before, after, options.tolerance):
            print(chapter, name, before, after, sep="\t")


if __name__ == "__main__":
    main()
