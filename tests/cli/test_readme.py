"""Every command and every Python block that README shows runs as it stands there."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from vvscale.cli import main

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
SESSIONS = [block.strip().splitlines() for block in re.findall(r"```console\n(.*?)```", README, flags=re.DOTALL)]
COMMANDS = [line for session in SESSIONS for line in session]
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_readme_shows_commands():
    assert len(COMMANDS) >= 8
    assert all(command.startswith("vvscale ") for command in COMMANDS)
    assert BLOCKS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all, as a reader has: later blocks use what earlier ones wrote."""
    return tmp_path_factory.mktemp("readme")


@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session[0])
def test_commands_run_one_after_another(session, mirror, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    for command in session:
        code = main(shlex.split(command)[1:])
        printed = capsys.readouterr()
        assert code == 0, printed.err
        assert printed.out.strip()


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[0])
def test_python_runs_from_a_fresh_interpreter(block, mirror, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, env={**os.environ}, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) > 5
    for written in re.findall(r'(?:out=|write_report\()"([^"]+)"', block):
        assert (tmp_path / written).exists(), written


def test_make_verbs_of_readme_exist():
    makefile = (Path(__file__).resolve().parents[2] / "Makefile").read_text(encoding="utf-8")
    for verb in re.findall(r"make (demo|reproduce|test|setup|check|bench)\b", README):
        assert re.search(rf"^{verb}:", makefile, flags=re.MULTILINE), verb
