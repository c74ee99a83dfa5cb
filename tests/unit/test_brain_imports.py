import ast
import subprocess
import sys
from pathlib import Path

import pytest

import vvscale.brain

FILES = sorted(Path(vvscale.brain.__file__).parent.glob("*.py"))
ALLOWED = {"vvscale.errors", "vvscale.registry", "vvscale._files", "vvscale._download"}
# What scores models by name and writes rows; the metrics know neither.
SCORING = {"digests", "layers", "request", "results"}
# What draws stimuli from the embedded digits.
DRAWING = {"worlds"}
ALLOWED_TO_SCORE = ALLOWED | {"vvscale", "vvscale.models", "vvscale.scores"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_brain_imports_only_what_lies_below_it(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module]
        for name in names:
            allowed = ALLOWED_TO_SCORE if path.stem in SCORING else ALLOWED
            allowed = allowed | {"vvscale.data"} if path.stem in DRAWING else allowed
            assert not name.startswith("vvscale") or name.startswith("vvscale.brain") or name in allowed


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
