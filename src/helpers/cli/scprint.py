"""Commands on parts of the scPRINT-2 embedding atlas: ``musclebook scprint check|survey|simulate|embed``."""

import os
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from helpers import files
from helpers.cli import screen

Folder = Annotated[Path, Argument(help="Folder of the *_embs, *_top3, *_scores files.")]
Out = Annotated[Path, Argument(help="Folder to write.")]

group = typer.Typer(
    no_args_is_help=True, help="Parts of the scPRINT-2 embedding atlas: check, survey, embed."
)


@group.command()
def check(
    folder: Folder,
    *,
    deep: Annotated[bool, Option(help="Read every byte: checksums, NaN, order of labels.")] = True,
    as_json: screen.Json = False,
) -> None:
    """Check every part: siblings, sizes, widths, checksums, NaN; ends with 1 where a part is faulty.

    Example:  musclebook scprint check parts
    """
    from helpers.scprint import parts

    report = parts.check(folder, deep=deep)
    faults = report.filter(report["status"] == "fault")
    if as_json:
        screen.show_frame(report, [], as_json=True)
    else:
        for row in report.filter(report["message"].is_not_null()).iter_rows(named=True):
            screen.say(f"{row['status']}: {row['part']}: {row['message']}")
        cells = report["cells"].sum()
        screen.say(f"{report.height:,} parts, {cells:,} cells, {faults.height:,} parts with a fault.")
    if faults.height:
        raise typer.Exit(1)


@group.command()
def survey(
    folder: Folder,
    out: Out,
    *,
    processes: Annotated[int, Option(min=0, help="Parts read at once on this machine; 0: one a core.")] = 0,
    cluster: Annotated[str, Option(help="Address of a Dask scheduler, used instead.")] = "",
    on_fault: Annotated[str, Option(help="What a faulty part does: skip or stop.")] = "skip",
    cache: Annotated[Path | None, Option(help="Folder that keeps what was read of each part.")] = None,
    force: screen.Force = False,
) -> None:
    """Read all parts once: labels and scores as Parquet, embeddings summed up; parts read before are not read again.

    Example:  musclebook scprint survey parts tables --processes 8
    """
    from helpers.scprint import survey as surveying

    screen.claim(out, kind=surveying.KIND, force=force, inputs=[folder, *([cache] if cache else [])])
    options = {"cache": cache, "processes": processes or os.cpu_count() or 1, "cluster": cluster}
    with screen.progress("Parts") as progress:
        found = surveying.run(folder, **options, on_fault=on_fault, progress=progress)
    with files.writing(out, kind=surveying.KIND, force=force) as part:
        found.save(part)
    for row in found.parts.filter(found.parts["status"] == "fault").iter_rows(named=True):
        screen.say(f"skipped: {row['part']}: {row['message']}")
    n_cells, n_parts = found.parts["cells"].sum(), len(found.counted)
    how = f"{found.computed:,} read, {n_parts - found.computed:,} known"
    where = f"{out}: parts.parquet, embedding.parquet, cells"
    screen.say(f"{n_cells:,} cells of {n_parts:,} parts ({how}) in {where}.")


@group.command()
def simulate(
    out: Out,
    *,
    cells: Annotated[int, Option(min=1, help="Cells in all.")] = 200_000,
    parts: Annotated[int, Option(min=1, help="Parts.")] = 10,
    seed: Annotated[int, Option(help="Same seed, same parts.")] = 7,
    force: screen.Force = False,
) -> None:
    """Make up parts with known labels, margins, leaks and impossible pairs.

    Example:  musclebook scprint simulate parts --cells 1000000 --parts 50
    """
    from helpers.scprint import twin

    screen.claim(out, kind=twin.KIND, force=force)
    twin.simulate_parts(out, n_cells=cells, n_parts=parts, seed=seed, force=force)
    screen.say(f"{cells:,} cells in {parts:,} parts in {out}. What was planted is in {twin.TRUTH_FILE}.")


@group.command()
def embed(
    source: Annotated[str, Argument(help="demo, tiny, a release folder, or an .h5ad.")],
    out: Out,
    *,
    slice_cells: Annotated[int, Option(help="Cells of a slice, at most 20,000.")] = 20_000,
    organism: Annotated[str, Option(help="NCBITaxon:... of the cells; empty: by their genes.")] = "",
    checkpoint: Annotated[str, Option(help="Weights, as the script names them.")] = "v2-medium.ckpt",
    force: screen.Force = False,
) -> None:
    """Prepare an atlas for scPRINT-2: slices of raw counts and the script that embeds them elsewhere.

    Example:  musclebook scprint embed release slices
    """
    import numpy as np

    from helpers import sources
    from helpers.scprint import prepare

    screen.claim(out, kind=prepare.KIND, force=force, inputs=[source])
    atlas = sources.open_atlas(source)
    number = np.arange(atlas.obs.height)
    # as even as whole slices allow: no last slice is too small for the model
    slices = np.array_split(number, max(1, -(-len(number) // slice_cells)))
    pieces = (atlas.to_anndata(cells=np.isin(number, chosen), counts=True) for chosen in slices)
    options = {"slice_cells": slice_cells, "organism": organism, "checkpoint": checkpoint}
    made = prepare.write(pieces, out, **options, force=force)
    screen.say(f"{sum(made.values()):,} cells in {len(made):,} slice(s); run {out / prepare.SCRIPT}.")


group.command("prepare", hidden=True)(embed)
