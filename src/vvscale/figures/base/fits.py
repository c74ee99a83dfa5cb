"""Fitted laws as figures need them, kept on disk by the content of everything that they depend on.

Every fit is one of ``vvscale.laws``, resampled by its default unit; nothing is fitted by other means.
The name of a kept file is the sha256 of the rows, the law, the resampling and the source code of ``vvscale.laws``, so
that a file can be out of date only by being unreadable, and is then made again.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vvscale.core.files import write_json
from vvscale.core.hashing import hash_of, source_digest
from vvscale.core.jsonable import jsonable, parse_json, seal_holds, sealed
from vvscale.core.options import SEED
from vvscale.errors import ShapeError
from vvscale.figures.base.curves import curve_of
from vvscale.figures.base.law_curve import LawCurve
from vvscale.figures.base.tables import Source, frame_digest
from vvscale.laws.fit import Fit, Status, fit_rows
from vvscale.laws.uncertainty.bootstrap import Bootstrap, bootstrap
from vvscale.laws.uncertainty.resample import default_unit
from vvscale.scores.published import cache_folder

if TYPE_CHECKING:
    import pandas as pd

    from vvscale.laws.gokce2025.experiments import Experiment

FOLDER = "fits"
# Columns that a fit depends on, where the table has them.
ROW_COLUMNS = ("model_id", "misalignment", "arch", "parent_family", "dataset", "samples_per_class", "train_flop")


@dataclass(frozen=True)
class Question:
    """What is fitted: rows, a law and its inputs.

    Attributes
    ----------
    name
        What the fit is called in files and notes.
    frame
        One row per model, with ``misalignment``, which the law is fitted to.
    law, x
        Name of the law, and its input columns.
    is_score
        Whether 1 - misalignment is what is drawn.
    is_free
        Whether exponents may be negative, as in the published fits.
    """

    name: str
    frame: pd.DataFrame
    law: str
    x: tuple[str, ...]
    is_score: bool = True
    is_free: bool = False

    def fit(self) -> Fit:
        """Fit it, without resampling."""
        return fit_rows(self.frame, law=self.law, x=self.x, negative=self.is_free, drop_incomplete=True)


@dataclass(frozen=True)
class Fits:
    """Fits of one source, each made once per content.

    Attributes
    ----------
    source
        The tables.
    n_resamples, seed
        Of every bootstrap.
    folder
        Where fits are kept; by default in vvscale's cache folder.
    """

    source: Source
    n_resamples: int = 1000
    seed: int = SEED
    folder: Path | None = None

    def question(self, experiment: Experiment) -> Question:
        """Return what a published experiment asks of this table."""
        adapted = self.source.adapt(experiment)
        frame, _ = adapted.rows(self.source.tables)
        return Question(adapted.name, frame, adapted.law, adapted.x, is_free=True)

    def curve(self, asked: Experiment | Question) -> LawCurve:
        """Return a fitted law, from the disk if it was fitted to these very rows before."""
        asked = asked if isinstance(asked, Question) else self.question(asked)
        # Several figures ask for one law under names of their own: it is fitted once, and called as asked.
        request = {
            **{key: jsonable(value) for key, value in asked.__dict__.items() if key not in {"frame", "name"}},
            "rows": _rows_digest(asked.frame, asked.x), "n_resamples": self.n_resamples, "seed": self.seed,
        }  # fmt: skip
        made = LawCurve.from_dict(self.kept("curve", request, lambda: self._curve(asked).to_dict()))
        return replace(made, facts={**made.facts, "name": asked.name})

    def fit(self, asked: Experiment | Question) -> Fit:
        """Fit without resampling; takes milliseconds to a second and is not kept."""
        return (asked if isinstance(asked, Question) else self.question(asked)).fit()

    def resampled(self, fit: Fit) -> Bootstrap | None:
        """Return a fit's bootstrap by its default unit; None without resamples, and where they would mean nothing."""
        # Where the search did not end, resamples would not end either.
        if not self.n_resamples or fit.status is Status.NOT_CONVERGED:
            return None
        try:
            return bootstrap(fit, self.n_resamples, by=default_unit(fit.problem.frame), seed=self.seed)
        except ShapeError:
            return None

    def digest(self, asked: Experiment | Question) -> str:
        """Return sha256 of the rows of what is fitted."""
        asked = asked if isinstance(asked, Question) else self.question(asked)
        return _rows_digest(asked.frame, asked.x)

    def kept(self, kind: str, request: dict[str, Any], make: Callable[[], Any]) -> Any:
        """Return the JSON value of a request, made and written if it is not on disk.

        Parameters
        ----------
        kind, request
            What it depends on besides the code.
        make
            Makes it.
        """
        text = json.dumps([kind, request, code_digest()], sort_keys=True)
        folder = self.folder or cache_folder() / FOLDER
        return _kept(folder / f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:32]}.json", make)

    def _curve(self, asked: Question) -> LawCurve:
        fit = asked.fit()
        return curve_of(fit, self.resampled(fit), name=asked.name, is_score=asked.is_score)


def _rows_digest(rows: pd.DataFrame, x: tuple[str, ...]) -> str:
    columns = dict.fromkeys([*ROW_COLUMNS, *x])
    return frame_digest(rows[[name for name in columns if name in rows.columns]])


def _kept(path: Path, make: Callable[[], Any]) -> Any:
    """Return the JSON value in a file, made and written where there is none that is whole."""
    try:
        record = parse_json(path.read_bytes())
    except (OSError, ValueError):
        record = None
    # A changed number in a kept fit would be drawn as if it had been fitted.
    if isinstance(record, dict) and seal_holds(record):
        return record["value"]
    value = jsonable(make())
    write_json(path, sealed({"value": value}))
    return value


@cache
def code_digest() -> str:
    """Return the digest of the source code that fits depend on."""
    here = Path(__file__).parent
    places = (Path(import_module("vvscale.laws").__path__[0]), here / "fits.py", here / "curves.py")
    # To parse the code takes as long as to read a table: once for these very bytes and the Python that parses them.
    found = sorted(file for place in places for file in ([place] if place.is_file() else place.rglob("*.py")))
    content = hashlib.sha256("".join(hash_of(file) for file in found).encode() + sys.version.encode())
    return _kept(cache_folder() / FOLDER / f"code-{content.hexdigest()[:32]}.json", lambda: source_digest(*places))
