"""The built site, read as files."""

import html as escaping
import os
import re
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
import yaml
from bs4 import BeautifulSoup

from bookbuilt import PROJECT, ROOT  # isort: skip  the folder tests is put on the path by conftest

pytestmark = pytest.mark.xdist_group("book")
# the gallery shows sweeps, and is part of a copy in which one was made
EVER = Path(__file__).with_name("published_pages.txt").read_text().split()
PUBLISHED = [name for name in EVER if not name.startswith("book/gallery")]


class Page:
    """Links, anchors and pictures of a page."""

    def __init__(self, text):
        soup = BeautifulSoup(text, "html.parser")
        self.links = [one["href"] for one in soup.select("a[href]")]
        self.ids = {one["id"] for one in soup.select("[id]")}
        self.images = soup.select("img")
        fetched = soup.select("img[src], script[src], link[rel=stylesheet]")
        self.fetched = [one.get("src") or one["href"] for one in fetched]


@pytest.fixture(scope="module")
def texts(html):
    paths = [path for path in html.rglob("*.html") if "_static" not in path.parts]
    return {path.relative_to(html).as_posix(): path.read_text(encoding="utf-8") for path in paths}


@pytest.fixture(scope="module")
def pages(texts):
    return {name: Page(text) for name, text in texts.items()}


def test_every_page_of_the_contents_is_built_and_every_notebook_is_in_them(pages):
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    files = [*re.findall(r"'file': '([^']+)'", str(toc)), toc["root"]]
    assert {f"{name}.html" for name in files if not name.startswith("book/gallery")} <= set(pages)
    assert not [name for name in pages if name.startswith("book/gallery")]
    assert [name for name in PROJECT.notebooks if f"notebooks/{name}" not in files] == []


def test_links_inside_the_site_lead_somewhere(html, pages):
    broken = []
    for name, page in pages.items():
        for link in page.links:
            path, anchor = urldefrag(unquote(link))
            # the page for lost addresses is shown at any of them, so its links are absolute
            lost = name == "404.html" and path.startswith("/")
            if lost or link == "#" or re.match(r"(https?|mailto|data|javascript):", link):
                continue
            target = ((html / name).parent / path).resolve() if path else html / name
            target = target / "index.html" if target.is_dir() else target
            known = pages.get(os.path.relpath(target, html))
            if not target.is_file() or (anchor and known and anchor not in known.ids):
                broken.append(f"{name}: {link}")
    assert broken == []


def test_nothing_is_fetched_from_elsewhere_to_show_a_page_and_pictures_have_an_alt_text(pages):
    for name, page in pages.items():
        assert [one["src"] for one in page.images if not one.get("alt")] == [], name
        assert [address for address in page.fetched if "//" in address] == [], name


def test_every_page_says_what_data_it_shows_and_a_chapter_names_its_run_above_and_below(texts, runs):
    for name in PUBLISHED:
        assert texts[name].count("class='run-banner") == 1, name
        assert "SIMULATED data" in texts[name], name
    for name, run in runs.items():
        text = texts[f"notebooks/{name}.html"]
        assert f"Run {run['key']}" in text
        assert text.count("<summary>How this page was made</summary>") == 1


def test_no_folder_of_this_machine_is_published(html):
    for path in html.rglob("*"):
        if path.suffix in {".html", ".ipynb", ".json", ".js"} and path.name != ".built.json":
            assert str(ROOT) not in path.read_text(encoding="utf-8", errors="replace"), path


def test_what_a_reader_looks_for_is_there(html, pages, texts):
    """Downloads of a chapter, its question in the summary, functions in the reference, terms in the glossary."""
    plain = escaping.unescape(texts["book/summary.html"]).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    for book in PROJECT.choose():
        assert (html / "_sources" / "notebooks" / f"{book.name}.ipynb").is_file()
        assert any(link.startswith("files/") for link in pages[f"notebooks/{book.name}.html"].links), book
        assert book.sidecar.question in plain
    assert {"helpers.sources.open_atlas", "helpers.findings.begin"} <= pages["book/api_top.html"].ids
    assert any("glossary.html#term-donor" in link for link in pages["book/data.html"].links)


def test_a_page_that_was_published_is_still_there_or_redirects_and_a_lost_address_has_a_page(html, texts):
    assert [name for name in PUBLISHED if name not in texts] == [], "add a redirect to _config.yml"
    assert "not here" in texts["404.html"]
    redirects = yaml.safe_load((ROOT / "_config.yml").read_text())["sphinx"]["config"]["redirects"]
    assert redirects
    for name, target in redirects.items():
        page = html / f"{name}.html"
        assert target in page.read_text()
        assert (page.parent / target).resolve().is_file()
