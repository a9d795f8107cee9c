"""Commands on the atlas: simulate, download, validate, audit, convert."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Exit, Option

from helpers import files, names
from helpers.cli import screen
from helpers.facts import study

Folder = Annotated[Path, Argument(help="Folder with the twelve files of a release.")]
TOKEN = "For a private or gated set; never shown or kept."


def simulate(
    out: Annotated[Path | None, Argument(help="New folder; where --atlas demo looks if none.")] = None,
    *,
    scale: Annotated[float, Option(min=0.001, max=1, help="Share of the 183,161 cells.")] = 0.08,
    full: Annotated[bool, Option("--full", help="All cells: takes minutes and gigabytes.")] = False,
    seed: Annotated[int, Option(min=0, help="Same seed, same release.")] = 1,
    force: screen.Force = False,
) -> None:
    """Make up a release with a known truth, in the files of the real one.

    A folder that is there is replaced only if an earlier call made it and nothing in it changed since.

    Example:  musclebook simulate --scale 0.02 --seed 1 tiny_release
    """
    from helpers import sources
    from helpers.simulate import release

    scale = 1.0 if full else scale
    if out is not None:
        screen.claim(out, kind=release.KIND, force=force)
    folder = out or sources.place(scale, seed=seed)
    release.write(folder, scale=scale, seed=seed, force=force, owned=out is None)
    screen.say(f"Simulated release in {folder}. What was planted is in {folder / names.TRUTH_FOLDER}.")


def download(
    folder: Annotated[Path, Argument(help="Folder for the files; what is whole there is kept.")],
    *,
    repository: Annotated[str, Option(help="Dataset on the hub.")] = study.HUB_REPOSITORY,
    revision: Annotated[str | None, Option(help="Commit, branch or tag; the newest if none.")] = None,
    endpoint: Annotated[str | None, Option(help="Address of another hub.")] = None,
    token: Annotated[str | None, Option(envvar="HF_TOKEN", help=TOKEN, show_default=False)] = None,
    force: Annotated[bool, Option("--force", help="Replace files that were not downloaded.")] = False,
) -> None:
    """Fetch the real release (1.6 GB), resume what was interrupted, check every byte.

    Example:  musclebook download release
    """
    from helpers.atlas import download as downloading

    given = {"revision": revision, "endpoint": endpoint, "token": token, "force": force}
    with screen.progress("Bytes fetched") as progress:
        record = downloading.download(folder, repository, **given, progress=progress)
    source = f"{record['repository']} at commit {record['commit']}"
    screen.say(f"{len(record['files'])} files of {source} in {folder}.")


def validate(folder: Folder, *, as_json: screen.Json = False) -> None:
    """Check that a release is whole and its files agree; ends with 1 where something is damaged.

    Example:  musclebook validate release
    """
    from helpers.atlas import validate as validating

    with screen.progress("Genes read") as progress:
        report = validating.validate(folder, progress=progress)
    n_damaged = report["status"].eq(validating.DAMAGED).sum()
    screen.show_frame(report, ["check", "file", "status", "found"], as_json=as_json)
    if not as_json:
        for row in report.filter(report["status"] != validating.OK).iter_rows(named=True):
            screen.say("{status}: {file}: {found}. Expected: {expected}. {remedy}".format(**row))
        screen.say(f"{len(report)} checks, {n_damaged} found damage.")
    if n_damaged:
        raise Exit(1)


def audit(folder: Folder, *, as_json: screen.Json = False) -> None:
    """Compute each claim of the public dataset card from the files.

    Example:  musclebook audit release
    """
    from helpers.atlas import audit as auditing

    with screen.progress("Genes read") as progress:
        verdicts = auditing.audit(folder, progress=progress)
    screen.show_frame(verdicts, ["claim", "card", "found", "verdict"], as_json=as_json)
    if not as_json:
        counts = verdicts["verdict"].value_counts(sort=True).rows()
        screen.say("; ".join(f"{n} {verdict}" for verdict, n in counts) + ".")


def convert(
    source: Annotated[str, Argument(help="Folder of a release, or an .h5ad file.")],
    out: Annotated[Path, Argument(help="New .h5ad file.")],
    *,
    budget: Annotated[str, Option(help="Memory that may be used.")] = "8 GiB",
    force: screen.Replace = False,
) -> None:
    """Write a source as one sparse .h5ad file with recovered counts, which opens in seconds.

    Example:  musclebook convert release atlas.h5ad
    """
    from helpers import sources

    files.claim_file(out, force=force, inputs=[source])
    path = sources.open_atlas(source).convert(out, budget=budget)
    screen.say(f"{path.stat().st_size:,} bytes in {path}.")


COMMANDS = (simulate, download, validate, audit, convert)
