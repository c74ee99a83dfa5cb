"""Names as people write them: of columns on axes, of regions, data sets and objectives in legends. Data keep theirs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

WRITTEN: Mapping[str, str] = MappingProxyType(
    {
        "behavior": "Behaviour", "neural": "Neural", "all": "Mean", "simclr": "SimCLR", "dino": "DINO",
        "imagenet": "ImageNet", "imagenet21kP": "ImageNet-21k-P", "imagenet21kP-class-1000": "ImageNet-21k-P, 1000 cl.",
        "webvision": "WebVision", "webvisionP": "WebVision-P", "inaturalist": "iNaturalist", "places365": "Places365",
        "infimnist": "InfiMNIST", "cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "mnist": "MNIST",
        "parent_family": "family", "samples_per_class": "images per class", "ssl_method": "objective",
    }
)  # fmt: skip
# Column -> its name on an axis, with the unit in brackets.
COLUMN_LABELS: Mapping[str, str] = MappingProxyType(
    {
        "train_flop": "Training compute C (FLOP)",
        "n_params": "Parameters N",
        "samples_seen": "Samples seen D (images)",
        "n_samples": "Training images",
        "forward_flop": "Forward pass (FLOP per image)",
        "forward_mac": "Forward pass (multiply-adds per image)",
        "n_epochs": "Epochs",
        "accuracy": "Validation accuracy (top-1 share)",
        "epoch": "Epoch",
        "samples_per_class": "Training images per class",
        "misalignment": "Misalignment (1 - score)",
    }
)
SCORE_LABELS: Mapping[str, str] = MappingProxyType(
    {
        "all": "Mean alignment (ceiling = 1)",
        "neural": "Neural alignment (ceiling = 1)",
        "behavior": "Behaviour (ceiling = 1)",
        "": "Alignment (ceiling = 1)",
    }
)

# Powers of ten, the share of variance and power laws, as figures write them in labels.
_FORMULA = re.compile(r"(\$10\^\{-?\d+\}\$|\$R\^2\$|\$\\propto\$|\$\^\{-?[\d.]+\}\$)")


def literal(text: str) -> str:
    r"""Return a text that is drawn as it is: between two dollar signs the drawer would read formulas.

    The few formulas that figures write themselves stay formulas.

    Examples
    --------
    >>> print(literal("cost ($) and $/h"))
    cost (\$) and \$/h
    >>> print(literal("cost ($) of $10^{18}$ FLOP"))
    cost (\$) of $10^{18}$ FLOP
    """
    parts = _FORMULA.split(text)
    return "".join(part if place % 2 else part.replace("$", r"\$") for place, part in enumerate(parts))


def written(name: str) -> str:
    """Return a name as people write it."""
    return WRITTEN.get(name, name)


def column_label(column: str) -> str:
    """Return what an axis says of a column; of one that is not in the schema, its own name."""
    return COLUMN_LABELS.get(column, column)


def words_of(column: str) -> str:
    """Return what an axis says of a column, without its unit and as within a sentence.

    >>> words_of("train_flop"), words_of("N"), words_of("my_column")
    ('training compute C', 'N', 'my_column')
    """
    text = column_label(column).partition(" (")[0]
    return f"{text[0].lower()}{text[1:]}" if text[1:2].islower() else text


def score_label(regions: str) -> str:
    """Return what an axis says of a score averaged over ``regions``."""
    return SCORE_LABELS.get(regions, f"{regions} alignment (ceiling = 1)")
