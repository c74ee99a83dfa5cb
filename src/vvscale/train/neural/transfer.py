"""Who gains when a network is tuned to one data set: the same, others of the same modality, and the rest."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from vvscale.errors import MissingDataError

RELATIONS = ("same set", "same modality", "other modality")


def transfer_matrix(rows: pd.DataFrame) -> pd.DataFrame:
    """Return mean gains, one row per source, one column per test set.

    Parameters
    ----------
    rows
        Columns source, test and gain, such as rows of :func:`vvscale.train.neural.tune.fine_tune` with the names of
        the data sets that were tuned to and scored on.
    """
    _refuse_absent(rows)
    return rows.pivot_table(index="source", columns="test", values="gain", aggfunc="mean")


def by_relation(rows: pd.DataFrame, modality: Mapping[str, str]) -> pd.DataFrame:
    """Return the gain by how source and test are related: mean, standard error over sources and seeds, and number.

    Parameters
    ----------
    rows
        As of :func:`transfer_matrix`.
    modality
        Data set -> modality.

    Examples
    --------
    >>> rows = pd.DataFrame({"source": ["a", "a"], "test": ["a", "b"], "gain": [0.2, 0.1]})
    >>> by_relation(rows, {"a": "EEG", "b": "MEG"})["mean"].to_dict()
    {'same set': 0.2, 'other modality': 0.1}
    """
    _refuse_absent(rows)
    absent = sorted({*rows["source"], *rows["test"]} - set(modality))
    if absent:
        raise MissingDataError(f"The modality of '{absent[0]}' is not given; known are {', '.join(modality)}.")

    def relation(row: pd.Series) -> str:
        if row["source"] == row["test"]:
            return RELATIONS[0]
        return RELATIONS[1] if modality[row["source"]] == modality[row["test"]] else RELATIONS[2]

    named = rows.assign(relation=rows.apply(relation, axis=1))
    # Test sets of one tuning share its luck, so tunings are what counts.
    unit = ["relation", "source", *(["seed"] if "seed" in rows else [])]
    means = named.groupby(unit)["gain"].mean().groupby("relation").agg(["mean", "sem", "count"])
    return means.reindex([one for one in RELATIONS if one in means.index])


def _refuse_absent(rows: pd.DataFrame) -> None:
    absent = [name for name in ("source", "test", "gain") if name not in rows]
    if absent:
        raise MissingDataError(f"The rows have no column '{absent[0]}'; they have {', '.join(map(str, rows.columns))}.")
