"""Parts of pages that are made from the runs: what was found, what is left out, the cell for Colab."""

from typing import Any, ClassVar

from docutils import nodes
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective

from helpers.findings import Finding

INSTALL = "%pip install --quiet 'musclebook @ git+{repository}@{branch}'"
NO_RUN = "No chapter was run before this site was built."


def finding_of(name: str, stored: dict[str, Any]) -> Finding:
    """Return a finding as it was recorded."""
    interval = stored.get("interval")
    return Finding(name, stored["value"], stored.get("unit"), tuple(interval) if interval else None)


class FromRuns(SphinxDirective):
    """A part of a page that is made anew when the runs of the site change."""

    @property
    def site(self) -> dict[str, Any]:
        """What the site shows."""
        if self.config.musclebook_site:
            self.env.note_dependency(self.config.musclebook_site)
        return self.env.app.musclebook_site or {}  # type: ignore[attr-defined]

    @property
    def runs(self) -> dict[str, Any]:
        """The runs by chapter."""
        return self.site.get("runs", {})

    def markdown(self, text: str) -> list[nodes.Node]:
        """Return a sentence of a run as nodes; values in it were escaped when it was written."""
        holder = nodes.container()
        self.state.nested_parse(StringList(text.splitlines(), source="sentence"), 0, holder)
        return holder.children

    def link(self, name: str, title: str) -> nodes.Node:
        """Return a link from this page to a chapter."""
        target = {
            "refdomain": "std",
            "reftype": "doc",
            "reftarget": f"/notebooks/{name}",
            "refexplicit": True,
        }
        link = addnodes.pending_xref("", nodes.strong(text=title), **target)
        link["refdoc"] = self.env.docname
        return link


class Headlines(FromRuns):
    """What each chapter found, in a sentence of its run, and which chapters are left out and why."""

    optional_arguments: ClassVar[int] = 1
    final_argument_whitespace: ClassVar[bool] = True

    def run(self) -> list[nodes.Node]:
        """Make a list of chapters; those named, or all."""
        runs, missing = self.runs, self.site.get("missing", {})
        wanted = self.arguments[0].split() if self.arguments else [*runs, *missing]
        made = nodes.bullet_list()
        for name in sorted(wanted):
            if runs.get(name, {}).get("headline"):
                item = nodes.list_item("", nodes.paragraph("", "", self.link(name, runs[name]["title"])))
                item += self.markdown(runs[name]["headline"])
                made += item
            elif name in missing:
                words = f"{self.site['titles'][name]}: not in this copy of the book. {missing[name]}"
                made += nodes.list_item("", nodes.paragraph(text=words))
        return [made] if made.children else [nodes.paragraph(text=NO_RUN)]


class FindingsTable(FromRuns):
    """What the chapters found, in the words of their runs, by the question that each asks."""

    def run(self) -> list[nodes.Node]:
        """Make a table with one row a chapter."""
        rows = [
            (
                [
                    nodes.paragraph("", "", self.link(name, run["title"])),
                    nodes.paragraph(text=run["question"]),
                ],
                [one for sentence in run["in_short"] for one in self.markdown(sentence)],
            )
            for name, run in self.runs.items()
        ]
        rows += [
            ([nodes.paragraph(text=self.site["titles"][name])], [nodes.paragraph(text=f"Left out. {reason}")])
            for name, reason in self.site.get("missing", {}).items()
        ]
        made = table(("question", "what the run found"), rows)
        made["classes"] += ["table-findings"]
        return [made] if rows else [nodes.paragraph(text=NO_RUN)]


class InstallCell(FromRuns):
    """How to open the chapters elsewhere, for a site that knows its repository; else how to run them here."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Make the text and the block of code, or one sentence."""
        repository = self.site.get("repository")
        if not repository:
            words = (
                "This copy was built without the address of its repository, so nothing can be launched from its "
                "pages. Run the chapters on your own machine, as above."
            )
            return [nodes.paragraph(text=words)]
        cell = install_cell(repository, self.site.get("branch") or "main")
        text = self.markdown("\n".join(self.content))
        return [*text, nodes.literal_block(cell, cell, language="ipython3")]


def install_cell(repository: str, branch: str) -> str:
    """Return the cell that installs the package in a hosted notebook."""
    return INSTALL.format(repository=repository.rstrip("/"), branch=branch)


def table(head: tuple[str, ...], rows: list[tuple[list[nodes.Node], ...]]) -> nodes.table:
    """Return a table whose cells are nodes, so that nothing in the data is read as markup."""
    made = nodes.table(classes=["table-plain"])
    group = nodes.tgroup(cols=len(head))
    made += group
    group += [nodes.colspec(colwidth=1) for _ in head]
    group += nodes.thead("", _row([[nodes.paragraph(text=one)] for one in head]))
    group += nodes.tbody("", *[_row(row) for row in rows])
    return made


def _row(cells: Any) -> nodes.row:
    return nodes.row("", *[nodes.entry("", *cell) for cell in cells])
