"""Many figures at once, on all cores, one process each: what ``vvscale figure`` runs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vvscale.core.files import make_folder
from vvscale.core.imports import require
from vvscale.core.processes import run_in_processes
from vvscale.errors import DataError, FitError, MissingDataError, UnknownNameError, VvscaleError
from vvscale.figures.base.captions import caption
from vvscale.figures.base.fits import Fits
from vvscale.figures.base.registry import FIGURES, in_order, matching
from vvscale.figures.base.tables import PUBLISHED
from vvscale.figures.drawing.files import FORMATS, check_formats, save
from vvscale.figures.options import DrawOptions

# Importing a module registers its figures.
# isort: off
from vvscale.figures.general import (  # noqa: F401
    against, regions, allocation, residuals, horizon, plateau, objectives, learning, accuracy, layers,
)  # fmt: skip
from vvscale.figures.papers import ccn2024, icml2025_laws, icml2025_models  # noqa: F401

# isort: on

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vvscale.figures.drawing.values import FigureData

__all__ = ["FIGURES", "Drawn", "all_of", "draw_all", "in_order", "make", "matching"]

# They go first, so that no core waits for a late long one: those that take the longest where nothing is kept yet, then
# those with most to draw.
LONGEST = (
    "icml-5a", "ccn-2d", "icml-4a", "ccn-1", "icml-3b", "icml-3a", "icml-2a", "icml-2b", "horizon", "icml-S6",
    "icml-S3", "icml-S1", "residuals", "regions", "allocation",
)  # fmt: skip


@dataclass(frozen=True)
class Drawn:
    """What became of one figure.

    Attributes
    ----------
    name
        The figure.
    files
        What was written.
    notes
        What a reader must know of it.
    lacking
        Why it could not be drawn; empty if it was.
    n
        Models in each panel.
    caption
        What a caption says of it, made from its data.
    """

    name: str
    files: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    lacking: str = ""
    n: tuple[int, ...] = field(default=())
    caption: str = ""


# They draw the outcome against one column each; ``scatter`` against any.
AGAINST = {"compute": "train_flop", "parameters": "n_params", "samples": "samples_seen"}


def all_of(fits: Fits, options: DrawOptions | None = None) -> list[str]:
    """Names of all figures of a table, none of which draws the same as another.

    The papers' figures ask for the papers' own rows; of any table but the published one, all are the general ones.
    """
    source = fits.source
    is_asked = bool(source.x or (options and options.x))
    known = {name for name, column in AGAINST.items() if column in source.models.columns and not is_asked}
    left_out = {*AGAINST, "scatter"} - (known or {"scatter"})
    return [name for name in in_order(presets=source.name == PUBLISHED) if name not in left_out]


def lacking_lines(lacking: Mapping[str, str]) -> list[str]:
    """Say what a table lacks for which figures: one reason in full, of several only what each needs."""
    if not lacking:
        return []
    if len(lacking) == 1:
        return [next(iter(lacking.values()))]
    of_need: dict[str, list[str]] = {}
    for name in lacking:
        of_need.setdefault(FIGURES[name].needs, []).append(name)
    listed = "; ".join(f"{', '.join(names)} ({need})" for need, names in of_need.items())
    return [f"Not drawn, for lack of what they need: {listed}. `vvscale figure NAME` says why."]


def make(name: str, fits: Fits, options: DrawOptions | None = None) -> FigureData:
    """Make one figure's values.

    Parameters
    ----------
    name
        ``vvscale ls figures`` lists them.
    fits
        The tables and the resampling.
    options
        What is asked of a general figure.

    Raises
    ------
    UnknownNameError
        No such figure.
    UsageError
        Options that the figure does not take.
    MissingDataError
        The tables lack what it needs; the message names the column or the models.
    """
    chosen = FIGURES[name]
    try:
        data = chosen.make(fits, options or DrawOptions())
        return replace(data, caption=caption(data, fits))
    except (DataError, FitError, UnknownNameError) as error:
        if isinstance(error, UnknownNameError) and options is not None and options.given:
            raise
        raise MissingDataError(f"Figure '{name}' needs {chosen.needs}. {error}") from error


def draw_all(
    names: Sequence[str],
    fits: Fits,
    folder: str | Path,
    *,
    options: DrawOptions | None = None,
    formats: Sequence[str] = FORMATS,
    n_workers: int | None = None,
    on_done: Callable[[str], None] = lambda name: None,
    durable: bool = True,
) -> list[Drawn]:
    """Draw figures into a folder; results in the order of ``names``.

    Parameters
    ----------
    options
        What is asked of general figures.
    formats
        Some of pdf, svg, png, csv, json.
    n_workers
        Processes; by default one per available core.
    on_done
        Called with each finished name.
    durable
        Whether files shall outlive a power cut.

    Raises
    ------
    UsageError
        No figure, an unknown format or name, or fewer than one worker.
    RunError
        A worker died.
    """
    formats = check_formats(formats)
    require("matplotlib")
    for name in names:
        FIGURES[name]
    folder = make_folder(Path(folder))
    return run_in_processes(
        _draw_one,
        names,
        n_workers,
        shared=fits,
        further=(folder, formats, options, durable),
        longest_first=lambda name: LONGEST.index(name) if name in LONGEST else len(LONGEST),
        on_done=on_done,
    )


def _draw_one(
    name: str, fits: Fits, folder: Path, formats: Sequence[str], options: DrawOptions | None, durable: bool
) -> Drawn:
    try:
        data = make(name, fits, options)
    except VvscaleError as error:
        # One figure that a table does not allow must not take the others with it.
        return Drawn(name, lacking=str(error))
    provenance = {
        "tables": dict(fits.source.digests), "n_resamples": fits.n_resamples, "seed": fits.seed,
        "cites": list(FIGURES[name].cites),
    }  # fmt: skip
    files = save(data, folder, formats=formats, provenance=provenance, durable=durable)
    return Drawn(
        name,
        tuple(files),
        data.notes,
        n=tuple(panel.n for panel in data.panels),
        caption=data.caption,
    )
