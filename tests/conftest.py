"""What several tests share: the published tables where they are present, and a cache of their own for all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

BESIDE_THE_REPOSITORY = Path(__file__).resolve().parents[2] / "shared" / "data"


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
