import subprocess
import sys

import numpy as np
import pytest

from helpers import budget
from helpers.errors import BudgetError


@pytest.mark.parametrize(
    ("text", "size"), [("8 GiB", 8 * 2**30), ("1.5 KiB", 1536), ("500 MB", 5 * 10**8), ("7", 7), (12, 12)]
)
def test_sizes_are_read(text, size):
    assert budget.to_bytes(text) == size
    assert budget.to_text(3 * 2**30) == "3.0 GiB"


@pytest.mark.parametrize("text", ["", "8 parsecs", "-1 GiB", "GiB"])
def test_what_is_no_size_is_refused_with_an_example(text):
    with pytest.raises(BudgetError, match="for example '8 GiB'"):
        budget.to_bytes(text)


def test_work_above_its_budget_is_refused_before_it_starts():
    budget.require(2**30, budget="1 GiB", work="Reading", remedy="")
    with pytest.raises(
        BudgetError, match=r"Reading needs about 2\.0 GiB, .* is 1\.0 GiB\. Read fewer genes\."
    ):
        budget.require(2**31, budget="1 GiB", work="Reading", remedy="Read fewer genes.")


def test_the_peak_of_a_program_is_its_own_and_not_that_of_what_started_it():
    ballast = np.ones(400 * 2**17)
    assert budget.peak_bytes() > ballast.nbytes
    code = "from helpers.budget import peak_bytes; print(peak_bytes())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(found.stdout) < 150 * 2**20


def test_a_container_may_take_no_more_than_its_limit(monkeypatch, tmp_path):
    (tmp_path / "limit").write_text(f"{2**20}\n")
    (tmp_path / "none").write_text("max\n")
    monkeypatch.setattr(budget, "_LIMITS", (tmp_path / "none", tmp_path / "absent"))
    assert budget.free_bytes() > 2**26
    monkeypatch.setattr(budget, "_LIMITS", (tmp_path / "none", tmp_path / "limit"))
    assert budget.free_bytes() == 2**20
