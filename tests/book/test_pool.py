import threading
import time
from collections import namedtuple

import pytest

from helpers.book import run
from helpers.book.execute import Outcome

GIB = 2**30
Plan = namedtuple("Plan", "name memory label key")  # what is asked for when places and memory are given out


# the first that run side by side: memory for one, one that is too large, two places, a small one that passes a large one
@pytest.mark.parametrize(
    ("sizes", "first"), [((6, 6, 6), "0"), ((20, 1), "0"), ((1, 1, 1, 1), "01"), ((5, 6, 2), "02")]
)
def test_runs_wait_for_memory_and_places(monkeypatch, tmp_path, sizes, first):
    lock, running, beside = threading.Lock(), set(), set()

    def wait(task, watch, **_):
        with lock:
            running.add(task.name)
            beside.update({frozenset(running)})
        time.sleep(0.15)
        running.discard(task.name)
        return Outcome(task.name, "key", "good", "")

    monkeypatch.setattr(run, "execute", wait)
    plans = [Plan(f"{number}", size * GIB, "key", "key") for number, size in enumerate(sizes)]
    outcomes = run.run_all(plans, failed=tmp_path, places=2, memory=8 * GIB)
    assert [one.status for one in outcomes.values()] == ["good"] * len(sizes)
    assert frozenset(first) in beside
    assert max(map(len, beside)) == len(first)
    for names in beside:
        assert len(names) == 1 or sum(sizes[int(name)] for name in names) <= 8
