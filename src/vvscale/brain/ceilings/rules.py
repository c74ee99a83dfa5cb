"""Ceilings by name: which estimate of reliability a benchmark's scores are related to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np

from vvscale.brain.ceilings.ceiling import Ceiling, internal_consistency, rdm_noise_ceiling, variance_ceiling
from vvscale.brain.metrics.metric import Metric, by_name
from vvscale.brain.metrics.rsa import RSA
from vvscale.errors import DataError, ShapeError, UsageError

# Shape legend: q neuroids, M subjects.


class Presentations(Protocol):
    """What a ceiling is estimated from: an assembly, or the part of it that tests."""

    responses: np.ndarray
    stimulus_id: np.ndarray
    repetition: np.ndarray


@runtime_checkable
class CeilingRule(Protocol):
    """How a ceiling is estimated."""

    @property
    def name(self) -> str:
        """Its name, as on rows."""
        ...

    def of(self, assembly: Presentations, metric: Metric, rdms: np.ndarray | None = None) -> Ceiling:
        """Return the ceiling of the neuroids, in their order.

        Parameters
        ----------
        assembly
            The recordings; of the test images alone where those are fixed.
        metric
            What is compared.
        rdms
            (M, n, n) dissimilarities of subjects that are scored together, or None.
        """
        ...


@dataclass(frozen=True)
class SplitHalf:
    """Correlation between halves of the repetitions with the Spearman-Brown correction, the reference's ceiling.

    Attributes
    ----------
    n_splits, seed
        Number of random halvings and state of the generator.
    """

    n_splits: int = 10
    seed: int = 1
    name: ClassVar[str] = "split-half"

    def of(self, assembly: Presentations, metric: Metric, rdms: np.ndarray | None = None) -> Ceiling:
        """Return :func:`internal_consistency`."""
        return internal_consistency(
            assembly.responses,
            stimulus_id=assembly.stimulus_id,
            repetition=assembly.repetition,
            n_splits=self.n_splits,
            seed=self.seed,
        )


@dataclass(frozen=True)
class Variance:
    """Share of variance that repetitions have in common, of :func:`variance_ceiling`."""

    name: ClassVar[str] = "variance"

    def of(self, assembly: Presentations, metric: Metric, rdms: np.ndarray | None = None) -> Ceiling:
        """Return :func:`variance_ceiling`."""
        return variance_ceiling(assembly.responses, stimulus_id=assembly.stimulus_id, repetition=assembly.repetition)


@dataclass(frozen=True)
class Shipped:
    """Ceilings that came with the recordings.

    Attributes
    ----------
    values
        Reliabilities from 0 to 1: one per neuroid of the assembly, in its order, or one for all. Empty for those that
        the assembly holds as ``reliability``.
    """

    values: tuple[float, ...] = field(default=(), repr=False)
    name: ClassVar[str] = "shipped"

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(_reliabilities(self.values).tolist()))

    def of(self, assembly: Presentations, metric: Metric, rdms: np.ndarray | None = None) -> Ceiling:
        """Return the values."""
        values = _reliabilities(self.values or getattr(assembly, "reliability", None))
        q = assembly.responses.shape[1]
        if len(values) not in (1, q):
            raise ShapeError(
                f"There are {len(values)} shipped ceilings for {q} neuroids; expected one for each, as values of the "
                "ceiling or as 'reliability' of the assembly."
            )
        return Ceiling(values[None])


def _reliabilities(values: Any) -> np.ndarray:
    made = np.ravel(np.asarray([] if values is None else values, dtype=np.float64))
    if (made > 1).any():
        raise DataError(
            f"Shipped ceilings reach {np.nanmax(made):g}; expected reliabilities from 0 to 1. Divide percentages by "
            "100, and square ceilings that are correlations."
        )
    return made


@dataclass(frozen=True)
class RdmNoise:
    """How similar subjects' dissimilarities are to each other, for representational similarity of several subjects.

    Attributes
    ----------
    bound
        ``upper``, the mean of all subjects, which no model exceeds, or ``lower``, the mean of the others.
    """

    bound: Literal["upper", "lower"] = "upper"
    name: ClassVar[str] = "rdm-noise"

    def of(self, assembly: Presentations, metric: Metric, rdms: np.ndarray | None = None) -> Ceiling:
        """Return :func:`vvscale.brain.ceilings.ceiling.rdm_noise_ceiling`."""
        if rdms is None or not isinstance(metric, RSA):
            raise UsageError(
                "The ceiling 'rdm-noise' is of dissimilarities of several subjects; give the benchmark one assembly "
                "per subject, or their dissimilarities, and the metric 'rsa'."
            )
        lower, upper = rdm_noise_ceiling(rdms, comparison=metric.comparison)
        return Ceiling(np.array([[upper if self.bound == "upper" else lower]]))


@dataclass(frozen=True)
class NoCeiling:
    """No ceiling: scores are raw."""

    name: ClassVar[str] = "none"

    def of(self, assembly: Presentations, metric: Metric, rdms: np.ndarray | None = None) -> Ceiling:
        """Return 1."""
        return Ceiling(np.ones((1, 1)))


CEILINGS: Mapping[str, Any] = MappingProxyType(
    {rule.name: rule for rule in (SplitHalf, Variance, Shipped, RdmNoise, NoCeiling)}
)
"""Name -> rule."""


def ceiling_by_name(rule: Any, **settings: Any) -> CeilingRule:
    """Return a ceiling rule by its name, itself, or numbers as shipped ceilings.

    Examples
    --------
    >>> ceiling_by_name("split-half", n_splits=20)
    SplitHalf(n_splits=20, seed=1)
    >>> ceiling_by_name(0.8).values
    (0.8,)
    """
    if isinstance(rule, (int, float, np.ndarray, list, tuple)):
        return Shipped(tuple(np.ravel(np.asarray(rule, dtype=np.float64)).tolist()))  # pyright: ignore[reportReturnType]
    like = "numbers, or an object with name and of(assembly, metric, rdms)"
    return by_name("ceiling", rule, CEILINGS, settings, CeilingRule, like)
