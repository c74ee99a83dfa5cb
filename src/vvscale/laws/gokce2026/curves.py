"""Named curve fits of the 2026 study, from its published tables: in its form, and by our solver beside it.

What its code does otherwise than it says is not repeated: the seed of its configuration is read; rows are resampled by
what varies independently, not one by one; points at or above a score of 1, whose logarithm made its whole objective NaN
without a message, are left out by name; the limit is bounded; and a limit of exactly 1 is called an extrapolation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

from vvscale.core.config import from_table, parse_toml
from vvscale.core.options import SEED
from vvscale.errors import MissingDataError, ShapeError, unknown_name
from vvscale.laws.fit import Fit, fit_rows
from vvscale.laws.gokce2026.published_form import PublishedForm, fit_published_form
from vvscale.laws.uncertainty.bootstrap import Bootstrap, bootstrap
from vvscale.scores.gokce2026 import load_results

if TYPE_CHECKING:
    import pandas as pd

PAPER = "icml2026"
AVERAGE = "average"
"""Name of the curve of all families, and of all data sets."""
FAMILIES = ("AlexNet", "CORnet-S", "EfficientNet", "ResNet", "ConvNeXt", "ViT")
_FLEX = "Flex"


@dataclass(frozen=True)
class CurveFit:
    """One named kind of curve; the attributes are the keys of ``curves.toml``."""

    name: str
    summary: str
    table: str
    x: str
    scale: float
    law: Literal["power", "shifted"]
    delta: float
    keys: tuple[str, ...]
    unit: str
    where: Mapping[str, str | int] = field(default_factory=dict)
    each: str = ""
    by_family: bool = False
    drops_flex: bool = False
    is_flat: bool = False


def _read() -> dict[str, CurveFit]:
    text = (files("vvscale.laws.gokce2026") / "curves.toml").read_text(encoding="utf-8")
    return {
        name: from_table(CurveFit, {"name": name, **entry}, "curves.toml") for name, entry in parse_toml(text).items()
    }


CURVES: Mapping[str, CurveFit] = _read()
"""Name -> kind of curve."""


@dataclass(frozen=True)
class Curve:
    """One curve, fitted twice.

    Attributes
    ----------
    name
        ``icml2026:KIND/GROUP/DATA SET``.
    kind
        What it is.
    theirs
        In the study's form, for the input divided by its scale.
    ours
        By our solver, in units of the column.
    resampled
        Resamples of ours by the kind's unit; None without.
    excluded
        Points left out, reason -> names.
    """

    name: str
    kind: CurveFit
    theirs: PublishedForm
    ours: Fit
    resampled: Bootstrap | None
    excluded: Mapping[str, list[str]]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the curve should know, in sentences."""
        made = [f"{len(names)} points left out: {reason}." for reason, names in self.excluded.items()]
        if self.theirs.has_no_limit:
            made.append("The limit of the score is 1 in the study's form: an extrapolation, not a finding.")
        if self.theirs.n_failed:
            made.append(f"{self.theirs.n_failed} of {self.theirs.n_starts} starts ended without a finite loss.")
        return tuple(made)

    def row(self) -> dict[str, Any]:
        """Return one row of a table."""
        ends: tuple[float, float] | tuple[None, None] = (None, None)
        if self.resampled is not None:
            ends = self.resampled.interval("E")
        return {
            "curve": self.name, "n": self.ours.n,
            "E theirs": self.theirs.params["E"], "alpha theirs": self.theirs.alpha,
            "loss theirs": self.theirs.loss, "E": self.ours.params["E"], "low": ends[0], "high": ends[1],
            "alpha": self.ours.params["alpha"], "loss": self.ours.loss, "status": str(self.ours.status),
            "notes": " ".join(self.notes),
        }  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "name": self.name, "summary": self.kind.summary, "theirs": self.theirs.to_dict(),
            "ours": self.ours.to_dict(), "intervals": None if self.resampled is None else self.resampled.to_dict(),
            "excluded": dict(self.excluded), "notes": list(self.notes),
        }  # fmt: skip


def fit_curves(
    names: str | Sequence[str] = PAPER,
    *,
    tables: Mapping[str, pd.DataFrame] | None = None,
    compute: Literal["forward", "training"] = "forward",
    resamples: int = 0,
    seed: int = SEED,
) -> list[Curve]:
    """Fit the named curves of the 2026 study.

    Parameters
    ----------
    names
        ``"icml2026"`` for all, or names and patterns such as ``"icml2026:compute/average/*"``.
    tables
        Table -> rows of :func:`vvscale.scores.gokce2026.read_results`; by default those at hand.
    compute
        Definition of the compute of pretraining, where tables are loaded here.
    resamples
        Resamples for the intervals of our fits; 0 for none.
    seed
        Of the resamples.

    Raises
    ------
    UnknownNameError
        A name that no table has a curve for.
    MissingDataError
        A table is not at hand, or lacks a column.
    """
    held = _tables(names, tables, compute)
    points = {
        name: (kind, of)
        for kind in CURVES.values()
        if kind.table in held
        for name, of in _curves(kind, held[kind.table])
    }
    return [_fit(name, *points[name], resamples, seed) for name in _matching(names, list(points))]


def curve_names(
    names: str | Sequence[str] = PAPER,
    *,
    tables: Mapping[str, pd.DataFrame] | None = None,
    compute: Literal["forward", "training"] = "forward",
) -> list[str]:
    """Return the names of the curves that tables have; the parameters are those of :func:`fit_curves`."""
    held = _tables(names, tables, compute)
    known = [name for kind in CURVES.values() if kind.table in held for name, _ in _curves(kind, held[kind.table])]
    return _matching(names, known)


def _patterns(names: str | Sequence[str]) -> list[str]:
    return [one if ":" in one else f"{one}:*" for one in ([names] if isinstance(names, str) else names)]


def _tables(
    names: str | Sequence[str], tables: Mapping[str, pd.DataFrame] | None, compute: Literal["forward", "training"]
) -> Mapping[str, pd.DataFrame]:
    """Return the tables given, or load those that the names are about."""
    if tables is not None:
        return tables
    kinds = [one.partition("/")[0] for one in _patterns(names)]
    wanted = {kind.table for kind in CURVES.values() if any(fnmatchcase(f"{PAPER}:{kind.name}", one) for one in kinds)}
    return {table: load_results(table, compute=compute) for table in sorted(wanted)}


def _matching(names: str | Sequence[str], known: list[str]) -> list[str]:
    """Return the names that a pattern matches; a kind stands for all its curves."""
    found = []
    for pattern in _patterns(names):
        matches = [name for name in known if fnmatchcase(name, pattern) or name.partition("/")[0] == pattern]
        if not matches:
            raise unknown_name("curve of the 2026 study", pattern, known or [f"{PAPER}:{one}" for one in CURVES])
        found += [name for name in matches if name not in found]
    return found


def _curves(kind: CurveFit, frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return name -> points of every curve of a kind: each group, on each data set and on their average."""
    rows = _controlled(kind, frame)
    groups: dict[str, pd.DataFrame] = {AVERAGE: rows} if not kind.each else {}
    if kind.by_family:
        parents = rows["family"].str.removesuffix(_FLEX)
        groups |= {name: rows[parents == name] for name in FAMILIES if (parents == name).any()}
    if kind.each:
        groups |= {str(value): part for value, part in rows.groupby(kind.each, sort=True)}
    made = []
    for group, of in groups.items():
        for benchmark, part in of.groupby("benchmark_id", sort=True):
            made.append((f"{PAPER}:{kind.name}/{group}/{benchmark}", _points(kind, part)))
        if of["benchmark_id"].nunique() > 1 and not kind.is_flat:
            made.append((f"{PAPER}:{kind.name}/{group}/{AVERAGE}", _points(kind, of)))
    return made


def _controlled(kind: CurveFit, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a kind: the study's own networks, supervised, and what the kind asks besides."""
    needed = [kind.x, "benchmark_id", "score", *([kind.each] if kind.each else ["family"]), *kind.where]
    absent = [name for name in needed if name not in frame]
    if absent:
        raise MissingDataError(f"The table '{kind.table}' has no column '{absent[0]}', which '{kind.name}' needs.")
    rows = frame
    conditions = {"backbone_source": "spvvs", "is_ssl": False, "is_adv": False} if kind.table == "pretraining" else {}
    for column, value in {**conditions, **kind.where}.items():
        if column in rows:
            rows = rows[rows[column] == value]
    return rows[~rows["family"].str.endswith(_FLEX)] if kind.drops_flex else rows


def _points(kind: CurveFit, rows: pd.DataFrame) -> pd.DataFrame:
    """Average the rows of each point: over subjects, then regions, then data sets; or all at once."""
    keys = [name for name in kind.keys if name in rows]
    kept = [name for name in dict.fromkeys([kind.x, kind.unit, "model_id"]) if name in rows and name not in keys]
    steps = [] if kind.is_flat else [[*keys, "benchmark_id", "region"], [*keys, "benchmark_id"]]
    firsts = rows.groupby(keys, sort=True)[kept].first() if kept else None
    scores = rows
    for step in [*steps, keys]:
        scores = scores.groupby(step, sort=True, as_index=False)["score"].mean()
    points = scores.set_index(keys)
    points = points if firsts is None else points.join(firsts)
    return points.reset_index().assign(misalignment=lambda frame: 1.0 - frame["score"])


def _fit(name: str, kind: CurveFit, points: pd.DataFrame, resamples: int, seed: int) -> Curve:
    known = points[points[kind.x].notna() & (points[kind.x] > 0)]
    is_below = known["misalignment"] > 0
    excluded = {}
    if not is_below.all():
        excluded["a score of 1 or more, whose misalignment has no logarithm"] = [
            " ".join(map(str, one)) for one in known.loc[~is_below, [n for n in kind.keys if n in known]].to_numpy()
        ]
    known = known[is_below]
    if len(known) < 4:
        raise ShapeError(f"'{name}' has {len(known)} points; expected at least 4.")
    x, y = known[kind.x].to_numpy(float), known["misalignment"].to_numpy(float)
    theirs = fit_published_form(x / kind.scale, y, is_shifted=kind.law == "shifted", delta=kind.delta)
    ours = fit_rows(known, law=kind.law, x=kind.x, delta=kind.delta, excluded=excluded)
    drawn = None
    if resamples:
        try:
            drawn = bootstrap(ours, resamples, by=kind.unit if kind.unit in known else "row", seed=seed)
        except ShapeError:
            drawn = None  # one architecture or one seed: nothing varies independently
    return Curve(name, kind, theirs, ours, drawn, excluded)
