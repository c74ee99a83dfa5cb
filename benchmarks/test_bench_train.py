"""Training: our loop beside a plain PyTorch one, and the embedded sweep."""

from __future__ import annotations

import itertools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
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
from vvscale.train.compute.ranks import Ranks
from vvscale.train.run_folder import RunFolder
from vvscale.train.step import Options

SECONDS = 2.5
"""How long a rate is measured."""

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


def plain_rate(width: int, *, n_threads: int, n_loaders: int) -> float:
    """Images per second of the loop that a user writes first."""
    torch.set_num_threads(n_threads)
    store = load_dataset("digits").train
    index = balanced_subset(store, samples_per_class=100, seed=0).index
    loader = DataLoader(
        Plain(store, index), batch_size=64, shuffle=True, num_workers=n_loaders, persistent_workers=n_loaders > 0
    )
    network = build_model(f"resnetflex-w{width}-d1-1-1", n_classes=10, image_size=8, seed=0)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 1000)

    def epoch() -> int:
        for images, labels in loader:
            optimizer.zero_grad()
            F.cross_entropy(network(images), labels).backward()
            optimizer.step()
            schedule.step()
        return 1000

    return _rate(epoch)


def our_rate(width: int, folder: Path) -> float:
    """Images per second of our loop: one thread."""
    recipe = load_recipe("tiny", {"schedule.epochs": 1000, "batch_size": 64})
    spec = RunSpec(model=f"resnetflex-w{width}-d1-1-1", dataset="digits", recipe=recipe, samples_per_class=100)
    job = build_job(spec, Ranks(0, 1, torch.device("cpu")), Options(), RunFolder(folder))
    step = itertools.count()

    def epoch() -> int:
        for batch in job.loader.epoch(0):
            job.step(batch, next(step)).item()
        return 1000

    return _rate(epoch)


def _rate(epoch) -> float:
    epoch()  # the first one allocates, and starts loading processes
    n_images, started = 0, time.perf_counter()
    while time.perf_counter() - started < SECONDS:
        n_images += epoch()
    return n_images / (time.perf_counter() - started)


def measure(*ways: tuple) -> float:
    """Sum of the rates of processes that run at the same time, each in its own way."""
    program = "import sys; sys.path.insert(0, sys.argv[1]); import test_bench_train as b; print(b.one(*sys.argv[2:]))"
    command = [sys.executable, "-c", program, str(Path(__file__).parent)]
    children = [subprocess.Popen([*command, *map(str, way)], stdout=subprocess.PIPE, text=True) for way in ways]
    return sum(float(child.communicate()[0]) for child in children)


def one(way: str, width: str, *more: str) -> float:
    """What a process of :func:`measure` does."""
    if way == "plain":
        return plain_rate(int(width), n_threads=int(more[0]), n_loaders=int(more[1]))
    with tempfile.TemporaryDirectory() as folder:
        return our_rate(int(width), Path(folder))


@pytest.mark.parametrize("width", [2, 4, 8, 12])
def test_two_cores_beside_a_plain_loop(benchmark, width: int):
    """Images per second of a machine of two cores: two runs of ours, and plain loops in the ways one starts them."""
    ways = {
        "ours, two runs": [("ours", width)] * 2,
        "plain, one run, two threads": [("plain", width, 2, 0)],
        "plain, one run, two threads, two loaders": [("plain", width, 2, 2)],
        "plain, two runs, one thread": [("plain", width, 1, 0)] * 2,
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(3):
        for name, processes in ways.items():
            rates[name].append(measure(*processes))
    told = {name: statistics.median(values) for name, values in rates.items()}
    ours = told.pop("ours, two runs")
    print(f"\nwidth {width}: ours {ours:,.0f} images/s")
    for name, rate in told.items():
        ratio = statistics.median(a / b for a, b in zip(rates["ours, two runs"], rates[name], strict=True))
        print(f"    {name}: {rate:,.0f} images/s, ratio {ratio:.2f}")
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
