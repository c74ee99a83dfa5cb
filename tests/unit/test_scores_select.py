from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from vvscale.errors import ConfigError, UnknownNameError
from vvscale.scores import Not, parse_where, select

TABLE = pd.DataFrame(
    {
        "model_id": ["resnet18_a", "resnet50_a", "vit_a", "odd[1]", "odd1"],
        "family": ["ResNet", "ResNet", "ViT", None, "ViT"],
        "samples_per_class": [0, 300, 0, 1, 300],
        "n_params": [1e6, 2e6, np.nan, 4e6, 5e6],
        "is_ssl": [False, True, False, False, True],
        "maybe": pd.array([True, None, False, None, True], dtype="boolean"),
    }
)


def rows(**conditions: Any) -> list[int]:
    return select(TABLE, **conditions).index.tolist()


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"family": "ResNet"}, [0, 1]),
        ({"family": ["ResNet", "ViT"]}, [0, 1, 2, 4]),
        ({"family": Not("ResNet")}, [2, 4]),
        ({"family": "*Net"}, [0, 1]),
        ({"model_id": "*_a"}, [0, 1, 2]),
        ({"model_id": ["resnet*", "vit_a"]}, [0, 1, 2]),
        ({"model_id": "odd[1]"}, [3]),
        ({"model_id": Not("*_a")}, [3, 4]),
        ({"samples_per_class": 0}, [0, 2]),
        ({"samples_per_class": [0, 300]}, [0, 1, 2, 4]),
        ({"samples_per_class": ["0", "1"]}, [0, 2, 3]),
        ({"samples_per_class": (0, 1)}, [0, 2, 3]),
        ({"n_params": (2e6, 4e6)}, [1, 3]),
        ({"n_params": (2e6, None)}, [1, 3, 4]),
        ({"n_params": (None, 2e6)}, [0, 1]),
        ({"n_params": (None, None)}, [0, 1, 3, 4]),
        ({"n_params": Not((2e6, 4e6))}, [0, 4]),
        ({"n_params": (9e9, None)}, []),
        ({"is_ssl": False}, [0, 2, 3]),
        ({"is_ssl": "true"}, [1, 4]),
        ({"is_ssl": [True, False]}, [0, 1, 2, 3, 4]),
        ({"maybe": True}, [0, 4]),
        ({"maybe": Not(True)}, [2]),
        ({"family": "ViT", "is_ssl": True}, [4]),
        ({"family": "ResNet", "samples_per_class": 1}, []),
    ],
)
def test_conditions(conditions: dict[str, Any], expected: list[int]):
    assert rows(**conditions) == expected


@pytest.mark.parametrize(
    ("conditions", "error", "message"),
    [
        ({"famly": "ResNet"}, UnknownNameError, "Unknown column 'famly'. Did you mean 'family'"),
        ({"misalignment": (0, 1)}, UnknownNameError, "derived; model_table adds it"),
        ({"family": "Resnet"}, UnknownNameError, "Unknown family 'Resnet'. Did you mean 'ResNet'"),
        ({"model_id": "alexnet*"}, UnknownNameError, r"Unknown model 'alexnet\*'.*It has 5 values"),
        ({"family": ["ResNet", "Vit"]}, UnknownNameError, "Did you mean 'ViT'"),
        ({"samples_per_class": 7}, UnknownNameError, "'7'.*It has 3 values: 0, 1, 300"),
        ({"samples_per_class": "many"}, ConfigError, "holds numbers; got 'many'"),
        ({"is_ssl": "maybe"}, ConfigError, "true or false; got 'maybe'"),
        ({"is_ssl": (0, 1)}, ConfigError, "no range"),
        ({"family": (0, 1)}, ConfigError, "no range"),
        ({"family": []}, ConfigError, "empty list"),
    ],
)
def test_wrong_conditions(conditions: dict[str, Any], error: type[Exception], message: str):
    with pytest.raises(error, match=message) as caught:
        rows(**conditions)
    assert caught.value.exit_code == 2  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["family=ResNet, ViT"], [0, 1, 2, 4]),
        (["family!=ResNet"], [2, 4]),
        (["is_ssl=false"], [0, 2, 3]),
        (["n_params>=2e6"], [1, 3, 4]),
        (["n_params > 2e6"], [3, 4]),
        (["n_params<=2e6"], [0, 1]),
        (["n_params<2e6"], [0]),
        (["n_params>1e6", "n_params<5e6"], [1, 3]),
        (["samples_per_class=0,300", "model_id=*_a"], [0, 1, 2]),
    ],
)
def test_where(typed: list[str], expected: list[int]):
    assert rows(**parse_where(typed)) == expected


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["family"], "Cannot read the condition 'family'"),
        (["family="], "Cannot read"),
        (["=x"], "Cannot read"),
        (["!x=1"], "Cannot read"),
        (["n_params>=many"], "'many' is not a number"),
        (["n_params>=nan"], "'nan' is not a number"),
        (["family=ResNet", "family=ViT"], "Column 'family' has two conditions"),
        (["n_params=1", "n_params>=1"], "two conditions"),
    ],
)
def test_where_errors(typed: list[str], message: str):
    with pytest.raises(ConfigError) as caught:
        parse_where(typed)
    assert message in str(caught.value)
