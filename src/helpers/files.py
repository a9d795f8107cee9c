"""Files written whole or not at all, read with a clear error, and the hashes that name them."""

import errno
import fcntl
import hashlib
import itertools
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
from helpers.errors import MusclebookError, StorageError

CACHE_VARIABLE = "MUSCLEBOOK_CACHE"
MARKER = ".musclebook.json"  # in a folder that a command wrote: what kind it is, and the hash of each file
# opening a release may add it
_CONVERTED = re.compile(rf"{re.escape(names.STEM)}\.converted-[0-9a-f]{{16}}\.h5ad")
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
_FULL, _ROOM = os.strerror(errno.ENOSPC), "Free some space, or write elsewhere"
# process numbers mean nothing on another machine
_MACHINE = hashlib.sha256(platform.node().encode()).hexdigest()[:6]
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)  # whatever was being done


def cache_folder() -> Path:
    """Return the folder of simulated releases and converted atlases.

    It is ``MUSCLEBOOK_CACHE``, else the user's cache folder, else a temporary one where there is no home to write in.
    """
    if named := os.environ.get(CACHE_VARIABLE):
        return Path(named).expanduser()
    usual = Path(platformdirs.user_cache_dir("musclebook"))
    return usual if can_write(usual) else temporary_home() / "musclebook"


def pointer_hint(path: Path) -> str:
    """Return what to do about a file in whose place Git LFS left a pointer; nothing for any other file."""
    with suppress(OSError), path.open("rb") as stream:
        if stream.read(40).startswith(b"version https://git-lfs"):
            return " It is a Git LFS pointer, not the file itself: fetch the file with `git lfs pull`."
    return ""


@contextmanager
def reading(
    path: Path, kind: str = "Parquet", *, fault: type[MusclebookError], remedy: str
) -> Iterator[None]:
    """Say in words, with its name and size, why a file cannot be read."""
    try:
        yield
    except (MusclebookError, MemoryError):
        raise
    except Exception as problem:
        size = path.stat().st_size if path.exists() else 0
        said = [str(problem) or type(problem).__name__, *getattr(problem, "__notes__", [])]
        reason = " ".join(" ".join(said).split())[:300]  # anndata notes where in the file
        hint = pointer_hint(path) or f" {remedy}"
        msg = f"{path} ({size:,} bytes) cannot be read as {kind}: {reason}.{hint}"
        raise fault(msg) from problem


def can_write(folder: Path) -> bool:
    """Tell whether a folder, or the nearest folder around it that exists, takes files."""
    there = next((one for one in (folder, *folder.parents) if one.exists()), None)
    return there is not None and there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def temporary_home() -> Path:
    """Return a temporary folder that only this user can write, the same one each time where that is safe."""
    folder = Path(tempfile.gettempdir()) / f"musclebook-{os.getuid()}"
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = folder.lstat()
        if stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid() and not about.st_mode & 0o022:
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
    """Give a temporary path beside `path`, for a file or a folder; on success it takes the name, else it is removed.

    What has the name stays until the new one is whole. A folder replaces another only as `claim` allows, unless it is
    `owned`: in the build folder or the cache. It is marked with its kind and the hashes of what was written. Every way
    to fail to write is a `StorageError`.
    """
    path = Path(path)
    with storing(path, any_fault=True):
        path.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(path)
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
        with suppress(OSError):  # a read-only disk refuses even to remove what is not there
            _remove(part)


def part_of(path: Path) -> Path:
    """Return the place beside a path where it is made; the name tells the maker, for `drop_leftovers`."""
    return path.with_name(f".{path.name[:80]}.{_MACHINE}-{os.getpid()}-{uuid.uuid4().hex[:8]}.part")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def claim(folder: Path, *, kind: str, force: bool = False, inputs: Iterable[str | Path] = ()) -> list[str]:
    """Refuse a place for a folder that may not be replaced, before any work; return what `force` would give up.

    A folder may be replaced if it is empty, or if an earlier call wrote it, of the same kind, and it holds nothing
    else: no file of others, none that was edited since. `force` gives these up, but never a link, a file, or a folder
    around the working folder, the home folder or an input.
    """
    folder = Path(folder)
    if folder.is_symlink():
        _refuse(folder, f"is a symbolic link to {os.path.realpath(folder)}")
    if _is_no_folder(folder):
        _refuse(folder, "is a file")
    kept = {"the working folder": ".", "the home folder": os.path.expanduser("~")}  # noqa: PTH111
    for words, other in (kept | {f"{str(one)!r}, which is read": one for one in inputs}).items():
        there = Path(other).resolve()
        with suppress(FileNotFoundError):  # either may be absent
            if any(map(folder.samefile, (there, *there.parents))):
                _refuse(folder, f"is or holds {words}")
    with storing(folder, any_fault=True):
        drop_leftovers(folder)
        lost = foreign(folder, kind=kind)
    if lost and not force:
        more = f" and {len(lost) - 4:,} more" if len(lost) > 4 else ""
        remedy = "Name a new folder or move these away; --force replaces the folder with all that is in it."
        found = f"{str(folder)!r} holds what this command did not write: {', '.join(lost[:4])}{more}"
        msg = f"{found}. Nothing was changed. {remedy}"
        raise StorageError(msg)
    require_writable(folder)
    return lost


def claim_file(path: Path, *, force: bool = False, inputs: Iterable[str | Path] = ()) -> None:
    """Refuse a place for a file that has one already, before any work."""
    path = Path(path)
    if path.is_symlink() or path.is_dir():
        _refuse(path, "is a symbolic link" if path.is_symlink() else "is a folder")
    if path.exists() and any(Path(one).exists() and path.samefile(one) for one in inputs):
        _refuse(path, "is what is read")
    if path.exists() and path.stat().st_size and not force:
        msg = f"{str(path)!r} exists already. Nothing was changed. Name a new file, or give --force to replace it."
        raise StorageError(msg)
    require_writable(path.parent)


def _is_no_folder(path: Path) -> bool:
    """Whether something else has this name, asked once: a folder that is being replaced is away for a moment."""
    try:
        return not stat.S_ISDIR(path.stat().st_mode)
    except OSError:
        return False


def _refuse(path: Path, why: str) -> None:
    msg = f"{str(path)!r} {why} and is left as it is. Name a new place."
    raise StorageError(msg)


def foreign(folder: Path, *, kind: str) -> list[str]:
    """Return the files of a folder that `writing` did not put there as they are, by relative name."""
    if not folder.is_dir():
        return []
    with _turn(folder.parent):  # nobody replaces it while it is looked at
        known = _listed(folder, kind)
        lost = []
        for path in _everything(folder):
            name = path.relative_to(folder).as_posix()
            same = path.is_file() and known.get(name) == digest(path)
            if path.is_symlink() or not (same or (known and _CONVERTED.fullmatch(name))):
                lost.append(f"{name} (edited)" if name in known else name)
        return lost


@contextmanager
def _turn(parent: Path) -> Iterator[None]:
    """Let one process at a time look at or replace the folders in a folder, on a disk that knows locks."""
    door = os.open(parent, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(door, fcntl.LOCK_EX)
        yield
    finally:
        os.close(door)


def _listed(folder: Path, kind: str) -> dict[str, str]:
    """Return the hashes of what `mark` listed in a folder of this kind; none in any other."""
    try:
        found = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    ours = isinstance(found, dict) and found.get("kind") == kind and isinstance(found.get("files"), dict)
    return found["files"] if ours else {}


def intact(folder: Path, *, kind: str) -> bool:
    """Whether all that `mark` listed in a folder is there as it was; what was added does not matter."""
    listed = _listed(folder, kind)
    try:
        return bool(listed) and all(digest(folder / name) == known for name, known in listed.items())
    except OSError:
        return False


def mark(folder: Path, *, kind: str) -> None:
    """Write into a folder what it is and what it holds, so that a later call knows its own."""
    made = {path.relative_to(folder).as_posix(): digest(path) for path in _everything(folder)}
    text = json.dumps({"made_by": "musclebook", "kind": kind, "files": made}, ensure_ascii=False)
    (folder / MARKER).write_text(text + "\n", encoding="utf-8")


def set_aside(folder: Path, *, kind: str) -> None:
    """Give a folder another name if it holds what we did not write, so that nothing of others is replaced."""
    if folder.is_symlink() or foreign(folder, kind=kind):
        aside = (folder.with_name(f"{folder.name}.edited-{number}") for number in itertools.count(1))
        folder.rename(next(place for place in aside if not place.exists()))


def _everything(folder: Path) -> Iterator[Path]:
    """Give all that is below a folder and is no folder that can be read, the marker left out; no link is followed."""
    next(folder.iterdir(), None)  # raises where the folder itself cannot be read
    for path in sorted(folder.rglob("*")):
        inner = path.is_dir() and not path.is_symlink() and os.access(path, os.R_OK | os.X_OK)
        if not inner and path != folder / MARKER:
            yield path


def replace(part: Path, path: Path) -> None:
    """Give a whole file or folder its name, once it is on the disk; what had the name is removed after that."""
    for inside in (part, *part.rglob("*")):
        with suppress(OSError), inside.open("rb") as stream:  # a folder cannot be opened
            os.fsync(stream.fileno())  # a name may not outlive a power cut that its content does not
    if not part.is_dir():
        part.replace(path)
        return
    old = part.with_name(f"{part.name}.old")
    with _turn(path.parent):
        if path.is_dir():
            path.rename(old)  # whoever is killed here leaves it to `drop_leftovers`
        try:
            part.rename(path)
        except OSError:
            if old.is_dir():
                old.rename(path)
            raise
    shutil.rmtree(old, ignore_errors=True)


def drop_leftovers(path: Path) -> None:
    """Remove what killed processes of this machine left of `path`; a copy they had moved aside gets its name back."""
    pattern = re.compile(rf"\.+{re.escape(path.name[:80])}\.{_MACHINE}-(\d+)-[0-9a-f]{{8}}\.part(.*)")
    for found in list(path.parent.iterdir()) if path.parent.is_dir() else ():
        match = pattern.fullmatch(found.name)
        if match is None or psutil.pid_exists(int(match[1])):
            continue
        if match[2] == ".old" and not path.exists():
            found.rename(path)
        else:
            _remove(found)


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
        if number not in _UNWRITABLE and not (any_fault and isinstance(problem, OSError)):
            raise
        reason = str(problem) if number is None else os.strerror(number)
        remedy = _ROOM if reason == _FULL else "Give a place that can be written"
        if cache_folder() in path.parents:
            remedy += f"; {CACHE_VARIABLE} names the cache folder"
        kept = "Nothing half-written is kept, and what was there before is unchanged"
        fault = StorageError(f"{str(path)!r} cannot be written: {reason}. {kept}. {remedy}.")
        fault.errno = number
        raise fault from problem


def require_utf8(path: str | Path) -> None:
    """Refuse a path whose bytes are not UTF-8: the libraries that read and write Parquet take no other."""
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        remedy = "Rename it, or make a link of a plain name to it and give the link."
        msg = f"the path {str(path)!r} is not UTF-8, which Parquet files need. {remedy}"
        raise StorageError(msg) from None


def require_writable(folder: Path) -> None:
    """Refuse a folder that cannot be written, before the costly step that fills it."""
    require_utf8(folder)
    with storing(folder, any_fault=True):
        if _is_no_folder(folder):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder.parent):
            pass


def require_room(path: Path, needed: int) -> None:
    """Refuse a file that does not fit on its disk, before it is begun."""
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        needs = f"it needs about {needed:,} bytes and {free:,} are free"
        msg = f"{str(path)!r} cannot be written: {_FULL}, {needs}. Nothing was changed. {_ROOM}."
        raise StorageError(msg)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    with writing(Path(path)) as part:
        part.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hexadecimal digits."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_text(text: str) -> str:
    """Return the SHA-256 of a text, 64 hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def fingerprint(path: str | Path) -> str:
    """Return a hash of all that a file or a folder holds: any change of content changes it.

    Hashes of large files are remembered in the cache folder under size, times and number of the file; whatever differs
    in these is read again. Of a release folder the release's own files and its truth are hashed, of another folder
    every file that is not hidden; never our own converted copy.
    """
    path = Path(path)
    if path.is_dir():
        listed = [(name.as_posix(), fingerprint(path / name)) for name in _content(path)]
        return digest_text(json.dumps(listed))
    about = path.stat()
    if about.st_size < REMEMBERED:
        return digest(path)
    times = (about.st_mtime_ns, about.st_ctime_ns)
    said = json.dumps([str(path.resolve()), about.st_size, *times, about.st_ino, about.st_dev])
    known = cache_folder() / "fingerprints" / digest_text(said)[:32]
    with suppress(OSError, ValueError):
        found = known.read_text(encoding="ascii")
        if re.fullmatch(r"[0-9a-f]{64}", found):
            return found
    found = digest(path)
    if time.time_ns() - max(times) > SETTLED and path.stat() == about:
        with suppress(OSError), writing(known) as part:
            part.write_text(found, encoding="ascii")
    return found


def _content(folder: Path) -> list[Path]:
    """Return the files of a folder that its fingerprint is of, by relative name."""
    inside = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file()]
    inside = [name for name in inside if not any(part.startswith(".") for part in name.parts)]
    if (folder / names.EXPRESSION_FILE).is_file():
        ours = {*names.RELEASE_FILES, names.TRUTH_FOLDER}
        return [name for name in inside if name.parts[0] in ours]
    return [name for name in inside if not _CONVERTED.fullmatch(name.name)]
