"""The fault drill: what goes wrong with files, disks and labels gives a clear error or the right result.

Nothing is lost and nothing half-written takes the name of a result. Every drill goes through a public door.
"""

import errno
import html
import os
import re
import shutil
import signal
import subprocess
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
from markdown_it import MarkdownIt
from typer.testing import CliRunner

from helpers import files, findings, names, sources
from helpers.atlas import stored
from helpers.book import execute, run
from helpers.cli.main import app
from helpers.errors import ReleaseError, SentenceError, SourceError, StorageError, TableError
from helpers.scprint import parts, twin
from helpers.sentences import write
from helpers.simulate import release

import damage  # isort: skip  the folder tests is put on the path by conftest
import releases  # isort: skip

pytestmark = [pytest.mark.xdist_group("runs"), pytest.mark.usefixtures("own_cache")]

NO_ROOM = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
POLARS_NO_ROOM = pl.exceptions.ComputeError(  # word for word what polars says on a full disk
    "parquet: File out of specification: underlying IO error: No space left on device (os error 28)"
)
SMALL = releases.Small(170, 60)
MARKUP = "<script>alert(1)</script>"


@pytest.fixture
def folder(tmp_path):
    """Return a release of 170 cells and 60 genes, free to be spoiled."""
    return SMALL.write(tmp_path / "release")


@pytest.fixture
def h5ad(tmp_path, tmp_path_factory):
    """Return that release as an h5ad, free to be spoiled."""
    plain = SMALL.write(tmp_path_factory.mktemp("plain") / "release")
    return sources.open_atlas(plain).convert(tmp_path / "atlas.h5ad")


def change_table(folder, change, file=names.SAMPLE_FILE):
    """Rewrite a table of the release, that of the cells if none is named, as pandas does."""
    change(pd.read_parquet(folder / file)).to_parquet(folder / file)
    return folder


def command(*words):
    """Run ``musclebook`` in this process; return exit code and all that it says in one line."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, " ".join((done.output + done.stderr).split())


def start(code, *words, **environment):
    """Start Python on `code` in a process group of its own."""
    search = os.pathsep.join([str(Path(files.__file__).parents[1]), *filter(None, sys.path)])
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, *map(str, words)],
        env={**os.environ, "PYTHONPATH": search, **environment},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def kill_half_way(code, *words):
    """Kill the whole group of a process that runs `code` with SIGKILL as soon as it says that it is half-way."""
    child = start(HALF + code, *words)
    assert child.stdout.readline().strip() == "half"
    os.killpg(child.pid, signal.SIGKILL)
    child.stdout.close()
    assert child.wait() == -signal.SIGKILL


def hidden(folder):
    """Return what half-written files and folders would be called."""
    return sorted(path.name for path in Path(folder).iterdir() if path.name.startswith("."))


@pytest.fixture
def mount():
    """Return a function that mounts something at a place until the test ends, or skips where this machine cannot."""
    places = []

    def make(place, *options):
        place.mkdir(exist_ok=True)
        if shutil.which("mount") is None:
            pytest.skip("there is no mount command here")
        done = subprocess.run(["mount", *options, str(place)], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
        places.append(place)
        return place

    yield make
    for place in places:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_duplicate_barcodes_are_noted_and_every_cell_keeps_its_own_row(folder, h5ad):
    change_table(folder, lambda frame: frame.set_axis([*frame.index[:7], frame.index[3], *frame.index[8:]]))
    for path in folder.glob("*projection*"):
        path.unlink()
    with h5py.File(h5ad, "a") as file:
        index = file["obs"][file["obs"].attrs["_index"]]
        index[7] = index[3]
    for source in (folder, h5ad):
        atlas = sources.open_atlas(source)
        assert any(note.startswith("2 cells share a barcode, first 'lib03-") for note in atlas.notes)
        adata = atlas.to_anndata()
        assert adata.obs_names.is_unique
        np.testing.assert_array_equal(adata.layers[names.COUNTS].toarray(), SMALL.counts)
    code, told = command("validate", folder)
    assert code == 1
    assert f"damaged: {names.SAMPLE_FILE}: 1 barcodes more than once: 'lib03-" in told
    change_table(folder, lambda f: f.set_axis(SMALL.barcodes).iloc[::-1], names.EXPRESSION_FILE)
    with pytest.raises(ReleaseError, match=r"2 are not unique, first 'lib03-.*rows cannot be matched"):
        sources.open_atlas(folder)


def test_nan_in_an_h5ad_is_refused_with_its_cell(h5ad):
    with h5py.File(strip(h5ad, "layers"), "a") as file:
        file["X/data"][file["X/indptr"][9]] = np.nan
    atlas = sources.open_atlas(h5ad)
    for counts in (True, False):
        with pytest.raises(SourceError, match=r"X holds nan, .*first in cell 'lib09-"):
            atlas.to_anndata(counts=counts)


MASKED = {  # what is said of 339C, a woman of 73: who it is then, the age that is given, what validate says
    "sex": ({names.SEX: "M"}, "339C", 72.5, "0 unknown donors ; 1 with another age or sex '339C'"),
    "age group": ({names.AGE_GROUP: "20-25", names.AGE_BIN: "young", names.AGE_MIDPOINT: 22.5}, "339C", 22.5, "1 with another age or sex '339C'"),
    "unknown": ({names.DONOR: "999Z"}, "999Z", 72.5, "1 unknown donors '999Z'"),
}  # fmt: skip


@pytest.mark.parametrize("fault", MASKED)
def test_a_donor_who_is_not_that_of_the_study_is_named_and_gets_no_published_age(folder, fault):
    other, donor, age, said = MASKED[fault]

    def change(frame):
        there = frame[names.DONOR] == "339C"
        masked = {name: frame[name].astype(object).mask(there, value) for name, value in other.items()}
        return frame.assign(**masked).astype({names.AGE_MIDPOINT: float})

    atlas = sources.open_atlas(change_table(folder, change))
    noted = "1 donors have another age group or sex than the study's table states: 339C;"
    assert (noted in atlas.describe()["notes"]) == (donor == "339C")  # shown on every page made from it
    ages = dict(atlas.donors.select(names.DONOR, "age").iter_rows())
    assert (ages[donor], ages["640C"]) == (age, 74)  # what the cells say: the table is of somebody else
    code, told = command("validate", folder)
    assert code == 0  # another donor is no damage
    assert said in told


def test_a_cell_type_without_cells_makes_no_row_no_profile_and_no_category(folder, h5ad):
    def add_ghost(frame):
        return frame.assign(**{names.LEVEL0: frame[names.LEVEL0].cat.add_categories(["Ghost"])})

    change_table(folder, add_ghost)
    adata = anndata.read_h5ad(h5ad)
    adata.obs = add_ghost(adata.obs)
    adata.write_h5ad(h5ad)
    for source in (folder, h5ad):
        atlas = sources.open_atlas(source)
        assert "Ghost" not in atlas.to_anndata().obs[names.LEVEL0].cat.categories
        chosen = atlas.to_anndata(cells=pl.col(names.LEVEL0) == "FB")
        assert list(chosen.obs[names.LEVEL0].cat.categories) == ["FB"]
        with pytest.raises(TableError, match=r"no cell of .* fits the choice of cells"):
            atlas.to_anndata(cells=pl.col(names.LEVEL0) == "Ghost")


# Folders that cannot be written


@pytest.mark.parametrize("fault", ["Not a directory", "Read-only file system"])
def test_a_cache_folder_that_cannot_be_is_said_before_anything_is_simulated(
    folder, tmp_path, monkeypatch, mount, fault
):
    place = tmp_path / "cache"
    if fault == "Not a directory":
        place.write_text("somebody's notes")
    else:
        mount(place, "-t", "tmpfs", "-o", "size=1m,ro", "tmpfs")
    monkeypatch.setenv(files.CACHE_VARIABLE, str(place))
    monkeypatch.setattr(release, "simulate", lambda **_: pytest.fail("was simulated for nothing"))
    code, said = command("simulate", "--scale", "0.02")
    assert code == 2
    assert re.search(
        rf"'{place}/simulated/tiny-.*' cannot be written: {fault}\. .*MUSCLEBOOK_CACHE names", said
    )
    assert sources.open_atlas(folder).to_anndata().n_obs == 170  # a release needs no cache
    assert place.is_dir() or place.read_text() == "somebody's notes"


def test_a_read_only_release_and_cache_still_give_the_atlas(folder, monkeypatch, mount):
    before = sorted(folder.iterdir())
    mount(folder, "--bind", str(folder))
    subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
    monkeypatch.setenv(files.CACHE_VARIABLE, str(folder / "cache"))
    adata = sources.open_atlas(folder).to_anndata()
    np.testing.assert_array_equal(adata.layers[names.COUNTS].toarray(), SMALL.counts)
    code, said = command("convert", folder, folder / "out.h5ad")
    assert code == 2
    assert "out.h5ad' cannot be written: Read-only file system" in said
    assert sorted(folder.iterdir()) == before


# A full disk


def save(_, out):
    note = findings.Note("01_first", folder=out, parameters={})
    try:
        note.save("effects", pl.DataFrame({"gene": ["MYH7"]}))
    except StorageError as fault:
        return 2, str(fault)
    return 0, ""


def convert(folder, out):
    return command("convert", folder, out / "atlas.h5ad", "--force")


DISKS = {  # who writes, where the disk fills, what is raised there
    "simulation": (lambda _, out: command("simulate", out), pq, "write_table", NO_ROOM),
    "conversion": (convert, stored, "_write_counts", NO_ROOM),
    "results": (save, pl.DataFrame, "write_parquet", NO_ROOM),
    "results, as polars says it": (save, pl.DataFrame, "write_parquet", POLARS_NO_ROOM),
}


@pytest.mark.parametrize("door", DISKS)
def test_a_disk_that_fills_keeps_what_was_there(folder, tmp_path, monkeypatch, door):
    write, *place, fault = DISKS[door]
    monkeypatch.setattr(release, "simulate", lambda **_: None)
    monkeypatch.setattr(release, "_write_files", lambda out, _: SMALL.write(out))
    results = tmp_path / "results"

    def held():
        return {
            path: path.read_bytes() for path in results.rglob("*") if path.is_file() and path.suffix != ".csv"
        }

    def full(_, path, *__, **___):
        if door != "conversion":  # values are written there, counts no longer
            Path(path).write_bytes(b"PAR1 half")
        raise fault

    assert write(folder, results / "older")[0] == 0
    before = held()
    assert before
    change_table(folder, lambda frame: frame.assign(scrublet_score=0.5))
    monkeypatch.setattr(*place, full)
    for name in ("older", "new"):
        code, said = write(folder, results / name)
        assert code == 2
        assert re.search(rf"/{name}\S*' cannot be written: No space left on device", said)
    assert held() == before
    assert hidden(folder) == hidden(results) == []


def test_a_disk_that_fills_at_the_end_of_a_run_fails_it_and_keeps_the_older_run(tmp_path, monkeypatch):
    def full(*_, **__):
        raise NO_ROOM

    good = tmp_path / "runs" / "01_first" / "key"
    good.mkdir(parents=True)
    (good / "run.json").write_text("older")
    monkeypatch.setattr(execute, "_papermill", lambda *_: None)  # no kernel is needed to fill a disk
    monkeypatch.setattr(execute, "write_json", full)
    one = types.SimpleNamespace(name="01_first", key="key", target=good, about={})
    outcome = execute.execute(one, execute.Watch(), failed=tmp_path / "failed")
    with pytest.raises(run.RunError, match=r"No space left on device\n  not kept: it could not be written"):
        run.report([outcome])
    assert (good / "run.json").read_text() == "older"
    assert hidden(good.parent) == []


def test_a_disk_that_is_really_full_keeps_the_older_file_and_says_so(folder, tmp_path, mount):
    disk = mount(tmp_path / "disk", "-t", "tmpfs", "-o", "size=3m", "tmpfs")
    out = disk / "atlas.h5ad"
    sources.open_atlas(folder).convert(out)
    before = out.read_bytes()
    (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free - 20_000))  # all but a little
    change_table(folder, lambda frame: frame.assign(scrublet_score=0.5))
    code, said = convert(folder, disk)
    assert code == 2
    assert f"'{out}' cannot be written: No space left on device, it needs about" in said
    note = findings.Note("01_first", folder=disk, parameters={})
    with pytest.raises(StorageError, match=r"wide\.csv' cannot be written: No space left on device"):
        note.save("wide", pl.DataFrame({"value": np.random.default_rng(0).random(50_000)}))
    assert out.read_bytes() == before
    assert sorted(path.name for path in disk.iterdir()) == ["atlas.h5ad", "filler"]


# Killed half-way


HALF = """
import sys, time
from pathlib import Path
from helpers import sources
from helpers.atlas import stored
from helpers.simulate import release
def stop(*_):
    print("half", flush=True)
    time.sleep(60)
"""
CONVERT = """
stored.store_copy = lambda *_, **__: None
stored._write_counts = stop
sources.open_atlas(sys.argv[1]).convert(sys.argv[2])
"""
SIMULATE = """
release.simulate = lambda **_: None
release._write_files = stop
release.write(Path(sys.argv[1]))
"""


def test_a_killed_conversion_leaves_the_older_file_and_the_next_one_clears_up(folder, h5ad):
    before = h5ad.read_bytes()
    change_table(folder, lambda frame: frame.assign(scrublet_score=0.5))
    kill_half_way(CONVERT, folder, h5ad)
    assert h5ad.read_bytes() == before
    assert len(hidden(h5ad.parent)) == 1
    foreign = h5ad.with_name(".atlas.h5ad.000000-99999999-00000000.part")  # of another machine: may be alive
    foreign.touch()
    assert command("convert", folder, h5ad, "--force")[0] == 0
    assert hidden(h5ad.parent) == [foreign.name]
    assert sources.open_atlas(h5ad).obs[names.DOUBLET_SCORE].unique().to_list() == [0.5]


def test_a_killed_simulation_leaves_the_older_release_and_the_next_one_clears_up(tmp_path, monkeypatch):
    out = SMALL.write(tmp_path / "mine")
    files.mark(out, kind=release.KIND)
    kill_half_way(SIMULATE, out)
    assert sources.open_atlas(out).shape == (170, 60)
    (left,) = hidden(tmp_path)
    out.rename(tmp_path / f"{left}.old")  # as if killed between the two renames
    monkeypatch.setattr(release, "simulate", lambda **_: pytest.fail("stopped again"))
    with pytest.raises(pytest.fail.Exception, match="stopped again"):
        command("simulate", out)
    assert sources.open_atlas(out).shape == (170, 60)
    assert hidden(tmp_path) == []


# Two at once


BOTH = """
import hashlib, shutil, sys, time
from helpers import names, sources
from helpers.atlas import stored
from helpers.simulate import release
plain = stored.store_copy
def store(*args, **options):
    print("converted", flush=True)
    time.sleep(1)  # the other has time to come in between
    return plain(*args, **options)
def write(folder, **_):
    print("simulated", flush=True)
    shutil.copytree(sys.argv[2], folder)
    time.sleep(1)
    (folder / names.TRUTH_FOLDER).mkdir()
    (folder / names.TRUTH_FOLDER / "simulation.json").write_text("{}")
stored.store_copy, release.write = store, write
adata = sources.open_atlas("tiny").to_anndata()
sources.open_atlas("tiny").convert(sys.argv[1])
print(hashlib.sha256(adata.layers[names.COUNTS].data.tobytes() + adata.X.data.tobytes()).hexdigest())
"""


def test_two_processes_on_one_cache_simulate_and_convert_once_and_agree(own_cache, folder, tmp_path):
    out = tmp_path / "shared.h5ad"
    both = [start(BOTH, out, folder) for _ in range(2)]
    one, other = [child.communicate(timeout=120)[0].split() for child in both]
    assert one.pop() == other.pop()
    assert sorted(one + other) == ["converted", "simulated"]
    (kept,) = [path for path in (own_cache / "simulated").iterdir() if path.is_dir()]
    (converted,) = own_cache.rglob("*.h5ad")
    assert converted.parent == kept
    assert hidden(own_cache / "simulated") == hidden(kept) == hidden(tmp_path) == []
    np.testing.assert_array_equal(anndata.read_h5ad(out).X.data, anndata.read_h5ad(converted).X.data)


def test_many_writers_of_one_folder_leave_one_whole_result(tmp_path):
    target = tmp_path / "result"

    def write(number):
        for _ in range(20):
            with files.writing(target) as part:
                part.mkdir()
                for name in "abc":
                    (part / name).write_text(str(number))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert [path.name for path in tmp_path.iterdir()] == ["result"]
    assert len({(target / name).read_text() for name in "abc"}) == 1


def test_a_folder_that_cannot_take_its_name_gives_the_older_one_back(tmp_path, monkeypatch):
    target, plain = tmp_path / "result", Path.rename
    target.mkdir()
    (target / "old").touch()

    def rename(path, to):
        if path.name.endswith(".part"):
            raise NO_ROOM
        return plain(path, to)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(StorageError), files.writing(target, owned=True) as part:
        part.mkdir()
    assert (target / "old").exists()
    assert hidden(tmp_path) == []


@pytest.mark.parametrize(
    "label",
    [
        f"[red]{MARKUP}[/] **{MARKUP}** $x$ `y`",
        "</td></table>" + MARKUP + "x" * 10_000,
        MARKUP + "筋肉細胞 💪\x1b[31m\x07\x9b",
    ],
    ids=["markup", "long table", "CJK and control"],
)
def test_markup_in_a_cell_type_shows_as_text_in_tables_sentences_and_figures(
    folder, tmp_path, monkeypatch, label
):
    def relabel(frame):
        labels = frame[names.LEVEL0].cat
        return frame.assign(**{names.LEVEL0: labels.rename_categories({labels.categories[0]: label})})

    def display(bundle, **_):
        page.extend(item for item in bundle.items() if item[0] in ("text/markdown", "text/html"))

    page = []
    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr("IPython.get_ipython", lambda: types.SimpleNamespace())
    atlas = sources.open_atlas(change_table(folder, relabel))
    counted = atlas.obs.group_by(label=names.LEVEL0).agg(total=pl.len())
    note = findings.Note("01_first", folder=tmp_path / "run", parameters={"cell_type": label})
    note.record("commonest", label)
    note.say("The commonest label: {commonest}; alone: {commonest.number}.")
    note.table(counted.rename({"total": label}), f"Cells of {label}.", name="counts")
    note.provenance(atlas.describe() | {"label": label})
    markdown = MarkdownIt("commonmark", {"html": True})
    said, table, about = (markdown.render(text) if "markdown" in kind else text for kind, text in page)
    for text in (said, table, about):
        assert "<script" not in text
        assert "&lt;script&gt;" in text
    assert html.unescape(said).count(label) == 2  # as it is, no emphasis, no code, no formula
    saved = pl.read_parquet(tmp_path / "run" / "counts.parquet")
    assert label in saved["label"].to_list()  # the file holds the label whole
    assert ("x" * 60 + "..." in table) == (len(label) > 120)  # and the page what fits
    said = command("validate", folder)[1]
    assert "[red]" not in label or "[red]" in said


# Names that are not UTF-8


@pytest.fixture
def odd(tmp_path):
    """Return a path whose last part is bytes that are no UTF-8."""
    if sys.platform != "linux":
        pytest.skip("file systems here take no such name")
    return tmp_path / os.fsdecode(b"rel\xff")


def test_a_release_under_a_name_that_is_no_utf8_is_refused_in_words_and_opens_through_a_link(odd, folder):
    folder.rename(odd)
    for verb in ("validate", "audit"):
        code, said = command(verb, odd)
        assert code == 2
        assert re.search(r"rel\\udcff' is not UTF-8.*Rename it, or make a link", said)
    link, out = odd.with_name("plain"), odd.with_suffix(".h5ad")  # HDF5 takes any name
    link.symlink_to(odd, target_is_directory=True)
    code, said = command("convert", link, out)
    assert code == 0, said
    assert "rel\\udcff.h5ad" in said
    assert sources.open_atlas(out).to_anndata().shape == (170, 60)


def test_results_and_parts_under_a_name_that_is_no_utf8_are_refused_in_words(odd):
    for code, said in (command("simulate", odd, "--scale", "0.001"), save(None, odd)):
        assert code == 2
        assert "is not UTF-8" in said
    assert not list(odd.iterdir())
    twin.simulate_parts(odd.with_name("in"), n_cells=30, n_parts=1).rename(odd)
    assert parts.check(odd)["status"].to_list() == ["ok"]  # the folder's own name enters no table
    with pytest.raises(StorageError, match=r"'rel\\udcff/step_.*is not UTF-8"):
        parts.check(odd.parent)


def test_what_a_terminal_cannot_show_is_written_out():
    code = "import sys; from helpers.cli import screen; screen.say(sys.argv[1])"
    child = start(code, os.fsdecode(b"rel\xff"), PYTHONIOENCODING="utf-8:strict")
    assert child.communicate(timeout=60)[0].strip() == "rel\\udcff"


# Torn files, and an h5ad with a missing group


def strip(path, *groups):
    """Take groups out of an h5ad; of `name/*` an empty one stays."""
    with h5py.File(path, "a") as file:
        for group in groups:
            del file[group.removesuffix("/*")]
            if group.endswith("/*"):
                file.create_group(group.removesuffix("/*"))
    return path


TORN = ("truncated metadata", "spoiled expression", "truncated projection", "truncated JSON")
SPOILED = {  # file that is torn or groups that are taken away: what is said
    **{name: rf"{damage.DAMAGES[name].file} \([\d,]+ bytes\) .*cannot be read as .*Fetch" for name in TORN},
    "obs": r"it lacks obs and holds X, layers, .*Write it with anndata's write_h5ad",
    "obs/*": r"/obs is no table that can be read \(it holds a dict\)",
    "X layers": r"it lacks X and holds obs",
    "X/indices": r"/X is no matrix that can be read .*lacks indices",
    "obs/DonorID/codes": r"cannot be read as HDF5: .*codes",
    "obs/_index": r"cannot be read as HDF5: .*_index",
}


@pytest.mark.filterwarnings("ignore:Element '/obs' was written without encoding metadata")
@pytest.mark.parametrize("fault", SPOILED)
def test_a_torn_file_and_a_missing_group_are_named_and_nothing_is_converted(
    folder, h5ad, tmp_path, own_cache, fault
):
    source = damage.DAMAGES[fault](folder) if fault in TORN else strip(h5ad, *fault.split())
    code, said = command("convert", source, tmp_path / "out.h5ad")
    assert code == 2
    assert re.search(SPOILED[fault], said)
    assert [*tmp_path.rglob("*.h5ad"), *own_cache.rglob("*.h5ad")] == [h5ad]


@pytest.mark.parametrize(("group", "word"), [("var", "lacks var"), ("X", "has no 'X'")])
def test_sentences_of_an_h5ad_with_a_missing_group_name_it(h5ad, tmp_path, group, word):
    with pytest.raises(SentenceError, match=rf"{h5ad.name} .*{word}"):
        write.write(strip(h5ad, group), tmp_path / "sentences")
    assert not list((tmp_path / "sentences").rglob("*.parquet"))
