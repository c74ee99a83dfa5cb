"""The study's 43 named fits: which rows, which law, and what was published.

Source: Gokce & Schrimpf 2025 (arXiv 2411.05712) and its published configurations. The rows, the law and the
order of rows are exactly theirs, so that losses and resamples can be compared digit by digit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from vvscale.core.registry import Registry
from vvscale.errors import ShapeError, unknown_name
from vvscale.laws.fit import Fit, Status, fit_law
from vvscale.laws.uncertainty.bootstrap import Bootstrap, bootstrap
from vvscale.scores import ModelTable, drop_missing, model_table, select

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

CONTROLLED = {"is_pretrained": False, "is_random": False, "is_ssl": False, "is_adv": False, "is_ablation": False}
CORE = {**CONTROLLED, "dataset": ["imagenet", "ecoset"]}
GROUP_1 = ["ResNet", "EfficientNet", "CORnet-S", "AlexNet"]
GROUP_2 = ["ConvNeXt", "ViT"]
PRETRAINED_FAMILIES = [
    "ConvNeXt", "DaVit", "EfficientNet", "EfficientViT-B", "FastViT", "LeViT", "MaxxViT", "MobileViT", "ResNet", "ViT",
]  # fmt: skip
# Published samples_per_class of 0 means all images.
FULL_OR_300 = [0, 300]


class ModelTables:
    """The model tables of one score table, each made once however many experiments ask for it.

    Parameters
    ----------
    scores
        Long table of ``vvscale.scores.load_scores``.
    """

    def __init__(self, scores: pd.DataFrame) -> None:
        self.scores = scores
        self.models = scores.drop_duplicates("model_id")
        self._made: dict[str, ModelTable] = {}

    def __getitem__(self, regions: str) -> ModelTable:
        if regions not in self._made:
            self._made[regions] = model_table(self.scores, regions)
        return self._made[regions]


@dataclass(frozen=True)
class Experiment:
    """One named fit.

    Attributes
    ----------
    name, summary
        The study's name for it, and what it asks in words.
    law
        Name of the law.
    x
        Input columns.
    regions
        Regions whose mean score is fitted.
    where
        Conditions of ``vvscale.scores.select``; family means the parent family.
    drops_small_transformers
        Whether ConvNeXt and ViT stay only at 300 images per class and more.
    requires
        Columns that a row must have to stay, although the law does not use them.
    published
        Published parameters, loss and S_inf, where known.
    """

    name: str
    summary: str
    law: str
    x: tuple[str, ...]
    regions: str
    where: Mapping[str, Any] = field(default_factory=dict)
    drops_small_transformers: bool = False
    requires: tuple[str, ...] = ()
    published: Mapping[str, float] = field(default_factory=dict)

    def rows(self, scores: pd.DataFrame | ModelTables) -> tuple[pd.DataFrame, dict[str, list[str]]]:
        """Return the rows to fit, ascending in model_id, and what was left out of the selection by reason."""
        tables = scores if isinstance(scores, ModelTables) else ModelTables(scores)
        chosen = set(select(tables.models, **self.where)["model_id"])
        table = tables[self.regions]
        frame = table.frame[table.frame["model_id"].isin(chosen)]
        unscored = {reason: sorted(chosen.intersection(models)) for reason, models in table.excluded.items()}
        excluded = {reason: models for reason, models in unscored.items() if models}
        if self.drops_small_transformers:
            small = frame["parent_family"].isin(GROUP_2) & ~frame["samples_per_class"].isin(FULL_OR_300)
            if small.any():
                excluded["ConvNeXt or ViT below 300 images per class"] = sorted(frame.loc[small, "model_id"])
            frame = frame[~small]
        frame, missing = drop_missing(frame, self.requires)
        return frame, excluded | missing

    def fit(self, scores: pd.DataFrame | ModelTables) -> Fit:
        """Fit the law to the original rows of a long score table."""
        frame, excluded = self.rows(scores)
        # Exponents are free in sign, as in the published fits.
        return fit_law(frame, law=self.law, x=self.x, excluded=excluded, negative=True, drop_incomplete=True)


EXPERIMENTS: Registry[Experiment] = Registry("experiment", hint="`vvscale ls experiments` lists all 43.")


def _add(name: str, summary: str, law: str, x: str | tuple[str, ...], regions: str, **more: Any) -> None:
    columns = (x,) if isinstance(x, str) else x
    EXPERIMENTS.add(name, Experiment(name, summary, law, columns, regions, **more))


def _define() -> None:
    _add(
        "compute_neuro",
        "neural alignment against compute, all controlled models",
        "power",
        "train_flop",
        "neural",
        where=CORE,
        published={"E": 0.52268, "A": 0.54911, "alpha": 0.15693, "loss": 0.0726774},
    )
    _add(
        "compute_behavior",
        "behavioural alignment against compute, all controlled models",
        "power",
        "train_flop",
        "behavior",
        where=CORE,
        published={"E": 0.0, "A": 1.4030, "alpha": 0.06223},
    )
    _add(
        "compute_chinchilla",
        "alignment against parameters and samples",
        "joint",
        ("n_params", "samples_seen"),
        "all",
        where=CORE,
        drops_small_transformers=True,
        published={"E": 0.51719, "A": 0.18134, "alpha": 0.57966, "B": 0.49912, "beta": 0.22247, "loss": 0.0151781},
    )
    _add(
        "parameter_scaling",
        "alignment against parameters, full datasets",
        "power",
        "n_params",
        "all",
        where={**CORE, "samples_per_class": 0},
        published={"S_inf": 0.4382},
    )
    _add(
        "parameter_pretrained_scaling",
        "alignment against parameters, pretrained models",
        "power",
        "n_params",
        "all",
        where={"is_pretrained": True, "parent_family": PRETRAINED_FAMILIES},
        requires=("dataset",),
    )
    for dataset in ("imagenet", "ecoset", "imagenet21kP", "inaturalist", "places365", "webvisionP", "infimnist"):
        published = {"imagenet": {"S_inf": 0.460}, "ecoset": {"S_inf": 0.475}}.get(dataset, {})
        _add(
            f"sample_{dataset}_scaling",
            f"alignment against samples seen, {dataset}",
            "power",
            "samples_seen",
            "all",
            where={**CONTROLLED, "dataset": dataset},
            drops_small_transformers=True,
            published=published,
        )
    targets = {"avg": "all", "behavior": "behavior", "neuro": "neural"}
    for family in ("ResNet", "EfficientNet", "ConvNeXt", "ViT"):
        law = "shifted" if family in GROUP_2 else "power"
        for target, regions in targets.items():
            _add(
                f"model_{family.lower()}_{target}",
                f"{regions} alignment against compute, {family}",
                law,
                "train_flop",
                regions,
                where={**CORE, "parent_family": family},
            )
    for region in ("V1", "V2", "V4", "IT", "behavior", "avg"):
        regions = "all" if region == "avg" else region
        for number, families, law in ((1, GROUP_1, "power"), (2, GROUP_2, "shifted")):
            _add(
                f"region_{region.lower()}_group{number}",
                f"{regions} alignment against compute, {', '.join(families)}",
                law,
                "train_flop",
                regions,
                where={**CORE, "parent_family": families},
            )
    for target in ("avg", "behavior", "neuro", "v1", "v2", "v4", "it"):
        regions = targets.get(target, target.upper())
        _add(
            f"simclr_{target}",
            f"{regions} alignment against compute, SimCLR ResNets on ImageNet",
            "power",
            "train_flop",
            regions,
            where={"is_ssl": True, "ssl_method": "simclr", "dataset": "imagenet", "parent_family": "ResNet"},
        )


_define()


def matching(patterns: Sequence[str]) -> list[str]:
    """Names that match any of the patterns, in the study's order; all of them without a pattern.

    Raises
    ------
    UnknownNameError
        A pattern that matches nothing.
    """
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in EXPERIMENTS):
            raise unknown_name("experiment", pattern, EXPERIMENTS, EXPERIMENTS.hint)
    return [name for name in EXPERIMENTS if not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)]


@dataclass(frozen=True)
class Reproduction:
    """One experiment fitted, with what was published beside it.

    Attributes
    ----------
    experiment, fit
        What was asked and the answer.
    resamples
        Bootstraps by resampling unit.
    refused
        Why there is none, by unit: too few points, or a single unit.
    """

    experiment: Experiment
    fit: Fit
    resamples: Mapping[str, Bootstrap] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)

    def against_published(self) -> dict[str, float]:
        """Relative difference of each published value, name -> (ours - theirs) / theirs; absolute where theirs is 0."""
        ours = {**self.fit.params, "loss": self.fit.loss, "S_inf": 1.0 - self.fit.params["E"]}
        return {
            name: (ours[name] - value) / value if value else ours[name]
            for name, value in self.experiment.published.items()
        }

    @property
    def verdict(self) -> str:
        """What the fit can bear, in a few words."""
        fit, note = self.fit, ""
        differences = [abs(value) for name, value in self.against_published().items() if name != "loss"]
        if differences:
            note = (
                "; as published" if max(differences) <= 1e-3 else f"; differs from the paper by {max(differences):.1%}"
            )
        if fit.status is Status.TOO_FEW_POINTS:
            return f"{fit.problem.n_distinct} distinct points: interpolation, no interval{note}"
        if "E = 0" in fit.edges:
            return f"no plateau in these rows (E = 0): the limit is not identified{note}"
        if fit.status is Status.NOT_CONVERGED:
            return f"not converged{note}"
        if fit.status is Status.UNIDENTIFIED or fit.edges:
            return f"curve and E only; the exponent is not identified{note}"
        interpolating = max((float((~b.usable).mean()) for b in self.resamples.values()), default=0.0)
        if interpolating > 0.025:
            return f"too few points: {interpolating:.0%} of resamples interpolate{note}"
        shares = [b.share_at_zero() for b in self.resamples.values()]
        if shares and max(shares) > 0.025:
            return f"plateau in doubt: E = 0 in up to {max(shares):.0%} of resamples{note}"
        return f"plateau identified{note}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for ``fits.json``."""
        fit = self.fit.to_dict()
        row = self.resamples.get("row")
        return {
            "name": self.experiment.name,
            "summary": self.experiment.summary,
            "form": self.experiment.law,
            "x": fit["x"],
            "units": fit["units"],
            "y": f"1 - mean score of {self.experiment.regions}",
            "n": fit["n"],
            "n_distinct": fit["n_distinct"],
            "params": fit["params"],
            "S_inf": 1.0 - self.fit.params["E"],
            "loss": fit["loss"],
            "status": fit["status"],
            "edges": fit["edges"],
            "gradient": fit["gradient"],
            "agreement": fit["agreement"],
            "r2": fit["r2"],
            "ci": row.to_dict()["ci"] if row else None,
            "intervals": {unit: b.to_dict() for unit, b in self.resamples.items()},
            "refused": dict(self.refused),
            "published": dict(self.experiment.published),
            "against_published": self.against_published(),
            "verdict": self.verdict,
            "excluded": fit["excluded"],
        }


def reproduce(
    experiment: Experiment,
    scores: pd.DataFrame | ModelTables,
    *,
    n_resamples: int = 0,
    units: tuple[str, ...] = ("row",),
    seed: int = 42,
) -> Reproduction:
    """Fit one experiment and resample it.

    Parameters
    ----------
    experiment
        Which one.
    scores
        Long table of ``vvscale.scores.load_scores``.
    n_resamples
        Resamples per unit; 0 for none.
    units
        Resampling units; ``row`` with seed 42 are the published resamples.
    """
    fit = experiment.fit(scores)
    made: dict[str, Bootstrap] = {}
    refused: dict[str, str] = {}
    for unit in units if n_resamples else ():
        try:
            made[unit] = bootstrap(fit, n_resamples, unit=unit, seed=seed)
        except ShapeError as error:
            refused[unit] = str(error)
    return Reproduction(experiment, fit, made, refused)
