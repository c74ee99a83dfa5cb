"""One door to every score table: a published set, a file, a store or a DataFrame, all in our schema."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from vvscale.core.registry import Registry
from vvscale.errors import ShapeError, UnknownNameError, unknown_name
from vvscale.scores import gokce2025
from vvscale.scores.gokce2025 import AppliedNote, Note
from vvscale.scores.published import fetch, identify
from vvscale.scores.read import SUFFIXES, load_table
from vvscale.scores.store import ScoreStore
from vvscale.scores.validate import as_scores, with_our_names


@dataclass(frozen=True)
class ScoreSet:
    """A published table of scores.

    Attributes
    ----------
    name
        What ``load_scores`` calls it.
    file
        Key of its published file.
    meaning
        One line.
    notes
        Corrections and caveats.
    shape
        Turns the file's table into rows of model and benchmark.
    """

    name: str
    file: str
    meaning: str
    notes: tuple[Note, ...]
    shape: Callable[[pd.DataFrame], pd.DataFrame] = with_our_names


SETS: Registry[ScoreSet] = Registry("score set")
for _set in (
    ScoreSet(
        "gokce2025",
        "scores",
        "993 models on the five public benchmarks",
        gokce2025.SCORES_NOTES,
    ),
    ScoreSet(
        "gokce2025:checkpoints",
        "checkpoints",
        "43 models at 26 to 32 epochs on the five public benchmarks",
        gokce2025.CHECKPOINTS_NOTES,
    ),
    ScoreSet(
        "gokce2025:private",
        "private",
        "28 models on the private Brain-Score benchmarks",
        gokce2025.PRIVATE_NOTES,
        gokce2025.private_long,
    ),
):
    SETS.add(_set.name, _set)


def load_scores(source: str | Path | pd.DataFrame) -> pd.DataFrame:
    """Load a table of scores in our schema, checked.

    Parameters
    ----------
    source
        The name of a published set (``gokce2025``, ``gokce2025:checkpoints``, ``gokce2025:private``), the
        path of a ``.csv`` or ``.parquet`` file or of a ``ScoreStore`` folder, or a DataFrame. Published
        column names are mapped to ours; columns outside the schema are kept. A file that is byte for byte a
        published one is read as that set.

    Returns
    -------
    pandas.DataFrame
        One row per model and benchmark (and layer, epoch or run where the table has them), in the order of
        the source.

    Raises
    ------
    UnknownNameError
        Neither a set nor a file.
    DataError
        The table is missing, damaged or breaks the schema; the message names row and column.
    """
    if isinstance(source, pd.DataFrame):
        return as_scores(source, "DataFrame")
    if isinstance(source, Path) or _looks_like_path(source):
        return _load_path(Path(source))
    try:
        chosen = SETS[source]
    except UnknownNameError as error:
        if Path(source).exists():
            return _load_path(Path(source))
        raise unknown_name(
            "score set or file",
            source,
            SETS,
            f"Published sets: {', '.join(SETS)}. A file needs the ending {' or '.join(SUFFIXES)}.",
        ) from error
    return _load_set(chosen, fetch(chosen.file))


def published_notes(name: str) -> list[AppliedNote]:
    """Return what was corrected in a published set and what to beware of, with the models concerned."""
    chosen = SETS[name]
    return gokce2025.apply_notes(_as_published(chosen, fetch(chosen.file)), chosen.notes)


def _as_published(chosen: ScoreSet, path: Path) -> pd.DataFrame:
    return chosen.shape(load_table(path))


def _load_set(chosen: ScoreSet, path: Path) -> pd.DataFrame:
    return as_scores(gokce2025.correct(_as_published(chosen, path), chosen.notes), chosen.name)


def _load_path(path: Path) -> pd.DataFrame:
    if path.is_dir():
        return _load_store(ScoreStore(path))
    key = identify(path) if path.is_file() else None
    if key is not None:
        for chosen in SETS.values():
            if chosen.file == key:
                return _load_set(chosen, path)
    return as_scores(load_table(path), str(path))


def _load_store(store: ScoreStore) -> pd.DataFrame:
    try:
        return as_scores(store.read(), str(store.folder))
    except ShapeError as error:
        raise ShapeError(
            f"{error} In a score store, ScoreStore.conflicts() lists such rows and "
            f"ScoreStore.read(latest=True) keeps the last written."
        ) from error


def _looks_like_path(name: str) -> bool:
    return "/" in name or "\\" in name or Path(name).suffix.lower() in SUFFIXES
