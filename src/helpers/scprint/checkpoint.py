"""Hyper-parameters of a model checkpoint, read without torch and without running anything the file names.

A checkpoint is a zip whose ``data.pkl`` holds nested dictionaries, and tensors by reference. The pickle is read
by a reader for which every class and function is the same inert placeholder, so a hostile file can build odd
values and nothing else. Weights are never touched.
"""

import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

from helpers.budget import require
from helpers.errors import MusclebookError, PartError

_LIMIT = "256 MiB"


class _Inert(dict):  # type: ignore[type-arg]
    """Stands for any object of the file: accepts state, does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> "_Inert":
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.update(state)

    def append(self, _: Any) -> None:
        """Accept what goes into a list or a set that is none here."""

    extend = add = append

    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str, /) -> Any:
        return OrderedDict if (module, name) == ("collections", "OrderedDict") else _Inert

    def persistent_load(self, _: Any, /) -> Any:
        return None


def read(path: Path) -> Any:
    """Read the nested dictionaries of a checkpoint whose description is not larger than 256 MiB."""
    remedy = "Export its hyper-parameters as JSON."
    try:
        with zipfile.ZipFile(path) as archive:
            inside = [info for info in archive.infolist() if info.filename.endswith("data.pkl")]
            if len(inside) != 1:
                msg = f"{path.name} holds {len(inside)} data.pkl; a checkpoint has one."
                raise PartError(msg)
            require(inside[0].file_size, budget=_LIMIT, work=f"{path.name}'s description", remedy=remedy)
            with archive.open(inside[0]) as stream:
                return _Reader(stream).load()
    except MusclebookError:
        raise
    except Exception as error:  # noqa: BLE001 - a damaged zip or pickle may raise anything
        msg = f"{path.name} cannot be read as a checkpoint ({type(error).__name__}: {error}). {remedy}"
        raise PartError(msg) from None
