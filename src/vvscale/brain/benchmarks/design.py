"""Which images a metric is fitted on and which it is judged on, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from vvscale.brain.inputs.stimuli import StimulusSet
from vvscale.brain.metrics.metric import by_name
from vvscale.brain.metrics.splits import Splits, draw_splits
from vvscale.errors import MissingDataError, ShapeError

# Shape legend: N images of an assembly in its order, S splits.


@runtime_checkable
class Design(Protocol):
    """How images are divided."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    def splits(self, images: np.ndarray, strata: np.ndarray | None, stimuli: StimulusSet) -> Splits:
        """Return the training images of each split, and the test images unless all others are.

        Parameters
        ----------
        images
            (N,) stimulus_id in the order of the assembly.
        strata
            (N,) labels to balance, or None.
        stimuli
            Where further labels are.
        """
        ...


@dataclass(frozen=True)
class RandomSplits:
    """Random splits that keep the shares of the strata: the reference's design.

    Attributes
    ----------
    n_splits, train_size, seed
        Number of splits, share of training images in (0, 1), and state of the generator.
    """

    n_splits: int = 10
    train_size: float = 0.9
    seed: int = 1
    name: ClassVar[str] = "splits"

    def splits(self, images: np.ndarray, strata: np.ndarray | None, stimuli: StimulusSet) -> Splits:
        """Return the splits of :func:`vvscale.brain.metrics.splits.stratified_splits`."""
        options = {"n_splits": self.n_splits, "train_size": self.train_size, "seed": self.seed}
        return Splits(draw_splits(strata, len(images), **options))


@dataclass(frozen=True)
class KFold:
    """Each image tests once: k folds, in the order of the assembly unless shuffled.

    Attributes
    ----------
    n_folds
        Folds k, at least 2.
    seed
        State of the generator that shuffles images first; None leaves their order.
    """

    n_folds: int = 5
    seed: int | None = None
    name: ClassVar[str] = "k-fold"

    def splits(self, images: np.ndarray, strata: np.ndarray | None, stimuli: StimulusSet) -> Splits:
        """Return scikit-learn's folds, stratified where there are strata."""
        from sklearn import model_selection

        kind = model_selection.KFold if strata is None else model_selection.StratifiedKFold
        shuffled = {} if self.seed is None else {"shuffle": True, "random_state": self.seed}
        try:
            folds = list(kind(self.n_folds, **shuffled).split(np.zeros(len(images)), strata))
        except ValueError as error:
            raise ShapeError(f"Cannot make {self.n_folds} folds of {len(images)} images: {error}") from error
        is_train = np.zeros((self.n_folds, len(images)), dtype=bool)
        for fold, (train, _) in enumerate(folds):
            is_train[fold, train] = True
        return Splits(is_train)


@dataclass(frozen=True)
class TrainTest:
    """Fixed training and test images. Ceilings and similarities are then of the test images alone.

    Attributes
    ----------
    label, test
        The label of the stimuli that says which, and its value for test images.
    test_ids
        The stimulus_id of the test images instead.
    """

    label: str = "split"
    test: str = "test"
    test_ids: tuple[str, ...] = field(default=(), repr=False)
    name: ClassVar[str] = "train-test"

    def splits(self, images: np.ndarray, strata: np.ndarray | None, stimuli: StimulusSet) -> Splits:
        """Return the one split."""
        if self.test_ids:
            absent = sorted(set(self.test_ids) - set(images.tolist()))
            if absent:
                raise MissingDataError(
                    f"{len(absent)} of the {len(self.test_ids)} test images were not recorded, first '{absent[0]}'."
                )
            is_test = np.isin(images, np.array(self.test_ids, dtype=object))
        else:
            labels = stimuli.labels(self.label).loc[images]
            if labels.isna().any():
                raise MissingDataError(
                    f"The image '{labels.index[labels.isna()][0]}' has no label '{self.label}' "
                    f"({labels.isna().sum()} such), so it neither trains nor tests. Label every image."
                )
            is_test = labels.to_numpy() == self.test
        if is_test.all() or not is_test.any():
            what = (
                f"with test_ids of {len(self.test_ids)}" if self.test_ids else f"where '{self.label}' is '{self.test}'"
            )
            raise ShapeError(
                f"{int(is_test.sum())} of {len(images)} images are test images {what}; expected some of each kind."
            )
        return Splits(~is_test[None])


DESIGNS: Mapping[str, Any] = MappingProxyType({kind.name: kind for kind in (RandomSplits, KFold, TrainTest)})
"""Name -> design."""


def design_by_name(design: Any, **settings: Any) -> Design:
    """Return a design by its name, or itself.

    Examples
    --------
    >>> design_by_name("k-fold", n_folds=4)
    KFold(n_folds=4, seed=None)
    """
    return by_name(
        "design", design, DESIGNS, settings, Design, "an object with name and splits(images, strata, stimuli)"
    )
