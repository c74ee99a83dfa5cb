"""What fine-tuning gave: scores and accuracy of tuned networks beside those of the same networks before."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from vvscale.study.tasks.rows import last_epochs, whole_networks
from vvscale.train.neural.options import UNTUNED

if TYPE_CHECKING:
    import pandas as pd

TUNED = "_tuned-"
"""What stands between the model_id of a network and how it was tuned."""
_LEVEL = 0.95


def tuning_rows(scores: pd.DataFrame) -> list[dict[str, str]]:
    """Return for each way to fine-tune and each benchmark what was gained, and what accuracy was lost.

    Networks are what counts: intervals are t intervals over them, and there are none of one network.
    """
    if "finetune" not in scores.columns or scores["finetune"].isin([UNTUNED]).all():
        return []
    rows = whole_networks(last_epochs(scores), keep_tuned=True)
    is_tuned = rows["finetune"].ne(UNTUNED)
    tuned = rows[is_tuned].assign(base=lambda frame: frame["model_id"].str.rsplit(TUNED, n=1).str[0])
    keys = ["base", "benchmark_id", "region"]
    before = rows[~is_tuned].rename(columns={"model_id": "base"})[[*keys, "score", "accuracy"]]
    pairs = tuned.merge(before, on=keys, suffixes=("", "_before"))
    ways = ["benchmark_id", "region", "finetune", "finetune_control", "finetune_fraction", "finetune_updates"]
    return [
        {
            "benchmark": str(of["benchmark_id"]), "region": str(of["region"]), "finetune": str(of["finetune"]),
            "control": str(of["finetune_control"]), "images": str(int(found["finetune_samples"].iloc[0])),
            "updates": str(int(of["finetune_updates"])), "networks": str(len(found)),
            "score before": f"{found['score_before'].mean():.3f}",
            "gain": _interval(found["score"] - found["score_before"]),
            "accuracy gained": _interval(found["accuracy"] - found["accuracy_before"]),
        }
        for _, found in pairs.groupby(ways, sort=True)
        for of in [found.iloc[0]]
    ]  # fmt: skip


def _interval(values: pd.Series) -> str:
    """Say a mean with its t interval."""
    from scipy.stats import t

    mean = f"{values.mean():+.4f}"
    if len(values) < 2:
        return mean
    half = float(t.ppf((1 + _LEVEL) / 2, len(values) - 1)) * values.std() / math.sqrt(len(values))
    return f"{mean} [{values.mean() - half:+.4f}, {values.mean() + half:+.4f}]"
