"""
Which axis should my lab pay for?
=================================

Alignment grows along three axes: a network trained on more (images, compute), more recordings for the mapping from
features to responses, and fine-tuning on recordings. Each costs something else: GPU hours, hours in the rig, accuracy.
This page asks all three with the same table, on networks and a stream that need no download; the last lines ask the
second one of real recordings.
"""

# %%
# Two networks that differ in their training images
# -------------------------------------------------

import tempfile
from pathlib import Path

from vvscale.cli import main

out = Path(tempfile.mkdtemp())
arch = "resnetflex-w4-d1-1-1"
for images in ("4", "0"):
    main(["train", arch, "--samples-per-class", images, "--seed", "0", "--out", str(out / f"run{images}"), "--quiet"])

# %%
# The mapping axis: how much does a score grow with the images that were recorded?
# --------------------------------------------------------------------------------
#
# Subsets of training images are nested: those of one seed hold the smaller ones. Ceilings and test images stay. All
# sizes of all layers come from one pass over the images. Partial least squares cannot be fitted on fewer images than it
# has components, so ridge regression it is.

store = str(out / "scores")
for images in ("4", "0"):
    main(
        ["score", str(out / f"run{images}"), "--on", "simulated-digits.IT-pls", "--layers", "layer2.0",
         "--metric", "ridge-cv", "--mapping-samples", "5%,10%,20%,40%,70%,100%", "--mapping-seeds", "3",
         "--out", store, "--resamples", "100"]
    )  # fmt: skip

# %%
# The law of the mapping: a limit, an amplitude, an exponent, compared with a straight line in log samples and with a
# law that has no limit, on the largest sizes held out. A limit of exactly 1 would be an extrapolation, and the verdict
# says so.

main(["fit", store, "--x", "mapping_samples", "--regions", "IT", "--compare", "--hold-out"])

# %%
# The pretraining axis: the same rows at full mapping
# ---------------------------------------------------
#
# Two networks are no law; a study of many (``vvscale study run``) is. Here is what the two rows say.

import vvscale as vv

rows = vv.load_scores(store)
rows[rows["mapping_samples"] == rows["mapping_samples"].max()][["model_id", "n_samples", "mapping_samples", "score"]]

# %%
# The fine-tuning axis, with its controls
# ---------------------------------------
#
# Readouts of one layer are fitted on training images and frozen; the network is then trained on for digits and for the
# recordings at once. Fresh readouts score it on images that it was never trained on. Pairs that are shuffled must not
# help. A quarter of the images with as many updates tells what more updates do, and what more recordings.

run = str(out / "run0")
tune = [
    "--on", "simulated-digits.IT-pls", "--layers", "layer3.0", "--task-batch", "64", "--lr", "1e-3", "--neural-weight",
    "1", "--neural-batch", "64", "--epochs", "6", "--seed", "0", "--quiet",
]  # fmt: skip
for name, more in (
    ("real", []),
    ("shuffled", ["--control", "shuffled"]),
    ("quarter", ["--fraction", "25"]),
    ("quarter-matched", ["--fraction", "25", "--updates", "30"]),
):
    main(["fine-tune", run, *tune, *more, "--out", str(out / name)])

# %%
# What it gained, and what it cost
# --------------------------------

names = ("real", "shuffled", "quarter", "quarter-matched")
main(["transfer", *(str(out / name / "scores") for name in names)])

# %%
# What to buy next
# ----------------
#
# Read the verdicts before the numbers. A mapping curve that still climbs at your largest size says that more images in
# the rig pay; one that is flat says that they do not, whatever the network. A limit that is "not identified" is no
# reason to buy anything: the next size up is. And a gain of fine-tuning that the matched control shows too is a gain of
# training longer, which needs no rig at all.
#
# Many networks, all three axes, seeds and controls in one file, whose laws are fitted to one table: the study ``axes``.
# Its joint law of training compute and recorded images then splits a budget, at your prices of an hour of GPU and of an
# hour in the rig. More than ten times beyond its rows it advises nothing, and says which rows would be needed:
#
# .. code-block:: console
#
#     vvscale study run axes
#     vvscale buy out/axes/results/fits/training-and-mapping --have 1e10 100 --per-hour 1e9 100 \
#         --price 2 150 --budget 300
#
# On real recordings, one session of macaque V4, as a study (``vvscale study run axes-real``) or by hand:
#
# .. code-block:: console
#
#     vvscale fetch benchmarks cowley2023
#     vvscale score timm:resnet18.a1_in1k --on cowley2023 --layers layer3.0 --metric ridge-cv \
#         --mapping-samples 5%,10%,20%,50%,100%
#     vvscale fit scores --x mapping_samples --regions V4 --compare --hold-out
#
# On the eight data sets of the 2026 multimodal study: ``vvscale prepare-brain`` lists them.
