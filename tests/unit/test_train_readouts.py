"""Trained readouts: shapes and counts by hand, one batch learned by heart, subjects that help each other."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from vvscale.brain import Assembly, NeuralBenchmark, StimulusSet, load_benchmark
from vvscale.brain.benchmarks.design import TrainTest
from vvscale.brain.inputs.image_digests import image_digests
from vvscale.brain.scoring.tuned import with_tuned_images
from vvscale.errors import ConfigError, DataError, ShapeError, UsageError
from vvscale.models import load_model
from vvscale.train.readouts import fit as module
from vvscale.train.readouts.fit import train_readout
from vvscale.train.readouts.models import TokenReadout, linear_params, positions, tokens_of
from vvscale.train.readouts.options import ReadoutOptions
from vvscale.train.readouts.run import read_out_model

SMALL_SHAPE = {"width": 32, "n_queries": 4, "n_heads": 4}
SMALL = {**SMALL_SHAPE, "dropout": 0.0, "batch_size": 32, "lr": 3e-3, "seed": 0}


def test_tokens_of_every_kind_of_layer():
    assert tokens_of(torch.zeros(2, 5)).shape == (2, 1, 5)
    assert tokens_of(torch.zeros(2, 7, 5)).shape == (2, 7, 5)
    grid = torch.arange(2 * 3 * 2 * 2).view(2, 3, 2, 2).float()
    assert torch.equal(tokens_of(grid)[1, 3], grid[1, :, 1, 1])
    with pytest.raises(ShapeError):
        tokens_of(torch.zeros(2))
    with pytest.raises(ShapeError, match="4096"):
        positions(5000, 8)


def test_parameters_are_those_of_the_studys_shapes():
    units = {"monkeyF": 400, "monkeyN": 342}
    d, q, channels = 384, 16, 384
    trunk = (channels * d + d) + 2 * d + q * d + (4 * d * d + 4 * d) + 4 * d
    heads = (q * d + 1) * 742
    assert TokenReadout("attention-shared", channels, units, dropout=0.3).n_params == trunk + heads
    assert TokenReadout("attention-individual", channels, units, dropout=0.3).n_params == 2 * trunk + heads
    mean = (channels * d + d) + 2 * d
    assert TokenReadout("low-rank", channels, units, dropout=0.3).n_params == mean + 2 * d * 5330 + 5331 * 742
    mlp = mean + 2 * d + (d * 91 + 91) + (91 * q * d + q * d)
    assert TokenReadout("mlp", channels, units, dropout=0.3).n_params == mlp + heads
    # TVSD: 1355 units of three regions; three shared readouts against linear ones of 30,000 features.
    regions = {"V1": 742, "V4": 315, "IT": 298}
    shared = sum(TokenReadout("attention-shared", channels, {"all": n}, dropout=0.3).n_params for n in regions.values())
    assert shared == 3 * trunk + 6145 * 1355
    assert linear_params(30_000, regions) == 30_001 * 1355
    assert shared < linear_params(30_000, regions) / 3


def test_without_units_there_is_nothing_to_read_out():
    with pytest.raises(ConfigError, match="'b' has no units"):
        TokenReadout("attention-shared", 8, {"a": 3, "b": 0}, dropout=0.0)
    with pytest.raises(ConfigError, match="no readout"):
        TokenReadout("ridge", 8, {"a": 3}, dropout=0.0)
    with pytest.raises(ConfigError, match="multiple"):
        TokenReadout("attention-shared", 8, {"a": 3}, dropout=0.0, width=30, n_heads=4)


@pytest.mark.parametrize("kind", ["attention-shared", "attention-individual", "low-rank", "mlp"])
def test_one_batch_is_learned_by_heart(kind):
    torch.manual_seed(0)
    tokens, wanted = torch.randn(16, 9, 12), torch.randn(16, 5)
    readout = TokenReadout(kind, 12, {"a": 5}, dropout=0.0, width=32, n_queries=4, n_heads=4)
    optimizer = torch.optim.Adam(readout.parameters(), lr=3e-3)
    for _ in range(300):
        loss = ((readout(tokens, "a") - wanted) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.01


@pytest.fixture(scope="module")
def subjects():
    """Six subjects whose units mix three properties of the images that are the same for all subjects."""
    rng = np.random.default_rng(0)
    n_images, n_tokens, n_channels = 140, 9, 12
    tokens = rng.standard_normal((n_images, n_tokens, n_channels)).astype(np.float32)
    hidden = np.stack([tokens[:, 4 * k] @ rng.standard_normal(n_channels) for k in range(3)], axis=1)
    ids = [f"i{n:03d}" for n in range(n_images)]
    table = pd.DataFrame(
        {"split": ["test" if n % 7 == 0 else "train" for n in range(n_images)]}, index=pd.Index(ids, name="stimulus_id")
    )
    stimuli = StimulusSet("made", table, 8.0, pixels=np.zeros((n_images, 2, 2, 3), np.uint8))
    assemblies = []
    for number in range(6):
        weights = rng.standard_normal((hidden.shape[1], 4))
        responses = hidden @ weights + 4 * rng.standard_normal((n_images, 4))
        one = Assembly.from_means(f"s{number}", "V4", responses, ids, [f"{number}.{unit}" for unit in range(4)])
        assemblies.append(dataclasses.replace(one, reliability=np.full(4, 0.9)))
    benchmark = NeuralBenchmark(
        "made.V4-ridge-cv", 1, stimuli, tuple(assemblies), metric="ridge-cv", design=TrainTest(), ceiling="shipped",
        formula="mean(r/sqrt(c))",
    )  # fmt: skip
    return torch.as_tensor(tokens), benchmark


def test_shared_and_individual_trunks_are_scored_on_the_same_splits(subjects, tmp_path):
    tokens, benchmark = subjects
    shared = train_readout(tokens, benchmark, out=tmp_path / "a", epochs=20, **SMALL)
    alone = train_readout(tokens, benchmark, out=tmp_path / "b", epochs=20, kind="attention-individual", **SMALL)
    assert shared.n_params < alone.n_params
    assert shared.row["n_linear_params"] == (9 * 12 + 1) * 24
    assert shared.score.score > alone.score.score, "what subjects share is learned from all of them"
    assert shared.score.score > 0.2
    assert shared.row["score_formula"] == "mean(r/sqrt(c))"


def test_a_readout_that_was_stopped_ends_with_the_same_bits(subjects, tmp_path, monkeypatch):
    tokens, benchmark = subjects
    changes = {**SMALL, "dropout": 0.3, "epochs": 4, "save_seconds": 0}
    whole = train_readout(tokens, benchmark, out=tmp_path / "a", **changes)
    save, n_writes = module.save_state, []

    def stop(folder, of, state):
        save(folder, of, state)
        n_writes.append(folder)
        if len(n_writes) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "save_state", stop)
    with pytest.raises(KeyboardInterrupt):
        train_readout(tokens, benchmark, out=tmp_path / "b", **changes)
    again = train_readout(tokens, benchmark, out=tmp_path / "b", **changes)
    for a, b in zip(whole.readout.state_dict().values(), again.readout.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert again.score == whole.score
    with pytest.raises(ConfigError, match="another readout"):
        train_readout(tokens, benchmark, out=tmp_path / "b", **{**changes, "epochs": 5})
    with pytest.raises(ConfigError, match="another readout"):
        train_readout(tokens + 1e-3, benchmark, out=tmp_path / "b", **changes)


def test_splits_that_are_drawn_anew_are_refused(subjects, tmp_path):
    tokens, benchmark = subjects
    with pytest.raises(UsageError, match="fixed test images"):
        train_readout(tokens, dataclasses.replace(benchmark, design="splits"), out=tmp_path)
    assert ReadoutOptions().n_heads == 16


@pytest.mark.parametrize(
    ("handle", "given", "used"),
    [
        ("simulated", {}, (30, 1e-4, 0.3)),
        ("tvsd", {}, (30, 1e-4, 0.3)),
        ("nsd_func1pt8mm_individualROIs", {}, (20, 1e-3, 0.8)),
        ("things_eeg2", {"epochs": 3, "dropout": 0.0}, (3, 1e-4, 0.0)),
    ],
)
def test_what_is_not_given_is_what_the_study_set_for_the_data_set(subjects, tmp_path, monkeypatch, handle, given, used):
    tokens, benchmark = subjects
    seen = []

    def train(readout, tokens, trained, options, *_):
        seen.append((options.epochs, options.lr, options.dropout))
        assert {one.p for one in readout.modules() if isinstance(one, torch.nn.Dropout)} == {used[2]}

    monkeypatch.setattr(module, "_train", train)
    named = dataclasses.replace(benchmark, benchmark_id=f"{handle}.IT-ridge-cv")
    train_readout(tokens, named, out=tmp_path, **{**SMALL_SHAPE, **given})
    assert seen == [used]


def test_the_command_line(tmp_path, capsys, monkeypatch):
    from vvscale.cli import main

    monkeypatch.chdir(tmp_path)
    arguments = ["readout", "untrained:resnetflex-w4-d1-1-1", "--on", "simulated-digits.IT-pls", "--layer", "layer1.0"]
    small = ["--image-size", "16", "--epochs", "1", "--width", "32", "--n-queries", "4", "--n-heads", "4"]
    assert main([*arguments, *small]) == 0
    out = capsys.readouterr().out
    assert "a linear readout of all features has" in out
    assert "--kind attention-individual" in out


def test_a_network_that_was_tuned_on_the_test_images_is_not_read_out(tmp_path, monkeypatch):
    benchmark = load_benchmark("simulated-digits.IT-pls")
    loaded = load_model("untrained:resnetflex-w4-d1-1-1")
    digests = [digest for _, digest in image_digests(benchmark.stimuli, set(benchmark.images.tolist()))]
    tuned = dataclasses.replace(loaded, record=with_tuned_images(loaded.record, digests))
    monkeypatch.setattr("vvscale.train.readouts.run.load_model", lambda name: tuned)
    with pytest.raises(DataError, match="was fine-tuned on recordings of"):
        read_out_model("tuned", on="simulated-digits.IT-pls", layer="layer1.0", out=tmp_path)


def test_choices_cannot_be_read_out(tmp_path):
    with pytest.raises(UsageError, match=r"'simulated-digits\.behavior-i2n' is no recording of neuroids"):
        read_out_model("untrained:resnet18", on="simulated-digits.behavior-i2n", layer="layer1.0", out=tmp_path)
