"""A site of runs that were really made: what a reader sees of them."""

import re
import shutil

import pytest

from helpers.book import site
from helpers.book.project import Project

pytestmark = pytest.mark.xdist_group("runs")


@pytest.fixture(scope="module")
def pages(made):
    (made.root / "welcome.md").write_text(
        "# Welcome\n\n{finding}`01_first:donors`, {finding}`01_first:donors.number`, {finding}`02_second:whole.number:.2e`."
        "\n\n{ref}`fig-01-dots`, $x_1 + 2$\n\n```{headlines}\n```\n\n```{findings-table}\n```\n"
    )
    folder = site.build(made).folder
    return {name: (folder / name).read_text() for name in ("welcome.html", "notebooks/01_first.html")}


def test_recorded_values_stand_in_prose(pages):
    shown = re.findall(r'<span class="finding">([^<]*)</span>', pages["welcome.html"])
    assert shown == ["3 donors", "3", "1.02e+03"]


def test_headlines_and_findings_come_from_the_runs(pages):
    text = pages["welcome.html"]
    assert "Counted <strong>3 donors</strong> of kind FB." in text
    assert 'href="notebooks/01_first.html"' in text


def test_a_figure_has_number_caption_and_alt_text(pages):
    text = pages["notebooks/01_first.html"]
    assert '<span class="caption-number">Fig. 1 </span><span class="caption-text">Dots.</span>' in text
    assert text.count('alt="Three dots on a line"') == 1


def test_text_from_data_is_text(pages):
    text = pages["notebooks/01_first.html"]
    assert re.search("<td[^>]*>&lt;script&gt;0</td>", text)
    assert "<script>0" not in text


def test_formulas_need_no_script(pages):
    assert '<math xmlns="http://www.w3.org/1998/Math/MathML">' in pages["welcome.html"]
    assert "mathjax" not in pages["welcome.html"].replace("mathjax_ignore", "").lower()


def test_tables_link_to_files_beside_the_page(pages, made):
    (link,) = set(re.findall(r"href='(files/[^']+\.csv)'", pages["notebooks/01_first.html"]))
    assert (made.build / "html" / "notebooks" / link).read_text().startswith("donor\n<script>0")


def test_the_banner_names_the_run_and_the_foot_what_it_was_made_of(pages):
    text = pages["notebooks/01_first.html"]
    assert re.search(r"Run [0-9a-f]{12}, \d{4}-\d\d-\d\d \d\d:\d\d UTC\.", text)
    for row in ("parameter: count", "version: polars", "wall time, with start of the kernel"):
        assert row in text


def test_the_last_good_site_stays_when_a_build_is_stopped(made, tmp_path, monkeypatch):
    root = tmp_path / "book"
    shutil.copytree(made.root, root)
    project = Project(root)
    before = (project.build / "html" / "welcome.html").read_text()

    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(site, "_sphinx", stopped)
    with pytest.raises(KeyboardInterrupt):
        site.build(project, fresh=True)
    assert (project.build / "html" / "welcome.html").read_text() == before
