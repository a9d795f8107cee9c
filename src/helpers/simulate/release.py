"""A simulated release on disk: the twelve files of the real one, with its quirks, and a folder of truth."""

from pathlib import Path

import pandas as pd

from helpers import files, names
from helpers.simulate import atlas, rowgroup, texts, truth
from helpers.simulate.atlas import DEFAULT_SCALE, DEFAULT_SEED

KIND = "simulated release"


def write(
    folder: Path,
    *,
    scale: float = DEFAULT_SCALE,
    seed: int = DEFAULT_SEED,
    threads: int = 2,
    force: bool = False,
    owned: bool = False,
) -> Path:
    """Simulate an atlas and write it as a release with its truth; a stopped run leaves nothing under `folder`.

    Parameters
    ----------
    folder
        Where the release goes. One that was simulated there and not changed since is replaced once the new one is
        whole; anything else is refused.
    scale
        Share of the release's 183,161 cells.
    seed
        Everything random follows from it.
    threads
        Threads that draw and write; the files do not depend on it.
    force
        Replace a folder that holds files of others too.
    owned
        The folder is one of the cache.

    Returns
    -------
    Path
        `folder`.

    Raises
    ------
    StorageError
        If `folder` cannot be written or may not be replaced; where that can be told, before anything is simulated.
    """
    folder = Path(folder)
    if owned:
        files.require_writable(folder)
    else:
        files.claim(folder, kind=KIND, force=force)  # before the costly step
    files.drop_leftovers(folder)
    simulation = atlas.simulate(scale=scale, seed=seed, threads=threads)
    with files.writing(folder, kind=KIND, force=force, owned=owned) as part:
        part.mkdir()
        write_files(part, simulation, threads=threads)
    return folder


def write_files(folder: Path, simulation: atlas.Simulation, *, threads: int) -> None:
    """Write the twelve files and the truth of `simulation` into an existing folder."""
    adata = simulation.adata
    rowgroup.write_columns(folder / names.EXPRESSION_FILE, adata.X, list(adata.var_names), threads=threads)
    adata.obs.to_parquet(folder / names.SAMPLE_FILE)
    adata.var.reset_index(drop=True).to_parquet(folder / names.FEATURE_FILE)
    for key, file in names.PROJECTION_FILES.items():
        columns = list(names.PROJECTION_COLUMNS[key])
        pd.DataFrame(adata.obsm[key], index=adata.obs_names, columns=columns).to_parquet(folder / file)
    truth.write_truth(folder / names.TRUTH_FOLDER, simulation)
    texts.write_texts(folder, simulation)
