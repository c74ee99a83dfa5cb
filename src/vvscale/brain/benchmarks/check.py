"""What a benchmark must be for its scores to mean something, checked one requirement at a time.

Every requirement is run and each one that fails says what was found and how to mend it. The last two are trials of
the whole: recordings must predict themselves, and shuffled ones must predict nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from vvscale.brain.behavior.i2n import BehavioralConsistency, behavioral_consistency
from vvscale.brain.benchmarks.behavior import BehavioralBenchmark
from vvscale.brain.benchmarks.benchmark import Benchmark
from vvscale.brain.benchmarks.neural import NeuralBenchmark
from vvscale.brain.ceilings.rules import SplitHalf, Variance
from vvscale.brain.inputs.screen import open_stimulus
from vvscale.brain.inputs.stimuli import row_order
from vvscale.brain.metrics.pls import PLS
from vvscale.brain.recordings.assembly import Assembly
from vvscale.core.jsonable import Result
from vvscale.errors import VvscaleError
from vvscale.scores import REGIONS
from vvscale.scores.validate import is_misspelt_region

# Recordings that predict themselves reach .58 to .90 on the public benchmarks.
SELF_PREDICTION = 0.4
"""The raw score that recordings must reach in predicting themselves."""

CEILING = 0.1
"""The ceiling below which a score is noise divided by noise; those of the public benchmarks are .48 to .90."""

SHUFFLED = 0.1
"""The raw score that shuffled recordings must stay below, more where images are few."""


@dataclass(frozen=True)
class Requirement:
    """One requirement and how a benchmark stands to it.

    Attributes
    ----------
    name
        What must hold.
    is_met
        Whether it does.
    found
        What was found.
    fix
        What to change; empty where it is met.
    """

    name: str
    is_met: bool
    found: str
    fix: str = ""


@dataclass(frozen=True)
class ContractReport(Result):
    """How a benchmark stands to every requirement.

    Attributes
    ----------
    benchmark_id
        Of the benchmark.
    requirements
        In the order checked.
    """

    benchmark_id: str
    requirements: tuple[Requirement, ...]

    @property
    def is_met(self) -> bool:
        """Whether all are."""
        return not self.failed

    @property
    def failed(self) -> tuple[Requirement, ...]:
        """Those that are not."""
        return tuple(one for one in self.requirements if not one.is_met)

    def table(self) -> pd.DataFrame:
        """Return one row per requirement."""
        return pd.DataFrame([vars(one) for one in self.requirements])

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain types."""
        return {
            "benchmark_id": self.benchmark_id,
            "is_met": self.is_met,
            "requirements": [vars(one) for one in self.requirements],
        }


def check_benchmark(benchmark: Benchmark) -> ContractReport:
    """Check a benchmark against everything that scores rely on.

    Parameters
    ----------
    benchmark
        One's own or any other. Every image is read, and the metric run twice.

    Returns
    -------
    ContractReport
        All requirements, met or not; nothing is raised for those that are not.

    Examples
    --------
    >>> from vvscale.brain import simulate
    >>> stream = simulate(images_per_object=10, n_repetitions=6)
    >>> check_benchmark(stream.benchmark("V1")).is_met
    True
    """
    checks = next((checks for kind, checks in _CHECKS.items() if isinstance(benchmark, kind)), _OTHER)
    met: list[Requirement] = []
    for name, check in {**_COMMON, **checks}.items():
        try:
            found, fix = check(benchmark)
        # A check that cannot run is a requirement that is not met; the text of the error says why.
        except VvscaleError as error:
            found, fix = "it cannot be computed", str(error)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            found, fix = f"{type(error).__name__}: {error}", "Give it the types that the docstring of the class names."
        met.append(Requirement(name, not fix, found, fix))
    return ContractReport(str(benchmark.benchmark_id), tuple(met))


# A check returns what it found, and what to change, which is empty where the requirement is met.
_Found = tuple[str, str]


def _identifier(benchmark: Benchmark) -> _Found:
    name = benchmark.benchmark_id
    is_good = isinstance(name, str) and name != "" and not any(c.isspace() or c in "/\\:" for c in name)
    fix = "Set benchmark_id to text without spaces, slashes and colons, such as 'Lab2026.IT-pls'."
    return repr(name), "" if is_good else fix


def _version(benchmark: Benchmark) -> _Found:
    version = benchmark.version
    is_good = isinstance(version, int) and not isinstance(version, bool) and version >= 1
    return repr(version), "" if is_good else "Set version to a whole number from 1; raise it whenever scores change."


def _region(benchmark: Benchmark) -> _Found:
    region = benchmark.region
    if is_misspelt_region(region):
        return repr(region), f"Set the region of the assembly to one of {', '.join(REGIONS)}, or to a name of its own."
    return repr(region) if region in REGIONS else f"{region!r}, which no mean over the five regions has in it", ""


def _degrees(benchmark: Benchmark) -> _Found:
    stimuli = benchmark.stimuli
    degrees = np.array([stimuli.degrees_of(row) for row in range(len(stimuli))])
    is_good = np.isfinite(degrees).all() and (degrees > 0).all()
    fix = "Set degrees of the stimulus set to the visual angle of an image's width, such as 8.0."
    least, most = degrees.min(), degrees.max()
    found = f"{least:g} to {most:g} degrees" if least < most else f"{least:g} degrees"
    return found, "" if is_good else fix


def _labels(benchmark: Benchmark) -> _Found:
    labels = benchmark.stimuli.stimulus_id
    bad = [label for label in labels if not isinstance(label, str) or not label]
    found = f"{len(labels)} labels, {labels[0]!r} to {labels[-1]!r}"
    if bad:
        return f"{bad[0]!r} among {found}", "Make every stimulus_id text: they are sorted as text to draw splits."
    return found, ""


def _images(benchmark: Benchmark) -> _Found:
    stimuli = benchmark.stimuli
    first_with: dict[bytes, int] = {}
    for row in range(len(stimuli)):
        image = open_stimulus(stimuli, row)
        content = hashlib.sha256(repr((image.mode, image.size)).encode() + image.tobytes()).digest()
        other = first_with.setdefault(content, row)
        if other != row:
            labels = stimuli.stimulus_id
            return (
                f"'{labels[other]}' and '{labels[row]}' are the same image",
                "Give it one stimulus_id: an image that is trained on must not be tested on.",
            )
    return f"{len(stimuli)} images", ""


def _repetitions(benchmark: NeuralBenchmark) -> _Found:
    if not isinstance(benchmark.ceiling, (SplitHalf, Variance)):
        return f"not needed by the ceiling '{benchmark.ceiling.name}'", ""
    counts = [len(pd.unique(np.asarray(one.repetition))) for one in _recordings(benchmark)]
    n_presentations = sum(len(one.responses) for one in _recordings(benchmark))
    fix = (
        "Hand over single presentations with their repetition, not the average; a ceiling needs at least 2. Or give "
        "ceilings that came with the recordings, or ceiling='none'."
    )
    return f"{min(counts)} repetitions, {n_presentations} presentations", "" if min(counts) >= 2 else fix


def _responses(benchmark: NeuralBenchmark) -> _Found:
    if not _recordings(benchmark):
        return f"dissimilarities of {benchmark.n_targets} subjects", ""
    for one in _recordings(benchmark):
        mean = one.mean
        is_constant = np.ptp(mean.to_numpy(), axis=0) == 0
        if is_constant.any():
            first = mean.columns[int(np.argmax(is_constant))]
            fix = "Leave these neuroids out: they cannot be predicted, and their correlations are not defined."
            return f"{is_constant.sum()} of {len(is_constant)} neuroids never change, first '{first}'", fix
    return f"{benchmark.n_targets} neuroids respond to {len(benchmark.images)} images, all finite", ""


def _splits(benchmark: NeuralBenchmark) -> _Found:
    n_train = min(int(part.splits.is_train.sum(1).min()) for part in benchmark.parts)
    n_images = min(len(part.images) for part in benchmark.parts)
    if not n_train:
        return f"nothing is fitted; {n_images} images are compared", ""
    n_components = getattr(benchmark.metric, "n_components", 1)
    found = f"{n_train} images to train on, {n_images - n_train} to test on, by '{benchmark.stratify_by}'"
    fix = f"Use more images than the {n_components} components, or fewer components."
    return found, "" if n_train > n_components else fix


def _ceiling(benchmark: Benchmark) -> _Found:
    ceiling = benchmark.noise_ceiling
    fix = (
        "Check that repetitions of an image carry its stimulus_id: responses must agree with themselves. Unreliable "
        "neuroids can be left out with min_ceiling."
    )
    return f"{ceiling:.4f}, at least {CEILING}", "" if CEILING <= ceiling <= 1 else fix


def _truth(benchmark: Any) -> _Found:
    trials, stimuli = benchmark.trials, benchmark.stimuli
    rows = row_order(stimuli.stimulus_id, trials.stimulus_id, "The stimuli")
    labels = stimuli.labels(benchmark.label).to_numpy()[rows]
    is_other = labels != trials.objects[trials.truth]
    if is_other.any():
        row = int(np.argmax(is_other))
        image, shown = trials.stimulus_id[row], trials.objects[trials.truth[row]]
        found = f"image '{image}' is labelled '{labels[row]}' and shows '{shown}' in the trials ({is_other.sum()} such)"
        return found, f"Give the label '{benchmark.label}' of the stimuli the names that the trials use."
    return f"{len(trials.objects)} objects, {len(trials.image)} trials of {len(trials.stimulus_id)} images", ""


def _predicts_itself(benchmark: Benchmark) -> _Found:
    raw = _self_prediction(benchmark, None)
    if np.isnan(raw):
        return "there are dissimilarities alone", ""
    fix = "Check that responses and labels belong together, row by row, and that there are enough images."
    return f"raw score {raw:.3f}, at least {SELF_PREDICTION}", "" if raw >= SELF_PREDICTION else fix


def _shuffled_predicts_nothing(benchmark: Benchmark) -> _Found:
    n_images = len(_shown(benchmark))
    bound = max(SHUFFLED, 3 / np.sqrt(n_images))
    raw = _self_prediction(benchmark, np.random.default_rng(0).permutation(n_images))
    if np.isnan(raw):
        return "there are dissimilarities alone", ""
    fix = "Look for images that are there several times under other labels, or responses that drift over the session."
    return f"raw score {raw:.3f}, less than {bound:.2f} from 0", "" if abs(raw) < bound else fix


def _recordings(benchmark: NeuralBenchmark) -> list[Assembly]:
    return [one for one in benchmark.assemblies if isinstance(one, Assembly)]


def _shown(benchmark: Benchmark) -> np.ndarray:
    """Return (N,) the images that were shown."""
    return benchmark.trials.stimulus_id if isinstance(benchmark, BehavioralBenchmark) else benchmark.images


def _self_prediction(benchmark: Benchmark, order: np.ndarray | None) -> float:
    """Return the raw score of the recordings themselves, of other images where an order is given."""
    if isinstance(benchmark, BehavioralBenchmark):
        return _with_own_choices(benchmark, order).raw_score
    assert isinstance(benchmark, NeuralBenchmark)
    metric, found = benchmark.metric, []
    for one in _recordings(benchmark):
        features = one.mean.to_numpy()
        features = features if order is None else features[order[order < len(features)]]
        if isinstance(metric, PLS):
            metric = replace(metric, n_components=min(metric.n_components, features.shape[1]))
        alone = replace(benchmark, assembly=one, metric=metric, ceiling="none", min_ceiling=None)
        found += [one.raw_score for one in alone.measure(features, stimulus_id=one.images)]
    if not found:  # dissimilarities alone: there are no features to predict with
        return float("nan")
    return float(np.mean(found))


def _with_own_choices(benchmark: BehavioralBenchmark, order: np.ndarray | None = None) -> BehavioralConsistency:
    """Compare the observers with the probabilities that their own choices imply."""
    trials = benchmark.trials
    rates = np.clip(np.nan_to_num(trials.rates(np.arange(len(trials.image)))), 1e-3, 1 - 1e-3)
    odds = rates / (1 - rates)
    odds[np.arange(len(odds)), trials.truth] = 1
    table = odds / odds.sum(1, keepdims=True)
    table = table if order is None else table[order]
    probabilities = pd.DataFrame(table, index=trials.stimulus_id, columns=trials.objects)
    return behavioral_consistency(probabilities, trials, metric=benchmark.metric)


_Checks = dict[str, Callable[[Any], _Found]]

_COMMON: _Checks = {
    "a name": _identifier,
    "a whole version": _version,
    "a region": _region,
    "a visual angle": _degrees,
    "labels that are text": _labels,
    "readable images, each once": _images,
}
_NEURAL: _Checks = {
    "repetitions": _repetitions,
    "responses that differ": _responses,
    "splits": _splits,
    "a ceiling above noise": _ceiling,
    "recordings predict themselves": _predicts_itself,
    "shuffled recordings predict nothing": _shuffled_predicts_nothing,
}
_OTHER: _Checks = {"a ceiling above noise": _ceiling}
_BEHAVIORAL: _Checks = {
    "labels agree with the trials": _truth,
    "a ceiling above noise": _ceiling,
    "choices predict themselves": _predicts_itself,
    "shuffled choices predict nothing": _shuffled_predicts_nothing,
}
_CHECKS: dict[type, _Checks] = {NeuralBenchmark: _NEURAL, BehavioralBenchmark: _BEHAVIORAL}
