"""Class-balanced subsets: d images of each class, as a function of a seed of their own.

The seed of a subset is apart from the seed of training, so that the two sources of variation can be told apart.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from vvscale.data.store import ImageStore, check_labels
from vvscale.errors import ConfigError, DataError, unknown_name

Rule = Literal["uniform", "nested", "published"]
_NESTED = 1


@dataclass(frozen=True, eq=False)
class Subset:
    """Which images a model is trained on.

    Attributes
    ----------
    index
        (n_images,) int64, positions in the store, ascending.
    samples_per_class
        Images of each class; 0 means all there are.
    seed, rule
        What the draw was made with.
    digest
        sha256 in hex of the index; equal for equal subsets.
    """

    index: np.ndarray = field(repr=False)
    samples_per_class: int
    seed: int
    rule: Rule
    digest: str

    def __len__(self) -> int:
        return len(self.index)


def balanced_subset(
    store: ImageStore | np.ndarray,
    *,
    samples_per_class: int,
    seed: int,
    rule: Rule = "uniform",
) -> Subset:
    """Draw the same number of images of each class, uniformly and without replacement.

    Parameters
    ----------
    store
        The images, or only their labels (n_images,), integers from 0 on.
    samples_per_class
        How many of each class; 0 takes every image and needs no draw.
    seed
        Of the draw; the training seed is another.
    rule
        "uniform": another set for every seed and every number. "nested": for one seed, a smaller number takes part
        of what a larger one takes. "published": what the published models were trained on, numpy's global
        generator and one choice per class in the order of the folders; not nested.

    Returns
    -------
    Subset

    Raises
    ------
    DataError
        A class has fewer images than asked for; the message names it.
    ConfigError, UnknownNameError
        ``samples_per_class`` or ``seed`` is negative, or the rule is unknown.

    Source
    ------
    published: the subset sampler of the study's training code.
    """
    labels = np.asarray(store.labels if isinstance(store, ImageStore) else store)
    _check(labels, samples_per_class, seed, rule)
    names = store.class_names if isinstance(store, ImageStore) else tuple(map(str, range(labels.max() + 1)))
    check_labels(labels, len(names), "The data")
    index = np.arange(len(labels))
    if samples_per_class:
        members = _members(labels, len(names))
        _check_enough(members, names, samples_per_class)
        index = np.sort(np.concatenate(_draw(members, samples_per_class, seed, rule)))
    digest = hashlib.sha256(index.astype("<i8").tobytes()).hexdigest()
    return Subset(index, samples_per_class, seed, rule, digest)


def _draw(members: list[np.ndarray], n: int, seed: int, rule: Rule) -> list[np.ndarray]:
    if rule == "published":
        # RandomState(seed) gives the numbers of numpy.random.seed(seed) and leaves the global generator alone.
        published = np.random.RandomState(seed)
        return [published.choice(rows, n, replace=False) for rows in members]
    # A generator per class: a class draws the same images whatever other classes there are before it.
    salt = (_NESTED,) if rule == "nested" else (0, n)
    generators = (np.random.default_rng((seed, k, *salt)) for k in range(len(members)))
    return [generator.permutation(rows)[:n] for generator, rows in zip(generators, members, strict=True)]


def _members(labels: np.ndarray, n_classes: int) -> list[np.ndarray]:
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.searchsorted(labels[order], np.arange(1, n_classes)))


def _check(labels: np.ndarray, n: int, seed: int, rule: str) -> None:
    if rule not in get_args(Rule):
        raise unknown_name("rule of subsets", rule, get_args(Rule))
    if n < 0 or seed < 0:
        raise ConfigError(
            f"Got samples_per_class {n} and seed {seed}; expected whole numbers of at least 0 (samples_per_class 0 "
            "means every image)."
        )
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or not len(labels):
        raise DataError(
            f"Cannot draw from labels of shape {labels.shape} and type {labels.dtype}; expected (n_images,) integers, "
            "at least one."
        )


def _check_enough(members: list[np.ndarray], names: tuple[str, ...], n: int) -> None:
    short = [k for k, rows in enumerate(members) if len(rows) < n]
    if short:
        fewest = min(short, key=lambda k: len(members[k]))
        listed = ", ".join(f"'{names[k]}' ({len(members[k])})" for k in short[:5]) + (", ..." if short[5:] else "")
        raise DataError(
            f"Cannot draw {n} images of each class: {len(short)} of {len(members)} classes have fewer: {listed}. "
            f"Ask for at most {len(members[fewest])} per class, or leave those classes out when preparing the data."
        )
