"""Recipes: the study's numbers, changes by hand, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from vvscale.core.config import parse_changes
from vvscale.errors import ConfigError, MissingDataError, UnknownNameError
from vvscale.train import load_recipe, recipe_names
from vvscale.train.recipe import default_recipe


def test_the_studys_numbers():
    resnet, convnext, deit = (load_recipe(name) for name in ("resnet", "convnext", "deit"))
    assert (resnet.schedule.epochs, resnet.optimizer.name, resnet.optimizer.lr) == (100, "sgd", 0.1)
    assert (resnet.optimizer.momentum, resnet.optimizer.weight_decay, resnet.schedule.warmup_epochs) == (0.9, 1e-4, 5)
    assert (convnext.batch_size, convnext.schedule.epochs, convnext.schedule.warmup_epochs) == (4096, 300, 20)
    assert (convnext.optimizer.lr, convnext.schedule.min_lr, convnext.optimizer.weight_decay) == (4e-3, 1e-6, 0.05)
    assert (convnext.augmentation.mixup, convnext.augmentation.cutmix, convnext.augmentation.erasing) == (0.8, 1, 0.25)
    assert convnext.augmentation.rand_augment == "rand-m9-mstd0.5-inc1"
    assert convnext.ema is not None
    assert (convnext.ema.decay, convnext.ema.warmup, convnext.loss.label_smoothing) == (0.9999, False, 0.1)
    assert (deit.batch_size, deit.optimizer.lr, deit.schedule.min_lr, deit.optimizer.clip_norm) == (2048, 3e-3, 1e-5, 1)
    assert (deit.loss.name, deit.augmentation.three_augment, deit.repeats) == ("binary_cross_entropy", True, 3)
    simclr, dino, ffgsm = (load_recipe(name) for name in ("simclr", "dino", "ffgsm"))
    assert simclr.optimizer.lr == pytest.approx(0.075 * 512**0.5)
    assert [view.image_size for view in dino.views] == [224] * 2 + [96] * 10
    assert (dino.optimizer.weight_decay, dino.schedule.weight_decay_end) == (0.04, 0.4)
    assert ffgsm.attack is not None
    assert (ffgsm.attack.eps, ffgsm.attack.alpha) == (1 / 255, 1.25 / 255)
    assert (ffgsm.schedule.epochs, ffgsm.schedule.decay, ffgsm.optimizer.lr) == (10, "linear", 0.1)


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_loads_and_has_a_name_and_a_digest_of_its_own(name: str):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.summary.endswith(".")
    others = {load_recipe(other).digest() for other in recipe_names() if other != name}
    assert recipe.digest() not in others


def test_a_file_of_ones_own_changes_what_it_names(tmp_path: Path):
    path = tmp_path / "mine.toml"
    path.write_text('based_on = "convnext"\nsummary = "Mine."\n[optimizer]\nlr = 1e-3\n[ema]\nwarmup = true\n')
    mine, base = load_recipe(str(path)), load_recipe("convnext")
    assert mine.name == "mine"
    assert (mine.optimizer.lr, mine.optimizer.weight_decay) == (1e-3, base.optimizer.weight_decay)
    assert mine.ema is not None
    assert mine.ema.warmup
    child = tmp_path / "child.toml"
    child.write_text('based_on = "mine.toml"\nbatch_size = 8\n')
    assert load_recipe(str(child)).optimizer.lr == 1e-3


def test_changes_by_hand_are_part_of_the_name():
    changed = load_recipe("resnet", {"optimizer.lr": 0.2})
    assert changed.optimizer.lr == 0.2
    assert changed.name.startswith("resnet+")
    assert changed.name != load_recipe("resnet", {"optimizer.lr": 0.3}).name
    without = load_recipe("convnext", {"ema": "none", "augmentation.mixup": 0})
    assert without.ema is None
    assert without.digest() != load_recipe("convnext").digest()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"optimizer.lrate": 1}, "Unknown key 'lrate' in 'optimizer' in the recipe 'resnet'. Known: name, lr"),
        ({"bach_size": 8}, "Unknown key 'bach_size' in the recipe 'resnet'. Did you mean 'batch_size'?"),
        ({"optimizer.lr": 0}, "The learning rate `lr` is 0.0; expected a number above 0."),
        ({"optimizer.lr": -0.1}, "The learning rate `lr` is -0.1; expected a number above 0."),
        ({"optimizer.lr": "fast"}, "Got 'fast' for 'lr' in 'optimizer' in the recipe 'resnet'; expected a number."),
        ({"optimizer.lr": float("nan")}, "Got nan for 'lr' in 'optimizer' in the recipe 'resnet'; expected a finite"),
        (
            {"schedule.min_lr": float("-inf")},
            "Got -inf for 'min_lr' in 'schedule' in the recipe 'resnet'; expected a fin",
        ),
        (
            {"optimizer.lr": 10**400},
            "Got inf for 'lr' in 'optimizer' in the recipe 'resnet'; expected a finite number.",
        ),
        ({"optimizer.clip_norm": float("inf")}, "Got inf for 'clip_norm'"),
        ({"batch_size.x": 1}, "'batch_size' is a value and no table, so that 'batch_size.x' cannot be set"),
        ({"optimizer.lr.x": 1}, "'optimizer.lr' is a value and no table"),
        ({"optimizer": 3}, "Got 3 for 'optimizer' in the recipe 'resnet'; expected a table"),
        ({"augmentation": 3}, "Got 3 for 'augmentation' in the recipe 'resnet'; expected a table"),
        ({"views": [{"count": 2.0}]}, "Got 2.0 for 'count' in 'views' of the recipe 'resnet'; expected a whole number"),
        ({"views": [{"count": 10**9}]}, "Got 1000000000 for 'count'"),
        ({"views": [{"count": True}]}, "Got True for 'count'"),
        ({"views": 3}, "Got 3 for 'views' in the recipe 'resnet'; expected a list of tables"),
        ({"optimizer.name": "adam"}, "expected one of 'sgd', 'adamw', 'lars'"),
        ({"batch_size": 2.5}, "expected a whole number"),
        ({"batch_size": True}, "expected a whole number"),
        ({"schedule.steps": 10, "schedule.epochs": 10}, "expected exactly one of them"),
        ({"batches_per_epoch": 0}, "Got `batches_per_epoch=0`; expected at least 1"),
        ({"schedule.warmup_epochs": 100}, "`warmup_epochs=100` fills the run of `epochs=100`"),
        ({"objective": "simclr"}, "compares views"),
        ({"dino.dim": 5}, r"has a section \[dino\]"),
        ({"augmentation.image_size": 64}, "belongs to the run, not to the recipe"),
        ({"augmentation.hflip": 2}, "hflip"),
        ({"loss.label_smoothing": 1.0}, r"expected a number in \[0, 1\)"),
        ({"ema.decay": 1.0}, r"expected a number in \(0, 1\)"),
        ({"drop_path": 1.5}, r"in \[0, 1\), or 'published'"),
    ],
)
def test_what_is_wrong_is_refused_by_name(changes: dict, text: str):
    with pytest.raises(ConfigError, match=text):
        load_recipe("resnet", changes)


def test_a_table_that_is_left_out_can_be_set_again():
    ema = load_recipe("convnext", {"ema": "none", "ema.decay": 0.5}).ema
    assert ema is not None
    assert ema.decay == 0.5


def test_unknown_names_and_circles(tmp_path: Path):
    with pytest.raises(UnknownNameError, match=r"Unknown recipe 'resnt'. Did you mean 'resnet'?"):
        load_recipe("resnt")
    with pytest.raises(MissingDataError, match="There is no file"):
        load_recipe(str(tmp_path / "absent.toml"))
    circle = tmp_path / "circle.toml"
    circle.write_text('based_on = "circle.toml"\n')
    with pytest.raises(ConfigError, match="based on itself"):
        load_recipe(str(circle))
    broken = tmp_path / "broken.toml"
    broken.write_text("batch_size = \n")
    with pytest.raises(ConfigError, match=r"is not valid TOML: .*line 1"):
        load_recipe(str(broken))
    empty = tmp_path / "empty.toml"
    empty.write_text("")
    with pytest.raises(ConfigError, match="The key 'summary' is missing from the recipe"):
        load_recipe(str(empty))


def test_parse_changes():
    assert parse_changes(["a.b=1e-3", "c=[1, 2]", "d=x=y"]) == {"a.b": 1e-3, "c": [1, 2], "d": "x=y"}
    with pytest.raises(ConfigError, match="expected KEY=VALUE"):
        parse_changes(["lr"])


@pytest.mark.parametrize(
    ("family", "name"), [("ResNet", "resnet"), ("AlexNet", "resnet"), ("ConvNeXt", "convnext"), ("ViT", "deit")]
)
def test_every_family_has_the_studys_recipe(family: str, name: str):
    assert default_recipe(family, is_small=False) == name
    assert default_recipe(family, is_small=True) == "tiny"


def test_two_ways_to_say_one_thing_replace_each_other():
    assert load_recipe("resnet", {"schedule.steps": 10}).schedule.epochs is None
    few = load_recipe("tiny", {"batch_size": 64})
    assert few.batches_per_epoch is None
    assert [few.batch_for(n) for n in (10, 1000)] == [10, 64]
    both = load_recipe("tiny", {"batch_size": 64, "batches_per_epoch": 2})
    assert [both.batch_for(n) for n in (9, 1000)] == [5, 64]
    assert load_recipe("resnet").batch_for(10) > 10


@pytest.mark.parametrize("n_images", [1, 3, 4, 5, 9, 10, 50, 1438])
def test_batches_per_epoch_is_the_most_batches_of_an_epoch(n_images: int):
    batch = load_recipe("tiny", {"batch_size": 1000, "batches_per_epoch": 4}).batch_for(n_images)
    assert batch == math.ceil(n_images / 4)
    assert math.ceil(n_images / batch) <= 4


def test_a_base_that_is_no_name_is_refused(tmp_path: Path):
    (tmp_path / "own.toml").write_text("based_on = 3")
    with pytest.raises(ConfigError, match="Got 3 for 'based_on'"):
        load_recipe(str(tmp_path / "own.toml"))
