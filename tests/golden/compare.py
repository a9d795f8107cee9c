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


def compare(old: dict, new: dict, *, tolerance: float = 0.0) -> list[tuple[str, str, object, object]]:
    """List what moved: chapter, name, old value, new value; a name that one side lacks has the value ``absent``."""
    rows = []
    for chapter in sorted({*old, *new}):
        before, after = old.get(chapter, {}), new.get(chapter, {})
        for name in sorted({*before, *after}):
            one, other = before.get(name, "absent"), after.get(name, "absent")
            if moved(one, other, tolerance):
                rows.append((chapter, name, one, other))
    return rows


def main() -> None:
    """Print the list, or freeze OLD into one JSON file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--chapter", default="")
    parser.add_argument("--tolerance", type=float, default=0.0)
    parser.add_argument("--freeze", action="store_true", help="write what OLD recorded to the file NEW")
    options = parser.parse_args()
    old = {name: values for name, values in read(options.old).items() if name.startswith(options.chapter)}
    if options.freeze:
        options.new.write_text(json.dumps(old, indent=0, sort_keys=True) + "\n", encoding="utf-8")
        return
    new = {name: values for name, values in read(options.new).items() if name.startswith(options.chapter)}
    for row in compare(old, new, tolerance=options.tolerance):
        print(*row, sep="\t")


if __name__ == "__main__":
    main()
