"""Sphinx extension of the book: what pages show of the runs, the package's functions, math without scripts."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole
from sphinx.writers.html5 import HTML5Translator

from helpers.book.key import PACKAGE
from helpers.book.project import SWEEP_PAGE, read_json
from helpers.budget import to_text
from helpers.findings import Finding, escape, fold, in_html, links

_ROOM = re.compile(r"^\.\. room:: (\S+)$", re.MULTILINE)
_FINDINGS = re.compile(r"^<!-- (headlines|findings) -->$", re.MULTILINE)
_SWEEP = re.compile(r"^<!-- sweep: (\S+) -->$", re.MULTILINE)
_SIMULATED = (
    "SIMULATED data{}. The numbers are those of a made-up atlas with known, planted effects. They show that the methods "
    "work; they are no findings about muscle."
)
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
    app.add_html_math_renderer("mathml", (_math, None), (_math, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


class FindingRole(SphinxRole):
    """A recorded value: ``{finding}`03_age_de:donors``` with unit and interval, ``...:share.number:.1%``` formatted alone."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Look the value up in the runs that the site shows."""
        notebook, _, rest = self.text.partition(":")
        name, _, spec = rest.partition(":")
        name, _, part = name.partition(".")
        site, words = self.env.app.musclebook_site, name.replace("_", " ")  # type: ignore[attr-defined]
        if not site:  # built by hand, where runs are made by the build itself
            return [nodes.emphasis(text=f"[{words}: see the chapter]")], []
        self.env.note_dependency(self.config.musclebook_site)
        if notebook in site["missing"]:
            return [nodes.emphasis(text=f"({words}: not in this copy)")], []
        found = site["runs"].get(notebook, {}).get("findings", {}).get(name)
        if found is None:
            where = "was not run" if notebook not in site["runs"] else "does not record it"
            _log.warning("finding %r: %s %s", self.text, notebook, where, location=self.get_location())
            return [nodes.Text(self.text)], []
        return [nodes.inline("", Finding(name, **found).text(part, spec), classes=["finding"])], []


def _load_site(app: Sphinx) -> None:
    name = app.config.musclebook_site
    app.musclebook_site = read_json(Path(app.srcdir) / name) if name else {}  # type: ignore[attr-defined]


def _copy_results(app: Sphinx, failure: Exception | None) -> None:
    # a book built by hand writes result files beside its notebooks; the tables on the pages link to them
    if failure is None and not app.config.musclebook_site:
        for folder in Path(app.srcdir).glob("*/results"):
            shutil.copytree(folder, Path(app.outdir) / folder.relative_to(app.srcdir), dirs_exist_ok=True)


def _dress_page(
    app: Sphinx, pagename: str, _template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    # editable cells are not offered; their script would be declared twice and name a server of others
    def is_wanted(script: Any) -> bool:
        about = f"{getattr(script, 'filename', script)} {getattr(script, 'attributes', '')}"
        return "thebe" not in about.lower()

    context["script_files"] = list(filter(is_wanted, context.get("script_files", [])))
    if not context.get("body") or doctree is None:
        return
    runs = app.musclebook_site.get("runs")  # type: ignore[attr-defined]
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
    for name in _SWEEP.findall(source[0]):
        app.env.note_dependency(f"sweeps/{name}/{SWEEP_PAGE}")
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


def _number_footnotes(
    _app: Sphinx, _what: str, name: str, _object: Any, _options: Any, lines: list[str]
) -> None:
    # footnote numbers start anew in every docstring, but the page is one
    stem = re.sub(r"[^A-Za-z0-9]", "-", name).lower()
    text = "\n".join(lines)
    cited = set(re.findall(r"\[(\d+)\]_", text))
    text = re.sub(r"\[(\d+)\]_", rf"[#{stem}-\1]_", text)

    def numbered(match: re.Match[str]) -> str:
        return f"{match[1]}.. [#{stem}-{match[2]}]" if match[2] in cited else f"{match[1]}-"

    lines[:] = re.sub(r"(?m)^(\s*)\.\. \[(\d+)\]", numbered, text).split("\n")


def _math(self: HTML5Translator, node: nodes.math | nodes.math_block) -> None:
    block = isinstance(node, nodes.math_block)
    drawn = tex2mathml(node.astext(), as_block=block)
    self.body.append(f"<div class='math' tabindex='0'>{drawn}</div>" if block else drawn)
    raise nodes.SkipNode


def banner(runs: Mapping[str, Any] | None, page: str) -> str:
    """Return the line above a page: simulated or real data, for a chapter its run and date; no `runs`: built by hand."""
    if runs is None:
        return _aside("unknown", "Built by hand. Each chapter names its data in the fold at its end.")
    if page not in runs:
        kinds = {run["simulated"] for run in runs.values()} - {None}
        if kinds == {False}:
            return _aside("real", "Real data. Each chapter names its source and its run.")
        mixed = "Some chapters show simulated data, some real data: see the line above each."
        return _aside("simulated", _SIMULATED.format("") if kinds == {True} else mixed) if kinds else ""
    run = runs[page]
    given, made = str(run["parameters"].get("atlas", "")), run["made"].replace("T", " ")
    name = run["source"].get("name") or given
    if run["simulated"]:  # a word such as "demo" says more than the folder that holds what was simulated
        kind, words = "simulated", _SIMULATED.format(f" ({given or name})" if given or name else "")
    elif run["simulated"] is False:
        kind, words = "real", f"Real data: {name}."
    else:
        kind, words = "unknown", f"Data: {name}." if name else "No atlas is read on this page."
    return _aside(kind, words, f"Run {run['key']}, {made[:16]} UTC.")


def foot(runs: Mapping[str, Any] | None, page: str) -> str:
    """Return the fold below a chapter: source, parameters, versions, time and memory of its run."""
    if runs is None or page not in runs:
        return ""
    run = runs[page]
    rows = {
        "run": run["key"],
        "made": run["made"],
        "profile": run["profile"],
        **{f"data: {key}": value for key, value in run["source"].items()},
        **{f"parameter: {key}": value for key, value in run["parameters"].items()},
        **{f"version: {key}": value for key, value in run["versions"].items()},
        "wall time, with start of the kernel": f"{run['seconds']:.0f} s",
        "peak memory, with child processes": to_text(run["peak_bytes"]),
    }
    files = [[Path("files", page, file) for file in saved] for saved in run.get("tables", {}).values()]
    tables = "".join(f"<li>{links(paths)}</li>" for paths in files)
    whole = f"<p>Tables of this chapter, whole:</p><ul>{tables}</ul>" if tables else ""
    return fold(rows, whole)


def _aside(kind: str, *sentences: str) -> str:
    words = " ".join(f"<span>{in_html(sentence)}</span>" for sentence in sentences)
    return f"<aside class='run-banner run-banner-{kind}' aria-label='Data of this page'>{words}</aside>"


def findings(site: Mapping[str, Any], *, whole: bool) -> str:
    """Return what each chapter found as Markdown, the last sentence or the `whole`; why chapters are left out."""
    runs, missing = site.get("runs", {}), site.get("missing", {})
    lines = []
    for name in sorted({*runs, *missing}):
        if left := missing.get(name):
            title, reason = escape(left["title"]), escape(left["reason"])
            lines.append(f"- {title}: not in this copy of the book. {reason}\n")
            continue
        run = runs[name]
        question = f" {escape(run['question'])}" if whole else ""
        lines.append(f"- [**{escape(run['title'])}**](/notebooks/{name}.ipynb){question}\n")
        lines += [f"  {sentence}\n" for sentence in run["in_short"][0 if whole else -1 :]]
    return "\n".join(lines) or "No chapter was run before this site was built."


def sweep_page(folder: Path) -> str:
    """Return what a sweep found as Markdown; a sentence that names the command where it was not run."""
    if (page := folder / SWEEP_PAGE).is_file():
        return page.read_text(encoding="utf-8")
    return f"This sweep was not run for this copy. To make it: `musclebook sweep {folder.name}`."
