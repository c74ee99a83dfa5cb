"""Training: our loop beside a plain PyTorch one, and the embedded sweep."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

from vvscale.data import load_dataset
from vvscale.data.subsets import balanced_subset
from vvscale.models import build_model
from vvscale.train import RunSpec, load_recipe
from vvscale.train.build import build_job
from vvscale.train.distributed import Ranks
from vvscale.train.folder import RunFolder
from vvscale.train.job import Options

WIDTHS = (1, 2, 3, 4, 5, 6, 8, 12)
SAMPLES = (1, 3, 10, 30, 100)
SEEDS = (0, 1, 2)
SWEEP = """
import sys
from vvscale.train import RunSpec, load_recipe, train
out, share = sys.argv[1], int(sys.argv[2])
cells = [(w, d, s) for w in {widths} for d in {samples} for s in {seeds}]
recipe = load_recipe("tiny")
for w, d, s in cells[share::2]:
    spec = RunSpec(model=f"resnetflex-w{{w}}-d1-1-1", dataset="digits", recipe=recipe, samples_per_class=d, seed=s)
    train(spec, out=f"{{out}}/{{spec.model_id}}", device="cpu")
"""


class Plain(Dataset):
    """What a user writes first: one image at a time, shifted, normalised."""

    def __init__(self, store, index):
        self.images = [torch.from_numpy(store.image(i)).permute(2, 0, 1).float() / 255 for i in index]
        self.labels = [int(store.labels[i]) for i in index]

    def __len__(self):
        return len(self.images)

    def __getitem__(self, number):
        image = F.pad(self.images[number], (1, 1, 1, 1))
        y, x = torch.randint(0, 3, (2,)).tolist()
        return (image[:, y : y + 8, x : x + 8] - 0.3) / 0.37, self.labels[number]


def plain_rate(width: int, n_epochs: int) -> float:
    store = load_dataset("digits").train
    index = balanced_subset(store, samples_per_class=100, seed=0).index
    loader = DataLoader(Plain(store, index), batch_size=64, shuffle=True, num_workers=0)
    network = build_model(f"resnetflex-w{width}-d1-1-1", n_classes=10, image_size=8, seed=0)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_epochs * len(loader))
    started = time.process_time()
    for _ in range(n_epochs):
        for images, labels in loader:
            optimizer.zero_grad()
            F.cross_entropy(network(images), labels).backward()
            optimizer.step()
            schedule.step()
    return n_epochs * 1000 / (time.process_time() - started)


def our_rate(width: int, n_epochs: int, folder: Path) -> float:
    recipe = load_recipe("tiny", {"schedule.steps": 16 * n_epochs})
    spec = RunSpec(model=f"resnetflex-w{width}-d1-1-1", dataset="digits", recipe=recipe, samples_per_class=100)
    job = build_job(spec, Ranks(0, 1, torch.device("cpu")), Options(), RunFolder(folder))
    started = time.process_time()
    step = 0
    for epoch in range(n_epochs):
        for batch in job.loader.epoch(epoch):
            job.step(batch, step).item()
            step += 1
    return n_epochs * 1000 / (time.process_time() - started)


@pytest.mark.parametrize("width", [1, 2, 4, 8])
def test_steps_beside_a_plain_loop(benchmark, width: int, tmp_path: Path):
    """Images per CPU-second of one thread, in pairs, in one process."""
    torch.set_num_threads(1)
    pairs = []
    for repetition in range(5):
        pairs.append((our_rate(width, 4, tmp_path / str(repetition)), plain_rate(width, 4)))
    ours, plain = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(one / other for one, other in pairs)
    print(f"\nwidth {width}: ours {ours:,.0f} images per CPU-second, plain loop {plain:,.0f}, ratio {ratio:.2f}")
    benchmark.pedantic(lambda: None, rounds=1)


def test_embedded_sweep(benchmark, tmp_path: Path):
    """120 models on two cores, from cold processes."""
    program = tmp_path / "sweep.py"
    program.write_text(SWEEP.format(widths=WIDTHS, samples=SAMPLES, seeds=SEEDS))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def sweep():
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        children = [
            subprocess.Popen([sys.executable, str(program), str(tmp_path / "out"), str(share)], env=environment)
            for share in (0, 1)
        ]
        assert [child.wait() for child in children] == [0, 0]

    before = time.monotonic()
    benchmark.pedantic(sweep, rounds=1)
    wall = time.monotonic() - before
    n_models = len(list((tmp_path / "out").glob("*/result.json")))
    print(f"\n{n_models} models in {wall:.1f} s wall on two cores, load {os.getloadavg()[0]:.1f}")
    assert n_models == 120
