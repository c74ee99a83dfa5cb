"""A law put to the test: plan a budget that no run had, train what it says, and see where the outcome falls."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vvscale.core.files import write_json
from vvscale.errors import ConfigError
from vvscale.study.tasks.rows import (
    ACCURACY_ERROR,
    NOT_TO_BE_HAD,
    SCORES,
    fit_options,
    outcomes,
    score_rows,
    train_network,
    why,
)

if TYPE_CHECKING:
    from vvscale.laws.fit import Fit
    from vvscale.laws.planning.plan import Plan
    from vvscale.study.graph.kinds import TaskContext
    from vvscale.train import RunResult

FORECAST = "forecast.json"
_OFF = 1.5
"""A network that cannot spend the budget within this factor does not test its plan."""


def run_forecast(context: TaskContext) -> dict[str, Any]:
    """Plan, train and compare; leaves ``forecast.json``.

    ``params``: ``forecast``, the fields of :class:`vvscale.study.spec.schema.ForecastSpec`; ``law``, those of its law;
    ``candidates``, ``arch``, ``n_params`` and ``forward_flop`` of each; ``run``, ``dataset``, ``recipe`` and what
    scoring needs, as other tasks have them.
    """
    import numpy as np

    from vvscale.data import load_dataset
    from vvscale.laws.workflow.fit_tables import run_fits

    params = context.params
    wanted, law = params["forecast"], params["law"]
    train = load_dataset(context.dataset(params["dataset"]["name"])).train
    smallest_class = int(np.bincount(np.asarray(train.labels), minlength=train.n_classes).min())
    # A recipe without epochs is refused by the plan.
    of_one = params["recipe"]["schedule"]["epochs"] * train.n_classes
    try:
        rows = outcomes(context.input("table") / SCORES, law)
        (fitted,) = run_fits(rows, fit_options({**law, "resamples": 0}))
        planned, arch, samples_per_class = choose(
            fitted.fit, wanted["budget"], params["candidates"], samples_of_one=of_one, per_class=smallest_class
        )
    except NOT_TO_BE_HAD as error:
        return {"notes": [f"not planned: {why(error)}"]}
    chosen = {"model": arch["arch"], "samples_per_class": samples_per_class}
    runs = [
        train_network(context, {**params["run"], **chosen, "seed": seed}, context.out / f"seed-{seed}")
        for seed in wanted["seed"]
    ]
    observed = [_outcome(context, run, law) for run in runs]
    first = runs[0].row
    told = {
        "law": law["name"],
        "y": law["y"],
        "budget": wanted["budget"],
        "largest_trained": float(fitted.fit.problem.frame["train_flop"].max()),
        "plan": planned.to_dict(),
        "trained": {
            "arch": arch["arch"],
            "samples_per_class": samples_per_class,
            **{name: float(first[name]) for name in ("n_params", "samples_seen", "train_flop")},
            "seeds": list(wanted["seed"]),
        },
        **_compare(fitted.fit, first, wanted, observed),
    }
    write_json(context.out / FORECAST, told)
    return {"mean": told["mean"], "is_inside": told["is_inside"]}


def _compare(fit: Fit, row: Mapping[str, Any], wanted: Mapping[str, Any], observed: list[float]) -> dict[str, Any]:
    """Return what the law predicts for a network that it has not seen, and what was measured on it."""
    import numpy as np

    from vvscale.laws.uncertainty.conformal import predict_interval

    at = [np.array([float(row["n_params"])]), np.array([float(row["samples_seen"])])]
    interval = predict_interval(fit, at, level=wanted["level"], by=wanted["by"])
    mean = math.fsum(observed) / len(observed)
    lower, upper = float(interval.lower[0]), float(interval.upper[0])
    return {
        "predicted": float(interval.predicted[0]),
        "lower": lower,
        "upper": upper,
        "level": interval.level,
        "unit": interval.unit,
        "n_groups": interval.n_groups,
        "observed": observed,
        "mean": mean,
        "is_inside": lower <= mean <= upper,
    }


def choose(
    fit: Fit,
    budget: float,
    candidates: list[Mapping[str, Any]],
    *,
    samples_of_one: int,
    per_class: int,
) -> tuple[Plan, Mapping[str, Any], int]:
    """Return the plan of a budget (FLOP), the candidate nearest to its parameters, and images per class.

    ``samples_of_one``: samples seen in a run with one image per class; ``per_class``: most images per class.
    """
    from vvscale.laws.planning.cost import FORWARD_AND_BACKWARD, fit_cost
    from vvscale.laws.planning.joint import JointLaw
    from vvscale.laws.planning.plan import plan

    sizes = [float(one["n_params"]) for one in candidates]
    planned = plan(
        JointLaw.from_fit(fit), budget, fit_cost(fit.problem.frame), n_bounds=(min(sizes), max(sizes)),
        d_bounds=(float(samples_of_one), float(samples_of_one * per_class)),
    )  # fmt: skip
    arch = min(candidates, key=lambda one: abs(math.log(one["n_params"] / planned.n_params)))
    # The network at hand is not quite the planned one; its images make up for it.
    samples_seen = budget / (FORWARD_AND_BACKWARD * arch["forward_flop"])
    samples_per_class = min(max(round(samples_seen / samples_of_one), 1), per_class)
    off = samples_per_class * samples_of_one / samples_seen
    if not 1 / _OFF < off < _OFF:
        raise ConfigError(
            f"The forecast's budget is {budget:.3g} FLOP and its plan {planned.n_params:.3g} parameters; the nearest "
            f"network, {arch['arch']}, can spend {off:.2f} times that. Give 'arch' of [forecast] networks closer to "
            "the plan, or another budget."
        )
    return planned, arch, samples_per_class


def _outcome(context: TaskContext, run: RunResult, law: Mapping[str, Any]) -> float:
    """Return what the law is about, measured on one network."""
    from vvscale.laws.rows import load_rows

    if law["y"] == ACCURACY_ERROR:
        assert run.accuracy is not None
        return 1.0 - run.accuracy
    rows, _ = score_rows(context, run.path, layers=context.params["layers"])
    frame, _ = load_rows(rows, regions=tuple(law["regions"]) or None)
    return float(frame[law["y"]].iloc[0])
