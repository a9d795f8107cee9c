"""Parts of pages that are made from the runs: all findings, schedules, the cell for Colab."""

from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective

from helpers.book import schedule
from helpers.findings import Finding

INSTALL = "%pip install --quiet 'musclebook @ git+{repository}@{branch}'"


def finding_of(name: str, stored: dict[str, Any]) -> Finding:
    """Return a finding as it was recorded."""
    interval = stored.get("interval")
    return Finding(name, stored["value"], stored.get("unit"), tuple(interval) if interval else None)


class Headlines(SphinxDirective):
    """The last sentence of each chapter, as its run wrote it."""

    optional_arguments: ClassVar[int] = 1
    final_argument_whitespace: ClassVar[bool] = True

    def run(self) -> list[nodes.Node]:
        """Make a list of chapters; those named, or all."""
        runs = self.env.app.musclebook_runs or {}  # type: ignore[attr-defined]
        wanted = self.arguments[0].split() if self.arguments else list(runs)
        made = nodes.bullet_list()
        for name in wanted:
            if runs.get(name, {}).get("headline"):
                item = nodes.list_item(
                    "", nodes.paragraph("", "", link_to(name, runs[name]["title"], page=self.env.docname))
                )
                item += headline(self, runs[name]["headline"])
                made += item
        return (
            [made]
            if made.children
            else [nodes.paragraph(text="No chapter was run before this site was built.")]
        )


def headline(directive: SphinxDirective, text: str) -> list[nodes.Node]:
    """Return a sentence of a run as nodes; values in it were escaped when it was written."""
    holder = nodes.container()
    directive.state.nested_parse(StringList(text.splitlines(), source="headline"), 0, holder)
    return holder.children


def link_to(name: str, title: str, *, page: str) -> nodes.Node:
    """Return a link from a page to a chapter."""
    link = addnodes.pending_xref(
        "",
        nodes.strong(text=title),
        refdomain="std",
        reftype="doc",
        reftarget=f"/notebooks/{name}",
        refexplicit=True,
    )
    link["refdoc"] = page
    return link


class FindingsTable(SphinxDirective):
    """All recorded values, by chapter."""

    def run(self) -> list[nodes.Node]:
        """Make a section of each chapter."""
        runs = self.env.app.musclebook_runs or {}  # type: ignore[attr-defined]
        if not runs:
            return [nodes.paragraph(text="No chapter was run before this site was built.")]
        made: list[nodes.Node] = []
        for name, run in runs.items():
            section = nodes.section(ids=[nodes.make_id(f"findings-{name}")])
            section += nodes.title(text=run.get("title") or name)
            section += nodes.paragraph("", "", nodes.emphasis(text=run.get("question", "")))
            section += headline(self, run.get("headline", ""))
            rows = [
                (key.replace("_", " "), finding_of(key, one).text()) for key, one in run["findings"].items()
            ]
            section += table(("what", "found"), rows)
            made.append(section)
        return made


class Schedule(SphinxDirective):
    """A schedule of a workshop."""

    required_arguments: ClassVar[int] = 1

    def run(self) -> list[nodes.Node]:
        """Make a table of the blocks."""
        length = directives.choice(self.arguments[0], tuple(schedule.LENGTHS))
        runs = self.env.app.musclebook_runs or {}  # type: ignore[attr-defined]
        chapters = {name: run for name, run in runs.items() if run.get("minutes")}
        if not chapters:
            return [nodes.paragraph(text=f"The {length} schedule is made when the chapters were run.")]
        blocks = schedule.plan(chapters, length=length)
        rows = [(block.clock, f"{block.minutes} min", block.what) for block in blocks]
        return [nodes.rubric(text=length.capitalize()), table(("start", "length", "what"), rows)]


class InstallCell(SphinxDirective):
    """The cell that makes Colab ready, with the address of the repository that the site was built for."""

    def run(self) -> list[nodes.Node]:
        """Make a block of code."""
        site = self.env.app.musclebook_site  # type: ignore[attr-defined]
        cell = install_cell(
            site.get("repository") or "https://HOST/OWNER/REPOSITORY", site.get("branch") or "main"
        )
        return [nodes.literal_block(cell, cell, language="ipython3")]


def install_cell(repository: str, branch: str) -> str:
    """Return the cell that installs the package in a hosted notebook."""
    return INSTALL.format(repository=repository.rstrip("/"), branch=branch)


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> nodes.table:
    """Return a table whose cells are plain text, so that nothing in the data is read as markup."""
    made = nodes.table(classes=["table-plain"])
    group = nodes.tgroup(cols=len(head))
    made += group
    group += [nodes.colspec(colwidth=1) for _ in head]
    group += nodes.thead("", _row(head))
    group += nodes.tbody("", *[_row(row) for row in rows])
    return made


def _row(cells: tuple[str, ...]) -> nodes.row:
    return nodes.row("", *[nodes.entry("", nodes.paragraph(text=cell)) for cell in cells])
