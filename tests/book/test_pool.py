import threading
import time

import pytest

from helpers.book import run
from helpers.book.execute import Outcome

GIB = 2**30


@pytest.fixture
def watched(monkeypatch):
    """Runs that only wait, and a list of what ran beside what."""
    lock, running, seen = threading.Lock(), set(), []

    def wait(task, watch, **_):
        with lock:
            running.add(task.name)
            seen.append(frozenset(running))
        time.sleep(0.15)
        with lock:
            running.discard(task.name)
        return Outcome(task.name, "key", "good", "")

    monkeypatch.setattr(run, "execute", wait)
    return seen


class Plan:
    """What of a plan is asked for when places and memory are given out."""

    key = "key"

    def __init__(self, number, size):
        self.name = self.label = f"{number}"
        self.memory = int(size * GIB)


def plans_of(*sizes):
    return [Plan(i, size) for i, size in enumerate(sizes)]


def test_runs_that_fit_go_side_by_side_and_a_small_one_passes_a_large_one(watched, tmp_path):
    run.run_all(plans_of(5, 6, 2), failed=tmp_path, places=2, memory=8 * GIB)
    assert frozenset({"0", "2"}) in watched
    assert not any({"0", "1"} <= beside for beside in watched)


@pytest.mark.parametrize(("sizes", "at_once"), [((6, 6, 6), 1), ((20, 1), 1), ((1, 1, 1, 1), 2)])
def test_runs_wait_for_memory_and_places_and_one_too_large_runs_alone(watched, tmp_path, sizes, at_once):
    outcomes = run.run_all(plans_of(*sizes), failed=tmp_path, places=2, memory=8 * GIB)
    assert [one.status for one in outcomes.values()] == ["good"] * len(sizes)
    assert max(len(beside) for beside in watched) == at_once
