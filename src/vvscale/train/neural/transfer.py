"""Who gains when a network is tuned to recordings: the same data set, others of the same modality, and the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from vvscale.brain.prepared.sets import SETS
from vvscale.brain.scoring.results import whole_rows
from vvscale.core.jsonable import Result, json_rows
from vvscale.errors import MissingDataError
from vvscale.scores.table import last_epochs
from vvscale.train.neural.options import UNTUNED

RELATIONS = ("same set", "same modality", "other modality", "other set")
TUNED = "_tuned-"
"""What stands between the model_id of a network and how it was tuned."""
BESIDE = "+"
"""What stands between benchmarks that a network was tuned to at once."""
WAY = ("finetune", "finetune_control", "finetune_fraction", "finetune_updates")
"""Columns that tell ways to fine-tune apart."""
_ADDED = ("network", "source", "test", "score_before", "gain", "accuracy_before", "accuracy_gain")
"""Columns that gains have besides."""


@dataclass(frozen=True, eq=False)
class Transfer(Result):
    """What fine-tuning gained.

    Attributes
    ----------
    gains
        One row per tuned network and benchmark; see :func:`tuning_gains`.
    relations
        One row per way to tune and relation of source and test: gain, its mean over tunings; gain_sem, the standard
        error of that; tunings, their number; accuracy_gain, the mean.
    matrices
        One row per way to tune, source and test: the mean gain, and the number of networks.
    """

    gains: pd.DataFrame
    relations: pd.DataFrame
    matrices: pd.DataFrame

    def table(self) -> pd.DataFrame:
        """Return the gains by way to tune and relation."""
        return self.relations

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; the rows of single networks are left out."""
        return {"relations": json_rows(self.relations), "matrices": json_rows(self.matrices)}


def transfer(scores: pd.DataFrame, modality: Mapping[str, str] | None = None) -> Transfer:
    """Say what fine-tuning gained, by what networks were tuned to and what they were scored on.

    Parameters
    ----------
    scores
        As of :func:`tuning_gains`.
    modality
        Data set -> modality, beside those that ``vvscale prepare-brain`` knows; see :func:`by_relation`. Where none
        of the table's is known, data sets are the same or others.

    Raises
    ------
    MissingDataError
        No network of the table was tuned and scored before, or as of :func:`by_relation`.
    """
    gains = tuning_gains(scores)
    if gains.empty:
        raise MissingDataError(
            "No network of the table was fine-tuned on recordings and scored before and after. `vvscale fine-tune` "
            "makes such rows; so does a study with the axis finetune, such as `vvscale study run axes`."
        )
    _refuse_absent(gains)
    known = {name: one.modality for name, one in SETS.items()} | dict(modality or {})
    named = {one for name in ("source", "test") for sets in gains[name].map(_data_sets) for one in sets}
    ways = gains.groupby(list(WAY), sort=True)
    told = {way: by_relation(rows, known if named & set(known) else None) for way, rows in ways}
    relations = pd.concat(told, names=list(WAY)).reset_index()
    relations = relations.rename(columns={"mean": "gain", "sem": "gain_sem", "count": "tunings"})
    of_pairs = gains.groupby([*WAY, "source", "test"], sort=True)["gain"]
    return Transfer(
        gains,
        relations.merge(ways["accuracy_gain"].mean().reset_index(), on=list(WAY)),
        of_pairs.agg(gain="mean", networks="count").reset_index(),
    )


def tuning_gains(scores: pd.DataFrame) -> pd.DataFrame:
    """Set scores and accuracy of tuned networks beside those of the same networks before.

    Parameters
    ----------
    scores
        Rows of ``vvscale fine-tune``, which say what was before, or of a study, whose untuned networks are looked up.

    Returns
    -------
    DataFrame
        One row per tuned network and benchmark: columns of ``scores``, and network (the one that was tuned), source
        (what it was tuned to), test, score_before, gain, accuracy_before and accuracy_gain. Empty if no network was
        tuned.
    """
    if "finetune" not in scores or not _is_tuned(scores).any():
        return pd.DataFrame(columns=list(dict.fromkeys((*scores.columns, *WAY, *_ADDED))))
    rows = whole_rows(last_epochs(scores))
    is_tuned = _is_tuned(rows)
    tuned = rows[is_tuned].assign(network=rows["model_id"].str.rsplit(TUNED, n=1).str[0])
    if "score_before" in rows:
        says = tuned["score_before"].notna()
        tuned, paired = tuned[~says].drop(columns=["score_before", "accuracy_before"]), tuned[says]
    else:
        paired = tuned.iloc[:0]
    if len(tuned):
        keys = ["network", "benchmark_id", "region"]
        before = rows[~is_tuned].rename(columns={"model_id": "network"})[[*keys, "score", "accuracy"]]
        looked_up = tuned.merge(before, on=keys, suffixes=("", "_before"))
        paired = pd.concat([paired, looked_up], ignore_index=True) if len(paired) else looked_up
    return paired.assign(
        source=paired.get("finetune_on"),
        test=paired["benchmark_id"],
        gain=paired["score"] - paired["score_before"],
        accuracy_gain=paired["accuracy"] - paired["accuracy_before"],
    )


def _is_tuned(rows: pd.DataFrame) -> pd.Series:
    return rows["finetune"].fillna(UNTUNED).ne(UNTUNED)


def by_relation(gains: pd.DataFrame, modality: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Return the gain by how source and test are related: mean, standard error over tunings, and their number.

    Parameters
    ----------
    gains
        Columns source, test and gain, as of :func:`tuning_gains`. A tuning is one network, seed and source, as far as
        there are such columns.
    modality
        Data set -> modality; the data set of a benchmark is what stands before the first dot of its name. Without it
        data sets are the same or others.

    Raises
    ------
    MissingDataError
        A column is missing, a row does not say what was tuned to, or the modality of a data set is not given.

    Examples
    --------
    >>> gains = pd.DataFrame({"source": ["a.IT", "a.IT"], "test": ["a.IT", "b.IT"], "gain": [0.2, 0.1]})
    >>> by_relation(gains, {"a": "EEG", "b": "MEG"})["mean"].to_dict()
    {'same set': 0.2, 'other modality': 0.1}
    """
    _refuse_absent(gains)
    sources, tests = (gains[name].map(_data_sets) for name in ("source", "test"))
    relation = [_relation(source, test, modality) for source, test in zip(sources, tests, strict=True)]
    # Benchmarks that were scored after one tuning share its luck, so tunings are what counts.
    unit = ["relation", "source", *(name for name in ("network", "seed") if name in gains)]
    means = gains.assign(relation=relation).groupby(unit, dropna=False)["gain"].mean()
    found = means.groupby("relation").agg(["mean", "sem", "count"])
    return found.reindex([one for one in RELATIONS if one in found.index])


def _data_sets(benchmarks: str) -> frozenset[str]:
    return frozenset(one.partition(".")[0] for one in benchmarks.split(BESIDE))


def _relation(source: frozenset[str], test: frozenset[str], modality: Mapping[str, str] | None) -> str:
    if test <= source:
        return RELATIONS[0]
    if modality is None:
        return RELATIONS[3]
    absent = sorted((source | test) - set(modality))
    if absent:
        raise MissingDataError(
            f"The modality of '{absent[0]}' is not given; known are {', '.join(modality)}. Name it in `modality`: "
            f"'{absent[0]}=EEG', say."
        )
    return RELATIONS[1 if {modality[one] for one in test} <= {modality[one] for one in source} else 2]


def _refuse_absent(gains: pd.DataFrame) -> None:
    absent = [name for name in ("source", "test", "gain") if name not in gains]
    if absent:
        raise MissingDataError(
            f"The rows have no column '{absent[0]}'; they have {', '.join(map(str, gains.columns))}."
        )
    if gains["source"].isna().any():
        raise MissingDataError(
            "Rows of tuned networks do not say what they were tuned to (column 'finetune_on'). Likely cause: they were "
            "made by an earlier version; fine-tune and score again."
        )
