"""A fair sample of the cells of all parts, the same whatever the order or the number of parts read before."""

import zlib
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import polars as pl

from helpers.budget import require
from helpers.errors import PartError
from helpers.scprint import labels, layout, parts
from helpers.scprint.parts import Damage, Opened

_BYTES_A_CELL = 8 * layout.EMBEDDING_WIDTH + 100 * len(layout.CLASSES)


def draw(
    folder: Path | str,
    *,
    cells: int,
    seed: int = 7,
    only: list[str] | None = None,
    decoder: pl.DataFrame | None = None,
    budget: str = "1 GiB",
) -> ad.AnnData:
    """Draw cells from all parts with equal chance; all of them if there are fewer than `cells`.

    Every cell has a random number that depends on the seed, its part and its row alone; the lowest numbers win. A
    new part therefore changes few of the cells drawn. `only` names the parts to draw from, such as those a survey
    counted; `decoder` the labels, as `labels.beside` returns them.

    Returns
    -------
    ``X``: the 424 columns of the embedding, float32, named in ``var`` by block and dimension. ``obsm``: the same, block
    by block. ``obs``: part, row, and the label columns as names, missing where a part has none. ``uns["skipped"]``:
    parts that could not be read, with the reason.
    """
    remedy = "Draw fewer cells or raise the budget."
    require(cells * _BYTES_A_CELL, budget=budget, work=f"a sample of {cells:,} cells", remedy=remedy)
    opened = list(parts.open_all(folder, only))
    schema = {"part": pl.String, "row": pl.Int64, **dict.fromkeys(layout.LABEL_COLUMNS, pl.UInt16)}
    points, rows, skipped = [], [], {}
    for found, chosen in zip(opened, _choose(opened, cells, seed), strict=True):
        if not len(chosen):
            continue
        try:
            embeddings = parts.read_rows(found, layout.EMBEDDINGS, chosen).astype(np.float32)
            if not np.isfinite(embeddings).all():
                raise parts.not_finite(found, layout.EMBEDDINGS)
            codes = parts.read_rows(found, layout.TOP3, chosen)
        except Damage as damage:
            skipped[found.stem] = str(damage)
            continue
        points.append(embeddings)
        columns = dict.fromkeys(layout.LABEL_COLUMNS) | dict(zip(layout.LABEL_COLUMNS, codes.T, strict=False))
        rows.append(pl.DataFrame({"part": found.stem, "row": chosen, **columns}, schema=schema))
    if not rows:
        msg = f"no cell could be drawn from {folder}: {next(iter(skipped.values()), 'the parts are empty')}"
        raise PartError(msg)
    table = labels.decode(pl.concat(rows), labels.built_in() if decoder is None else decoder)
    obs = table.with_columns(pl.col(pl.String).cast(pl.Categorical)).to_pandas()
    obs.index = [f"{part}:{row}" for part, row in table.select("part", "row").rows()]
    var = pd.DataFrame(layout.EMBEDDING_COLUMNS, columns=["block", "dimension"])
    var.index = [f"{block}_{dimension}" for block, dimension in layout.EMBEDDING_COLUMNS]
    drawn = ad.AnnData(np.concatenate(points), obs, var)
    for name, where in layout.BLOCKS.items():
        drawn.obsm[name] = drawn.X[:, where]
    drawn.uns["skipped"] = skipped
    return drawn


def _choose(opened: list[Opened], cells: int, seed: int) -> list[np.ndarray]:
    # only the lowest numbers seen so far are kept: what lies above the worst of them cannot win any more
    numbers, places, limit = np.empty(0), np.empty((0, 2), np.int64), np.inf
    for number, found in enumerate(opened):
        lot = np.random.default_rng([seed, zlib.crc32(found.stem.encode())]).random(found.cells)
        rows = np.flatnonzero(lot < limit)
        numbers = np.concatenate([numbers, lot[rows]])
        places = np.concatenate([places, np.column_stack([np.full(len(rows), number), rows])])
        if len(numbers) > cells:
            lowest = np.argsort(numbers, kind="stable")[:cells]
            numbers, places = numbers[lowest], places[lowest]
            limit = numbers.max(initial=-np.inf)
    return [np.sort(places[places[:, 0] == number, 1]) for number in range(len(opened))]
