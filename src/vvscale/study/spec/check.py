"""What would only fail after hours of training is refused when a study is planned."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import get_args

from vvscale.errors import ConfigError, MissingDataError, UsageError, VvscaleError, unknown_name
from vvscale.study.spec.axes import Run, matches
from vvscale.study.spec.resolve import Resolved, forecast_run, n_images_of
from vvscale.study.spec.schema import ForecastSpec, StudySpec
from vvscale.study.tasks.rows import ACCURACY_ERROR

_OURS = {"on", "layers", "device", "out", "commit"}
"""Options of scoring that the study fills in itself."""
_MOST_BUILT = 10
_UNITS = ("row", "cell", "arch", "family")
_OUTCOMES = ("misalignment", "score", "accuracy", ACCURACY_ERROR)


def check_study(resolved: Resolved) -> None:
    """Check a resolved study against what is installed and here; further models that are absent are noted.

    Raises
    ------
    UsageError, DataError
        Something that a run would find out; the message names the table and key of the file.
    """
    spec = resolved.spec
    if spec.diagnostics is not None:
        return
    for run in resolved.runs:
        # Refuses an architecture that there is not.
        resolved.cost(run)
    _check_groups(resolved)
    _check_score(spec)
    _check_laws(spec)
    if spec.report.figures:
        from vvscale.figures.gallery import matching

        matching(spec.report.figures)
    if spec.forecast is not None:
        _check_forecast(resolved, spec.forecast)
    # Runs that differ in network and seed alone are alike in what can be wrong.
    distinct: dict[object, Run] = {}
    for run in resolved.runs:
        distinct.setdefault((run.dataset, run.samples_per_class, run.subset_rule, run.recipe, run.changes), run)
    for run in distinct.values():
        _check_run(resolved, run)
    _check_layers(resolved)
    _check_models(resolved)
    _check_recordings(resolved)


def _check_groups(resolved: Resolved) -> None:
    """Refuse workers for runs that there are not, most likely misspelt: nothing would ever be given to them."""
    for group in resolved.spec.engine.all_groups:
        if group.where and not any(matches(run, group.where) for run in resolved.runs):
            raise ConfigError(
                f"[[engine.groups]] '{group.name}' matches no run: {dict(group.where)}. Correct it or take it away."
            )


def _check_forecast(resolved: Resolved, wanted: ForecastSpec) -> None:
    n_archs = len({run.arch for run in resolved.runs})
    most = n_archs / (n_archs + 1)
    if wanted.by == "arch" and wanted.level > most:
        raise ConfigError(
            f"[forecast] asks for a level of {wanted.level:g}; {n_archs} architectures back at most {most:.3f}. Lower "
            "'level', or train more architectures."
        )
    if wanted.by not in (*_UNITS, *_columns()):
        raise unknown_name("unit of [forecast] `by`", wanted.by, _UNITS)
    like = forecast_run(resolved.spec, resolved.runs)
    if resolved.recipes[like.recipe, like.changes]["schedule"].get("epochs") is None:
        raise ConfigError(
            "[forecast] needs runs whose compute grows with their images; the recipe "
            f"'{like.recipe}' has a fixed number of steps. Give it schedule.epochs, or leave out [forecast]."
        )


def _check_models(resolved: Resolved) -> None:
    """Refuse further models to score that nothing is called so; files that are not here are noted as absent."""
    if not resolved.spec.score.models:
        return
    from vvscale.models.load import check_model

    for model in dict.fromkeys(resolved.spec.score.models):
        try:
            check_model(model)
        except MissingDataError as error:
            resolved.absent.append(f"the model '{model}': {error}")
        except VvscaleError as error:
            raise ConfigError(f"`models` of [score] names '{model}': {error}", key="models") from error


def _check_recordings(resolved: Resolved) -> None:
    """Check sizes of mappings and images of fine-tuning against the recordings, where they are here."""
    spec = resolved.spec
    sizes = tuple(dict.fromkeys(one.mapping_samples for one in resolved.points if one.mapping_samples is not None))
    if resolved.absent or not (sizes or resolved.tuned_to):
        return
    # These load PyTorch, which other studies need not wait for.
    from vvscale.brain.scoring.options import ScoreOptions
    from vvscale.brain.scoring.run import benchmarks_of

    options = ScoreOptions.from_table(spec.score.options, "[score] options")
    scored = benchmarks_of(dataclasses.replace(options, on=spec.score.benchmarks, mapping_samples=sizes))
    for one in scored:
        one.refuse_unscorable()
    if not resolved.tuned_to:
        return
    from vvscale.train.neural.decoders import recordings, targets_of
    from vvscale.train.neural.digests import refuse_trained_images

    tested = benchmarks_of(dataclasses.replace(options, on=spec.score.benchmarks, mapping_samples=()))
    for name, benchmarks in resolved.tuned_to.items():
        source = recordings([one["id"] for one in benchmarks], fixed_test=options.fixed_test)
        for one in source:
            try:
                targets_of(one, "")
            except UsageError as error:
                raise UsageError(f"[finetune.{name}]: {error} Give [score] options the share `fixed_test`.") from error
        refuse_trained_images(source, [*source, *tested])


def _check_run(resolved: Resolved, run: Run) -> None:
    """Refuse a run that its images or its recipe do not allow; one class with fewer images is found out by the run."""
    from vvscale.data.subsets import Rule
    from vvscale.train.compute.schedule import log_epochs
    from vvscale.train.recipe import batch_for

    info, recipe = resolved.datasets[run.dataset], resolved.recipes[run.recipe, run.changes]
    if run.subset_rule not in get_args(Rule):
        raise unknown_name("rule of subsets", run.subset_rule, get_args(Rule))
    if run.samples_per_class * info.n_classes > info.n_images:
        raise ConfigError(
            f"The run '{run.label}' asks for {run.samples_per_class} images of each of {info.n_classes} classes, and "
            f"'{run.dataset}' has {info.n_images} in all. Lower 'samples_per_class' of [axes]; 0 stands for all.",
            key="samples_per_class",
        )
    n_images = n_images_of(run, info)
    fits = bool(recipe.get("fits_batch"))
    batch = batch_for(n_images, recipe["batch_size"], recipe.get("batches_per_epoch"), fits_batch=fits)
    if batch > n_images:
        raise ConfigError(
            f"The batch of {batch} images is larger than the {n_images} images of the run '{run.label}'. Give [axes] "
            '"recipe.fits_batch" = true, so that small subsets are one batch, or a smaller "recipe.batch_size".'
        )
    n_epochs, scored = recipe["schedule"].get("epochs"), resolved.spec.score.epochs
    if scored == "last" or n_epochs is None:
        return
    kept = log_epochs(n_epochs, recipe.get("checkpoints_per_decade", 0))
    lacking = [epoch for epoch in scored if epoch not in kept]
    if lacking:
        raise ConfigError(
            f"[score] asks for the weights after epoch {lacking[0]}, which the run '{run.label}' does not keep; kept "
            f"are {', '.join(map(str, kept[:12])) or 'none'}. Choose `epochs` among them, or raise "
            '"recipe.checkpoints_per_decade".'
        )


def _check_layers(resolved: Resolved) -> None:
    """Refuse layers by names that the networks do not have, before any is trained."""
    layers = resolved.spec.score.layers
    if not isinstance(layers, Mapping):
        return
    import torch

    from vvscale.brain.scoring.layers import resolve_name
    from vvscale.models import build_model

    # A name that is wrong is wrong for most; building hundreds would take long.
    for arch in list(dict.fromkeys(run.arch for run in resolved.runs))[:_MOST_BUILT]:
        with torch.device("meta"):
            network = build_model(arch)
        for layer in dict.fromkeys(layers.values()):
            resolve_name(network, layer)


def _check_score(spec: StudySpec) -> None:
    from vvscale.brain.catalogue import benchmark_ids, list_benchmarks
    from vvscale.brain.scoring.options import ScoreOptions

    for key in _OURS.intersection(spec.score.options):
        raise ConfigError(
            f"'{key}' stands in [score] options, and the study itself sets it. Take it away; `on` and `layers` are "
            "'benchmarks' and 'layers' of [score].",
            key=key,
        )
    ScoreOptions.from_table(spec.score.options, "[score] options")
    if isinstance(spec.score.layers, Mapping):
        regions = {one.benchmark_id: one.region for one in list_benchmarks()}
        wanted = {regions.get(one) or "" for one in benchmark_ids(spec.score.benchmarks)}
        lacking = sorted(wanted - {"", *spec.score.layers})
        if lacking:
            raise ConfigError(
                f"'layers' of [score] names none for {', '.join(lacking)}, which {', '.join(spec.score.benchmarks)} "
                "asks for. Add them, or score fewer benchmarks."
            )


def _check_laws(spec: StudySpec) -> None:
    from vvscale.laws.law import LAWS

    columns = _columns()
    for law in spec.laws:
        form = LAWS[law.law]
        if law.x and len(law.x) != len(form.inputs):
            raise ConfigError(
                f"The law '{law.name}' has {len(law.x)} inputs in 'x'; '{law.law}' takes {len(form.inputs)}."
            )
        for column in law.x:
            if column not in columns:
                raise unknown_name(f"input of the law '{law.name}'", column, columns)
        if law.y not in columns:
            hint = f"The law '{law.name}' may have {', '.join(_OUTCOMES)} or a column of `vvscale ls columns` as `y`."
            raise unknown_name("outcome", law.y, columns, hint)
        for unit in law.by:
            if unit not in (*_UNITS, *columns):
                raise unknown_name(f"resampling unit of the law '{law.name}'", unit, _UNITS)


def _columns() -> list[str]:
    """Return what rows may have, and laws ask for."""
    from vvscale.scores import COLUMNS

    return [*COLUMNS, "misalignment", ACCURACY_ERROR, "layer", "n_features"]
