"""
Your own network, scored
========================

Any PyTorch module that takes images can be scored: all layers from one pass over the images, each against
recordings of each region. Here the recordings are **simulated**, so that no download is needed; with ``vvscale
fetch benchmarks`` the same call scores against macaque recordings.

On the command line the network is a file::

    vvscale score my_network.py:build --on simulated --layers all
"""

# %%
# A network
# ---------

import torch
from torch import nn

from vvscale.brain import resolve_benchmarks, score_layers

torch.manual_seed(0)
network = nn.Sequential()
network.add_module("early", nn.Sequential(nn.Conv2d(3, 12, 7, stride=4), nn.ReLU()))
network.add_module("middle", nn.Sequential(nn.Conv2d(12, 24, 3, stride=2), nn.ReLU()))
network.add_module("late", nn.Sequential(nn.Conv2d(24, 32, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(3)))

# %%
# Scores of its layers
# --------------------
# A benchmark joins images, recordings, a metric and a ceiling.

benchmarks = [one for one in resolve_benchmarks("simulated") if one.region in ("V1", "IT")]
scores = score_layers(network, benchmarks=benchmarks, layers=["early", "middle", "late"], device="cpu")
scores.table()[["region", "layer", "raw_score", "ceiling", "score"]]

# %%
# A score is 1 where the network predicts the neurons as well as the neurons predict themselves. Which layer stands
# for a region is a choice; make it on other data than those you report, or name one layer for each
# region in a file, as ``--commit layers.toml`` writes it on other recordings, and give it as ``--layers layers.toml``.

best = scores.table().sort_values("score").groupby("region").tail(1)
best[["region", "layer", "score"]]
