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

ROOT = Path(__file__).parents[1]
# name, file, what stands there, what stands there instead, tests that should see it
MUTANTS = (
    (
        "the sign of the age slope",
        "stats/expression.py",
        'change, f_value = table["logFC"].to_numpy(float)',
        'change, f_value = -table["logFC"].to_numpy(float)',
        "tests/stats",
    ),
    (
        "the effective library sizes without their TMM factors",
        "stats/expression.py",
        'values.sum(axis=0) * ep.calc_norm_factors(values, method="TMMwsp")',
        "values.sum(axis=0)",
        "tests/stats",
    ),
    (
        "p-values not adjusted in order",
        "stats/expression.py",
        "q = stats.false_discovery_control(p)",
        "q = stats.false_discovery_control(np.sort(p))",
        "tests/stats",
    ),
    (
        "the trust in the prior ignored",
        "stats/expression.py",
        "np.where(finite, prior_trust * np.where(finite, prior, 0), prior)",
        "prior",
        "tests/stats",
    ),
    (
        "ages dealt over all donors, not within sex",
        "stats/permute.py",
        "codes = codes if columns else np.zeros",
        "codes = np.zeros",
        "tests/test_permute.py tests/stats",
    ),
    (
        "the rank of words in a sentence, smallest first",
        "sentences/kernels.py",
        "key_a[i] = ~bits[i]",
        "key_a[i] = bits[i]",
        "tests/sentences/test_encode.py",
    ),
    (
        "a donor of the test side in train too",
        "sentences/write.py",
        "split.TRAIN: kept & ~test",
        "split.TRAIN: kept",
        "tests/sentences/test_write.py",
    ),
    (
        "two columns of the parts change places",
        "scprint/layout.py",
        '    "cell_type": 64,\n    "tissue": 32,',
        '    "tissue": 32,\n    "cell_type": 64,',
        "tests/scprint/test_labels.py tests/scprint/test_parts.py",
    ),
)


def seen_by(copy: Path, tests: str) -> list[str]:
    """Return the tests that fail in a copy of the tree."""
    environment = {**os.environ, "PYTHONPATH": str(copy / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    options = ["-q", "-p", "no:cacheprovider", "--maxfail", "3"]
    command = [sys.executable, "-m", "pytest", *options, *tests.split()]
    told = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    failed = re.findall(r"(?m)^(?:FAILED|ERROR) (\S+)", told.stdout)
    return failed or (["(the tests did not start)"] if told.returncode not in (0, 1, 5) else [])


def main() -> int:
    wanted = sys.argv[1:]
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, file, old, new, tests in MUTANTS:
            if wanted and not any(word in name for word in wanted):
                continue
            copy = Path(folder) / "book"
            left_out = shutil.ignore_patterns(".git", ".venv", "_build", "__pycache__")
            shutil.copytree(ROOT, copy, ignore=left_out)
            path = copy / "src" / "helpers" / file
            text = path.read_text(encoding="utf-8")
            if text.count(old) != 1:
                sys.exit(
                    f"{file} holds {text.count(old)} times, not once, what the mutant replaces: {old!r}."
                )
            path.write_text(text.replace(old, new), encoding="utf-8")
            failed = seen_by(copy, tests)
            missed += not failed
            told = ", ".join(failed) or f"by none of {tests}"
            print(f"{'seen  ' if failed else 'MISSED'}  {name}: {told}", flush=True)
            shutil.rmtree(copy)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
