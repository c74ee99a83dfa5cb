"""``vvscale train``: what it prints, its exit codes, and the text of its errors."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vvscale.cli import main
from vvscale.errors import StoppedError
from vvscale.scores import load_scores
from vvscale.train import RunSpec, load_recipe, train
from vvscale.train.watchers.alignment import Scorer

STEPS = ["--set", "schedule.steps=4", "--set", "batch_size=64"]
MODEL = "resnetflex-w2-d1-1-1"
QUICK = [MODEL, "--samples-per-class", "2", "--device", "cpu", *STEPS]


FIVE_EPOCHS = {"schedule.steps": 5, "batch_size": 64, "evaluations_per_decade": -1}


class StopAt:
    """A watcher that tells its own process to stop."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, progress) -> None:
        if progress.step == self.step:
            os.kill(os.getpid(), signal.SIGTERM)

    def on_evaluation(self, line, network, record):
        return {}


def run(capsys: pytest.CaptureFixture[str], *tokens: str) -> tuple[int, str, str]:
    code = main(["train", *tokens])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_trains_and_says_what_it_did(capsys, tmp_path: Path):
    code, out, err = run(capsys, *QUICK, "--out", str(tmp_path))
    assert code == 0, err
    assert "resnetflex-w2-d1-1-1_digits_2_seed-42_tiny+" in out
    assert "finished after 4 steps and 80 images, accuracy" in out
    assert f"Next: vvscale score {tmp_path} --on simulated" in err
    assert {path.name for path in tmp_path.iterdir()} == {
        "spec.json", "log.jsonl", "weights.safetensors", "weights.json", "result.json", "epochs",
    }  # fmt: skip


def test_the_same_command_again_trains_nothing(capsys, tmp_path: Path):
    first = run(capsys, *QUICK, "--out", str(tmp_path), "--json")
    before = (tmp_path / "weights.safetensors").stat().st_mtime_ns
    second = run(capsys, *QUICK, "--out", str(tmp_path), "--json")
    assert json.loads(first[1]) == json.loads(second[1])
    assert json.loads(second[1])["row"]["n_samples"] == 20
    assert (tmp_path / "weights.safetensors").stat().st_mtime_ns == before


def test_a_dry_run_prints_the_cost_and_writes_nothing(capsys, tmp_path: Path):
    out = tmp_path / "run"
    code, printed, _ = run(capsys, *QUICK, "--out", str(out), "--dry-run", "--json")
    assert code == 0
    cost = json.loads(printed)
    assert (cost["n_images"], cost["n_steps"], cost["samples_seen"]) == (20, 4, 80)
    assert cost["train_flop"] == 3 * cost["forward_flop"] * 80
    assert cost["images_per_second"] > 0
    assert cost["memory_bytes"] > 4 * cost["n_params_actual"]
    assert not out.exists()


@pytest.mark.parametrize(
    ("tokens", "code", "text"),
    [
        (["resnt18"], 2, "Unknown "),
        (["resnetflex-w2-d1-1-1", "--data", "nowhere"], 3, "No data set 'nowhere'"),
        ([*QUICK, "--recipe", "resnt"], 2, "Unknown recipe 'resnt'. Did you mean 'resnet'?"),
        ([*QUICK, "--set", "optimizer.lrr=1"], 2, "Unknown key 'lrr' in 'optimizer'"),
        ([*QUICK, "--set", "optimizer.lr=0"], 2, "The learning rate `lr` is 0.0; expected a number above 0."),
        ([*QUICK, "--set", "optimizer.lr=nan"], 2, "Got nan for 'lr' in 'optimizer' in the recipe 'tiny'"),
        ([*QUICK, "--set", "batch_size.x=1"], 2, "'batch_size' is a value and no table"),
        ([*QUICK, "--set", "fits_batch=false"], 2, "The batch of 64 images is larger than the subset of 20"),
        (["resnetflex-w2-d1-1-1", "--samples-per-class", "1000"], 3, "Cannot draw 1000 images of each class"),
        (["resnetflex-w2-d1-1-1", "--samples-per-class=-1"], 2, "`--samples-per-class` is -1"),
        (["resnetflex-w2-d1-1-1", "--device", "cuda:7"], 2, "asks for GPU 7"),
        ([*QUICK, "--start", "nowhere/run"], 3, "nowhere/run"),
        ([*QUICK, "--score-every", "2"], 2, "Add `--score-on`"),
        (
            [*QUICK, "--score-every", "0", "--score-on", "simulated.V1-pls"],
            2,
            "`--score-every` is 0; expected at least 1",
        ),
        ([*QUICK, "--track", "mlflow"], 2, "Unknown tracker 'mlflow'"),
        ([*QUICK, "--set", "optimizer.lr=1e30"], 4, "diverged: the sum of losses was"),
    ],
)
def test_errors(capsys, tmp_path: Path, tokens: list[str], code: int, text: str):
    found, _, err = run(capsys, *tokens, "--out", str(tmp_path / "run"))
    assert text in err
    assert found == code
    assert not (tmp_path / "run" / "weights.safetensors").exists()


def test_a_full_disk_loses_nothing(capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("vvscale.models.weights.save_file", full)
        code, _, err = run(capsys, *QUICK, "--out", str(tmp_path))
    assert code == 3
    assert "the disk is full" in err
    assert not (tmp_path / "weights.safetensors").exists()
    assert run(capsys, *QUICK, "--out", str(tmp_path))[0] == 0


def test_a_signal_gives_the_code_that_means_again(tmp_path: Path):
    command = [
        sys.executable,
        "-m",
        "vvscale",
        "train",
        *QUICK,
        "--set",
        "schedule.steps=100000",
        "--out",
        str(tmp_path),
    ]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    # From here on a signal is kept until the step at hand is over.
    while child.poll() is None and not (tmp_path / "spec.json").exists():
        time.sleep(0.05)
    child.terminate()
    _, err = child.communicate(timeout=120)
    assert child.returncode == 75
    assert "has saved its state after step" in err
    assert list(tmp_path.glob("checkpoint-*.pt"))


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_trackers_get_the_numbers_of_every_look(name: str, tmp_path: Path):
    """In a process of its own: trackers start threads and services, and warn about themselves."""
    command = [sys.executable, "-m", "vvscale", "train", *QUICK, "--out", str(tmp_path), "--track", name]
    environment = {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "OMP_NUM_THREADS": "1", "HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=300)
    assert done.returncode == 0, done.stderr
    if name == "tensorboard":
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(tmp_path / "tensorboard"))
        events.Reload()
        line = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
        found = events.Scalars("accuracy")
        assert (found[-1].step, found[-1].value) == (4, pytest.approx(line["accuracy"]))
    else:
        assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))


def test_alignment_during_training(capsys, tmp_path: Path):
    """The log has the best score of each region, the store every layer, at the looks that were asked for."""
    looks = ["--set", "evaluations_per_decade=3", "--score-on", "simulated.V1-pls", "--score-every", "2"]
    code, _, err = run(capsys, *QUICK, *looks, "--out", str(tmp_path))
    assert code == 0, err
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    scored = [line["epoch"] for line in lines if "score_V1" in line]
    assert [line["epoch"] for line in lines] == [1, 2, 4]
    assert scored == [2, 4]
    rows = load_scores(str(tmp_path / "scores"))
    assert set(rows["epoch"]) == {2, 4}
    assert rows["layer"].nunique() > 5
    best = rows[rows["epoch"] == 4]["score"].max()
    assert lines[-1]["score_V1"] == pytest.approx(best, rel=1e-12)
    assert rows["is_simulated"].all()


def test_a_run_that_goes_on_scores_the_same_looks(tmp_path: Path):
    """Which looks are scored is decided by their position in the run, not by where it was stopped."""
    scored = Scorer(["simulated.V1-pls"], every=2, store=tmp_path / "scores", resamples=10)
    spec = RunSpec(MODEL, "digits", load_recipe("tiny", FIVE_EPOCHS), samples_per_class=2)
    with pytest.raises(StoppedError):
        train(spec, out=tmp_path, device="cpu", watchers=(StopAt(3), scored))
    afresh = Scorer(["simulated.V1-pls"], every=2, store=tmp_path / "scores", resamples=10)
    train(spec, out=tmp_path, device="cpu", watchers=(afresh,))
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(line["evaluation"], line["n_evaluations"]) for line in lines] == [(look, 5) for look in range(1, 6)]
    assert [line["epoch"] for line in lines if "score_V1" in line] == [2, 4, 5]


def test_scoring_a_finished_run_is_another_command(capsys, tmp_path: Path):
    folder = tmp_path / "my run"
    assert run(capsys, *QUICK, "--out", str(folder))[0] == 0
    code, _, err = run(capsys, *QUICK, "--out", str(folder), "--score-on", "simulated.V1-pls")
    assert code == 0, err
    assert "Nothing was scored" in err
    assert f"Next: vvscale score '{folder}' --on simulated.V1-pls --out '{folder}/scores'" in err
    assert not (folder / "scores").exists()


def test_a_benchmark_that_is_not_there_is_found_out_before_training(capsys, tmp_path: Path):
    code, _, err = run(capsys, *QUICK, "--score-on", "simulatd", "--out", str(tmp_path / "run"))
    assert code == 2
    assert "simulatd" in err
    assert not (tmp_path / "run").exists()
