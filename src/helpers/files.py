"""Files written whole or not at all, and the hashes that name them."""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import platformdirs

CACHE_VARIABLE = "MUSCLEBOOK_CACHE"


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
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name[:80]}.{uuid.uuid4().hex[:8]}.part")
    try:
        yield part
        if part.is_dir() and path.is_dir():
            old = path.with_name(f"{part.name}.old")
            path.rename(old)
            part.rename(path)
            shutil.rmtree(old, ignore_errors=True)
        else:
            part.replace(path)
    finally:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


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
