"""Claims as data: a TOML file says what is claimed, where, and which quantity of which fit it is about.

A file holds ``title``, ``source``, any number of ``[fits.NAME]`` (a law and its rows) and of ``[[claims]]``. Those of
the published papers lie beside this module; a user's own file has the same form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path
from typing import Literal

from vvscale.core.config import from_table, read_toml
from vvscale.errors import ConfigError, unknown_name

PUBLISHED = ("ccn2024", "icml2025")


Relation = Literal["equals", "above", "below", "ordered", "identified"]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One claim.

    Attributes
    ----------
    name, says, place
        Its short name, the claim in words, and where it stands.
    measure
        How its quantity is measured, a name of ``measures.MEASURES``.
    fit
        A fit of the file, or a named experiment (``vvscale ls experiments``).
    quantity
        Of the measure ``fit``: a parameter, or what follows from it (``S_inf``, ``n_exponent``); of ``knee``:
        ``knee``, ``slope_before`` or ``slope_after``.
    relation, value
        What is claimed of the quantity: that it ``equals`` the value, lies ``above`` or ``below`` it; that several are
        ``ordered``; that the limit is ``identified``.
    rounding
        Half the last digit of the value that the paper prints, or what else still counts as the same.
    tenfold
        Whether the quantity is an exponent and the value the factor 10^exponent.
    plateau
        Of the measure ``headroom``: the limit that the paper names; without it that of the fit.
    regions
        Of the measure ``slopes``: the regions, in the claimed order.
    by
        What belongs together in the intervals; a claim has to hold by each.
    note
        What a reader should know besides.
    """

    name: str
    says: str
    measure: str
    fit: str
    place: str = ""
    quantity: str = ""
    relation: Relation = "equals"
    value: float = 0.0
    rounding: float = 0.0
    tenfold: bool = False
    plateau: float | None = None
    regions: tuple[str, ...] = ()
    by: tuple[str, ...] = ("arch",)
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class FitSpec:
    """A fit that claims are about.

    Attributes
    ----------
    law, x, y
        As of ``vvscale.laws.fit_law``.
    regions
        Regions whose mean is fitted, of a score table; all five without.
    where
        Conditions on rows, as of ``vvscale fit --where``.
    """

    law: str = "power"
    x: tuple[str, ...] = ("train_flop",)
    y: str = "misalignment"
    regions: str | None = None
    where: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ClaimsFile:
    """Claims of one source.

    Attributes
    ----------
    title, source
        What it is, and how to cite it.
    fits
        Its own fits by name.
    claims
        Its claims.
    """

    title: str
    claims: tuple[Claim, ...]
    source: str = ""
    fits: Mapping[str, FitSpec] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.claims:
            raise ConfigError("there are no claims. Expected at least one table [[claims]].", key="claims")


def read_claims(source: str | Path) -> ClaimsFile:
    """Read a claims file.

    Parameters
    ----------
    source
        ``"ccn2024"`` or ``"icml2025"``, or the path of a TOML file.

    Raises
    ------
    UnknownNameError
        Neither a published name nor a file.
    ConfigError, MissingDataError
        No such file, no TOML, or fields that are missing, unknown or of another type.

    Examples
    --------
    >>> read_claims("ccn2024").claims[0].says
    'the score saturates at .51 (joint law in parameters and samples)'
    """
    if str(source) in PUBLISHED:
        with as_file(files("vvscale.laws.claims") / f"{source}.toml") as path:
            written = read_toml(path)
    elif Path(source).suffix == ".toml":
        written = read_toml(source)
    else:
        raise unknown_name("claims", str(source), PUBLISHED, "Or give a TOML file of your own claims.")
    return from_table(ClaimsFile, written, f"the claims '{source}'")
