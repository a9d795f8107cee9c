"""The real release from the hub: listed, fetched, resumed, checked, and its commit recorded."""

import hashlib
import io
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import huggingface_hub
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers
from huggingface_hub.utils.tqdm import silent_tqdm

from helpers import files, names
from helpers.errors import DownloadError, MusclebookError
from helpers.facts import study

RECORD = "download.json"
_SPARE = 64 * 2**20  # bytes to leave free on the disk
_TRANSPORT = HfHubHTTPError.__bases__[0]  # the error of the hub's own HTTP client, whichever that is


@dataclass(frozen=True)
class _Remote:
    """A file on the hub: its size in bytes and its hash, SHA-256 of large files, git's SHA-1 of small ones."""

    name: str
    size: int
    hash: str
    url: str = ""

    @property
    def kind(self) -> str:
        return "sha256" if len(self.hash) == 64 else "git_sha1"

    def matches(self, path: Path) -> bool:
        """Tell whether a local file is this one, by size and hash."""
        if not path.is_file() or path.stat().st_size != self.size:
            return False
        if self.kind == "sha256":
            return files.digest(path) == self.hash
        content = b"blob %d\0" % self.size + path.read_bytes()
        return hashlib.sha1(content, usedforsecurity=False).hexdigest() == self.hash

    def part(self, folder: Path) -> Path:
        """Return where the file arrives; the hash keeps it from being continued with another version."""
        return folder / f".{self.name}.{self.hash[:12]}.part"


class _TooLongError(Exception):
    """More came than the hub announced."""


class _Arriving(io.FileIO):
    """A file that is being fetched, appended to: never longer than announced, and it tells how far it is."""

    def __init__(self, path: Path, most: int, tell: Callable[[int], None]) -> None:
        super().__init__(path, "a")
        self._most, self._tell = most, tell

    def write(self, block: bytes) -> int:
        if self.tell() + len(block) > self._most:
            raise _TooLongError
        written = super().write(block)
        self._tell(self.tell())
        return written


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
    the next one. A file gets its name only after its size and hash are those the hub states. No more is written than
    the hub announced, links are not followed, and a second download into the same folder is refused while one runs.

    Parameters
    ----------
    revision
        Commit, branch or tag; the newest commit of the main branch if none. The commit is fixed at the start.
    endpoint
        Address of another hub; the public one if none.
    token
        For a repository that is private or gated; anonymous if none. It is sent to the hub alone and kept nowhere.
    force
        Replace files of a release's names that are neither the hub's nor what an earlier call fetched.
    progress
        Called with the bytes fetched so far and all bytes to fetch.

    Returns
    -------
    dict
        The record, also written as ``download.json``: repository, revision, commit, files with size and hash, date.

    Raises
    ------
    DownloadError
        If the hub cannot be reached or answers with something else, the repository lacks files, or a file arrives
        damaged. Nothing is left under the name of a file that is not whole.
    StorageError
        If the disk is too small or cannot be written.
    """
    folder = Path(folder)
    api = huggingface_hub.HfApi(endpoint=endpoint, token=token or False)
    huggingface_hub.logging.set_verbosity_error()  # its warnings show addresses with their passwords
    with _asking(api, repository, revision):
        commit, remotes = _list_release(api, repository, revision)
    files.require_writable(folder)
    with files.storing(folder, any_fault=True):
        folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        wanted = [remote for remote in remotes if not remote.matches(folder / remote.name)]
        if not force:
            _spare_others(folder, wanted)
        parts = [remote.part(folder) for remote in wanted]
        held = sum(part.stat().st_size for part in parts if part.is_file())
        total, done = sum(remote.size for remote in wanted), 0
        if wanted:
            files.require_room(folder / RECORD, total - held + _SPARE)
        tell = progress or (lambda _done, _total: None)
        for remote in wanted:
            with _asking(api, repository, revision):
                _fetch(api, folder, remote, lambda arrived, before=done: tell(before + arrived, total))
            done += remote.size
        record = {
            "repository": repository,
            "revision": revision or "main",
            "commit": commit,
            "downloaded": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "files": {remote.name: {"size": remote.size, remote.kind: remote.hash} for remote in remotes},
        }
        files.write_json(folder / RECORD, record)
    return record


def _list_release(
    api: huggingface_hub.HfApi, repository: str, revision: str | None
) -> tuple[str, list[_Remote]]:
    """Return the commit, fixed from now on, and the files of the release at it."""
    info = api.dataset_info(repository, revision=revision, timeout=30)
    commit, listed = str(info.sha), {sibling.rfilename for sibling in info.siblings or []}
    if not re.fullmatch(r"[0-9a-f]{40}", commit):
        msg = f"it names no commit of {repository} but {commit[:60]!r}"
        raise ValueError(msg)
    missing = [name for name in names.RELEASE_FILES if name not in listed]
    if missing:
        msg = (
            f"{repository} at commit {commit[:12]} lacks {len(missing)} of the {len(names.RELEASE_FILES)} files of a "
            f"release: {', '.join(missing)}. Give another repository or revision; nothing was fetched."
        )
        raise DownloadError(msg)
    return commit, [_describe(api, repository, commit, name) for name in names.RELEASE_FILES]


def _describe(api: huggingface_hub.HfApi, repository: str, commit: str, name: str) -> _Remote:
    """Return size and hash of a file, as the hub states them."""
    place = {"repo_type": "dataset", "revision": commit, "endpoint": api.endpoint}
    url = huggingface_hub.hf_hub_url(repository, name, **place)
    stated = huggingface_hub.get_hf_file_metadata(url, token=api.token, timeout=30)
    size, value = stated.size, str(stated.etag)
    if type(size) is not int or size < 0 or not re.fullmatch(r"[0-9a-f]{40}([0-9a-f]{24})?", value):
        msg = (
            f"{_hide(api.endpoint)} states no size and hash of {name}, so nothing that arrives could be checked. "
            "Fetch from the public hub, or from a mirror that states them; nothing was fetched."
        )
        raise DownloadError(msg)
    return _Remote(name, size, value, url)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep a second download out of the folder."""
    path = folder / ".download.lock"
    lock = filelock.FileLock(path, timeout=0)
    try:
        with files.storing(path, any_fault=True):
            lock.acquire()
    except filelock.Timeout:
        msg = f"another download is filling {folder}. Wait for it, or give another folder."
        raise DownloadError(msg) from None
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()


def _spare_others(folder: Path, wanted: list[_Remote]) -> None:
    """Refuse to replace files that an earlier call did not fetch as they are: a project's own README, an edit."""
    try:
        recorded = json.loads((folder / RECORD).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        recorded = {}
    lost = []
    for name in (remote.name for remote in wanted):
        path, known = folder / name, recorded.get(name, {})
        fetched = _Remote(name, known.get("size"), known.get("sha256") or known.get("git_sha1") or "")
        if (path.exists() or path.is_symlink()) and not fetched.matches(path):
            lost.append(name)
    if lost:
        msg = (
            f"{folder} holds {', '.join(lost)}, which differ from the hub's and were not downloaded as they are: "
            "edited, damaged, or of something else. Nothing was changed. Name another folder, or give --force to replace them."
        )
        raise DownloadError(msg)


def _fetch(api: huggingface_hub.HfApi, folder: Path, remote: _Remote, tell: Callable[[int], None]) -> None:
    """Fetch one file to its part, check it and name it."""
    part, fault = remote.part(folder), ""
    plain = part.is_file() and not part.is_symlink() and part.stat().st_nlink == 1
    if not plain and (part.exists() or part.is_symlink()):
        msg = f"{part} is a link or no plain file, which a download never writes to. Remove it."
        raise DownloadError(msg)
    headers = build_hf_headers(token=api.token) | {"Accept-Encoding": "identity"}
    try:
        with _Arriving(part, remote.size, tell) as stream:
            options = {"expected_size": remote.size, "tqdm_class": silent_tqdm}
            http_get(remote.url, stream, resume_size=stream.tell(), headers=headers, **options)
    except GatedRepoError:
        raise
    except HfHubHTTPError as error:
        fault = f"the hub answers {error.response.status_code}, though it lists the file"
    except _TooLongError:
        part.unlink()
        fault = f"more than its {remote.size:,} bytes came (a page of this network?) and were removed"
    except OSError as error:
        fault = _first_line(error)
    else:
        if not remote.matches(part):
            part.unlink()
            wanted = f"{remote.size:,} bytes, {remote.kind} {remote.hash[:12]}…"
            fault = f"it arrived damaged (not the {wanted} of the hub) and was removed"
    if fault:
        msg = (
            f"{remote.name} could not be fetched whole: {fault}. Whole files and what arrived are kept: run the same "
            "download again."
        )
        raise DownloadError(msg)
    part.replace(folder / remote.name)
    for older in folder.glob(f".{remote.name}.*.part"):
        older.unlink()


def _hide(text: str) -> str:
    """Return a text with nothing before the @ of an address."""
    return re.sub(r"//[^/\s]*@", "//", text)


def _first_line(error: BaseException) -> str:
    return _hide((str(error).strip().splitlines() or [type(error).__name__])[0].rstrip("."))


@contextmanager
def _asking(api: huggingface_hub.HfApi, repository: str, revision: str | None) -> Iterator[None]:
    """Say in words why the hub did not give what was asked for, and what to do."""
    hub = _hide(api.endpoint)
    try:
        yield
        return
    except MusclebookError:
        raise
    except GatedRepoError:
        told = "the token given has none" if api.token else "--token or HF_TOKEN gives that of an account"
        msg = f"{repository} is gated: its owner grants access on its page, and {told}. Ask there, then run it again."
    except RevisionNotFoundError:
        msg = f"{repository} has no revision {revision!r}. Give a commit, branch or tag of it, or none for the newest."
    except (RepositoryNotFoundError, HFValidationError):
        msg = (
            f"there is no public dataset {repository!r} at {hub}. Check owner and name; a private one needs --token or "
            "HF_TOKEN."
        )
    except HfHubHTTPError as error:
        reason = _hide(" ".join(str(error).split()))
        msg = f"the hub at {hub} refused: {reason}. Try again later."
    except (OfflineModeIsEnabled, _TRANSPORT, ValueError, TypeError, KeyError, AttributeError) as error:
        # a guest network answers with a page of its own, over which the client stumbles in many ways
        msg = (
            f"the hub at {hub} cannot be reached ({type(error).__name__}: {_first_line(error)[:120]}). What arrived is "
            "kept. Connect this machine, log in if its network shows a page of its own, check --endpoint, or make a "
            "release up with `musclebook simulate`."
        )
    # what a client says may hold the address with its password: its own chain of errors is not shown
    raise DownloadError(msg) from None
