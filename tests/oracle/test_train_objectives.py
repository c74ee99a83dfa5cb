"""Losses and attacks against other implementations' numbers, and against PyTorch's and timm's own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from timm.loss import BinaryCrossEntropy, LabelSmoothingCrossEntropy, SoftTargetCrossEntropy
from torch import nn

from vvscale.train.compute.ranks import Ranks
from vvscale.train.objectives.adversarial import AdversarialObjective, Attack, perturb
from vvscale.train.objectives.dino import DINO, DINOObjective, dino_loss
from vvscale.train.objectives.simclr import nt_xent
from vvscale.train.objectives.supervised import Criterion, Loss

FROZEN = json.loads((Path(__file__).parent / "data" / "objectives.json").read_text())


def tensor(seed, *shape):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def test_nt_xent_equals_another_implementation():
    first, second = tensor(0, 6, 5).requires_grad_(), tensor(1, 6, 5).requires_grad_()
    loss = nt_xent(first, second, 0.5)
    loss.backward()
    assert loss.item() == pytest.approx(FROZEN["nt_xent"]["loss"], rel=1e-6)
    np.testing.assert_allclose(first.grad, FROZEN["nt_xent"]["grad_first"], atol=1e-7)
    np.testing.assert_allclose(second.grad, FROZEN["nt_xent"]["grad_second"], atol=1e-7)


def test_dino_equals_another_implementation():
    settings = DINO(dim=7)
    teacher, student = tensor(3, 2, 4, 7), tensor(4, 5, 4, 7).requires_grad_()
    center = tensor(2, 7) * 0.1
    loss = dino_loss(student, teacher, center, settings, 0.07)
    loss.backward()
    assert loss.item() == pytest.approx(FROZEN["dino"]["loss"], rel=1e-6)
    np.testing.assert_allclose(student.grad, FROZEN["dino"]["grad"], atol=1e-6)


def test_dino_moves_its_center_as_another_implementation():
    objective = DINOObjective(nn.Linear(12, 12), 12, DINO(dim=7, hidden=5, bottleneck=4))
    objective.center.copy_((tensor(2, 7) * 0.1).float())
    teacher = tensor(3, 2, 4, 7)
    objective._seen = teacher.float().sum((0, 1)), 8
    objective.after_update(0.5, Ranks(0, 1, torch.device("cpu")))
    np.testing.assert_allclose(objective.center, FROZEN["dino"]["center"], atol=1e-6)


@pytest.mark.parametrize(
    "attack",
    [
        Attack("ffgsm", eps=0.1, alpha=0.12),
        Attack("pgd-linf", eps=0.1, alpha=0.03, steps=5),
        Attack("pgd-l2", eps=0.5, alpha=0.2, steps=5),
    ],
    ids=lambda attack: attack.method,
)
def test_attacks_equal_another_implementation(attack):
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 9), nn.Tanh(), nn.Linear(9, 3)).double()
    for number, parameter in enumerate(model.parameters()):
        parameter.data.copy_(tensor(10 + number, *parameter.shape))
    images = torch.from_numpy(np.random.default_rng(5).random((4, 3, 2, 2)))
    labels = torch.tensor([0, 1, 2, 1])
    frozen = FROZEN["attacks"][attack.method]
    attacked = perturb(
        images,
        lambda candidates: nn.functional.cross_entropy(model(candidates), labels),
        attack,
        start=torch.tensor(frozen["start"], dtype=torch.float64),
    )
    np.testing.assert_allclose(attacked, frozen["images"], atol=1e-7)
    assert (attacked - images).abs().max() > 0.01


def test_an_attack_leaves_batch_statistics_to_the_training_pass():
    def run(attack_steps):
        torch.manual_seed(0)
        model = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 3))
        objective = AdversarialObjective(
            model,
            Criterion(Loss()),
            Attack("pgd-linf", eps=1e-9, alpha=1e-9, steps=attack_steps),
            mean=(0.5,) * 3,
            std=(0.2,) * 3,
        )
        objective((tensor(1, 4, 3, 2, 2).float() * 0.1,), torch.tensor([0, 1, 2, 1]))
        return model[0].running_mean, model[0].num_batches_tracked

    once, often = run(1), run(4)
    assert once[1] == often[1] == 1
    np.testing.assert_allclose(once[0], often[0], atol=1e-6)


def test_supervised_losses_equal_timm_and_torch():
    scores = tensor(6, 5, 4).float()
    labels = torch.tensor([0, 3, 1, 2, 2])
    soft = torch.softmax(tensor(7, 5, 4).float(), dim=1)
    smooth = Criterion(Loss(label_smoothing=0.1))
    torch.testing.assert_close(smooth(scores, labels), LabelSmoothingCrossEntropy(0.1)(scores, labels))
    torch.testing.assert_close(Criterion(Loss())(scores, soft), SoftTargetCrossEntropy()(scores, soft))
    binary = Criterion(Loss("binary_cross_entropy", label_smoothing=0.1))
    torch.testing.assert_close(binary(scores, labels), BinaryCrossEntropy(smoothing=0.1)(scores, labels))
    hard = Criterion(Loss("binary_cross_entropy", target_threshold=0.2))
    torch.testing.assert_close(
        hard(scores, soft), BinaryCrossEntropy(smoothing=0.0, target_threshold=0.2)(scores, soft)
    )
