"""Open what figures are drawn from: read, check and split tables; the published one brings its companions along."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from vvscale.errors import DataError, UsageError
from vvscale.figures.base.outcomes import require_column
from vvscale.figures.base.tables import FLAGS, LONG, PUBLISHED, Source, frame_digest
from vvscale.scores import SETS, load_scores, load_table, model_table
from vvscale.scores.published import FILES, identify

# What the published set has beside its main table.
BESIDE = {"checkpoints": "gokce2025:checkpoints", "private": "gokce2025:private"}
# Inputs of a joint law, in its order.
ND = ("n_params", "samples_seen")
# Columns of a score table under the names that the authors gave them.
PUBLISHED_COLUMNS = frozenset({"model_id", "arch_family", "benchmark_name"})


def open_source(
    scores: str | Path | pd.DataFrame = PUBLISHED,
    *,
    add: Sequence[str | Path | pd.DataFrame] = (),
    x: Sequence[str] = (),
    y: str = "",
) -> Source:
    """Read the tables that figures need.

    Parameters
    ----------
    scores
        As of ``vvscale.scores.load_scores``. The published set brings its trajectories and private scores along; in
        another table several epochs per model are trajectories, and the last of them its scores.
    add
        Tables of models to lay over it, each with its label before a ``=`` if it is to have one.
    x
        Column of the input; of two, those that are parameters and samples seen.
    y
        Region, set of regions, or column of the outcome.

    Raises
    ------
    DataError, UnknownNameError
        See ``vvscale.scores.load_scores``.
    """
    name, is_published = _name(scores)
    table, renamed = _with_names(_read(scores), x)
    table, notes = _with_flags(table, name)
    notes += renamed
    lacking, digests = {}, {name: _digest(scores, table)}
    beside: dict[str, pd.DataFrame | None] = {}
    for kind, chosen in BESIDE.items():
        beside[kind] = None
        if not is_published:
            lacking[kind] = _no_such_table(kind, name)
            continue
        try:
            beside[kind], _ = _with_flags(load_scores(chosen), chosen)
            digests[chosen] = FILES[SETS[chosen].file].digest
        except DataError as error:
            lacking[kind] = str(error)
    table, layers = _split_layers(table)
    table, epochs = _split_epochs(table)
    _check_models(table)
    added = {}
    for one in add:
        label, place = _label(one)
        added[label] = replace(open_source(place), name=label)
        digests[label] = next(iter(added[label].digests.values()))
    return Source(
        name, table, epochs if epochs is not None else beside["checkpoints"], beside["private"], layers, added,
        digests, lacking, tuple(notes), tuple(x), y,
    )  # fmt: skip


def _read(scores: str | Path | pd.DataFrame) -> pd.DataFrame:
    """Read a score table with every check, or any other table as it is, with model_id and family where they follow."""
    if isinstance(scores, str | Path) and (str(scores) in SETS or not Path(scores).is_file()):
        return load_scores(scores)
    frame = scores if isinstance(scores, pd.DataFrame) else load_table(scores)
    names = set(map(str, frame.columns))
    if names >= LONG or names >= PUBLISHED_COLUMNS:
        return load_scores(scores)
    frame = frame.copy()
    if "model_id" not in names:
        frame.insert(0, "model_id", [f"row {row}" for row in range(1, len(frame) + 1)])
    if "family" in names and "parent_family" not in names:
        frame["parent_family"] = frame["family"]
    return frame


def _with_names(table: pd.DataFrame, x: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """Give a user's columns of parameters and samples the names that laws, plans and figures know."""
    for column in x:
        require_column(table, column)
    if len(x) < len(ND):
        return table, []
    if len(x) > len(ND):
        raise UsageError(f"`x` names one input, or parameters and samples; got {', '.join(x)}.")
    taken = [name for name in ND if name in table.columns and name not in x]
    renamed = dict(zip(x, ND, strict=True))
    said = ", ".join(f"{theirs} as {ours}" for theirs, ours in renamed.items() if theirs != ours)
    return table.drop(columns=taken).rename(columns=renamed), [f"Read {said}."] if said else []


def _label(one: str | Path | pd.DataFrame) -> tuple[str, str | Path | pd.DataFrame]:
    """Split LABEL=TABLE; a table without a label is called after its file."""
    if isinstance(one, str) and "=" in one and not Path(one).exists():
        label, _, place = one.partition("=")
        if label and place:
            return label, place
    return _name(one)[0], one


def _name(scores: str | Path | pd.DataFrame) -> tuple[str, bool]:
    """Return what to call a table, and whether it is the published one."""
    if isinstance(scores, pd.DataFrame):
        return "table", False
    if str(scores) in SETS:
        return str(scores), str(scores) == PUBLISHED
    path = Path(scores)
    return path.name, path.is_file() and identify(path) == SETS[PUBLISHED].file


def _with_flags(table: pd.DataFrame, name: str) -> tuple[pd.DataFrame, list[str]]:
    lacking = [flag for flag in FLAGS if flag not in table.columns]
    for flag in FLAGS:
        table[flag] = table[flag].fillna(False).astype(bool) if flag in table.columns else False
    said = f"'{name}' has no column {', '.join(lacking)}: taken as false."
    return table, [said] if lacking else []


def _split_epochs(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Return the last epoch of each model, and all of them if there are several."""
    if "epoch" not in table.columns or table.groupby("model_id")["epoch"].nunique().max() < 2:
        return table, None
    last = table.groupby("model_id")["epoch"].transform("max")
    kept = table[(table["epoch"] == last) | table["epoch"].isna()].reset_index(drop=True)
    return kept, table


def _split_layers(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Return the best layer of each model and benchmark, and all of them if there are several."""
    keys = [name for name in ("model_id", "region", "benchmark_id", "epoch", "run_id") if name in table.columns]
    if not {"layer", "region", "score"} <= set(table.columns) or not table.duplicated(keys).any():
        return table, None
    if table.groupby(keys, dropna=False)["layer"].nunique().max() < 2:
        return table, None
    best = table.sort_values("score", kind="stable").drop_duplicates(keys, keep="last").sort_index()
    return best.reset_index(drop=True), table


def _check_models(table: pd.DataFrame) -> None:
    """Refuse a table whose rows disagree about a model, once and not in every figure."""
    if set(map(str, table.columns)) >= LONG and table["region"].notna().any():
        known = table.dropna(subset=["region", "score"])
        model_table(table, str(known["region"].iloc[0]) if len(known) else None)


def _no_such_table(kind: str, name: str) -> str:
    if kind == "checkpoints":
        return (
            f"The table '{name}' has one epoch per model. Expected a column 'epoch' with several epochs of at "
            "least one "
            "model; score more checkpoints of a run."
        )
    return (
        f"Private Brain-Score results are known for the published models only, and '{name}' is another table. Draw "
        f"them with `scores={PUBLISHED}`."
    )


def _digest(scores: str | Path | pd.DataFrame, table: pd.DataFrame) -> str:
    """Return sha256 of the file a table came from; of its content where there is no single file."""
    if not isinstance(scores, pd.DataFrame):
        if str(scores) in SETS:
            return FILES[SETS[str(scores)].file].digest
        if Path(scores).is_file():
            return hashlib.sha256(Path(scores).read_bytes()).hexdigest()
    return frame_digest(table)
