"""Commands on the atlas and its cells as sentences: simulate, download, validate, audit, convert, sentences, prompts."""

import time
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


def sentences(
    inputs: Annotated[list[str], Argument(metavar="INPUT...", help="Files .h5ad, releases, or 'demo'.")],
    out: Annotated[Path, Argument(help="Folder for the sentences.")],
    *,
    top_n: Annotated[int, Option(min=0, help="Words of a sentence at most; 0: all expressed.")] = 2_000,
    ties: Annotated[str, Option(help="Order among equal values: symbol, file, seeded.")] = "symbol",
    layer: Annotated[str, Option(help="X, raw, or the name of a layer.")] = "X",
    case: Annotated[str, Option(help="Case of the symbols: given, upper.")] = "given",
    duplicates: Annotated[str, Option(help="Columns of one symbol: sum, first.")] = "sum",
    symbol_column: Annotated[str | None, Option(help="Column of the symbols; found if not named.")] = None,
    gene_list: Annotated[list[Path] | None, Option(help="Genes with an own sentence; repeatable.")] = None,
    split: Annotated[str, Option(help="donors, cells (leaks donors), none.")] = "donors",
    test_fraction: Annotated[float, Option(help="Target share of the test side.")] = 0.05,
    seed: Annotated[int, Option(help="Of the split and of seeded ties.")] = 0,
    chunk_cells: Annotated[int, Option(min=1, help="Cells of one file.")] = 10_000,
    missing_age: Annotated[str, Option(help="Cells of unknown age: keep, drop.")] = "keep",
    copies: Annotated[str, Option(help="Cells with is_primary_data False: drop, keep.")] = "drop",
    donor_column: Annotated[str | None, Option(help="Column of the donor; found if not named.")] = None,
    age_column: Annotated[str | None, Option(help="Column of the age; found if not named.")] = None,
    organism: Annotated[str | None, Option(help="Organism, where the data do not state it.")] = None,
    collections: Annotated[Path | None, Option(help="Your table of publications by dataset_id.")] = None,
    hgnc: Annotated[Path | None, Option(help="Your HGNC table, for outdated symbols.")] = None,
    workers: Annotated[int, Option(min=1, help="Threads of this machine.")] = 2,
    cluster: Annotated[str | None, Option(help="Address of a Dask scheduler.")] = None,
) -> None:
    """Write cells as sentences: Parquet files, whole donors held out, resumed where interrupted.

    Example:  musclebook sentences release cells.h5ad sentences --top-n 2000 --workers 2
    On machines:  dask scheduler  (prints its address), on each: dask worker tcp://HOST:8786, then --cluster tcp://HOST:8786
    """
    from helpers.sentences import encode, symbols, write

    lists = symbols.read_lists(gene_list or [])
    named = write.name_inputs(inputs)
    chosen = write.Options(
        rule=encode.Rule(
            top_n=top_n, ties=ties, seed=seed, layer=layer, case=case, duplicates=duplicates,
            symbol_column=symbol_column, gene_lists=lists,
        ),
        split=split, test_fraction=test_fraction, seed=seed, chunk_cells=chunk_cells, missing_age=missing_age,
        copies=copies, donor_column=donor_column, age_column=age_column, organism=organism,
    )  # fmt: skip
    started = time.monotonic()
    opened = {name: _open(path) for name, path in named.items()}
    given = {"collections": collections, "hgnc": hgnc, "workers": workers, "cluster": cluster}
    with screen.progress("Cells written") as progress:
        written = write.write(opened, out, options=chosen, **given, progress=progress)
    for one in written:
        sides = ", ".join(f"{side} {n:,}" for side, n in one.manifest["cells_by_side"].items())
        screen.say(f"{one.folder}: {one.manifest['cells']:,} cells ({sides}).")
        if left := one.manifest["cells_left_out_as_copies"]:
            screen.say(f"  {left:,} cells left out: they are copies, they say (is_primary_data is False).")
        for what in ("negative", "not_finite"):
            if n := one.manifest["ties"][f"values_{what}"]:
                fault = f"values that are {what.replace('_', ' ')}, which give no words: {n:,}"
                screen.say(
                    f"  {fault}. Scaled or corrected values are in no order of expression: see --layer."
                )
        for name, found in one.manifest["gene_lists"].items():
            there = f"{found['found']:,} of {found['genes']:,}"
            screen.say(f"  {name}: {there} genes of the list are in the data.")
    done, took = sum(one.manifest["cells"] for one in written), time.monotonic() - started
    screen.say(f"{done:,} cells in {took:.1f} s. What was done is in each manifest.json.")


def prompts(
    inputs: Annotated[list[Path], Argument(metavar="INPUT...", help="Sentences: files or folders.")],
    out: Annotated[Path, Argument(help="File of JSON lines.")],
    *,
    task: Annotated[str, Option(help="What is asked: age, cell_type, tissue.")] = "age",
    n_genes: Annotated[int, Option(min=1, help="Words of a sentence at most.")] = 200,
    side: Annotated[str | None, Option(help="train or test; both if not named.")] = None,
    seed: Annotated[int, Option(help="Of the choice of templates.")] = 0,
    organism: Annotated[str | None, Option(help="Told where the data do not state it.")] = None,
    tissue: Annotated[str | None, Option(help="Told where the data do not state it.")] = None,
    templates: Annotated[Path | None, Option(help="YAML file of your own templates.")] = None,
    force: screen.Replace = False,
) -> None:
    """Turn sentences into prompts and responses for fine-tuning.

    Example:  musclebook prompts sentences/atlas train.jsonl --task cell_type --side train
    """
    from helpers.sentences import prompts as prompting

    files.require_utf8(out)
    files.claim_file(out, force=force, inputs=[*inputs, *([templates] if templates else [])])
    made = prompting.write(
        list(inputs), out, task=task, n_genes=n_genes, seed=seed, side=side, organism=organism, tissue=tissue,
        templates=templates,
    )  # fmt: skip
    screen.say(f"{made.lines:,} prompts in {out}; {made.left_out:,} cells left out for want of an answer.")
    if made.trimmed:
        words = "words of genes that the cell does not express."
        screen.say(f"Padding was cut off in {made.trimmed:,} of them: {words}")
    if made.untold:
        why = "all their sentences have the same number of words, and no column counts the genes of a cell."
        whether = f"Whether {made.untold:,} of them are padded with unexpressed genes cannot be told"
        screen.say(f"{whether}: {why} They were not trimmed.")


def _open(source: Path) -> object:
    from helpers import sources

    if source.suffix in (".h5ad", ".gz") or source.is_file():
        return source
    # a release is columns of genes; its converted copy gives rows of cells
    return sources.open_atlas(str(source)).to_anndata(counts=False)


COMMANDS = (simulate, download, validate, audit, convert, sentences, prompts)
