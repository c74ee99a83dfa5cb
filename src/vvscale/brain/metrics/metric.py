"""What a metric is: a value with a name that says what it needs of a layer and compares it with recordings.

A metric sees one layer at a time. What it needs decides what the pass over the images keeps for it, so that all
metrics of all benchmarks come out of the same pass:

- ``products``: the inner products of the images, a :class:`vvscale.brain.metrics.gram.Gram`. It gives the products of
  centred features (regressions, CKA) and of features as they are (dissimilarities) from one matrix.
- ``standardized``: the same of features divided by their standard deviation over the images.
- ``features``: the (N, p) features themselves, which must then fit into memory.

A metric of one's own is any object with these three members; it need not be registered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from importlib import import_module
from types import MappingProxyType
from typing import Any, Literal, Protocol, cast, runtime_checkable

import numpy as np

from vvscale.errors import ConfigError, UsageError, did_you_mean, unknown_name

# Shape legend: S splits, N images, n images that a similarity is taken over, q neuroids, M subjects, D draws.

Need = Literal["products", "standardized", "features"]
NEEDS = ("products", "standardized", "features")

MOST_TABLES = 7
"""(N, N) tables of float64 that a metric takes at its worst moment, the layer's own included, unless it says by
``n_tables`` that it takes fewer."""


@dataclass(frozen=True)
class Needs:
    """What a benchmark needs of a layer; layers are prepared once for all benchmarks that need the same.

    Attributes
    ----------
    kind
        As of a metric.
    scaled_by
        Images whose mean and standard deviation standardise the features; None for all images of the set.
    """

    kind: Need = "products"
    scaled_by: tuple[str, ...] | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False)
class Target:
    """What a layer is compared with.

    Attributes
    ----------
    responses
        (N, q) means over repetitions, in the unit of the recordings; (N, 0) where only dissimilarities are given.
    is_train, is_test
        (S, N) bool, the training and the test images of each split; by default all others test.
    judged
        (n,) rows of the images that similarities are taken over.
    rdms
        (M, n, n) dissimilarities of the judged images, one table per subject, where they are given; else None.
    device
        Where to compute: None for NumPy, else a PyTorch device.
    """

    responses: np.ndarray = field(repr=False)
    is_train: np.ndarray = field(repr=False)
    judged: np.ndarray = field(repr=False)
    is_test: Any = field(default=None, repr=False)
    rdms: np.ndarray | None = field(default=None, repr=False)
    device: str | None = None
    kept: dict[str, Any] = field(default_factory=dict, repr=False)
    """What a metric has computed of the target alone, to be used again for the next layer."""

    def __post_init__(self) -> None:
        if self.is_test is None:
            object.__setattr__(self, "is_test", ~self.is_train)

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """Return what ``make`` gives, computed once per target."""
        if name not in self.kept:
            self.kept[name] = make()
        return self.kept[name]


class Outcome(Protocol):
    """What a metric says about a layer, before a ceiling.

    ``r`` is (n_splits, n_neuroids), or (1, 1) where the metric is one number.
    """

    r: np.ndarray
    aggregate: Any
    note: str

    @property
    def n_images(self) -> int:
        """Images N of the target."""
        ...

    @property
    def raw_score(self) -> float:
        """One number."""
        ...

    @property
    def error(self) -> float:
        """Its error over splits, NaN where there are none."""
        ...

    def draws(self, images: np.ndarray) -> Iterator[np.ndarray]:
        """Yield for each split (D, q) values of r when images count (D, N) times."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain types."""
        ...


@runtime_checkable
class Metric(Protocol):
    """How a layer is compared with recordings."""

    @property
    def name(self) -> str:
        """Its name, as on rows."""
        ...

    @property
    def needs(self) -> Need:
        """What it needs of a layer."""
        ...

    def measure(self, features: Any, target: Target) -> Outcome:
        """Compare what it needs of a layer, of the images of the target in their order, with the target."""
        ...


def _of(module: str, kind: str) -> Callable[[], type]:
    # Imported when asked for: this module must not import the metrics, which import it.
    return lambda: getattr(import_module(f"vvscale.brain.metrics.{module}"), kind)


METRICS: Mapping[str, Callable[[], type]] = MappingProxyType(
    {
        "pls": _of("pls", "PLS"),
        "ridge": _of("ridge", "Ridge"),
        "ridge-cv": _of("ridge", "RidgeCV"),
        "rsa": _of("rsa", "RSA"),
        "cka": _of("cka", "CKA"),
        "cka-biased": _of("cka", "BiasedCKA"),
    }
)
"""Name -> what gives the class of the metric."""


def metric_by_name(metric: str | Metric, **settings: Any) -> Metric:
    """Return a metric by its name, or itself.

    Parameters
    ----------
    metric
        One of :data:`METRICS`, or any object that is a :class:`Metric`.
    settings
        Fields of the metric, such as ``n_components=10`` for ``pls`` or ``alphas=[1, 10, 100]`` for ``ridge-cv``.

    Raises
    ------
    UnknownNameError, ConfigError, UsageError
        There is no such metric or field, or the object is no metric.

    Examples
    --------
    >>> metric_by_name("pls", n_components=10)
    PLS(n_components=10, aggregate='median')
    """
    like = "an object with name, needs and measure(features, target)"
    made: Metric = by_name("metric", metric, METRICS, settings, Metric, like)
    if made.needs not in NEEDS:
        raise UsageError(f"The metric '{made.name}' needs {made.needs!r}; expected {', '.join(NEEDS)}.")
    return made


def by_name(
    what: str, given: Any, kinds: Mapping[str, Callable[..., Any]], settings: Mapping[str, Any], kind: Any, like: str
) -> Any:
    """Return the value of a name, or the value itself, or say what was expected.

    Parameters
    ----------
    what
        What is named, singular and lower case, for messages.
    given, kinds
        A name or a value, and each known name -> its dataclass, or a function that imports and returns it.
    settings
        Fields of the dataclass.
    kind, like
        The protocol that a value keeps to, and what that is in words.

    Raises
    ------
    UnknownNameError
        There is no such name.
    ConfigError
        There is no such setting.
    UsageError
        The value is another kind of thing.
    """
    if not isinstance(given, str):
        if isinstance(given, type) or not isinstance(given, kind):
            raise UsageError(f"Got {given!r} as a {what}; expected one of {', '.join(kinds)}, or {like}.")
        return given
    if given not in kinds:
        raise unknown_name(what, given, kinds)
    made = kinds[given] if isinstance(kinds[given], type) else kinds[given]()
    known = [one.name for one in fields(cast("Any", made)) if one.init]
    for setting in settings:
        if setting not in known:
            raise ConfigError(
                f"The {what} '{given}' has no setting '{setting}'.{did_you_mean(setting, known)} It has "
                f"{', '.join(known) or 'none'}."
            )
    return made(**settings)
