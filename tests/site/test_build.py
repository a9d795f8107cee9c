"""How the book of this repository is built: by hand, and without chapters."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import bookbuilt
import pytest

from helpers.book import pairing, run, stage
from helpers.book.project import Project

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "tests" / "book" / "sample"


@pytest.mark.xdist_group("book")
def test_the_book_of_a_file_that_cannot_serve_two_chapters_does_not_refer_to_them(html, tmp_path):
    """Chapters 04 and 08 lack labels on a plain file in the schema of CELLxGENE; what refers to them steps aside."""
    (tmp_path / "build").mkdir()
    made = Project(ROOT, build=tmp_path / "build")
    shutil.copytree(bookbuilt.PROJECT.build / "runs", made.build / "runs", symlinks=True)
    reason = "own.h5ad lacks annotation_level1, annotation_level2."
    lost = ("04_fibers", "08_prediction")
    for name in lost:
        (made.build / "runs" / name / run.CURRENT).write_text(json.dumps({"left_out": reason}))
    sources = stage.stage(made)
    missing = json.loads((sources / stage.SITE_FILE).read_text())["missing"]
    assert {name: one["reason"] for name, one in missing.items()} == dict.fromkeys(lost, reason)
    assert not [name for name in lost if (sources / "notebooks" / f"{name}.ipynb").exists()]
    names = "|".join(lost)
    refers = re.compile(
        rf"\]\([^)]*({names})|(ref|doc)\}}`[^`]*({names}|fig-0[48]-)|- file: notebooks/({names})"
    )
    texts = [path for kind in ("md", "ipynb", "yml") for path in sources.rglob(f"*.{kind}")]
    assert [path.name for path in texts if refers.search(path.read_text())] == []


@pytest.mark.xdist_group("site")
def test_a_book_built_by_hand_works_too(tmp_path):
    """`jupyter-book build .`, with the configuration of this repository, executes the pairs itself."""
    root = tmp_path / "book"
    shutil.copytree(SAMPLE, root)
    shutil.copyfile(ROOT / "_config.yml", root / "_config.yml")
    (root / "book").mkdir()
    shutil.copyfile(ROOT / "book" / "references.bib", root / "book" / "references.bib")
    shutil.copytree(ROOT / "book" / "_static", root / "book" / "_static")
    for book in Project(root).choose():
        pairing.write_pair(book)
    (root / "welcome.md").write_text(
        "# Welcome\n\nDonors: {finding}`01_first:donors`, {cite:p}`kedlian2024`.\n\n{{ install }}\n\n"
        "```{bibliography}\n```\n"
    )
    code = "import sys; from jupyter_book.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "build", ".", "-W", "-n", "--keep-going"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    text = (root / "_build" / "html" / "notebooks" / "01_first.html").read_text()
    assert "Counted <strong>3 donors</strong>" in text
    assert "Built by hand" in text
    (link,) = re.findall(r"href='(results/[^']+\.csv)'", text)
    assert (root / "_build" / "html" / "notebooks" / link).is_file()
