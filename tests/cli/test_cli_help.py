"""Help with a worked example per verb, extras that are missing, export, and citing one's own rows."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vvscale.cli import build_app, main
from vvscale.cli.verbs import EXAMPLE, VERBS
from vvscale.core.imports import EXTRAS, missing_extra

BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked}:
            raise ModuleNotFoundError(f"No module named '{{name}}'", name=name)
sys.meta_path.insert(0, Block())
from vvscale.cli import main
sys.exit(main({tokens}))
"""


def without(blocked, *tokens):
    """Run a verb in a process where some packages are not installed."""
    code = BLOCK.format(blocked=set(blocked), tokens=list(tokens))
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)


def test_every_verb_has_an_example_that_its_own_parser_takes():
    app = build_app()
    for example in (EXAMPLE, *(verb.example for verb in VERBS.values())):
        tokens = shlex.split(example)
        assert tokens[0] == "vvscale"
        app.parse_args(tokens[1:], exit_on_error=False, print_error=False)
    assert all(shlex.split(verb.example)[1] == name for name, verb in VERBS.items())


@pytest.mark.parametrize("verb", ["fit", "figure", "export"])
def test_help_shows_the_example(verb, capsys):
    assert main([verb, "--help"]) == 0
    assert " ".join(VERBS[verb].example.split()) in " ".join(capsys.readouterr().out.split())


def test_no_help_starts_with_the_papers(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert "Start with: vvscale reproduce" not in out
    assert "vvscale fit runs.csv" in " ".join(out.split())


HEAVY = ("torch", "torchvision", "timm", "sklearn", "h5py", "xarray", "matplotlib", "vl_convert", "parsl")


@pytest.mark.parametrize(
    ("tokens", "extra"),
    [
        (("study", "plan", "demo"), "study|train"), (("score", "resnet18", "--on", "simulated"), "score"),
        (("train", "resnet18", "--dry-run"), "train"), (("figure", "compute", "--scores", "mine.csv"), "figures"),
        (("report", "r.html", "--scores", "mine.csv"), "figures"),
        (("fit", "mine.csv", "--x", "x", "--y", "y", "--plot", "law.png"), "figures"),
    ],
)  # fmt: skip
def test_a_missing_extra_is_named_with_its_command(tokens, extra, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = np.geomspace(1, 1e4, 12)
    pd.DataFrame({"x": x, "y": 0.3 + x**-0.4, "score": 0.7 - x**-0.4, "n_params": x}).to_csv("mine.csv", index=False)
    done = without(HEAVY, *tokens)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert re.search(rf"which is not installed\. Next: pip install 'vvscale\[({extra})\]'", done.stderr), done.stderr


@pytest.mark.parametrize(
    "tokens", [("ls", "laws"), ("fit", "mine.csv", "--x", "x", "--y", "y"), ("export", "s.csv", "--csv", "o.csv")]
)
def test_the_base_needs_no_extra(tokens, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = np.geomspace(1, 1e4, 12)
    pd.DataFrame({"x": x, "y": 0.3 + x**-0.4}).to_csv("mine.csv", index=False)
    rows = {"model_id": ["a", "b"], "region": ["IT", "IT"], "benchmark_id": ["m.IT"] * 2, "score": [0.1, 1 / 3]}
    pd.DataFrame(rows).to_csv("s.csv", index=False)
    done = without(EXTRAS, *tokens)
    assert done.returncode == 0, done.stderr


def test_only_what_an_extra_brings_is_called_an_extra():
    assert missing_extra(ModuleNotFoundError(name="mine")) is None
    assert "vvscale[study]" in str(missing_extra(ModuleNotFoundError(name="torch.nn"), "study"))
    text = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    for extra in {
        *filter(None, (verb.extra for verb in VERBS.values())),
        *(one for extras in EXTRAS.values() for one in extras),
    }:
        assert re.search(rf"^{extra} = \[", text, flags=re.MULTILINE), extra


def test_export_keeps_every_digit(tmp_path, capsys):
    rows = [
        {"model_id": f"m{i}", "region": region, "benchmark_id": f"mine.{region}", "score": np.pi / (i + 3) * scale}
        for i in range(5)
        for region, scale in (("V4", 1.0), ("IT", 0.5))
    ]
    table = pd.DataFrame(rows)
    table.to_parquet(tmp_path / "in.parquet")
    tokens = ["export", tmp_path / "in.parquet", "--csv", tmp_path / "o.csv", "--parquet", tmp_path / "o.parquet",
              "--where", "region=IT", "--json"]  # fmt: skip
    assert main([str(token) for token in tokens]) == 0
    assert json.loads(capsys.readouterr().out)["n_rows"] == 5
    for made in (
        pd.read_csv(tmp_path / "o.csv"),
        pd.read_parquet(tmp_path / "o.parquet"),
    ):
        np.testing.assert_array_equal(made["score"], table.loc[table["region"] == "IT", "score"])
    assert main(["export", str(tmp_path / "in.parquet")]) == 2


def test_cite_ones_own_rows(tmp_path, capsys):
    own = pd.DataFrame({"width": [1.0, 2.0], "error": [0.2, 0.1], "dataset": ["ecoset", "mine"]})
    own.to_csv(tmp_path / "own.csv", index=False)
    assert main(["cite", str(tmp_path / "own.csv"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["keys"] == ["mehrer2021"]
    own.drop(columns="dataset").to_csv(tmp_path / "bare.csv", index=False)
    assert main(["cite", str(tmp_path / "bare.csv")]) == 0
    assert "Cite your own recordings" in capsys.readouterr().err
