"""Categories that observers and a model choose for images: how often they are right, and whether on the same images."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import softmax

from vvscale.brain.metrics.checks import arrays_digest, over_splits
from vvscale.errors import DataError, MissingDataError, ShapeError

# Shape legend: N images, S observers, C categories, K outputs of a classifier.

_COLUMNS = ("stimulus_id", "subject", "choice", "truth")


@dataclass(frozen=True, eq=False)
class Decisions:
    """What each observer chose for each image.

    Attributes
    ----------
    stimulus_id, truth, condition
        (N,) labels of the images, what they show, and under which manipulation; observers are compared within
        conditions.
    categories
        (C,) sorted names to choose from.
    choices
        (S, N) numbers of the categories chosen, -1 where an observer did not see an image.
    """

    stimulus_id: np.ndarray
    truth: np.ndarray = field(repr=False)
    condition: np.ndarray = field(repr=False)
    categories: np.ndarray
    choices: np.ndarray = field(repr=False)

    @classmethod
    def from_table(cls, table: pd.DataFrame) -> Decisions:
        """Take a table with one row per choice: stimulus_id, subject, choice, truth, and perhaps condition.

        Raises
        ------
        MissingDataError
            A column is absent or a cell is empty.
        DataError
            An image has two truths or conditions, or an observer two choices for it.
        """
        table = table if "condition" in table else table.assign(condition="all")
        names = [*_COLUMNS, "condition"]
        absent = [name for name in names if name not in table]
        if absent:
            raise MissingDataError(
                f"The decisions lack the column '{absent[0]}'; expected {', '.join(_COLUMNS)}, got "
                f"{', '.join(map(str, table))}."
            )
        is_empty = table[names].isna().any(axis=1).to_numpy()
        if is_empty.any():
            raise MissingDataError(
                f"Row {int(np.argmax(is_empty))} of the decisions (counted from 0; {int(is_empty.sum())} such) has an "
                f"empty cell; expected {', '.join(_COLUMNS)} in each."
            )
        table = table[names].astype(str)
        images = table.drop_duplicates("stimulus_id").sort_values("stimulus_id").set_index("stimulus_id")
        for name in ("truth", "condition"):
            is_other = images.loc[table["stimulus_id"], name].to_numpy() != table[name].to_numpy()
            if is_other.any():
                image = table["stimulus_id"].iloc[int(np.argmax(is_other))]
                raise DataError(f"The image '{image}' of the decisions has two values of '{name}'; expected one.")
        twice = table[table.duplicated(["subject", "stimulus_id"])]
        if len(twice):
            who, image = twice.iloc[0][["subject", "stimulus_id"]]
            raise DataError(f"The observer '{who}' has two choices for the image '{image}'; expected one.")
        categories = np.unique(table[["choice", "truth"]].to_numpy())
        codes = pd.Series(np.searchsorted(categories, table["choice"]), index=table.index)
        wide = table.assign(code=codes).pivot(index="subject", columns="stimulus_id", values="code")
        choices = wide[images.index].fillna(-1).to_numpy(np.int64)
        truth = np.searchsorted(categories, images["truth"])
        return cls(images.index.to_numpy(object), truth, images["condition"].to_numpy(object), categories, choices)

    @property
    def is_right(self) -> np.ndarray:
        """(S, N) float: 1 right, 0 wrong, NaN not seen."""
        return np.where(self.choices < 0, np.nan, self.choices == self.truth)

    @cached_property
    def accuracy(self) -> float:
        """Mean over observers of the share of images that they get right."""
        return float(np.nanmean(self.is_right, axis=1).mean())

    @cached_property
    def consistency(self) -> float:
        """Mean over pairs of observers of their error consistency, of those that have one; NaN where none has."""
        pairs = itertools.combinations(self.is_right, 2)
        return float(over_splits(np.array([error_consistency(a, b, self.condition) for a, b in pairs])))

    def digest(self) -> str:
        """Return the SHA-256 of the choices and their labels."""
        return arrays_digest(
            "decisions",
            stimulus_id=self.stimulus_id,
            truth=self.truth,
            condition=self.condition,
            categories=self.categories,
            choices=self.choices,
        )


def error_consistency(first: np.ndarray, second: np.ndarray, condition: np.ndarray) -> float:
    """Return Cohen's kappa of two observers' errors: 0 where they err on the same images by chance alone.

    Parameters
    ----------
    first, second
        (N,) 1 right, 0 wrong, NaN not seen; images that one of them did not see are left out.
    condition
        (N,) labels; kappa is taken within each and averaged. Conditions in which both are always right, or always
        wrong, have none and are left out.

    Source
    ------
    Geirhos et al. 2020 (arXiv 2006.16736); brainscore_vision/metrics/error_consistency/metric.py, which takes the
    absolute value of the mean; here a negative one stays negative.

    Examples
    --------
    >>> error_consistency(np.array([1, 1, 0, 0]), np.array([1, 1, 0, 1]), np.zeros(4))
    0.5
    """
    known = ~(np.isnan(first) | np.isnan(second))
    found = []
    for label in pd.unique(condition[known]):
        rows = known & (condition == label)
        a, b = first[rows], second[rows]
        expected = a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean())
        if expected < 1:
            found.append(((a == b).mean() - expected) / (1 - expected))
    return float(np.mean(found)) if found else float("nan")


def chosen_categories(logits: Any, categories: Sequence[str], outputs: Mapping[str, Sequence[int]]) -> np.ndarray:
    """Return (N,) numbers of the categories that a classifier chooses.

    Parameters
    ----------
    logits
        (N, K) outputs of the classifier, before softmax.
    categories
        (C,) names to choose from.
    outputs
        Category -> numbers of the outputs that belong to it; their probabilities are averaged.

    Source
    ------
    brainscore_vision/model_helpers/brain_transformation/behavior.py, class LabelBehavior (mean).

    Examples
    --------
    >>> chosen_categories([[0.0, 1.0, 3.0, 0.0]], ["cat", "dog"], {"cat": [0, 1], "dog": [2, 3]})
    array([1])
    """
    table = np.asarray(logits, dtype=np.float64)
    lost = [name for name in categories if name not in outputs or not len(outputs[name])]
    if lost:
        raise MissingDataError(f"No output of the classifier belongs to the category '{lost[0]}' ({len(lost)} such).")
    last = max(max(outputs[name]) for name in categories)
    if table.ndim != 2 or table.shape[1] <= last:
        raise ShapeError(
            f"The layer has {table.shape[-1]} outputs, and the categories name output {last}; expected the layer of "
            "class scores of a classifier."
        )
    probabilities = softmax(table, axis=1)
    means = np.stack([probabilities[:, list(outputs[name])].mean(1) for name in categories], 1)
    return means.argmax(1)
