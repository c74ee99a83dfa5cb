"""Fits on disk: ``fits.json`` and the resamples beside it, and the way back to a plan."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from vvscale.core.files import make_folder, write_json, write_with
from vvscale.core.hashing import hash_of
from vvscale.core.jsonable import parse_json
from vvscale.errors import DataError, MissingDataError, UsageError, reason, shell_words, unknown_name
from vvscale.laws.law import LAWS
from vvscale.laws.planning.allocate import NAMES
from vvscale.laws.planning.cost import Cost
from vvscale.laws.planning.joint import JointLaw, group_ratios
from vvscale.laws.planning.support import Support

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FITS = "fits.json"


def resamples_path(folder: Path, unit: str) -> Path:
    """Return where the resamples by ``unit`` lie; the published ones, by row, are plain ``bootstrap.parquet``."""
    # A unit may be any column, and a column may be called anything.
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", unit)
    return folder / ("bootstrap.parquet" if unit == "row" else f"bootstrap_{plain}.parquet")


class Saveable(Protocol):
    """What is kept of a fit: its plain values and, by unit, its resamples."""

    @property
    def entry(self) -> Mapping[str, Any]:
        """Plain values, with a ``name``."""
        ...

    @property
    def resamples(self) -> Mapping[str, pd.DataFrame]:
        """Unit -> one row per resample."""
        ...


def save_results(folder: str | Path, results: Sequence[Saveable], *, units: Sequence[str] | None = None) -> list[Path]:
    """Write the fits of a command with their resamples; see :func:`save_fits`.

    Parameters
    ----------
    units
        Order of the files of resamples; by default alphabetical.
    """
    drawn = sorted({unit for result in results for unit in result.resamples}) if units is None else units
    by_unit = {unit: {r.entry["name"]: r.resamples[unit] for r in results if unit in r.resamples} for unit in drawn}
    return save_fits(folder, [result.entry for result in results], by_unit)


def can_plan(entry: Mapping[str, Any]) -> bool:
    """Whether a fit has parameters and samples to plan with; a law of a package that is not installed has none."""
    return entry["form"] in LAWS and LAWS[entry["form"]].is_joint


def save_fits(
    folder: str | Path, fits: Sequence[Mapping[str, Any]], resamples: Mapping[str, Mapping[str, pd.DataFrame]]
) -> list[Path]:
    """Write ``fits.json`` and one Parquet file of resamples per unit; return what was written.

    Each fit records the files of its resamples with their hashes, so that a later command never takes another's.

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
    written, files = [], {}
    for unit, by_name in resamples.items():
        if not by_name:
            continue
        frame = pd.concat([frame.assign(experiment=name) for name, frame in by_name.items()], ignore_index=True)
        named = [name for name in (*NAMES, "lambda") if name in frame.columns]
        first = ["experiment", "resample", "loss", *named]
        frame = frame[first + [name for name in frame.columns if name not in first]]
        path = resamples_path(folder, unit)
        write_with(path, lambda part, frame=frame: frame.to_parquet(part, index=False))
        written.append(path)
        files[unit] = {"file": path.name, "sha256": hash_of(path)}
    # Last, so that fits.json never names resamples that are not there.
    kept = {unit: set(by_name) for unit, by_name in resamples.items()}
    of_each = [{unit: files[unit] for unit in files if fit["name"] in kept[unit]} for fit in fits]
    write_json(folder / FITS, [{**fit, "resamples": own} for fit, own in zip(fits, of_each, strict=True)])
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
    columns
        Its two inputs.
    """

    name: str
    law: JointLaw
    cost: Cost | None
    columns: tuple[str, str]


def load_joint(
    path: str | Path, name: str | None = None, group: str | None = None, *, of_any: bool = False
) -> SavedLaw:
    """Read a joint law from a ``fits.json`` or the folder that holds it.

    Parameters
    ----------
    path
        File or folder.
    name
        Which fit; by default the only joint one.
    group
        Which group of a fit with group offsets.
    of_any
        Whether the law may be of any two inputs, not of parameters and samples alone.

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
            "--x n_params samples_seen --out DIR` or `vvscale reproduce compute_chinchilla --out DIR`."
        )
    try:
        entries = parse_json(file.read_text(encoding="utf-8"))
        entries = [entries] if isinstance(entries, dict) else list(entries)
        joint = {entry["name"]: entry for entry in entries if can_plan(entry)}
        names = [entry["name"] for entry in entries]
    except (ValueError, TypeError, KeyError) as error:
        raise _not_fits(file, error) from error
    if name is not None and name not in joint:
        raise unknown_name("joint fit", name, joint or names)
    if not joint:
        raise MissingDataError(
            f"'{file}' holds no joint fit (found {', '.join(names[:6]) or 'none'}), and a plan needs parameters and "
            "samples. Fit one with `vvscale fit TABLE --law joint --x n_params samples_seen --out DIR`."
        )
    if name is None and len(joint) > 1:
        raise UsageError(f"'{file}' holds several joint fits: {', '.join(joint)}. Say which with `name`.")
    chosen = joint[name] if name is not None else next(iter(joint.values()))
    try:
        if not of_any:
            _refuse_other_inputs(file, chosen["x"])
        draws, unit, degrees = _draws(file.parent, chosen)
        cost = Cost(**chosen["cost"]) if chosen.get("cost") else None
        law = JointLaw.from_params(
            LAWS[chosen["form"]], chosen["params"], chosen["units"], draws, unit,
            ratios=group_ratios(chosen["offsets"], chosen["groups"], group), degrees=degrees,
        )  # fmt: skip
        law = replace(law, **_standing(chosen))
    except (ValueError, TypeError, KeyError) as error:
        raise _not_fits(file, error) from error
    return SavedLaw(chosen["name"], law, cost, (str(chosen["x"][0]), str(chosen["x"][1])))


def _standing(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What a plan has to know of the fit besides its parameters."""
    support = Support.from_dict(entry["support"]) if entry.get("support") else None
    return {
        "status": entry["status"], "plateau": entry["verdict"]["plateau"], "outcome": entry["outcome"],
        "data": entry["x"][1], "support": support,
    }  # fmt: skip


def _not_fits(file: Path, error: Exception) -> DataError:
    if file.suffix.lower() in {".csv", ".tsv", ".parquet"}:
        return DataError(
            f"'{file}' is a table, and a plan needs a fit. Fit one with `vvscale fit {shell_words(file)} --law joint "
            "--x n_params samples_seen --out DIR`, with your own names of columns."
        )
    return DataError(
        f"'{file}' is not a file of fits: {reason(error)}. It may be truncated, hand-edited or of another version; "
        "write it again with `vvscale fit` or `vvscale reproduce`."
    )


def _refuse_other_inputs(file: Path, x: Sequence[str]) -> None:
    """A plan takes the first input for parameters and the second for samples seen, or for images."""
    if x[0] in {"samples_seen", "n_samples", "train_flop"} or x[1] in {"n_params", "train_flop"}:
        raise UsageError(
            f"The fit in '{file}' is in {x[0]} and {x[1]}; a plan needs parameters and samples seen (or n_samples), "
            "in this order: `vvscale fit TABLE --law joint --x n_params samples_seen --out DIR`."
        )


def _draws(folder: Path, entry: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], str, float | None]:
    """Resamples that a fit names, by architecture if there are any such; their unit; degrees of freedom."""
    listed = entry.get("resamples", {})
    for unit in sorted(listed, key=lambda unit: (unit != "arch", unit)):
        path = folder / listed[unit]["file"]
        if not path.is_file() or hash_of(path) != listed[unit]["sha256"]:
            raise DataError(
                f"The resamples '{path}' are not those of the fit '{entry['name']}': the file is absent or was written "
                "by another command. Fit again into a folder of its own."
            )
        frame = pd.read_parquet(path)
        frame = frame[frame["experiment"] == entry["name"]]
        usable = frame[frame["n_distinct"] > len(entry["params"])]
        names = [name for name in usable.columns if name in entry["params"]]
        degrees = entry["intervals"][unit]["degrees"]
        return {key: usable[key].to_numpy(float) for key in names}, unit, degrees
    return {}, "", None
