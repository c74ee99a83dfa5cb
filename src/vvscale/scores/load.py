"""One door to every score table: a published set, a file, a store or a DataFrame, all in our schema."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from vvscale.core.registry import Registry
from vvscale.errors import ShapeError, UnknownNameError, unknown_name
from vvscale.scores import gokce2025, gokce2026
from vvscale.scores.gokce2025 import AppliedNote, Note
from vvscale.scores.published import fetch, identify, published_file
from vvscale.scores.read import SUFFIXES, load_table
from vvscale.scores.store import ScoreStore
from vvscale.scores.validate import TEXT_COLUMNS, as_scores, with_our_names


@dataclass(frozen=True)
class ScoreSet:
    """A published table of scores.

    Attributes
    ----------
    name
        What ``load_scores`` calls it.
    file
        Key of its published file; "" where ``read`` knows its own.
    meaning
        One line.
    notes
        Corrections and caveats.
    shape
        Turns the file's table into rows of model and benchmark.
    read
        Returns the rows, for sets that are no single table of a known hash.
    """

    name: str
    file: str
    meaning: str
    notes: tuple[Note, ...] = ()
    shape: Callable[[pd.DataFrame], pd.DataFrame] = with_our_names
    read: Callable[[], pd.DataFrame] | None = None

    @property
    def state(self) -> str:
        """``cached`` or ``absent``, or ``damaged`` where the cached file is not the published one."""
        return published_file(self.file).state() if self.file else gokce2026.state(self.name)

    def published(self) -> pd.DataFrame:
        """Return the rows in our words, before any correction."""
        return self.shape(load_table(fetch(self.file), sep=",", decimal=".")) if self.read is None else self.read()


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
    ScoreSet(
        "gokce2026:commitments",
        "",
        "85 models on 8 data sets, the layer committed to each region",
        read=gokce2026.commitment_scores,
    ),
    *(
        ScoreSet(f"gokce2026:{name}", "", meaning, read=partial(gokce2026.load_results, name))
        for name, (_, meaning) in gokce2026.TABLES.items()
    ),
):
    SETS.add(_set.name, _set)


def load_scores(source: str | Path | pd.DataFrame) -> pd.DataFrame:
    """Load a table of scores in our schema, checked.

    Parameters
    ----------
    source
        The name of a published set (``gokce2025``, ``gokce2025:private``, ``gokce2026:commitments`` and others), the
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

    Examples
    --------
    >>> rows = pd.DataFrame({"model_id": ["a", "b"], "region": ["IT", "IT"], "score": [0.3, 0.4]})
    >>> load_scores(rows)["score"].tolist()
    [0.3, 0.4]
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
    return _load_set(chosen)


def published_notes(name: str) -> list[AppliedNote]:
    """Return what was corrected in a published set and what to beware of, with the models concerned."""
    chosen = SETS[name]
    return gokce2025.apply_notes(chosen.published(), chosen.notes)


def _load_set(chosen: ScoreSet, published: pd.DataFrame | None = None) -> pd.DataFrame:
    rows = chosen.published() if published is None else published
    return as_scores(gokce2025.correct(rows, chosen.notes), chosen.name)


def _load_path(path: Path) -> pd.DataFrame:
    if path.is_dir():
        return _load_store(ScoreStore(path))
    key = identify(path) if path.is_file() else None
    if key is not None:
        for chosen in SETS.values():
            if chosen.file == key:
                return _load_set(chosen, chosen.shape(load_table(path, sep=",", decimal=".")))
    return as_scores(load_table(path, text=TEXT_COLUMNS), str(path))


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
