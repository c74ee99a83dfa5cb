"""Every command that a message, a help text or a document advises exists, with its flags; `vvscale doctor`."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

import vvscale
from vvscale import doctor
from vvscale.cli import build_app, main
from vvscale.cli.verbs import VERBS

PACKAGE = Path(vvscale.__file__).parent
REPOSITORY = PACKAGE.parents[1]
# Between quotes or backquotes, or after "Next:"; a word in the middle of a sentence is no command.
ADVICE = re.compile(r"[`']vvscale ([^`'\n]+)[`']|Next: vvscale ([^`'\n;|]+)|^\s*(?:\$ )?vvscale ([^`'\n#|]+)", re.M)
COMMON = {"--help", "--version"}


# Between these a value was put that a shell would take apart.
BARE = "\x02", "\x03"


def filled(node: ast.AST, known: Mapping[str, ast.AST]) -> str:
    """Return a text as written: FILLED for a value that goes through `shell_words`, any other between BARE."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(filled(one.value if isinstance(one, ast.FormattedValue) else one, known) for one in node.values)
    if isinstance(node, ast.Name) and node.id in known:
        return filled(known[node.id], known)
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "shell_words":
        return " ".join(str(one.value) if isinstance(one, ast.Constant) else "FILLED" for one in node.args)
    return f"{BARE[0]}{ast.unparse(node)}{BARE[1]}"


def texts(source: str) -> list[str]:
    """Return the texts of a Python file, with what is filled in."""
    tree = ast.parse(source)
    # A list of words may be made in a line of its own.
    known = {
        ast.unparse(node.targets[0]): node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("shell_words(")
    }
    inner = {id(one) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for one in ast.walk(node)}
    return [
        filled(node, known)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        or (isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner)
    ]


def advised() -> dict[str, str]:
    """Return command -> where it is advised."""
    found: dict[str, str] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for text in texts(path.read_text()):
            for match in ADVICE.finditer(text):
                found.setdefault(next(filter(None, match.groups())).strip(), str(path.relative_to(PACKAGE)))
    pages = {REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md")}
    # The commands of that page are wrong on purpose.
    for path in sorted(pages - {REPOSITORY / "docs" / "bad-inputs.md"}):
        for match in ADVICE.finditer(path.read_text()):
            found.setdefault(next(filter(None, match.groups())).strip(), path.name)
    return found


COMMANDS = advised()


@pytest.fixture(scope="module")
def flags() -> dict[str, set[str]]:
    """Verb, or verb and sub-command -> its flags."""
    app, known = build_app(), {}

    def collect(path: tuple[str, ...], one) -> None:
        names = [name for name in one if not name.startswith("-")]
        if one.default_command is not None:
            arguments = one.assemble_argument_collection()
            known[" ".join(path)] = {name for each in arguments for name in each.names if name.startswith("--")}
        for name in names:
            collect((*path, name), one[name])

    for verb in VERBS:
        collect((verb,), app[verb])
    return known


def test_commands_are_found():
    assert len(COMMANDS) > 40
    assert any(command.startswith("doctor") for command in COMMANDS)


@pytest.mark.parametrize("command", sorted(COMMANDS), ids=lambda command: command[:60])
def test_an_advised_command_exists(command: str, flags: dict[str, set[str]]):
    where = COMMANDS[command]
    words = command.split()
    if words[0] in COMMON or words[0].startswith(("FILLED", "<", "VERB", "--")):
        return
    verb = words[0]
    assert verb in VERBS, f"{where} advises `vvscale {command}`: there is no such verb"
    if " ".join(words[:2]) in flags:
        verb = " ".join(words[:2])
    known = flags.get(verb) or set().union(*(one for name, one in flags.items() if name.startswith(verb)))
    for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]*", command):
        assert flag in known | COMMON, f"{where} advises `vvscale {command}`: `{verb}` has no {flag}"


def bare_values(commands: Iterable[str]) -> list[str]:
    return [command for command in commands if BARE[0] in command]


def test_what_is_filled_into_an_advised_command_is_quoted_for_a_shell():
    """A path with blanks would be several words."""
    assert not bare_values(command.partition(";")[0] for command in COMMANDS)


def test_a_value_that_is_not_quoted_is_seen():
    def seen(source: str) -> list[str]:
        return [next(filter(None, found.groups())) for text in texts(source) for found in ADVICE.finditer(text)]

    assert bare_values(seen("say(f'Next: vvscale plan {out} --budget 1')"))
    assert bare_values(seen("say(f'See `vvscale plan {out}`.')"))
    assert seen("say(f\"Next: vvscale plan {shell_words(out, '--x', y)}\")") == ["plan FILLED --x FILLED"]


# Flags are the command line's business.

FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
# Commands may have flags: ours, and those of the tools that install something.
COMMAND = re.compile(r"`[a-z][^`]*`|'(?:vvscale|python|[\w/]*pip) [^']*'")


def said_by(node: ast.AST) -> list[str]:
    """Return the texts below a node, a filled-in text in one piece."""
    if isinstance(node, ast.JoinedStr):
        return ["".join(str(one.value) if isinstance(one, ast.Constant) else "FILLED" for one in node.values)]
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    return [text for one in ast.iter_child_nodes(node) for text in said_by(one)]


def flags_in_messages(source: str) -> list[str]:
    """Return what names a flag in the errors, warnings and option helps of a module."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    speaking = [
        call
        for call in calls
        if re.search(r"(Error|Warning|warn|unknown_name|option|Finding)$", ast.unparse(call.func))
    ]
    texts = [text for call in speaking for one in call.args for text in said_by(one)]
    return [text for text in texts if FLAG.search(COMMAND.sub("", text))]


LIBRARY = sorted(path for path in PACKAGE.rglob("*.py") if "cli" not in path.relative_to(PACKAGE).parts)


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_library_names_fields_and_no_flags(path: Path):
    assert not flags_in_messages(path.read_text(encoding="utf-8"))


def test_a_flag_in_a_message_is_seen():
    assert flags_in_messages("raise DataError(f'{x} is bad. Give --out.')") == ["FILLED is bad. Give --out."]
    assert flags_in_messages("raise DataError('Bad. ' 'Next: `vvscale fit T --out DIR`.')") == []
    assert flags_in_messages("rows: int = option(1, 'Rows of --by.')") == ["Rows of --by."]


# The doctor.


def test_the_doctor_says_what_is_here(capsys: pytest.CaptureFixture[str]):
    assert main(["doctor", "--json"]) == 0
    findings = {one["what"]: one for one in json.loads(capsys.readouterr().out)["findings"]}
    assert findings["vvscale"]["found"] == vvscale.__version__
    assert {"Python", "cores", "PyTorch", "free memory", "cache", "part 'score'"} <= set(findings)
    assert all(one["is_fine"] or one["advice"] for one in findings.values())


def test_the_doctor_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def version(name: str) -> str:
        if name in {"xarray", "torch"}:
            raise PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(doctor, "version", version)
    monkeypatch.setattr(doctor, "free_memory", lambda: 1e9)
    monkeypatch.setenv("VVSCALE_MIRROR", str(tmp_path / "nowhere"))
    found = {one.what: one for one in doctor.examine()}
    assert not found["part 'score'"].is_fine
    assert "xarray" in found["part 'score'"].found
    assert "pip install 'vvscale[score]'" in found["part 'score'"].advice
    assert "--memory 1GB" in found["free memory"].advice
    assert "VVSCALE_MIRROR" in found["mirror of downloads"].advice
