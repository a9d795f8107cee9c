"""Files written whole or not at all, and the hashes that name them."""

import errno
import hashlib
import json
import os
import platform
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import platformdirs
import psutil

from helpers.errors import StorageError

CACHE_VARIABLE = "MUSCLEBOOK_CACHE"
_FULL = os.strerror(errno.ENOSPC)


def cache_folder() -> Path:
    """Return the folder of simulated releases and converted atlases.

    The one place that reads the environment: ``MUSCLEBOOK_CACHE`` if it is set, else the user's cache folder.
    """
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named) if named else Path(platformdirs.user_cache_dir("musclebook"))


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success it takes the name, on failure it is removed.

    Works for a file or a folder. An older file or folder of that name stays until the new one is whole.

    Raises
    ------
    StorageError
        If the disk is full, or the place cannot be written.

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
        with storing(path, any_fault=True):
            replace(part, path)
    finally:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            with suppress(OSError):  # a read-only disk refuses even to remove what is not there
                part.unlink(missing_ok=True)


def replace(part: Path, path: Path) -> None:
    """Give a whole file or folder its name; what has the name is removed after that, and put back if it fails.

    Parameters
    ----------
    part
        The new file or folder, beside `path`.
    path
        Its name. Another process may write it at the same time: the later one stays.
    """
    if not part.is_dir():
        part.replace(path)
        return
    old = path.with_name(f"{part.name}.old")
    while True:
        if path.is_dir():
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


def drop_leftovers(path: Path) -> None:
    """Remove what killed processes of this machine left of `path`; a copy they had moved aside gets its name back.

    Parameters
    ----------
    path
        A name that was given to `writing`. Parts of living processes stay.
    """
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
    """Say in words why `path` could not be written.

    Parameters
    ----------
    path
        What is being written.
    any_fault
        Whether every fault of the operating system is one of writing; else only those that can be no other, since
        something may also be read meanwhile.

    Raises
    ------
    StorageError
        In place of the fault.
    """
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
    """Refuse a path whose bytes are not UTF-8: the libraries that read and write Parquet take no other.

    Raises
    ------
    StorageError
        If it is not.
    """
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        msg = (
            f"the path {str(path)!r} is not UTF-8, which Parquet files need. Rename it, or make a link of a plain name "
            f"to it and give the link."
        )
        raise StorageError(msg) from None


def require_writable(folder: Path) -> None:
    """Refuse a folder that cannot be written, before the costly step that fills it.

    Parameters
    ----------
    folder
        May exist; else it is made later.

    Raises
    ------
    StorageError
        If something else has its name, or the folder around it takes no files.
    """
    require_utf8(folder)
    with storing(folder, any_fault=True):
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder.parent):
            pass


def require_room(path: Path, needed: int) -> None:
    """Refuse a file that does not fit on its disk, before it is begun.

    Parameters
    ----------
    path
        The file; its folder exists.
    needed
        Bytes it will take.

    Raises
    ------
    StorageError
        If fewer are free.
    """
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


def digest(path: Path, *, sample: int | None = None) -> str:
    """Return the SHA-256 of a file, 64 hexadecimal digits.

    Parameters
    ----------
    path
        The file.
    sample
        Bytes to read from the start, the middle and the end each, together with the size; the whole file if
        none. A sample is enough to tell two releases apart without reading 1.5 GB.
    """
    sha = hashlib.sha256()
    size = path.stat().st_size
    with path.open("rb") as stream:
        if sample is None or size <= 3 * sample:
            while block := stream.read(1 << 20):
                sha.update(block)
        else:
            sha.update(str(size).encode())
            for start in (0, (size - sample) // 2, size - sample):
                stream.seek(start)
                sha.update(stream.read(sample))
    return sha.hexdigest()


def digest_text(text: str) -> str:
    """Return the SHA-256 of a text, 64 hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
