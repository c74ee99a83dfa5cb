"""What several tests share: the published tables where they are present, and a cache of their own for all."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

BESIDE_THE_REPOSITORY = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_xdist_auto_num_workers() -> int:
    """One more than cores, as the slowest tests wait for schedulers and for processes that they stopped."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long: begun last, they would run while the other workers have nothing left."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep every test, and every command it starts, away from the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VVSCALE_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def mirror(own_cache: Path) -> Iterator[Path]:
    """Point VVSCALE_MIRROR to the published files; skip where there are none, fail where there must be."""
    folder = Path(os.environ.get("VVSCALE_MIRROR") or BESIDE_THE_REPOSITORY)
    if not (folder / "gokce2025").is_dir():
        reason = f"the published tables are not here: no folder '{folder}/gokce2025' (set VVSCALE_MIRROR)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VVSCALE_MIRROR", str(folder))
        yield folder


@pytest.fixture(scope="session")
def _scores(mirror: Path) -> pd.DataFrame:
    from vvscale.scores import load_scores

    return load_scores("gokce2025")


@pytest.fixture
def gokce2025(_scores: pd.DataFrame) -> pd.DataFrame:
    """The published score table in our schema; a copy, so a test may change it."""
    return _scores.copy()


SMALL = (
    'axes.arch=["resnetflex-w3-d1-1-1","resnetflex-w4-d1-1-1","resnetflex-w6-d1-1-1"]',
    "axes.samples_per_class=[1,3,10]", "axes.seed=[0]",
    "forecast.level=0.7", "forecast.seed=[0]", "forecast.budget=6e9",
)  # fmt: skip


@dataclass(frozen=True)
class SmallDemo:
    """The demo's study with nine runs, once to its end without interruption: ``out`` and what it ``said``."""

    out: Path
    said: str

    @staticmethod
    def command(out: Path, *changes: str) -> list[str]:
        """Return what runs it."""
        more = [token for change in (*SMALL, *changes) for token in ("--set", change)]
        return [sys.executable, "-m", "vvscale", "study", "run", "demo", "--out", str(out), *more]

    @property
    def scores(self) -> pd.DataFrame:
        """Its table."""
        return pd.read_parquet(self.out / "results" / "scores.parquet")


@pytest.fixture(scope="session")
def small_demo(tmp_path_factory: pytest.TempPathFactory) -> SmallDemo:
    """Run the small demo."""
    out = tmp_path_factory.mktemp("demo") / "whole"
    done = subprocess.run(SmallDemo.command(out), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return SmallDemo(out, done.stdout)
