"""What fine-tuning gave: scores and accuracy of tuned networks beside those of the same networks before."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_LEVEL = 0.95


def tuning_rows(scores: pd.DataFrame) -> list[dict[str, str]]:
    """Return for each way to fine-tune and each benchmark what was gained, and what accuracy was lost.

    Networks are what counts: intervals are t intervals over them, and there are none of one network.
    """
    from vvscale.train.neural.transfer import WAY, tuning_gains

    pairs = tuning_gains(scores)
    return [
        {
            "benchmark": str(of["benchmark_id"]), "region": str(of["region"]), "finetune": str(of["finetune"]),
            "control": str(of["finetune_control"]), "images": str(int(found["finetune_samples"].iloc[0])),
            "updates": str(int(of["finetune_updates"])), "networks": str(len(found)),
            "score before": f"{found['score_before'].mean():.3f}",
            "gain": _interval(found["gain"]), "accuracy gained": _interval(found["accuracy_gain"]),
        }
        for _, found in pairs.groupby(["benchmark_id", "region", *WAY], sort=True)
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
