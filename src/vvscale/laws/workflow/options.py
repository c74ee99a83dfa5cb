"""Options of ``vvscale fit``, ``reproduce`` and ``plan``, of ``[[laws]]`` in a study, and of the same in Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vvscale.core.options import SEED, Options, option
from vvscale.scores.options import CsvOptions

_LAW, _ROWS, _SURE, _MORE = "Law", "Rows", "Uncertainty", "Further questions"


@dataclass(frozen=True, kw_only=True)
class FitOptions(CsvOptions):
    """What to fit to a table, and what to say about it."""

    law: str = option(
        "power",
        "power, shifted, joint, product, pure-power, kaplan, logistic, log, constant, ccn, ccn-joint; "
        "`vvscale ls laws` shows them.",
        group=_LAW,
    )
    x: tuple[str, ...] = option(
        (),
        "Input column; two for a joint law (parameters, then samples). Default: train_flop, or n_params and "
        "samples_seen.",
        group=_LAW,
    )
    y: str = option("misalignment", "Outcome column; misalignment = 1 - score, and 1-NAME of a score NAME.", group=_LAW)
    offsets: tuple[str, ...] = option(
        (), "Amplitudes (A, B) that each group of `offset_by` has for itself.", group=_LAW
    )
    offset_by: str = option("parent_family", "Column of those groups.", group=_LAW)
    loss: Literal["huber", "squares"] = option(
        "huber", "huber (nearly absolute residuals at the default delta) or squares.", group=_LAW
    )
    delta: float = option(1e-3, "Threshold of the Huber loss.", unit="log residual", above=0, group=_LAW)

    regions: tuple[str, ...] = option(
        (), "Regions to average, of a score table: V1, V2, V4, IT, behavior, neural or all (default).", group=_ROWS
    )
    where: tuple[str, ...] = option(
        (),
        "Condition on rows, such as family=ResNet,ViT or 'n_params>=1e6' or preset=controlled. Repeatable.",
        group=_ROWS,
    )
    missing: Literal["auto", "error", "drop"] = option(
        "auto",
        "Rows that lack x or y: error refuses the table; drop leaves them out, counted and named; auto drops models "
        "of a score table (pretrained ones have no training compute) and refuses any other table.",
        group=_ROWS,
    )
    each: str | None = option(None, "Fit each value of this column by itself.", group=_ROWS)

    resamples: int = option(0, "Resamples per unit; 0 for none, and so for no intervals.", at_least=0, group=_SURE)
    by: tuple[str, ...] = option(
        (),
        "Resampling unit: arch (default where known), row, cell, family, or a column; or mixed, a model with random "
        "intercepts of family and architecture instead of resamples. Several are shown side by side.",
        group=_SURE,
    )
    seed: int = option(SEED, "Seed of the resamples.", at_least=0, group=_SURE)
    profile: bool = option(False, "Profile likelihood of the plateau, deflated by the design effect.", group=_SURE)

    compare: bool = option(
        False, "Fit the alternative laws to the same rows: information criteria, grouped cross-validation.", group=_MORE
    )
    hold_out: bool = option(
        False, "Fit on low compute, predict high compute, compared with naive forecasts.", group=_MORE
    )
    prediction: bool = option(
        False,
        "Measured coverage of conformal prediction intervals for new models, architectures, families, high compute.",
        group=_MORE,
    )
    at: tuple[float, ...] = option(
        (),
        "Predict a new model here: one value of x, or one per input of a joint law. Repeatable.",
        unit="as the column",
        group=_MORE,
    )
    saturation: bool = option(
        False, "Where does the score flatten? A broken line with its knee and the slope beyond it.", group=_MORE
    )
    sensitivity: bool = option(
        False, "Does the conclusion change with the form, the loss, the resampling unit or the rows?", group=_MORE
    )

    @property
    def threshold(self) -> float | None:
        """Threshold of the Huber loss; None for least squares."""
        return self.delta if self.loss == "huber" else None


@dataclass(frozen=True, kw_only=True)
class ReproduceOptions(Options):
    """How the published laws are fitted again."""

    resamples: int = option(
        0, "Resamples per unit; 0 for none, and so for no intervals. The published number is 1000.", at_least=0
    )
    by: tuple[str, ...] = option(
        ("row", "arch"),
        "Resampling unit: row (the published resamples, bit for bit with seed 42), arch (rows of one "
        "architecture are not independent), cell, family. Several are shown side by side.",
    )
    sensitivity: bool = option(
        False, "Does the conclusion change with the form, the loss, the resampling unit or the rows? A table of each."
    )
    scores: str = option("gokce2025", "Score table: a published set, a CSV or Parquet file, or a store folder.")
    compute: Literal["forward", "training"] = option(
        "forward",
        "Compute of pretraining in the curves of icml2026: forward, images x one forward pass, as published; training, "
        "3 x that x epochs.",
    )
    seed: int = option(SEED, "Seed of the resamples.", at_least=0)
    workers: int | None = option(None, "Processes; by default one per core.", at_least=1)


@dataclass(frozen=True, kw_only=True)
class PlanOptions(CsvOptions):
    """What to plan with a joint law."""

    budget: tuple[float, ...] = option((), "Compute of a training run. Repeatable.", unit="FLOP", above=0)
    target: float | None = option(
        None, "A score to reach: the budget it needs, or that it is beyond the plateau.", above=0, at_most=1
    )
    cost: tuple[float, float] | None = option(None, "m and n of C = m (N D)^n. Default: fitted to the rows of the fit.")
    family: str | None = option(
        None, "Cost of this family instead: 3 x forward FLOP x samples, with forward FLOP a power of N over its sizes."
    )
    min_params: float | None = option(None, "Lower bound of N.", above=0, group="Bounds")
    max_params: float | None = option(None, "Upper bound of N.", above=0, group="Bounds")
    min_samples: float | None = option(None, "Lower bound of D.", unit="samples seen", above=0, group="Bounds")
    max_samples: float | None = option(None, "Upper bound of D.", unit="samples seen", above=0, group="Bounds")
    name: str | None = option(None, "Which fit, if the file holds several joint ones.")
    group: str | None = option(None, "Which group, if the fit has amplitudes by group (offsets).")
    n_samples: float | None = option(
        None, "Images at hand: how often each would be seen. Default: the largest data set of the rows.", above=0
    )
    epochs: float | None = option(
        None, "Passes over the images: how many of these a plan needs. A law in n_samples needs it.", above=0
    )
    anyway: bool = option(
        False, "Plan with a fit that did not converge, is unidentified, or was not assessed (has no intervals)."
    )
    worst: int = option(
        0,
        "How many of the models in the score table to list whose compute another split would have used better.",
        at_least=0,
    )
    scores: str = option("gokce2025", "Score table for experiments, the cost of a family, and the worst models.")
    resamples: int = option(1000, "Resamples by architecture for an experiment's intervals; 0 for none.", at_least=0)
    seed: int = option(SEED, "Seed of the resamples.", at_least=0)
