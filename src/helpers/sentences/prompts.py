"""Questions and answers for fine-tuning, made from sentences and templates, one JSON object a line."""

import json
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import yaml

from helpers import ages, names
from helpers.errors import SentenceError
from helpers.files import reading, writing
from helpers.sentences import read, split
from helpers.sentences.encode import SENTENCE

# What a template calls a thing, and the columns that hold it, best first.
COLUMNS = {
    "age": ("age",),
    "cell_type": ("cell_type", names.LEVEL0),
    "tissue": ("tissue",),
    "organism": ("organism",),
    "donor": (names.DONOR, "donor_id", "donor"),
    "barcode": (
        "barcode", "cell_index", "_index", "observation_joinid", "index", "cell_id", "__index_level_0__",
    ),
    "dataset": ("dataset",),
    "side": ("side",),
}  # fmt: skip
BATCH = 5_000
Facts = Mapping[str, Any]


class Prompted(NamedTuple):
    """What was written: lines, and what became of cells.

    ``left_out``: their answer or sentence is missing or not given ("unknown"); ``trimmed``: padding was cut off;
    ``untold``: written, though it cannot be told whether they are padded.
    """

    lines: int
    left_out: int
    trimmed: int
    untold: int


def read_tasks(path: Path | None = None) -> dict[str, dict[str, Any]]:
    """Read the tasks, their answer, its wording and the templates: the package's own, or a YAML file of that form."""
    path = Path(path or Path(__file__).with_name("tables") / "prompts.yaml").expanduser()
    remedy = "Give a YAML file of tasks, each with a list of templates."
    with reading(path, "tasks", fault=SentenceError, remedy=remedy):
        listed = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).items()
        return {name: _check_task(path, name, stated) for name, stated in listed}


def _check_task(path: Path, name: str, stated: Mapping[str, Any]) -> dict[str, Any]:
    templates, answer = tuple(stated.get("templates", ())), stated.get("answer", name)
    response = stated.get("response", "{answer}")
    allowed = {"n", "sentence", *COLUMNS} - {answer}
    faults = [text for text in templates if not {"n", "sentence"} <= _find_fields(text) <= allowed]
    faults += [response] if _find_fields(response) - {"answer"} else []
    if not templates or faults or answer not in COLUMNS:
        msg = (
            f"{path}: task {name!r} cannot be used. Each template needs {{n}} and {{sentence}}, must not tell the "
            f"answer {answer!r}, and may tell {', '.join(COLUMNS)}; the response tells {{answer}} alone. "
            f"First fault: {(faults or ['no template'])[0]!r}."
        )
        raise SentenceError(msg)
    return {"task": name, "answer": answer, "response": response, "templates": templates}


def write(
    paths: read.Paths,
    out: Path,
    *,
    task: str,
    n_genes: int = 200,
    seed: int = 0,
    side: str | None = None,
    organism: str | None = None,
    tissue: str | None = None,
    templates: Path | None = None,
) -> Prompted:
    """Write prompts and responses as JSON lines.

    The stated number of genes is the number in the sentence, also where a cell expresses fewer than asked for;
    padding of sentences made by others is cut off where it can be told. The template of a cell depends on seed and
    barcode, not on the order of cells (on its row, where cells have no name). A fact that stands as "unknown" is no
    fact: it is neither asked for nor told.

    Parameters
    ----------
    paths
        Sentences, see `read.read`.
    task
        ``"age"``, ``"cell_type"``, ``"tissue"``, or one of your own `templates`, a YAML file.
    n_genes, side
        Words of each sentence at most; ``"train"`` or ``"test"``, none: both.
    organism, tissue
        Told where the data do not state them; none: templates that tell them are not used there.

    Raises
    ------
    SentenceError
        If the task is unknown, or the data lack its answer.
    """
    tasks = read_tasks(templates)
    if task not in tasks:
        msg = f"no task {task!r}; choose one of {', '.join(tasks)}."
        raise SentenceError(msg)
    table = read.read(paths)
    there = table.collect_schema().names()
    columns = {key: next((name for name in found if name in there), None) for key, found in COLUMNS.items()}
    told = {key: value for key, value in {"organism": organism, "tissue": tissue}.items() if value}
    answer = tasks[task]["answer"]
    if columns[answer] is None and answer not in told:
        msg = f"the sentences have no column for the answer {answer!r}; they have: {', '.join(there)}."
        raise SentenceError(msg)
    if side is not None:
        table = table.filter(pl.col(read.SIDE) == side)
    lowered = {name.lower(): name for name in reversed(there)}
    counts = next((lowered[name] for name in read.COUNT_COLUMNS if name in lowered), None)
    wanted = [pl.col(name).alias(f"_{key}") for key, name in columns.items() if name]
    wanted += [pl.col(counts).cast(pl.Float64, strict=False).alias("_count")] if counts else []
    selected = table.select(pl.col(SENTENCE), *wanted)
    number = lines = trimmed = untold = 0
    with writing(Path(out).expanduser()) as part, part.open("w", encoding="utf-8") as stream:
        for batch in selected.collect_batches(chunk_size=BATCH, maintain_order=True):
            expressed = batch["_count"].to_list() if counts else None
            found = read.find_padding(batch[SENTENCE].to_list(), expressed=expressed)
            for row, keep, size in zip(batch.iter_rows(named=True), found.keep, found.words, strict=True):
                words = (row[SENTENCE] or "").split()[: min(keep, n_genes)]
                made = _make(row, words, tasks[task], told, seed=seed, number=number)
                number += 1
                if made is not None:
                    lines += 1
                    trimmed += bool(keep < size)
                    untold += found.rule == read.UNKNOWN
                    stream.write(json.dumps(made, ensure_ascii=False) + "\n")
    return Prompted(lines, number - lines, trimmed, untold)


def _make(row: Facts, words: list[str], task: Facts, told: Facts, *, seed: int, number: int) -> Facts | None:
    """Return the prompt and the response of one cell; none where the answer or every word is missing."""
    stated = {name: row.get(f"_{name}") for name in COLUMNS}
    given = {key: value for key, value in stated.items() if value is not None and names.is_given(str(value))}
    if not 0 <= given.get(read.AGE, 0) <= ages.OLDEST:
        del given[read.AGE]
    facts = dict.fromkeys(COLUMNS) | told | given
    # a template that tells what this cell lacks is no choice for it
    known = {"n", "sentence", *(name for name, value in facts.items() if value is not None)}
    usable = [text for text in task["templates"] if _find_fields(text) <= known]
    if task["answer"] not in known or not words or not usable:
        return None
    cell = f"row {number}" if facts["barcode"] is None else facts["barcode"]
    template = usable[split.lot(seed, facts["dataset"], cell) % len(usable)]
    said = {name: f"{value:.4g}" if isinstance(value, float) else str(value) for name, value in facts.items()}
    return {
        "prompt": template.format(n=len(words), sentence=" ".join(words), **said),
        "response": task["response"].format(answer=said[task["answer"]]),
        "task": task["task"],
        "n_genes": len(words),
        **{name: facts[name] for name in ("dataset", "side", "donor", "barcode")},
    }


def _find_fields(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}
