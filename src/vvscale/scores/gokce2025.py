"""What must be known to use the published tables of the study: every correction and caveat, in one list each.

A ``corrected`` note changes values that the published data themselves prove wrong; a ``flagged`` note
changes nothing and says what to beware of. No row is ever removed, and no value that a named law of the
study uses is changed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from vvscale.core.jsonable import jsonable

Mask = Callable[[pd.DataFrame], "pd.Series[bool]"]

# The nine adversarial models outside the grid of 10-epoch fine-tunings, by id.
_EXTRA_ADVERSARIAL = r"_(?:scratch-)?ffgsm_eps-\d_alpha-\d+_lr-"
# Self-supervised models whose published scores equal those of epoch 300 of the trajectories.
_TRAINED_300 = r"^dino_|^simclr_vit_"


@dataclass(frozen=True)
class Note:
    """A fact about some rows of a published table.

    Attributes
    ----------
    name
        Short name.
    treatment
        ``corrected`` or ``flagged``.
    columns
        The columns concerned.
    reason
        What is the matter and what was done.
    rows
        The rows concerned, in our words, before any correction.
    fix
        For a correction: ``(frame, rows) -> None``, in place.
    """

    name: str
    treatment: Literal["corrected", "flagged"]
    columns: tuple[str, ...]
    reason: str
    rows: Mask
    fix: Callable[[pd.DataFrame, pd.Series], None] | None = None


@dataclass(frozen=True)
class AppliedNote:
    """A note with the rows and models of one table that it concerns."""

    name: str
    treatment: str
    columns: tuple[str, ...]
    reason: str
    n_rows: int
    model_ids: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the note as plain values."""
        return jsonable({**vars(self), "n_models": len(self.model_ids)})


def correct(frame: pd.DataFrame, notes: tuple[Note, ...]) -> pd.DataFrame:
    """Return ``frame`` with the corrections applied; the masks see the published values."""
    fixes = [(note.fix, note.rows(frame)) for note in notes if note.fix]
    frame = frame.copy()
    for fix, rows in fixes:
        fix(frame, rows)
    return frame


def apply_notes(frame: pd.DataFrame, notes: tuple[Note, ...]) -> list[AppliedNote]:
    """Count, for each note, the rows and models of ``frame`` (published values) that it concerns."""
    applied = []
    for note in notes:
        rows = note.rows(frame)
        ids = tuple(sorted(frame.loc[rows, "model_id"].unique()))
        applied.append(AppliedNote(note.name, note.treatment, note.columns, note.reason, int(rows.sum()), ids))
    return applied


def _set_missing(*columns: str) -> Callable[[pd.DataFrame, pd.Series], None]:
    def fix(frame: pd.DataFrame, rows: pd.Series) -> None:
        for column in columns:
            frame[column] = frame[column].mask(rows)

    return fix


def _times_three(frame: pd.DataFrame, rows: pd.Series) -> None:
    # Recomputed rather than multiplied, so that it is exactly what the schema promises.
    frame.loc[rows, "train_flop"] = 3 * frame["forward_flop"] * frame["samples_seen"]


def _pt_suffix(frame: pd.DataFrame, rows: pd.Series) -> None:
    frame["checkpoint_url"] = frame["checkpoint_url"].str.replace(r"\.pth$", ".pt", regex=True)


def _id_matches(pattern: str) -> Mask:
    return lambda frame: frame["model_id"].str.contains(pattern)


def _is_missing(column: str) -> Mask:
    return lambda frame: frame[column].isna()


def _first_scoring(model_id: pd.Series) -> pd.Series:
    # "convnext_base:clip_laion2b_nc-5000" scores again what "convnext_base.clip_laion2b" scored.
    return model_id.str.removesuffix("_nc-5000").str.replace(":", ".", regex=False)


def _is_second_scoring(frame: pd.DataFrame) -> pd.Series:
    is_projected = frame["model_id"].str.endswith("_nc-5000")
    return is_projected & _first_scoring(frame["model_id"]).isin(frame["model_id"])


def _is_core(frame: pd.DataFrame) -> pd.Series:
    flags = ["is_pretrained", "is_random", "is_ssl", "is_adv", "is_ablation"]
    return ~frame[flags].any(axis=1)


_NO_SIZE = "The size was not published; these models are left out of laws in n_params or train_flop."

SCORES_NOTES = (
    Note(
        "pretrained_placeholders",
        "corrected",
        ("n_samples", "n_epochs", "samples_seen", "train_flop"),
        "Published as 1,300,000 images and 100 epochs for every pretrained model whatever its training; set "
        "to missing.",
        lambda frame: frame["is_pretrained"],
        _set_missing("n_samples", "n_epochs", "samples_seen", "train_flop"),
    ),
    Note(
        "accuracy_placeholder",
        "corrected",
        ("accuracy",),
        "Published as exactly 0.0 for SimCLR ResNets, which have no classifier; set to missing.",
        lambda frame: frame["accuracy"] == 0,
        _set_missing("accuracy"),
    ),
    Note("score_missing", "flagged", ("score",), "No score was published.", _is_missing("score")),
    Note(
        "score_negative",
        "flagged",
        ("score",),
        "Negative score, worse than chance agreement; kept as it is: never clip it or take its logarithm.",
        lambda frame: frame["score"] < 0,
    ),
    Note(
        "size_missing",
        "flagged",
        ("n_params", "forward_mac", "forward_flop"),
        _NO_SIZE,
        _is_missing("n_params"),
    ),
    Note(
        "untrained",
        "flagged",
        ("samples_per_class", "n_epochs", "train_flop", "checkpoint_url"),
        "Untrained: samples_per_class 0 and n_epochs 100 are labels, no image was seen; train_flop is "
        "missing and the checkpoint is not in the list of checkpoints.",
        lambda frame: frame["is_random"],
    ),
    Note("accuracy_missing", "flagged", ("accuracy",), "Not published.", _is_missing("accuracy")),
    Note(
        "dataset_missing",
        "flagged",
        ("dataset",),
        "Not published; these models match no data set and drop out of the law of pretrained models.",
        _is_missing("dataset"),
    ),
    Note(
        "epoch_300",
        "flagged",
        ("n_epochs", "samples_seen", "train_flop", "checkpoint_url"),
        "The scores are those of epoch 300 (equal to the trajectories), while the columns say 100; kept as "
        "published, so multiply n_epochs, samples_seen and train_flop by 3 before comparing.",
        _id_matches(_TRAINED_300),
    ),
    Note(
        "adversarial_fine_tuning",
        "flagged",
        ("samples_seen", "train_flop"),
        "Only the 10 epochs of fine-tuning are counted, not the training of the model they started from.",
        lambda frame: frame["is_adv"] & (frame["n_epochs"] == 10),
    ),
    Note(
        "adversarial_extra",
        "flagged",
        ("n_epochs", "samples_seen", "train_flop", "checkpoint_url"),
        "All published as 100 epochs, also those whose id says 20; their checkpoints are not in the list of "
        "checkpoints.",
        lambda frame: frame["is_adv"] & frame["model_id"].str.contains(_EXTRA_ADVERSARIAL),
    ),
    Note(
        "ablation_200_epochs",
        "flagged",
        ("n_epochs", "samples_seen"),
        "The id says 200 epochs, the columns say 100; kept as published.",
        _id_matches(r"-200ep_"),
    ),
    Note(
        "random_projection",
        "flagged",
        ("score",),
        "Scored on 5000 random projections of the features (id ends in _nc-5000).",
        _id_matches(r"_nc-5000$"),
    ),
    Note(
        "second_scoring",
        "flagged",
        ("score",),
        "The same weights are scored a second time under the id without _nc-5000 and with '.' for ':'; both are kept.",
        _is_second_scoring,
    ),
    Note(
        "id_without_seed",
        "flagged",
        ("model_id",),
        "The id lacks '_seed-0' while column seed says 0: use the columns, do not take ids apart.",
        lambda frame: _is_core(frame) & ~frame["model_id"].str.contains("_seed-"),
    ),
    Note(
        "vit_ids",
        "flagged",
        ("model_id", "arch"),
        "Supervised ViTs are called deit_*, self-supervised ones *vit_*; the family of both is ViT.",
        lambda frame: frame["arch"].str.match(r"(?:deit_(?:tiny|small|base|large)|vit_(?:small|base))$"),
    ),
    Note(
        "family_timm",
        "flagged",
        ("family",),
        "Family 'timm' names where the code came from: recipe ablations of ResNets, and ConvNeXt V2.",
        lambda frame: frame["family"] == "timm",
    ),
    Note(
        "pretrained_checkpoint",
        "flagged",
        ("checkpoint_url",),
        "Pretrained weights come from timm, torchvision or open_clip; this address is not in the list of checkpoints.",
        lambda frame: frame["is_pretrained"],
    ),
)

CHECKPOINTS_NOTES = (
    Note(
        "train_flop_factor",
        "corrected",
        ("train_flop",),
        "Published without the factor 3 for forward and backward pass; now 3 x forward_flop x samples_seen.",
        lambda frame: frame["train_flop"].notna(),
        _times_three,
    ),
    Note(
        "checkpoint_suffix",
        "corrected",
        ("checkpoint_url",),
        "Published with the ending .pth, while the list of checkpoints has each under .pt; now .pt.",
        lambda frame: frame["checkpoint_url"].str.endswith(".pth"),
        _pt_suffix,
    ),
    Note(
        "size_missing",
        "flagged",
        ("n_params", "forward_flop", "train_flop"),
        _NO_SIZE,
        _is_missing("n_params"),
    ),
    Note("accuracy_missing", "flagged", ("accuracy",), "Not published.", _is_missing("accuracy")),
    Note(
        "score_negative",
        "flagged",
        ("score",),
        "Negative score; kept as it is: never clip it or take its logarithm.",
        lambda frame: frame["score"] < 0,
    ),
    Note(
        "other_commitments",
        "flagged",
        ("score",),
        "Neural scores of ResNets and EfficientNets at the last epoch differ from the main table, which "
        "commits other layers and stops SimCLR at epoch 100; compare epochs within this table only.",
        lambda frame: frame["family"].isin(["ResNet", "EfficientNet"]) & ~frame["model_id"].str.startswith("dino_"),
    ),
)

PRIVATE_NOTES = (
    Note(
        "unreadable_cell",
        "flagged",
        ("score",),
        "Published as 'X' instead of a number; the row is kept with a missing score. Blank cells have no row.",
        _is_missing("score"),
    ),
)


def private_long(wide: pd.DataFrame) -> pd.DataFrame:
    """Turn the wide private table (28 models x 154 benchmarks) into rows (model_id, benchmark_id, score).

    A blank cell gives no row; a cell that is not a number gives a row with a missing score.
    """
    # object keeps the text of 'X' beside numbers while the columns are stacked.
    long = wide.astype(object).melt(id_vars="model_id", var_name="benchmark_id", value_name="score")
    long = long[long["score"].notna()].reset_index(drop=True)
    long["score"] = pd.to_numeric(long["score"], errors="coerce").astype("float64")
    return long.astype({"model_id": "str", "benchmark_id": "str"})
