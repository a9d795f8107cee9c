"""The built site, opened in a browser."""

import functools
import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from helpers import style

from bookbuilt import ROOT  # isort: skip  the folder tests is put on the path by conftest

sync_api = pytest.importorskip("playwright.sync_api")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
pytestmark = [
    pytest.mark.xdist_group("book"),
    pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine: apt install chromium"),
    # playwright's event loop leaves its sockets to the collector
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]
PAGES = [
    *(f"book/{path.stem}.html" for path in sorted((ROOT / "book").glob("[!g]*.md"))),
    "book/glossary.html",
    "book/api.html",
    *(f"notebooks/{path.stem}.html" for path in sorted((ROOT / "notebooks").glob("*.py"))),
]


@pytest.fixture(scope="module")
def address(html):
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(html))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def visitor():
    """One visitor, who keeps what every page loads again."""
    with sync_api.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=BROWSER, args=ARGUMENTS)
        yield browser.new_context(viewport=DESK)
        browser.close()


@pytest.fixture
def visit(visitor, address):
    """Open a page; what the console and the network complained of is in ``complaints``."""

    def open_page(page):
        tab = visitor.new_page()
        tab.complaints = []

        def note(what, is_bad):
            tab.complaints += [what] if is_bad else []

        tab.on("console", lambda message: note(message.text, message.type == "error"))
        tab.on("pageerror", lambda error: note(str(error), True))
        own = (address, "data:", "blob:")
        tab.on("request", lambda request: note(request.url, not request.url.startswith(own)))
        tab.on("response", lambda answer: note(answer.url, answer.status >= 400))
        tab.goto(f"{address}/{page}", wait_until="load")
        return tab

    yield open_page
    for tab in visitor.pages:
        tab.close()


# the dark theme is one style sheet: a chapter, a page of tables, a page of cards and the reference stand for all
DARK = {"book/welcome.html", "book/workshop.html", "book/api.html", "notebooks/03_age_de.html"}
LOOK_AT_TABLES = """() => {
    const tables = [...document.querySelectorAll('.bd-article table')].filter(one => !one.closest('details'));
    const box = one => one.closest('.table-scroll, .text_html, .pst-scrollable-table-container') || one.parentElement;
    const name = one => one.querySelector('caption')?.innerText || one.innerText.slice(0, 60);
    return {
        wide: tables.filter(one => one.scrollWidth > box(one).clientWidth + 1).map(name),
        empty: tables.filter(one => one.rows.length < 2).map(name),
        height: document.documentElement.scrollHeight,
    };
}"""
LOOK_AT_WIDTHS = """() => {
    const overflow = one => one ? one.scrollWidth - one.clientWidth : 0;
    const wide = [document.documentElement, document.querySelector('.bd-article')].map(overflow);
    const folded = [...document.querySelectorAll('details:not([open])')];
    folded.forEach(one => one.open = true);
    const pictures = [...document.querySelectorAll('.bd-article .cell_output img')].map(
        one => one.getBoundingClientRect().width / one.naturalWidth);
    folded.forEach(one => one.open = false);
    return [Math.max(...wide), Math.min(1, ...pictures)];
}"""


@pytest.mark.parametrize("page", PAGES)
def test_a_page_reads_well_on_a_desk_and_on_a_phone_and_axe_finds_nothing_serious(visit, page):
    tab = visit(page)
    found = tab.evaluate(LOOK_AT_TABLES)
    assert (found["wide"], found["empty"]) == ([], [])
    assert found["height"] <= 16_000 or not page.startswith("notebooks/")
    tab.set_viewport_size(PHONE)
    overflow, smallest = tab.evaluate(LOOK_AT_WIDTHS)
    assert overflow <= 1
    # the smallest font of a figure is set for its full width: no picture may be shown so small that none can read it
    assert style.POINTS / 72 * style.DPI * smallest >= 8
    assert tab.complaints == []
    tab.set_viewport_size(DESK)
    assert _serious(tab) == []
    if page in DARK:
        tab.emulate_media(color_scheme="dark")
        tab.wait_for_function("document.documentElement.dataset.theme == 'dark'")
        tab.wait_for_timeout(600)  # colors that fade from light to dark are none of either
        assert _serious(tab) == []
        looks = "all => all.map(one => [getComputedStyle(one).filter, getComputedStyle(one).backgroundColor])"
        for look in tab.eval_on_selector_all(".cell_output img", looks):
            assert look == ["none", "rgb(255, 255, 255)"]


def _serious(tab):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    # pages say the same thing a thousand times: the first functions and the first cells of code stand for all
    for alike, kept in (("dl.py", 50), ("div.highlight", 4)):
        tab.evaluate(f"[...document.querySelectorAll('{alike}')].slice({kept}).forEach(one => one.remove())")
    return [
        f"{one['id']} ({one['impact']}): {node['html'][:160]}"
        for one in axe.Axe().run(tab, options={"resultTypes": ["violations"]}).response["violations"]
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("word", ["MYH7", "MuSC", "pseudobulk", "open_atlas"])
def test_search_finds_genes_labels_terms_and_functions(visit, word):
    tab = visit(f"search.html?q={word}")
    tab.wait_for_selector("#search-results li a")
    assert word != "MYH7" or tab.locator("#search-results a[href*='notebooks/01_loading']").count()
    assert tab.complaints == []


def test_the_keyboard_reaches_navigation_and_folds_and_opens_them(visit):
    tab = visit("notebooks/01_loading.html")
    wanted = {"a fold": "summary", "navigation": "nav a, [class*=nav] a, [class*=sidebar] a"}
    for _ in range(400):
        tab.keyboard.press("Tab")
        wanted = {
            name: kind for name, kind in wanted.items() if not tab.locator(f":focus:is({kind})").count()
        }
        if not wanted:
            break
    assert wanted == {}, "not reached"
    fold = tab.locator("details.provenance")
    fold.locator("summary").focus()
    tab.keyboard.press("Enter")
    assert fold.evaluate("one => one.open") is True
    assert tab.get_by_text("peak memory, with child processes").is_visible()


def test_a_table_of_a_sweep_sorts_by_click(visitor, tmp_path):
    script = (ROOT / "book" / "_static" / "book.js").read_text()
    rows = "".join(f"<tr><td data-value='{value}'>{value}</td></tr>" for value in ("10", "9", "", "100"))
    text = f"<table class='sortable'><thead><tr><th>n</th></tr></thead><tbody>{rows}</tbody></table><script>{script}</script>"
    (tmp_path / "page.html").write_text(text)
    tab = visitor.new_page()
    tab.goto((tmp_path / "page.html").as_uri())
    for wanted in (["9", "10", "100"], ["100", "10", "9"]):
        tab.get_by_role("button", name="n").click()
        found = tab.eval_on_selector_all("td", "all => all.map(one => one.textContent)")
        assert [value for value in found if value] == wanted
