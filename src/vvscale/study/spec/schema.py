"""A study as one TOML file: what is trained, how it is scored, which laws are fitted, and where it all runs.

Every key is known or refused, with the nearest known one and the line. The file says what; nothing here looks at
data, models or recipes, which :mod:`vvscale.study.spec.resolve` does.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from vvscale.core.config import from_table, put, read_toml
from vvscale.core.files import safe_name, write_bytes
from vvscale.core.inputs.plain import refuse_existing
from vvscale.core.options import Options, option
from vvscale.errors import ConfigError, MissingDataError, did_you_mean, shell_words
from vvscale.laws.workflow.options import FitOptions
from vvscale.study.spec.axes import AxisValue, Run, Scalar, SetRule, expand_runs
from vvscale.study.spec.workers import EngineSpec
from vvscale.train.neural.options import UNTUNED, FineTuneOptions

NAMED_STUDIES = Path("studies")


@dataclass(frozen=True, kw_only=True)
class DatasetSpec(Options):
    """A data set by the name that runs use; its numbers let a plan be made where the images are not."""

    path: str | None = option(
        None,
        "Folder of the prepared images, or an embedded name. By default the name itself if that is embedded, else the "
        "folder of that name in VVSCALE_DATA.",
    )
    n_classes: int | None = option(None, "Of the training images.")
    n_images: int | None = option(None, "Of the training images.")


@dataclass(frozen=True, kw_only=True)
class RecipeSpec(Options):
    """A recipe by the name that runs use."""

    based_on: str = option(help="A built-in recipe or a TOML file, relative to the study's.")
    changes: Mapping[str, Scalar] = option(factory=dict, help="Dotted key -> value.")


@dataclass(frozen=True, kw_only=True)
class FineTuneSpec(FineTuneOptions):
    """A way to fine-tune by the name that runs use: every option of ``vvscale fine-tune``, and what is tuned to.

    Seed and fraction are those of the runs; `fixed_test` of [score] says which images are never tuned on.
    """

    on: tuple[str, ...] = option(help="Recordings to tune to: benchmarks of one stimulus set.")
    layers: str = option("", "The layer that is read out; by default those of [score], by region.")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, own in (("seed", "the axis seed"), ("fraction", "the axis finetune_fraction")):
            if getattr(self, name) != FineTuneOptions.__dataclass_fields__[name].default:
                raise ConfigError(f"`{name}` of [finetune] is set by {own}; leave it out.", key=name)


@dataclass(frozen=True, kw_only=True)
class ScoreSpec(Options):
    """How models are scored."""

    benchmarks: tuple[str, ...] = option(
        ("simulated",), "Benchmark ids, regions, files, ``simulated`` or ``simulated-digits``."
    )
    layers: Literal["committed", "select"] | Mapping[str, str] = option(
        "select",
        "``committed``: the published layers of an architecture. ``select``: the best layers of the reference run of "
        "each architecture and data set, used for all its runs. Or a table region -> layer.",
    )
    reference: Mapping[str, AxisValue] = option(factory=dict, help="Which run selects layers, as values of axes.")
    select_on: tuple[str, ...] = option((), "Benchmarks that layers are selected on; by default those that are scored.")
    epochs: Literal["last"] | tuple[int, ...] = option(
        "last", "Checkpoints to score besides the final weights, or ``last`` for those only."
    )
    models: tuple[str, ...] = option(
        (), "Further models to score, not trained here: ``gokce2025:MODEL_ID``, ``timm:NAME``, a folder."
    )
    options: Mapping[str, AxisValue] = option(
        factory=dict, help='Options of the scorer, such as ``{preprocessing = "gokce2025", batch_size = 64}``.'
    )


@dataclass(frozen=True, kw_only=True)
class LawSpec(FitOptions):
    """A law to fit: every option of ``vvscale fit``, and what a study adds.

    Besides the columns of the table, ``y`` may be ``accuracy_error`` = 1 - accuracy.
    """

    name: str = option(help="Name of the fit.")
    average_seeds: bool = option(False, "Average runs that differ in the seed alone first.")
    budgets: tuple[float, ...] = option(
        (), "FLOP for which the best parameters and samples are planned; only for a joint law.", above=0
    )


_PLANNED = ("n_params", "samples_seen")
"""Inputs that a plan is about."""


@dataclass(frozen=True, kw_only=True)
class ForecastSpec(Options):
    """A budget to plan by a law of the study, to train, and to compare with the law's prediction."""

    law: str = option(help="Name of a joint law in n_params and samples_seen.")
    budget: float = option(help="Best one that no run of the study had.", unit="FLOP", above=0)
    arch: tuple[str, ...] = option(help="Networks to choose from; best ones that the study does not train.")
    seed: tuple[int, ...] = option((0,), "Runs to average, as the law's rows are.")
    like: Mapping[str, AxisValue] = option(
        factory=dict, help="Which runs of the study the new ones are like in data set and recipe, as values of axes."
    )
    level: float = option(
        0.8, "Coverage of the prediction interval, below 1; at most K / (K + 1) for K values of ``by``.", above=0
    )
    by: str = option("arch", "What the new network is new in; see ``vvscale.laws.predict_interval``.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.arch or not self.seed or self.level >= 1:
            raise ConfigError(
                f"[forecast] has {len(self.arch)} networks, {len(self.seed)} seeds, level={self.level:g}; expected at "
                "least one `arch` and `seed`, and a level in (0, 1)."
            )


@dataclass(frozen=True, kw_only=True)
class ReportSpec(Options):
    """What people look at."""

    title: str = option("", "Of the report; by default the study's summary.")
    figures: tuple[str, ...] = option((), "Names of figures, as ``vvscale figure`` takes them.")
    store: str | None = option(None, "Folder of a score store that finished rows are appended to as well.")


@dataclass(frozen=True, kw_only=True)
class DiagnosticsSpec(Options):
    """A study of tasks that do nothing: it measures the engine and the shared disk."""

    chains: int = option(help="Pairs of tasks, the second of which needs the first.", at_least=1)
    seconds: float = option(0.0, "What each first task sleeps.", unit="seconds", at_least=0)
    ranks: bool = option(False, "Whether one task sums over all processes that ``engine`` gives to one training.")


@dataclass(frozen=True)
class StudySpec:
    """A whole study.

    Attributes
    ----------
    name, summary
        For folders and reports.
    seed
        Master seed; run seeds are their axis value + 1000 x this.
    axes, exclude, include, set
        What is varied, and how it becomes runs; see :func:`vvscale.study.spec.axes.expand_runs`.
    datasets, recipes
        By the names that axes use; a name that is not here is taken as an embedded or built-in one.
    finetune
        Ways to fine-tune on recordings, by the names that the axis finetune uses; "none" is none.
    score, laws, forecast, report, engine
        What follows training.
    diagnostics
        Instead of all that, tasks that do nothing.
    source
        The file, for messages and relative paths.
    """

    name: str
    summary: str = ""
    seed: int = 0
    axes: Mapping[str, AxisValue] = field(default_factory=dict)
    exclude: tuple[Mapping[str, AxisValue], ...] = ()
    include: tuple[Mapping[str, AxisValue], ...] = ()
    set: tuple[SetRule, ...] = ()
    datasets: Mapping[str, DatasetSpec] = field(default_factory=dict)
    recipes: Mapping[str, RecipeSpec] = field(default_factory=dict)
    finetune: Mapping[str, FineTuneSpec] = field(default_factory=dict)
    score: ScoreSpec = field(default_factory=ScoreSpec)
    laws: tuple[LawSpec, ...] = ()
    forecast: ForecastSpec | None = None
    report: ReportSpec = field(default_factory=ReportSpec)
    engine: EngineSpec = field(default_factory=EngineSpec)
    diagnostics: DiagnosticsSpec | None = None
    source: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            raise ConfigError(f"The study's name is '{self.name}'; expected letters, digits, '.', '_' and '-'.")
        # Each of these names a folder of the results; some disks take "IT" and "it" for one.
        alike = [safe_name(law.name, "law").casefold() for law in self.laws]
        twice = next((law.name for law in self.laws if alike.count(law.name.casefold()) > 1), None)
        if twice:
            raise ConfigError(f"Two laws are named '{twice}', capitals or not; give one of them another name.")
        if self.forecast is not None:
            law = next((law for law in self.laws if law.name == self.forecast.law), None)
            if law is None or law.law != "joint" or law.x not in ((), _PLANNED) or law.each or law.offsets:
                raise ConfigError(
                    f"[forecast] goes by the law '{self.forecast.law}'; expected one of [[laws]] with law = \"joint\", "
                    f"x = {list(_PLANNED)} or none, without `each` and `offsets`. "
                    + (
                        "There is no law of that name."
                        if law is None
                        else f'It has law = "{law.law}", x = {list(law.x)}.'
                    )
                )
        if UNTUNED in self.finetune:
            raise ConfigError(f"[finetune.{UNTUNED}] cannot be: '{UNTUNED}' names the network that is not tuned.")
        if (self.diagnostics is None) == (not self.axes):
            advice = "Take one away." if self.axes else "Add one of them."
            raise ConfigError(f"A study has [axes], or [diagnostics], and not both. {advice}")

    def runs(self) -> list[Run]:
        """Return all points of the axes, in order, without repetition."""
        if not self.axes:
            return []
        return expand_runs(self.axes, exclude=self.exclude, include=self.include, rules=self.set, master_seed=self.seed)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, all defaults filled in; where the file lies is left out."""
        values = {key: value for key, value in dataclasses.asdict(self).items() if key != "source"}
        # A study that tunes nothing is the study that it was before it could.
        return values if self.finetune else {key: value for key, value in values.items() if key != "finetune"}


def named_specs() -> dict[str, Path]:
    """Return name -> file of the studies that can be given by name: one's own in ``studies/``, and those of vvscale."""
    folders = [NAMED_STUDIES, Path(__file__).parents[1] / "specs", Path(__file__).parents[4] / "studies"]
    return {one.stem: one for folder in reversed(folders) for one in sorted(folder.glob("*.toml"))}


def find_spec(name: str | Path) -> Path:
    """Return the file of a study given by path or by name.

    Raises
    ------
    MissingDataError
        There is none; the message offers the nearest name.
    """
    path = Path(name)
    if path.suffix == ".toml" or path.is_file():
        return path
    if path.name and (file := path.with_name(f"{path.name}.toml")).is_file():
        return file
    found = named_specs()
    if str(name) in found:
        return found[str(name)]
    known = ", ".join(sorted(found)) or "none"
    raise MissingDataError(
        f"No study '{name}'.{did_you_mean(str(name), found)} Expected a TOML file, the folder of a study that was "
        f"begun, or one of: {known}. `vvscale study init {shell_words(name)}` writes a new one."
    )


def write_template(name: str, folder: Path = Path()) -> Path:
    """Write a commented study to start from, and return its file.

    Raises
    ------
    UsageError
        There is a file of that name, or the name cannot be one.
    """
    name = safe_name(name.removesuffix(".toml"), "study")  # people name the study, or its file
    refuse_existing(path := folder / f"{name}.toml")
    template = Path(__file__).with_name("template.toml").read_text(encoding="utf-8")
    write_bytes(path, template.format(name=name, file=path).encode())
    return path


def load_spec(name: str | Path, *, changes: Mapping[str, Any] | None = None) -> StudySpec:
    """Read a study's file.

    Parameters
    ----------
    name
        A path, or the name of a study that comes with vvscale or lies in ``studies/``.
    changes
        Dotted key -> value, replacing what the file says.

    Raises
    ------
    ConfigError
        A key or value is wrong; the message says where, with the line.
    MissingDataError
        There is no such file.
    """
    path = find_spec(name)
    table = read_toml(path)
    for key, value in (changes or {}).items():
        # Axes have no tables: what follows is one name, such as "recipe.batch_size".
        put(table, key.split(".", 1 if key.startswith("axes.") else -1), value)
    text = path.read_text(encoding="utf-8")
    try:
        spec = from_table(StudySpec, {**table, "source": str(path)}, f"'{path}'")
        spec.runs()
    except ConfigError as error:
        # What was changed by hand does not stand in the file.
        key = None if any(error.key in one.split(".") for one in changes or {}) else error.key
        raise ConfigError(f"{error}{_line_of(key, text)}", key=error.key) from error
    return spec


def _line_of(key: str | None, text: str) -> str:
    """Return the line of a key, in words, or an empty text where it is not on a single one."""
    if key is None:
        return ""
    name = re.escape(key)
    wanted = re.compile(rf"""^\s*(\[+\s*)?["']?{name}["']?\s*(=|\.|\])|[{{,]\s*["']?{name}["']?\s*=""")
    lines = [number for number, line in enumerate(text.splitlines(), 1) if wanted.search(line)]
    return f" (line {lines[0]})" if len(lines) == 1 else ""
