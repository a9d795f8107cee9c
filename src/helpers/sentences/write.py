"""Data sets of sentences on disk: decided once, written in shards, resumed, checked, described."""

import json
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import starmap
from pathlib import Path
from typing import Any, Literal, NamedTuple
from uuid import UUID

import numpy as np
import polars as pl
import yaml
from filelock import FileLock

from helpers import ages, names
from helpers import cluster as clusters
from helpers.errors import SentenceError
from helpers.files import digest_text, reading, write_json, writing
from helpers.sentences import cells, encode, kernels, shards, split, symbols

# Raised when the files written for the same input and options change.
FORMAT = 2
MANIFEST, PLAN, README, SPLIT = "manifest.json", "plan.json", "README.md", "split.json"
LOCK = ".musclebook-sentences.lock"
# Data sets that are planned, and that are written, at once: small files keep all workers busy, thousands do not fill
# the memory.
AHEAD = 4
# A README with these words is ours and may be written anew.
MARK = "Written by musclebook sentences."
PRIMARY, DATASET_ID = "is_primary_data", "dataset_id"
# Column of the user's table of publications -> column of the sentences, as the public data set's card names them.
TOLD = ("title", "doi", "description", "contact_name", "contact_email")
PUBLICATION_COLUMNS = {"collection_id": "collection_id"} | {name: f"publication_{name}" for name in TOLD}
_UUID = re.compile(r"(?<![0-9a-f])[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}(?![0-9a-f])")
_PART = re.compile(r"\.(chunk_\d{4,}\.parquet|[a-z]+\.json|README\.md)\.[0-9a-f]{6}-\d+-[0-9a-f]{8}\.part")
ELSEWHERE = "Choose another folder, or remove this one."
Facts = Mapping[str, Any]
Hgnc = symbols.Nomenclature | None
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """What is written. Checks itself.

    Parameters
    ----------
    split
        ``"donors"``: whole donors to train or test; ``"cells"``: single cells, which leaks donors; ``"none"``.
    missing_age, copies
        ``"keep"`` or ``"drop"``: cells whose age is not known; cells that say ``is_primary_data == False``, which are
        copies of another data set's.
    donor_column, age_column
        Columns of the donor and of the age; none: found.
    organism
        Organism where the data do not state it; none: that of the Ensembl identifiers of the genes, if there are.
    level
        Of the Zstandard compression.
    """

    rule: encode.Rule = encode.STANDARD
    split: Literal["donors", "cells", "none"] = split.DONORS
    test_fraction: float = 0.05
    seed: int = 0
    chunk_cells: int = 10_000
    missing_age: Literal["keep", "drop"] = "keep"
    copies: Literal["drop", "keep"] = "drop"
    donor_column: str | None = None
    age_column: str | None = None
    organism: str | None = None
    level: int = 1

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        size = self.chunk_cells >= 1, "a file holds at least one cell"
        share = 0 < self.test_fraction < 1, "give a share above 0 and below 1, or split='none'"
        symbols.check(self, chunk_cells=size, test_fraction=share)


STANDARD = Options()


class Written(NamedTuple):
    """One data set on disk: its folder and its manifest."""

    folder: Path
    manifest: Facts


def write(
    inputs: Any,
    out: Path,
    *,
    options: Options = STANDARD,
    collections: Path | None = None,
    hgnc: Path | None = None,
    workers: int = 1,
    cluster: str | None = None,
    replace: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Written]:
    """Write sentences as Parquet, one folder a data set, ``train`` and ``test`` inside it unless there is no split.

    The split is decided over all inputs before anything is written, and kept in ``split.json``. Run again after an
    interruption, it goes on; finished files are not touched. The files depend on inputs and options only, not on
    workers or interruptions. At the end the sentences of both sides are compared: how many of the test side stand
    word for word in train is in each ``manifest.json``, and is warned of.

    Parameters
    ----------
    inputs
        Path of an .h5ad file or AnnData, several of them, or a mapping of data set names to them.
    collections, hgnc
        The user's tables of publications, see `read_collections`, and of symbols.
    workers, cluster
        Threads of this machine, or the address of a Dask scheduler whose workers see the same paths.
    replace
        Whether to remove what another run left under these names, rather than to refuse the folder.
    progress
        Called whenever a file is finished with the cells written, twice: how many come is not known.

    Raises
    ------
    SentenceError
        If an input cannot be read, the folder holds another run, donors cannot be split, no cell is left, the disk is
        full, or the cluster cannot be reached.
    """
    named = name_inputs(inputs)
    out = Path(out).expanduser()
    if cluster and (held := [name for name, source in named.items() if not isinstance(source, Path)]):
        msg = f"a cluster reads files, and {', '.join(held)} is in memory; give the path of an .h5ad file."
        raise SentenceError(msg)
    publications = None if collections is None else read_collections(collections)
    told = {name: _describe_source(name, publications) for name in named}
    nomenclature = None if hgnc is None else symbols.read_hgnc(hgnc)
    out.mkdir(parents=True, exist_ok=True)
    with FileLock(out / LOCK):
        _clean(out, named)
        if replace:
            _remove(out, named)
        try:
            with clusters.pool(workers, cluster, error=SentenceError) as pool:
                return _run(named, out, options, told, nomenclature, pool=pool, progress=progress)
        finally:
            _clean(out, named)


def read_collections(path: Path) -> pl.DataFrame:
    """Read the user's table of publications: CSV, tab-separated text or Parquet, one row a data set.

    It has a column ``dataset_id`` and any of `PUBLICATION_COLUMNS` (either name).
    """
    path = Path(path).expanduser()
    table = symbols.read_table(path, "a table of collections")
    table = table.rename({key: new for key, new in PUBLICATION_COLUMNS.items() if key in table.columns})
    wanted = [column for column in PUBLICATION_COLUMNS.values() if column in table.columns]
    if DATASET_ID not in table.columns or not wanted:
        msg = f"{path} needs a column {DATASET_ID!r} and publication columns; it has: {', '.join(table.columns)}."
        raise SentenceError(msg)
    table = table.select(DATASET_ID, *wanted).cast(pl.String).unique(maintain_order=True)
    if len(twice := table.filter(pl.col(DATASET_ID).is_duplicated())):
        msg = f"{path} has different rows for data set {twice[DATASET_ID][0]!r}; keep one row for each."
        raise SentenceError(msg)
    return table


def _run(
    named: Facts, out: Path, options: Options, told: Facts, hgnc: Hgnc, *, pool: Any, progress: Any
) -> list[Written]:
    sides = dict.fromkeys(named, _describe_split(options))
    if options.split == split.DONORS:
        counting = {name: pool.submit(_count_donors, name, source, options) for name, source in named.items()}
        counted = {name: pool.result(future) for name, future in counting.items()}
        held = _decide([people for people, _ in counted.values()], out, options)
        sides = {name: _describe_split(options, *found, held) for name, found in counted.items()}
    hgnc = pool.share(hgnc)

    def plan(name: str) -> tuple[str, Any]:
        return name, pool.submit(_plan, name, named[name], options, told[name], hgnc, sides[name])

    def begin(name: str, planned: Any) -> tuple[str, shards.Job, list[Any]]:
        job, rows = pool.result(planned)
        pieces = _begin(out / name, job, rows, options)
        sent = pool.share(job)
        return name, job, [pool.submit(shards.make_shard, sent, *piece) for piece in pieces]

    jobs, made, done = {}, {}, 0
    for name, job, futures in clusters.ahead(starmap(begin, clusters.ahead(map(plan, named), AHEAD)), AHEAD):
        jobs[name], made[name] = job, []
        for future in futures:
            made[name].append(pool.result(future))
            if progress is not None:
                done += made[name][-1].facts["cells"]
                progress(done, done)
    if not any(made.values()):
        msg = "no cell is left to write: all are of unknown age, or copies (is_primary_data is False). Keep them to write them."
        raise SentenceError(msg)
    copied = _compare_sides(out, made)
    written = [_describe(out / name, job, made[name], copied[name]) for name, job in jobs.items()]
    _write_readme(out, {path.parent.name: _read_json(path) for path in sorted(out.glob(f"*/{MANIFEST}"))})
    return written


def _count_donors(name: str, source: Any, options: Options) -> tuple[pl.DataFrame, int]:
    """Return the donors of a data set (name, median age, cells), and its cells of nobody known; copies do not count."""
    opened, donor, age, copies = _open(name, source, options)
    if donor is None:
        why = f"(columns: {', '.join(opened.schema.names)}), so that whole donors cannot be held out"
        msg = f"{name} names no donors {why}. Name the column, or ask for no split, or for a split by cell."
        raise SentenceError(msg)
    frame = pl.DataFrame({"name": opened.text(donor), "age": _read_ages(opened, age)[ages.AGE]})
    frame = frame.filter(pl.Series(~copies))
    donors = frame.group_by("name").agg(pl.col("age").median(), pl.len().alias("cells"))
    people = donors.filter(pl.col("name").map_elements(names.is_somebody, pl.Boolean))
    return people, int(frame.height - people["cells"].sum())


def _decide(tables: Iterable[pl.DataFrame], out: Path, options: Options) -> frozenset[str]:
    """Put every donor of all inputs on one side, also where several share it; donors decided earlier stay."""
    here = out / SPLIT
    rule = {"seed": options.seed, "test_fraction": options.test_fraction}
    before = _read_json(here) if here.exists() else {**rule, "sides": {}}
    if (was := {key: before.get(key) for key in rule}) != rule:
        msg = f"{out} is split with {was}, not with {rule}. {ELSEWHERE}"
        raise SentenceError(msg)
    merged = pl.concat(tables).group_by("name").agg(pl.col("age").median(), pl.col("cells").sum())
    settled = before["sides"]
    held = split.split_donors(merged, target=options.test_fraction, seed=options.seed, settled=settled)
    sides = settled | {name: split.TEST if name in held else split.TRAIN for name in merged["name"]}
    write_json(here, {**rule, "sides": dict(sorted(sides.items()))})
    return held


def _describe_split(
    options: Options, people: pl.DataFrame | None = None, unknown: int = 0, held: frozenset[str] = frozenset()
) -> dict[str, Any]:
    if options.split == split.NONE:
        return {"kind": split.NONE}
    described = {"kind": options.split, "target_share": options.test_fraction, "seed": options.seed}
    if people is None:
        return described | {"warning": "single cells were split: cells of one donor are in train and in test"}
    test = people.filter(pl.col("name").is_in(sorted(held)))
    return described | {
        "test_donors": sorted(test["name"]),
        "train_donors": sorted(set(people["name"]) - held),
        "test_share_of_cells": float(test["cells"].sum() / max(1, people["cells"].sum())),
        "cells_of_unknown_donors": unknown,
    }


def _plan(
    name: str, source: Any, options: Options, told: Facts, hgnc: Hgnc, sides: Facts
) -> tuple[shards.Job, dict[str, np.ndarray]]:
    """Read what a data set is, make its vocabulary, and decide where each of its cells goes; count those left out."""
    opened, donor, age, copies = _open(name, source, options)
    columns = opened.schema.names
    encoder = encode.Encoder(options.rule, opened, hgnc)
    organism = symbols.name_organism(opened, options.organism)
    facts = {
        "format": FORMAT,
        "source": {"name": name, "hash": opened.digest(), "cells": opened.n_cells},
        "options": asdict(options),
        "donor_column": donor,
        "age_column": age,
        "constants": {**told, **{key: value for key, value in organism.items() if key not in columns}},
        "hgnc_sha256": None if hgnc is None else hgnc.sha256,
        "words_sha256": digest_text("\n".join(encoder.vocabulary.words)),
        "split": sides,
    }
    fingerprint = digest_text(json.dumps(facts, sort_keys=True, default=str))
    said = set(organism.values())
    for column in {cells.ORGANISM, cells.ORGANISM_TERM} & set(columns):
        said |= set(opened.text(column).drop_nulls())
    species = ages.MOUSE if said and said <= {*symbols.ORGANISMS["ENSMUS"]} else ages.HUMAN
    stated = _read_ages(opened, age, species)
    unknown = stated[ages.AGE].is_null().to_numpy() & (options.missing_age == "drop")
    kept = ~copies & ~unknown
    people = None if donor is None else opened.text(donor)
    if options.split == split.NONE:
        chosen = {"": kept}
    else:
        if options.split == split.CELLS:
            # by a hash of the barcode, so that chunks do not matter
            lots = [split.lot(options.seed, 0, barcode) for barcode in opened.text(columns[0])]
            test = np.array(lots, np.uint64) < options.test_fraction * 2**64
        else:
            test = people.is_in(sides["test_donors"]).fill_null(value=False).to_numpy()
        chosen = {split.TRAIN: kept & ~test, split.TEST: kept & test}
    both = None
    if len(chosen) > 1 and people is not None:
        on_each = [set(people.filter(pl.Series(side))) for side in chosen.values()]
        both = sum(map(names.is_somebody, set.intersection(*on_each)))
    counts = {
        "donors_on_both_sides": both,
        "cells_left_out_as_copies": int(copies.sum()),
        "cells_left_out_without_age": int((unknown & ~copies).sum()),
        "gene_lists": _count_lists(name, encoder.vocabulary, options.rule),
        "ages": dict(stated.filter(pl.Series(kept))[ages.AGE_KIND].value_counts(sort=True).iter_rows()),
    }
    rows = {side: np.flatnonzero(where) for side, where in chosen.items()}
    return shards.Job(opened, encoder, {"fingerprint": fingerprint, **facts}, species, counts), rows


def _count_lists(name: str, vocabulary: symbols.Vocabulary, rule: encode.Rule) -> dict[str, Any]:
    """Count the words found for each gene list; refuse a list of which none is."""
    found = {}
    for title, genes in rule.gene_lists.items():
        absent, given = vocabulary.subset(genes)[1], len(set(genes))
        found[title] = {"genes": given, "found": given - len(absent), "absent": absent[:20]}
        if len(absent) == given:
            first, words = ", ".join(map(repr, absent[:3])), ", ".join(vocabulary.words[:3])
            msg = (
                f"none of the {given} genes of the list {title!r} is a gene of {name} (first: {first}; the data have "
                f"words such as {words}). Give symbols or Ensembl identifiers of the same species."
            )
            raise SentenceError(msg)
    return found


def _begin(
    folder: Path, job: shards.Job, sides: Mapping[str, np.ndarray], options: Options
) -> list[tuple[str, np.ndarray, Path]]:
    """Return side, rows and path of each file to write; note the plan, or refuse a folder that follows another one."""
    here = folder / PLAN
    if not here.exists():
        write_json(here, job.plan)
    elif (was := _read_json(here)).get("fingerprint") != job.plan["fingerprint"]:
        now = json.loads(json.dumps(job.plan, default=str))
        differs = [key for key, value in now.items() if was.get(key) != value and key != "fingerprint"]
        msg = f"{folder} holds sentences of another run (different: {', '.join(differs)}). {ELSEWHERE}"
        raise SentenceError(msg)
    size = options.chunk_cells
    return [
        (side, rows[start : start + size], folder / side / f"chunk_{start // size:04d}.parquet")
        for side, rows in sides.items()
        for start in range(0, len(rows), size)
    ]


def _compare_sides(out: Path, made: Mapping[str, Sequence[shards.Shard]]) -> dict[str, int]:
    """Count for each data set the test sentences that stand word for word in train, of whatever data set here."""

    def numbers(side: str, found: Iterable[shards.Shard]) -> np.ndarray:
        hashes = [one.hashes for one in found if one.facts["side"] == side]
        return np.concatenate([np.zeros(0, np.uint64), *hashes])

    everywhere = [one for found in made.values() for one in found]
    train, test = numbers(split.TRAIN, everywhere), numbers(split.TEST, everywhere)
    # what earlier runs left here, as far as it matters
    for path in sorted(out.glob(f"*/{split.TRAIN}/chunk_*.parquet")) if len(test) else ():
        if path.parent.parent.name not in made:
            found = shards.read_hashes(path)
            train = np.concatenate([train, found[np.isin(found, test)]])
    train = np.unique(train)
    copied = {name: int(np.isin(numbers(split.TEST, found), train).sum()) for name, found in made.items()}
    if total := sum(copied.values()):
        _log.warning(
            "%s of %s test sentences stand word for word in train: copies of the same cells under other names, so that "
            "a test on them says nothing. Find the data set that holds the copies and leave it out.",
            f"{total:,}", f"{len(test):,}",
        )  # fmt: skip
    return copied


def _describe(folder: Path, job: shards.Job, made: Sequence[shards.Shard], copied: int) -> Written:
    """Describe the written files of a data set."""
    ties: Counter[str] = Counter(encode.count_ties(np.zeros((0, len(kernels.STATISTICS)), np.int64)))
    by_side: Counter[str] = Counter()
    for one in made:
        ties.update(one.ties)
        by_side[one.facts["side"] or "all"] += one.facts["cells"]
    manifest = {
        **job.plan,
        **job.counts,
        "test_sentences_in_train": None if job.plan["split"]["kind"] == split.NONE else copied,
        "cells": sum(by_side.values()),
        "cells_by_side": dict(by_side),
        "columns": {piece.name: str(piece.type) for piece in job.schema},
        "renamed_columns": job.renamed,
        "symbols": dict(job.encoder.vocabulary.report),
        "ties": encode.add_shares(ties),
        "files": [one.facts for one in made],
    }
    write_json(folder / MANIFEST, manifest)
    _write_readme(folder, {"": manifest})
    return Written(folder, manifest)


def _write_readme(folder: Path, manifests: Mapping[str, Facts]) -> None:
    """Say which files hold the rows of which side, so that the hub's ``datasets`` loads them and nothing else."""
    here = folder / README
    if here.exists() and MARK not in here.read_text(encoding="utf-8", errors="replace"):
        return  # somebody's own
    configs = {name or "default": [name] for name in manifests}
    if len({json.dumps(manifest["columns"]) for manifest in manifests.values()}) == 1:
        configs = {"default": list(manifests), **configs}
    listed = []
    for config, own in configs.items():
        paths: dict[str, list[str]] = {split.TRAIN: [], split.TEST: []}
        for name in own:
            for file in manifests[name]["files"]:
                paths[file["side"] or split.TRAIN].append(f"{name}/{file['file']}".lstrip("/"))
        files = [{"split": side, "path": found} for side, found in paths.items() if found]
        listed += [{"config_name": config, "data_files": files}] if files else []
    head = yaml.safe_dump({"configs": listed}, sort_keys=False, allow_unicode=True)
    total = sum(manifest["cells"] for manifest in manifests.values())
    text = (
        f"---\n{head}---\n\n# Cell sentences\n\n{total:,} cells as sentences: the symbols of the expressed genes, the highest first. {MARK} What was done, "
        "counted and left out is in manifest.json, beside the files of each data set.\n"
    )
    with writing(here) as part:
        part.write_text(text, encoding="utf-8")


def _open(name: str, source: Any, options: Options) -> tuple[cells.Cells, str | None, str | None, np.ndarray]:
    """Open a data set: its cells, its columns of donors and of ages, and which cells say that they are copies."""
    opened = cells.open_cells(source, options.rule.layer, name)
    columns, copies = opened.schema.names, np.zeros(opened.n_cells, bool)
    donor = symbols.find_column(columns, options.donor_column, split.DONOR_COLUMNS, "the donor")
    age = symbols.find_column(columns, options.age_column, ages.AGE_SOURCES, "the age")
    if options.copies == "drop" and PRIMARY in columns:
        stated = opened.text(PRIMARY).str.to_lowercase()
        copies = stated.is_in(["false", "0"]).fill_null(value=False).to_numpy()
    return opened, donor, age, copies


def _read_ages(source: cells.Cells, age_column: str | None, species: str = ages.HUMAN) -> pl.DataFrame:
    """Return the ages of all cells; those of the atlas need the donors too."""
    columns = source.schema.names
    wanted = [column for column in columns if column in (age_column, names.DONOR)] or columns[:1]
    return shards.parse_ages(source.obs(0, source.n_cells, wanted), age_column, species)


def _describe_source(name: str, collections: pl.DataFrame | None) -> dict[str, str | None]:
    """Return the constant columns of a data set: the UUID in its name, its publication; null what is not known."""
    stated = _UUID.search(name.lower())
    found: dict[str, str | None] = {DATASET_ID: str(UUID(stated[0])) if stated else None}
    if collections is None:
        return found
    rows = collections.filter(pl.col(DATASET_ID).str.to_lowercase() == (found[DATASET_ID] or ""))
    told = rows.row(0, named=True) if rows.height else dict.fromkeys(collections.columns)
    return told | found


def name_inputs(inputs: Any) -> dict[str, Any]:
    """Give each input the name of its folder, see `write`; paths stay paths, cells in memory are looked at once."""
    if isinstance(inputs, Mapping):
        pairs = [(str(name), source) for name, source in inputs.items()]
    else:
        listed = inputs if isinstance(inputs, list | tuple) else [inputs]
        paths = [one if isinstance(one, str | Path) else getattr(one, "filename", None) for one in listed]
        found = [cells.dataset_name(path) if path else "cells" for path in paths]
        pairs = list(zip(found, listed, strict=True))
    named: dict[str, Any] = {}
    for name, source in pairs:
        fault = f"two inputs are called {name!r}" if name in named else ""
        if not name or re.search(r'[\\/:*?"<>|]', name) or name.startswith("."):
            fault = f"{name!r} cannot name a folder"
        if fault:
            msg = f"{fault}: rename one, or give a mapping of plain names to the inputs, since each names a folder."
            raise SentenceError(msg)
        named[name] = Path(source).expanduser() if isinstance(source, str | Path) else source
    if not named:
        msg = "no input: give an .h5ad file, an AnnData, or several of them."
        raise SentenceError(msg)
    return named


def _read_json(path: Path) -> dict[str, Any]:
    with reading(path, "JSON", fault=SentenceError, remedy="Remove it, or choose another folder."):
        return {**json.loads(path.read_text(encoding="utf-8"))}


def _clean(out: Path, named: Iterable[str]) -> None:
    """Remove what this writer left half done; the lock is ours, so that nobody is writing it."""
    folders = [out, *(out / name / side for name in named for side in ("", split.TRAIN, split.TEST))]
    for folder in folders:
        for path in folder.glob(".*.part") if folder.is_dir() else ():
            if _PART.fullmatch(path.name):
                path.unlink(missing_ok=True)


def _remove(out: Path, named: Iterable[str]) -> None:
    """Remove the files of another run, and the folders that are empty then: never somebody's own."""
    (out / SPLIT).unlink(missing_ok=True)
    for folder in (out / name for name in named if (out / name / PLAN).exists()):
        for place in (folder / split.TRAIN, folder / split.TEST, folder):
            for path in [*place.glob("chunk_*.parquet"), place / MANIFEST, place / PLAN]:
                path.unlink(missing_ok=True)
            if place.is_dir() and not any(place.iterdir()):
                place.rmdir()
