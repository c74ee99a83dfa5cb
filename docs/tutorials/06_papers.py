"""
CCN 2024 and ICML 2025 in a notebook
====================================

The published table and the laws of both papers are presets of the same verbs. It is downloaded once, checked by
hash; set ``VVSCALE_MIRROR`` to a folder of the published files where there is no network.
"""

# %%
# CCN 2024, figure 2a, in ten lines
# ---------------------------------

from vvscale.figures import Fits, make, open_source
from vvscale.figures.plot import Drawing
from vvscale.laws import fit_law
from vvscale.scores import load_scores, model_table, select

scores = load_scores("gokce2025")
core = select(model_table(scores).frame, preset="gokce2025", samples_per_class=0)
fit = fit_law(core, x="n_params")
print(fit.formula, fit.status)

# %%

fits = Fits(open_source(), n_resamples=100)
Drawing(make("ccn-2a", fits))

# %%
# ICML 2025, figure 1b
# --------------------
# Behaviour "reaches 1" in the paper because its limit lies on the bound 0 of the law; drawn dashed here.

Drawing(make("icml-1b", fits))

# %%
# Every fit of the paper
# ----------------------
# ``vvscale reproduce`` makes all 43 of them, paper beside ours; ``vvscale figure --all`` draws every figure.
