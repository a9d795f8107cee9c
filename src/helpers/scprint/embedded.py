"""What scPRINT-2 returned for prepared slices, put back into the order of the cells that were sent."""

import json
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
import polars as pl

from helpers import names
from helpers.errors import PartError
from helpers.scprint import layout
from helpers.scprint.embed import MANIFEST, ROW, SCRIPT, output_name

_OBSM = "scprint_emb"


@dataclass
class Embedded:
    """What the model returned, in the order of the cells that were sent.

    Attributes
    ----------
    cells
        One row a cell sent: row, barcode, whether it came back, and the predicted labels.
    vectors
        Cells that came back x columns, in the order of the rows that came back.
    blocks
        Further arrays of the output by name, same rows.
    """

    cells: pl.DataFrame
    vectors: np.ndarray
    blocks: dict[str, np.ndarray]

    @property
    def dropped(self) -> int:
        """Cells that the model left out (it drops those with few genes)."""
        return int((~self.cells["embedded"]).sum())


def read(folder: Path | str) -> Embedded:
    """Read the embedded slices beside their manifest.

    Parameters
    ----------
    folder
        Folder that `prepare` wrote and the script filled with ``slice_NNNN_embedded.h5ad``.

    Raises
    ------
    PartError
        If slices are missing, have no embedding, or carry rows that were never sent; all of them are named.
    """
    folder = Path(folder)
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        msg = f"{folder} holds no readable {MANIFEST}: prepare the slices first ({error})."
        raise PartError(msg) from None
    outputs = {name: folder / output_name(name) for name in manifest["slices"]}
    lacking = [path.name for path in outputs.values() if not path.is_file()]
    if lacking:
        msg = (
            f"{len(lacking)} of {len(outputs)} slices are not embedded yet, first {lacking[0]}. Run {SCRIPT}."
        )
        raise PartError(msg)
    found = [_read_slice(path, manifest["cells"]) for path in outputs.values()]
    rows = np.concatenate([slice_.rows for slice_ in found])
    if len(np.unique(rows)) != len(rows):
        msg = f"{len(rows) - len(np.unique(rows)):,} rows came back twice: a slice was embedded under two names."
        raise PartError(msg)
    order = np.argsort(rows)
    labels = pl.concat([slice_.labels for slice_ in found], how="diagonal")
    sent = pl.DataFrame({ROW: np.arange(manifest["cells"])})
    cells = sent.join(
        labels.with_columns(pl.lit(value=True).alias("embedded")), on=ROW, how="left", maintain_order="left"
    )
    cells = cells.with_columns(pl.col("embedded").fill_null(value=False))
    shared = set.intersection(*[set(slice_.blocks) for slice_ in found])
    blocks = {
        name: np.concatenate([slice_.blocks[name] for slice_ in found])[order] for name in sorted(shared)
    }
    return Embedded(cells, blocks.pop(_OBSM), blocks)


@dataclass
class _Slice:
    rows: np.ndarray
    labels: pl.DataFrame
    blocks: dict[str, np.ndarray]


def _read_slice(path: Path, cells: int) -> _Slice:
    made = ad.read_h5ad(path)
    if _OBSM not in made.obsm or ROW not in made.obs:
        msg = f"{path.name} has no {_OBSM} or no {ROW}: it is not an output of the model on a prepared slice."
        raise PartError(msg)
    rows = made.obs[ROW].to_numpy().astype(np.int64)
    if len(rows) and (rows.min() < 0 or rows.max() >= cells):
        msg = f"{path.name} has rows outside 0 to {cells - 1:,}: it belongs to another preparation."
        raise PartError(msg)
    blocks = {str(key): np.asarray(value, np.float32) for key, value in made.obsm.items()}
    if not np.isfinite(blocks[_OBSM]).all():
        msg = f"{path.name} holds NaN or infinite embeddings."
        raise PartError(msg)
    predicted = {}
    for column in made.obs.columns:
        name = layout.class_name(str(column))
        if name is not None and str(column).startswith("pred_"):
            predicted[name] = made.obs[column].astype(str).to_list()
    labels = pl.DataFrame({ROW: rows, names.BARCODE: made.obs_names.astype(str).to_list(), **predicted})
    return _Slice(rows, labels, blocks)
