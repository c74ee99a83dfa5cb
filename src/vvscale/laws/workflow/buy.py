"""From a saved joint law to a purchase: what ``vvscale buy`` does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vvscale.core.options import MISSING, Options, option
from vvscale.laws.planning.purchase import Purchase, buy_next
from vvscale.laws.workflow.save import load_joint


@dataclass(frozen=True, kw_only=True)
class BuyOptions(Options):
    """What there is, what more of it costs, and what may be spent."""

    have: tuple[float, float] = option(MISSING, "What there is of each input of the law, in units of its column.")
    price: tuple[float, float] = option(MISSING, "Price of an hour of each, in one currency.")
    budget: float = option(MISSING, "What may be spent, in that currency.", above=0)
    per_hour: tuple[float, float] = option(
        (1.0, 1.0),
        "How much of each input an hour gives, such as the FLOP of a GPU and the images of a rig; with 1 1, prices are "
        "of one unit.",
    )
    level: float = option(0.95, "Coverage of the intervals.", above=0, at_most=0.999)
    name: str | None = option(None, "Which fit, if the file holds several joint ones.")
    group: str | None = option(None, "Which group, if the fit has amplitudes by group (offsets).")


def run_purchase(fit: str, options: BuyOptions | None = None, /, **fields: Any) -> Purchase:
    """Split a budget between the two inputs of a saved joint law.

    Parameters
    ----------
    fit
        A fits.json or its folder.
    options, fields
        A :class:`BuyOptions`, its fields as keywords, or both.
    """
    options = BuyOptions.of(options, **fields)
    saved = load_joint(fit, options.name, options.group, of_any=True)
    return buy_next(
        saved.law, columns=saved.columns, have=options.have, price=options.price, per_hour=options.per_hour,
        budget=options.budget, level=options.level,
    )  # fmt: skip
