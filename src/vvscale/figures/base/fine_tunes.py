"""Models that were fine-tuned from another: their compute is that of both trainings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vvscale.laws.gokce2025.experiments import CONTROLLED

if TYPE_CHECKING:
    import pandas as pd

# What tells the model that a fine-tune started from.
NEEDED = frozenset({"arch", "dataset", "n_epochs", "samples_per_class", "train_flop", "is_adv"})


def with_base_compute(models: pd.DataFrame, adversarial: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Adversarial fine-tunes with the compute of the model they started from added, and the ids left out.

    A fine-tune starts from the supervised full-data model of its architecture and data set. A model that was trained
    as long as that one counts as not known: its table does not say whether it started from it.

    Parameters
    ----------
    models
        One row per model, with ``train_flop`` and the flags.
    adversarial
        Rows of adversarial models.
    """
    plain = models[~models[list(CONTROLLED)].any(axis=1) & (models["samples_per_class"] == 0)]
    base = plain.drop_duplicates(["arch", "dataset"]).set_index(["arch", "dataset"])[["train_flop", "n_epochs"]]
    base = base.rename(columns=lambda name: f"{name}_base")
    joined = adversarial.join(base, on=["arch", "dataset"])
    is_fine_tune = joined["n_epochs"] < joined["n_epochs_base"]
    kept = joined[is_fine_tune].copy()
    kept["train_flop"] = kept["train_flop"] + kept["train_flop_base"]
    return kept.drop(columns=["train_flop_base", "n_epochs_base"]), sorted(set(joined.loc[~is_fine_tune, "model_id"]))


def at_whole_compute(frame: pd.DataFrame, models: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return a frame whose adversarial fine-tunes stand at their whole compute, and the ids left out.

    Unchanged where the table does not say enough to know what they started from.
    """
    if not set(frame.columns) >= NEEDED or not frame["is_adv"].any():
        return frame, []
    tuned, unknown = with_base_compute(models, frame[frame["is_adv"]])
    # In place, so that the order of models stays. A table may have several rows of a model.
    whole = frame["model_id"].map(tuned.drop_duplicates("model_id").set_index("model_id")["train_flop"])
    made = frame.assign(train_flop=frame["train_flop"].where(whole.isna(), whole))
    return made[~made["model_id"].isin(unknown)], unknown
