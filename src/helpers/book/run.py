"""Runs: planned and checked before a kernel starts, made in parallel, kept by key, reused when nothing changed."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from helpers import parameters
from helpers.book import key, pool
from helpers.book.execute import RUN_FILE, Outcome, Task, plain_json
from helpers.book.project import PROFILES, Notebook, Project
from helpers.budget import free_bytes, to_bytes
from helpers.errors import ParameterError, RunError, SourceError
from helpers.parameters import ATLAS, OUT_DIR, Value


@dataclass(frozen=True)
class Request:
    """What to run with: source, profile, and values given by hand."""

    atlas: str | None = None
    profile: str | None = None
    texts: dict[str, str] = field(default_factory=dict)  # from -p, read by the declared type
    values: dict[str, Any] = field(default_factory=dict)  # from -f, typed

    @property
    def by_hand(self) -> bool:
        """Whether single values were given."""
        return bool(self.texts or self.values)

    @property
    def chosen_profile(self) -> str:
        """The profile asked for, or the one that fits the source."""
        if self.profile is None:
            return "demo" if is_simulated(self.atlas) else "real"
        if self.profile not in PROFILES:
            msg = f"there is no profile {self.profile!r}. Choose from {', '.join(PROFILES)}."
            raise ParameterError(msg)
        return self.profile


@dataclass(frozen=True)
class Plan:
    """One run that is wanted."""

    notebook: Notebook
    given: dict[str, Value]
    effective: dict[str, Value]
    parts: key.Parts
    request: Request
    folder: Path  # of all runs of this notebook
    source: str
    label: str = ""  # tells several runs of one notebook apart
    lacks: str = ""  # why the source cannot serve this notebook, in a sentence

    @property
    def target(self) -> Path:
        """Where the run is kept."""
        return self.folder / self.parts.key

    @property
    def is_made(self) -> bool:
        """Whether a good run of this key exists."""
        return (self.target / RUN_FILE).is_file() and (self.target / f"{self.notebook.name}.ipynb").is_file()


def is_simulated(atlas: str | None) -> bool:
    """Whether a source is simulated: by name, or a release folder with its planted truth."""
    return atlas is None or key.is_word(atlas) or (Path(atlas) / "truth").is_dir()


def plan(
    project: Project, notebooks: Iterable[Notebook], request: Request, *, out: Path | None = None
) -> list[Plan]:
    """Check parameters and work out keys; nothing runs.

    Parameters
    ----------
    project
        The book.
    notebooks
        What to run.
    request
        What to run with. A value given by hand must be known to every notebook that is run.
    out
        Folder of runs, if not that of the project.

    Raises
    ------
    ParameterError
        If a value does not fit; the faults of all notebooks at once.
    """
    plans, faults, opened = [], [], {}
    for notebook in notebooks:
        try:
            one = _plan_one(project, notebook, request, out or project.build / "runs")
            plans.append(replace(one, lacks=lack(notebook, one.effective.get(ATLAS), opened=opened)))
        except ParameterError as error:
            faults.append(str(error))
    if faults:
        raise ParameterError("\n\n".join(faults))
    return plans


def lack(notebook: Notebook, atlas: Value | None, *, opened: dict[str, Any]) -> str:
    """Say what a source lacks of what a notebook needs, in a sentence; empty if it lacks nothing.

    Parameters
    ----------
    notebook
        The notebook; its sidecar lists under ``needs`` columns of cells, "counts", "donors", keys of projections.
    atlas
        The source; a simulated one holds everything.
    opened
        Sources opened before, by name; a new one is added.
    """
    needs = notebook.sidecar.needs
    if not needs or atlas is None or key.is_word(str(atlas)):
        return ""
    from helpers import sources

    if str(atlas) not in opened:
        opened[str(atlas)] = sources.open_atlas(str(atlas))
    missing = [name for name in needs if not opened[str(atlas)].has(name)]
    if not missing:
        return ""
    return f"The chapter needs {', '.join(needs)}; {Path(str(atlas)).name} has no {' and no '.join(missing)}."


def able(plans: list[Plan], *, all_or_none: bool) -> list[Plan]:
    """Return the plans whose source holds what the notebook needs.

    Raises
    ------
    SourceError
        If one does not and `all_or_none` is asked for, or if none does; every reason is named.
    """
    unable = [one for one in plans if one.lacks]
    if unable and (all_or_none or len(unable) == len(plans)):
        raise SourceError("\n".join(f"{one.notebook.name} cannot run. {one.lacks}" for one in unable))
    return [one for one in plans if not one.lacks]


def _plan_one(project: Project, notebook: Notebook, request: Request, runs: Path) -> Plan:
    node = notebook.read()
    declared = parameters.read_parameters(node, name=notebook.name)
    profile = notebook.sidecar.profiles.get(request.chosen_profile, {})
    wanted: dict[str, Any] = dict(profile)
    if request.atlas is not None and ATLAS in declared:
        wanted[ATLAS] = _absolute(request.atlas)
    wanted |= request.values
    wanted |= parameters.typed(declared, request.texts)
    given = parameters.check(declared, wanted, name=notebook.name)
    given = {
        name: value for name, value in given.items() if value != declared[name].default and name != OUT_DIR
    }
    if OUT_DIR in declared:
        given[OUT_DIR] = f"files/{notebook.name}"
    parts = key.parts_of(node, declared=declared, given=given, lock=project.root / "requirements.lock")
    effective = {name: given.get(name, one.default) for name, one in declared.items() if name != OUT_DIR}
    return Plan(notebook, given, effective, parts, request, runs / notebook.name, plain_json(node))


def make(
    plans: list[Plan],
    *,
    failed: Path,
    workers: int | None = None,
    memory: str | None = None,
    cluster: str | None = None,
    fresh: bool = False,
    tell: Callable[[str, str], None] | None = None,
) -> list[Outcome]:
    """Make the runs that are not made yet, in parallel; a failing one does not stop the others.

    Parameters
    ----------
    plans
        What `plan` returned.
    failed
        Folder in which failing runs are kept, apart from the good ones.
    workers
        Processes; as many as cores if not given.
    memory
        What all runs together may take, such as ``"8 GiB"``; what the machine has free if not given. A run waits until
        what its sidecar expects of it fits; one that alone expects more runs alone.
    cluster
        Address of a Dask scheduler whose workers see the same files.
    fresh
        Make the runs again even where they exist.
    tell
        Called with the notebook and how far it is.

    Returns
    -------
    list of Outcome
        In the order of the plans.
    """
    outcomes: dict[int, Outcome] = {}
    tasks: dict[int, Task] = {}
    several = len({one.notebook.name for one in plans}) < len(plans)
    cores = os.cpu_count() or 1
    wanted = [i for i, one in enumerate(plans) if fresh or not one.is_made]
    processes = max(1, min(workers or cores, len(wanted)))
    for i, one in enumerate(plans):
        if i in wanted:
            _clear_leftovers(one.folder)
            kept = failed / (f"{one.notebook.name}-{one.parts.key}" if several else one.notebook.name)
            tasks[i] = _task(one, failed=kept, threads=1 if cluster else max(1, cores // processes))
        else:
            outcomes[i] = _reused(one)
            if tell:
                tell(one.label or one.notebook.name, "reused")
    free = to_bytes(memory) if memory else free_bytes()
    outcomes |= pool.run_all(tasks, processes=processes, memory=free, cluster=cluster, tell=tell)
    return [outcomes[i] for i in range(len(plans))]


def report(outcomes: Iterable[Outcome]) -> None:
    """Raise if a run failed, naming notebook, cell, error and where the partial notebook is.

    Raises
    ------
    RunError
        If any run failed.
    """
    bad = [outcome for outcome in outcomes if outcome.status == "failed"]
    if bad:
        lines = [
            f"- {one.name}, cell {'?' if one.cell is None else one.cell + 1}: {one.error}\n"
            f"  {'kept in ' + one.folder if one.folder else 'not kept: it could not be written'}"
            for one in bad
        ]
        msg = f"{len(bad)} run{'s' if len(bad) > 1 else ''} failed:\n" + "\n".join(lines)
        raise RunError(msg)


def _task(one: Plan, *, failed: Path, threads: int) -> Task:
    about = {
        "parts": asdict(one.parts),
        "parameters": one.parts.parameters | {ATLAS: one.given[ATLAS]}
        if ATLAS in one.given
        else one.parts.parameters,
        "given": {name: value for name, value in one.given.items() if name != OUT_DIR},
        "atlas": one.request.atlas,
        "profile": one.request.chosen_profile,
    }
    return Task(
        name=one.notebook.name,
        key=one.parts.key,
        source=one.source,
        given=one.given,
        folder=str(one.target),
        failed=str(failed),
        label=one.label or one.notebook.name,
        threads=threads,
        memory=_needed(one),
        about=about,
    )


def _needed(one: Plan) -> int:
    """Return the bytes a run is expected to need: what its sidecar says of the default atlas, or of a full-size one."""
    sidecar = one.notebook.sidecar
    small = is_simulated(one.request.atlas) and one.request.chosen_profile in ("demo", "test")
    return to_bytes(sidecar.memory if small else sidecar.memory_full)


def _reused(one: Plan) -> Outcome:
    stored: Mapping[str, Any] = json.loads((one.target / RUN_FILE).read_text(encoding="utf-8"))
    return Outcome(
        name=one.notebook.name,
        key=one.parts.key,
        status="reused",
        folder=str(one.target),
        seconds=stored.get("seconds", 0.0),
        peak_bytes=stored.get("peak_bytes", 0),
    )


def _clear_leftovers(folder: Path) -> None:
    # a run that was killed leaves its part; one that is still being made belongs to a living process
    for part in folder.glob(".*.part"):
        maker = re.fullmatch(r"\.[0-9a-f]{12}\.(\d+)-[0-9a-f]{6}\.part", part.name)
        if maker and not psutil.pid_exists(int(maker[1])):
            shutil.rmtree(part, ignore_errors=True)


def _absolute(atlas: str) -> str:
    return atlas if key.is_word(atlas) else str(Path(atlas).expanduser().resolve())
