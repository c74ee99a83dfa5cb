"""What tasks of a study share: how networks are trained and scored, rows as laws read them, and notes.

A note says what a study could not have, in words beside its results: never a reason to hold back the rest. Tasks return
theirs as ``notes``, and so they stand in the record of the finished task.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vvscale.core.files import remove_inside, write_json
from vvscale.errors import DataError, FitError, UsageError
from vvscale.study.graph.task_folder import TaskFolder
from vvscale.train.neural.options import UNTUNED

if TYPE_CHECKING:
    import pandas as pd

    from vvscale.laws.workflow.options import FitOptions
    from vvscale.study.graph.kinds import TaskContext
    from vvscale.train import RunResult

LAYERS = "layers.json"
SCORES = "scores.parquet"
LAYERS_FORMAT = "vvscale-layers-1"
ACCURACY_ERROR = "accuracy_error"
_RECORDINGS = (
    "mapping_samples", "mapping_neuroids", "mapping_repetitions", "finetune", "finetune_control", "finetune_fraction",
    "finetune_updates", "lora_rank",
)  # fmt: skip
"""What tells rows of one trained network apart."""


NOT_TO_BE_HAD = (FitError, DataError, UsageError)
"""Errors that say that rows do not give what was asked of them; anything else is a failure of the task."""


def why(error: Exception) -> str:
    """Return the reason that an error gives; an error of the disk is none, and is raised again."""
    if isinstance(error.__cause__, OSError):
        raise error
    return str(error)


def read_notes(out: Path) -> list[str]:
    """Return the notes of a finished task, by the folder of its output; none where there is no such task."""
    done = TaskFolder(out.parent).done()
    return [] if done is None else [str(note) for note in done["result"].get("notes", ())]


def train_network(context: TaskContext, run: Mapping[str, Any], out: Path) -> RunResult:
    """Train one network with the recipe and images of a task; ``run`` are the other fields of its RunSpec."""
    from vvscale.core.config import from_table
    from vvscale.train import Recipe, RunSpec, train

    recipe = from_table(Recipe, context.params["recipe"], f"the recipe of task {context.task_id}")
    name = context.params["dataset"]["name"]
    spec = RunSpec(recipe=recipe, dataset=context.dataset(name), dataset_label=name, **run)
    _remove_damaged(context.out, out)
    return train(spec, out=out, device=context.device, stop=context.stop)


def _remove_damaged(root: Path, run: Path) -> None:
    """Remove a finished run, ``root`` or a folder in it, whose files are damaged, so that it is made again.

    Whoever trains by hand is asked to do so; what a study has lost the record of, nobody has seen.
    """
    from vvscale.train.run_folder import RunFolder

    folder = RunFolder(run)
    try:
        if (ended := folder.result()) is not None:
            folder.check_weights(ended)
    except DataError:
        for path in list(run.iterdir()):
            remove_inside(root, path)


def score_rows(
    context: TaskContext, reference: str | Path, *, layers: str | Mapping[str, str], commit: Path | None = None
) -> tuple[pd.DataFrame, list[str]]:
    """Score a network with the library that ``vvscale score`` uses; return its rows, and why others are lacking.

    ``context.params``: ``benchmarks``, id and digest of each; ``options`` of the scorer.
    """
    from vvscale.brain.scoring.run import run_scores

    if isinstance(layers, Mapping):
        write_json(context.out / LAYERS, {"format": LAYERS_FORMAT, "layers": dict(layers)})
        layers = str(context.out / LAYERS)
    benchmarks = tuple(one["id"] for one in context.params["benchmarks"])
    options = dict(
        on=benchmarks,
        layers=(layers,),
        device=context.device,
        out=None,
        commit=commit,
        **{"cache": "none", "threads": 1, **context.params["options"]},
    )
    watch = partial(_follow, context)
    # The first and only model; asking for more would raise what this returns as notes.
    scored = next(run_scores((str(reference),), watch=watch, **options))
    lacking = [f"{scored.model_id}, {one.layer}: {one.reason}" for one in scored.scores.failures]
    if scored.rows.empty:
        raise DataError(f"No score of '{scored.model_id}' is to be had. {'; '.join(lacking[:1])}")
    return scored.rows, lacking


def _follow(context: TaskContext, what: str, total: int) -> AbstractContextManager[Callable[[str], None]]:
    """Look at every step of the scorer whether the task should stop."""
    return nullcontext(lambda name: context.check_stop())


def outcomes(scores: Path | pd.DataFrame, law: Mapping[str, Any]) -> pd.DataFrame:
    """Return rows of the score table, or of its file, with what a law of the study may ask for besides its columns."""
    from vvscale.scores import load_scores
    from vvscale.scores.table import last_epochs

    rows = load_scores(scores) if isinstance(scores, Path) else scores
    asked = (*law["where"], *law["x"], law["y"])
    if not any(one.startswith("epoch") for one in asked):
        rows = last_epochs(rows)
    rows = whole_networks(
        rows,
        keep_parts=any(one.startswith("mapping_") for one in asked),
        keep_tuned=any(one.startswith(("finetune", "lora_rank")) for one in asked),
    )
    if law["y"] == ACCURACY_ERROR:
        # One row per network: the region plays no part in it.
        rows = rows.drop_duplicates("model_id").drop(columns=["region", "benchmark_id", "score"], errors="ignore")
        rows = rows.assign(accuracy_error=1.0 - rows["accuracy"])
    return average_seeds(rows) if law["average_seeds"] else rows


def untuned_named(rows: pd.DataFrame) -> pd.DataFrame:
    """Say of networks that were not fine-tuned that they were not, where others were."""
    if "finetune" not in rows.columns:
        return rows
    is_tuned = rows["finetune"].notna()
    for name in ("finetune_fraction", "finetune_samples", "finetune_updates", "lora_rank"):
        rows[name] = rows[name].where(is_tuned, 0)
    return rows.assign(
        **{name: rows[name].where(is_tuned, UNTUNED) for name in ("finetune", "finetune_on", "finetune_control")}
    )


def whole_networks(rows: pd.DataFrame, *, keep_parts: bool = False, keep_tuned: bool = False) -> pd.DataFrame:
    """Leave out networks that were fine-tuned, and mappings that were fitted on part of the recordings.

    What a law of training is fitted to: one row per network and benchmark.
    """
    from vvscale.brain.scoring.results import whole_rows
    from vvscale.scores.table import MAPPING_AXES

    if not keep_tuned and "finetune" in rows.columns:
        rows = rows[rows["finetune"].isna() | rows["finetune"].eq(UNTUNED)]
    sizes = [name for name in MAPPING_AXES if name in rows.columns]
    return rows if keep_parts or not sizes else whole_rows(rows).drop(columns=sizes)


def average_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    """Average what was measured over runs that differ in the seed alone.

    Raises
    ------
    DataError
        The table does not say the architecture or the images of each row.
    """
    needed = ["arch", "dataset", "samples_per_class"]
    absent = [name for name in needed if name not in rows.columns]
    if absent:
        raise DataError(f"Cannot average over seeds: the table lacks {', '.join(absent)}. Leave out 'average_seeds'.")
    told = [*needed, "recipe", "epoch", "region", "benchmark_id", *_RECORDINGS]
    keys = [name for name in told if name in rows.columns]
    measured = [name for name in ("score", "accuracy", ACCURACY_ERROR) if name in rows.columns]
    how = {name: "mean" if name in measured else "first" for name in rows.columns if name not in keys}
    made = rows.groupby(keys, sort=False, dropna=False, as_index=False).agg(how)
    # The mean of several networks is not one of them.
    if "mapping_seed" in made.columns:
        made = made.drop(columns="mapping_seed")
    return made.assign(model_id=made["model_id"].str.replace(r"_seed-\d+", "_seeds", regex=True))


def fit_options(law: Mapping[str, Any]) -> FitOptions:
    """Return the fit that a law of the study asks for."""
    from vvscale.laws.workflow.options import FitOptions

    known = {field.name for field in dataclasses.fields(FitOptions)}
    return FitOptions.from_table({key: value for key, value in law.items() if key in known}, f"law '{law['name']}'")
