"""Commands on the atlas: simulate, download, validate, audit, convert."""

from pathlib import Path
from typing import Annotated

import typer

from helpers import names
from helpers.cli import screen
from helpers.facts import study

FOLDER = Annotated[
    Path, typer.Argument(help="Folder with the twelve files of a release.", show_default=False)
]


def simulate(
    out: Annotated[
        Path | None,
        typer.Argument(help="New folder; where --atlas demo, tiny or full look if none.", show_default=False),
    ] = None,
    *,
    scale: Annotated[float, typer.Option(min=0.001, max=1, help="Share of the 183,161 cells.")] = 0.08,
    full: Annotated[
        bool, typer.Option("--full", help="As many cells as the real release: takes minutes and gigabytes.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same release.")] = 1,
    force: screen.Force = False,
) -> None:
    """Make up a release with a known truth, in the files of the real one.

    A folder that is there is replaced only if an earlier call made it and nothing in it changed since.

    Example:  musclebook simulate --scale 0.02 --seed 1 tiny_release
    """
    from helpers import sources
    from helpers.simulate import release

    scale = 1.0 if full else scale
    folder = sources.place(scale, seed=seed) if out is None else out
    if out is not None:
        screen.claim(out, kind=release.KIND, force=force)
    release.write(folder, scale=scale, seed=seed, force=force, owned=out is None)
    screen.say(f"Simulated release in {folder}. What was planted is in {folder / names.TRUTH_FOLDER}.")


def download(
    folder: Annotated[
        Path, typer.Argument(help="Folder for the files; what is whole there is kept.", show_default=False)
    ],
    *,
    repository: Annotated[str, typer.Option(help="Dataset on the hub.")] = study.HUB_REPOSITORY,
    revision: Annotated[str | None, typer.Option(help="Commit, branch or tag; the newest if none.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="Address of another hub.")] = None,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="HF_TOKEN", help="For a private or gated set; never shown or kept.", show_default=False
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace files of a release's names that were not downloaded.")
    ] = False,
) -> None:
    """Fetch the real release (1.6 GB), resume what was interrupted, check every byte.

    Example:  musclebook download release
    """
    from helpers.atlas import download as downloading

    given = {"revision": revision, "endpoint": endpoint, "token": token, "force": force}
    with screen.progress("Bytes fetched") as progress:
        record = downloading.download(folder, repository, **given, progress=progress)
    screen.say(
        f"{len(record['files'])} files of {record['repository']} at commit {record['commit']} in {folder}."
    )


def validate(folder: FOLDER, *, as_json: screen.Json = False) -> None:
    """Check that a release is whole and its files agree; ends with 1 where something is damaged.

    Example:  musclebook validate release
    """
    from helpers.atlas import validate as validating

    with screen.progress("Genes read") as progress:
        report = validating.validate(folder, progress=progress)
    screen.show_table(report, columns=["check", "file", "status", "found"], status="status", as_json=as_json)
    n_damaged = report["status"].eq(validating.DAMAGED).sum()
    if not as_json:
        for row in report.filter(report["status"] != validating.OK).iter_rows(named=True):
            screen.say("{status}: {file}: {found}. Expected: {expected}. {remedy}".format(**row))
        screen.say(f"{len(report)} checks, {n_damaged} found damage.")
    if n_damaged:
        raise typer.Exit(1)


def audit(folder: FOLDER, *, as_json: screen.Json = False) -> None:
    """Compute each claim of the public dataset card from the files.

    Example:  musclebook audit release
    """
    from helpers.atlas import audit as auditing

    with screen.progress("Genes read") as progress:
        verdicts = auditing.audit(folder, progress=progress)
    columns = ["claim", "card", "found", "verdict"]
    screen.show_table(verdicts, columns=columns, status="verdict", as_json=as_json)
    if not as_json:
        counts = dict(verdicts["verdict"].value_counts(sort=True).iter_rows())
        screen.say("; ".join(f"{n} {verdict}" for verdict, n in counts.items()) + ".")


def convert(
    source: Annotated[str, typer.Argument(help="Folder of a release, or an .h5ad file.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="New .h5ad file.", show_default=False)],
    *,
    budget: Annotated[str, typer.Option(help="Memory that may be used.")] = "8 GiB",
    force: screen.Replace = False,
) -> None:
    """Write a source as one sparse .h5ad file with recovered counts, which opens in seconds.

    Example:  musclebook convert release atlas.h5ad
    """
    from helpers import files, sources

    files.claim_file(out, force=force, inputs=[source])
    path = sources.convert(source, out, budget=budget)
    screen.say(f"{path.stat().st_size:,} bytes in {path}.")


COMMANDS = (simulate, download, validate, audit, convert)
