"""
Reading intervals and verdicts
==============================

A law always has parameters. Whether the rows know them is another question, and the answer is the verdict.
"""

# %%
# Two tables
# ----------
# The same law and the same noise; one table reaches its limit, the other does not.

import numpy as np
import pandas as pd

from vvscale import bootstrap, fit_law

rng = np.random.default_rng(1)


def runs(largest: float) -> pd.DataFrame:
    """Thirty runs from 1e6 to ``largest`` FLOP whose error falls to .3."""
    flop = np.geomspace(1e6, largest, 30)
    error = (0.3 + 40 * flop**-0.3) * rng.lognormal(0, 0.02, 30)
    return pd.DataFrame({"train_flop": flop, "error": error})


near, far = (fit_law(runs(largest), x="train_flop", y="error") for largest in (3e8, 1e13))

# %%
# The far table has seen the limit. Its band is narrow and the law is drawn solid.

bootstrap(far, 200).plot()

# %%
# The near table has not. The number E is still printed, because the law has it, but a verdict says that it is no
# finding, and the law is drawn dashed.

bootstrap(near, 200).plot()

# %%
# What an interval means
# ----------------------
# - It covers what would change if other *architectures* had been trained, where the table knows architectures:
#   seeds of one
#   architecture say little about the next one.
# - With fewer than ten architectures each is left out in turn, and the interval is Student's t.
# - A prediction interval is wider: it is for one new model, not for the curve.

bootstrap(far, 200).summary()
