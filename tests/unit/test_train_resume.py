"""A run that is killed, stopped or resumed ends with the same bits as one that was left alone."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import re
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch

from vvscale.errors import ConfigError, DataError, DivergedError, StoppedError, UsageError, VvscaleWarning
from vvscale.train import RunSpec, load_recipe, train
from vvscale.train.run_folder import RunFolder

MODEL = "resnetflex-w2-d1-1-1"
SHORT = {"schedule.steps": 24, "batch_size": 16, "evaluations_per_decade": 3, "checkpoints_per_decade": 1}
ADAMW = {
    "optimizer.name": "adamw",
    "optimizer.lr": 1e-3,
    "optimizer.clip_norm": 1.0,
    "ema.decay": 0.9,
    "augmentation.mixup": 0.8,
}
SIMCLR = {
    "schedule.epochs": "none",
    "schedule.warmup_epochs": 0,
    "schedule.warmup_fraction": 0.1,
    "simclr.hidden": 16,
    "simclr.dim": 8,
    "fits_batch": True,
}


def spec(kind: str = "sgd", **changes) -> RunSpec:
    recipe = {
        "sgd": lambda: load_recipe("tiny", SHORT | changes),
        "adamw-ema": lambda: load_recipe("tiny", SHORT | ADAMW | changes),
        "simclr": lambda: load_recipe("simclr", SHORT | SIMCLR | changes),
    }[kind]()
    return RunSpec(model=MODEL, dataset="digits", recipe=recipe, samples_per_class=5, seed=3)


def outcome(folder: Path) -> tuple[dict[str, bytes], dict, list]:
    """Return all that must not depend on interruptions."""
    weights = {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.safetensors"))}
    weights |= {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob("epochs/*.json"))}
    weights["weights.json"] = (folder / "weights.json").read_bytes()
    result = json.loads((folder / "result.json").read_text())
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    for record in (result, *lines):
        record.pop("seconds")
        record.pop("content_sha256", None)  # it covers the seconds too
    return weights, result, lines


class Stop:
    """A watcher that tells its own process to stop."""

    def __init__(self, step: int, number: signal.Signals = signal.SIGTERM) -> None:
        self.step, self.number = step, number

    def on_step(self, progress) -> None:
        if progress.step == self.step:
            os.kill(os.getpid(), self.number)

    def on_evaluation(self, line, network, record):
        return {}


class Kill:
    """A watcher that ends its own process like a power cut."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, progress) -> None:
        if progress.step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_evaluation(self, line, network, record):
        return {}


def in_a_child(work) -> int:
    """Run ``work`` in a forked process and return its wait status."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1]


@pytest.mark.parametrize("kind", ["sgd", "adamw-ema", "simclr"])
def test_killed_at_ten_random_steps_the_weights_are_the_same_bits(kind: str, tmp_path: Path):
    run = spec(kind)
    train(run, out=tmp_path / "whole", device="cpu")
    for step in sorted(random.Random(kind).sample(range(1, 24), 10)):
        status = in_a_child(
            lambda step=step: train(run, out=tmp_path / "killed", device="cpu", save_seconds=0, watchers=(Kill(step),))
        )
        assert os.WIFSIGNALED(status)
        assert os.WTERMSIG(status) == signal.SIGKILL
    train(run, out=tmp_path / "killed", device="cpu", save_seconds=0)
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "whole")


def test_killed_at_any_moment_even_while_writing(tmp_path: Path):
    run = spec("adamw-ema")
    started = time.monotonic()
    train(run, out=tmp_path / "whole", device="cpu", save_seconds=0)
    whole = time.monotonic() - started
    moments = random.Random(0)
    for _ in range(10):
        child = os.fork()
        if child == 0:
            try:
                train(run, out=tmp_path / "killed", device="cpu", save_seconds=0)
            finally:
                os._exit(0)
        time.sleep(moments.random() * whole)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    train(run, out=tmp_path / "killed", device="cpu", save_seconds=0)
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "whole")
    left = [path.name for path in (tmp_path / "killed").iterdir() if path.suffix not in {".part"}]
    assert sorted(left) == sorted(path.name for path in (tmp_path / "whole").iterdir())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_saves_the_state_and_stops(number: signal.Signals, tmp_path: Path):
    run = spec()
    with pytest.raises(StoppedError, match=r"after step 7 of 24\..*Rerun to resume"):
        train(run, out=tmp_path / "stopped", device="cpu", watchers=(Stop(7, number),))
    assert StoppedError.exit_code == 75
    assert signal.getsignal(number) is signal.SIG_DFL
    train(run, out=tmp_path / "stopped", device="cpu")
    train(run, out=tmp_path / "whole", device="cpu")
    assert outcome(tmp_path / "stopped") == outcome(tmp_path / "whole")


@pytest.mark.parametrize("kind", ["sgd", "adamw-ema", "simclr"])
def test_stopped_at_the_last_step_of_an_epoch_or_of_the_run(kind: str, tmp_path: Path):
    """What an epoch ends with (look, log, weights) is made up for when the run goes on."""
    run = spec(kind, checkpoints_per_decade=-1)
    train(run, out=tmp_path / "whole", device="cpu")
    for step in (4, 12, 24):  # of an epoch with a look, of one without, of the run
        with pytest.raises(StoppedError, match=f"after step {step} of 24"):
            train(run, out=tmp_path / "stopped", device="cpu", watchers=(Stop(step),))
    train(run, out=tmp_path / "stopped", device="cpu")
    assert outcome(tmp_path / "stopped") == outcome(tmp_path / "whole")
    result = json.loads((tmp_path / "stopped" / "result.json").read_text())
    assert result["row"]["n_epochs"] == 6
    assert result["accuracy"] is not None


def test_stopped_at_the_last_step_of_a_run_that_ends_within_an_epoch(tmp_path: Path):
    run = spec(**{"schedule.steps": 6})
    train(run, out=tmp_path / "whole", device="cpu")
    with pytest.raises(StoppedError, match="after step 6 of 6"):
        train(run, out=tmp_path / "stopped", device="cpu", watchers=(Stop(6),))
    train(run, out=tmp_path / "stopped", device="cpu")
    assert outcome(tmp_path / "stopped") == outcome(tmp_path / "whole")


def test_killed_while_the_last_step_is_looked_at(tmp_path: Path):
    class KillInLook(Kill):
        def on_step(self, progress) -> None:
            pass

        def on_evaluation(self, line, network, record):
            if line["step"] == self.step:
                os.kill(os.getpid(), signal.SIGKILL)
            return {}

    run = spec()
    train(run, out=tmp_path / "whole", device="cpu")
    for step in (8, 24):
        status = in_a_child(
            lambda step=step: train(
                run, out=tmp_path / "killed", device="cpu", save_seconds=0, watchers=(KillInLook(step),)
            )
        )
        assert os.WIFSIGNALED(status)
    train(run, out=tmp_path / "killed", device="cpu", save_seconds=0)
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "whole")


def test_a_finished_run_is_not_trained_again(tmp_path: Path):
    first = train(spec(), out=tmp_path, device="cpu")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert train(spec(), out=tmp_path, device="cpu") == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize(
    ("name", "damage", "text"),
    [
        ("weights.safetensors", Path.unlink, r"There is no file '.*weights.safetensors'"),
        ("weights.json", Path.unlink, r"There is no file '.*weights.json'"),
        ("weights.safetensors", lambda path: path.write_bytes(path.read_bytes()[:-1]), r"expected [0-9a-f]{64}"),
    ],
    ids=["no weights", "no record", "cut off"],
)
def test_a_finished_run_without_its_weights_is_no_success(name: str, damage, text: str, tmp_path: Path):
    train(spec(), out=tmp_path, device="cpu")
    damage(tmp_path / name)
    with pytest.raises(DataError, match=rf"has finished, but its weights cannot be used any more.*{text}.*remove the"):
        train(spec(), out=tmp_path, device="cpu")


def test_two_runs_at_once_in_one_folder_are_kept_apart(tmp_path: Path):
    class Second(Stop):
        """Starts the same run within its steps."""

        def on_step(self, progress) -> None:
            if progress.step == self.step:
                with pytest.raises(UsageError, match="Another process is training the run"):
                    train(spec(), out=tmp_path, device="cpu", exclusive=True)

    # One that is killed leaves the folder free.
    status = in_a_child(lambda: train(spec(), out=tmp_path, device="cpu", watchers=(Kill(3),), exclusive=True))
    assert os.WIFSIGNALED(status)
    first = train(spec(), out=tmp_path, device="cpu", watchers=(Second(5),), exclusive=True)
    assert not (tmp_path / "lock").exists()
    assert train(spec(), out=tmp_path, device="cpu", exclusive=True) == first


def test_the_name_of_the_data_set_is_no_part_of_what_is_trained(tmp_path: Path):
    plain = spec()
    named = dataclasses.replace(plain, dataset_label="mine")
    assert named.digest() == plain.digest()
    assert (plain.dataset_name, named.dataset_name) == ("digits", "mine")
    with pytest.raises(StoppedError):
        train(plain, out=tmp_path, device="cpu", watchers=(Stop(5),))
    result = train(named, out=tmp_path, device="cpu")
    assert result.row["dataset"] == "mine"
    assert result.model_id.startswith(f"{MODEL}_mine_5_seed-3_tiny+")


def test_runs_that_differ_have_names_that_differ():
    plain = dataclasses.replace(spec(), recipe=load_recipe("tiny"))
    assert plain.model_id == f"{MODEL}_digits_5_seed-3_tiny"
    changes = [
        {"subset_seed": 4}, {"subset_rule": "nested"}, {"subset_rule": "published"}, {"image_size": 16},
        {"image_size": 128}, {"stem": "small"}, {"start": "runs/a"}, {"start": "runs/b"},
    ]  # fmt: skip
    names = [dataclasses.replace(plain, **change).model_id for change in changes]
    assert len({plain.model_id, *names}) == len(changes) + 1
    assert [name.removeprefix(plain.model_id) for name in names[:6]] == [
        "_subset-4", "_nested", "_published", "_px16_small-stem", "_px128", "_small-stem",
    ]  # fmt: skip
    assert re.fullmatch(r"_from-[0-9a-f]{8}", names[6].removeprefix(plain.model_id))


def test_a_folder_belongs_to_one_run(tmp_path: Path):
    train(spec(), out=tmp_path, device="cpu")
    other = spec(**{"optimizer.lr": 0.07})
    with pytest.raises(ConfigError, match=r"holds another run: its run.recipe.\S+ is .* and .* was asked for"):
        train(other, out=tmp_path, device="cpu")


def test_a_divergence_is_a_recorded_result(tmp_path: Path):
    wild = spec(**{"optimizer.lr": 1e30})
    for _ in range(2):
        with pytest.raises(DivergedError, match=r"diverged: the sum of losses was (nan|inf) after step"):
            train(wild, out=tmp_path, device="cpu")
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["status"] == "diverged"
    assert not (tmp_path / "weights.safetensors").exists()


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(spec(), out=folder, device="cpu", save_seconds=0)
    return folder


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    with pytest.raises(StoppedError):
        train(spec(), out=tmp_path / "run", device="cpu", save_seconds=0, watchers=(Stop(9),))
    return tmp_path / "run"


def flip(path: Path, position: int) -> None:
    """Change one bit of a file, as a worn disk does."""
    content = bytearray(path.read_bytes())
    content[position // 8] ^= 1 << position % 8
    path.write_bytes(content)


def test_two_states_are_kept_and_none_when_the_run_has_ended(stopped: Path, whole: Path):
    assert [path.name[:20] for path in RunFolder(stopped).checkpoints()] == [
        "checkpoint-000000009", "checkpoint-000000008",
    ]  # fmt: skip
    assert not list(whole.glob("checkpoint*"))


def test_one_flipped_bit_of_a_checkpoint_is_seen_and_the_state_before_is_taken(stopped: Path, whole: Path):
    """26 of 60 such runs once ended with other weights, in silence."""
    first, before = RunFolder(stopped).checkpoints()
    draws, sound = random.Random(0), stopped.with_name("sound")
    shutil.copytree(stopped, sound)
    for position in draws.sample(range(8 * first.stat().st_size), 12):
        shutil.rmtree(stopped)
        shutil.copytree(sound, stopped)
        flip(first, position)
        with pytest.warns(VvscaleWarning, match=r"is damaged.*set aside as .*damaged'; training resumes from step 8"):
            train(spec(), out=stopped, device="cpu")
        assert outcome(stopped) == outcome(whole)
        assert (stopped / f"{first.name}.damaged").is_file()
    assert not before.exists()


@pytest.mark.parametrize("damage", ["both damaged", "empty", "of an earlier version"])
def test_without_a_sound_state_training_begins_anew_and_says_so(damage: str, stopped: Path, whole: Path):
    for number, path in enumerate(RunFolder(stopped).checkpoints()):
        if damage == "both damaged":
            flip(path, 1000)
        elif damage == "empty":
            path.write_bytes(b"")
        elif number == 0:
            path.replace(stopped / "checkpoint.pt")
        else:
            path.unlink()
    with pytest.warns(VvscaleWarning, match="begins anew"):
        train(spec(), out=stopped, device="cpu")
    assert outcome(stopped) == outcome(whole)


@pytest.mark.parametrize("name", ["weights.safetensors", "log.jsonl", "checkpoint-500.pt", "epochs/ep1.safetensors"])
def test_files_of_others_in_the_folder_are_not_written_over(name: str, tmp_path: Path):
    mine = tmp_path / name
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("dear")
    with pytest.raises(UsageError, match=r"and no 'spec.json', so it is not the folder of a run.*another `out`"):
        train(spec(), out=tmp_path, device="cpu", exclusive=True)
    assert [path.read_text() for path in tmp_path.rglob("*") if path.is_file()] == ["dear"]


@pytest.mark.parametrize("name", ["spec.json", "result.json", "weights.json", "weights.safetensors"])
def test_no_flipped_bit_of_a_finished_run_changes_what_it_says(name: str, whole: Path, tmp_path: Path):
    """Healed or refused: the answer is the old one, or none."""
    expected = train(spec(), out=whole, device="cpu").to_dict() | {"path": ""}
    draws, refused = random.Random(name), 0
    for position in draws.sample(range(8 * (whole / name).stat().st_size), 25):
        folder = tmp_path / str(position)
        shutil.copytree(whole, folder)
        flip(folder / name, position)
        try:
            found = train(spec(), out=folder, device="cpu").to_dict() | {"path": ""}
        except (DataError, ConfigError):
            refused += 1
        else:
            assert found == expected
    assert refused >= 20


@pytest.mark.parametrize("kind", ["sgd", "simclr"])
def test_a_run_is_a_function_of_its_seed(kind: str, tmp_path: Path):
    """Nothing is drawn from a generator in the state that it happens to be in."""
    torch.manual_seed(1)
    train(spec(kind), out=tmp_path / "a", device="cpu")
    torch.manual_seed(2)
    torch.rand(7)
    train(spec(kind), out=tmp_path / "b", device="cpu")
    assert outcome(tmp_path / "a") == outcome(tmp_path / "b")
