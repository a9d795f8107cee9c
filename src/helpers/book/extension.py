"""Sphinx extension of the book: what pages show of the runs, the package's functions, math without scripts."""

import re
import shutil
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole
from sphinx.writers.html5 import HTML5Translator

from helpers.book.key import PACKAGE
from helpers.book.project import read_json
from helpers.book.shown import banner, findings, foot, sweep_page
from helpers.findings import Finding

_ROOM = re.compile(r"^\.\. room:: (\S+)$", re.MULTILINE)
_FINDINGS = re.compile(r"^<!-- (headlines|findings) -->$", re.MULTILINE)
_SWEEP = re.compile(r"^<!-- sweep: (\S+) -->$", re.MULTILINE)
_log = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register everything with Sphinx."""
    app.add_config_value("musclebook_site", "", "env", [str])
    app.add_role("finding", FindingRole())
    app.connect("builder-inited", _load_site)
    app.connect("build-finished", _copy_results)
    app.connect("html-page-context", _dress_page, priority=900)
    app.setup_extension("sphinx.ext.autodoc")
    app.setup_extension("sphinx.ext.napoleon")
    app.connect("source-read", _fill_page)
    app.connect("autodoc-process-docstring", _number_footnotes, priority=100)
    # every current browser draws MathML, nothing is fetched, screen readers read it
    app.add_html_math_renderer("mathml", (_inline_math, None), (_display_math, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


class FindingRole(SphinxRole):
    """A recorded value: ``{finding}`03_age_de:donors``` with unit and interval, ``...:share.number:.1%``` formatted alone."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Look the value up in the runs that the site shows."""
        notebook, _, rest = self.text.partition(":")
        name, _, spec = rest.partition(":")
        name, _, part = name.partition(".")
        runs = self.env.app.musclebook_runs  # type: ignore[attr-defined]
        if runs is None:  # built by hand, where runs are made by the build itself
            return [nodes.emphasis(text=f"[{name.replace('_', ' ')}: see the chapter]")], []
        self.env.note_dependency(self.config.musclebook_site)
        if notebook in self.env.app.musclebook_site.get("missing", {}):  # type: ignore[attr-defined]
            return [nodes.emphasis(text=f"({name.replace('_', ' ')}: not in this copy)")], []
        found = runs.get(notebook, {}).get("findings", {}).get(name)
        if found is None:
            where = "was not run" if notebook not in runs else "does not record it"
            _log.warning("finding %r: %s %s", self.text, notebook, where, location=self.get_location())
            return [nodes.Text(self.text)], []
        interval = found.get("interval")
        finding = Finding(name, found["value"], found.get("unit"), tuple(interval) if interval else None)
        return [nodes.inline("", finding.text(part, spec), classes=["finding"])], []


def _load_site(app: Sphinx) -> None:
    name = app.config.musclebook_site
    app.musclebook_site = read_json(Path(app.srcdir) / name) if name else {}  # type: ignore[attr-defined]
    app.musclebook_runs = app.musclebook_site["runs"] if name else None  # type: ignore[attr-defined]


def _copy_results(app: Sphinx, failure: Exception | None) -> None:
    # a book built by hand writes result files beside its notebooks; the tables on the pages link to them
    if failure is None and not app.config.musclebook_site:
        for folder in Path(app.srcdir).glob("*/results"):
            shutil.copytree(folder, Path(app.outdir) / folder.relative_to(app.srcdir), dirs_exist_ok=True)


def _dress_page(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    del templatename
    # editable cells are not offered; their script would be declared twice and name a server of others
    context["script_files"] = [
        one
        for one in context.get("script_files", [])
        if "thebe" not in f"{getattr(one, 'filename', one)} {getattr(one, 'attributes', '')}".lower()
    ]
    if not context.get("body") or doctree is None:
        return
    runs = app.musclebook_runs  # type: ignore[attr-defined]
    name = Path(pagename).name
    body = banner(runs, name) + context["body"] + foot(runs, name)
    # a wide table scrolls in its own box, which the keyboard can reach
    context["body"] = re.sub(r"(<div class=\"pst-scrollable-table-container\")", r'\1 tabindex="0"', body)


def _fill_page(app: Sphinx, docname: str, source: list[str]) -> None:
    """Replace ``<!-- sweep: NAME -->`` and ``<!-- findings -->`` by what was found, ``.. room:: NAME`` by its modules."""
    if _FINDINGS.search(source[0]):
        site = app.musclebook_site  # type: ignore[attr-defined]
        app.env.note_dependency(app.config.musclebook_site)
        source[0] = _FINDINGS.sub(lambda match: findings(site, whole=match[1] == "findings"), source[0])
    source[0] = _SWEEP.sub(lambda match: sweep_page(Path(app.srcdir) / "sweeps" / match[1]), source[0])
    if docname.startswith("book/api"):
        source[0] = _ROOM.sub(lambda match: _room(match[1]), source[0])


def _room(name: str) -> str:
    """Return the pages of the modules of a room, ``.`` for those that lie in the package itself."""
    prefix, sections = "" if name == "." else f"{name}.", []
    for path in sorted((PACKAGE / name).glob("[!_]*.py")):
        title = f"{prefix}{path.stem}"
        sections.append(f"{title}\n{'~' * len(title)}\n\n.. automodule:: helpers.{title}\n   :members:\n\n")
    return "\n".join(sections)


def _number_footnotes(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    # footnote numbers start anew in every docstring, but the page is one
    del app, what, obj, options
    stem = re.sub(r"[^A-Za-z0-9]", "-", name).lower()
    text = "\n".join(lines)
    cited = set(re.findall(r"\[(\d+)\]_", text))
    text = re.sub(r"\[(\d+)\]_", rf"[#{stem}-\1]_", text)

    def numbered(match: re.Match[str]) -> str:
        return f"{match[1]}.. [#{stem}-{match[2]}]" if match[2] in cited else f"{match[1]}-"

    lines[:] = re.sub(r"(?m)^(\s*)\.\. \[(\d+)\]", numbered, text).split("\n")


def _inline_math(self: HTML5Translator, node: nodes.math) -> None:
    self.body.append(tex2mathml(node.astext(), as_block=False))
    raise nodes.SkipNode


def _display_math(self: HTML5Translator, node: nodes.math_block) -> None:
    self.body.append(f"<div class='math' tabindex='0'>{tex2mathml(node.astext(), as_block=True)}</div>")
    raise nodes.SkipNode
