"""The chapter kit: a new chapter that runs and passes the tests from its first minute, to be filled with a question."""

import re
from pathlib import Path
from string import Template

from helpers.book import pairing
from helpers.book.project import Project
from helpers.errors import ChapterError
from helpers.files import writing

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_LISTED = re.compile(r"(?m)^(?P<indent> *)- file: notebooks/\S+\n")
_LAST = 99


def new_chapter(project: Project, name: str) -> list[Path]:
    """Write notebook, pair, sidecar, checkers and their test for a chapter of the next free number.

    The chapter is entered in ``_toc.yml`` below the last notebook there. Nothing that exists is overwritten.
    """
    if not _NAME.fullmatch(name):
        msg = (
            f"{name!r} is not a name for a chapter. Use words in lower case joined by underscores, without the "
            "number, for example nerve_supply."
        )
        raise ChapterError(msg)
    if taken := [stem for stem in project.notebooks if stem[3:] == name]:
        msg = f"there is a chapter {taken[0]} already. Choose another name, or edit notebooks/{taken[0]}.py."
        raise ChapterError(msg)
    number = max((int(stem[:2]) for stem in project.notebooks), default=0) + 1
    if number > _LAST:
        msg = f"chapter numbers end at {_LAST}: number a chapter that is no longer needed anew."
        raise ChapterError(msg)
    toc = project.root / "_toc.yml"
    contents = toc.read_text(encoding="utf-8")
    places = list(_LISTED.finditer(contents))
    if not places:
        msg = f"{toc} lists no notebook, so there is no place to enter the chapter. Add one line '- file: notebooks/...'."
        raise ChapterError(msg)
    stem = f"{number:02d}_{name}"
    words = {"nn": f"{number:02d}", "stem": stem, "title": name.replace("_", " ").capitalize()}
    files = {
        project.root / "notebooks" / f"{stem}.py": NOTEBOOK,
        project.root / "notebooks" / f"{stem}.yaml": SIDECAR,
        project.root / "src" / "helpers" / "book" / "checks" / f"ch{number:02d}.py": CHECKS,
        project.root / "tests" / "book" / f"test_checks_ch{number:02d}.py": TESTS,
    }
    if there := [path for path in files if path.exists()]:
        msg = f"{there[0]} exists already and is left as it is. Move it away, or choose another name."
        raise ChapterError(msg)
    for path, text in files.items():
        with writing(path) as part:
            part.write_text(Template(text).substitute(words), encoding="utf-8")
    book = Project(project.root).notebooks[stem]
    pairing.write_pair(book)
    last = places[-1]
    entry = f"{last['indent']}- file: notebooks/{stem}\n"
    with writing(toc) as part:
        part.write_text(contents[: last.end()] + entry + contents[last.end() :], encoding="utf-8")
    return [*files, book.pair, toc]


NOTEBOOK = """\
# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["header"]
# # $title
#
# **Question.** Which donors hold enough cells to say anything? Replace this by the question of the chapter.
#
# **You will** count what each donor gave and leave out those with too little.
#
# **Before you start.** [Loading the atlas](01_loading).
#
# **Time** 10 minutes to read, 10 for the exercise. **Memory** under 2 GiB on the default atlas, under 4 GiB at full size.
#
# **What can go wrong.** A limit on cells leaves out donors, and donors are what the later tests count.

# %%
import polars as pl
import seaborn as sns

from helpers import findings, sources, style
from helpers.book.workshop import check

style.apply()

# %% tags=["parameters"] nbmake={"mock": {"atlas": "tiny"}}
atlas: str = "demo"  # data: demo, tiny, a release folder, or an .h5ad file
min_cells: int = 50  # cells and nuclei a donor must hold [1, 100000]
out_dir: str = ""  # folder of result files; empty: results/<notebook>/<key>

# %% tags=["remove-cell"]
note = findings.begin("$stem", globals())

# %%
muscle = sources.open_atlas(atlas)
people = muscle.donors.with_columns(barcodes=pl.col("cells") + pl.col("nuclei"))
kept = people.filter(pl.col("barcodes") >= min_cells)

# %% [markdown]
# ## What each donor gave
#
# Say here why the next cell is needed, what to expect of it, and how it can mislead.

# %% mystnb={"figure": {"caption": "Cells and nuclei of each donor, youngest on top.", "name": "fig-$nn-donors"}, "image": {"alt": "Horizontal bars, one a donor from young to old: the number of its cells and nuclei."}}
ax = sns.barplot(people.to_pandas(), x="barcodes", y="DonorID", color="0.7")
ax.set(xlabel="cells and nuclei", ylabel="");

# %% tags=["remove-input", "finding"]
note.say(
    "This page shows **{data_kind}** data. Of {donors:donor|donors}, {donors_kept.number} hold enough cells.",
    data_kind="simulated" if muscle.simulated else "real",
    donors=(people.height, "donors"),
    donors_kept=(kept.height, "donors"),
)

# %% tags=["remove-input"]
note.table(
    people,
    "Donors and what each gave.",
    name="donors",
    columns={"donor": "DonorID", "years": "age", "sex": "Sex", "cells": "cells", "nuclei": "nuclei"},
)

# %% [markdown]
# ## Scored against the plant
#
# Compare what was found with a table of the simulation's truth (`muscle.truth("...")`, None on real data), or say
# here why there is nothing to compare.

# %% [markdown]
# ## What the study reported
#
# State it with its source, from a table of `helpers.facts`.

# %% [markdown]
# ## Limits
#
# - What these donors cannot tell.

# %% [markdown] tags=["exercise"]
# ### Exercise: Enough cells (10 minutes)
#
# Write `enough(cells, least)` that returns the sorted list of donors with at least `least` cells.
#
# <details><summary>Hint</summary>
#
# "At least" includes the limit itself.
#
# </details>

# %% tags=["solution", "hide-cell"]
def enough(cells, least):
    return sorted(donor for donor, number in cells.items() if number >= least)


print(enough({"A": 50, "B": 10}, 50))
check("$nn.enough", enough)

# %% [markdown]
# ## In short

# %% tags=["remove-input", "finding"]
note.say("Of {donors:donor|donors}, {donors_kept.number} hold enough cells.")

# %% tags=["remove-input"]
note.provenance(muscle.describe())
"""

SIDECAR = """\
title: $title
question: Which donors hold enough cells to say anything?
minutes: {reading: 10, exercises: 10}
memory: 2 GiB
memory_full: 4 GiB
needs: [DonorID]
profiles:
  test: {atlas: tiny}
  real: {}
  full: {}
records:
  data_kind: {type: str}
  donors: {type: int, unit: donors, min: 0, max: 1000, demo: [17, 17]}
  donors_kept: {type: int, unit: donors, min: 0, max: 1000, demo: [1, 17]}
"""

CHECKS = '''\
"""Checkers of the exercises of chapter $nn."""

from collections.abc import Callable


def enough(answer: Callable[[dict[str, int], int], list[str]]) -> str | None:
    """Check a function that lists the donors with at least so many cells."""
    found = list(answer({"A": 10, "B": 60, "C": 30}, 30))
    if found == ["B", "C"]:
        return None
    if found == ["B"]:
        return "a donor with just the least number of cells has enough."
    return f"of A with 10, B with 60 and C with 30 cells, those with at least 30 came back as {found}."
'''

TESTS = '''\
"""The checker of chapter $nn against the right answer and typical wrong ones."""

import pytest

from helpers.book.checks import ch$nn


def test_the_right_answer_passes():
    assert ch$nn.enough(lambda cells, least: sorted(name for name in cells if cells[name] >= least)) is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda cells, least: [name for name in cells if cells[name] > least], "just the least"),
        (lambda cells, least: sorted(cells), "came back as"),
    ],
)
def test_typical_wrong_answers_are_told_what_is_wrong(wrong, message):
    assert message in ch$nn.enough(wrong)
'''
