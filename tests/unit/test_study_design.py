"""A design becomes a study that can be planned: the right sizes, samples and number of networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vvscale.errors import UsageError
from vvscale.laws.planning.design import Design
from vvscale.models import model_cost
from vvscale.study.design_study import networks_near, study_of_design
from vvscale.study.spec.schema import load_spec


def design(runs: pd.DataFrame) -> Design:
    return Design(runs, "E", 0.5, (0.4, 0.6), (0.45, 0.55), 0.5, (0.4, 0.6), 0.9, 1e16, 1e15, "arch")


def test_networks_are_different_and_near_the_size():
    names = networks_near(5e5, 12)
    assert len(set(names)) == 12
    sizes = np.array([model_cost(name).n_params for name in names])
    assert (np.abs(np.log(sizes / 5e5)) < 0.5).all()
    assert not set(names) & set(networks_near(5e5, 3, set(names)))


def test_the_study_trains_the_designed_runs(tmp_path: Path):
    runs = pd.DataFrame(
        {"n_params": [2e5, 5e6], "samples_seen": [3e6, 2e7], "train_flop": [4e14, 6e16], "count": [3, 2]}
    )
    path = tmp_path / "next.toml"
    path.write_text(study_of_design(design(runs), name="next", dataset="imagenet", classes=1000))
    spec = load_spec(path)
    made = spec.runs()
    assert len(made) == 5
    assert len({run.arch for run in made}) == 5
    assert sorted(run.samples_per_class for run in made) == [30, 30, 30, 200, 200]


def test_what_no_study_can_train_is_refused():
    few = pd.DataFrame({"n_params": [2e5], "samples_seen": [1e4], "train_flop": [1e12], "count": [1]})
    with pytest.raises(UsageError, match="less than one image per class"):
        study_of_design(design(few), name="next", dataset="imagenet", classes=1000)
    with pytest.raises(UsageError, match="compute alone"):
        study_of_design(design(few[["train_flop", "count"]]), name="next", dataset="imagenet", classes=1000)
