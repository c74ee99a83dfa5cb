"""Figures 6, 7 and S1, S3 to S5 of the study (ICML 2025): accuracy, objectives, training time, and checks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from vvscale.errors import MissingDataError
from vvscale.figures.base import statistics
from vvscale.figures.base.fine_tunes import with_base_compute
from vvscale.figures.base.marks import AXES, in_order, line, mean, points, score_axis
from vvscale.figures.base.registry import preset
from vvscale.figures.base.scaling import Shown, scaling
from vvscale.figures.base.tables import Source, objective, require
from vvscale.figures.drawing import style
from vvscale.figures.drawing.names import written
from vvscale.figures.drawing.values import Axis, FigureData, Panel, Series
from vvscale.figures.general.learning import SAID, learning_panel, trajectories
from vvscale.laws.gokce2025.experiments import CONTROLLED, CORE, EXPERIMENTS, Experiment
from vvscale.scores import REGIONS

if TYPE_CHECKING:
    from vvscale.figures.base.fits import Fits

# Public benchmark -> the private one of the same recordings.
PRIVATE = {
    "V1": "FreemanZiemba2013.V1-pls", "V2": "FreemanZiemba2013.V2-pls", "V4": "MajajHong2015.V4-pls",
    "IT": "MajajHong2015.IT-pls", "behavior": "Rajalingham2018-i2n",
}  # fmt: skip
# Two architectures that were trained with every objective: name -> architectures that count as it.
OBJECTIVES = {"ResNet50": ("resnet50",), "ViT-S": ("deit_small", "vit_small")}
OBJECTIVES_CITED = ("gokce2025", "chen2020simclr", "caron2021dino")
CATEGORIES = tuple(written(region) for region in REGIONS)


def _against_accuracy(fits: Fits, regions: str) -> pd.DataFrame:
    experiment = Experiment("accuracy", f"{regions} alignment against accuracy", "power", ("accuracy",), regions, CORE)
    return fits.source.rows(experiment)


def _accuracy_figure(fits: Fits, name: str, regions: str) -> FigureData:
    frame = _against_accuracy(fits, regions)
    experiment = Experiment("accuracy", "alignment against accuracy", "power", ("accuracy",), regions, CORE)
    title = f"{written(regions)} and accuracy"
    by = "parent_family" if "parent_family" in frame.columns else ""
    panel, notes = scaling(
        fits, [Shown("models", experiment, by=by, has_curve=False)], key="a", title=title, y=score_axis(regions)
    )
    grid = np.linspace(frame["accuracy"].min(), frame["accuracy"].max(), 41)
    chosen = {"n_resamples": fits.n_resamples, "seed": fits.seed}
    value, low, high = statistics.line(frame, "accuracy", "score", grid, **chosen)
    made = statistics.correlation(frame, "accuracy", "score", **chosen)
    fitted = line("line", grid, value, low=low, high=high)
    said = f"r = {made.value:.3f}" + ("" if np.isnan(made.low) else f" [{made.low:.3f}, {made.high:.3f}]")
    panel = replace(
        panel, rows=pd.concat([panel.rows, fitted], ignore_index=True), text=(said,),
        series=(*panel.series, Series("line", style.BLACK, "", "least squares")),
    )  # fmt: skip
    return FigureData(name, f"{title} on the training data set", (panel,), tuple(notes), 1)


@preset("icml-6a", "Neural alignment against validation accuracy.", "accuracy")
def icml_6a(fits: Fits) -> FigureData:
    """Core models, with the least-squares line."""
    return _accuracy_figure(fits, "icml-6a", "neural")


@preset("icml-6b", "Behavioural alignment against validation accuracy.", "accuracy")
def icml_6b(fits: Fits) -> FigureData:
    """Core models, with the least-squares line."""
    return _accuracy_figure(fits, "icml-6b", "behavior")


@preset("icml-6c", "Correlation of each region's alignment with accuracy.", "accuracy")
def icml_6c(fits: Fits) -> FigureData:
    """Pearson correlations over core models."""
    rows, n = [], 0
    for region in REGIONS:
        frame = _against_accuracy(fits, region)
        made = statistics.correlation(frame, "accuracy", "score", n_resamples=fits.n_resamples, seed=fits.seed)
        rows.append(mean(made, region, category=written(region), mark="bar"))
        n = max(n, made.n)
    panel = Panel(
        "a", "Correlation with accuracy", Axis("Region", "region", "category", CATEGORIES),
        Axis("Pearson correlation (-1 to 1)", "correlation"), pd.DataFrame(rows),
        tuple(Series(region, *style.look(region)) for region in REGIONS), n,
    )  # fmt: skip
    said = (
        "The published error bars are those of a mean; here they are percentile intervals over resampled architectures."
    )
    return FigureData("icml-6c", "Correlation of alignment with accuracy, by region", (panel,), (said,), 1)


def _supervised_resnets(regions: str) -> Experiment:
    target = {"neural": "neuro", "behavior": "behavior"}[regions]
    return EXPERIMENTS[f"model_resnet_{target}"]


@preset(
    "icml-7a",
    "SimCLR against supervised ResNets.",
    "train_flop, ssl_method, family, dataset",
    cites=("gokce2025", "chen2020simclr"),
)
def icml_7a(fits: Fits) -> FigureData:
    """Neural and behavioural alignment against compute."""
    panels, notes = [], []
    for key, regions, target in (("a", "neural", "neuro"), ("b", "behavior", "behavior")):
        shown = [
            Shown("supervised", _supervised_resnets(regions)),
            Shown("simclr", EXPERIMENTS[f"simclr_{target}"]),
        ]
        panel, more = scaling(fits, shown, key=key, title=written(regions), y=score_axis(regions))
        panels.append(panel)
        notes += more
    return FigureData("icml-7a", "SimCLR and supervised ResNets", tuple(panels), tuple(notes), 2)


@preset(
    "icml-7b",
    "Adversarial fine-tuning against the ResNet curve.",
    "train_flop, is_adv, family, arch, n_epochs, samples_per_class",
)
def icml_7b(fits: Fits) -> FigureData:
    """Neural and behavioural alignment of fine-tuned ResNets, at their whole compute."""
    source = fits.source
    require(
        source.models,
        ("arch", "dataset", "n_epochs", "samples_per_class", "train_flop", "parent_family"),
        f"'{source.name}'",
    )
    panels, notes, left_out = [], [], []
    for key, regions in (("a", "neural"), ("b", "behavior")):
        models = source.averaged(regions)
        adversarial = models[models["is_adv"] & (models["parent_family"] == "ResNet")]
        if adversarial.empty:
            raise MissingDataError(f"The table '{source.name}' has no models with is_adv true and family ResNet.")
        tuned, left_out = with_base_compute(source.models, adversarial)
        panel, more = scaling(
            fits,
            [Shown("supervised", _supervised_resnets(regions))],
            key=key,
            title=written(regions),
            y=score_axis(regions),
        )
        marks = points(tuned, "train_flop", series="adversarial")
        labels = {"adversarial": f"fine-tuned adversarially (n = {len(tuned)})"}
        panels.append(
            replace(
                panel, rows=pd.concat([panel.rows, marks], ignore_index=True), n=panel.n + len(tuned),
                series=(*panel.series, *style.series(["adversarial"], labels)),
            )
        )  # fmt: skip
        notes += more
    said = [
        "Compute is that of the full-ImageNet model plus the fine-tuning; the table counts the fine-tuning only.",
        "Hence models fine-tuned on few images lie at almost the same compute.",
    ]
    if left_out:
        said.append(f"Left out, since it is not known what they started from: {', '.join(left_out)}.")
    return FigureData("icml-7b", "Adversarial fine-tuning of ResNets", tuple(panels), (*said, *notes), 2)


def _family_lines(fits: Fits, regions: str, key: str) -> Panel:
    frame = trajectories(fits.source, regions)
    require(frame, ("parent_family",), f"'{fits.source.name}'")
    flags = [flag for flag in CONTROLLED if flag in frame.columns]
    chosen = frame[~frame[flags].astype(bool).any(axis=1)]
    if "dataset" in chosen.columns and chosen["dataset"].isin(CORE["dataset"]).any():
        chosen = chosen[chosen["dataset"].isin(CORE["dataset"])]
    return learning_panel(fits, chosen, "parent_family", key=key, title=written(regions), y=score_axis(regions))


COMMITMENTS = (
    "The trajectories commit other layers than the main table for ResNets and EfficientNets: compare epochs, not "
    "tables."
)


@preset("icml-7c", "Alignment during training, by family.", "several epochs per model, family")
def icml_7c(fits: Fits) -> FigureData:
    """Mean over supervised models at each epoch."""
    panel = replace(_family_lines(fits, "all", "a"), title="During training")
    return FigureData("icml-7c", "Alignment during training, by family", (panel,), (SAID, COMMITMENTS), 1)


@preset("icml-S3", "Each region during training, by family.", "several epochs per model, family")
def icml_s3(fits: Fits) -> FigureData:
    """One panel per region."""
    panels = tuple(_family_lines(fits, region, "abcde"[place]) for place, region in enumerate(REGIONS))
    return FigureData("icml-S3", "Each region during training", panels, (SAID, COMMITMENTS), 3)


def _with_objectives(source: Source, frame: pd.DataFrame, archs: tuple[str, ...]) -> pd.DataFrame:
    require(frame, ("arch", "dataset", "samples_per_class"), f"'{source.name}'")
    others = [flag for flag in CONTROLLED if flag != "is_ssl" and flag in frame.columns]
    chosen = frame[
        frame["arch"].isin(archs) & (frame["dataset"] == "imagenet") & (frame["samples_per_class"] == 0)
        & ~frame[others].astype(bool).any(axis=1)
    ]  # fmt: skip
    return chosen.assign(objective=objective(chosen))


NO_OBJECTIVES = "no models of {} trained on all of imagenet under several objectives"


@preset(
    "icml-7d",
    "ResNet50 and ViT-S during training, by objective.",
    "several epochs per model, arch, ssl_method",
    cites=OBJECTIVES_CITED,
)
def icml_7d(fits: Fits) -> FigureData:
    """Supervised, SimCLR and DINO against epochs."""
    frame, panels, absent = trajectories(fits.source, "all"), [], []
    for name, archs in OBJECTIVES.items():
        chosen = _with_objectives(fits.source, frame, archs)
        if chosen["objective"].nunique() < 2:
            absent.append(NO_OBJECTIVES.format(" or ".join(archs)))
            continue
        names = in_order(chosen["objective"])
        rows = []
        for each in names:
            by_epoch = chosen[chosen["objective"] == each].groupby("epoch")["score"].mean()
            rows.append(line(each, by_epoch.index.to_numpy(float), by_epoch.to_numpy()))
        panels.append(
            Panel(
                "ab"[len(panels)], name, AXES["epoch"], score_axis("all"), pd.concat(rows, ignore_index=True),
                tuple(style.series(names)), int(chosen["model_id"].nunique()),
            )
        )  # fmt: skip
    if not panels:
        raise MissingDataError(f"The table '{fits.source.name}' has {' and '.join(absent)}.")
    said = "Trained on all of ImageNet, one run each; ViT-S is deit_small where supervised and vit_small where not."
    return FigureData("icml-7d", "Objectives during training", tuple(panels), (said, COMMITMENTS, *absent), 2)


@preset(
    "icml-S1",
    "Public against private benchmarks.",
    "the published private scores",
    cites=("gokce2025", "schrimpf2018", "schrimpf2020"),
)
def icml_s1(fits: Fits) -> FigureData:
    """One panel per region, with R2."""
    private = fits.source.require_private()
    panels = []
    for key, region in zip("abcdef", (*REGIONS, "all"), strict=True):
        panels.append(_public_private(fits, private, region, key))
    said = f"Private benchmarks: {', '.join(PRIVATE.values())}; the mean is over models that have all of them."
    return FigureData("icml-S1", "Public against private benchmarks", tuple(panels), (said,), 3)


def _public_private(fits: Fits, private: pd.DataFrame, region: str, key: str) -> Panel:
    wanted = [PRIVATE[each] for each in REGIONS] if region == "all" else [PRIVATE[region]]
    of_model = private[private["benchmark_id"].isin(wanted)].pivot_table(
        index="model_id", columns="benchmark_id", values="score"
    )
    other = of_model.reindex(columns=wanted).mean(axis=1, skipna=False).rename("private")
    frame = fits.source.averaged(region).join(other, on="model_id").dropna(subset=["private"])
    r = float(np.corrcoef(frame["score"], frame["private"])[0, 1])
    named = frame["parent_family"] if "parent_family" in frame.columns else pd.Series("models", index=frame.index)
    rows = points(frame, "score", series=named, y="private")
    grid = np.linspace(frame["score"].min(), frame["score"].max(), 21)
    value, low, high = statistics.line(frame, "score", "private", grid, n_resamples=fits.n_resamples, seed=fits.seed)
    rows = pd.concat([rows, line("line", grid, value, low=low, high=high)], ignore_index=True)
    return Panel(
        key, written(region), Axis("Public score (ceiling = 1)", "score"),
        Axis("Private score (ceiling = 1)", "private"), rows,
        (*style.series(in_order(named)), Series("line", style.BLACK, "", "least squares")), len(frame),
        text=(rf"$R^2$ = {r**2:.3f}",),
    )  # fmt: skip


@preset("icml-S4", "Untrained against trained models.", "is_random, arch, family, samples_per_class")
def icml_s4(fits: Fits) -> FigureData:
    """Mean score per region and family of untrained networks and of the same architectures trained on all images."""
    source = fits.source
    require(source.models, ("arch", "parent_family", "samples_per_class"), f"'{source.name}'")
    untrained = source.models[source.models["is_random"]]
    if untrained.empty:
        raise MissingDataError(f"The table '{source.name}' has no models with is_random true.")
    core = source.rows(Experiment("trained", "trained models", "power", (), "all", {**CORE, "samples_per_class": 0}))
    trained = core[core["arch"].isin(untrained["arch"])]
    if trained.empty:
        raise MissingDataError(
            f"The table '{source.name}' has no trained models of the architectures that it has untrained."
        )
    states = {"untrained": set(untrained["model_id"]), "trained": set(trained["model_id"])}
    panels, dropped = [], []
    for place, family in enumerate(in_order(untrained["parent_family"])):
        rows, counts = [], {}
        for region in REGIONS:
            # Straight from the long table: a model without a score in one region still has the others.
            scores = source.scores[(source.scores["region"] == region) & (source.scores["parent_family"] == family)]
            for state, ids in states.items():
                chosen = scores[scores["model_id"].isin(ids)]
                one = statistics.mean(chosen, "score", n_resamples=fits.n_resamples, seed=fits.seed)
                rows.append(mean(one, state, category=written(region)))
                counts[state] = max(counts.get(state, 0), one.n)
                if one.n < len(chosen):
                    dropped.append(f"{len(chosen) - one.n} {state} {family} without a score in {region}")
        labels = {state: f"{state} ({counts[state]})" for state in states}
        panels.append(
            Panel(
                "abcdefgh"[place], family, Axis("Region", "region", "category", CATEGORIES), score_axis(),
                pd.DataFrame(rows), tuple(style.series(states, labels)), sum(counts.values()),
            )
        )  # fmt: skip
    said = ["Trained: the same architectures on all images of each data set; in brackets the number of models."]
    said += [f"Left out: {each}." for each in dropped]
    return FigureData("icml-S4", "Untrained against trained models", tuple(panels), tuple(said), 2)


@preset(
    "icml-S5",
    "ResNet50 and ViT-S per region, by objective.",
    "arch, dataset, ssl_method, samples_per_class",
    cites=OBJECTIVES_CITED,
)
def icml_s5(fits: Fits) -> FigureData:
    """Bars of supervised, SimCLR and DINO models in each region."""
    panels, absent = [], []
    for name, archs in OBJECTIVES.items():
        rows, n, objectives = [], 0, set()
        for region in (*REGIONS, "all"):
            chosen = _with_objectives(fits.source, fits.source.averaged(region), archs)
            n = max(n, len(chosen))
            for each, part in chosen.groupby("objective"):
                one = statistics.mean(part, "score", n_resamples=fits.n_resamples, seed=fits.seed)
                rows.append(mean(one, str(each), category=written(region), mark="bar"))
                objectives.add(str(each))
        if len(objectives) < 2:
            absent.append(NO_OBJECTIVES.format(" or ".join(archs)))
            continue
        categories = (*CATEGORIES, written("all"))
        panels.append(
            Panel(
                "ab"[len(panels)], name, Axis("Region", "region", "category", categories), score_axis(),
                pd.DataFrame(rows), tuple(style.series(in_order(pd.Series(list(objectives))))), n,
            )
        )  # fmt: skip
    if not panels:
        raise MissingDataError(f"The table '{fits.source.name}' has {' and '.join(absent)}.")
    said = (
        "Trained on all of ImageNet. Supervised: mean over seeds with its interval; the others are one run each.",
        "DINO models and the SimCLR ViT are scored at epoch 300, although the table says 100.",
    )
    return FigureData("icml-S5", "Objectives per region", tuple(panels), (*said, *absent), 2)
