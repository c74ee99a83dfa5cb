"""What a study found, in a few tables: its laws with intervals, its plans, and how its forecast fared."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vvscale.core.jsonable import parse_json
from vvscale.scores.table import last_epochs
from vvscale.study.tasks.forecast import FORECAST
from vvscale.study.tasks.rows import SCORES, read_notes, whole_networks

if TYPE_CHECKING:
    import pandas as pd

FITS = "fits.json"
PLAN = "plan.json"
_FEWEST = 8
"""Fewer cells say nothing of a trend."""
_FLAT = 0.03
"""A smaller change of a score (ceiling 1) is of no interest, however regular."""
_LEVEL = 0.95


def published_findings(results: Path) -> dict[str, pd.DataFrame]:
    """Return the tables of a study's ``results`` folder; those that are finished."""
    fits = sorted(path for path in results.glob("fits/*") if path.is_dir())
    forecasts = [results] if (results / FORECAST).exists() else []
    scores = results / SCORES
    return findings({path.name: path for path in fits}, forecasts, scores if scores.exists() else None)


def findings(
    fits: Mapping[str, Path], forecasts: Iterable[Path], scores: Path | None = None
) -> dict[str, pd.DataFrame]:
    """Return title -> table, text only, for a terminal or a page.

    ``fits``: name of a law of the study -> folder of its ``fits.json``; ``forecasts``: folders of ``forecast.json``.
    """
    import pandas as pd

    folders = [*fits.items(), *(("forecast", folder) for folder in forecasts)]
    rows = None if scores is None else pd.read_parquet(scores)
    tables = {
        "Scores and scale": [] if rows is None else trend_rows(rows),
        "Fine-tuning on recordings": [] if rows is None else tuning_rows(rows),
        "Laws of this study": [_law(name, one) for name, at in folders for made in _read(at / FITS) for one in made],
        "Plan": [_plan(name, one) for name, at in folders for made in _read(at / PLAN) for one in made["plans"]],
        "Forecast, trained and compared": [_forecast(made) for _, at in folders for made in _read(at / FORECAST)],
        "Not to be had": [{"what": name, "why": note} for name, at in folders for note in read_notes(at)],
    }
    return {title: pd.DataFrame(rows) for title, rows in tables.items() if rows}


def trend_rows(scores: pd.DataFrame) -> list[dict[str, str]]:
    """Return for each benchmark how its scores go with training compute.

    The rank correlation needs no law; its interval is Bonett and Wright's (2000) for Spearman's coefficient, taking
    each architecture and set of images for one observation.
    """
    import numpy as np
    from scipy.stats import spearmanr

    keys = ["benchmark_id", "region", "arch", "dataset", "recipe", "samples_per_class"]
    if not {*keys, "train_flop", "score"} <= set(scores.columns):
        return []
    told = []
    last = (
        whole_networks(last_epochs(scores))
        .dropna(subset=["train_flop", "score"])
        .sort_values("train_flop", kind="stable")
    )
    cells = last.groupby(keys, as_index=False, sort=False)[["train_flop", "score"]].mean()
    for (benchmark, region), rows in cells.groupby(["benchmark_id", "region"], sort=False):
        rows = rows.sort_values("train_flop", kind="stable")
        if len(rows) < _FEWEST or rows["train_flop"].nunique() < _FEWEST:
            continue
        if rows["score"].nunique() < 2:
            # Nothing to rank; a network that always answers alike, for one.
            continue
        rho = float(spearmanr(rows["train_flop"], rows["score"]).statistic)  # pyright: ignore[reportAttributeAccessIssue]
        half = 1.96 * math.sqrt((1 + rho**2 / 2) / (len(rows) - 3))
        low, high = np.tanh(np.arctanh(np.clip(rho, -0.999999, 0.999999)) + np.array([-half, half]))
        quarter = max(len(rows) // 4, 1)
        little, much = rows["score"].iloc[:quarter].mean(), rows["score"].iloc[-quarter:].mean()
        told.append({
            "region": str(region), "benchmark": str(benchmark), "n": str(len(rows)),
            "least quarter of compute": f"{little:.3f}", "most": f"{much:.3f}",
            "rank correlation": f"{rho:.2f} [{low:.2f}, {high:.2f}]",
            f"trend (flat: below {_FLAT:g})": "flat" if abs(much - little) < _FLAT else _direction(low, high),
        })  # fmt: skip
    return told


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
            "gain": _t_interval(found["gain"]), "accuracy gained": _t_interval(found["accuracy_gain"]),
        }
        for _, found in pairs.groupby(["benchmark_id", "region", *WAY], sort=True)
        for of in [found.iloc[0]]
    ]  # fmt: skip


def _t_interval(values: pd.Series) -> str:
    """Say a mean with its t interval."""
    from scipy.stats import t

    mean = f"{values.mean():+.4f}"
    if len(values) < 2:
        return mean
    half = float(t.ppf((1 + _LEVEL) / 2, len(values) - 1)) * values.std() / math.sqrt(len(values))
    return f"{mean} [{values.mean() - half:+.4f}, {values.mean() + half:+.4f}]"


def _direction(low: float, high: float) -> str:
    return "rises" if low > 0 else "falls" if high < 0 else "unclear"


def _read(path: Path) -> list[Any]:
    """Return what a file holds, alone in a list; nothing where there is none."""
    return [parse_json(path.read_text(encoding="utf-8"))] if path.exists() else []


def _law(name: str, entry: Mapping[str, Any]) -> dict[str, str]:
    from vvscale.laws.workflow.tables import number

    interval = next(iter(entry["intervals"].values()), None)
    ci = interval["ci"] if interval else {}
    params = [
        f"{key} {number(value, 3)}" + (f" [{number(ci[key][0], 3)}, {number(ci[key][1], 3)}]" if key in ci else "")
        for key, value in entry["params"].items()
    ]
    how = "" if interval is None else "95 % t, each left out" if interval["method"] == "CRV3-t" else "95 %"
    drawn = f"{interval['unit']}, {how}" if interval else ""
    label = name if entry["name"] == entry["form"] else f"{name} {entry['name']}"
    return {
        "law": label, "of": f"{entry['y']} = {entry['formula']}", "n": str(entry["n"]),
        "R2": "" if entry["r2"] is None else f"{entry['r2']:.3f}", "parameters": ", ".join(params),
        "intervals": drawn, "status": entry["status"], "verdict": entry["verdict"]["words"],
    }  # fmt: skip


def _plan(name: str, planned: Mapping[str, Any]) -> dict[str, str]:
    ends = planned["score_interval"]
    return {
        "law": name, "budget": f"{planned['budget']:.3g} FLOP", "N": f"{planned['n_params']:.3g}",
        "D": f"{planned['samples_seen']:.3g}", "1 - y": f"{planned['score']:.4f}",
        "interval": "" if ends is None else f"{ends[0]:.4f} to {ends[1]:.4f}", "bound": planned["bound"],
    }  # fmt: skip


def _forecast(told: Mapping[str, Any]) -> dict[str, str]:
    trained = told["trained"]
    times = trained["train_flop"] / told["largest_trained"]
    return {
        "law": told["law"], "budget": f"{told['budget']:.3g} FLOP",
        "spent": f"{trained['train_flop']:.3g} FLOP, {times:.2f} x the largest run before",
        "network": trained["arch"], "images per class": str(trained["samples_per_class"] or "all"),
        f"predicted {told['y']}": f"{told['predicted']:.4f}",
        f"{told['level']:.0%} interval": f"{told['lower']:.4f} to {told['upper']:.4f}",
        f"measured, {len(told['observed'])} seeds": f"{told['mean']:.4f}",
        "verdict": "inside" if told["is_inside"] else "OUTSIDE",
    }  # fmt: skip
