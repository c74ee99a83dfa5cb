"""Several batches or layers at one time: copies of a model, and who works on what."""

import os
import signal
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from vvscale.brain import simulate
from vvscale.brain.activations.memory import Budget
from vvscale.brain.activations.parallel import replicas, run_each
from vvscale.brain.activations.record import probe
from vvscale.brain.activations.storage import plan_holding
from vvscale.brain.inputs.preprocess import Preprocessing
from vvscale.brain.scoring.session import score_layers
from vvscale.errors import DataError

IMAGES = np.random.default_rng(0).standard_normal((2, 3, 16, 16)).astype(np.float32)
LAYERS = ["conv", "norm", "fc"]


class Network(nn.Module):
    """Keeps what it sees on itself, as networks do that hand something from one of their methods to another."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.relu, self.fc = nn.ReLU(inplace=True), nn.Linear(4, 5)
        self.seen = torch.zeros(())

    def forward(self, x):
        self.seen = self.relu(self.norm(self.conv(x)))
        return self._read()

    def _read(self):
        return self.fc(self.seen.mean((2, 3)))


class GoesRound(Network):
    """Calls a layer of the network that it was made as, whoever is copied from it."""

    def __init__(self):
        super().__init__()
        self.apply_conv = lambda x: self.conv(x)

    def forward(self, x):
        return self.fc(self.relu(self.norm(self.apply_conv(x))).mean((2, 3)))


class NotCopied(Network):
    """Cannot be copied."""

    def __deepcopy__(self, memo):
        raise TypeError("cannot be copied")


class Drifts(Network):
    """Gives other numbers after it was copied."""

    def __deepcopy__(self, memo):
        made = Drifts()
        made.eval()
        return made


def made(kind=Network):
    torch.manual_seed(0)
    return kind().eval()


def copies_of(network, n=2):
    return replicas(network, probe(network, LAYERS, IMAGES).recorded(), IMAGES, n)


def test_copies_share_parameters_and_nothing_that_is_written_to():
    network = made()
    first, second, third = copies_of(network, 3)
    assert first is network
    for copy in (second, third):
        assert all(one is other for one, other in zip(network.parameters(), copy.parameters(), strict=True))
        assert all(one is not other for one, other in zip(network.buffers(), copy.buffers(), strict=True))
        assert copy is not network
        assert copy.conv is not network.conv
    assert not any(one._forward_hooks for one in second.modules())


@pytest.mark.parametrize("kind", [GoesRound, NotCopied, Drifts])
def test_a_network_whose_copy_may_differ_runs_alone(kind):
    network = made(kind)
    assert copies_of(network) == [network]


def test_a_network_with_hooks_of_others_runs_alone():
    network, kept = made(), []
    network.conv.register_forward_hook(lambda module, inputs, output: kept.append(output))
    assert copies_of(network) == [network]


@pytest.mark.parametrize("kind", [Network, GoesRound, NotCopied])
def test_scores_are_the_same_bits_however_many_copies_run(kind):
    stream = simulate(n_objects=4, images_per_object=20, n_neuroids=12, n_repetitions=6)
    options = {"preprocessing": Preprocessing(image_size=16), "resamples": 20, "batch_size": 7}
    tables = []
    before = torch.get_num_threads()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        try:
            scores = score_layers(made(kind), benchmarks=[stream.benchmark("V1")], **options)
        finally:
            torch.set_num_threads(before)
        assert scores.usage.n_forward == 80
        # Six to see what the layers are, and two each to compare the copies.
        assert scores.usage.n_probe == (10 if threads == 2 and kind is Network else 6)
        tables.append(scores.table())
    assert tables[0].equals(tables[1])


def test_a_second_model_at_one_time_waits_for_memory():
    network = made()
    seen = probe(network, LAYERS, IMAGES)
    budget = Budget(10**9, 5 * 10**8, 3200, 0, IMAGES[0].size, 64, seen, threads=2)
    holding = plan_holding(3200, {"conv": 4 * 14 * 14}, 0)
    least, _ = budget.least()
    outputs = 64 * 4 * 4 * 4 * 14 * 14
    for memory, n in ((least, 1), (least + outputs - 1, 1), (least + outputs, 2), (10**12, 2)):
        roomy = replace(budget, memory=memory)
        assert roomy.n_models_at_once(holding, 16) == n
        assert roomy.n_models_at_once(holding, 1) == 1


def test_an_error_on_one_thread_ends_the_others():
    done = []

    def work(worker, number):
        if number == 2:
            raise DataError("two")
        done.append(number)

    with pytest.raises(DataError, match="two"):
        run_each(work, range(10**4), range(2))
    assert len(done) < 10**3


@pytest.fixture
def hears_ctrl_c():
    """A shell starts what runs in its background deaf to Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("hears_ctrl_c")
def test_an_interrupt_waits_for_the_items_at_work_only():
    done = []

    def work(worker, number):
        if number == 5:
            os.kill(os.getpid(), signal.SIGINT)
        done.append(number)
        time.sleep(1e-3)

    with pytest.raises(KeyboardInterrupt):
        run_each(work, range(10**6), range(2))
    assert len(done) < 10**5


def test_each_worker_takes_one_item_at_a_time():
    busy, taken = [threading.Lock(), threading.Lock()], []

    def work(lock, number):
        assert lock.acquire(blocking=False)
        taken.append(number)
        lock.release()

    run_each(work, range(500), busy)
    assert sorted(taken) == list(range(500))
