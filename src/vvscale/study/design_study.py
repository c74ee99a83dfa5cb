"""A study that trains the runs of a design: networks near the designed sizes, images for the designed samples."""

from __future__ import annotations

import math
import textwrap
from bisect import bisect_right
from typing import TYPE_CHECKING

from vvscale.errors import UsageError
from vvscale.models import model_cost

if TYPE_CHECKING:
    from vvscale.laws.planning.design import Design

# Blocks per stage of the networks on offer: runs of one size are different architectures.
DEPTHS = ("1-1-1-1", "2-2-2-2", "1-1-2-2", "1-2-2-2", "1-1-1-2", "2-2-1-1", "3-3-3-3", "1-1-3-3", "2-1-1-1", "1-2-1-1")
WIDTHS = range(2, 257)
# Images of data sets that people know; of others at least those that the runs need.
IMAGES = {"imagenet": 1_281_167, "ecoset": 1_444_911}
TAIL = """\
[score]
benchmarks = ["V1", "V2", "V4", "IT", "behavior"]
layers = "select"

[[laws]]
name = "joint"
law = "joint"
resamples = 1000
by = ["arch"]
"""


def study_of_design(
    design: Design, *, name: str, dataset: str, classes: int, recipe: str = "resnet", epochs: int = 100
) -> str:
    """Return the TOML of a study that trains a design's runs; score and laws are those of a plain study.

    Runs are of one data set with so many ``classes`` and train for the ``epochs`` of one recipe.

    Raises
    ------
    UsageError
        A design in compute alone, which names no sizes, or a run with less than one image per class.
    """
    if "n_params" not in design.runs:
        raise UsageError("A study needs sizes and samples of its runs, and this design is one of compute alone.")
    blocks, used = [], set()
    for run in design.runs.to_dict("records"):
        per_class = round(run["samples_seen"] / (epochs * classes))
        if per_class < 1:
            raise UsageError(
                f"{run['samples_seen']:.3g} samples seen are less than one image per class in {epochs} epochs of "
                f"{classes} classes. Choose a data set with fewer `classes`, fewer `epochs`, or a larger `min_samples`."
            )
        names = networks_near(run["n_params"], int(run["count"]), used)
        used |= set(names)
        blocks.append((names, per_class, run))
    lines = [
        *(f"# {line}" for line in textwrap.wrap(f"Made by `vvscale design`: {design.sentence}", 110)),
        f'# [datasets.{dataset}] is a folder of `vvscale prepare`: below VVSCALE_DATA, or give path = "..." there.',
        "",
        f'name = "{name}"',
        f'summary = "Runs that tell most about {design.reduce}."',
    ]
    for place, (names, per_class, run) in enumerate(blocks):
        lines += [
            "",
            f"# N {run['n_params']:.3g}, D {run['samples_seen']:.3g}, {run['train_flop']:.3g} FLOP each",
            "[axes]" if place == 0 else "[[include]]",
            "arch = [",
            *(f'    "{one}",' for one in names),
            "]",
            f'dataset = "{dataset}"',
            f"samples_per_class = {per_class}",
            "seed = 0",
            f'recipe = "{recipe}"',
        ]
    n_images = IMAGES.get(dataset, classes * max(per_class for _, per_class, _ in blocks))
    lines += ["", f"[datasets.{dataset}]", f"n_classes = {classes}", f"n_images = {n_images}", "", *TAIL.splitlines()]
    return "\n".join(lines) + "\n"


def networks_near(n_params: float, count: int, used: set[str] | frozenset[str] = frozenset()) -> list[str]:
    """Names of ``count`` different networks, ResNets of a free width and several depths, as near a size as they come.

    Examples
    --------
    >>> networks_near(1.4e5, 2)
    ['resnetflex-w8-d1-1-1-1', 'resnetflex-w8-d2-1-1-1']
    """
    offered: dict[str, float] = {}
    for depth in DEPTHS:
        # The size grows with the width: those before `place` are not larger than wanted.
        place = bisect_right(WIDTHS, n_params, lo=1, hi=len(WIDTHS) - 1, key=lambda width: _size(width, depth))
        # Neighbours on either side, as many as it takes when every depth is used.
        reach = max(1, math.ceil((count + len(used)) / len(DEPTHS)))
        for width in WIDTHS[max(place - reach, 0) : place + reach]:
            offered[f"resnetflex-w{width}-d{depth}"] = abs(math.log(_size(width, depth) / n_params))
    ranked = sorted((name for name in offered if name not in used), key=lambda name: offered[name])
    return ranked[:count]


def _size(width: int, depth: str) -> int:
    return model_cost(f"resnetflex-w{width}-d{depth}").n_params
