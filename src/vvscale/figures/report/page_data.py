"""What the report's page knows: models, plan and references, packed small enough to mail."""

from __future__ import annotations

import base64
import gzip
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from vvscale.core.jsonable import jsonable
from vvscale.figures.base.fine_tunes import at_whole_compute
from vvscale.figures.base.outcomes import LOG_RATIO, OUTCOMES, is_number
from vvscale.figures.base.tables import FLAGS, objective
from vvscale.figures.citations import BY_VALUE, entries, of_table
from vvscale.figures.drawing import style
from vvscale.figures.drawing.names import COLUMN_LABELS
from vvscale.figures.report.laws import NOT_ALLOWED, joint_of
from vvscale.laws.planning.plan import scatter_of
from vvscale.laws.planning.support import FARTHEST
from vvscale.laws.uncertainty.intervals import t_quantile
from vvscale.scores import NEURAL, REGIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vvscale.figures.base.fits import Fits
    from vvscale.figures.base.law_curve import LawCurve
    from vvscale.figures.base.tables import Source

LOG = ("train_flop", "n_params", "samples_seen", "n_samples", "forward_flop", "n_epochs")
X_AXES = {name: COLUMN_LABELS[name] for name in (*LOG, "accuracy")}
MEANS = {"all": "Mean of all regions", "neural": "Neural (mean of V1, V2, V4, IT)"}
GROUPS = {
    "parent_family": "family", "dataset": "data set", "objective": "objective", "images_per_class": "images per class",
    "arch": "architecture", "origin": "table",
}  # fmt: skip
FILTERS = ("parent_family", "dataset", "objective", "images_per_class", "origin")
KEPT = ("model_id", "arch", "parent_family", "dataset", "seed", "recipe", *X_AXES)


def models_frame(source: Source) -> pd.DataFrame:
    """One row per model of the table and of those laid over it: what it is, how it was trained, its scores."""
    parts = [_models(source).assign(origin=source.name)]
    parts += [_models(one).assign(origin=label) for label, one in source.added.items()]
    return pd.concat(parts, ignore_index=True).dropna(axis="columns", how="all")


def _models(source: Source) -> pd.DataFrame:
    first = source.models.drop_duplicates("model_id").set_index("model_id", drop=False)
    # A fine-tune counts with the compute of the model it started from, where that is known.
    whole, _ = at_whole_compute(first, source.models)
    first = first.assign(train_flop=whole["train_flop"]) if "train_flop" in first.columns else first
    own = [] if source.is_long else [str(name) for name in first.columns if is_number(first[name])]
    kept = [name for name in dict.fromkeys([*KEPT, *own]) if name in first.columns and name not in FLAGS]
    made = first[kept].copy()
    made["objective"] = objective(first)
    made.loc[first["is_pretrained"], "objective"] = "pretrained"
    made.loc[first["is_random"], "objective"] = "untrained"
    if "samples_per_class" in first.columns:
        per_class = first["samples_per_class"]
        said = [None if pd.isna(n) else "all" if n == 0 else f"{n:g}" for n in per_class]
        made["images_per_class"] = pd.Series(said, index=first.index, dtype=object).where(~first["is_pretrained"])
    made["trained"] = [_recipe(row) for _, row in made.iterrows()]
    if source.is_long:
        by_region = source.scores.groupby(["model_id", "region"])["score"].mean().unstack("region").reindex(first.index)
        for region in source.regions:
            made[region] = by_region[region]
        for name, regions in (("neural", NEURAL), ("all", source.regions)):
            if len(regions) > 1 and set(regions) <= set(source.regions):
                made[name] = by_region[list(regions)].mean(axis=1, skipna=False)
    return made.reset_index(drop=True)


def _recipe(row: pd.Series) -> str:
    """How a model was trained, in a few words."""
    said = [str(row["objective"])]
    if isinstance(row.get("dataset"), str):
        said.append(row["dataset"])
    if isinstance(row.get("images_per_class"), str):
        said.append(f"{row['images_per_class']} images per class")
    if pd.notna(row.get("n_epochs")):
        said.append(f"{row['n_epochs']:g} epochs")
    if pd.notna(row.get("seed")) and row["objective"] != "pretrained":
        said.append(f"seed {row['seed']:g}")
    if isinstance(row.get("recipe"), str):
        said.append(row["recipe"])
    return ", ".join(said)


def pack_models(frame: pd.DataFrame) -> dict[str, Any]:
    """Columns as lists; texts as names and codes."""
    columns: dict[str, Any] = {}
    for name in frame.columns:
        values = frame[name]
        if values.dtype.kind in "iuf":
            columns[str(name)] = [_number(value) for value in values]
        else:
            codes, names = pd.factorize(values.astype(object), sort=False)
            columns[str(name)] = {"names": [str(each) for each in names], "codes": codes.tolist()}
    return {"n": len(frame), "columns": columns}


def _number(value: float) -> float | int | None:
    if not np.isfinite(value):
        return None
    return int(value) if float(value).is_integer() and abs(value) < 2**53 else float(value)


def explorer(frame: pd.DataFrame, schema: str) -> dict[str, Any]:
    """What can be chosen in the scatter plot: only what the table has."""
    x = {name: label for name, label in X_AXES.items() if name in frame.columns}
    scores = {name: label for name, label in MEANS.items() if name in frame.columns}
    scores |= {name: f"{'Behaviour' if name == 'behavior' else name} alignment" for name in REGIONS if name in frame}
    # Of a table without regions any number can be either axis.
    own = {name: name for name in frame.columns if not scores and name not in x and is_number(frame[name])}
    x, scores = {**x, **own} if own else x, scores or {**own, **x}
    accuracy = {"accuracy": X_AXES["accuracy"]} if "accuracy" in frame.columns else {}
    groups = {name: label for name, label in GROUPS.items() if name in frame.columns and frame[name].notna().any()}
    numbers = [name for name in frame.columns if frame[name].dtype.kind in "iuf"]
    tips = [("model_id", "model"), ("trained", "recipe"), ("arch", "architecture"), *x.items(), *scores.items()]
    default_x = next(iter(x)) if x else next(iter(scores))
    default_y = next((name for name in (*MEANS, *OUTCOMES, *scores) if name in scores and name != default_x), default_x)
    colour = next((name for name in groups if frame[name].nunique() > 1), next(iter(groups)))
    return {
        "axes": {"x": {**x, **scores}, "y": {**scores, **accuracy}},
        "groups": groups,
        "filters": [name for name in FILTERS if name in groups and frame[name].nunique() > 1],
        "defaults": {
            "x": default_x,
            "y": default_y,
            "colour": colour,
            "facet": "",
        },
        "log": [name for name in x if name in LOG or (name in own and _is_wide(frame[name]))],
        "numbers": numbers,
        "tips": [list(tip) for tip in tips if tip[0] in frame.columns],
        "colours": {name: colour for name, (colour, _) in style.LOOKS.items()},
        "schema": schema,
    }


def _is_wide(values: pd.Series) -> bool:
    known = values.dropna()
    return bool(len(known) and known.min() > 0 and known.max() / known.min() >= LOG_RATIO)


def planner(fits: Fits) -> tuple[dict[str, Any] | None, LawCurve | None, str]:
    """The joint law for the calculator, the law itself, and why there is none."""
    try:
        asked = joint_of(fits)
        law = fits.curve(asked)
    except NOT_ALLOWED as error:
        return None, None, str(error)
    frame = asked.frame.dropna(subset=["train_flop"])
    flop = frame["train_flop"]
    packed = {name: _floats(values) for name, values in law.draws.items()}
    path = {"x": law.x, "predicted_low": law.predicted_low, "predicted_high": law.predicted_high}
    made = {
        "law": law.facts["raw"],
        "is_score": law.facts["is_score"],
        "cost": {name: law.facts["cost"][name] for name in ("m", "p", "q", "scatter")},
        "draws": packed,
        "t": t_quantile(law.facts["degrees"]) if law.facts["degrees"] else None,
        "scatter": _floats(scatter_of(law.cost, len(next(iter(law.draws.values()), ())))),
        "path": jsonable(path),
        "smallest": float(flop.min()),
        "largest": float(flop.max()),
        "largest_n": float(frame["n_params"].max()),
        "largest_d": float(frame["samples_seen"].max()),
        "farthest": FARTHEST,
    }
    return made, law, ""


def _floats(values: np.ndarray) -> str:
    return base64.b64encode(values.astype("<f4").tobytes()).decode()


def references(source: Source, *, is_published: bool) -> dict[str, Any]:
    """BibTeX entries and which values of which column call for them."""
    always = [key for key in of_table(source.scores, is_published=is_published) if key not in _by_model()]
    by = {
        "dataset": BY_VALUE["dataset"],
        "parent_family": BY_VALUE["parent_family"],
        "objective": BY_VALUE["ssl_method"],
    }
    used = {*always, *_by_model()}
    return {
        "always": always,
        "by": {column: {value: list(keys) for value, keys in values.items()} for column, values in by.items()},
        "entries": {key: text for key, text in entries().items() if key in used},
    }


def _by_model() -> set[str]:
    columns = ("dataset", "parent_family", "ssl_method")
    return {key for column in columns for keys in BY_VALUE[column].values() for key in keys}


# Colours of the drawer -> those of the page, so that figures follow its theme.
_THEMED: Mapping[str, str] = {
    "fill: #ffffff": "fill: none",
    "stroke: #ffffff": "stroke: var(--page)",
    "stroke: #000000": "stroke: currentColor",
    "#222222": "currentColor",
    "#333333": "currentColor",
    "#555555": "var(--dim)",
    "#e6e6e6": "var(--grid)",
}


class Packed(NamedTuple):
    """A drawing as base64 of gzip, with its width and height in points."""

    text: str
    width: float
    height: float


def pack_drawing(svg: str, prefix: str) -> Packed:
    """Pack one drawing: names made its own, places to a tenth of a point, colours of the page's theme."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>\s*", "", body, flags=re.DOTALL)
    # The page's style sheet holds for the whole page, so a drawing may not bring a universal rule.
    body = re.sub(r"<style.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r"<!--.*?-->\s*", "", body, flags=re.DOTALL)
    body = re.sub(r'<g id="[^"]*">', "<g>", body)
    body = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}\1)", body)
    body = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}\1"', body)
    body = re.sub(r'\b(?:d|x|y|transform)="[^"]*"', lambda found: re.sub(r"(\d+\.\d)\d+", r"\1", found[0]), body)
    body = re.sub(r' (?:width|height)="[\d.]+pt"', "", body, count=2)
    for drawn, themed in _THEMED.items():
        body = body.replace(drawn, themed)
    body = body.replace("<svg ", '<svg role="img" aria-hidden="true" stroke-linejoin="round" ', 1)
    text = base64.b64encode(gzip.compress(body.encode(), 9, mtime=0)).decode()
    found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    return Packed(text, *((float(found[1]), float(found[2])) if found else (1.0, 1.0)))
