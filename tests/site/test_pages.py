"""The built site, read as files."""

import html as escaping
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
import yaml

from bookbuilt import PROJECT, ROOT  # isort: skip  the folder tests is put on the path by conftest

pytestmark = pytest.mark.xdist_group("book")
PUBLISHED = Path(__file__).with_name("published_pages.txt")


class Reader(HTMLParser):
    """Links, anchors and pictures of a page."""

    def __init__(self):
        super().__init__()
        self.links, self.ids, self.images, self.scripts = [], set(), [], []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if "id" in found:
            self.ids.add(found["id"])
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if tag == "img":
            self.images.append(found)
        if tag in {"script", "link"}:
            self.scripts.append(
                found.get("src") or (found.get("href") if found.get("rel") == "stylesheet" else None)
            )


def read(path):
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader


@pytest.fixture(scope="module")
def pages(html):
    return {
        path.relative_to(html).as_posix(): read(path)
        for path in html.rglob("*.html")
        if "_static" not in path.parts
    }


def is_page(name):
    return name in PUBLISHED.read_text().split()


def test_every_page_of_the_contents_is_built(pages):
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    files = [*re.findall(r"'file': '([^']+)'", str(toc)), toc["root"]]
    # the gallery shows sweeps, and is part of a copy in which one was made
    assert {f"{name}.html" for name in files if not name.startswith("book/gallery")} <= set(pages)
    assert not [name for name in pages if name.startswith("book/gallery")]


def test_every_notebook_is_in_the_contents():
    text = (ROOT / "_toc.yml").read_text()
    assert [name for name in PROJECT.notebooks if f"notebooks/{name}\n" not in text] == []


def test_links_inside_the_site_lead_somewhere(html, pages):
    broken = []
    for name, page in pages.items():
        for link in page.links:
            if re.match(r"(https?|mailto|data|javascript):", link) or link == "#":
                continue
            path, anchor = urldefrag(unquote(link))
            target = ((html / name).parent / path).resolve() if path else html / name
            if target.is_dir():
                target = target / "index.html"
            key = (
                target.relative_to(html.resolve()).as_posix() if target.is_relative_to(html.resolve()) else ""
            )
            if name == "404.html" and path.startswith("/"):
                continue  # its links are absolute, because it is shown at any address
            if not target.is_file() or (anchor and key in pages and anchor not in pages[key].ids):
                broken.append(f"{name}: {link}")
    assert broken == []


def test_nothing_is_fetched_from_elsewhere_to_show_a_page(pages):
    foreign = {
        src
        for page in pages.values()
        for src in (*page.scripts, *(one["src"] for one in page.images))
        if src and "//" in src
    }
    assert foreign == set()


def test_every_picture_has_an_alt_text(pages):
    images = [(name, one) for name, page in pages.items() for one in page.images]
    assert [f"{name}: {one['src']}" for name, one in images if not one.get("alt")] == []


def test_every_page_says_what_data_it_shows(html, pages):
    for name in filter(is_page, pages):
        text = (html / name).read_text()
        assert text.count("class='run-banner") == 1, name
        assert "SIMULATED data" in text, name


def test_a_chapter_names_its_run_above_and_below(html):
    runs = json.loads((PROJECT.build / "site" / "site.json").read_text())["runs"]
    for name, run in runs.items():
        text = escaping.unescape((html / "notebooks" / f"{name}.html").read_text())
        assert f"Run {run['key']}" in text
        assert text.count("<summary>How this page was made</summary>") == 1
        for words in ("peak memory, with child processes", "version: python", "parameter: "):
            assert words in text, name


def test_no_folder_of_this_machine_is_published(html):
    for path in html.rglob("*"):
        if path.suffix in {".html", ".ipynb", ".json", ".js"} and path.name != ".built.json":
            assert str(ROOT) not in path.read_text(encoding="utf-8", errors="replace"), path


def test_downloads_of_tables_and_notebooks_exist(html):
    for name in PROJECT.notebooks:
        assert (html / "_sources" / "notebooks" / f"{name}.ipynb").is_file()
        page = read(html / "notebooks" / f"{name}.html")
        files = [link for link in page.links if link.startswith("files/")]
        assert files, name


def test_search_knows_genes_labels_and_terms(html):
    index = (html / "searchindex.js").read_text()
    for word in ("myh7", "musc", "donor", "pseudobulk"):
        assert f'"{word}"' in index or f"{word}:" in index, word


def test_the_functions_of_every_room_are_described(html):
    text = (html / "book" / "api_top.html").read_text()
    for name in ("helpers.sources.open_atlas", "helpers.findings.begin", "helpers.parameters.check"):
        assert f'id="{name}"' in text


def test_values_of_chapters_stand_on_the_pages_around(html):
    welcome = (html / "book" / "welcome.html").read_text()
    cells = json.loads((PROJECT.build / "site" / "site.json").read_text())["runs"]["01_loading"]["findings"][
        "cells"
    ]
    assert f"{cells['value']:,}" in welcome
    summary = (html / "book" / "summary.html").read_text()
    plain = escaping.unescape(summary).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    assert [book.name for book in PROJECT.choose() if book.sidecar.question not in plain] == []


def test_a_page_that_was_published_is_still_there_or_redirects(html):
    for name in PUBLISHED.read_text().split():
        if name.startswith("book/gallery"):
            continue  # in copies with a sweep
        assert (html / name).is_file(), f"{name} was published and is gone: add a redirect to _config.yml"


def test_a_redirect_leads_to_a_page_and_a_lost_address_to_one_of_its_own(html):
    assert "not here" in (html / "404.html").read_text()
    redirects = yaml.safe_load((ROOT / "_config.yml").read_text())["sphinx"]["config"]["redirects"]
    assert redirects
    for name, target in redirects.items():
        page = html / f"{name}.html"
        assert target in page.read_text()
        assert (page.parent / target).resolve().is_file()


def test_glossary_terms_are_linked(pages):
    assert any("glossary.html#term-donor" in link for link in pages["book/data.html"].links)


def test_every_reference_is_cited_somewhere():
    known = set(re.findall(r"@\w+\{([^,]+),", (ROOT / "book" / "references.bib").read_text()))
    sources = [*(ROOT / "book").glob("*.md"), *(ROOT / "notebooks").glob("*.py")]
    cited = {
        key.strip()
        for path in sources
        for keys in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", path.read_text())
        for key in keys.split(",")
    }
    assert cited - known == set()
    assert known - cited == set()
