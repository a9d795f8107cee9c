"""Files written whole or not at all, and the hashes that name them."""

import ctypes
import errno
import hashlib
import json
import os
import platform
import re
import shutil
import stat
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import platformdirs
import psutil

from helpers import names
from helpers.errors import StorageError

CACHE_VARIABLE = "MUSCLEBOOK_CACHE"
MARKER = ".musclebook.json"  # in a folder that a command wrote: what kind it is, and the hash of each file
_CONVERTED = re.compile(
    rf"{re.escape(names.STEM)}\.converted-[0-9a-f]{{16}}\.h5ad"
)  # opening a release may add it
HOMELESS = {
    "NUMBA_CACHE_DIR": "numba",
    "MPLCONFIGDIR": "matplotlib",
    "IPYTHONDIR": "ipython",
    "JUPYTER_DATA_DIR": "jupyter/data",
    "JUPYTER_CONFIG_DIR": "jupyter/config",
    "JUPYTER_RUNTIME_DIR": "jupyter/runtime",
    "HF_HOME": "huggingface",
}  # environment variables of libraries that else write below the home folder
REMEMBERED = 2**24  # bytes; smaller files are hashed each time
SETTLED = 2 * 10**9  # nanoseconds; a younger file may change again without a change of its times
_FULL = os.strerror(errno.ENOSPC)


def cache_folder() -> Path:
    """Return the folder of simulated releases and converted atlases.

    The one place that reads the environment: ``MUSCLEBOOK_CACHE`` if it is set, else the user's cache folder, else a
    temporary folder of this user where there is no home to write in.
    """
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named).expanduser()
    usual = Path(platformdirs.user_cache_dir("musclebook"))
    return usual if can_write(usual) else temporary_home() / "musclebook"


def pointer_hint(path: Path) -> str:
    """Return what to do about a file in whose place Git LFS left a pointer; nothing for any other file."""
    try:
        with path.open("rb") as stream:
            held = stream.read(40)
    except OSError:
        return ""
    told = " It is a Git LFS pointer, not the file itself: fetch the file with `git lfs pull`."
    return told if held.startswith(b"version https://git-lfs") else ""


def can_write(folder: Path) -> bool:
    """Tell whether a folder, or the nearest folder around it that exists, takes files."""
    there = next((one for one in (folder, *folder.parents) if one.exists()), None)
    return there is not None and there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def temporary_home() -> Path:
    """Return a temporary folder that only this user can write, the same one each time where that is safe."""
    folder = Path(tempfile.gettempdir()) / f"musclebook-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = folder.lstat()
        ours = not hasattr(os, "getuid") or (about.st_uid == os.getuid() and not about.st_mode & 0o022)
        if stat.S_ISDIR(about.st_mode) and ours:
            return folder
    return Path(tempfile.mkdtemp(prefix="musclebook-"))


def make_up_for_no_home() -> None:
    """Give libraries that insist on a home a temporary one where this user has none: containers with a random user."""
    if can_write(Path("~").expanduser()):
        return
    home = temporary_home()
    for name, place in HOMELESS.items():
        os.environ.setdefault(name, str(home / place))


@contextmanager
def writing(path: Path, *, kind: str = "", force: bool = False, owned: bool = False) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success it takes the name, on failure it is removed.

    Works for a file or a folder. An older file or folder of that name stays until the new one is whole. A folder
    replaces another only as `claim` allows, and is marked with what was written.

    Parameters
    ----------
    path
        The name.
    kind
        What a folder holds; only one of the same kind is replaced.
    force
        Replace a folder that holds files of others.
    owned
        The name is our own, in the build folder or the cache: whatever has it is replaced.

    Raises
    ------
    StorageError
        If the disk is full, the place cannot be written, or a folder there is not ours.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "table.txt"
    >>> with writing(target) as part:
    ...     _ = part.write_text("whole")
    >>> target.read_text()
    'whole'
    """
    path = Path(path)
    with storing(path, any_fault=True):
        path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name[:80]}.{_maker()}-{uuid.uuid4().hex[:8]}.part")
    try:
        with storing(path):
            yield part
        if part.is_dir() and not owned:
            claim(path, kind=kind, force=force)  # again: files may have come while we wrote
            with storing(path):
                mark(part, kind=kind)
        with storing(path, any_fault=True):
            replace(part, path)
    finally:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            with suppress(OSError):  # a read-only disk refuses even to remove what is not there
                part.unlink(missing_ok=True)


def claim(folder: Path, *, kind: str, force: bool = False, inputs: Iterable[str | Path] = ()) -> list[str]:
    """Refuse a place for a folder that may not be replaced, before any work; return what `force` would give up.

    A folder may be replaced if it is empty, or if an earlier call wrote it, of the same kind, and it holds nothing
    else: no file of others, none that was edited since.

    Parameters
    ----------
    folder
        Where the new folder goes.
    kind
        What it will hold, as given to `writing`.
    force
        Allow files of others in it. Never allowed: a link, a file, a folder around the working folder, the home
        folder or an input.
    inputs
        What is read meanwhile, and must not be replaced.

    Returns
    -------
    list of str
        Files that go although they are not ours; empty unless `force`.

    Raises
    ------
    StorageError
        If the place may not be replaced, or cannot be written.
    """
    folder = Path(folder)
    require_utf8(folder)
    _require_replaceable(folder, inputs)
    with storing(folder, any_fault=True):
        lost = foreign(folder, kind=kind)
    if lost and not force:
        more = f" and {len(lost) - 4:,} more" if len(lost) > 4 else ""
        msg = (
            f"{str(folder)!r} holds what this command did not write: {', '.join(lost[:4])}{more}. Nothing was changed. "
            f"Name a new folder or move these away; --force replaces the folder with all that is in it."
        )
        raise StorageError(msg)
    require_writable(folder)
    return lost


def claim_file(path: Path, *, force: bool = False, inputs: Iterable[str | Path] = ()) -> None:
    """Refuse a place for a file that has one already, before any work."""
    path = Path(path)
    if path.is_symlink() or path.is_dir():
        _refuse(path, "is a symbolic link" if path.is_symlink() else "is a folder", "a new file")
    if any(_same_place(path, Path(one)) for one in inputs):
        _refuse(path, "is what is read", "a new file")
    if path.exists() and path.stat().st_size and not force:
        msg = f"{str(path)!r} exists already. Nothing was changed. Name a new file, or give --force to replace it."
        raise StorageError(msg)
    require_writable(path.parent)


def foreign(folder: Path, *, kind: str) -> list[str]:
    """Return the files of a folder that `writing` did not put there as they are, by relative name."""
    # another process may replace the folder while it is read: then what was seen is no whole
    for _ in range(50):
        state, before = _state(folder), _marker(folder)
        with suppress(FileNotFoundError):
            lost = _not_ours(folder, before.get("files", {}) if before.get("kind") == kind else {})
            if not lost or _state(folder) == state:
                return lost
    return ["files that change while they are looked at"]


def _state(folder: Path) -> tuple[int, int] | None:
    """Tell one writing of a folder from the next, also where both wrote the same."""
    with suppress(OSError):
        found = (folder / MARKER).stat()
        return found.st_ino, found.st_mtime_ns
    return None


def _marker(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("files"), dict) else {}


def _not_ours(folder: Path, known: dict[str, str]) -> list[str]:
    lost = []
    for path in _everything(folder) if folder.is_dir() else ():
        name = path.relative_to(folder).as_posix()
        if _CONVERTED.fullmatch(name) and known and not path.is_symlink():
            continue
        if path.is_symlink() or not path.is_file() or known.get(name) != digest(path):
            lost.append(name if name not in known else f"{name} (edited)")
    return lost


def intact(folder: Path, *, kind: str) -> bool:
    """Whether all that `mark` listed in a folder is there as it was; what was added does not matter."""
    marker = _marker(folder)
    try:
        listed = marker.get("files", {}).items()
        return marker.get("kind") == kind and all(digest(folder / name) == known for name, known in listed)
    except (OSError, TypeError):
        return False


def mark(folder: Path, *, kind: str) -> None:
    """Write into a folder what it is and what it holds, so that a later call knows its own."""
    made = {path.relative_to(folder).as_posix(): digest(path) for path in _everything(folder)}
    text = json.dumps({"made_by": "musclebook", "kind": kind, "files": made}, ensure_ascii=False)
    (folder / MARKER).write_text(text + "\n", encoding="utf-8")


def set_aside(folder: Path, *, kind: str) -> None:
    """Give a folder another name if it holds what we did not write, so that nothing of others is replaced."""
    if folder.is_symlink() or foreign(folder, kind=kind):
        number = next(number for number in range(1, 10_000) if not _beside(folder, number).exists())
        folder.rename(_beside(folder, number))


def _beside(folder: Path, number: int) -> Path:
    return folder.with_name(f"{folder.name}.edited-{number}")


def _everything(folder: Path) -> Iterator[Path]:
    """Give all that is below a folder and is no folder itself, the marker left out; links are not followed."""

    def fail(problem: OSError) -> None:
        raise problem

    for root, inner, outer in os.walk(folder, onerror=fail):
        links = [name for name in inner if Path(root, name).is_symlink()]
        for name in sorted(outer + links):
            if Path(root) != folder or name != MARKER:
                yield Path(root, name)


def _require_replaceable(folder: Path, inputs: Iterable[str | Path]) -> None:
    wanted = "a new folder"
    if folder.is_symlink():
        _refuse(folder, f"is a symbolic link to {os.path.realpath(folder)}", wanted)
    if folder.exists() and not folder.is_dir():
        _refuse(folder, "is a file", wanted)
    if not folder.exists():
        return
    kept = [("the working folder", Path(os.curdir)), ("the home folder", Path(os.path.expanduser("~")))]  # noqa: PTH111
    for words, other in kept + [(f"{str(one)!r}, which is read", Path(one)) for one in inputs]:
        if other.exists() and _same_place(folder, other):
            _refuse(folder, f"is {words}", wanted)
        if other.exists() and folder.resolve() in other.resolve().parents:
            _refuse(folder, f"holds {words}", wanted)


def _same_place(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _refuse(path: Path, why: str, wanted: str) -> None:
    msg = f"{str(path)!r} {why} and is left as it is. Name {wanted}."
    raise StorageError(msg)


def replace(part: Path, path: Path) -> None:
    """Give a whole file or folder its name, once it is on the disk; what had the name is removed after that.

    Parameters
    ----------
    part
        The new file or folder, beside `path`.
    path
        Its name. Another process may write it at the same time: the later one stays.
    """
    if not part.is_dir():
        _sync(part)
        part.replace(path)
        return
    for inside in part.rglob("*"):
        if inside.is_file():
            _sync(inside)
    old = path.with_name(f"{part.name}.old")
    while True:
        if path.is_dir():
            if _exchange(part, path):
                shutil.rmtree(part, ignore_errors=True)
                return
            with suppress(FileNotFoundError):  # another process may just be replacing it
                path.rename(old)
        try:
            part.rename(path)
        except OSError as problem:
            if problem.errno in (errno.ENOTEMPTY, errno.EEXIST) and path.is_dir():
                shutil.rmtree(old, ignore_errors=True)
                continue  # another process was faster
            if old.is_dir() and not path.exists():
                old.rename(path)
            raise
        shutil.rmtree(old, ignore_errors=True)
        return


def _sync(path: Path) -> None:
    """Wait until a file is on the disk: a name may not outlive a power cut that its content does not."""
    with suppress(OSError), path.open("rb") as stream:
        os.fsync(stream.fileno())


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders trade names in one step, so that neither name is ever gone; False where the system cannot."""
    try:
        trade = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):  # not Linux
        return False
    here = -100  # AT_FDCWD
    return trade(here, os.fsencode(one), here, os.fsencode(other), 2) == 0  # RENAME_EXCHANGE


def drop_leftovers(path: Path) -> None:
    """Remove what killed processes of this machine left of `path`; a copy they had moved aside gets its name back."""
    if not path.parent.is_dir():
        return
    pattern = re.compile(rf"\.+{re.escape(path.name[:80])}\.{_machine()}-(\d+)-[0-9a-f]{{8}}\.part(.*)")
    for found in list(path.parent.iterdir()):
        match = pattern.fullmatch(found.name)
        if match is None or psutil.pid_exists(int(match[1])):
            continue
        if match[2] == ".old" and not path.exists():
            found.rename(path)
        elif found.is_dir():
            shutil.rmtree(found, ignore_errors=True)
        else:
            found.unlink(missing_ok=True)


@contextmanager
def storing(path: Path, *, any_fault: bool = False) -> Iterator[None]:
    """Say in words why `path` could not be written."""
    try:
        yield
    except (StorageError, TimeoutError):
        raise
    except (UnicodeEncodeError, TypeError):  # pyarrow says the one, polars the other
        require_utf8(path)
        raise
    except Exception as problem:
        number = getattr(problem, "errno", None)
        if number is None and _FULL in str(problem):  # polars says it in words only
            number = errno.ENOSPC
        certain = number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
        if not certain and not (any_fault and isinstance(problem, OSError)):
            raise
        fault = StorageError(_explain(path, problem, number))
        fault.errno = number
        raise fault from problem


def require_utf8(path: str | Path) -> None:
    """Refuse a path whose bytes are not UTF-8: the libraries that read and write Parquet take no other."""
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        msg = (
            f"the path {str(path)!r} is not UTF-8, which Parquet files need. Rename it, or make a link of a plain name "
            f"to it and give the link."
        )
        raise StorageError(msg) from None


def require_writable(folder: Path) -> None:
    """Refuse a folder that cannot be written, before the costly step that fills it."""
    require_utf8(folder)
    with storing(folder, any_fault=True):
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder.parent):
            pass


def require_room(path: Path, needed: int) -> None:
    """Refuse a file that does not fit on its disk, before it is begun."""
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        msg = (
            f"{str(path)!r} cannot be written: {_FULL}, it needs about {needed:,} bytes and {free:,} are free. Nothing "
            f"was written, and what was there before is unchanged. Free some space, or write elsewhere."
        )
        raise StorageError(msg)


def _explain(path: Path, problem: Exception, number: int | None) -> str:
    reason = str(problem) if number is None else os.strerror(number)
    remedy = "Free some space, or write elsewhere" if reason == _FULL else "Give a place that can be written"
    if cache_folder() in path.parents:
        remedy += f"; {CACHE_VARIABLE} names the cache folder"
    return (
        f"{str(path)!r} cannot be written: {reason}. Nothing half-written is kept, and what was there before is "
        f"unchanged. {remedy}."
    )


def _machine() -> str:
    """Return a short word for this machine: process numbers mean nothing on another one."""
    return digest_text(platform.node())[:6]


def _maker() -> str:
    return f"{_machine()}-{os.getpid()}"


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    with writing(Path(path)) as part:
        part.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hexadecimal digits."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fingerprint(path: str | Path) -> str:
    """Return a hash of all that a file or a folder holds: any change of content changes it.

    Hashes of large files are remembered in the cache folder, together with the size, the times and the number that
    the file system gives the file; whatever differs in these is read again. Of a release folder the release's own
    files and its truth are hashed, of another folder every file that is not hidden; never our own converted copy.
    """
    path = Path(path)
    if path.is_dir():
        inside = [one for one in sorted(path.rglob("*")) if one.is_file() and _counts(one.relative_to(path))]
        if (path / names.EXPRESSION_FILE).is_file():
            truth = path / names.TRUTH_FOLDER
            inside = [
                one
                for one in inside
                if (one.parent == path and one.name in names.RELEASE_FILES) or truth in one.parents
            ]
        return digest_text(
            json.dumps([(one.relative_to(path).as_posix(), fingerprint(one)) for one in inside])
        )
    about = path.stat()
    if about.st_size < REMEMBERED:
        return digest(path)
    said = [
        str(path.resolve()),
        about.st_size,
        about.st_mtime_ns,
        about.st_ctime_ns,
        about.st_ino,
        about.st_dev,
    ]
    known = cache_folder() / "fingerprints" / f"{digest_text(json.dumps(said))[:32]}"
    with suppress(OSError, ValueError):
        found = known.read_text(encoding="ascii")
        if re.fullmatch(r"[0-9a-f]{64}", found):
            return found
    found = digest(path)
    if time.time_ns() - max(about.st_mtime_ns, about.st_ctime_ns) > SETTLED and path.stat() == about:
        with suppress(StorageError, OSError), writing(known) as part:
            part.write_text(found, encoding="ascii")
    return found


def _counts(name: Path) -> bool:
    return not any(part.startswith(".") for part in name.parts) and not _CONVERTED.fullmatch(name.name)


def digest_text(text: str) -> str:
    """Return the SHA-256 of a text, 64 hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
