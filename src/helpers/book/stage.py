"""The sources of the site, put together from pages, the current runs and the sweeps."""

import filecmp
import json
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
import yaml
from nbformat import NotebookNode

from helpers.book import key, run
from helpers.book.project import SWEEP_PAGE, Project, read_json, tags
from helpers.errors import SiteError
from helpers.files import cache_folder, drop_leftovers, write_json, writing
from helpers.findings import shown
from helpers.parameters import ATLAS, read_yaml

SITE_FILE = "site.json"
_INJECTED = "injected-parameters"
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]")  # no page can hold them


def stage(project: Project, *, repository: str | None = None, branch: str = "main") -> Path:
    """Put the sources of the site together in the build folder and return where.

    Pages whose notebook has no good run are left out, and what refers to them steps aside.
    """
    runs = {name: found for name in project.notebooks if (found := run.current(project, name))}
    if not runs:
        msg = "no notebook has a good run yet, so there is nothing to show. Run: musclebook run"
        raise SiteError(msg)
    reasons, missing = run.left_out(project), {}
    for name, book in project.notebooks.items():
        if name not in runs:
            reason = reasons.get(name, "It was not run for this copy of the book.")
            missing[name] = {"title": book.sidecar.title, "reason": reason}
    target = project.build / "site"
    drop_leftovers(target)
    with writing(target, owned=True) as part:
        part.mkdir()
        _copy_pages(project, part)
        pages = {path.stem for path in (project.root / "book").glob("*.md")}
        gone = {*missing, *(pages - {path.stem for path in (part / "book").glob("*.md")})}
        for path in (*part.glob("*.md"), *(part / "book").glob("*.md")):
            path.write_text(without_links(path.read_text(encoding="utf-8"), gone), encoding="utf-8")
        about = {name: _stage_notebook(project, name, found, part, gone) for name, found in runs.items()}
        toc = _kept(read_yaml(project.root / "_toc.yml"), part)
        (part / "_toc.yml").write_text(yaml.safe_dump(toc, sort_keys=False), encoding="utf-8")
        (part / "_config.yml").write_text(_config(project, repository, branch), encoding="utf-8")
        write_json(part / SITE_FILE, {"runs": about, "missing": missing})
        for new in part.rglob("*"):  # Sphinx reads again only what has another time
            old = target / new.relative_to(part)
            if new.is_file() and old.is_file() and filecmp.cmp(new, old, shallow=False):
                shutil.copystat(old, new)
    return target


def merge(fresh: NotebookNode, executed: NotebookNode) -> NotebookNode:
    """Return the notebook as it is now with the outputs of its run; the executed one if code has changed since."""
    ran = [cell for cell in executed.cells if cell.cell_type == "code" and _INJECTED not in tags(cell)]
    now = [cell for cell in fresh.cells if cell.cell_type == "code"]
    if [cell.source for cell in ran] != [cell.source for cell in now]:
        return executed
    for cell, with_outputs in zip(now, ran, strict=True):
        cell.outputs, cell.execution_count = with_outputs.outputs, with_outputs.execution_count
    fresh.metadata["language_info"] = executed.metadata.get("language_info", {"name": "python"})
    return fresh


def dress(notebook: NotebookNode, *, given: dict[str, Any], run_key: str, hidden: list[str]) -> NotebookNode:
    """Make an executed notebook ready to be a page: no traces of the machine, takeaways on top, changed parameters shown."""
    notebook.cells = [cell for cell in notebook.cells if _INJECTED not in tags(cell)]
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        if cell.cell_type == "code":
            cell.outputs = nbformat.from_dict(clean(cell.outputs, hidden))
    cells, takeaways = [], said(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code" and "note.provenance(" in cell.source:
            cell.metadata["tags"] = sorted({*tags(cell), "remove-cell"})  # the foot of the page says it
        cells.append(cell)
        if "header" in tags(cell) and takeaways:
            lines = "\n".join(f"- {sentence}" for sentence in takeaways)
            text = f":::{{admonition}} In short, from this run\n:class: tip\n{lines}\n:::"
            cells.append(nbformat.v4.new_markdown_cell(text, id="in-short"))
        if "parameters" in tags(cell) and given:
            lines = "\n".join(f"{name} = {shown(value)!r}" for name, value in given.items())
            cells.append(nbformat.v4.new_code_cell(f"# this run was made with\n{lines}", id="run-parameters"))
    for place, cell in enumerate(cells):
        # jupytext makes ids by chance, and a site that has not changed must not look changed
        cell["id"] = key.short([place, cell.source])[:8]
    notebook.cells = cells
    notebook.metadata.pop("papermill", None)
    notebook.metadata["musclebook"] = {"key": run_key}
    return notebook


def clean(value: Any, hidden: list[str]) -> Any:
    """Return a plain value without `hidden` folders of this machine and without characters that no page can hold."""
    if isinstance(value, str):
        for folder in hidden:
            value = value.replace(f"{folder}/", "").replace(folder, Path(folder).name)
        return _CONTROL.sub("\ufffd", _ESCAPES.sub("", value))
    if isinstance(value, Mapping):
        return {name: one if name.startswith("image/") else clean(one, hidden) for name, one in value.items()}
    return [clean(one, hidden) for one in value] if isinstance(value, list) else value


def hidden_folders(project: Project, given: Mapping[str, Any]) -> list[str]:
    """Return the folders of this machine that no page shows: those of files that a run was given, and our own."""
    paths = [Path(value) for value in given.values() if isinstance(value, str)]
    folders = {str(path.parent) for path in paths if path.is_absolute()}
    here = Path(run.__file__).resolve().parents[2]
    for path in (project.root, project.build, Path.home(), Path(sys.prefix), cache_folder(), here):
        folders |= {str(path), str(path.resolve())}
    folders |= {folder.rstrip("/") for folder in sys.path if folder.startswith("/")}
    return sorted((one for one in folders if one.count("/") and len(one) > 1), key=len, reverse=True)


def _stage_notebook(
    project: Project, name: str, found: dict[str, Any], part: Path, gone: set[str]
) -> dict[str, Any]:
    """Write the page of a run and its files, and return what the site knows of it."""
    book, target = project.notebooks[name], part / "notebooks"
    hidden = hidden_folders(project, found.get("parameters", {}))
    executed = nbformat.read(found["folder"] / f"{book.name}.ipynb", as_version=4)
    merged, given = merge(book.read(), executed), found.get("given", {})
    page = dress(merged, given=given, run_key=found["key"], hidden=hidden)
    for cell in page.cells:
        if cell.cell_type == "markdown":
            cell.source = without_links(cell.source, gone)
    target.mkdir(parents=True, exist_ok=True)
    nbformat.write(page, target / f"{book.name}.ipynb")
    shutil.copytree(found["folder"] / "files", target / "files", dirs_exist_ok=True)
    for path in (target / "files" / book.name).glob("*.json"):
        write_json(path, clean(json.loads(path.read_text(encoding="utf-8")), hidden))
    results = read_json(target / "files" / book.name / "results.json")
    source = results.get("source", {})
    simulated = source.get("simulated", key.is_simulated(found.get("atlas")))
    return {
        "title": book.sidecar.title,
        "question": book.sidecar.question,
        **{name: found[name] for name in ("key", "made", "seconds", "peak_bytes", "profile")},
        "simulated": bool(simulated) if ATLAS in found["parameters"] or "simulated" in source else None,
        "source": {name: shown(value) for name, value in source.items()},
        "parameters": {name: shown(value) for name, value in found["parameters"].items()},
        "versions": {**results.get("versions", {}), **found["versions"]},
        "findings": results.get("findings", {}),
        "tables": results.get("tables", {}),
        "in_short": said(page),
    }


def _copy_pages(project: Project, part: Path) -> None:
    """Copy pages and the sweeps that were made; the page of another sweep is left out, and the gallery without any."""
    hidden = shutil.ignore_patterns(".*", "__pycache__")
    if (project.root / "book").is_dir():
        shutil.copytree(project.root / "book", part / "book", ignore=hidden)
    for path in project.root.glob("*.md"):
        if path.name not in {"README.md", "CHANGELOG.md", "CONTRIBUTING.md"}:
            shutil.copyfile(path, part / path.name)
    for page in (project.build / "sweeps").glob(f"*/{SWEEP_PAGE}"):
        shutil.copytree(page.parent, part / "sweeps" / page.parent.name, ignore=hidden)
    pages = list((part / "book").glob("gallery_*.md"))
    for page in pages:
        if not (part / "sweeps" / page.stem.removeprefix("gallery_")).is_dir():
            page.unlink()
    if pages and not any(page.is_file() for page in pages):
        (part / "book" / "gallery.md").unlink(missing_ok=True)


def without_links(text: str, gone: set[str]) -> str:
    """Return Markdown in which links to pages that are not there, and to their figures, are plain words."""
    figures = tuple(f"fig-{name[:2]}-" for name in gone if name[:2].isdecimal())

    def plain(match: re.Match[str]) -> str:
        lost = Path(match["target"]).stem in gone or match["target"].startswith(figures)
        return ((match["words"] or "").strip() or "(not in this copy)") if lost else match[0]

    text = re.sub(r"\[(?P<words>[^\]\n]+)\]\((?P<target>[^)#\s:]+)(?:#[^)\s]*)?\)", plain, text)
    return re.sub(r"\{(?:doc|ref|numref)\}`(?:(?P<words>[^`<]+)<)?(?P<target>[^`<>]+)>?`", plain, text)


def _kept(entry: dict[str, Any], part: Path) -> dict[str, Any] | None:
    """Return an entry of the contents without the pages that are not there; None if nothing is left of it."""
    inner = {name: entry[name] for name in ("parts", "chapters", "sections") if name in entry}
    kept = {name: value for name, value in entry.items() if name not in inner}
    for name, entries in inner.items():
        if some := [one for each in entries if (one := _kept(each, part))]:
            kept[name] = some
    there = any(part.glob(f"{entry['file']}.*")) if "file" in entry else {"root", "chapters"} & kept.keys()
    return kept if there else None


def _config(project: Project, repository: str | None, branch: str) -> str:
    path = project.root / "_config.yml"
    config = read_yaml(path) if path.is_file() else {"title": "Book"}
    config["execute"] = {"execute_notebooks": "off"}
    sphinx = config.setdefault("sphinx", {}).setdefault("config", {})
    sphinx["musclebook_site"] = SITE_FILE
    address = (repository or "").rstrip("/").removesuffix(".git")
    if re.search("github|gitlab|bitbucket", address.lower()):  # Binder can start from these
        config["repository"] = {"url": address, "branch": branch, "path_to_book": ""}
        config["launch_buttons"] = {
            "notebook_interface": "jupyterlab",
            "binderhub_url": "https://mybinder.org",
            "colab_url": "https://colab.research.google.com",
        }
        config.setdefault("html", {})["use_repository_button"] = True
        install = f"`%pip install --quiet 'musclebook @ git+{repository}@{branch}'`"
        sphinx["myst_substitutions"] = {"install": f"On Colab, run this cell first: {install}"}
        if "notfound_urls_prefix" in sphinx:  # project pages live in a folder named after the repository
            sphinx["notfound_urls_prefix"] = f"/{address.split('/')[-1]}/"
    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True)


def said(executed: NotebookNode) -> list[str]:
    """Return the sentences below the heading "In short", as the run wrote them, or else the last of the chapter."""
    found, last, inside = [], [], False
    for cell in executed.cells:
        if cell.cell_type == "markdown" and (heading := re.search(r"(?m)^#+ +(.*)$", cell.source)):
            inside = heading[1].strip().lower() in {"in short", "in one sentence"}
        if {"finding", "remove-input", "hide-input"} & tags(cell):
            outputs = [output.get("data", {}).get("text/markdown") for output in cell.get("outputs", [])]
            texts = [text for text in outputs if text is not None]
            last = texts[-1:] or last
            found += texts if inside else []
    return found or last
