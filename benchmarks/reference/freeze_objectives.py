"""Freeze losses and attacks of other implementations on fixed tensors, for tests/oracle.

Run by hand in an environment that has torch, lightly and torchattacks (none is a dependency):

    python benchmarks/reference/freeze_objectives.py > tests/oracle/data/objectives.json
"""

import json

import numpy as np
import torch
import torchattacks
from lightly.loss.dino_loss import DINOLoss
from lightly.loss.ntx_ent_loss import NTXentLoss
from torch import nn


def tensor(seed, *shape):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def nt_xent():
    first, second = tensor(0, 6, 5).requires_grad_(), tensor(1, 6, 5).requires_grad_()
    loss = NTXentLoss(temperature=0.5)(first, second)
    loss.backward()
    return {"loss": loss.item(), "grad_first": first.grad.tolist(), "grad_second": second.grad.tolist()}


def dino():
    criterion = DINOLoss(output_dim=7, teacher_temp=0.07, student_temp=0.1, center_momentum=0.9).double()
    criterion.center.copy_(tensor(2, 7).view_as(criterion.center) * 0.1)
    teacher, student = tensor(3, 2, 4, 7), tensor(4, 5, 4, 7).requires_grad_()
    loss = criterion(list(teacher), list(student), teacher_temp=0.07)
    loss.backward()
    return {"loss": loss.item(), "grad": student.grad.tolist(), "center": criterion.center.flatten().tolist()}


def attacks():
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 9), nn.Tanh(), nn.Linear(9, 3)).double().eval()
    for number, parameter in enumerate(model.parameters()):
        parameter.data.copy_(tensor(10 + number, *parameter.shape))
    images = torch.from_numpy(np.random.default_rng(5).random((4, 3, 2, 2)))
    labels = torch.tensor([0, 1, 2, 1])
    found = {}
    for name, attack, draw in (
        ("ffgsm", torchattacks.FFGSM(model, eps=0.1, alpha=0.12), lambda: torch.randn_like(images).uniform_(-0.1, 0.1)),
        (
            "pgd-linf",
            torchattacks.PGD(model, eps=0.1, alpha=0.03, steps=5),
            lambda: torch.empty_like(images).uniform_(-0.1, 0.1),
        ),
        ("pgd-l2", torchattacks.PGDL2(model, eps=0.5, alpha=0.2, steps=5, random_start=False), lambda: images * 0),
    ):
        torch.manual_seed(0)
        start = draw()
        torch.manual_seed(0)
        found[name] = {"start": start.tolist(), "images": attack(images, labels).tolist()}
    return found


print(json.dumps({"nt_xent": nt_xent(), "dino": dino(), "attacks": attacks()}))
