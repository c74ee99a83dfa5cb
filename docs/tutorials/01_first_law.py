"""
First law from a CSV
====================

Any table with columns of numbers will do. Here it is one of 40 training runs: their size, the images they saw and
their error. The same on the command line, with the names of your own columns::

    vvscale fit runs.csv --x n_params --y error --resamples 1000 --plot law.png
    vvscale fit runs.csv --law joint --x n_params samples_seen --y error --resamples 1000 --out joint
    vvscale plan joint --budget 1e17
    vvscale report report.html --scores runs.csv --x n_params samples_seen --y error
"""

# %%
# A table
# -------
# Replace this block by ``table = pandas.read_csv("runs.csv")``.

import numpy as np
import pandas as pd

from vvscale import bootstrap, compare_laws, fit_law

rng = np.random.default_rng(0)
n_params = np.repeat(np.geomspace(1e5, 1e8, 10), 4)
samples_seen = np.tile(np.geomspace(1e5, 1e8, 4), 10)
error = 0.12 + 9 * n_params**-0.35 + 4 * samples_seen**-0.3
table = pd.DataFrame(
    {
        "arch": [f"net {place // 4}" for place in range(40)],
        "n_params": n_params,
        "samples_seen": samples_seen,
        "train_flop": 6 * n_params * samples_seen,
        "error": error * rng.lognormal(0, 0.02, 40),
    }
)
table.head()

# %%
# What a table needs:
#
# - numbers in the columns of ``x`` and ``y``, inputs above 0; text serves ``by``, ``each``, ``where``, ``offset_by``;
# - an outcome that falls with scale: of a score from 0 to 1 fit ``y="1-my_score"``, and divide percent by 100 first;
# - no missing values, or ``missing="drop"``, which names the rows that are left out;
# - a column that says which rows belong together, here ``arch``; one of another name is given as ``by``;
# - columns named ``n_params``, ``samples_seen`` and ``train_flop`` are taken in units of 1e5, 1e4 and 1e13, as in the
#   papers, which changes amplitudes and nothing else.

# %%
# One law
# -------
# ``power`` is E + A X^-alpha. A fit is a value: parameters, a status, and what the status means.

most_images = table[table["samples_seen"] == table["samples_seen"].max()]
fit = fit_law(most_images, law="power", x="n_params", y="error")
print(fit.formula, "|", fit.status, "|", fit.advice)

# %%
# The picture shows points, law, and what these rows can say about the limit.

fit.plot()

# %%
# How sure?
# ---------
# Rows of one architecture are not independent, so architectures are resampled where the table knows them.

bootstrap(fit, 200).summary()

# %%
# Parameters and samples together
# -------------------------------

joint = fit_law(table, law="joint", x=["n_params", "samples_seen"], y="error")
joint.plot()

# %%
# Is another law better?
# ----------------------
# Judged by information criteria and by predicting architectures that were left out.

compare_laws(joint).table()
