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
from vvscale.core.options import SEED, checked, described, option
from vvscale.errors import ConfigError, did_you_mean
from vvscale.train.neural.options import UNTUNED

Scalar = bool | int | float | str
AxisValue = Scalar | tuple[Scalar, ...]
Table = Mapping[str, AxisValue]

SEEDS_PER_MASTER = 1000
_RECIPE_PREFIX = "recipe."


@dataclass(frozen=True)
class SetRule:
    """Values (axis -> value) for all runs that match (axis -> value, list of values, or pattern)."""

    where: Table
    to: Mapping[str, Scalar]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One point of a study's axes; the first nine fields are as :class:`vvscale.train.RunSpec` takes them."""

    arch: str = option(help="Name of an architecture.")
    dataset: str = option(help="Data set that it is trained on.")
    recipe: str = option(help="Recipe.")
    samples_per_class: int = option(0, "0 means all images.", at_least=0)
    seed: int = option(SEED, at_least=0)
    image_size: int | None = option(None, unit="pixels", at_least=0)
    subset_seed: int | None = option(None, at_least=0)
    subset_rule: str = option("uniform")
    start: str | None = option(None)
    finetune: str = option(UNTUNED, 'Name of a way to fine-tune, or "none".')
    finetune_fraction: float = option(
        100.0, "Percentage of the recorded training images that it uses.", above=0, at_most=100
    )
    mapping_samples: str | int | None = option(
        None,
        "Share or number of the recorded training images that the mapping is fitted on; None for the whole benchmark.",
        check=Amount.parse,
    )
    changes: tuple[tuple[str, Scalar], ...] = option((), "Keys of the recipe that this run changes, sorted.")

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
        defaults = self.__dataclass_fields__
        parts += [f"{key}={getattr(self, key)}" for key in more if getattr(self, key) != defaults[key].default]
        return " ".join(parts)


_AXES = {name: (hint, about) for name, hint, about in described(Run) if name != "changes"}


def expand_runs(
    axes: Table,
    *,
    exclude: Sequence[Table] = (),
    include: Sequence[Table] = (),
    rules: Sequence[SetRule] = (),
    master_seed: int = 0,
) -> list[Run]:
    """Return all runs, in the order of the axes, the last one fastest, without repetition.

    Runs that match all entries of a table of ``exclude`` are left out. Each table of ``include`` is a further product;
    an axis that it does not name has the value it has in ``axes``, if there it is a single one. ``rules`` are applied
    in order to every run; ``master_seed`` adds 1000 times itself to every seed.

    Raises
    ------
    ConfigError
        An axis is unknown or empty, a value has the wrong type, or an exclusion or rule matches nothing.

    Examples
    --------
    >>> [run.label for run in expand_runs({"arch": ("a", "b"), "dataset": "digits", "recipe": "tiny"})]
    ['a digits full seed 42 tiny', 'b digits full seed 42 tiny']
    """
    read = _read(axes, "[axes]")
    points = list(_product(read))
    for number, table in enumerate(exclude, 1):
        where = f"[[exclude]] {number}"
        _check_names(table, where)
        kept = [point for point in points if not has_values(point, table)]
        if len(kept) == len(points):
            raise ConfigError(f"{where} matches no run: {dict(table)}. Correct it or take it away.")
        points = kept
    fixed = {name: read[name] for name, value in axes.items() if not isinstance(value, tuple)}
    for number, table in enumerate(include, 1):
        points += _product({**fixed, **_read(table, f"[[include]] {number}")})
    for number, rule in enumerate(rules, 1):
        _check_names(rule.where, f"'where' of [[set]] {number}")
        to = {name: value for name, (value,) in _read(rule.to, f"'to' of [[set]] {number}").items()}
        hits = [point for point in points if has_values(point, rule.where)]
        if not hits:
            raise ConfigError(f"[[set]] {number} matches no run: {dict(rule.where)}. Correct it or take it away.")
        for point in hits:
            point.update(to)
    return list(dict.fromkeys(_run(point, master_seed) for point in points))


def matches(run: Run, table: Table) -> bool:
    """Return whether a run has the values of a table."""
    return has_values(
        {**dataclasses.asdict(run), **{f"{_RECIPE_PREFIX}{key}": value for key, value in run.changes}}, table
    )


def _product(axes: Mapping[str, tuple[Scalar, ...]]) -> Iterator[dict[str, Scalar]]:
    for values in itertools.product(*axes.values()):
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


def _read(table: Table, where: str) -> dict[str, tuple[Scalar, ...]]:
    """Return the values of each axis, every one of the axis's type and within its bounds."""
    _check_names(table, where)
    for name, values in table.items():
        if values == ():
            raise ConfigError(f"The axis '{name}' in {where} has no value. Give at least one.", key=name)
    return {name: tuple(_value(name, one, where) for one in _as_tuple(values)) for name, values in table.items()}


def _value(name: str, value: Scalar, where: str) -> Scalar:
    if name not in _AXES:
        return value
    hint, about = _AXES[name]
    try:
        value = checked(name, hint, about, value)
        if about.check is not None:
            about.check(value)
    except ConfigError as error:
        raise ConfigError(f"The axis `{name}` in {where}: {error}", key=name) from error
    return value


def _check_names(table: Mapping[str, Any], where: str) -> None:
    for name in table:
        if name not in _AXES and not name.startswith(_RECIPE_PREFIX):
            raise ConfigError(
                f"Unknown axis '{name}' in {where}.{did_you_mean(name, _AXES)} Known: {', '.join(_AXES)}, and "
                '"recipe.KEY" for any key of the recipe.',
                key=name,
            )


def _run(point: Mapping[str, Any], master_seed: int) -> Run:
    for name in ("arch", "dataset", "recipe"):
        if name not in point:
            raise ConfigError(f"A run has no '{name}': {dict(point)}. Add it to [axes], as one value or a list.")
    values = {name: value for name, value in point.items() if name in _AXES}
    # Runs that are the same are equal: a network that is not tuned is one, whatever the fractions of the others.
    if values.get("finetune", UNTUNED) == UNTUNED:
        values.pop("finetune_fraction", None)
    if values.get("mapping_samples") is not None:
        values["mapping_samples"] = str(Amount.parse(values["mapping_samples"]))
    changes = sorted((name.removeprefix(_RECIPE_PREFIX), value) for name, value in point.items() if name not in _AXES)
    made = Run(**values, changes=tuple(changes))
    return dataclasses.replace(made, seed=made.seed + SEEDS_PER_MASTER * master_seed)
