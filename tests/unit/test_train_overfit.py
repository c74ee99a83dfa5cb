"""Each objective learns one batch by heart, and its cost and record say what it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from vvscale.errors import ConfigError, DataError, MissingDataError
from vvscale.models import build_model, load_model, load_weights
from vvscale.train import Options, RunSpec, load_recipe, plan_run, recipe_names, train

MODEL = "resnetflex-w4-d1-1-1"
# What makes a recipe of the study small enough for one batch of ten digits on one core.
ONE_BATCH = {
    "schedule.epochs": "none",
    "schedule.steps": 60,
    "schedule.warmup_epochs": 0,
    "schedule.warmup_fraction": 0.1,
    "batch_size": 20,
    "fits_batch": True,
    "drop_path": 0.0,
    "repeats": 1,
    "evaluations_per_decade": 4,
    "checkpoints_per_decade": 0,
}
OWN = {
    "resnet": {},
    "tiny": {},
    "convnext": {"optimizer.lr": 5e-3, "ema": "none", "loss.label_smoothing": 0.0},
    "deit": {"optimizer.lr": 1e-2, "ema": "none"},
    "simclr": {"simclr.hidden": 32, "simclr.dim": 16, "optimizer.name": "adamw", "optimizer.lr": 5e-3},
    "simclr-vit": {"simclr.hidden": 32, "simclr.dim": 16, "optimizer.lr": 5e-3},
    "tiny-simclr": {},
    # A teacher that stands still, so that what it says of the batch can be learned by heart.
    "dino": {"dino.dim": 32, "dino.hidden": 16, "dino.bottleneck": 8, "dino.frozen_epochs": 0}
    | {"optimizer.lr": 5e-3, "dino.teacher_momentum": 0.9999, "dino.center_momentum": 0.9999}
    | {"dino.teacher_temperature": 0.04},
    "ffgsm": {},
    "pgd-linf": {"attack.steps": 2},
    "pgd-l2": {"attack.steps": 2, "attack.eps": 0.1, "attack.alpha": 0.05},
}
# The random changes that would make one batch another one each time.
STILL = {"scale": "none", "hflip": 0, "mixup": 0, "cutmix": 0, "erasing": 0, "rand_augment": "none"}
STILL |= {"three_augment": False, "color_jitter": 0, "grayscale": 0, "blur": 0, "solarize": 0, "shift": 0}
PAIR = [{}, {}]
VIEWS = {"simclr": PAIR, "simclr-vit": PAIR, "tiny-simclr": PAIR, "dino": [{}, {}, {"image_size": 112}]}


def one_batch(name: str, **changes) -> dict:
    still = {f"augmentation.{key}": value for key, value in STILL.items()}
    views = {"views": VIEWS[name]} if name in VIEWS else {}
    return ONE_BATCH | OWN[name] | still | views | changes


@pytest.mark.parametrize("name", recipe_names())
def test_each_recipe_learns_one_batch_by_heart(name: str, tmp_path: Path):
    start = None
    if name in {"ffgsm", "pgd-linf", "pgd-l2"}:
        start = str(train(run("tiny", samples_per_class=2), out=tmp_path / "start", device="cpu").path)
    recipe = load_recipe(name, one_batch(name))
    spec = RunSpec(model=MODEL, seed=0, dataset="digits", recipe=recipe, samples_per_class=2, start=start)
    result = train(spec, out=tmp_path / "run", device="cpu")
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    first, last = lines[0]["train_loss"], lines[-1]["train_loss"]
    if recipe.objective in {"simclr", "dino"}:
        # No loss of these can reach zero: other images are never infinitely far, the teacher never certain.
        assert last < 0.75 * first
    else:
        assert last < 0.15 * max(first, 0.5)
    assert result.row["is_ssl"] == (recipe.objective in {"simclr", "dino"})
    assert result.accuracy is not None
    assert result.accuracy > 0.2
    loaded = load_model(str(tmp_path / "run"))
    assert loaded.record["row"] == dict(result.row)
    assert torch.isfinite(loaded.module(torch.zeros(2, 3, 8, 8))).all()


def run(recipe: str = "tiny", *, samples_per_class: int = 2, **changes) -> RunSpec:
    return RunSpec(
        model=MODEL,
        seed=0,
        dataset="digits",
        recipe=load_recipe(recipe, one_batch(recipe, **changes)),
        samples_per_class=samples_per_class,
    )


def test_gradients_of_parts_are_those_of_the_whole(tmp_path: Path):
    """Accumulation changes nothing for a network without batch statistics."""
    spec = RunSpec(
        model="deitflex-l-3",
        seed=0,
        dataset="digits",
        recipe=load_recipe(
            "deit", one_batch("deit", **{"schedule.steps": 3, "optimizer.name": "sgd", "optimizer.lr": 0.1})
        ),
        samples_per_class=2,
    )
    whole = train(spec, out=tmp_path / "whole", device="cpu")
    parts = train(spec, out=tmp_path / "parts", device="cpu", options=Options(micro_batch=7))
    states = [load_weights(result.path)[0] for result in (whole, parts)]
    for key, tensor in states[0].items():
        torch.testing.assert_close(tensor, states[1][key], atol=1e-5, rtol=1e-4)


def test_simclr_refuses_parts(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"compares all images of a batch.*Leave out `micro_batch`"):
        train(run("simclr"), out=tmp_path, device="cpu", options=Options(micro_batch=7))


def test_cost_counts_every_pass(tmp_path: Path):
    plain = train(run(), out=tmp_path / "plain", device="cpu")
    assert plain.samples_seen == 60 * 20
    assert plain.row["train_flop"] == 3 * plain.row["forward_flop"] * plain.samples_seen
    contrastive = train(run("simclr", **{"schedule.steps": 2}), out=tmp_path / "simclr", device="cpu")
    assert contrastive.row["train_flop"] == 2 * 3 * contrastive.row["forward_flop"] * contrastive.samples_seen


def test_the_average_and_the_plain_weights_are_both_kept(tmp_path: Path):
    result = train(run(**{"ema.decay": 0.9}), out=tmp_path, device="cpu")
    average, record = load_weights(result.path)
    plain, plain_record = load_weights(result.path / "weights-plain.safetensors")
    assert (record["weights"], plain_record["weights"]) == ("ema", "plain")
    assert any(not torch.equal(average[key], plain[key]) for key in average)


def test_small_subsets(tmp_path: Path):
    tall = run(batch_size=64, fits_batch=False)
    with pytest.raises(ConfigError, match=r"The batch of 64 images is larger than the subset of 20.*fits_batch=true"):
        train(tall, out=tmp_path / "a", device="cpu")
    with pytest.raises(DataError, match="Cannot draw 5000 images of each class"):
        train(run(samples_per_class=5000), out=tmp_path / "b", device="cpu")
    # The published quirk: what is left over at the end of an epoch is not seen.
    quirk = run(samples_per_class=3, batch_size=20, drop_last=True, **{"schedule.steps": 6})
    whole = run(samples_per_class=3, batch_size=20, drop_last=False, **{"schedule.steps": 6})
    assert train(quirk, out=tmp_path / "c", device="cpu").samples_seen == 6 * 20
    assert train(whole, out=tmp_path / "d", device="cpu").samples_seen == 3 * 30


def test_starting_from_another_architecture_names_the_keys(tmp_path: Path):
    train(run(**{"schedule.steps": 1}), out=tmp_path / "start", device="cpu")
    recipe = load_recipe("ffgsm", one_batch("ffgsm"))
    other = RunSpec(
        model="resnetflex-w8-d1-1-1",
        seed=0,
        dataset="digits",
        recipe=recipe,
        samples_per_class=2,
        start=str(tmp_path / "start"),
    )
    with pytest.raises(DataError, match=r"of another shape: conv1.weight"):
        train(other, out=tmp_path / "run", device="cpu")
    with pytest.raises(ConfigError, match="needs weights to start from"):
        RunSpec(model=MODEL, seed=0, dataset="digits", recipe=recipe)


def test_no_gpu_where_one_is_asked_for(tmp_path: Path):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ConfigError, match="asks for GPU 0, and PyTorch sees 0"):
        train(run(), out=tmp_path, device="cuda")
    with pytest.raises(ConfigError, match="Unknown device 'gpu'"):
        train(run(), out=tmp_path, device="gpu")


def test_a_missing_data_set(tmp_path: Path):
    with pytest.raises(MissingDataError, match="No data set"):
        plan_run(MODEL, str(tmp_path / "nowhere"))


def test_evaluation_on_a_log_schedule(tmp_path: Path):
    result = train(run(checkpoints_per_decade=1), out=tmp_path, device="cpu")
    epochs = [json.loads(line)["epoch"] for line in (result.path / "log.jsonl").read_text().splitlines()]
    assert epochs == [1, 2, 3, 6, 10, 18, 32, 56, 60]
    kept = sorted(int(path.stem[2:]) for path in (result.path / "epochs").glob("*.safetensors"))
    assert kept == [1, 10, 60]
    record = load_weights(result.path / "epochs" / "ep10.safetensors")[1]
    assert (record["epoch"], record["row"]["samples_seen"]) == (10, 200)
    build_model(record["model"], **record["model_options"])
