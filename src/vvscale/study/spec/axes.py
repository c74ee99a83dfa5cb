"""Named axes become runs: their product, without what is excluded, with what is included, then set.

A run is a network that is trained, then perhaps fine-tuned on recordings, then scored with a mapping that is fitted on
so many images. Runs that differ in the later steps alone share the earlier ones; see :attr:`Run.training`.

As in a build matrix: exclusions thin out the product, inclusions come after them and stand as they are. A pattern of
text may hold ``*`` and ``?``.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from vvscale.brain.mapping.subset import Amount
from vvscale.core.options import SEED
from vvscale.errors import ConfigError, did_you_mean
from vvscale.train.neural.options import UNTUNED

Scalar = bool | int | float | str
AxisValue = Scalar | tuple[Scalar, ...]
Table = Mapping[str, AxisValue]

SEEDS_PER_MASTER = 1000
_RECIPE_PREFIX = "recipe."


@dataclass(frozen=True)
class SetRule:
    """Values for all runs that match.

    Attributes
    ----------
    where
        Axis -> value, list of values, or pattern.
    to
        Axis -> value.
    """

    where: Table
    to: Mapping[str, Scalar]


@dataclass(frozen=True)
class Run:
    """One point of a study's axes.

    Attributes
    ----------
    arch, dataset, samples_per_class, seed, recipe, image_size, subset_seed, subset_rule, start
        As :class:`vvscale.train.RunSpec` takes them; ``samples_per_class`` 0 means all images.
    finetune, finetune_fraction
        Name of a way to fine-tune, or "none"; percent of the recorded training images that it uses.
    mapping_samples
        Share or number of the recorded training images that the mapping is fitted on; None for the whole benchmark.
    changes
        Keys of the recipe that this run changes, sorted.
    """

    arch: str
    dataset: str
    recipe: str
    samples_per_class: int = 0
    seed: int = SEED
    image_size: int | None = None
    subset_seed: int | None = None
    subset_rule: str = "uniform"
    start: str | None = None
    finetune: str = UNTUNED
    finetune_fraction: float = 100.0
    mapping_samples: str | None = None
    changes: tuple[tuple[str, Scalar], ...] = ()

    @property
    def training(self) -> Run:
        """The run as far as its network is trained, before any recordings."""
        return dataclasses.replace(self, finetune=UNTUNED, finetune_fraction=100.0, mapping_samples=None)

    @property
    def network(self) -> Run:
        """The run as far as its network is tuned, before it is scored."""
        return dataclasses.replace(self, mapping_samples=None)

    @property
    def label(self) -> str:
        """A name for people: everything that may tell two runs of a study apart."""
        parts = [self.arch, self.dataset, str(self.samples_per_class or "full"), f"seed {self.seed}", self.recipe]
        parts += [f"{key}={value}" for key, value in self.changes]
        more = (
            "image_size", "subset_seed", "subset_rule", "start", "finetune", "finetune_fraction", "mapping_samples",
        )  # fmt: skip
        parts += [f"{key}={getattr(self, key)}" for key in more if getattr(self, key) != _FIELDS[key].default]
        return " ".join(parts)


_FIELDS = {field.name: field for field in dataclasses.fields(Run) if field.name != "changes"}
_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "arch": str, "dataset": str, "recipe": str, "subset_rule": str, "start": str, "finetune": str,
    "finetune_fraction": (int, float), "mapping_samples": (int, str),
}  # fmt: skip
_WORDS = {str: "text", (int, float): "a percentage", (int, str): "a share such as 10%, or a number"}


def expand_runs(
    axes: Table,
    *,
    exclude: Sequence[Table] = (),
    include: Sequence[Table] = (),
    rules: Sequence[SetRule] = (),
    master_seed: int = 0,
) -> list[Run]:
    """Return all runs, in the order of the axes, the last one fastest, without repetition.

    Parameters
    ----------
    axes
        Axis -> value or values.
    exclude
        Runs that match all entries of one of these are left out.
    include
        Further products; an axis that one does not name has the value it has in ``axes``, if there it is a single
        one.
    rules
        Applied in order to every run.
    master_seed
        Adds 1000 times itself to every seed.

    Raises
    ------
    ConfigError
        An axis is unknown or empty, a value has the wrong type, or an exclusion or rule matches nothing.

    Examples
    --------
    >>> [run.label for run in expand_runs({"arch": ("a", "b"), "dataset": "digits", "recipe": "tiny"})]
    ['a digits full seed 42 tiny', 'b digits full seed 42 tiny']
    """
    _check_names(axes, "[axes]")
    points = list(_product(axes, "[axes]"))
    for number, table in enumerate(exclude, 1):
        where = f"[[exclude]] {number}"
        _check_names(table, where)
        kept = [point for point in points if not has_values(point, table)]
        if len(kept) == len(points):
            raise ConfigError(f"{where} matches no run: {dict(table)}. Correct it or take it away.")
        points = kept
    fixed = {name: value for name, value in axes.items() if not isinstance(value, tuple)}
    for number, table in enumerate(include, 1):
        _check_names(table, f"[[include]] {number}")
        points += _product({**fixed, **table}, f"[[include]] {number}")
    for number, rule in enumerate(rules, 1):
        _check_names(rule.where, f"'where' of [[set]] {number}")
        _check_names(rule.to, f"'to' of [[set]] {number}")
        hits = [point for point in points if has_values(point, rule.where)]
        if not hits:
            raise ConfigError(f"[[set]] {number} matches no run: {dict(rule.where)}. Correct it or take it away.")
        for point in hits:
            point.update(rule.to)
    return list(dict.fromkeys(_run(point, master_seed) for point in points))


def matches(run: Run, table: Table) -> bool:
    """Return whether a run has the values of a table."""
    return has_values(
        {**dataclasses.asdict(run), **{f"{_RECIPE_PREFIX}{key}": value for key, value in run.changes}}, table
    )


def _product(axes: Table, where: str) -> Iterator[dict[str, Scalar]]:
    lists = [value if isinstance(value, tuple) else (value,) for value in axes.values()]
    empty = next((name for name, values in zip(axes, lists, strict=True) if not values), None)
    if empty is not None:
        raise ConfigError(f"The axis '{empty}' in {where} has no value. Give at least one.", key=empty)
    for values in itertools.product(*lists):
        yield dict(zip(axes, values, strict=True))


def has_values(point: Mapping[str, Any], table: Table) -> bool:
    """Return whether a point has the values of a table; text may be a pattern."""
    return all(any(_equals(point.get(name), one) for one in _as_tuple(wanted)) for name, wanted in table.items())


def _equals(value: Any, wanted: Scalar) -> bool:
    if isinstance(value, str) and isinstance(wanted, str):
        return fnmatchcase(value, wanted)
    return value == wanted and isinstance(value, bool) == isinstance(wanted, bool)


def _as_tuple(value: AxisValue) -> tuple[Scalar, ...]:
    return value if isinstance(value, tuple) else (value,)


def _check_names(table: Mapping[str, Any], where: str) -> None:
    for name in table:
        if name not in _FIELDS and not name.startswith(_RECIPE_PREFIX):
            raise ConfigError(
                f"Unknown axis '{name}' in {where}.{did_you_mean(name, _FIELDS)} Known: {', '.join(_FIELDS)}, and "
                '"recipe.KEY" for any key of the recipe.',
                key=name,
            )


def _run(point: Mapping[str, Scalar], master_seed: int) -> Run:
    values = {name: value for name, value in point.items() if name in _FIELDS}
    for name, value in values.items():
        kind = _TYPES.get(name, int)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ConfigError(
                f"The axis '{name}' has the value {value!r}; expected {_WORDS.get(kind, 'a whole number')}.",
                key=name,
            )
    for name in ("arch", "dataset", "recipe"):
        if name not in values:
            raise ConfigError(f"A run has no '{name}': {dict(point)}. Add it to [axes], as one value or a list.")
    if any(isinstance(value, int) and value < 0 for value in values.values()):
        raise ConfigError(f"A run has a negative value: {dict(point)}. Expected whole numbers from 0.")
    _read_recordings(values)
    changes = sorted((name.removeprefix(_RECIPE_PREFIX), value) for name, value in point.items() if name not in _FIELDS)
    made = Run(**values, changes=tuple(changes))  # pyright: ignore[reportArgumentType]
    return dataclasses.replace(made, seed=made.seed + SEEDS_PER_MASTER * master_seed)


def _read_recordings(values: dict[str, Any]) -> None:
    """Bring what a run has of recordings into one form, so that runs that are the same are equal."""
    fraction = values.get("finetune_fraction", 100)
    if not 0 < fraction <= 100:
        raise ConfigError(
            f"The axis 'finetune_fraction' has the value {fraction}; expected a percentage above 0, at most 100.",
            key="finetune_fraction",
        )
    # A fraction of nothing: the network that is not tuned is one, whatever the fractions of the others.
    values["finetune_fraction"] = float(fraction) if values.get("finetune", UNTUNED) != UNTUNED else 100.0
    if "mapping_samples" in values:
        try:
            values["mapping_samples"] = str(Amount.parse(values["mapping_samples"]))
        except ConfigError as error:
            raise ConfigError(f"The axis 'mapping_samples': {error}", key="mapping_samples") from error
