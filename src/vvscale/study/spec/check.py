"""What would only fail after hours of training is refused when a study is planned."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from vvscale.errors import ConfigError, unknown_name
from vvscale.study.spec.axes import Run
from vvscale.study.spec.schema import StudySpec
from vvscale.study.tasks.rows import ACCURACY_ERROR

_OURS = {"on", "layers", "device", "out", "commit"}
"""Options of scoring that the study fills in itself."""
_OUTCOMES = ("misalignment", "score", "accuracy", ACCURACY_ERROR)


def check_spec(spec: StudySpec, runs: list[Run]) -> None:
    """Check figures, options of scoring, layers, laws and the forecast against what is installed.

    Raises
    ------
    ConfigError, UnknownNameError
        Naming the key, and what was expected.
    """
    if not runs and not spec.score.models:
        return
    _check_score(spec)
    _check_laws(spec)
    if spec.report.figures:
        from vvscale.figures.gallery import matching

        matching(spec.report.figures)
    if spec.forecast is not None and spec.forecast.by == "arch":
        n_archs = len({run.arch for run in runs})
        most = n_archs / (n_archs + 1)
        if spec.forecast.level > most:
            raise ConfigError(
                f"[forecast] asks for a level of {spec.forecast.level:g}; {n_archs} architectures back at most "
                f"{most:.3f}. Lower 'level', or train more architectures."
            )


def _check_score(spec: StudySpec) -> None:
    from vvscale.brain.catalogue import benchmark_ids, list_benchmarks
    from vvscale.brain.scoring.options import ScoreOptions

    known = {one.name for one in dataclasses.fields(ScoreOptions)} - _OURS
    for key in spec.score.options:
        if key not in known:
            raise unknown_name("option of scoring", key, sorted(known), "They stand in [score] options.")
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
    from vvscale.scores import COLUMNS

    columns = [*COLUMNS, "misalignment", ACCURACY_ERROR, "layer", "n_features"]
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
            raise unknown_name(f"outcome of the law '{law.name}'", law.y, [*_OUTCOMES, *columns])
        for unit in law.by:
            if unit not in ("row", "cell", "arch", "family", *columns):
                raise unknown_name(f"resampling unit of the law '{law.name}'", unit, ["row", "cell", "arch", "family"])
