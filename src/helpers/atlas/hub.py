"""What the hub holds of a release: the commit, the files, their sizes and hashes."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from helpers import files, names
from helpers.errors import DownloadError

TRANSPORT = HfHubHTTPError.__bases__[0]  # the error of the hub's own HTTP client, whichever that is


@dataclass(frozen=True)
class Remote:
    """A file on the hub: its size in bytes and its hash, SHA-256 of large files, git's SHA-1 of small ones."""

    name: str
    size: int
    kind: str
    hash: str

    def hash_of(self, path: Path) -> str:
        """Return the hash of a local file, of the kind the hub states."""
        if self.kind == "sha256":
            return files.digest(path)
        content = path.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()

    def matches(self, path: Path) -> bool:
        """Tell whether a local file is this one, by size and hash."""
        return path.is_file() and path.stat().st_size == self.size and self.hash_of(path) == self.hash


def list_release(
    api: huggingface_hub.HfApi, repository: str, revision: str | None
) -> tuple[str, list[Remote]]:
    """Return the commit and the files of a release at that commit.

    Parameters
    ----------
    api
        The hub.
    repository
        Dataset on it, owner/name.
    revision
        Commit, branch or tag; the newest commit of the main branch if none.

    Raises
    ------
    DownloadError
        If the hub cannot be reached, or the repository, the revision or files of a release are not there.
    """
    try:
        info = api.dataset_info(repository, revision=revision, files_metadata=True, timeout=30)
    except RevisionNotFoundError as error:
        msg = f"{repository} has no revision {revision!r}. Give a commit, branch or tag of it, or none for the newest."
        raise DownloadError(msg) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        msg = f"there is no public dataset {repository!r} at {api.endpoint}. Check owner and name."
        raise DownloadError(msg) from error
    except (OfflineModeIsEnabled, TRANSPORT, OSError) as error:
        raise DownloadError(explain(api, error)) from error
    listed = {sibling.rfilename: sibling for sibling in info.siblings or []}
    missing = [name for name in names.RELEASE_FILES if name not in listed]
    if missing:
        msg = (
            f"{repository} at commit {info.sha[:12]} lacks {len(missing)} of the {len(names.RELEASE_FILES)} files of a "
            f"release: {', '.join(missing)}. Give another repository or revision; nothing was fetched."
        )
        raise DownloadError(msg)
    remotes = []
    for name in names.RELEASE_FILES:
        entry = listed[name]
        kind, value = ("sha256", entry.lfs["sha256"]) if entry.lfs else ("git_sha1", entry.blob_id)
        remotes.append(Remote(name, int(entry.lfs["size"] if entry.lfs else entry.size), kind, value))
    return info.sha, remotes


def explain(api: huggingface_hub.HfApi, error: BaseException) -> str:
    """Say in words why the hub did not answer."""
    if isinstance(error, HfHubHTTPError):
        return f"the hub at {api.endpoint} refused: {first_line(error)}. Try again later."
    return (
        f"the hub at {api.endpoint} cannot be reached ({type(error).__name__}: {first_line(error)}). This machine looks "
        "offline: connect it, or make a release up with `musclebook simulate`."
    )


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
