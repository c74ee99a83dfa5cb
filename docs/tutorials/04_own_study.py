"""
A study on your images, from template to report
===============================================

A study is one TOML file: which networks on which images, how they are scored, which laws are fitted. ``vvscale
study init`` writes one with comments and a law; this page makes the smallest, which trains, scores and draws.

On your own images, first ``vvscale prepare FOLDER --out images``, and name that folder as the data set.
"""

# %%
# The file
# --------

import tempfile
from pathlib import Path

from vvscale.cli import main

folder = Path(tempfile.mkdtemp())
(folder / "mine.toml").write_text(
    """
name = "mine"
summary = "Widths and images on handwritten digits."

[axes]
arch = ["resnetflex-w3-d1-1-1", "resnetflex-w5-d1-1-1"]
dataset = "digits"
samples_per_class = [1, 10]
seed = [0]
recipe = "tiny"

[score]
benchmarks = ["simulated-digits"]
layers = { V1 = "conv1", V2 = "layer1", V4 = "layer2", IT = "layer3", behavior = "avgpool" }

[report]
figures = ["objectives"]
"""
)

# %%
# What would run
# --------------
# Nothing is trained yet; errors that would only show after hours are found here.

main(["study", "plan", str(folder / "mine.toml")])

# %%
# Run it
# ------
# ``vvscale study run mine.toml --out results`` trains, scores, fits, draws and writes
# ``results/results/report.html``, whose sections are: what was found, whether the law is trustworthy, what to run
# next. Interrupt it at any time and run the same command to resume. On a cluster see :doc:`/guides/slurm`.
