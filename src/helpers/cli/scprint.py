"""Commands on parts of the scPRINT-2 embedding atlas: ``musclebook scprint check|survey|simulate|...``."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from helpers.cli import screen

JSON = Annotated[bool, typer.Option("--json", help="Print the table as JSON instead.")]
FOLDER = Annotated[
    Path, typer.Argument(help="Folder of the *_embs, *_top3, *_scores files.", show_default=False)
]

group = typer.Typer(
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Parts of the scPRINT-2 embedding atlas: check, survey, model, embed.",
)


def add_to(app: typer.Typer) -> None:
    """Add the group of commands of this file to the command line."""
    app.add_typer(group, name="scprint")


@group.command()
def check(
    folder: FOLDER,
    *,
    deep: Annotated[bool, typer.Option(help="Read every byte: checksums, NaN, order of labels.")] = True,
    as_json: JSON = False,
) -> None:
    """Check every part: siblings, sizes, widths, checksums, NaN; ends with 1 where a part is faulty.

    Example:  musclebook scprint check parts
    """
    from helpers.scprint import parts

    report = parts.check(folder, deep=deep)
    faults = report.filter(report["status"] == "fault")
    if as_json:
        typer.echo(json.dumps(report.to_dicts(), indent=1))
    else:
        for row in report.filter(report["message"].is_not_null()).iter_rows(named=True):
            screen.say(f"{row['status']}: {row['part']}: {row['message']}")
        cells = report["cells"].sum()
        screen.say(f"{report.height:,} parts, {cells:,} cells, {faults.height:,} parts with a fault.")
    if faults.height:
        raise typer.Exit(1)


@group.command()
def survey(
    folder: FOLDER,
    out: Annotated[Path, typer.Argument(help="Folder for the tables, as Parquet.", show_default=False)],
    *,
    classes: Annotated[
        str, typer.Option(help="One more table, of two or three classes.")
    ] = "cell_type,tissue,age_group",
    processes: Annotated[int, typer.Option(min=0, help="Processes on this machine; 0: one a core.")] = 0,
    cluster: Annotated[str, typer.Option(help="Address of a Dask scheduler, used instead.")] = "",
    covariance_every: Annotated[
        int, typer.Option(min=1, help="One cell of so many enters covariances.")
    ] = 64,
    on_fault: Annotated[str, typer.Option(help="What a faulty part does: skip or stop.")] = "skip",
    cache: Annotated[Path | None, typer.Option(help="Folder of the statistics kept of each part.")] = None,
    force: screen.Force = False,
) -> None:
    """Survey all parts in one pass; parts surveyed before are not read again.

    Example:  musclebook scprint survey parts tables --processes 8
    """
    from helpers import files
    from helpers.scprint import statistics
    from helpers.scprint import survey as surveying

    read = [folder, *([cache] if cache else [])]
    screen.tell_lost(out, files.claim(out, kind="scprint survey", force=force, inputs=read))
    plan = statistics.plan_for(classes, covariance_every=covariance_every)
    with screen.progress("Parts") as progress:
        found = surveying.run(
            folder, plan=plan, cache=cache, processes=processes or os.cpu_count() or 1, cluster=cluster,
            on_fault=on_fault, progress=progress,
        )  # fmt: skip
    with files.writing(out, kind="scprint survey", force=force) as part:
        paths = found.save(part)
    for row in found.faults.iter_rows(named=True):
        screen.say(f"skipped: {row['part']}: {row['message']}")
    screen.say(
        f"{found.cells:,} cells of {found.parts.height - found.faults.height:,} parts ({found.computed:,} read, "
        f"{found.reused:,} known); {len(paths)} tables in {out}."
    )


@group.command()
def simulate(
    out: Annotated[Path, typer.Argument(help="Folder for the parts.", show_default=False)],
    *,
    cells: Annotated[int, typer.Option(min=1, help="Cells in all.")] = 200_000,
    parts: Annotated[int, typer.Option(min=1, help="Parts.")] = 10,
    seed: Annotated[int, typer.Option(help="Same seed, same parts.")] = 7,
    compressed: Annotated[bool, typer.Option("--compressed", help="Write compressed npz.")] = False,
    fault: Annotated[
        list[str] | None, typer.Option(help="NUMBER=KIND spoils a part; may be repeated.")
    ] = None,
    force: screen.Force = False,
) -> None:
    """Make up parts with known labels, margins, leaks and impossible pairs.

    Example:  musclebook scprint simulate parts --cells 1000000 --parts 50 --fault 3=truncated
    """
    from helpers import files
    from helpers.errors import PartError
    from helpers.scprint import simulation
    from helpers.scprint.world import Planted

    faults = {}
    for text in fault or ():
        number, equals, kind = text.partition("=")
        if not (number.isdigit() and equals):
            msg = f"--fault {text!r} is not NUMBER=KIND; kinds: {', '.join(simulation.FAULTS)}."
            raise PartError(msg)
        faults[int(number)] = kind
    planted = Planted(compressed=compressed)
    screen.tell_lost(out, files.claim(out, kind="scprint parts", force=force))
    with files.writing(out, kind="scprint parts", force=force) as part:
        simulation.simulate_parts(
            part, n_cells=cells, n_parts=parts, seed=seed, planted=planted, faults=faults
        )
    screen.say(
        f"{cells:,} cells in {parts:,} parts in {out}. What was planted is in {simulation.TRUTH_FILE}."
    )


@group.command()
def judge(
    table: Annotated[
        Path, typer.Argument(help="Parquet of predicted labels, one row a cell.", show_default=False)
    ],
    *,
    as_json: JSON = False,
) -> None:
    """Count predicted labels that cannot all be right.

    Example:  musclebook scprint judge predicted_labels.parquet
    """
    from helpers.scprint import labels, plausibility

    frame = labels.read_predicted(table)
    judged = plausibility.judge(plausibility.tables_of(lambda *pair: labels.count(frame, pair)))
    if as_json:
        typer.echo(json.dumps(judged.to_dicts(), indent=1))
        return
    for row in judged.iter_rows(named=True):
        screen.say(f"{row['implausible']:>9,} of {row['cells']:>9,}  {row['rule']}")


@group.command()
def train(
    folder: FOLDER,
    out: Annotated[Path, typer.Argument(help="Folder for the model.", show_default=False)],
    *,
    target: Annotated[str, typer.Option(help="Class to predict.")] = "cell_type",
    block: Annotated[str, typer.Option(help="Block to read, or all.")] = "all",
    kind: Annotated[str, typer.Option(help="logistic or boosted.")] = "logistic",
    seed: Annotated[int, typer.Option(help="Same seed, same model.")] = 7,
    force: screen.Force = False,
) -> None:
    """Train a model on the parts and test it on parts held out.

    Example:  musclebook scprint train parts model --target tissue --block all
    """
    from helpers import files
    from helpers.scprint import evaluation, models, probe

    screen.tell_lost(out, files.claim(out, kind=models.KIND, force=force, inputs=[folder]))
    recipe = models.Recipe(target=target, block=block, kind=kind)
    model = probe.train(folder, recipe=recipe, seed=seed)
    tested = evaluation.evaluate(model, folder)
    models.save(model, out, force=force)
    screen.say(
        f"{target} from {block}: trained on {model.cells:,} cells; on {len(model.held_out):,} parts held out accuracy "
        f"{tested.accuracy:.3f}, macro F1 {tested.macro_f1:.3f}, calibration error {tested.calibration_error:.3f}. "
        f"Model in {out}."
    )


@group.command()
def predict(
    model: Annotated[Path, typer.Argument(help="Folder of a model.", show_default=False)],
    folder: FOLDER,
    out: Annotated[Path, typer.Argument(help="Folder for one Parquet a part.", show_default=False)],
    *,
    trust: Annotated[bool, typer.Option("--trust", help="Load a boosted model, which is a pickle.")] = False,
    force: screen.Force = False,
) -> None:
    """Predict labels of new parts with a trained model.

    Example:  musclebook scprint predict model new_parts predictions
    """
    from helpers import files
    from helpers.scprint import evaluation, models

    screen.tell_lost(out, files.claim(out, kind="scprint predictions", force=force, inputs=[model, folder]))
    trained = models.load(model, trust=trust)
    done = cells = 0
    with files.writing(out, kind="scprint predictions", force=force) as part:
        part.mkdir()
        for frame in evaluation.predict(trained, folder):
            if frame.height:
                frame.write_parquet(part / f"{str(frame['part'][0]).replace('/', '__')}.parquet")
                done, cells = done + 1, cells + frame.height
    screen.say(f"{cells:,} cells of {done:,} parts predicted in {out}.")


@group.command()
def prepare(
    source: Annotated[
        str, typer.Argument(help="demo, tiny, a release folder, or an .h5ad.", show_default=False)
    ],
    out: Annotated[Path, typer.Argument(help="Folder for the slices and the script.", show_default=False)],
    *,
    slice_cells: Annotated[int, typer.Option(help="Cells of a slice, at most 20,000.")] = 20_000,
    checkpoint: Annotated[str, typer.Option(help="Weights, as the script names them.")] = "v2-medium.ckpt",
    force: screen.Force = False,
) -> None:
    """Prepare an atlas for scPRINT-2: slices of raw counts and the script that embeds them elsewhere.

    Example:  musclebook scprint prepare release slices
    """
    from collections.abc import Iterator

    import anndata as ad
    import numpy as np

    from helpers import files, sources
    from helpers.scprint import embed

    screen.tell_lost(out, files.claim(out, kind="scprint slices", force=force, inputs=[source]))
    atlas = sources.open_atlas(source)

    def pieces() -> Iterator[ad.AnnData]:
        number = np.arange(atlas.obs.height)
        # as even as whole slices allow: no last slice is too small for the model
        count = max(1, -(-len(number) // slice_cells))
        for chosen in np.array_split(number, count):
            yield atlas.to_anndata(cells=np.isin(number, chosen), counts=True)

    with files.writing(out, kind="scprint slices", force=force) as part:
        made = embed.prepare(pieces(), part, slice_cells=slice_cells, checkpoint=checkpoint)
    screen.say(
        f"{made.cells:,} cells x {made.genes:,} genes in {len(made.slices)} slices; run {out / embed.SCRIPT}."
    )
