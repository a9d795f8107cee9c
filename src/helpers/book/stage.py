"""The sources of the site, put together from pages, the current runs and the sweeps."""

import json
import shutil
from pathlib import Path
from typing import Any

import nbformat
import yaml
from nbformat import NotebookNode

from helpers.book import key, state
from helpers.book.project import Notebook, Project
from helpers.book.run import is_simulated
from helpers.errors import SiteError
from helpers.files import write_json, writing
from helpers.parameters import ATLAS

SITE_FILE = "site.json"
_LAUNCHABLE = ("github", "gitlab", "bitbucket")  # hosts from which Binder can start
_INJECTED = "injected-parameters"


def stage(project: Project, *, repository: str | None = None, branch: str = "main") -> Path:
    """Put the sources of the site together in the build folder and return where.

    Parameters
    ----------
    project
        The book; pages whose notebook was never run are left out with the notebook.
    repository
        Web address of the public repository: launch and edit buttons appear only when it is known.
    branch
        Branch or tag that those buttons open.

    Raises
    ------
    SiteError
        If no notebook of the book has a good run.
    """
    runs = {
        name: found for name, book in project.notebooks.items() if (found := state.current(project, book))
    }
    if not runs:
        msg = "no notebook has a good run yet, so there is nothing to show. Run: musclebook run"
        raise SiteError(msg)
    target = project.build / "site"
    with writing(target, owned=True) as part:
        part.mkdir()
        _copy_pages(project, part)
        for name, found in runs.items():
            _stage_notebook(project.notebooks[name], found, part / "notebooks")
        _copy_sweeps(project, part)
        (part / "_toc.yml").write_text(_toc(project, part), encoding="utf-8")
        (part / "_config.yml").write_text(_config(project, repository, branch), encoding="utf-8")
        about = {name: _about(found, project.notebooks[name]) for name, found in runs.items()}
        write_json(part / SITE_FILE, {"runs": about, "repository": repository, "branch": branch})
    return target


def merge(fresh: NotebookNode, executed: NotebookNode) -> NotebookNode:
    """Return the notebook as it is now with the outputs of its run: prose may have changed since, code not.

    Where the code differs, the executed notebook is returned as it is.
    """
    ran = [cell for cell in executed.cells if cell.cell_type == "code" and _INJECTED not in _tags(cell)]
    now = [cell for cell in fresh.cells if cell.cell_type == "code"]
    if [cell.source for cell in ran] != [cell.source for cell in now]:
        return executed
    for cell, with_outputs in zip(now, ran, strict=True):
        cell.outputs, cell.execution_count = with_outputs.outputs, with_outputs.execution_count
    fresh.metadata["language_info"] = executed.metadata.get("language_info", {"name": "python"})
    return fresh


def dress(notebook: NotebookNode, *, given: dict[str, Any], run_key: str) -> NotebookNode:
    """Make an executed notebook ready to be a page: no traces of the machine, parameters that were changed shown."""
    cells = []
    for cell in notebook.cells:
        if _INJECTED in _tags(cell):
            continue
        cell.metadata.pop("papermill", None)
        if cell.cell_type == "code" and "note.provenance(" in cell.source:
            # the foot of the page says the same and more
            cell.metadata["tags"] = [*_tags(cell), "remove-cell"]
        cells.append(cell)
        if "parameters" in _tags(cell) and given:
            lines = "\n".join(f"{name} = {shown(value)!r}" for name, value in given.items())
            cells.append(nbformat.v4.new_code_cell(f"# this run was made with\n{lines}", id="run-parameters"))
    for place, cell in enumerate(cells):
        # jupytext makes ids by chance, and a site that has not changed must not look changed
        cell["id"] = key.short([place, cell.source])[:8]
    notebook.cells = cells
    notebook.metadata.pop("papermill", None)
    notebook.metadata["musclebook"] = {"key": run_key}
    return notebook


def _stage_notebook(book: Notebook, found: dict[str, Any], target: Path) -> None:
    executed = nbformat.read(found["folder"] / f"{book.name}.ipynb", as_version=4)
    page = dress(merge(book.read(), executed), given=found.get("given", {}), run_key=found["key"])
    target.mkdir(parents=True, exist_ok=True)
    nbformat.write(page, target / f"{book.name}.ipynb")
    files = found["folder"] / "files"
    if files.is_dir():
        shutil.copytree(files, target / "files", dirs_exist_ok=True)


def _copy_pages(project: Project, part: Path) -> None:
    hidden = shutil.ignore_patterns(".*", "__pycache__")
    if (project.root / "book").is_dir():
        shutil.copytree(project.root / "book", part / "book", ignore=hidden)
    for path in project.root.glob("*.md"):
        if path.name not in {"README.md", "CHANGELOG.md"}:
            shutil.copyfile(path, part / path.name)


def _copy_sweeps(project: Project, part: Path) -> None:
    made = project.build / "sweeps"
    for folder in sorted(made.iterdir()) if made.is_dir() else ():
        if (folder / "sweep.json").is_file():
            shutil.copytree(folder, part / "sweeps" / folder.name, ignore=shutil.ignore_patterns(".*"))


def _toc(project: Project, part: Path) -> str:
    toc = yaml.safe_load((project.root / "_toc.yml").read_text(encoding="utf-8"))

    def keep(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        kept = [entry for entry in entries if "file" not in entry or _exists(part, entry["file"])]
        for entry in kept:
            for name in ("sections", "chapters"):
                if name in entry:
                    entry[name] = keep(entry[name])
        return [entry for entry in kept if "file" in entry or entry.get("chapters")]

    for name in ("parts", "chapters", "sections"):
        if name in toc:
            toc[name] = keep(toc[name])
    return yaml.safe_dump(toc, sort_keys=False)


def _exists(folder: Path, page: str) -> bool:
    return any((folder / f"{page}{suffix}").is_file() for suffix in ("", ".md", ".rst", ".ipynb"))


def _config(project: Project, repository: str | None, branch: str) -> str:
    path = project.root / "_config.yml"
    config = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {"title": "Book"}
    config["execute"] = {"execute_notebooks": "off"}
    sphinx = config.setdefault("sphinx", {}).setdefault("config", {})
    sphinx["musclebook_site"] = SITE_FILE
    address = (repository or "").rstrip("/").removesuffix(".git")
    if any(host in address.lower() for host in _LAUNCHABLE):
        config["repository"] = {"url": address, "branch": branch, "path_to_book": ""}
        config["launch_buttons"] = {
            "notebook_interface": "jupyterlab",
            "binderhub_url": "https://mybinder.org",
            "colab_url": "https://colab.research.google.com",
        }
        config.setdefault("html", {})["use_repository_button"] = True
        if "notfound_urls_prefix" in sphinx:  # project pages live in a folder named after the repository
            sphinx["notfound_urls_prefix"] = f"/{address.split('/')[-1]}/"
    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True)


def _about(found: dict[str, Any], book: Notebook) -> dict[str, Any]:
    name = found["name"]
    results_path = found["folder"] / "files" / name / "results.json"
    results = json.loads(results_path.read_text(encoding="utf-8")) if results_path.is_file() else {}
    source = results.get("source", {})
    simulated = source.get("simulated", is_simulated(found.get("atlas")))
    return {
        "title": book.sidecar.title,
        "question": book.sidecar.question,
        "minutes": book.sidecar.minutes,
        "key": found["key"],
        "made": found["made"],
        "seconds": found["seconds"],
        "peak_bytes": found["peak_bytes"],
        "profile": found["profile"],
        "simulated": bool(simulated) if ATLAS in found["parameters"] or "simulated" in source else None,
        "source": {name: shown(value) for name, value in source.items()},
        "parameters": {name: shown(value) for name, value in found["parameters"].items()},
        "versions": {**results.get("versions", {}), **found["versions"]},
        "findings": results.get("findings", {}),
        "headline": _headline(found),
        "sources_hash": key.short(found.get("parts", {}))[:12],
    }


def _headline(found: dict[str, Any]) -> str:
    # the last sentence of a chapter sums it up
    executed = nbformat.read(found["folder"] / f"{found['name']}.ipynb", as_version=4)
    said = [
        output.data["text/markdown"]
        for cell in executed.cells
        if "finding" in _tags(cell)
        for output in cell.get("outputs", [])
        if "text/markdown" in output.get("data", {})
    ]
    return said[-1] if said else ""


def shown(value: Any) -> Any:
    """Return a value as a page shows it: of a path the last part, not the folders of the machine it was made on."""
    is_path = isinstance(value, str) and Path(value).is_absolute()
    return Path(value).name if is_path else value


def _tags(cell: NotebookNode) -> list[str]:
    return list(cell.metadata.get("tags", []))
