"""Runs: planned and checked before a kernel starts, made side by side, kept by key, reused when nothing changed."""

import os
from collections.abc import Callable, Iterable
from concurrent import futures
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import nbformat

from helpers import parameters, sources
from helpers.atlas import columns
from helpers.book import key
from helpers.book.execute import Outcome, Watch, execute, good_run
from helpers.book.project import PROFILES, Notebook, Project, Sidecar, read_json
from helpers.budget import free_bytes, to_bytes, to_text
from helpers.errors import BudgetError, ParameterError, RunError, SourceError
from helpers.files import drop_leftovers, storing, write_json
from helpers.parameters import ATLAS, OUT_DIR, Value

CURRENT = "current.json"
Tell = Callable[[str, str], None]
_OWN = 2**29  # bytes of this program while it waits


@dataclass(frozen=True)
class Request:
    """What to run with: source, profile, and values given by hand."""

    atlas: str | None = None
    profile: str | None = None
    values: dict[str, Any] = field(default_factory=dict)  # from -f and -p

    @property
    def source(self) -> str | None:
        """The atlas, a path made absolute."""
        word = self.atlas is None or key.is_word(self.atlas)
        return self.atlas if word else str(Path(self.atlas).expanduser().resolve())

    @property
    def chosen_profile(self) -> str:
        """The profile asked for, or the one that fits the source."""
        if self.profile is None:
            return "demo" if key.is_simulated(self.source) else "real"
        if self.profile not in PROFILES:
            msg = f"there is no profile {self.profile!r}. Choose from {', '.join(PROFILES)}."
            raise ParameterError(msg)
        return self.profile

    @property
    def asked(self) -> dict[str, str | None]:
        """What a page keeps of it."""
        return {"atlas": self.source, "profile": self.chosen_profile}


@dataclass(frozen=True, eq=False)  # each is itself, whatever it holds
class Plan:
    """One run that is wanted."""

    name: str  # of the notebook
    sidecar: Sidecar
    source: str  # the notebook as JSON
    given: dict[str, Value]
    effective: dict[str, Value]
    parts: key.Parts
    request: Request
    folder: Path  # of all runs of this notebook
    label: str  # tells several runs of one notebook apart
    lacks: str = ""  # why the source cannot serve this notebook, in a sentence

    @cached_property
    def key(self) -> str:
        """The key of the run, twelve hexadecimal digits."""
        return key.short(self.parts, digits=12)

    @property
    def target(self) -> Path:
        """Where the run is kept."""
        return self.folder / self.key

    @property
    def memory(self) -> int:
        """The bytes that the run is expected to need: what its sidecar says of the default atlas, or of a full-size one."""
        small = key.is_simulated(self.request.source) and self.request.chosen_profile in ("demo", "test")
        return to_bytes(self.sidecar.memory if small else self.sidecar.memory_full or self.sidecar.memory)

    @property
    def about(self) -> dict[str, Any]:
        """What a run keeps of its plan."""
        given = {name: value for name, value in self.given.items() if name != OUT_DIR}
        return {"parts": self.parts, "parameters": self.effective, "given": given, **self.request.asked}


def plan(
    project: Project, notebooks: Iterable[Notebook], request: Request, *, out: Path | None = None
) -> list[Plan]:
    """Check parameters and sources and work out keys; nothing runs. The faults of all notebooks come at once."""
    plans, faults, opened = [], [], {}  # each source is opened once
    for notebook in notebooks:
        try:
            plans.append(_plan_one(project, notebook, request, out or project.build / "runs", opened))
        except ParameterError as error:
            faults.append(str(error))
    if faults:
        raise ParameterError("\n\n".join(faults))
    return plans


def _plan_one(
    project: Project, notebook: Notebook, request: Request, runs: Path, opened: dict[str, Any]
) -> Plan:
    node, name, sidecar = notebook.read(), notebook.name, notebook.sidecar
    declared = parameters.read_parameters(node, name=name)
    wanted = dict(sidecar.profiles.get(request.chosen_profile, {}))
    if request.source is not None and ATLAS in declared:
        wanted[ATLAS] = request.source
    wanted = parameters.place(declared, wanted | request.values, folder=Path.cwd())
    given = parameters.check(declared, wanted, name=name)
    given = {one: value for one, value in given.items() if value != declared[one].default}
    effective = {one: given.get(one, about.default) for one, about in declared.items() if one != OUT_DIR}
    if OUT_DIR in declared:
        given[OUT_DIR] = f"files/{name}"
    code = [cell.source for cell in node.cells if cell.cell_type == "code"]
    parts = key.parts_of(code, effective, root=project.root, number=name[:2])
    lacks = _lack(sidecar.needs, effective.get(ATLAS), opened)
    source = nbformat.writes(node)
    return Plan(name, sidecar, source, given, effective, parts, request, runs / name, name, lacks)


def _lack(needs: tuple[str, ...], atlas: Value | None, opened: dict[str, Any]) -> str:
    """Say what a source lacks of what a notebook needs, in a sentence; empty if it lacks nothing."""
    source = str(atlas)
    if not needs or atlas is None or key.is_word(source):
        return ""  # a simulated atlas holds everything
    if source not in opened:
        opened[source] = sources.open_atlas(source)
    if not (missing := [name for name in needs if not opened[source].has(name)]):
        return ""
    lacks = f"The chapter needs {', '.join(needs)}; {Path(source).name} lacks {', '.join(missing)}."
    plain = {name.partition(">=")[0] for name in missing}
    lacking = [one for one in columns.COLUMNS if one.aliases and one.name in plain]
    would_do = [f"{' or '.join((one.name, *one.aliases[:2]))} ({one.meaning})" for one in lacking]
    return f"{lacks} Columns that would do: {'; '.join(would_do)}." if would_do else lacks


def able(plans: list[Plan], *, all_or_none: bool) -> list[Plan]:
    """Return the plans whose source holds what the notebook needs."""
    unable = [one for one in plans if one.lacks]
    if unable and (all_or_none or len(unable) == len(plans)):
        raise SourceError("\n".join(f"{one.name} cannot run. {one.lacks}" for one in unable))
    return [one for one in plans if not one.lacks]


def make(
    plans: list[Plan],
    *,
    failed: Path,
    workers: int | None = None,
    memory: str | None = None,
    fresh: bool = False,
    tell: Tell = lambda *_: None,
) -> list[Outcome]:
    """Make the runs that are not made yet, or all if `fresh`, in parallel; a failing one does not stop the others.

    Failing runs are kept apart in `failed`. `workers` are the kernels at once, one a core if not given; a run waits until
    what its sidecar expects fits into `memory`. `tell` is called with the notebook when it starts and how it ended.
    """
    kept = {} if fresh else {one: good_run(one.target, one.name) for one in plans}
    wanted = [one for one in plans if not kept.get(one)]
    free = to_bytes(memory) if memory else free_bytes()
    large = {f"{one.name} ({to_text(one.memory)})": one for one in wanted if memory and one.memory > free}
    if large:
        needed = f"{memory} is less than what these are expected to need, each alone: {', '.join(large)}."
        msg = f"{needed} Give more, or leave --memory out: then a run waits until what it needs is free."
        raise BudgetError(msg)
    for source in sorted({str(one.effective[ATLAS]) for one in wanted if ATLAS in one.effective}):
        tell(f"atlas {source}", "started")
        sources.open_atlas(source)  # simulated here, not by each of the notebooks that start at once
        tell(f"atlas {source}", "good")
    outcomes = {}
    for one in plans:
        if made := kept.get(one):
            about = str(one.target), made["seconds"], made["peak_bytes"]
            outcomes[one] = Outcome(one.name, one.key, "reused", *about)
            tell(one.label, "reused")
            continue
        with storing(one.folder, any_fault=True):
            one.folder.mkdir(parents=True, exist_ok=True)
        # a run that was killed leaves its part; one that is still being made belongs to a living process
        for part in one.folder.glob(".*.part*"):
            drop_leftovers(one.folder / part.name.split(".")[1])
    places = max(1, min(workers or os.cpu_count() or 1, len(wanted)))
    outcomes |= run_all(wanted, failed=failed, places=places, memory=free, tell=tell)
    return [outcomes[one] for one in plans]


def run_all(
    plans: list[Plan], *, failed: Path, places: int, memory: int, tell: Tell = lambda *_: None
) -> dict[Plan, Outcome]:
    """Execute plans, at most so many at once and as many as fit in memory, and return how each ended."""
    waiting, running, outcomes = list(plans), {}, {}
    watches = {one: Watch() for one in plans}
    threads = max(1, (os.cpu_count() or 1) // places)
    pool = futures.ThreadPoolExecutor(places)
    try:
        while waiting or running:
            for one in list(waiting):  # in their order, but one that does not fit lets smaller ones pass
                needed = one.memory + sum(each.memory for each in running.values()) + _OWN
                if len(running) == places or (running and needed > memory):
                    continue
                waiting.remove(one)
                kept = failed / (one.name if one.label == one.name else f"{one.name}-{one.key}")
                running[pool.submit(execute, one, watches[one], failed=kept, threads=threads)] = one
                tell(one.label, "started")
            done, _ = futures.wait(running, timeout=0.25, return_when=futures.FIRST_COMPLETED)
            for one in running.values():
                watches[one].sample()
            for future in done:
                one = running.pop(future)
                outcomes[one] = future.result()
                tell(one.label, outcomes[one].status)
    except BaseException:
        for watch in watches.values():
            watch.stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return outcomes


def report(outcomes: Iterable[Outcome]) -> None:
    """Raise a RunError if a run failed, naming notebook, cell, error and where the partial notebook is."""
    failed = [one for one in outcomes if one.status == "failed"]
    lines = [f"{len(failed)} run{'s' if len(failed) > 1 else ''} failed:"]
    for one in failed:
        cell = "?" if one.cell is None else one.cell + 1
        kept = f"kept in {one.folder}" if one.folder else "not kept: it could not be written"
        lines.append(f"- {one.name}, cell {cell}: {one.error}\n  {kept}")
    if failed:
        raise RunError("\n".join(lines))


def point(plans: Iterable[Plan], outcomes: Iterable[Outcome]) -> None:
    """Make good runs the ones that the site shows."""
    for one, outcome in zip(plans, outcomes, strict=True):
        if outcome.status != "failed":
            write_json(one.folder / CURRENT, {"key": outcome.key, **one.request.asked})


def leave_out(plans: Iterable[Plan]) -> None:
    """Take the pages whose source lacks what they need out of the site, and keep the reason."""
    for one in plans:
        if one.lacks:
            write_json(one.folder / CURRENT, {"left_out": one.lacks})


def left_out(project: Project) -> dict[str, str]:
    """Return why pages are not in the site, by notebook."""
    reasons = {name: _pointer(project, name).get("left_out") for name in project.notebooks}
    return {name: str(reason) for name, reason in reasons.items() if reason}


def current(project: Project, name: str) -> dict[str, Any] | None:
    """Return what is known of the run that the site shows, with its ``folder``; None if there is no whole one."""
    pointer = _pointer(project, name)
    folder = project.build / "runs" / name / str(pointer.get("key"))
    record = good_run(folder, name)
    return record and {**record, **pointer, "folder": folder}


def _pointer(project: Project, name: str) -> dict[str, Any]:
    return read_json(project.build / "runs" / name / CURRENT)


def states(project: Project, *, request: Request | None = None) -> dict[str, list[str] | None]:
    """Say why each page is stale for a request, or for what it was last made for; [] is current, None never run."""
    found: dict[str, list[str] | None] = dict.fromkeys(project.notebooks)
    for notebook in project.choose():
        if known := current(project, notebook.name):
            wanted = request or Request(atlas=known.get("atlas"), profile=known.get("profile"))
            now = plan(project, [notebook], wanted)[0].parts
            found[notebook.name] = key.differences(known.get("parts", {}), now)
    return found
