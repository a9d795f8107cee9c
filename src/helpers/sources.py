"""The one door to data: a word or a path to an opened atlas."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock
import h5py

from helpers import files, names
from helpers.atlas import columns, h5ad, matrix, reader, release
from helpers.errors import SourceError

SCALES = {"demo": 0.08, "tiny": 0.02, "full": 1.0}
SEED = 1
WAIT = 1800  # seconds that a second notebook waits while the first simulates
EXPECTED = (
    "Give 'demo' or 'tiny' (simulated, 'demo:7' for another seed), a release folder, a .h5ad file, or a .h5 file or "
    "folder of Cell Ranger."
)


def open_atlas(source: str | Path) -> reader.Atlas:
    """Open a source of cells; nothing big is read until asked.

    A source is ``"demo"`` or ``"tiny"``: simulated on first use and kept, with another seed as ``"demo:7"``;
    ``"full"``: simulated at full size beforehand; a release folder; an h5ad, the portal's or in the CELLxGENE schema;
    or what Cell Ranger writes, a .h5 file or a folder with matrix.mtx.
    """
    text = str(source)
    match = re.fullmatch(r"([a-z]+)(?::(\d+))?", text)
    if match is not None and match[1] in SCALES:
        return release.Release(simulated_folder(match[1], seed=int(match[2] or SEED)))
    path = Path(source).expanduser()
    if text.strip() and path.is_dir():
        if (path / "matrix.mtx").is_file() or (path / "matrix.mtx.gz").is_file():
            return _import_cell_ranger(path)
        return release.Release(path)
    if text.strip() and path.is_file():
        return _open_file(path)
    raise SourceError(_explain_absent(text, path))


def simulated_folder(word: str, *, seed: int = SEED) -> Path:
    """Return the folder of a simulated release, written now if it is not there yet."""
    folder = place(SCALES[word], seed=seed)
    if word == "full" and not _written(folder):
        command = "musclebook simulate --full" + (f" --seed {seed}" if seed != SEED else "")
        why = "It takes minutes and gigabytes, so it is made only on request"
        msg = f"the full-size simulated release is not there yet ({folder}). {why}: run `{command}`, or use 'demo'."
        raise SourceError(msg)
    if not _written(folder):
        with _turn(folder):
            if not _written(folder):
                from helpers.simulate import release as simulation

                simulation.write(folder, scale=SCALES[word], seed=seed, owned=True)
    return folder


def place(scale: float, *, seed: int = SEED) -> Path:
    """Return the folder where a simulated release of one of the known scales is looked for."""
    words = [word for word, value in SCALES.items() if value == scale]
    if not words:
        msg = f"scale {scale} has no place of its own, those of {SCALES} have. Name a folder for the release."
        raise SourceError(msg)
    return files.cache_folder() / "simulated" / f"{words[0]}-seed{seed}-{simulation_key()}"


def simulation_key() -> str:
    """Return a hash of the code and the published facts that a simulated release is made from."""
    here = Path(__file__).parent
    made_from = [
        *sorted(here.glob("simulate/**/*.py")),
        *sorted(here.glob("facts/**/*.*")),
        here / "names.py",
    ]
    parts = [f"{path.relative_to(here)}:{files.digest(path)}" for path in made_from if path.suffix != ".pyc"]
    return files.digest_text("\n".join(parts))[:12]


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """Wait for the right to simulate: two notebooks may start at once."""
    with files.storing(folder, any_fault=True):
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            turn = filelock.FileLock(f"{folder}.lock", timeout=WAIT).acquire()
        except filelock.Timeout:
            busy = f"another process has been simulating {folder} for more than {WAIT // 60} minutes"
            msg = f"{busy}. Wait for it or end it, then open the source again."
            raise SourceError(msg) from None
    with turn:
        yield


def _written(folder: Path) -> bool:
    needed = (f"{names.TRUTH_FOLDER}/simulation.json", names.EXPRESSION_FILE)
    return all((folder / name).is_file() for name in needed)


def _open_file(path: Path) -> reader.Atlas:
    if path.suffix == ".parquet":
        msg = f"{path} is one file of a release. Name the folder that holds all of them: {path.parent}."
        raise SourceError(msg)
    if path.suffix == ".h5" and not _is_h5ad(path):
        return _import_cell_ranger(path)
    if path.suffix not in (".h5ad", ".h5"):
        unpack = f" Unpack it first: gunzip {path.name}." if path.suffix == ".gz" else ""
        msg = f"{path} is a file of another kind ({path.suffix or 'no ending'!r}).{unpack} {EXPECTED}"
        raise SourceError(msg)
    return h5ad.H5ad(path)


def _is_h5ad(path: Path) -> bool:
    with suppress(OSError), h5py.File(path, "r") as file:
        return "obs" in file and "var" in file
    return False


def _import_cell_ranger(path: Path) -> reader.Atlas:
    """Open what Cell Ranger wrote, through scanpy's reader and a copy in the cache folder."""
    import scanpy as sc

    copy = files.cache_folder() / "imported" / f"{files.fingerprint(path)[:32]}.h5ad"
    with _turn(copy):
        if not copy.is_file():
            guard = matrix.reading(path, "what Cell Ranger writes", fault=SourceError, remedy=EXPECTED)
            with guard, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that names are not unique: the reader says which
                adata = sc.read_10x_mtx(path) if path.is_dir() else sc.read_10x_h5(path)
            with files.writing(copy) as part:
                adata.write_h5ad(part)
    return h5ad.H5ad(copy, origin=path)


def _explain_absent(text: str, path: Path) -> str:
    near = columns.nearest(text, SCALES, most=1)
    beside = path.parent
    if beside.is_dir() and path.name:
        there = [one.name for one in beside.iterdir() if one.is_dir() or one.suffix in (".h5ad", ".h5")]
        near += [str(beside / name) for name in columns.nearest(path.name, there, most=2)]
    hint = f" Did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
    missing = "" if beside.is_dir() else f" The folder {beside} does not exist either."
    return f"there is no source {text!r}.{hint}{missing} {EXPECTED}"
