"""The real release from the hub: listed, fetched, resumed, checked, and its commit recorded."""

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

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
from huggingface_hub.utils import build_hf_headers

from helpers import budget, files, names
from helpers.errors import DownloadError
from helpers.facts import study

RECORD = "download.json"
_ATTEMPTS = 3  # connections without a new byte before a file is given up
_PAUSE = 0.5  # seconds between two connections
_STALLED = 30.0  # seconds without a byte that end a connection
_SLOWEST, _WINDOW = 1024, 60.0  # bytes a second, over that many seconds, below which a server is given up
_SPARE = 64 * 2**20  # bytes to leave free on the disk
_TRANSPORT = HfHubHTTPError.__bases__[0]  # the error of the hub's own HTTP client, whichever that is
_NO_ANSWER = (OfflineModeIsEnabled, _TRANSPORT, OSError)
# how the client stumbles over the page of a guest network
_NONSENSE = (ValueError, TypeError, KeyError, AttributeError)


class _Remote(NamedTuple):
    """A file on the hub: its size in bytes and its hash, SHA-256 of large files, git's SHA-1 of small ones."""

    name: str
    size: int
    hash: str

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


class _FileError(Exception):
    """One file cannot be had; the others may be."""


@dataclass
class _Work:
    """One download: where from, where to, and how far."""

    api: huggingface_hub.HfApi
    repository: str
    folder: Path
    progress: Callable[[int, int], None]
    commit: str = ""
    total: int = 0
    done: int = 0
    pace: tuple[float, int] = (0.0, 0)  # start of the window over which speed is measured, bytes before it

    def part(self, remote: _Remote) -> Path:
        # the hash in its name keeps a part from being continued with another version of the file
        return self.folder / f".{remote.name}.{remote.hash[:12]}.part"

    def url(self, name: str) -> str:
        place = {"repo_type": "dataset", "revision": self.commit, "endpoint": self.api.endpoint}
        return huggingface_hub.hf_hub_url(self.repository, name, **place)

    def advance(self, n_bytes: int) -> None:
        self.done += n_bytes
        self.progress(self.done, self.total)

    def require_pace(self) -> None:
        """Give a file up whose bytes come too slowly, over however many connections."""
        now, (start, before) = time.monotonic(), self.pace
        if now - start >= _WINDOW:
            if self.done - before < _SLOWEST * _WINDOW:
                msg = f"the server sends less than {_SLOWEST:,} bytes a second; what came is kept"
                raise _FileError(msg)
            self.pace = (now, self.done)

    def hide(self, text: str) -> str:
        """Return a text without the token, and addresses without what stands before an @."""
        shown = text.replace(self.api.token, "***") if self.api.token else text
        return re.sub(r"//[^/\s]*@", "//", shown)

    def first_line(self, error: BaseException) -> str:
        return self.hide((str(error).strip().splitlines() or [type(error).__name__])[0].rstrip("."))

    def fail(self, text: str, cause: BaseException | None = None) -> NoReturn:
        """Raise what ends the whole download."""
        # what a client says may hold the address with its password: its own chain of errors is not shown
        raise DownloadError(self.hide(text)) from (None if "@" in str(self.api.endpoint) else cause)


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
    """Fetch the twelve files of a release into `folder`; what is whole is kept, what was cut off goes on.

    A file gets its name only after its size and hash are those the hub states. No more is written than the hub
    announced, links are not followed, and a second download into the same folder is refused while one runs.

    Parameters
    ----------
    revision
        Commit, branch or tag; the newest commit of the main branch if none. The commit is fixed at the start.
    endpoint
        Address of another hub.
    token
        For a repository that is private or gated. It is sent to the hub alone and kept nowhere.
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
        If the hub cannot be reached or answers with something else, the repository lacks files, the disk is too
        small, or a file arrives damaged. Nothing is left under the name of a file that is not whole.
    """
    folder = Path(folder)
    api = huggingface_hub.HfApi(endpoint=endpoint, token=token or False)
    work = _Work(api, repository, folder, progress or (lambda _done, _total: None))
    remotes = _list_release(work, revision)
    files.require_writable(folder)
    with files.storing(folder, any_fault=True):
        folder.mkdir(parents=True, exist_ok=True)
    with _alone(work):
        wanted = [remote for remote in remotes if not remote.matches(folder / remote.name)]
        if not force:
            _spare_others(work, wanted)
        _require_space(work, wanted)
        faults = [fault for remote in wanted if (fault := _fetch(work, remote))]
        if faults:
            found = f"{len(faults)} of {len(remotes)} files could not be fetched whole: {'; '.join(faults)}"
            work.fail(f"{found}. Whole files are kept: run the same download again.")
        record = {"repository": repository, "revision": revision or "main", "commit": work.commit}
        record["downloaded"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        record["files"] = {one.name: {"size": one.size, one.kind: one.hash} for one in remotes}
        files.write_json(folder / RECORD, record)
    return record


def _list_release(work: _Work, revision: str | None) -> list[_Remote]:
    """Fix the commit and return the files of the release at it."""
    api, repository = work.api, work.repository
    try:
        info = api.dataset_info(repository, revision=revision, files_metadata=True, timeout=30)
        commit, listed = info.sha, {sibling.rfilename: sibling for sibling in info.siblings or []}
    except (*_NO_ANSWER, *_NONSENSE) as error:
        work.fail(_explain(work, error, revision), error)
    if not re.fullmatch(r"[0-9a-f]{40}", str(commit)):
        found = f"names no commit of {repository} but {str(commit)[:60]!r}"
        work.fail(f"{api.endpoint} {found}. Check --endpoint.")
    work.commit = commit
    if missing := [name for name in names.RELEASE_FILES if name not in listed]:
        where = f"{repository} at commit {commit[:12]}"
        found = f"{len(missing)} of the {len(names.RELEASE_FILES)} files of a release: {', '.join(missing)}"
        work.fail(f"{where} lacks {found}. Give another repository or revision; nothing was fetched.")
    return [_describe(work, listed[name]) for name in names.RELEASE_FILES]


def _describe(work: _Work, listed: Any) -> _Remote:
    """Return size and hash of a listed file; a mirror that lists none is asked for them file by file."""
    large = listed.lfs  # of a large file, size and hash stand here, and the others are those of a pointer
    size, value = (large.get("size"), large.get("sha256")) if large else (listed.size, listed.blob_id)
    if size is None or not value:
        url = work.url(listed.rfilename)
        try:
            stated = huggingface_hub.get_hf_file_metadata(url, token=work.api.token, timeout=30)
            size, value = stated.size, stated.etag
        except GatedRepoError as error:
            work.fail(_explain(work, error), error)
        except (*_NO_ANSWER, *_NONSENSE):
            size = None  # a mirror of files alone
    if type(size) is not int or size < 0 or not re.fullmatch(r"[0-9a-f]{40}([0-9a-f]{24})?", str(value)):
        found = f"states no size and hash of {listed.rfilename}, so nothing that arrives could be checked"
        remedy = "Fetch from the public hub, or from a mirror that states them; nothing was fetched."
        work.fail(f"{work.api.endpoint} {found}. {remedy}")
    return _Remote(listed.rfilename, size, value)


@contextmanager
def _alone(work: _Work) -> Iterator[None]:
    """Keep a second download out of the folder."""
    path = work.folder / ".download.lock"
    with ExitStack() as held:
        try:
            held.enter_context(filelock.FileLock(path, timeout=0))
        except filelock.Timeout:
            work.fail(f"another download is filling {work.folder}. Wait for it, or give another folder.")
        except (OSError, NotImplementedError) as error:
            work.fail(f"{path} cannot be made ({work.first_line(error)}). Give another folder.", error)
        held.callback(path.unlink, missing_ok=True)
        yield


def _spare_others(work: _Work, wanted: list[_Remote]) -> None:
    """Refuse to replace files that an earlier call did not fetch as they are: a project's own README, an edit."""
    try:
        recorded = json.loads((work.folder / RECORD).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        recorded = {}
    lost = []
    for name in (remote.name for remote in wanted if os.path.lexists(work.folder / remote.name)):
        known = recorded.get(name, {})
        fetched = _Remote(name, known.get("size"), known.get("sha256") or known.get("git_sha1") or "")
        lost += [name] * (not fetched.matches(work.folder / name))
    if lost:
        fault = "which differ from the hub's and were not downloaded as they are: edited, damaged, or of something else"
        remedy = "Nothing was changed. Name another folder, or give --force to replace them."
        work.fail(f"{work.folder} holds {', '.join(lost)}, {fault}. {remedy}")


def _require_space(work: _Work, wanted: list[_Remote]) -> None:
    held = sum(part.lstat().st_size for part in map(work.part, wanted) if part.is_file())
    work.total, free = sum(remote.size for remote in wanted), shutil.disk_usage(work.folder).free
    if wanted and free < (needed := work.total - held + _SPARE):
        found = f"do not fit: {work.folder} has {budget.to_text(free)} free"
        remedy = "Free some space or give a folder on another disk; nothing was fetched."
        work.fail(f"{len(wanted)} files of {budget.to_text(needed)} {found}. {remedy}")


def _fetch(work: _Work, remote: _Remote) -> str | None:
    """Fetch one file to its part, check it and name it; return what is wrong with it, if anything."""
    part = work.part(remote)
    if os.path.lexists(part) and (part.is_symlink() or not part.is_file() or part.stat().st_nlink > 1):
        return f"{remote.name}: {part} is a link or no plain file, never written to. Remove it"
    try:
        part.touch()
        work.advance(part.stat().st_size)
        work.pace = (time.monotonic(), work.done)
        _transfer(work, remote, part)
        if not remote.matches(part):
            part.unlink()
            wanted = f"{remote.size:,} bytes, {remote.kind} {remote.hash[:12]}…"
            return f"{remote.name} arrived damaged (not the {wanted} of the hub) and was removed"
        part.replace(work.folder / remote.name)
    except GatedRepoError as error:
        work.fail(_explain(work, error), error)
    except HfHubHTTPError as error:
        status = error.response.status_code
        what = "is not there" if status == 404 else "was refused"
        return f"{remote.name} {what} ({status}) at commit {work.commit[:12]}"
    except (OfflineModeIsEnabled, _TRANSPORT) as error:
        kept = f"{part.lstat().st_size:,} of {remote.size:,} bytes are kept: run it again to go on."
        work.fail(f"{remote.name}: {_explain(work, error)} {kept}", error)
    except (OSError, _FileError) as error:
        return f"{remote.name}: {work.first_line(error)}"
    for older in work.folder.glob(f".{remote.name}.*.part"):
        older.unlink()
    return None


def _transfer(work: _Work, remote: _Remote, part: Path) -> None:
    """Fetch the bytes that a part lacks, over as many connections as it takes."""
    attempts = _ATTEMPTS
    while (held := part.lstat().st_size) < remote.size:
        lost = None
        try:
            _receive(work, remote, part, held)
        except HfHubHTTPError:
            raise
        except _TRANSPORT as error:
            lost = error
        attempts = _ATTEMPTS if part.lstat().st_size > held else attempts - 1
        if not attempts:
            raise lost or _FileError("the server ends before the file does")
        time.sleep(_PAUSE)
        work.require_pace()


def _receive(work: _Work, remote: _Remote, part: Path, held: int) -> None:
    """Fetch over one connection: from `held` on where the server can, never past the stated size."""
    headers = build_hf_headers(token=work.api.token) | {"Accept-Encoding": "identity"}
    if held:
        headers["Range"] = f"bytes={held}-"
    session = huggingface_hub.get_session()
    descriptor = os.open(part, os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0))
    with (
        os.fdopen(descriptor, "wb", closefd=True) as stream,
        session.stream("GET", work.url(remote.name), headers=headers, timeout=_STALLED) as answer,
    ):
        if answer.is_error:
            answer.read()
        huggingface_hub.utils.hf_raise_for_status(answer)
        if held and answer.status_code != 206:  # the whole file came though a part was asked for
            work.advance(-held)
            held = 0
        stream.truncate(held)
        stream.seek(held)
        size = held
        for block in answer.iter_raw():
            size += len(block)
            if size > remote.size:
                stream.truncate(0)
                page = "text/html" in answer.headers.get("Content-Type", "")
                what = "a web page (a login of this network?)" if page else "something longer"
                msg = f"{what} came in place of the {remote.size:,} bytes of the hub, and was removed"
                raise _FileError(msg)
            stream.write(block)
            work.advance(len(block))
            work.require_pace()


def _explain(work: _Work, error: BaseException, revision: str | None = None) -> str:
    """Say in words why the hub did not answer with a dataset, and what to do."""
    name, hub, said = work.repository, work.api.endpoint, f"{type(error).__name__}: {work.first_line(error)}"
    if isinstance(error, GatedRepoError):
        anonymous = "--token or HF_TOKEN gives that of an account"
        token = "the token given has none" if work.api.token else anonymous
        return f"{name} is gated: its owner grants access on its page, and {token}. Ask there, then run it again."
    if isinstance(error, RevisionNotFoundError):
        return f"{name} has no revision {revision!r}. Give a commit, branch or tag of it, or none for the newest."
    if isinstance(error, RepositoryNotFoundError | HFValidationError):
        return f"there is no public dataset {name!r} at {hub}. Check owner and name; a private one needs --token or HF_TOKEN."
    if isinstance(error, HfHubHTTPError):
        return f"the hub at {hub} refused: {work.first_line(error)}. Try again later."
    if type(error).__name__ == "TooManyRedirects":
        return f"the hub at {hub} sends from one address to the next without end ({said}). Check --endpoint."
    if isinstance(error, _NO_ANSWER):
        remedy = "This machine looks offline: connect it, or make a release up with `musclebook simulate`."
        return f"the hub at {hub} cannot be reached ({said}). {remedy}"
    remedy = "Log in if this network shows a page of its own, or check --endpoint."
    return f"{hub} answers, but not with the description of a dataset ({said[:120]}). {remedy}"
