"""Skeletal muscle in the embedding atlas, set beside the muscle atlas.

A cell counts as muscle if its predicted tissue or its predicted cell type says so by name. The two atlases name
their cell types differently; both are brought to broad groups, by name, and what fits no group is told.
"""

from collections.abc import Mapping

import polars as pl

from helpers import names
from helpers.errors import PartError
from helpers.scprint import groups, layout, neighbors
from helpers.scprint.labels import Decoder
from helpers.scprint.sampling import Sample


def select(counts: pl.DataFrame) -> pl.DataFrame:
    """Keep the rows of skeletal muscle and say why each was kept.

    Parameters
    ----------
    counts
        Counts over cell type and tissue, and other classes if wanted.

    Returns
    -------
    polars.DataFrame
        The rows kept, with ``why`` (tissue, cell type, both) and ``group``.

    Raises
    ------
    PartError
        If cell type or tissue is not a column.
    """
    lacking = {layout.CELL_TYPE, layout.TISSUE, "cells"} - set(counts.columns)
    if lacking:
        msg = f"muscle is chosen by cell type and tissue; the table has no {', '.join(sorted(lacking))}."
        raise PartError(msg)
    by_tissue = counts[layout.TISSUE].map_elements(groups.is_muscle_tissue, return_dtype=pl.Boolean)
    by_type = counts[layout.CELL_TYPE].map_elements(groups.is_muscle_type, return_dtype=pl.Boolean)
    why = pl.select(
        pl.when(by_tissue & by_type)
        .then(pl.lit("both"))
        .when(by_tissue)
        .then(pl.lit("tissue"))
        .when(by_type)
        .then(pl.lit("cell type"))
        .alias("why")
    )["why"]
    group = counts[layout.CELL_TYPE].map_elements(groups.broad_group, return_dtype=pl.String).alias("group")
    return counts.with_columns(why, group).filter(pl.col("why").is_not_null())


def compose(selected: pl.DataFrame) -> pl.DataFrame:
    """Share of each broad group among selected cells."""
    total = max(1, selected["cells"].sum())
    cells = selected.group_by("group").agg(pl.col("cells").sum())
    return cells.with_columns((pl.col("cells") / total).alias("share")).sort(
        "cells", "group", descending=[True, False]
    )


def compose_atlas(obs: pl.DataFrame) -> pl.DataFrame:
    """Share of each broad group in the muscle atlas, by assay.

    The mean over donors of each donor's share: the donor is the unit. Where donors are not known, all cells are one.
    Labels that are not the muscle atlas's own are brought to groups by name.

    Parameters
    ----------
    obs
        Cells of the muscle atlas with the annotation of level 0.

    Raises
    ------
    PartError
        If the annotation is missing.
    """
    if names.LEVEL0 not in obs.columns:
        msg = f"the muscle atlas has no column {names.LEVEL0}."
        raise PartError(msg)
    label = pl.col(names.LEVEL0).cast(pl.String)
    known = obs[names.LEVEL0].cast(pl.String).drop_nulls().unique().to_list()
    group_of = {name: groups.ATLAS_GROUPS.get(name) or groups.broad_group(name) for name in known}
    # a source without assay or donors counts as one
    units_of = [
        (pl.col(key).cast(pl.String).fill_null("all") if key in obs.columns else pl.lit("all")).alias(key)
        for key in (names.ASSAY, names.DONOR)
    ]
    cells = obs.filter(label.is_not_null()).select(*units_of, label.replace_strict(group_of).alias("group"))
    counted = cells.group_by(names.ASSAY, names.DONOR, "group").len("cells")
    units = counted.select(names.ASSAY, names.DONOR).unique()
    every = units.join(pl.DataFrame({"group": list(groups.GROUPS)}), how="cross")
    full = every.join(counted, on=[names.ASSAY, names.DONOR, "group"], how="left").fill_null(0)
    share = full.with_columns(
        (pl.col("cells") / pl.col("cells").sum().over(names.ASSAY, names.DONOR)).alias("share")
    )
    return (
        share.group_by(names.ASSAY, "group")
        .agg(pl.col("cells").sum().cast(pl.Int64), pl.col("share").mean(), pl.len().alias("donors"))
        .sort(names.ASSAY, "group")
    )


def shares_by_assay(obs: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return what `compose_atlas` finds, by a name for each assay; nothing if the cells have no annotation.

    Parameters
    ----------
    obs
        Cells of the muscle atlas.
    """
    if names.LEVEL0 not in obs.columns or obs[names.LEVEL0].null_count() == obs.height:
        return {}
    table = compose_atlas(obs)
    return {
        f"muscle_atlas_{key[0]}": part for key, part in table.partition_by(names.ASSAY, as_dict=True).items()
    }


def compare(selected: pl.DataFrame, atlases: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Set shares of broad groups side by side, one column a source.

    Parameters
    ----------
    selected
        What `select` returned.
    atlases
        Frames with ``group`` and ``share`` by the name of their column.
    """
    table = pl.DataFrame({"group": list(groups.GROUPS)})
    for name, frame in {"embedding_atlas": compose(selected), **atlases}.items():
        table = table.join(frame.select("group", pl.col("share").alias(name)), on="group", how="left")
    shown = [name for name in table.columns if name != "group"]
    table = table.with_columns(pl.col(name).fill_null(0.0) for name in shown)
    return table.filter(pl.sum_horizontal(shown) > 0)


def neighbors_of(
    sample: Sample, decoder: Decoder, *, k: int = 15, block: str = layout.CELL_TYPE
) -> pl.DataFrame:
    """Count the cell types among the nearest neighbors of muscle cells that are not called muscle themselves.

    Parameters
    ----------
    sample
        Sampled cells.
    decoder
        Names of the labels.
    k
        Neighbors a cell.
    block
        Block in which distance is measured.

    Returns
    -------
    polars.DataFrame
        Group of the muscle cell, cell type and tissue of the neighbor, number and share; empty if no cell of the
        sample is called muscle.
    """
    table = sample.table(decoder)
    tissue = [groups.is_muscle_tissue(label) for label in table[layout.TISSUE]]
    kind = [groups.is_muscle_type(label) for label in table[layout.CELL_TYPE]]
    flag = pl.Series([a or b for a, b in zip(tissue, kind, strict=True)], dtype=pl.Boolean).to_numpy()
    schema = {
        "group": pl.String,
        "cell_type": pl.String,
        "tissue": pl.String,
        "neighbors": pl.Int64,
        "share": pl.Float64,
    }
    if not flag.any() or flag.all():
        return pl.DataFrame(schema=schema)
    points = sample.block(block)
    found = neighbors.nearest(points[flag], k=min(k, int((~flag).sum())), among=points[~flag])
    others = table.filter(~flag)
    group = table.filter(flag)[layout.CELL_TYPE].map_elements(groups.broad_group, return_dtype=pl.String)
    long = pl.DataFrame({"group": group, "place": found.tolist()}).explode("place")
    near = (
        others[long["place"].cast(pl.UInt32)].select(layout.CELL_TYPE, layout.TISSUE)
        if long.height
        else others
    )
    counted = (
        pl.concat([long.select("group"), near], how="horizontal")
        .group_by("group", "cell_type", "tissue")
        .len("neighbors")
    )
    total = pl.col("neighbors").sum().over("group")
    return counted.with_columns(
        pl.col("neighbors").cast(pl.Int64), (pl.col("neighbors") / total).alias("share")
    ).sort("neighbors", "group", "cell_type", "tissue", descending=[True, False, False, False])
