"""The tables that figures are drawn from: any table, what was published beside it, and models laid over it.

A table of scores has one row per model and benchmark and is averaged over regions; any other table is taken as it is,
one row per observation. Flags that it lacks count as false, and what it cannot do without is named. This module must
not fit or draw.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from vvscale.errors import MissingDataError, UnknownNameError
from vvscale.figures.base.outcomes import (
    Outcome,
    default_outcome,
    outcome_of_column,
    outcome_of_regions,
    outcome_of_score,
    require_column,
)
from vvscale.laws.gokce2025.experiments import CONTROLLED, CORE, Experiment, ModelTables
from vvscale.scores import SETS, model_table
from vvscale.scores.schema import REGIONS
from vvscale.scores.table import REGION_SETS, score_behind

if TYPE_CHECKING:
    from vvscale.scores import ModelTable

PUBLISHED = "gokce2025"
FLAGS = tuple(CONTROLLED)
# A table with these columns is averaged over regions.
LONG = frozenset({"model_id", "region", "score"})


@dataclass(frozen=True)
class Source:
    """The tables behind a set of figures.

    Attributes
    ----------
    name
        What the main table was called.
    scores
        The table: of several epochs of a model, the last.
    epochs
        Long table with several epochs per model, or None.
    private
        Long table of private benchmarks (model_id, benchmark_id, score), or None.
    layers
        Long table with several layers per model and benchmark, or None; ``scores`` then has the best of them.
    added
        Label -> tables of models laid over the main one.
    digests
        Name of each table -> sha256 of its content.
    lacking
        ``"checkpoints"``, ``"private"`` -> why there is no such table.
    notes
        What was assumed of the table, for people.
    named, y
        Columns of the inputs and of the outcome as the user names them; empty leaves it to the table.
    """

    name: str
    scores: pd.DataFrame = field(repr=False)
    epochs: pd.DataFrame | None = field(default=None, repr=False)
    private: pd.DataFrame | None = field(default=None, repr=False)
    layers: pd.DataFrame | None = field(default=None, repr=False)
    added: Mapping[str, Source] = field(default_factory=dict, repr=False)
    digests: Mapping[str, str] = field(default_factory=dict)
    lacking: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    y: str = ""

    @property
    def x(self) -> str:
        """The one input that the user names; of two, parameters and samples, a figure chooses."""
        return self.named[0] if len(self.named) == 1 else ""

    @property
    def is_long(self) -> bool:
        """Whether the table has one row per model and benchmark."""
        return set(map(str, self.scores.columns)) >= LONG

    @cached_property
    def tables(self) -> ModelTables:
        """Model tables by region set, each made once."""
        if not self.is_long:
            raise MissingDataError(
                f"The table '{self.name}' has no column 'region', so that its scores cannot be averaged by region. "
                "Expected one row per model and benchmark; see docs/schema.md."
            )
        return ModelTables(self.scores)

    @property
    def models(self) -> pd.DataFrame:
        """One row per model, without scores; of a table without regions, its rows."""
        return self.tables.models if self.is_long else self.scores

    @cached_property
    def regions(self) -> tuple[str, ...]:
        """Regions that the table has scores of, in the order of the ventral stream."""
        if not self.is_long:
            return ()
        present = set(self.scores.dropna(subset=["score"])["region"])
        return tuple(region for region in REGIONS if region in present)

    def outcome(self, y: str = "") -> Outcome:
        """Return what ``y`` names: a region, a set of them, or a column; by default the mean over all its regions.

        Raises
        ------
        MissingDataError, UnknownNameError
            The table has no such region or column.
        """
        y = y or self.y
        if self.is_long and (not y or y in REGIONS or y in REGION_SETS):
            if not y and not self.regions:
                raise MissingDataError(f"The table '{self.name}' has no score of any region.")
            name = y or ("all" if self.regions == REGIONS else "+".join(self.regions))
            return outcome_of_regions(name, self.regions if not y else ())
        parts = tuple(y.split("+"))
        if self.is_long and set(parts) <= set(self.regions):
            return outcome_of_regions(y, parts)
        name = y or default_outcome(self.models, self.name)
        behind = score_behind(name)
        if behind and name not in self.models.columns:
            require_column(self.models, behind)
            return outcome_of_score(behind)
        require_column(self.models, name)
        return outcome_of_column(name)

    def measured(self, outcome: Outcome) -> pd.DataFrame:
        """One row per model with ``score``, what is drawn of it, and ``misalignment``, what laws are fitted to."""
        if self.is_long and (outcome.name in REGIONS or outcome.name in REGION_SETS or "+" in outcome.name):
            regions = outcome.name.split("+") if "+" in outcome.name else outcome.name
            frame = self.averaged(regions)
            return _with_objective(frame)
        frame = self.models.dropna(subset=[outcome.name]).reset_index(drop=True)
        value = frame[outcome.name].astype(float)
        return _with_objective(frame.assign(score=value, misalignment=1.0 - value if outcome.is_score else value))

    def adapt(self, experiment: Experiment) -> Experiment:
        """Return the experiment as this table can answer it.

        Raises
        ------
        MissingDataError
            A column that it needs is absent or empty, or no model meets one of its conditions.
        """
        require(self.models, experiment.x, f"'{self.name}'")
        # Where families or images per class are not known, none can be left out for them.
        drops = experiment.drops_small_transformers and {"parent_family", "samples_per_class"} <= set(self.models)
        where = {
            column: kept
            for column, wanted in experiment.where.items()
            if (kept := self._known(column, wanted)) is not None
        }
        published = experiment.published if self.name in SETS else None
        return replace(experiment, where=where, published=published, drops_small_transformers=drops)

    def rows(self, experiment: Experiment) -> pd.DataFrame:
        """Models of an experiment with a value in every input, ascending in model_id, with their mean score."""
        frame, _ = self.adapt(experiment).rows(self.tables)
        frame = frame.dropna(subset=list(experiment.x))
        if frame.empty:
            raise MissingDataError(
                f"The table '{self.name}' has no models for '{experiment.name}' ({experiment.summary}). "
                "Expected models "
                f"with {describe(experiment.where)} and a value of {', '.join(experiment.x)}."
            )
        return frame

    def _known(self, column: str, wanted: Any) -> Any:
        """Return the condition, or its part that the column can meet; None to leave it out."""
        if column not in self.models.columns:
            if column == "dataset" and wanted == CORE["dataset"]:
                return None
            raise MissingDataError(
                f"The table '{self.name}' has no column '{column}'. Expected it, to choose "
                f"{describe({column: wanted})}."
            )
        if isinstance(wanted, bool):
            # Unknown flags count as false, and asking for true where there is none would be an unknown value.
            if wanted and not self.models[column].fillna(False).any():
                raise MissingDataError(f"The table '{self.name}' has no models with {column} true.")
            return wanted
        values = [wanted] if isinstance(wanted, str | int) else list(wanted)
        present = set(self.models[column].dropna())
        kept = [value for value in values if value in present]
        if kept:
            return kept
        if column == "dataset" and wanted == CORE["dataset"]:
            return None
        raise MissingDataError(
            f"The table '{self.name}' has no models with {describe({column: wanted})}; its {column} "
            f"{'is empty' if not present else 'has ' + some(sorted(map(str, present)))}."
        )

    def averaged(self, regions: str | Sequence[str]) -> pd.DataFrame:
        """All models with their mean score over regions."""
        table: ModelTable = (
            self.tables[regions] if isinstance(regions, str) else model_table(self.tables.scores, regions)
        )
        return table.frame

    def laid_over(self, y: str, columns: Iterable[str]) -> tuple[dict[str, pd.DataFrame], list[str]]:
        """Added models that have this outcome and these columns, by label, and why a table has none."""
        made, absent = {}, []
        for label, one in self.added.items():
            try:
                frame = one.measured(one.outcome(y))
                require(frame, columns, f"'{label}'")
            except (MissingDataError, UnknownNameError) as error:
                absent.append(f"'{label}' is not laid over: {error}")
                continue
            made[label] = frame.dropna(subset=list(columns))
        return made, absent

    def other_benchmarks(self) -> list[str]:
        """Say which added tables were scored on other benchmarks than this one, so that nobody compares them."""
        own, said = _benchmarks(self.scores), []
        for label, one in self.added.items():
            others = sorted(_benchmarks(one.scores) - own)
            if own and others:
                more = f" and {len(others) - 2} more" if len(others) > 2 else ""
                said.append(
                    f"'{label}' was scored on other benchmarks ({', '.join(others[:2])}{more}): its scores and those "
                    f"of '{self.name}' are not of the same recordings."
                )
        return said

    def require_epochs(self) -> pd.DataFrame:
        """Scores at several epochs per model, or why there are none."""
        if self.epochs is None:
            raise MissingDataError(self.lacking["checkpoints"])
        return self.epochs

    def require_private(self) -> pd.DataFrame:
        """Scores on private benchmarks, or why there are none."""
        if self.private is None:
            raise MissingDataError(self.lacking["private"])
        return self.private


def _benchmarks(scores: pd.DataFrame) -> set[str]:
    return set(scores["benchmark_id"].dropna().unique()) if "benchmark_id" in scores.columns else set()


def require(frame: pd.DataFrame, columns: Iterable[str], where: str) -> None:
    """Refuse a table that lacks a column, or has nothing in it."""
    for column in columns:
        if column not in frame.columns or not frame[column].notna().any():
            state = "has no column" if column not in frame.columns else "has nothing in column"
            raise MissingDataError(
                f"The table {where} {state} '{column}'. Expected a value per model; docs/schema.md says in which unit."
            )


def describe(where: Mapping[str, Any]) -> str:
    """Say a condition in words."""
    said = []
    for column, wanted in where.items():
        if isinstance(wanted, bool):
            said.append(f"{column} {'true' if wanted else 'false'}")
        else:
            values = [wanted] if isinstance(wanted, str | int) else wanted
            said.append(f"{column} {' or '.join(map(str, values))}")
    return ", ".join(said) or "any"


def some(names: Sequence[str]) -> str:
    """List a few names."""
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def frame_digest(frame: pd.DataFrame) -> str:
    """Return sha256 of a table's names and values; floats count with every digit."""
    return hashlib.sha256(frame.to_csv(index=False).encode()).hexdigest()


def objective(frame: pd.DataFrame) -> pd.Series:
    """How each model was trained: its own column ``objective``, or supervised, adversarial, ablation, ssl_method."""
    if "objective" in frame.columns:
        return frame["objective"]
    method = frame["ssl_method"].fillna("self-supervised") if "ssl_method" in frame.columns else "self-supervised"
    made = pd.Series("supervised", index=frame.index, dtype=object)
    for flag, name in (("is_ablation", "ablation"), ("is_adv", "adversarial"), ("is_ssl", method)):
        if flag in frame.columns:
            made = made.mask(frame[flag].fillna(False).astype(bool), name)
    return made


def _with_objective(frame: pd.DataFrame) -> pd.DataFrame:
    return frame if "objective" in frame.columns else frame.assign(objective=objective(frame))
