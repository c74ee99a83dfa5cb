"""A cache folder that cannot be had stops nothing."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from vvscale.brain.scoring.cache import ScoreCache
from vvscale.core import download
from vvscale.errors import VvscaleWarning


def test_a_temporary_folder_stands_in_for_a_cache_that_cannot_be_made(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(download.tempfile, "gettempdir", lambda: str(tmp_path))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VVSCALE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.warns(
        VvscaleWarning, match=r"cache' cannot be made \(Not a directory\).*is used meanwhile.*VVSCALE_CACHE"
    ):
        folder = download.cache_folder()
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_planted_folder_is_not_used(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(download.tempfile, "gettempdir", lambda: str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"vvscale-cache-{download.os.getuid()}").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setenv("VVSCALE_CACHE", "/proc/nope")
    with pytest.warns(VvscaleWarning, match="is used meanwhile"):
        assert download.cache_folder().name.startswith("vvscale-cache-")
    download.cache_folder().rmdir()
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_cache_that_is_full_or_read_only_keeps_no_score_and_says_so(monkeypatch, tmp_path: Path):
    def full(*args, **kwargs):
        raise OSError(errno.EROFS, "Read-only file system")

    cache = ScoreCache(tmp_path / "scores")
    monkeypatch.setattr("vvscale.core.files.tempfile.mkstemp", full)
    with pytest.warns(VvscaleWarning, match="Scores are not kept in the cache"):
        cache._write("score", {"a": 1}, b"{}", {})
