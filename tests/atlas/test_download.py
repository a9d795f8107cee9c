import contextlib
import hashlib
import json
import os
import shutil
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import huggingface_hub
import pytest

from helpers import names
from helpers.atlas import download as downloading
from helpers.errors import DownloadError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = [name for name in names.RELEASE_FILES if name.endswith(".parquet")]
LOG_FILE = names.EXPRESSION_FILE


def stated_hash(name, content):
    kind, start = (hashlib.sha256, b"") if name in LARGE else (hashlib.sha1, b"blob %d\0" % len(content))
    return kind(start + content).hexdigest()


class Hub(ThreadingHTTPServer):
    """Enough of the hub on the loopback: dataset information, redirects of large files, ranges, and faults."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = {name: f"{name} ".encode() * 400 for name in names.RELEASE_FILES}
        self.content[LOG_FILE] = os.urandom(3_000_000)
        self.flips, self.gone, self.tokens, self.requests = set(), set(), set(), []
        self.drops = self.dies = self.dead = self.gated = self.gates_files = self.loops = self.slow = False
        self.lists_sizes = self.states_sizes = self.ranges = True
        self.commit, self.page, self.extra = COMMIT, None, b""

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"

    def fetched(self):
        """Return the ranges of the expression file that were asked for."""
        asked = [
            span for method, path, span in self.requests if (method, path) == ("GET", f"/cdn/{LOG_FILE}")
        ]
        self.requests.clear()
        return asked

    def information(self):
        siblings = [{"rfilename": ".gitattributes", "size": 3, "blobId": "0" * 40}]
        for name, content in self.content.items():
            size, known = len(content), stated_hash(name, content)
            large = {"blobId": "f" * 40, "lfs": {"size": size, "sha256": known, "pointerSize": 130}}
            about = {"size": size, **(large if name in LARGE else {"blobId": known})}
            siblings.append({"rfilename": name, **(about if self.lists_sizes else {})})
        return {"id": "some/atlas", "sha": self.commit, "siblings": siblings, "private": False}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        hub, token = self.server, self.headers.get("Authorization")
        hub.requests.append((self.command, self.path, self.headers.get("Range")))
        hub.tokens.add(token)
        if hub.dead:
            self.close_connection = True
            return None
        if hub.page is not None:
            return self.answer(200, hub.page, {"Content-Type": "text/html"})
        if hub.loops:
            return self.answer(302, b"", {"Location": self.path})
        closed = hub.gated or (hub.gates_files and self.path.startswith("/datasets"))
        if closed and token != "Bearer hf_good":
            return self.answer(403, b"{}", {"X-Error-Code": "GatedRepo"})
        parts = self.path.partition("?")[0].strip("/").split("/")
        name = parts[-1]
        if parts[0] == "api":
            known = parts[2:4] == ["some", "atlas"] and "RevisionNotFound"
            if not known or ("revision" in parts and name not in ("main", COMMIT)):
                return self.answer(404, b"{}", {"X-Error-Code": known or "RepoNotFound"})
            body = json.dumps(hub.information()).encode()
            return self.answer(200, body, {"Content-Type": "application/json"})
        if name in hub.gone or name not in hub.content:
            return self.answer(404, b"", {"X-Error-Code": "EntryNotFound"})
        return self.file(name, redirected=parts[0] == "cdn")

    def file(self, name, *, redirected):
        hub, content = self.server, self.server.content[name]
        stated = {"ETag": f'"{stated_hash(name, content)}"'} if hub.states_sizes else {}
        if name in LARGE and not redirected:
            linked = {"X-Linked-Size": len(content), "X-Linked-Etag": stated.get("ETag")} if stated else {}
            return self.answer(302, b"", {"Location": f"/cdn/{name}", "X-Repo-Commit": COMMIT, **linked})
        if name in hub.flips:
            content = content[:-10] + bytes(255 - b for b in content[-10:])
        span, headers, start = self.headers.get("Range"), {"X-Repo-Commit": COMMIT, **stated}, 0
        if span and hub.ranges:
            start = int(span.removeprefix("bytes=").partition("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        body = content[start:] + (hub.extra if name == LOG_FILE else b"")
        status = 206 if "Content-Range" in headers else 200
        return self.answer(status, body, headers, faulty=name == LOG_FILE)

    def answer(self, status, body, headers, *, faulty=False):
        self.send_response(status)
        for key, value in {"Content-Length": len(body), **headers}.items():
            self.send_header(key, str(value))
        self.end_headers()
        if self.command == "HEAD":
            return
        if faulty and self.server.drops:
            self.server.drops, self.server.dead = False, self.server.dies
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        with contextlib.suppress(ConnectionError):
            for byte in body[:200] if faulty and self.server.slow else b"":
                self.wfile.write(bytes([byte]))
                time.sleep(0.01)
            self.wfile.write(body)


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def small_steps_without_waiting(monkeypatch):
    monkeypatch.setattr("helpers.atlas.download._PAUSE", 0)


def fetch(hub, folder, **options):
    return downloading.download(folder, **{"repository": "some/atlas", "endpoint": hub.address, **options})


def refused(said, hub, folder, **options):
    with pytest.raises(DownloadError, match=said) as error:
        fetch(hub, folder, **options)
    return error.value


def left_over(folder):
    return sorted(p.name for p in folder.iterdir() if p.name not in (*names.RELEASE_FILES, "download.json"))


def test_all_twelve_files_arrive_whole_and_the_commit_is_recorded(hub, tmp_path):
    seen = []
    record = fetch(hub, tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.name != "download.json"} == hub.content
    assert record == json.loads((tmp_path / "download.json").read_text())
    assert record["commit"] == COMMIT
    assert record["files"][LOG_FILE]["sha256"] == stated_hash(LOG_FILE, hub.content[LOG_FILE])
    assert seen[-1] == (sum(map(len, hub.content.values())),) * 2
    assert all(COMMIT in path for method, path, _ in hub.requests if "/resolve/" in path)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_dropped_connection_goes_on_where_it_stopped_if_the_server_can(hub, tmp_path, ranges):
    hub.drops, hub.ranges, seen = True, ranges, []
    fetch(hub, tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert (tmp_path / LOG_FILE).read_bytes() == hub.content[LOG_FILE]
    first, second = hub.fetched()
    assert first is None
    assert 1_400_000 < int(second.removeprefix("bytes=").removesuffix("-")) <= 1_500_000
    assert seen[-1][0] == seen[-1][1]


def stop(done, _total):
    if done > 1_000_000:
        raise KeyboardInterrupt


@pytest.mark.parametrize("other_version", [False, True])
def test_a_download_that_was_ended_goes_on_with_the_same_file_only(hub, tmp_path, other_version):
    with pytest.raises(KeyboardInterrupt):
        fetch(hub, tmp_path, progress=stop)
    assert not (tmp_path / LOG_FILE).exists()
    hub.requests.clear()
    if other_version:
        hub.content[LOG_FILE] = os.urandom(3_000_000)
    fetch(hub, tmp_path)
    (span,) = hub.fetched()
    assert (span in (None, "bytes=0-")) == other_version
    assert (tmp_path / LOG_FILE).read_bytes() == hub.content[LOG_FILE]
    assert left_over(tmp_path) == []


def test_being_offline_is_said_plainly(hub, tmp_path, monkeypatch):
    said = r"cannot be reached .*This machine looks offline: connect it"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        refused(said, hub, tmp_path, endpoint=f"http://127.0.0.1:{taken.getsockname()[1]}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    huggingface_hub.close_session()
    try:
        refused(said, hub, tmp_path)
    finally:
        huggingface_hub.close_session()


def test_a_corrupted_file_is_refused_and_the_others_are_kept(hub, tmp_path):
    hub.flips |= {LOG_FILE, names.LICENSE_FILE}
    said = r"2 of 12 files .*expression\.parquet arrived damaged .*LICENSE arrived damaged .*run the same download again"
    refused(said, hub, tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == set(names.RELEASE_FILES) - hub.flips
    hub.requests.clear()
    again, hub.flips = hub.flips, set()
    fetch(hub, tmp_path)
    assert {path.rpartition("/")[2] for _, path, _ in hub.requests if "/resolve/" in path} == again


def test_files_of_others_stay_without_force_and_those_of_an_older_commit_are_replaced(hub, tmp_path):
    card = tmp_path / names.README_FILE
    card.write_text("the README of my project")
    (tmp_path / names.LICENSE_FILE).symlink_to(tmp_path / "nowhere")
    refused(f"{names.README_FILE}, {names.LICENSE_FILE}, which differ.*--force", hub, tmp_path)
    assert card.read_text() == "the README of my project"
    fetch(hub, tmp_path, force=True)
    assert card.read_bytes() == hub.content[names.README_FILE]
    hub.content[names.README_FILE] = b"a newer card"
    fetch(hub, tmp_path)
    assert card.read_bytes() == b"a newer card"
    (tmp_path / names.SAMPLE_FILE).write_bytes(b"edited")
    refused(f"holds {names.SAMPLE_FILE}, which differ", hub, tmp_path)


def test_a_listed_file_that_is_gone_is_named(hub, tmp_path):
    hub.gone.add(names.UNSTRUCTURED_FILE)
    refused(r"unstructured_metadata\.json is not there \(404\)", hub, tmp_path)
    assert (tmp_path / LOG_FILE).exists()
    assert not (tmp_path / "download.json").exists()


def test_a_hub_that_goes_away_half_way_keeps_what_arrived(hub, tmp_path):
    hub.drops = hub.dies = True
    error = refused(r"expression\.parquet: the hub .* cannot be reached .* kept: run it again", hub, tmp_path)
    (part,) = left_over(tmp_path)
    kept = (tmp_path / part).stat().st_size
    assert kept > 1_000_000
    assert f"{kept:,} of 3,000,000 bytes" in str(error)


def test_a_disk_that_is_too_small_stops_before_anything_is_fetched(hub, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(downloading.shutil, "disk_usage", lambda _path: usage._replace(free=1_000_000))
    refused(r"12 files of 6\d\.\d MiB do not fit: .* has 976\.6 KiB free", hub, tmp_path)
    assert not any("/resolve/" in path for _, path, _ in hub.requests)


def test_a_mirror_that_lists_no_sizes_is_asked_file_by_file(hub, tmp_path):
    hub.lists_sizes = False
    wanted = {"size": 3_000_000, "sha256": stated_hash(LOG_FILE, hub.content[LOG_FILE])}
    assert fetch(hub, tmp_path)["files"][LOG_FILE] == wanted


GUEST = r"answers, but not with the description of a dataset.*Log in|names no commit"
REFUSED = [  # what the hub does, what is said, what is asked for
    *(({"page": page}, GUEST, {}) for page in (b"<html>log in</html>", b"[]", b'{"siblings": 3}')),
    *(({"commit": commit}, "names no commit of some/atlas", {}) for commit in (None, "null", "../../x")),
    ({"loops": True}, "from one address to the next without end", {}),
    ({"lists_sizes": False, "states_sizes": False}, r"states no size and hash of .* nothing was fetched", {}),
    ({"content": {}}, r"lacks 12 of the 12 files of a release: .*feature_metadata\.parquet.*LICENSE", {}),
    ({}, "some/atlas has no revision 'v9'", {"revision": "v9"}),
    ({}, "no public dataset 'other/atlas'", {"repository": "other/atlas"}),
]


@pytest.mark.parametrize(("state", "said", "asked"), REFUSED)
def test_what_is_no_release_on_a_hub_is_refused_before_anything_is_fetched(hub, tmp_path, state, said, asked):
    vars(hub).update(state)
    refused(said, hub, tmp_path / "new", **asked)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("where", ["gated", "gates_files"])
def test_a_gated_set_is_named_and_opens_with_a_token_that_is_kept_nowhere(hub, tmp_path, monkeypatch, where):
    setattr(hub, where, True)
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_user")
    refused(r"some/atlas is gated: .*--token or HF_TOKEN", hub, tmp_path)
    assert hub.tokens == {None}
    error = refused("the token given has none", hub, tmp_path, token="hf_secret")
    assert "hf_secret" not in f"{error!r} {error.__cause__!r}"
    fetch(hub, tmp_path, token="hf_good")
    assert not any(b"hf_good" in p.read_bytes() for p in tmp_path.iterdir())


def test_no_more_is_written_than_the_hub_announced(hub, tmp_path):
    hub.extra = b"x" * 20_000_000
    refused(r"something longer came in place of the 3,000,000 bytes", hub, tmp_path)
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) < 200_000
    hub.extra = b""
    fetch(hub, tmp_path)
    assert left_over(tmp_path) == []


MAKE = {"link": lambda p, to: p.symlink_to(to), "hard link": lambda p, to: p.hardlink_to(to), "fifo": lambda p, _: os.mkfifo(p)}  # fmt: skip


@pytest.mark.parametrize("kind", [*MAKE, "link under the name"])
def test_what_is_no_plain_file_is_never_written_to(hub, tmp_path, kind):
    target, folder = tmp_path / "precious", tmp_path / "release"
    target.write_text("mine")
    folder.mkdir()
    if kind in MAKE:
        part = f".{LOG_FILE}.{stated_hash(LOG_FILE, hub.content[LOG_FILE])[:12]}.part"
        MAKE[kind](folder / part, target)
        refused("is a link or no plain file", hub, folder)
    else:  # replaced, not followed
        (folder / LOG_FILE).symlink_to(target)
        fetch(hub, folder, force=True)
        assert not (folder / LOG_FILE).is_symlink()
    assert target.read_text() == "mine"


def test_a_server_that_trickles_is_given_up(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(downloading, "_WINDOW", 0.3)
    hub.slow = True
    refused(r"sends less than 1,024 bytes a second", hub, tmp_path)


def test_two_downloads_do_not_fill_one_folder(hub, tmp_path):
    errors = []

    def again(_done, _total):
        if not errors:
            errors.append(refused("another download is filling", hub, tmp_path))

    fetch(hub, tmp_path, progress=again)
    assert len(errors) == 1
    assert left_over(tmp_path) == []


@pytest.mark.parametrize("fault", [{"dead": True}, {"loops": True}, {"page": b"<html>"}, {"commit": True}])
def test_a_password_in_an_address_is_never_said(hub, tmp_path, fault):
    vars(hub).update(fault)
    address = f"http://user:s3cret@127.0.0.1:{hub.server_port}"
    error = refused(None, hub, tmp_path / "new", endpoint=address)
    assert "s3cret" not in "".join(traceback.format_exception(error))
