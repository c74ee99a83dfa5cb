"""The named fits of the published papers, read from data files: which rows, which law, and what was published.

``icml2025.toml`` and ``ccn2024.toml`` hold the fits, ``published_fits.toml`` what the authors stored of the former.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from vvscale.core.registry import Registry
from vvscale.errors import unknown_name
from vvscale.laws.fit import Fit, fit_rows
from vvscale.scores import ModelTable, drop_missing, model_table, select

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

# In this order: the later paper's presets are built upon by the first one's.
PAPERS = ("icml2025", "ccn2024")
GROUP_2 = ["ConvNeXt", "ViT"]
# Published samples_per_class of 0 means all images.
FULL_OR_300 = [0, 300]


class ModelTables:
    """The model tables of one score table, each made once however many experiments ask for it.

    Parameters
    ----------
    scores
        Long table of ``vvscale.scores.load_scores``.
    """

    def __init__(self, scores: pd.DataFrame) -> None:
        self.scores = scores
        self.models = scores.drop_duplicates("model_id")
        self._made: dict[str, ModelTable] = {}

    def __getitem__(self, regions: str) -> ModelTable:
        if regions not in self._made:
            self._made[regions] = model_table(self.scores, regions)
        return self._made[regions]


@dataclass(frozen=True)
class Published:
    """What the authors stored of one fit.

    Attributes
    ----------
    params
        Parameters by name, in the units of ``vvscale.laws.problem.UNITS``.
    loss
        Sum of Huber losses.
    interval
        2.5 and 97.5 percentiles of each parameter over 1000 row resamples.
    """

    params: Mapping[str, float]
    loss: float
    interval: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Experiment:
    """One named fit.

    Attributes
    ----------
    name, summary
        Its published name, and what it asks in words.
    law
        Name of the law.
    x
        Input columns.
    regions
        Regions whose mean score is fitted.
    where
        Conditions of ``vvscale.scores.select``; family means the parent family.
    drops_small_transformers
        Whether ConvNeXt and ViT stay only at 300 images per class and more.
    requires
        Columns that a row must have to stay, although the law does not use them.
    published
        What was published of it, where known.
    paper
        ``"icml2025"`` or ``"ccn2024"``; empty for a fit that is in neither.
    """

    name: str
    summary: str
    law: str
    x: tuple[str, ...]
    regions: str
    where: Mapping[str, Any] = field(default_factory=dict)
    drops_small_transformers: bool = False
    requires: tuple[str, ...] = ()
    published: Published | None = None
    paper: str = ""

    def rows(self, scores: pd.DataFrame | ModelTables) -> tuple[pd.DataFrame, dict[str, list[str]]]:
        """Return the rows to fit, ascending in model_id, and what was left out of the selection by reason."""
        tables = scores if isinstance(scores, ModelTables) else ModelTables(scores)
        chosen = set(select(tables.models, **self.where)["model_id"])
        table = tables[self.regions]
        frame = table.frame[table.frame["model_id"].isin(chosen)]
        unscored = {reason: sorted(chosen.intersection(models)) for reason, models in table.excluded.items()}
        excluded = {reason: models for reason, models in unscored.items() if models}
        if self.drops_small_transformers:
            small = frame["parent_family"].isin(GROUP_2) & ~frame["samples_per_class"].isin(FULL_OR_300)
            if small.any():
                excluded["ConvNeXt or ViT below 300 images per class"] = sorted(frame.loc[small, "model_id"])
            frame = frame[~small]
        frame, missing = drop_missing(frame, self.requires)
        return frame, excluded | missing

    def other_rows(self, scores: pd.DataFrame | ModelTables) -> dict[str, pd.DataFrame]:
        """Return the rows without the filter of small data sets, by name; empty where there is no such filter."""
        if not self.drops_small_transformers:
            return {}
        return {
            "with ConvNeXt and ViT on small data sets": replace(self, drops_small_transformers=False).rows(scores)[0]
        }

    def fit(self, scores: pd.DataFrame | ModelTables) -> Fit:
        """Fit the law to the original rows of a long score table."""
        frame, excluded = self.rows(scores)
        # Exponents are free in sign, as in the published fits.
        return fit_rows(frame, law=self.law, x=self.x, excluded=excluded, negative=True, drop_incomplete=True)


EXPERIMENTS: Registry[Experiment] = Registry("experiment", hint="`vvscale ls experiments` lists them all.")
# Conditions on rows by name, complete: each holds those of the preset that it builds on.
PRESETS: dict[str, dict[str, Any]] = {}


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((files("vvscale.laws.gokce2025") / f"{name}.toml").read_text(encoding="utf-8"))


def _conditions(own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the conditions of a preset or experiment, those of the preset it names included."""
    return {**PRESETS.get(own.get("preset", ""), {}), **{k: v for k, v in own.items() if k != "preset"}}


def _define() -> None:
    published = {name: Published(**entry) for name, entry in _read("published_fits").items()}
    for paper in PAPERS:
        written = _read(paper)
        for name, preset in written["presets"].items():
            PRESETS[name] = _conditions(preset)
        for name, entry in written["experiments"].items():
            where = _conditions({**entry.pop("where", {}), "preset": entry.pop("preset", "")})
            x, requires = (tuple(entry.pop(key, ())) for key in ("x", "requires"))
            told = published.get(name)
            EXPERIMENTS.add(name, Experiment(
                name, x=x, requires=requires, where=where, published=told, paper=paper, **entry
            ))  # fmt: skip


_define()
CONTROLLED, CORE = PRESETS["controlled"], PRESETS["core"]


def matching(patterns: Sequence[str]) -> list[str]:
    """Names that match any of the patterns, in published order; without a pattern the 43 of the ICML paper.

    Parameters
    ----------
    patterns
        Names, shell patterns such as ``"region_*"``, or a paper, ``"icml2025"`` or ``"ccn2024"``.

    Raises
    ------
    UnknownNameError
        A pattern that matches nothing.
    """

    def matches(name: str, pattern: str) -> bool:
        return fnmatchcase(name, pattern) or EXPERIMENTS[name].paper == pattern

    for pattern in patterns:
        if not any(matches(name, pattern) for name in EXPERIMENTS):
            raise unknown_name("experiment", pattern, [*PAPERS, *EXPERIMENTS], EXPERIMENTS.hint)
    wanted = patterns or PAPERS[:1]
    return [name for name in EXPERIMENTS if any(matches(name, pattern) for pattern in wanted)]
