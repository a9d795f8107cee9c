"""The real release from the hub: listed, fetched, resumed, checked, and its commit recorded."""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers

from helpers import budget, files
from helpers.atlas import hub
from helpers.errors import DownloadError
from helpers.facts import study

RECORD = "download.json"
_ATTEMPTS = 3  # rounds without a new byte, each of several connections, before a file is given up
_SPARE = 64 * 2**20  # bytes to leave free on the disk


@dataclass
class _Work:
    """One download: where from, where to, and how far."""

    api: huggingface_hub.HfApi
    repository: str
    commit: str
    folder: Path
    progress: Callable[[int, int], None]
    total: int = 0
    done: int = 0
    faults: list[str] = field(default_factory=list)

    def part(self, remote: hub.Remote) -> Path:
        # the hash in its name keeps a part from being continued with another version of the file
        return self.folder / f".{remote.name}.{remote.hash[:12]}.part"

    def advance(self, n_bytes: int) -> None:
        self.done += n_bytes
        self.progress(self.done, self.total)


def download(
    folder: str | Path,
    repository: str = study.HUB_REPOSITORY,
    *,
    revision: str | None = None,
    endpoint: str | None = None,
    token: str | None = None,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Fetch the twelve files of a release into `folder`.

    Files that are there and whole are kept. A file that is cut off continues where it stopped, in this call or in
    the next one. A file gets its name only after its size and hash are those the hub states.

    Parameters
    ----------
    folder
        Made if it is not there.
    repository
        Dataset on the hub, owner/name.
    revision
        Commit, branch or tag; the newest commit of the main branch if none. The commit is fixed at the start.
    endpoint
        Address of another hub; the public one if none.
    token
        For a repository that is not public; anonymous if none.
    force
        Replace files of a release's names that are neither the hub's nor what an earlier call fetched.
    progress
        Called with the bytes fetched so far and all bytes to fetch.

    Returns
    -------
    dict
        The record, also written as ``download.json``: repository, revision asked for, commit, files with size and
        hash, date.

    Raises
    ------
    DownloadError
        If the hub cannot be reached, the repository lacks files, the disk is too small, or a file arrives
        damaged. Nothing is left under the name of a file that is not whole.
    """
    folder = Path(folder)
    api = huggingface_hub.HfApi(endpoint=endpoint, token=token or False)
    commit, remotes = hub.list_release(api, repository, revision)
    folder.mkdir(parents=True, exist_ok=True)
    work = _Work(api, repository, commit, folder, progress or (lambda _done, _total: None))
    wanted = [remote for remote in remotes if not remote.matches(folder / remote.name)]
    if not force:
        _spare_others(folder, wanted)
    _require_space(work, wanted)
    for remote in wanted:
        _fetch(work, remote)
    if work.faults:
        msg = (
            f"{len(work.faults)} of {len(remotes)} files could not be fetched whole: {'; '.join(work.faults)}. "
            "Whole files are kept: run the same download again."
        )
        raise DownloadError(msg)
    record = {
        "repository": repository,
        "revision": revision or "main",
        "commit": commit,
        "downloaded": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "files": {remote.name: {"size": remote.size, remote.kind: remote.hash} for remote in remotes},
    }
    files.write_json(folder / RECORD, record)
    return record


def _spare_others(folder: Path, wanted: list[hub.Remote]) -> None:
    """Refuse to replace files that an earlier call did not fetch as they are: a project's own README, an edit."""
    try:
        recorded = json.loads((folder / RECORD).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        recorded = {}
    lost = []
    for remote in wanted:
        path, known = folder / remote.name, recorded.get(remote.name, {})
        kind = next((kind for kind in ("sha256", "git_sha1") if kind in known), "")
        ours = kind and hub.Remote(remote.name, known["size"], kind, known[kind]).matches(path)
        if (path.exists() or path.is_symlink()) and not ours:
            lost.append(remote.name)
    if lost:
        msg = (
            f"{folder} holds {', '.join(lost)}, which differ from the hub's and were not downloaded as they are: edited, "
            f"damaged, or of something else. Nothing was changed. Name another folder, or give --force to replace them."
        )
        raise DownloadError(msg)


def _require_space(work: _Work, wanted: list[hub.Remote]) -> None:
    parts = {remote: work.part(remote) for remote in wanted}
    held = sum(part.stat().st_size for part in parts.values() if part.is_file())
    work.total = sum(remote.size for remote in wanted)
    free = shutil.disk_usage(work.folder).free
    needed = work.total - held + _SPARE
    if wanted and free < needed:
        msg = (
            f"{len(wanted)} files of {budget.to_text(needed)} do not fit: {work.folder} has {budget.to_text(free)} free. "
            "Free some space or give a folder on another disk; nothing was fetched."
        )
        raise DownloadError(msg)


def _fetch(work: _Work, remote: hub.Remote) -> None:
    """Fetch one file to its part, check it and name it; a fault of this file is noted, being offline ends all."""
    part = work.part(remote)
    if part.is_file() and part.stat().st_size > remote.size:
        part.unlink()
    work.advance(part.stat().st_size if part.is_file() else 0)
    try:
        _transfer(work, remote, part)
    except HfHubHTTPError as error:
        status = error.response.status_code
        what = "is not there (404)" if status == 404 else f"was refused ({status})"
        work.faults.append(f"{remote.name} {what} at commit {work.commit[:12]}")
        return
    except (OfflineModeIsEnabled, hub.TRANSPORT) as error:
        kept = part.stat().st_size if part.is_file() else 0
        msg = f"{remote.name}: {hub.explain(work.api, error)} {kept:,} of {remote.size:,} bytes are kept: run it again to go on."
        raise DownloadError(msg) from error
    except OSError as error:
        work.faults.append(f"{remote.name}: {hub.first_line(error)}")
        return
    if not remote.matches(part):
        found = f"{part.stat().st_size:,} bytes, {remote.kind} {remote.hash_of(part)[:12]}…"
        part.unlink()
        work.faults.append(
            f"{remote.name} arrived damaged ({found} instead of {remote.size:,} bytes, {remote.hash[:12]}…) and was removed"
        )
        return
    part.replace(work.folder / remote.name)
    for older in work.folder.glob(f".{remote.name}.*.part"):
        older.unlink()


def _transfer(work: _Work, remote: hub.Remote, part: Path) -> None:
    """Fetch the bytes that a part lacks, over as many connections as it takes."""
    url = huggingface_hub.hf_hub_url(
        work.repository, remote.name, repo_type="dataset", revision=work.commit, endpoint=work.api.endpoint
    )
    headers = build_hf_headers(token=work.api.token)
    part.touch()
    attempts = _ATTEMPTS
    while (held := part.stat().st_size) < remote.size:
        try:
            with part.open("r+b") as stream:
                stream.seek(held)
                http_get(
                    url,
                    _Counted(stream, work),
                    resume_size=held,
                    headers=headers,
                    expected_size=remote.size,
                    tqdm_class=_Silent,
                )
        except hub.TRANSPORT as error:
            attempts = attempts - 1 if part.stat().st_size == held else _ATTEMPTS
            if isinstance(error, HfHubHTTPError) or attempts == 0:
                raise


class _Counted:
    """A file that reports what is written to it."""

    def __init__(self, stream: Any, work: _Work) -> None:
        self.stream, self.work = stream, work

    def write(self, block: bytes) -> int:
        written = self.stream.write(block)
        self.work.advance(written)
        return written

    def tell(self) -> int:
        return self.stream.tell()

    def seek(self, place: int) -> int:
        return self.stream.seek(place)

    def truncate(self) -> int:
        # the server sent the whole file though a part was asked for: start over
        place = self.stream.tell()
        self.work.advance(place - self.stream.seek(0, 2))
        self.stream.seek(place)
        return self.stream.truncate()


class _Silent:
    """Stands where the hub's client wants a progress bar of its own."""

    def __init__(self, **_options: Any) -> None:
        self.n = 0

    def __enter__(self) -> "_Silent":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def update(self, n_bytes: int = 1) -> None:
        self.n += n_bytes

    def close(self) -> None:
        """Nothing to close."""
