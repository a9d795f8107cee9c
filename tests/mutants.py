"""Break the code in one place after the other, and say which tests see it: ``make mutants``.

Each mutant is one edit in a copy of the tree. A mutant that no test of its files sees is a hole in the tests, and the
exit code is 1. Give words to run only the mutants whose name holds one of them.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
MUTANTS = yaml.safe_load((ROOT / "tests" / "mutants.yaml").read_text(encoding="utf-8"))


def seen_by(copy: Path, tests: str) -> list[str]:
    """Return the tests that fail in a copy of the tree."""
    environment = {**os.environ, "PYTHONPATH": str(copy / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    options = ["-q", "-p", "no:cacheprovider", "--maxfail", "3"]
    command = [sys.executable, "-m", "pytest", *options, *tests.split()]
    told = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    failed = re.findall(r"(?m)^(?:FAILED|ERROR) (\S+)", told.stdout)
    return failed or (["(the tests did not start)"] if told.returncode not in (0, 1, 5) else [])


def main() -> int:
    wanted, missed = sys.argv[1:], 0
    left = shutil.ignore_patterns(".git", ".venv", "_build", "__pycache__")
    for one in MUTANTS:
        if wanted and not any(word in one["name"] for word in wanted):
            continue
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(shutil.copytree(ROOT, Path(folder) / "book", ignore=left))
            path = copy / "src" / "helpers" / one["file"]
            text = path.read_text(encoding="utf-8")
            if (times := text.count(one["old"])) != 1:
                sys.exit(
                    f"{one['file']} holds {times} times what is replaced: {one['old']!r}. Bring it up to date."
                )
            path.write_text(text.replace(one["old"], one["new"]), encoding="utf-8")
            failed = seen_by(copy, one["tests"])
            missed += not failed
            state, seers = (
                ("seen  ", ", ".join(failed)) if failed else ("MISSED", f"by none of {one['tests']}")
            )
            print(f"{state}  {one['name']}: {seers}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
