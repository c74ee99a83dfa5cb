"""What a first hour with a table, a network and a study of one's own stumbled over."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from vvscale.cli import main

# As people see them, and not as errors.
pytestmark = pytest.mark.filterwarnings("always::vvscale.errors.VvscaleWarning")

NET = """
from torch import nn


def tiny():
    features = [nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten()]
    return nn.Sequential(*features, nn.Linear(36, 4))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    params, images = np.repeat(np.geomspace(3e4, 5e7, 12), 5), np.tile([1e3, 3e3, 1e4, 3e4, 1e5], 12)
    score = 0.62 - 3 * params**-0.3 - 2.2 * images**-0.35 + rng.normal(0, 0.005, 60)
    pd.DataFrame(
        {"model": np.repeat([f"net{n}" for n in range(12)], 5), "params": params, "images": images, "my_score": score}
    ).to_csv("my.csv", index=False)
    (tmp_path / "nets.py").write_text(NET)
    return tmp_path


def run(capsys, *tokens):
    code = main(list(tokens))
    printed = capsys.readouterr()
    return code, " ".join(printed.out.split()), " ".join(printed.err.split())


def test_a_rising_score_is_told_the_flag_that_fits_it(folder, capsys):
    code, out, err = run(capsys, "fit", "my.csv", "--x", "params", "--y", "my_score")
    assert code == 0
    assert "`--y 1-my_score`" in out
    assert "They differ in images" in err
    assert "`--where images=100000`" in err
    code, out, err = run(capsys, "fit", "my.csv", "--x", "params", "--y", "1-my_score", "--where", "images=100000")
    assert (code, "rises with" in out, "warning" in err) == (0, False, False)
    assert "S_inf" in out
    code, out, err = run(capsys, "fit", "my.csv", "--law", "joint", "--x", "params", "images", "--y", "1-my_score")
    assert (code, "warning" in err) == (0, False)


def test_a_figure_of_a_score_of_ones_own(folder, capsys):
    asked = ("figure", "scatter", "--scores", "my.csv", "--x", "params", "--format", "json", "--resamples", "0")
    code, out, _ = run(capsys, *asked, "--y", "my_score", "--out", "a")
    assert code == 0
    assert "'my_score' rises and this law only falls: where it is a score, ask for y = 1-my_score." in out
    code, out, _ = run(capsys, *asked, "--y", "1-my_score", "--out", "b")
    assert (code, "only falls" in out) == (0, False)
    drawn = json.loads((folder / "b" / "scatter.json").read_text())
    assert drawn["panels"][0]["fits"][0]["is_score"]


def test_an_own_checkpoint_of_an_own_network(folder, capsys):
    made = {}
    exec(NET, made)
    torch.save({"model": made["tiny"]().state_dict()}, "own.pt")
    code, _, err = run(capsys, "score", "own.pt", "--layers", "all", "--dry-run")
    assert code == 2
    assert "`--arch file.py:NAME`" in err
    asked = ("score", "own.pt", "--arch", "nets.py:tiny", "--image-size", "32", "--resamples", "1")
    code, _, err = run(capsys, *asked, "--on", "simulated", "--layers", "4")
    assert "4 of 4 tensors" in err
    assert "warning" not in err
    assert "`--metric ridge`" in err  # four units are too few for 25 components


def test_an_own_network_that_takes_one_size_of_images_only(folder, capsys):
    body = [nn.Conv2d(3, 4, 3, stride=4), nn.ReLU(), nn.Flatten()]
    torch.save(nn.Sequential(*body, nn.Linear(4 * 8 * 8, 4)).state_dict(), "own.pt")
    (folder / "fixed.py").write_text(
        "from torch import nn\n\n\ndef net():\n"
        "    body = [nn.Conv2d(3, 4, 3, stride=4), nn.ReLU(), nn.Flatten()]\n"
        "    return nn.Sequential(*body, nn.Linear(4 * 8 * 8, 4))\n"
    )
    asked = ("--image-size", "32", "--resamples", "1", "--on", "simulated.V1-pls", "--layers", "0", "--json")
    for model in (("own.pt", "--arch", "fixed.py:net"), ("fixed.py:net",)):
        code, out, err = run(capsys, "score", *model, *asked)
        assert (code, "warning" in err) == (0, False)
        row = json.loads(out)["models"][0]["rows"][0]
        # The filters, their products on 8 x 8 places, and the classifier.
        assert row["n_params"] == 4 * 27 + 4 + 256 * 4 + 4
        assert row["forward_flop"] == 2 * (4 * 27 * 64 + 256 * 4)


def test_a_recipe_is_shown_with_the_keys_that_change_it(capsys):
    code, out, _ = run(capsys, "show", "simclr")
    assert code == 0
    assert "schedule.epochs = 100" in out
    assert "simclr.temperature = 0.5" in out
    code, out, _ = run(capsys, "show", "dino", "--json")
    assert json.loads(out)["values"]["objective"] == "dino"


@pytest.mark.parametrize("verb", ["init", "plan", "run", "resume", "status", "report"])
def test_each_verb_of_study_has_an_example_of_its_own(verb, capsys):
    _, out, _ = run(capsys, "study", verb, "--help")
    assert f"Example: vvscale study {verb} " in out


def test_a_path_without_its_suffix_is_answered_with_the_file_beside_it(folder, capsys):
    code, _, err = run(capsys, "export", "./my", "--csv", "b.csv")
    assert code == 3
    assert "does not exist" in err
    assert "Beside it is 'my.csv'" in err


def test_a_law_over_two_objectives_that_lie_apart_says_so(folder, capsys):
    table = pd.read_csv("my.csv").assign(is_ssl=[place % 2 == 1 for place in range(60)])
    table["error"] = 1 - table["my_score"] + 0.1 * table["is_ssl"]
    table.to_csv("both.csv", index=False)
    asked = ("--law", "joint", "--x", "params", "images", "--y", "error")
    code, out, _ = run(capsys, "fit", "both.csv", *asked)
    assert (code, "`--where is_ssl=false`" in out) == (0, True)
    code, out, _ = run(capsys, "fit", "both.csv", *asked, "--where", "is_ssl=false")
    assert (code, "Self-supervised" in out) == (0, False)
