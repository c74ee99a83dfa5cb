"""Options are declared once; Python, TOML and the command line read the same dataclass."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from cyclopts import App

from vvscale.cli.options import flags, verb, with_flags
from vvscale.core.options import Options, option
from vvscale.errors import ConfigError, UnknownNameError
from vvscale.figures.options import FigureOptions


@dataclass(frozen=True, kw_only=True)
class DrawOptions(Options):
    """Options of every kind."""

    law: str = option("power", "Law to draw.", group="Law")
    x: tuple[str, ...] = option((), "Inputs.", group="Law")
    resamples: int = option(0, "Resamples.", group="Intervals", at_least=0)
    level: float = option(0.9, "Level.", above=0, at_most=1, unit="share")
    loss: Literal["huber", "squares"] = option("huber", "Loss.")
    is_brief: bool = option(False, "Say little.")
    compile: bool | None = option(None, "Compile.")
    out: Path | None = option(None, "Folder.")
    bounds: tuple[float, float] | None = option(None, "Bounds.")
    changes: tuple[str, ...] = option((), "Changes.", flag="--set")
    at: tuple[float, ...] = option((), "Places.", above=0)


def typed(*tokens: str) -> tuple[str, DrawOptions]:
    got = []

    @verb
    def draw(table: str, /, *, options: DrawOptions) -> None:
        got.append((table, options))

    app = App(name="test")
    app.command(draw)
    app(["draw", *tokens], exit_on_error=False, print_error=False, result_action="return_value")
    return got[0]


CASES = {
    "nothing": ({}, []),
    "text and list": ({"law": "shifted", "x": ("N", "D")}, ["--law", "shifted", "--x", "N", "D"]),
    "repeated": ({"x": ("N", "D")}, ["--x", "N", "--x", "D"]),
    "numbers": (
        {"resamples": 10, "level": 0.5, "at": (1e3, 2e3)},
        ["--resamples", "10", "--level", ".5", "--at", "1e3", "2e3"],
    ),
    "choice": ({"loss": "squares"}, ["--loss", "squares"]),
    "switch": ({"is_brief": True}, ["--is-brief"]),
    "either": ({"compile": False}, ["--no-compile"]),
    "path": ({"out": Path("a/b")}, ["--out", "a/b"]),
    "pair": ({"bounds": (1.0, 2.0)}, ["--bounds", "1", "2"]),
    "another flag": ({"changes": ("a=1", "b=2")}, ["--set", "a=1", "--set", "b=2"]),
}


@pytest.mark.parametrize(("fields", "tokens"), CASES.values(), ids=CASES)
def test_python_toml_and_the_command_line_agree(fields: dict, tokens: list[str]):
    expected = DrawOptions(**fields)
    table, from_line = typed("rows.csv", *tokens)
    assert table == "rows.csv"
    assert isinstance(from_line, DrawOptions)
    assert from_line.to_dict() == expected.to_dict()
    plain = {k: str(v) if isinstance(v, Path) else list(v) if isinstance(v, tuple) else v for k, v in fields.items()}
    assert DrawOptions.from_table(plain, "the table") == expected
    assert DrawOptions.of(**plain) == expected
    assert DrawOptions.of(DrawOptions(), **fields) == expected


def test_a_single_value_is_a_sequence_of_one():
    assert DrawOptions(x="N").x == ("N",)
    assert DrawOptions(at=3).at == (3.0,)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"resamples": -1}, "`resamples` is -1; expected at least 0."),
        ({"level": 0}, "`level` is 0; expected more than 0."),
        ({"level": 1.5}, "`level` is 1.5; expected at most 1."),
        ({"at": (1.0, -2.0)}, "`at` is -2; expected more than 0."),
        ({"loss": "cubes"}, "Got 'cubes' for `loss`; expected one of 'huber', 'squares'."),
        ({"resamples": "many"}, "Got 'many' for `resamples`; expected a whole number."),
        ({"bounds": (1.0,)}, "Got 1 values for `bounds`; expected 2."),
    ],
)
def test_what_is_wrong_is_said_by_field(fields: dict, message: str):
    with pytest.raises(ConfigError) as raised:
        DrawOptions.of(**fields)
    assert str(raised.value) == message


def test_an_unknown_field_has_a_nearest_name():
    with pytest.raises(UnknownNameError, match=r"Unknown option 'resample'\. Did you mean 'resamples'"):
        DrawOptions.of(resample=3)
    with pytest.raises(ConfigError, match="Unknown key 'resample' in the table"):
        DrawOptions.from_table({"resample": 3}, "the table")


def test_errors_of_the_library_name_flags_on_the_command_line():
    with pytest.raises(ConfigError) as raised:
        typed("rows.csv", "--resamples", "-1")
    assert with_flags(str(raised.value), __name__) == "`--resamples` is -1; expected at least 0."
    text = 'Use `x=("N", "D")`, `changes`, `is_brief=True`, `other`, or `vvscale ls laws`.'
    said = "Use `--x N D`, `--set`, `--is-brief`, `other`, or `vvscale ls laws`."
    assert with_flags(text, __name__) == said
    assert with_flags(text, "another.module") == text


def test_help_shows_groups_units_and_choices(capsys: pytest.CaptureFixture[str]):
    @verb
    def draw(*, options: DrawOptions) -> None: ...

    app = App(name="test")
    app.command(draw)
    app(["draw", "--help"], exit_on_error=False, result_action="return_value")
    said = capsys.readouterr().out
    for words in ("Law", "Intervals", "--set", "[share]", "choices: huber, squares", "--no-compile"):
        assert words in said


def test_flags_are_made_once():
    assert flags(DrawOptions) is flags(DrawOptions)
    assert issubclass(flags(DrawOptions), DrawOptions)


@pytest.mark.parametrize("tokens", [[], ["--resamples", "5"]])
def test_a_verb_gets_the_librarys_own_class_which_other_processes_can_read(tokens: list[str]):
    got: list[FigureOptions] = []

    @verb
    def draw(*, options: FigureOptions) -> None:
        got.append(options)

    app = App()
    app.default(draw)
    app(tokens, exit_on_error=False, result_action="return_value")
    assert type(got[0]) is FigureOptions
    assert pickle.loads(pickle.dumps(got[0])) == got[0]
