import subprocess
import sys

import pytest

import vvscale.brain


def test_public_names_are_found_and_unknown_ones_are_not():
    assert all(getattr(vvscale.brain, name) for name in vvscale.brain.__all__)
    assert set(vvscale.brain.__all__) <= set(dir(vvscale.brain))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        vvscale.brain.nothing  # noqa: B018


def test_scoring_on_the_cpu_loads_no_torch():
    code = (
        "import sys, vvscale.brain; assert 'numpy' not in sys.modules; import numpy as np; from "
        "vvscale.brain import linear_predictivity; X = np.random.default_rng(0).standard_normal((40, 30)); "
        "linear_predictivity(X, X[:, :2], stratify=None); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
