"""Sphinx extension of the book: the banner and foot of a page, recorded values in prose, math without scripts."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

from helpers.book import gallery, mathml, reference
from helpers.book.directives import FindingsTable, Headlines, InstallCell, finding_of
from helpers.book.shown import banner, foot

_log = logging.getLogger(__name__)


class FindingRole(SphinxRole):
    """A recorded value: ``{finding}`03_age_de:donors``` with unit and interval, ``...:donors.number``` alone.

    A format may follow: ``{finding}`03_age_de:share.number:.1%```.
    """

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
        return [nodes.inline("", finding_of(name, found).text(part, spec), classes=["finding"])], []


def setup(app: Sphinx) -> dict[str, Any]:
    """Register everything with Sphinx."""
    app.add_config_value("musclebook_site", "", "env", [str])
    app.add_role("finding", FindingRole())
    app.add_directive("findings-table", FindingsTable)
    app.add_directive("headlines", Headlines)
    app.add_directive("install-cell", InstallCell)
    app.connect("config-inited", _load_redirects)
    app.connect("builder-inited", _load_site)
    app.connect("build-finished", _copy_results)
    app.connect("html-page-context", _dress_page, priority=900)
    reference.register(app)
    app.connect("source-read", gallery.write_gallery)
    mathml.register(app)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _script_text(script: Any) -> str:
    return f"{getattr(script, 'filename', script)} {getattr(script, 'attributes', {}).get('body', '')}"


def _load_redirects(app: Sphinx, config: Config) -> None:
    # pages that moved are listed in a file of their own, which sphinx_reredirects does not read
    path = Path(app.srcdir) / "book" / "redirects.yml"
    if path.is_file() and "redirects" in config:
        config["redirects"] = yaml.safe_load(path.read_text(encoding="utf-8")) or {}


def _load_site(app: Sphinx) -> None:
    path = Path(app.srcdir) / app.config.musclebook_site
    site = json.loads(path.read_text(encoding="utf-8")) if app.config.musclebook_site else None
    app.musclebook_site = site or {}  # type: ignore[attr-defined]
    app.musclebook_runs = None if site is None else site["runs"]  # type: ignore[attr-defined]


def _copy_results(app: Sphinx, failure: Exception | None) -> None:
    # a book built by hand writes result files beside its notebooks; the tables on the pages link to them
    for folder in (
        Path(app.srcdir).glob("*/results") if failure is None and not app.config.musclebook_site else ()
    ):
        shutil.copytree(folder, Path(app.outdir) / folder.relative_to(app.srcdir), dirs_exist_ok=True)


def _dress_page(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    del templatename
    # editable cells are not offered; their script would be declared twice and name a server of others
    scripts = context.get("script_files", [])
    context["script_files"] = [one for one in scripts if "thebe" not in _script_text(one).lower()]
    if not context.get("body") or doctree is None:
        return
    runs = app.musclebook_runs  # type: ignore[attr-defined]
    name = Path(pagename).name
    context["body"] = banner(runs, name) + context["body"] + foot(runs, name)
    # a wide table scrolls in its own box, which the keyboard can reach
    context["body"] = re.sub(
        r"(<div class=\"pst-scrollable-table-container\")", r'\1 tabindex="0"', context["body"]
    )
