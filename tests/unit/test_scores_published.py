"""Fetching, without the published files: a small stand-in with a hash of its own."""

from __future__ import annotations

import functools
import hashlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from vvscale.errors import DigestError, MissingDataError, UnknownNameError, VvscaleWarning
from vvscale.scores import load_scores, published

CONTENT = b"model_id,score\nm,0.5\n"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a folder in the place of the host, and a small file in the place of the published one."""
    folder = tmp_path / "mirror"
    (folder / "gokce2025").mkdir(parents=True)
    (folder / "gokce2025" / "benchmark_scores.csv").write_bytes(CONTENT)
    small = replace(published.FILES["scores"], digest=hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setattr(published, "FILES", MappingProxyType({**published.FILES, "scores": small}))
    monkeypatch.setenv("VVSCALE_MIRROR", str(folder))
    monkeypatch.setenv("VVSCALE_CACHE", str(tmp_path / "cache"))
    return folder


def test_fetch_from_a_folder_then_from_the_cache(host: Path):
    assert published.published_file("scores").state() == "absent"
    path = published.fetch("scores")
    assert path.read_bytes() == CONTENT
    assert path.parent.parent == published.cache_folder()
    assert published.published_file("scores").state() == "cached"
    (host / "gokce2025" / "benchmark_scores.csv").unlink()
    assert published.fetch("scores") == path


@pytest.fixture
def served(host: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(host)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setenv("VVSCALE_MIRROR", url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield url
    server.shutdown()
    thread.join()
    server.server_close()


def test_fetch_over_http(served: str):
    assert published.fetch("scores").read_bytes() == CONTENT
    with pytest.raises(MissingDataError, match=rf"commitments\.json .* could not be had.*'{served}.*404"):
        published.fetch("commitments")


def test_fetch_from_a_file_url(host: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VVSCALE_MIRROR", host.as_uri() + "/")
    assert published.fetch("scores").read_bytes() == CONTENT


@pytest.mark.parametrize("content", [CONTENT[:-4], CONTENT + b"x"])
def test_wrong_content_is_refused_and_nothing_is_left(host: Path, content: bytes):
    (host / "gokce2025" / "benchmark_scores.csv").write_bytes(content)
    with pytest.raises(DigestError) as caught:
        published.fetch("scores")
    text = str(caught.value)
    assert hashlib.sha256(content).hexdigest() in text
    assert published.FILES["scores"].digest in text
    assert "truncated download" in text
    assert "vvscale fetch scores" in text
    left = {path.name for path in published.cache_folder().rglob("*") if path.is_file()}
    assert left <= {".benchmark_scores.csv.lock"}


def test_a_fetch_that_broke_off_is_continued(served: str):
    """Small tables and large recordings come the same way as weights: what is there is not asked for again."""
    path = published.published_file("scores").path
    path.parent.mkdir(parents=True)
    path.with_name(f"{path.name}.part").write_bytes(b"of another version, and longer than the file is")
    assert published.fetch("scores").read_bytes() == CONTENT
    assert {one.name for one in path.parent.iterdir()} == {path.name, f".{path.name}.lock"}


def test_a_damaged_cache_is_noticed_and_repaired(host: Path):
    path = published.fetch("scores")
    path.write_bytes(b"edited")
    assert published.published_file("scores").state() == "damaged"
    assert published.fetch("scores").read_bytes() == CONTENT
    path.write_bytes(b"edited")
    (host / "gokce2025" / "benchmark_scores.csv").unlink()
    with pytest.raises(MissingDataError):
        published.fetch("scores")
    assert path.read_bytes() == b"edited", "what could not be replaced is not removed"


def test_offline_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VVSCALE_CACHE", str(tmp_path))
    monkeypatch.setenv("VVSCALE_MIRROR", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(MissingDataError, match=r"no connection.*vvscale fetch scores.*VVSCALE_MIRROR") as caught:
        load_scores("gokce2025")
    assert "\n" not in str(caught.value)


def test_without_a_mirror_the_address_is_the_pinned_commit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("VVSCALE_MIRROR", raising=False)
    for file in published.FILES.values():
        assert file.url.startswith("https://raw.githubusercontent.com/epflneuroailab/scaling-primate-vvs/e76f924e")
        assert len(file.digest) == 64
    assert published.FILES["commitments"].url.endswith("/brainscore/artifacts/commitments.json")


def test_the_cache_is_the_users_unless_chosen(monkeypatch: pytest.MonkeyPatch):
    import pooch

    monkeypatch.delenv("VVSCALE_CACHE")
    assert published.cache_folder() == Path(pooch.os_cache("vvscale"))


def test_clear_touches_nothing_else(host: Path):
    mine = published.fetch("scores").with_name("mine.csv")
    mine.write_text("mine")
    assert published.published_file("scores").clear()
    assert not published.published_file("scores").clear()
    assert mine.read_text() == "mine"


def test_unwritable_cache(host: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VVSCALE_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.warns(VvscaleWarning, match="cannot be made"):
        assert published.fetch("scores").is_file()


def test_unknown_file():
    with pytest.raises(UnknownNameError, match="Did you mean 'commitments'"):
        published.fetch("commitment")
