"""Figures that the study does not have: the optimum, who beats scale, how far laws predict, what is known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vvscale.errors import DataError, FitError, MissingDataError
from vvscale.figures.base import statistics
from vvscale.figures.base.marks import AXES, REGION_NAMES, in_order, line, mean, points
from vvscale.figures.base.registry import figure
from vvscale.figures.base.tables import require
from vvscale.figures.drawing import style
from vvscale.figures.drawing.values import ADDED, Axis, FigureData, Panel, Series
from vvscale.figures.paper.icml2025_models import objective, with_base_compute
from vvscale.laws.comparison.holdout import hold_out
from vvscale.laws.gokce2025.experiments import EXPERIMENTS, Experiment
from vvscale.laws.uncertainty.profile import CHI_SQUARE_95, profile
from vvscale.laws.uncertainty.resample import default_unit, design_effect

if TYPE_CHECKING:
    from vvscale.figures.base.fits import Fits
    from vvscale.figures.base.law_curve import LawCurve

JOINT = EXPERIMENTS["compute_chinchilla"]
TARGETS = {"neural": EXPERIMENTS["compute_neuro"], "behavior": EXPERIMENTS["compute_behavior"]}


@figure(
    "contours",
    "Alignment over parameters and samples: equal scores, equal budgets, the optimal path.",
    "n_params, samples_seen, train_flop",
    cites=("gokce2025", "hoffmann2022"),
)
def contours(fits: Fits) -> FigureData:
    """Iso-score and iso-FLOP lines of the joint law, with the optimal path and its 95 % range of N."""
    frame = fits.source.rows(JOINT)
    law = fits.curve(JOINT)
    rows = [points(frame, "n_params", y="samples_seen", series="models", shade="score")]
    n_grid = np.geomspace(frame["n_params"].min() / 2, frame["n_params"].max() * 3, 121)
    d_low, d_high = frame["samples_seen"].min() / 2, frame["samples_seen"].max() * 4
    rows += _iso_scores(law, n_grid, d_low, d_high) + _iso_flops(law, n_grid, d_low, d_high)
    rows += _path(law, n_grid, d_low, d_high)
    over, absent = fits.source.laid_over("all", ["n_params", "samples_seen"])
    for label, added in over.items():
        rows.append(points(added, "n_params", y="samples_seen", series=label, layer=ADDED))
    looks = [
        Series("range of the path", style.VERMILLION, "", None),
        Series("equal compute", style.GREY, "", "equal compute", is_faded=True),
        Series("equal score", style.BLACK, "", "equal score"),
        Series("models", style.GREY, "o", None),
        Series("optimal path", style.VERMILLION, "", "optimal path, 95 % of N"),
    ] + [style.added_series(label) for label in fits.source.added]
    panel = Panel(
        "a", "Parameters and samples", replace(AXES["n_params"], limits=(n_grid[0], n_grid[-1])),
        replace(AXES["samples_seen"], limits=(d_low, d_high)), pd.concat(rows, ignore_index=True),
        tuple(looks), len(frame), shade=Axis("Mean alignment (ceiling = 1)", "score"), fits=(law.facts,),
    )  # fmt: skip
    said = (
        f"Joint law: {law.facts['formula']}; {law.facts['verdict']}.",
        f"N* ~ C^{law.facts['n_exponent']:.3f}, D* ~ C^{law.facts['d_exponent']:.3f} for all families together; single "
        "families and regions have exponents of N from .14 to .69.",
    )
    return FigureData("contours", "Alignment over parameters and samples", (panel,), (*said, *absent), 1)


def _iso_scores(law: LawCurve, n_grid: np.ndarray, d_low: float, d_high: float) -> list[pd.DataFrame]:
    """Lines of equal predicted score: D = (B / (1 - S - E - A N^-alpha))^(1/beta)."""
    joint, made = law.joint, []
    for score in np.arange(0.05, 1.0, 0.05):
        room = 1.0 - score - joint.E - joint.A * n_grid**-joint.alpha
        with np.errstate(invalid="ignore", divide="ignore"):
            d = (joint.B / room) ** (1.0 / joint.beta)
        inside = (room > 0) & (d > d_low) & (d < d_high)
        if inside.sum() > 1:
            made.append(line("equal score", n_grid[inside], d[inside], group=f"S {score:.2f}", label=f"{score:.2f}"))
    return made


def _iso_flops(law: LawCurve, n_grid: np.ndarray, d_low: float, d_high: float) -> list[pd.DataFrame]:
    """Lines of equal compute under the fitted cost, every second power of ten."""
    made = []
    for power in range(10, 30, 2):
        d = np.asarray(law.cost.samples(10.0**power, n_grid))
        inside = (d > d_low) & (d < d_high)
        if inside.sum() > 1:
            label = f"$10^{{{power}}}$"
            # From large N to small: the label stands at the last vertex, away from those of the scores.
            made.append(line("equal compute", n_grid[inside][::-1], d[inside][::-1], group=f"C 1e{power}", label=label))
    return made


def _path(law: LawCurve, n_grid: np.ndarray, d_low: float, d_high: float) -> list[pd.DataFrame]:
    """Optimal path, and the area between the ends of N* along lines of equal compute."""
    path = law.path
    inside = (path["samples_seen"] > d_low) & (path["samples_seen"] < d_high) & (path["n_params"] < n_grid[-1])
    made = [line("optimal path", path["n_params"][inside], path["samples_seen"][inside])]
    if not np.isnan(path["n_low"]).any():
        low, high, budgets = path["n_low"][inside], path["n_high"][inside], law.x[inside]
        x = np.concatenate([low, high[::-1]])
        y = np.concatenate([law.cost.samples(budgets, low), np.asarray(law.cost.samples(budgets, high))[::-1]])
        made.append(pd.DataFrame({"mark": "area", "series": "range of the path", "layer": "table", "x": x, "y": y}))
    return made


def residuals(fits: Fits, experiment: Experiment) -> tuple[pd.DataFrame, LawCurve]:
    """Every trained model of known compute against a law: score minus the law's score at the model's own compute.

    Returns
    -------
    frame, law
        Model columns, ``residual``, the 90 % interval for a new architecture around 0 at its compute
        (``expected_low``, ``expected_high``), and ``objective``. Adversarial fine-tunes count with the compute of the
        model that they started from, where it is known.
    """
    source, law = fits.source, fits.curve(experiment)
    require(source.models, ("train_flop",), f"'{source.name}'")
    frame = source.averaged(experiment.regions)
    frame = frame[~frame["is_pretrained"] & ~frame["is_random"]].dropna(subset=["train_flop"])
    needed = {"arch", "dataset", "n_epochs", "samples_per_class"}
    if frame["is_adv"].any() and needed <= set(frame.columns):
        tuned, _ = with_base_compute(source.models, frame[frame["is_adv"]])
        frame = pd.concat([frame[~frame["is_adv"]], tuned], ignore_index=True)
    parts = [frame.assign(layer="table")]
    parts += [
        each.assign(layer=ADDED, objective=label)
        for label, each in source.laid_over(experiment.regions, ["train_flop"])[0].items()
    ]
    frame = pd.concat(parts, ignore_index=True)
    flop = frame["train_flop"].to_numpy(float)
    expected = 1.0 - fits.fit(experiment).predict(flop)
    own = objective(frame)
    frame["objective"] = own if "objective" not in frame.columns else frame["objective"].fillna(own)
    frame["residual"] = frame["score"] - expected
    # Intervals are kept on a fine grid of compute; beyond it nothing is known.
    for name, bound in (("expected_low", law.predicted_low), ("expected_high", law.predicted_high)):
        frame[name] = np.interp(np.log(flop), np.log(law.x), bound, left=np.nan, right=np.nan) - expected
    return frame, law


@figure(
    "residuals",
    "Who beats scale: each model against the law at its own compute, by family, data set and objective.",
    "train_flop",
    cites=("gokce2025", "barber2021"),
)
def who_beats_scale(fits: Fits) -> FigureData:
    """Residual of each model, and means of groups with intervals."""
    panels, notes, absent = [], [], []
    for regions, experiment in TARGETS.items():
        try:
            frame, law = residuals(fits, experiment)
        except (DataError, FitError) as error:
            absent.append(f"{REGION_NAMES[regions]}: {error}")
            continue
        name = REGION_NAMES[regions]
        above = frame[frame["residual"] > frame["expected_high"]]
        if frame["expected_high"].notna().any():
            notes.append(
                f"{name}: {len(above)} of {len(frame)} models lie above the 90 % interval for a new architecture."
            )
        panels.append(_residual_points(frame, law, "acbd"[len(panels)], name))
        panels.append(_residual_groups(fits, frame, law, "bd"[len(panels) // 2], name))
    if not panels:
        raise MissingDataError(" ".join(absent))
    said = (
        "Residual: score minus the score that the law predicts at the model's own training compute. Shaded: 90 "
        "% conformal "
        "interval for a new architecture.",
        "Means with 95 % intervals over resampled architectures; range over leaving each out where there are "
        "fewer than ten.",
    )
    keyed = tuple(_with_key(panel, "abcd"[place]) for place, panel in enumerate(panels))
    return FigureData("residuals", "Who beats scale", keyed, (*said, *notes, *absent), 2)


def _with_key(panel: Panel, key: str) -> Panel:
    return replace(panel, key=key)


RESIDUAL = "Score beyond the law (ceiling = 1)"


def _residual_points(frame: pd.DataFrame, law: LawCurve, key: str, name: str) -> Panel:
    is_added = frame["layer"] == ADDED
    family = pd.Series("models", index=frame.index)
    if "parent_family" in frame.columns:
        family = frame["parent_family"].fillna("unknown")
    base = frame[~is_added]
    rows = [points(base, "train_flop", y="residual", series=family[~is_added])]
    rows[0]["low"], rows[0]["high"] = base["expected_low"].to_numpy(), base["expected_high"].to_numpy()
    for label, part in frame[is_added].groupby("objective"):
        rows.append(points(part, "train_flop", y="residual", series=str(label), layer=ADDED))
    inside = law.inside
    if not np.isnan(law.predicted_low).all():
        edge: dict[str, Any] = {
            "low": law.predicted_low[inside] - law.score[inside],
            "high": law.predicted_high[inside] - law.score[inside],
        }
        rows.append(line("law", law.x[inside], np.zeros(int(inside.sum())), **edge))
    else:
        rows.append(line("law", law.x[inside], np.zeros(int(inside.sum()))))
    names = in_order(family[~is_added])
    looks = [Series("law", style.BLACK, "", None), *style.series(names)]
    looks += [style.added_series(str(label)) for label in frame.loc[is_added, "objective"].unique()]
    return Panel(
        key, f"{name}: each model", AXES["train_flop"], Axis(RESIDUAL, "residual"), pd.concat(rows, ignore_index=True),
        tuple(looks), int(frame["model_id"].nunique()), fits=(law.facts,),
    )  # fmt: skip


def _residual_groups(fits: Fits, frame: pd.DataFrame, law: LawCurve, key: str, name: str) -> Panel:
    rows: list[dict[str, Any]] = []
    colours = {
        "parent_family": ("family", style.BLUE, "o"),
        "dataset": ("data set", style.ORANGE, "s"),
        "objective": ("objective", style.GREEN, "^"),
    }
    for column, (kind, _, _) in colours.items():
        if column not in frame.columns:
            continue
        # Objectives differ in more than objective unless compared on the same families; that is left to the reader.
        chosen = frame if column == "objective" else frame[frame["objective"] == "supervised"]
        for value in in_order(chosen[column]):
            part = chosen[chosen[column] == value]
            one = statistics.mean(part, "residual", n_resamples=fits.n_resamples, seed=fits.seed)
            made = mean(one, kind, category=f"{value} ({one.n})")
            rows.append({**made, "x": made["y"], "y": np.nan})
    rows.append({"mark": "rule", "series": "law", "layer": "table", "x": 0.0, "y": np.nan})
    table = pd.DataFrame(rows)
    categories = tuple(dict.fromkeys(table["category"].dropna()))
    looks = (
        Series("law", style.BLACK, "", None),
        *(Series(kind, colour, marker) for kind, colour, marker in colours.values()),
    )
    return Panel(
        key, f"{name}: by group", Axis(RESIDUAL, "residual"), Axis("", "group", "category", categories), table, looks,
        int(frame["model_id"].nunique()), fits=(law.facts,),
    )  # fmt: skip


# Decades of compute held out, and the forecasts compared: the study's two laws, and three that are naive.
HORIZONS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)
FORECASTS = {
    "power": ("power law", style.BLUE, "o"), "shifted": ("shifted law", style.VERMILLION, "D"),
    "log": ("log law", style.ORANGE, "s"), "last value": ("last value", style.GREY, "X"),
    "mean of top tenth": ("mean of top tenth", style.BLACK, "^"),
}  # fmt: skip


@figure("horizon", "How far laws predict: error on held-out compute against the horizon.", "train_flop")
def horizon(fits: Fits) -> FigureData:
    """Laws fitted without the top decades of compute, and their error there."""
    panels, notes, absent = [], [], []
    for regions, experiment in TARGETS.items():
        rows, n, x = _forecasts(fits, experiment, absent)
        if rows is None:
            continue
        lines = []
        for law, part in rows.groupby("law", sort=False):
            if law in FORECASTS:
                lines.append(
                    line(
                        str(law), part["horizon"].to_numpy(), part["rmse"].to_numpy(), n=part["n_test"].to_numpy(float)
                    )
                )
        looks = tuple(Series(law, colour, marker, label) for law, (label, colour, marker) in FORECASTS.items())
        panels.append(
            Panel(
                "ab"[len(panels)], REGION_NAMES[regions], Axis(f"Decades of {x} held out", "horizon"),
                Axis("Forecast error, RMSE (ceiling = 1)", "rmse", "log"), pd.concat(lines, ignore_index=True),
                looks, n,
            )
        )  # fmt: skip
        best = rows[rows["horizon"] == 1.0].sort_values("rmse")
        if len(best):
            notes.append(
                f"{REGION_NAMES[regions]}, one decade ahead: '{best['law'].iloc[0]}' is best, RMSE "
                f"{best['rmse'].iloc[0]:.3f}."
            )
    if not panels:
        raise MissingDataError(" ".join(absent))
    said = (
        "Each law is fitted to the models below the horizon and judged on those beyond. The last value and the mean of "
        "the top tenth are naive forecasts: a law is worth something below them."
    )
    return FigureData("horizon", "How far laws predict", tuple(panels), (said, *notes, *absent), 2)


def _forecasts(fits: Fits, experiment: Experiment, absent: list[str]) -> tuple[pd.DataFrame | None, int, str]:
    """Hold-out errors by horizon; None, with the reason in ``absent``, where the table does not allow any."""
    try:
        frame = fits.source.rows(experiment)
        span = np.log10(frame["train_flop"].max() / frame["train_flop"].min())
        splits = [f"top {h:g} decades" for h in HORIZONS if h < span - 1]
        if not splits:
            absent.append(
                f"{experiment.name}: the models span {span:.1f} decades of compute, expected more than "
                f"{min(HORIZONS) + 1:g}."
            )
            return None, 0, ""
        request = {"name": experiment.name, "splits": splits, "rows": fits.digest(experiment)}
        made = fits.kept(
            "horizon",
            request,
            lambda: hold_out(frame, laws=["power", "shifted", "log"], splits=splits, x="train_flop").rows.to_dict(
                "records"
            ),
        )
    except (DataError, FitError) as error:
        absent.append(f"{experiment.name}: {error}")
        return None, 0, ""
    rows = pd.DataFrame(made)
    rows["horizon"] = rows["split"].str.split().str[1].astype(float)
    return rows, len(frame), "compute"


PROFILED = {
    "Neural, compute": "compute_neuro", "Behaviour, compute": "compute_behavior",
    "Mean, N and D": "compute_chinchilla", "Mean, parameters": "parameter_scaling",
}  # fmt: skip


@figure("plateau", "How well is the plateau known? Profile of S_inf.", "train_flop")
def plateau(fits: Fits) -> FigureData:
    """Deviance with the plateau held, against the limits for independent rows and for dependent architectures."""
    panels, absent = [], []
    for title, name in PROFILED.items():
        try:
            panels.append(_profile(fits, EXPERIMENTS[name], "abcd"[len(panels)], title))
        except (DataError, FitError) as error:
            absent.append(f"{title}: {error}")
    if not panels:
        raise MissingDataError(" ".join(absent))
    said = (
        "Deviance of the best fit with the plateau held at each value. Below the lower line a value fits as "
        "well as if rows "
        "were independent; below the upper line, with rows of one architecture counted as dependent.",
        "A profile that stays below a line up to S_inf = 1 (E = 0) has no upper limit.",
    )
    return FigureData("plateau", "How well is the plateau known?", tuple(panels), (*said, *absent), 2)


def _profile(fits: Fits, experiment: Experiment, key: str, title: str) -> Panel:
    def make() -> dict[str, Any]:
        fit = fits.fit(experiment)
        frame = fit.problem.frame
        effect = design_effect(frame, fit.residuals(), default_unit(frame)).effect
        made = profile(fit, "E", design_effect=effect)
        return {
            "E": made.values, "deviance": made.deviance, "effect": effect, "n": fit.n,
            "s_inf": 1.0 - fit.params["E"], "interval": list(made.interval),
        }  # fmt: skip

    made = fits.kept("profile", {"name": experiment.name, "rows": fits.digest(experiment)}, make)
    s_inf, deviance = 1.0 - np.array(made["E"]), np.array(made["deviance"], float)
    order = np.argsort(s_inf)
    rows = [line("profile", s_inf[order], deviance[order])]
    cut = CHI_SQUARE_95 * made["effect"]
    for series, height in (("independent rows", CHI_SQUARE_95), ("dependent rows", cut)):
        rows.append(pd.DataFrame({"mark": "rule", "series": [series], "layer": "table", "x": np.nan, "y": height}))
    best = pd.DataFrame(
        {"mark": "mean", "series": ["best fit"], "layer": "table", "x": made["s_inf"], "y": 0.0, "n": float(made["n"])}
    )
    low, high = 1.0 - np.array(made["interval"])[::-1]
    open_end = high >= 1.0 - 1e-9
    said = f"95 %: {low:.2f} to {'1, no limit' if open_end else f'{high:.2f}'}"
    return Panel(
        key, title, Axis("Plateau S_inf (ceiling = 1)", "s_inf"),
        Axis("Deviance", "deviance", limits=(-0.15 * cut, 3.0 * cut)),
        pd.concat([*rows, best], ignore_index=True),
        (
            Series("profile", style.BLUE, "", None),
            Series("independent rows", style.GREY, "", "limit, rows independent", is_faded=True),
            Series("dependent rows", style.BLACK, "", "limit, architectures dependent"),
            Series("best fit", style.VERMILLION, "D", "best fit"),
        ),
        int(made["n"]), text=(said,), text_side="right",
    )  # fmt: skip
