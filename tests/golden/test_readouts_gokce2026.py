"""The parameter counts of Table 2 of the 2026 multimodal study, and which mean of what they can be.

The reasoning is on the page of readouts. Units of five of the six sets are not published: the counts are shown to
follow from our shapes for units such as these sets have, to the three digits that the table prints.
"""

import numpy as np
import pytest

from vvscale.train.readouts.models import TokenReadout, linear_params

LINEAR, INDIVIDUAL, SHARED = 2.30e8, 2.53e7, 2.06e7
# Half of the last digit printed.
ROUNDING = 0.005
N_FEATURES = 197 * 384
# TVSD, THINGS-fMRI, NSD, THINGS-MEG, THINGS-EEG1, THINGS-EEG2.
SUBJECTS = np.array([2, 3, 8, 4, 10, 10])
# Of a region. TVSD's is a third of the 1,704 reliable electrodes; the others lie nearest together of all that fit.
UNITS = (568, 396, 1177, 17_714, 12_984, 12_984)
N_ELECTRODES, N_RELIABLE, N_AREAS = 2048, 1704, 3


def n_params(kind, n_subjects, n_units):
    """Parameters of a readout of DeiT-S tokens, counted on the network; it does not matter whose the units are."""
    one = TokenReadout(kind, 384, {str(number): 1 for number in range(n_subjects)}, dropout=0.3).n_params
    return one + (16 * 384 + 1) * (n_units - n_subjects)


def geometric(values):
    return float(np.exp(np.mean(np.log(values))))


TRUNK = n_params("attention-shared", 1, 1) - 6145


def test_shapes():
    parts = (147_840, 768, 6_144, 591_360, 1_536)
    assert sum(parts) == 747_648
    assert sum(parts) == TRUNK
    assert n_params("attention-shared", 3, 100) == TRUNK + 6145 * 100
    assert n_params("attention-individual", 3, 100) == 3 * TRUNK + 6145 * 100
    assert linear_params(N_FEATURES, {"all": 1}) == 75_649


def test_geometric_means_over_the_sets_are_the_published_counts():
    sets = list(zip(SUBJECTS.tolist(), UNITS, strict=True))
    linear = geometric([linear_params(N_FEATURES, {"all": units}) for _, units in sets])
    shared = geometric([n_params("attention-shared", *one) for one in sets])
    individual = geometric([n_params("attention-individual", *one) for one in sets])
    assert linear / 1e8 == pytest.approx(LINEAR / 1e8, abs=ROUNDING)
    assert shared / 1e7 == pytest.approx(SHARED / 1e7, abs=ROUNDING)
    assert individual / 1e7 == pytest.approx(INDIVIDUAL / 1e7, abs=ROUNDING)


@pytest.mark.parametrize("n_features", [N_FEATURES, 196 * 384, 30_000])
@pytest.mark.parametrize("bias", [0, 1])
@pytest.mark.parametrize("trunk", [TRUNK, TRUNK - 6_144, 591_360, 0])
def test_they_are_no_arithmetic_means(n_features, bias, trunk):
    """Means add up: linear and shared counts would have to be of the same mean number of units."""
    of_linear = [(LINEAR / 1e8 + end) * 1e8 / (n_features + bias) for end in (-ROUNDING, ROUNDING)]
    of_shared = [((SHARED / 1e7 + end) * 1e7 - trunk) / (16 * 384 + bias) for end in (-ROUNDING, ROUNDING)]
    assert max(of_linear) < min(of_shared) or max(of_shared) < min(of_linear)


def test_nor_are_the_trunks():
    most = (INDIVIDUAL - SHARED + 0.01e7) / TRUNK + 1
    fewest = (INDIVIDUAL - SHARED - 0.01e7) / TRUNK + 1
    assert not fewest <= SUBJECTS.mean() <= most
    assert (fewest, most) == (pytest.approx(7.15, abs=0.01), pytest.approx(7.42, abs=0.01))


def test_they_are_not_of_tvsd():
    shared = N_AREAS * TRUNK + 6145 * N_ELECTRODES
    assert shared < 0.75 * SHARED
    reliable = N_AREAS * TRUNK + 6145 * N_RELIABLE
    assert reliable == pytest.approx(1.27e7, rel=0.002)
    assert linear_params(N_FEATURES, {"all": N_RELIABLE}) == pytest.approx(1.29e8, rel=0.002)
