"""Downloads that break off, and what is kept of them. The host is a server on this machine."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from vvscale.core import download as downloading
from vvscale.core.download import alone, download, size_of
from vvscale.errors import DataError, DigestError, MissingDataError

CONTENT = os.urandom(3_000_000)


class Host(ThreadingHTTPServer):
    """Serves one file; what goes wrong is set by the test."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.version = '"1"'
        self.cut_after = [0]  # bytes sent per request, 0 = all; the last entry repeats
        self.takes_ranges = True
        self.says_length = True
        self.shift = 0  # bytes between what is asked for and what comes, once
        self.most_at_once = 0  # bytes of a partial answer, which is whole in itself
        self.status = 200
        self.requests: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/checkpoints/a/ep1.pt"


class Handler(BaseHTTPRequestHandler):
    server: Host

    def do_HEAD(self) -> None:
        self.send_response(self.server.status)
        if self.server.says_length:
            self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()

    def do_GET(self) -> None:
        host = self.server
        asked = self.headers.get("Range")
        host.requests.append(asked)
        cut = host.cut_after.pop(0) if len(host.cut_after) > 1 else host.cut_after[0]
        if host.status != 200:
            self.send_error(host.status)
            return
        start = 0
        if asked and host.takes_ranges and self.headers.get("If-Range") == host.version:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            host.shift, start = 0, start + host.shift
            if start >= len(host.content):
                self.send_error(416)
                return
            self.send_response(206)
        else:
            self.send_response(200)
        body = host.content[start:]
        if start and host.most_at_once:
            body = body[: host.most_at_once]
            self.send_header("Content-Range", f"bytes {start}-{start + len(body) - 1}/{len(host.content)}")
        if host.version:
            self.send_header("ETag", host.version)
        if host.says_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:cut] if cut else body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setattr(downloading.time, "sleep", lambda seconds: None)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Host() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_whole_file(host: Host, tmp_path: Path):
    seen: list[tuple[int, int | None]] = []
    path = download(host.url, tmp_path / "a" / "ep1.pt", progress=lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert files(path.parent) == {"ep1.pt"}
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert size_of(host.url) == len(CONTENT)


def test_a_connection_that_breaks_is_taken_up_where_it_broke(host: Host, tmp_path: Path):
    host.cut_after = [1_200_000, 900_000, 0]
    path = download(host.url, tmp_path / "ep1.pt")
    assert path.read_bytes() == CONTENT
    starts = [int(asked.removeprefix("bytes=").rstrip("-")) for asked in host.requests[1:] if asked]
    assert len(host.requests) == 3
    assert starts == sorted(starts)
    assert starts[0] > 1_000_000


def test_a_host_that_keeps_breaking_off_leaves_a_part_that_the_next_call_continues(host: Host, tmp_path: Path):
    host.cut_after = [1_500_000, 1]
    with pytest.raises(
        MissingDataError, match=r"no connection, or it broke.*MB have come and are kept; the same"
    ) as got:
        download(host.url, tmp_path / "ep1.pt")
    assert "VVSCALE_MIRROR" in str(got.value)
    assert files(tmp_path) == {"ep1.pt.part", "ep1.pt.part.version"}
    kept = (tmp_path / "ep1.pt.part").stat().st_size
    assert CONTENT.startswith((tmp_path / "ep1.pt.part").read_bytes())
    host.cut_after, host.requests = [0], []
    assert download(host.url, tmp_path / "ep1.pt").read_bytes() == CONTENT
    assert host.requests == [f"bytes={kept}-"]
    assert files(tmp_path) == {"ep1.pt"}


def test_another_version_of_the_file_starts_anew(host: Host, tmp_path: Path):
    host.cut_after = [1_500_000, 1]
    with pytest.raises(MissingDataError):
        download(host.url, tmp_path / "ep1.pt")
    host.content, host.version, host.cut_after = CONTENT[::-1], '"2"', [0]
    assert download(host.url, tmp_path / "ep1.pt").read_bytes() == CONTENT[::-1]


def test_a_host_that_sends_a_part_of_what_was_asked_for_is_asked_again(host: Host, tmp_path: Path):
    host.cut_after, host.most_at_once = [700_000, 0], 500_000
    path = download(host.url, tmp_path / "a.pt")
    assert path.read_bytes() == CONTENT


class Short:
    """An answer of fewer bytes than it announces, which no library complains about."""

    status_code, headers = 200, {"Content-Length": "10"}

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def raise_for_status(self) -> None:
        pass

    def iter_content(self, _size: int) -> list[bytes]:
        return [b"seven b"]


def test_fewer_bytes_than_announced_are_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(downloading.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(requests, "get", lambda *args, **kwargs: Short())
    with pytest.raises(MissingDataError, match="Could not download"):
        download("http://host/a.pt", tmp_path / "a.pt")
    assert not (tmp_path / "a.pt").exists()


@pytest.mark.parametrize(("takes_ranges", "version"), [(False, '"1"'), (True, "")])
def test_hosts_that_cannot_continue(takes_ranges: bool, version: str, host: Host, tmp_path: Path):
    host.takes_ranges, host.version, host.cut_after = takes_ranges, version, [1_500_000, 0]
    assert download(host.url, tmp_path / "ep1.pt").read_bytes() == CONTENT


def test_a_part_of_another_place_is_not_put_behind_what_came(host: Host, tmp_path: Path):
    host.cut_after, host.most_at_once, host.shift = [700_000, 0], 500_000, 10_000
    assert download(host.url, tmp_path / "a.pt").read_bytes() == CONTENT


def test_what_the_check_refuses_is_not_kept(host: Host, tmp_path: Path):
    def refuse(part: Path) -> None:
        raise DigestError(f"{part.name} is another file")

    with pytest.raises(DigestError, match=r"a\.pt\.part is another file"):
        download(host.url, tmp_path / "a.pt", check=refuse)
    assert files(tmp_path) == set()


def test_a_part_that_is_longer_than_the_file_starts_anew(host: Host, tmp_path: Path):
    (tmp_path / "ep1.pt.part").write_bytes(CONTENT + b"more")
    (tmp_path / "ep1.pt.part.version").write_text('"1"')
    assert download(host.url, tmp_path / "ep1.pt").read_bytes() == CONTENT


def test_a_host_that_says_no_length(host: Host, tmp_path: Path):
    host.says_length = False
    assert size_of(host.url) is None
    assert download(host.url, tmp_path / "ep1.pt").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("status", "text"), [(404, "answered 404 Not Found.*never had, this file"), (503, "answered 503.*try again later")]
)
def test_a_host_that_refuses(status: int, text: str, host: Host, tmp_path: Path):
    (tmp_path / "ep1.pt.part").write_bytes(CONTENT[:1_000_000])
    host.status = status
    with pytest.raises(MissingDataError, match=text):
        download(host.url, tmp_path / "ep1.pt")
    assert len(host.requests) == 1
    assert (tmp_path / "ep1.pt.part").stat().st_size == 1_000_000
    with pytest.raises(MissingDataError, match=text):
        size_of(host.url)


def test_no_host(host: Host, tmp_path: Path):
    with pytest.raises(MissingDataError, match=r"no connection, or it broke \(ConnectionError\).*no network"):
        download("http://127.0.0.1:9/a/ep1.pt", tmp_path / "ep1.pt")
    assert files(tmp_path) == set()


def test_a_disk_without_room(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    usage = downloading.shutil.disk_usage(tmp_path)._replace(free=1_000_000)
    monkeypatch.setattr(downloading.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DataError, match=r"Cannot store '.*ep1\.pt': 0\.00 GB are needed and 0\.00 GB are free.*CACHE"):
        download(host.url, tmp_path / "ep1.pt")
    assert files(tmp_path) <= {"ep1.pt.part.version"}


def test_a_disk_that_fills_up(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(done: int, total: int | None) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(DataError, match=r"GB are free\. What has come so far is kept"):
        download(host.url, tmp_path / "ep1.pt", progress=full)
    assert "ep1.pt.part" in files(tmp_path)
    assert download(host.url, tmp_path / "ep1.pt").read_bytes() == CONTENT


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_files_of_a_folder(scheme: str, tmp_path: Path):
    source = tmp_path / "with space" / "ep1.pt"
    source.parent.mkdir()
    source.write_bytes(CONTENT)
    url = source.as_uri() if scheme else str(source)
    (tmp_path / "b.pt.part").write_bytes(b"of an earlier attempt")
    assert download(url, tmp_path / "b.pt").read_bytes() == CONTENT
    assert size_of(url) == len(CONTENT)
    with pytest.raises(MissingDataError, match=r"There is no file '.*nothing\.pt'.*the mirror does not hold"):
        download(url.replace("ep1", "nothing"), tmp_path / "c.pt")
    assert files(tmp_path) == {"with space", "b.pt"}


def test_only_one_process_at_a_time(tmp_path: Path):
    order: list[str] = []

    def second() -> None:
        with alone(tmp_path / "ep1.pt"):
            order.append("second")

    thread = threading.Thread(target=second)
    with alone(tmp_path / "ep1.pt"):
        thread.start()
        thread.join(0.1)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
