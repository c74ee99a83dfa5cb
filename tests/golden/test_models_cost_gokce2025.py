"""Every size that the study published, reproduced to the last digit."""

from __future__ import annotations

import time

import pandas as pd
import pytest

from vvscale.models import architecture, model_cost
from vvscale.models.architectures.names import PUBLISHED


@pytest.fixture
def sizes(gokce2025: pd.DataFrame) -> pd.DataFrame:
    """The published (n_params, forward_mac) of our architectures, one row each."""
    # SimCLR and adversarial rows carry the cost of their two passes.
    plain = gokce2025[gokce2025["arch"].isin(PUBLISHED) & ~gokce2025["is_ssl"] & ~gokce2025["is_adv"]]
    table = plain[["arch", "family", "parent_family", "n_params", "forward_mac", "forward_flop"]].dropna()
    return table.drop_duplicates().set_index("arch")


def test_all_62_published_sizes(sizes: pd.DataFrame):
    assert len(sizes) == sizes.index.nunique() == 62
    for arch, published in sizes.iterrows():
        ours = model_cost(str(arch))
        assert (ours.n_params, ours.forward_mac, ours.forward_flop) == (
            published["n_params"],
            published["forward_mac"],
            published["forward_flop"],
        ), arch


def test_families_are_the_published_ones(sizes: pd.DataFrame):
    for arch, published in sizes.iterrows():
        ours = architecture(str(arch))
        assert (ours.family, ours.parent_family) == (published["family"], published["parent_family"]), arch


def test_the_largest_is_measured_in_well_under_a_second():
    model_cost("resnet18")  # imports and torch's meta kernels
    from vvscale.models.cost import _of_name

    took = []
    for _ in range(3):
        _of_name.cache_clear()
        # Of this process alone: other work on the machine does not count.
        start = time.process_time()
        model_cost("deit_large")
        took.append(time.process_time() - start)
    assert min(took) < 0.8
