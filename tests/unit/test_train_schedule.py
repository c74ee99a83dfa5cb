"""Rates against PyTorch's and timm's own schedules, and which epochs are looked at."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from timm.scheduler import CosineLRScheduler

from vvscale.train.compute.ema import Ema, WeightAverage
from vvscale.train.compute.optimizer import Optimizer, build_optimizer, set_rates
from vvscale.train.compute.schedule import Schedule, log_epochs


def test_cosine_equals_pytorchs():
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.3)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50, eta_min=0.01)
    ours = Schedule(epochs=10, min_lr=0.01)
    for step in range(50):
        assert ours.learning_rate(step, 5, 0.3) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        theirs.step()


def test_after_the_rise_the_cosine_equals_timms():
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.3)
    theirs = CosineLRScheduler(
        optimizer, t_initial=40, lr_min=0.02, warmup_t=10, warmup_lr_init=0, warmup_prefix=True, t_in_epochs=False
    )
    ours = Schedule(epochs=25, warmup_epochs=5, min_lr=0.02)
    for step in range(10, 50):
        theirs.step_update(step)
        assert ours.learning_rate(step, 2, 0.3) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)


@given(
    epochs=st.integers(2, 50),
    per_epoch=st.integers(1, 20),
    warmup=st.floats(0, 0.9),
    decay=st.sampled_from(["cosine", "linear", "constant"]),
)
def test_rates_rise_then_fall_and_stay_within_bounds(epochs, per_epoch, warmup, decay):
    schedule = Schedule(epochs=epochs, warmup_epochs=warmup * (epochs - 1), decay=decay, min_lr=0.001)
    rates = [schedule.learning_rate(step, per_epoch, 0.1) for step in range(schedule.n_steps(per_epoch))]
    assert all(0 < rate <= 0.1 + 1e-12 for rate in rates)
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)


def test_weight_decay_moves_only_where_it_decays():
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2))
    schedule = Schedule(epochs=4, weight_decay_end=0.4)
    optimizer = build_optimizer(module, Optimizer("adamw", weight_decay=0.04, decays_all=False))
    set_rates(optimizer, lr=0.5, weight_decay=schedule.weight_decay(8, 2, 0.04))
    assert sorted(group["weight_decay"] for group in optimizer.param_groups) == pytest.approx([0.0, 0.4])
    assert {group["lr"] for group in optimizer.param_groups} == {0.5}
    assert schedule.weight_decay(0, 2, 0.04) == pytest.approx(0.04)


@pytest.mark.parametrize("name", ["sgd", "adamw", "lars"])
def test_optimizers_equal_the_textbook(name: str):
    """Two steps against formulas written out, so that a change of a library's default is noticed."""
    weight = torch.tensor([[1.0, -2.0], [0.5, 3.0]])
    module = torch.nn.Linear(2, 2, bias=False)
    module.weight.data.copy_(weight)
    optimizer = build_optimizer(module, Optimizer(name, lr=0.1, weight_decay=0.01))
    momentum = torch.zeros(2, 2)
    first, second = torch.zeros(2, 2), torch.zeros(2, 2)
    for step in (1, 2):
        grad = torch.tensor([[0.3, 0.1], [-0.2, 0.4]]) * step
        module.weight.grad = grad.clone()
        optimizer.step()
        if name == "sgd":
            momentum = 0.9 * momentum + grad + 0.01 * weight
            weight = weight - 0.1 * momentum
        elif name == "adamw":
            first, second = 0.9 * first + 0.1 * grad, 0.999 * second + 0.001 * grad**2
            weight = weight * (1 - 0.1 * 0.01)
            weight = weight - 0.1 * (first / (1 - 0.9**step)) / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
        else:
            trust = 0.001 * weight.norm() / (grad.norm() + 0.01 * weight.norm() + 1e-8)
            momentum = 0.9 * momentum + trust * (grad + 0.01 * weight)
            weight = weight - 0.1 * momentum
        torch.testing.assert_close(module.weight.data, weight)


@given(n_epochs=st.integers(1, 2000), per_decade=st.integers(-1, 6))
def test_log_epochs_end_with_the_last(n_epochs, per_decade):
    chosen = log_epochs(n_epochs, per_decade)
    assert chosen[-1] == n_epochs
    assert list(chosen) == sorted(set(chosen))
    if per_decade > 0:
        assert chosen[0] == 1


@pytest.mark.parametrize("warmup", [False, True])
def test_the_average_keeps_what_it_says(warmup: bool):
    module = torch.nn.Linear(1, 1)
    module.weight.data.fill_(0.0)
    average = WeightAverage(module, Ema(0.9, warmup))
    module.weight.data.fill_(1.0)
    for step in range(1, 11):
        average.update(module, step)
    # Ten steps leave 0.9^10 of where it began; a warm-up forgets the beginning.
    expected = 1.0 if warmup else 1 - 0.9**10
    assert average.module.weight.item() == pytest.approx(expected, abs=1e-6)
