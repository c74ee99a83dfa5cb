"""Fits on disk: ``fits.json`` and the resamples beside it, and the way back to a plan."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vvscale._files import make_folder, write_json, write_with
from vvscale.errors import DataError, MissingDataError, unknown_name
from vvscale.laws.cost import Cost
from vvscale.laws.plan import JointLaw

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FITS = "fits.json"
PARAMETERS = ("E", "A", "alpha", "B", "beta", "lambda")


def resamples_path(folder: Path, unit: str) -> Path:
    """Return where the resamples by ``unit`` lie; the published ones, by row, are plain ``bootstrap.parquet``."""
    return folder / ("bootstrap.parquet" if unit == "row" else f"bootstrap_{unit}.parquet")


def save_fits(
    folder: str | Path, fits: Sequence[Mapping[str, Any]], resamples: Mapping[str, Mapping[str, pd.DataFrame]]
) -> list[Path]:
    """Write ``fits.json`` and one Parquet file of resamples per unit; return what was written.

    Parameters
    ----------
    folder
        Made if absent.
    fits
        Plain values of each fit, with a ``name``.
    resamples
        Unit -> name of the fit -> one row per resample.
    """
    folder = make_folder(Path(folder))
    written = []
    for unit, by_name in resamples.items():
        if not by_name:
            continue
        frame = pd.concat([frame.assign(experiment=name) for name, frame in by_name.items()], ignore_index=True)
        named = [name for name in PARAMETERS if name in frame.columns]
        first = ["experiment", "resample", "loss", *named]
        frame = frame[first + [name for name in frame.columns if name not in first]]
        path = resamples_path(folder, unit)
        write_with(path, lambda part, frame=frame: frame.to_parquet(part, index=False))
        written.append(path)
    # Last, so that fits.json never names resamples that are not there.
    write_json(folder / FITS, list(fits))
    return [folder / FITS, *written]


@dataclass(frozen=True)
class SavedLaw:
    """A joint law read back for planning.

    Attributes
    ----------
    name
        The fit's name.
    law
        Parameters in raw units with their resamples.
    cost
        The cost fitted to the same rows, if they had compute.
    """

    name: str
    law: JointLaw
    cost: Cost | None


def load_joint(path: str | Path, name: str | None = None) -> SavedLaw:
    """Read a joint law from a ``fits.json`` or the folder that holds it.

    Parameters
    ----------
    path
        File or folder.
    name
        Which fit; by default the only joint one.

    Raises
    ------
    MissingDataError
        No such file, or no joint fit in it.
    DataError
        The file is not JSON of this form.
    UnknownNameError
        No fit of that name.
    """
    file = Path(path) / FITS if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise MissingDataError(
            f"No fit at '{path}'. Expected a fits.json or its folder; write one with `vvscale fit TABLE --law joint "
            "--x n_params --x samples_seen --out DIR` or `vvscale reproduce compute_chinchilla --out DIR`."
        )
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
        entries = [entries] if isinstance(entries, dict) else list(entries)
        joint = {entry["name"]: entry for entry in entries if entry["form"] in {"joint", "ccn-joint"}}
        names = [entry["name"] for entry in entries]
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"'{file}' is not a file of fits: {error!r}. It may be truncated or hand-edited; write it again with "
            "`vvscale fit` or `vvscale reproduce`."
        ) from error
    if name is not None and name not in joint:
        raise unknown_name("joint fit", name, joint or names)
    if not joint:
        raise MissingDataError(
            f"'{file}' holds no joint fit (found {', '.join(names[:6]) or 'none'}), and a plan needs parameters and "
            "samples. Fit one with `vvscale fit TABLE --law joint --x n_params --x samples_seen --out DIR`."
        )
    chosen = joint[name] if name is not None else next(iter(joint.values()))
    draws, unit = _draws(file.parent, chosen["name"])
    cost = Cost(**chosen["cost"]) if chosen.get("cost") else None
    law = JointLaw.from_params(chosen["form"], chosen["params"], chosen["units"], draws, unit)
    return SavedLaw(chosen["name"], law, cost)


def _draws(folder: Path, name: str) -> tuple[dict[str, np.ndarray], str]:
    """Resamples of a fit, by architecture if there are any such, else by what there is."""
    found = {
        path.stem.removeprefix("bootstrap").lstrip("_") or "row": path for path in folder.glob("bootstrap*.parquet")
    }
    for unit in sorted(found, key=lambda unit: (unit != "arch", unit)):
        frame = pd.read_parquet(found[unit])
        frame = frame[frame["experiment"] == name]
        if len(frame):
            usable = frame[frame["n_distinct"] > len(PARAMETERS) - 1] if "n_distinct" in frame else frame
            return {key: usable[key].to_numpy(float) for key in ("E", "A", "alpha", "B", "beta")}, unit
    return {}, ""
