"""Freeze similarities of representations and noise ceilings of rsatoolbox; for an environment of its own.

uv venv /tmp/rsa && VIRTUAL_ENV=/tmp/rsa uv pip install rsatoolbox==0.3.2
/tmp/rsa/bin/python benchmarks/reference/freeze_rsa.py > tests/oracle/data/rsa.json
"""

import json
from importlib.metadata import version

import numpy as np
import rsatoolbox
from rsatoolbox.inference import boot_noise_ceiling
from rsatoolbox.rdm import RDMs, calc_rdm, compare

METHODS = {"spearman": "spearman", "pearson": "corr", "kendall": "kendall", "cosine": "cosine"}


def tables():
    """Return features of 20 images of a model and of 4 subjects; tests make the same."""
    rng = np.random.default_rng(11)
    shared = rng.standard_normal((20, 6))
    return [np.round((shared @ rng.standard_normal((6, n)) + rng.standard_normal((20, n))) * 64) / 64 for n in
            (30, 12, 15, 9, 21)]  # fmt: skip


def main():
    """Print the numbers."""
    model, *subjects = (
        calc_rdm(rsatoolbox.data.Dataset(table), method="correlation").dissimilarities[0] for table in tables()
    )
    subjects = RDMs(np.stack(subjects))
    found = {"version": version("rsatoolbox"), "rdm": model.tolist()}
    for ours, theirs in METHODS.items():
        found[ours] = {
            "similarity": compare(RDMs(model[None]), subjects, method=theirs)[0].tolist(),
            "noise_ceiling": [float(one) for one in boot_noise_ceiling(subjects, method=theirs)],
        }
    print(json.dumps(found))


main()
