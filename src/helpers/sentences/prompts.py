"""Questions and answers for fine-tuning, made from sentences and templates, one JSON object a line."""

import hashlib
import json
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from helpers import names
from helpers.errors import SentenceError
from helpers.files import writing
from helpers.sentences import reading
from helpers.sentences.encode import SENTENCE

# What a template calls a thing, and the columns that hold it, best first.
COLUMNS = {
    "age": ("age",),
    "cell_type": ("cell_type", names.LEVEL0),
    "tissue": ("tissue",),
    "organism": ("organism",),
    "donor": (names.DONOR, "donor_id", "donor"),
    "barcode": ("barcode", "cell_index"),
    "dataset": ("dataset",),
    "side": ("side",),
}
BATCH = 5_000


@dataclass(frozen=True)
class Task:
    """One question: the column of the answer, its wording, the templates of the prompt."""

    name: str
    answer: str
    response: str
    templates: tuple[str, ...]


@dataclass(frozen=True)
class Prompted:
    """What was written: lines, and cells left out because the answer or the sentence is missing."""

    path: Path
    lines: int
    left_out: int


def read_tasks(path: Path | None = None) -> dict[str, Task]:
    """Read prompt templates: the package's own, or a YAML file of the same form.

    Parameters
    ----------
    path
        YAML file; none: the package's.

    Raises
    ------
    SentenceError
        If a task has no templates, a template lacks the sentence, or one tells its own answer.
    """
    return _own_tasks() if path is None else _check(Path(path).read_text(encoding="utf-8"), str(path))


def write(
    paths: str | Path | Sequence[str | Path],
    out: Path,
    *,
    task: str,
    n_genes: int = 200,
    seed: int = 0,
    side: str | None = None,
    organism: str = "human",
    tissue: str | None = None,
    templates: Path | None = None,
) -> Prompted:
    """Write prompts and responses as JSON lines.

    The stated number of genes is the number in the sentence, also where a cell expresses fewer than asked for. The
    template of a cell depends on seed and barcode, not on the order of cells.

    Parameters
    ----------
    paths
        Sentences, see `reading.read`.
    out
        File of JSON lines.
    task
        Such as ``"age"``, ``"cell_type"``, ``"tissue"``.
    n_genes
        Words of each sentence at most.
    seed
        Of the choice of templates.
    side
        ``"train"`` or ``"test"``; none: both.
    organism, tissue
        Told where the data do not state them.
    templates
        YAML file of your own templates.

    Raises
    ------
    SentenceError
        If the task is unknown, or the data lack its answer.
    """
    tasks = read_tasks(templates)
    if task not in tasks:
        msg = f"no task {task!r}; choose one of {', '.join(tasks)}."
        raise SentenceError(msg)
    table = reading.read(paths)
    there = table.collect_schema().names()
    columns = {key: next((name for name in found if name in there), None) for key, found in COLUMNS.items()}
    told = {key: value for key, value in {"organism": organism, "tissue": tissue}.items() if value}
    asked = tasks[task]
    if columns.get(asked.answer) is None and asked.answer not in told:
        msg = f"the sentences have no column for the answer {asked.answer!r}; they have: {', '.join(there)}."
        raise SentenceError(msg)
    if side is not None:
        table = table.filter(pl.col(reading.SIDE) == side)
    wanted = {key: pl.col(name).alias(f"_{key}") for key, name in columns.items() if name}
    selected = table.select(pl.col(SENTENCE), *wanted.values())
    lines = left_out = 0
    with writing(Path(out)) as part, part.open("w", encoding="utf-8") as stream:
        for row in _rows(selected):
            made = _make(row, asked, told=told, n_genes=n_genes, seed=seed)
            left_out += made is None
            if made is not None:
                lines += 1
                stream.write(json.dumps(made, ensure_ascii=False) + "\n")
    return Prompted(Path(out), lines, left_out)


def _rows(selected: pl.LazyFrame) -> Iterator[dict[str, Any]]:
    for batch in selected.collect_batches(chunk_size=BATCH, maintain_order=True):
        yield from batch.iter_rows(named=True)


def _make(
    row: Mapping[str, Any], task: Task, *, told: Mapping[str, str], n_genes: int, seed: int
) -> dict[str, Any] | None:
    words = (row[SENTENCE] or "").split()[:n_genes]
    facts = {key: row.get(f"_{key}") if row.get(f"_{key}") is not None else told.get(key) for key in COLUMNS}
    answer = facts[task.answer]
    if answer is None or not words:
        return None
    # a template that tells what this cell lacks is no choice for it
    usable = [
        text
        for text in task.templates
        if all(facts.get(key) is not None for key in _fields(text) - {"n", "sentence"})
    ]
    if not usable:
        return None
    key = hashlib.blake2b(f"{seed}/{facts['dataset']}/{facts['barcode']}".encode(), digest_size=8).digest()
    template = usable[int.from_bytes(key, "little") % len(usable)]
    said = {key: _plain(value) for key, value in facts.items()}
    return {
        "prompt": template.format(n=len(words), sentence=" ".join(words), **said),
        "response": task.response.format(answer=_plain(answer)),
        "task": task.name,
        "n_genes": len(words),
        **{key: facts[key] for key in ("dataset", "side", "donor", "barcode")},
    }


def _plain(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _fields(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


@cache
def _own_tasks() -> dict[str, Task]:
    source = resources.files("helpers.sentences").joinpath("tables", "prompts.yaml")
    return _check(source.read_text(encoding="utf-8"), "the package's templates")


def _check(text: str, origin: str) -> dict[str, Task]:
    tasks = {}
    for name, stated in (yaml.safe_load(text) or {}).items():
        templates = tuple(stated.get("templates", ()))
        answer = stated.get("answer", name)
        faults = [
            template
            for template in templates
            if not {"n", "sentence"} <= _fields(template) or answer in _fields(template)
        ]
        unknown = {key for template in templates for key in _fields(template)} - {"n", "sentence", *COLUMNS}
        if not templates or faults or unknown or answer not in COLUMNS:
            msg = (
                f"{origin}: task {name!r} cannot be used. Each template needs {{n}} and {{sentence}}, must not tell the "
                f"answer {answer!r}, and may tell {', '.join(COLUMNS)}. First fault: {(faults or sorted(unknown) or ['no template'])[0]!r}."
            )
            raise SentenceError(msg)
        tasks[name] = Task(name, answer, stated.get("response", "{answer}"), templates)
    return tasks
