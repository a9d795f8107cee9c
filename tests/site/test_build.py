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


@pytest.mark.xdist_group("book")
def test_the_book_of_a_file_that_cannot_serve_two_chapters_does_not_refer_to_them(html, tmp_path):
    """Chapters 04 and 08 lack labels on a plain file in the schema of CELLxGENE; what refers to them steps aside."""
    made = Project(ROOT, build=tmp_path / "build")
    shutil.copytree(bookbuilt.PROJECT.build / "runs", made.build / "runs", symlinks=True)
    lost = {"04_fibers", "08_prediction"}
    for name in lost:
        (made.build / "runs" / name / run.CURRENT).write_text('{"left_out": "own.h5ad lacks labels."}')
    sources = stage.stage(made)
    assert set(json.loads((sources / stage.SITE_FILE).read_text())["missing"]) == lost
    names = "|".join(lost)
    refers = rf"\]\([^)]*({names})|(ref|doc)\}}`[^`]*({names}|fig-0[48]-)|- file: notebooks/({names})"
    texts = [path for kind in ("md", "ipynb", "yml") for path in sources.rglob(f"*.{kind}")]
    assert not lost & {path.stem for path in texts}
    assert [path.name for path in texts if re.search(refers, path.read_text())] == []


@pytest.mark.xdist_group("site")
def test_a_book_built_by_hand_works_too(tmp_path):
    """`jupyter-book build .`, with the configuration of this repository, executes the pairs itself."""
    root = tmp_path / "book"
    shutil.copytree(ROOT / "tests" / "book" / "sample", root)
    shutil.copy(ROOT / "_config.yml", root)
    shutil.copytree(ROOT / "book", root / "book", ignore=shutil.ignore_patterns("*.md", "*.rst"))
    for book in Project(root).choose():
        pairing.write_pair(book)
    (root / "welcome.md").write_text(
        "# Welcome\n\nDonors: {finding}`01_first:donors`, {cite:p}`kedlian2024`.\n\n{{ install }}\n\n"
        "```{bibliography}\n```\n"
    )
    code = "import sys; from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", code, "build", ".", "-W", "-n", "--keep-going"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONWARNINGS": "ignore"}
    subprocess.run(command, cwd=root, env=environment, check=True)
    text = (root / "_build" / "html" / "notebooks" / "01_first.html").read_text()
    assert "Counted <strong>3 donors</strong>" in text
    assert "Built by hand" in text
    (link,) = re.findall(r"href='(results/[^']+\.csv)'", text)
    assert (root / "_build" / "html" / "notebooks" / link).is_file()
