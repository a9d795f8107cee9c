"""A release without what earlier runs keep beside it, so that nothing measured is a copy reopened."""

import os
import shutil
from pathlib import Path


def cold(release: Path, folder: Path) -> Path:
    """Return `folder` with the files of a release, linked where the disk allows it, without converted copies."""
    folder.mkdir(parents=True)
    for path in sorted(release.rglob("*")):
        if path.is_file() and path.suffix != ".h5ad":
            target = folder / path.relative_to(release)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, target)
            except OSError:  # another disk
                shutil.copy2(path, target)
    return folder
