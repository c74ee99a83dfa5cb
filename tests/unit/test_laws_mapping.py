"""Laws of the recorded data: mapping curves are rows like any others, and the law recovers what is known."""

import numpy as np
import pandas as pd
import pytest

from vvscale.cli import main
from vvscale.errors import ShapeError
from vvscale.laws import bootstrap, fit_law
from vvscale.scores import is_mapping_table, mapping_table, model_table

SIZES = (20, 50, 120, 300, 800, 2000, 6000)
TRUTH = {"E": 0.25, "A": 1.8, "alpha": 0.35}


def curves(rng, *, sigma=0.03, n_models=6, truth=TRUTH):
    """Rows of several networks on one benchmark, each with its own luck, whose law is known."""
    rows = []
    for model in range(n_models):
        for n in SIZES:
            for seed in range(3):
                loss = truth["E"] + truth["A"] * n ** -truth["alpha"]
                loss *= np.exp(sigma * rng.standard_normal())
                rows.append((f"m{model}", "Lab2026.V4-ridge", "V4", "layer3", n, seed, 1 - loss))
    names = ["model_id", "benchmark_id", "region", "layer", "mapping_samples", "mapping_seed", "score"]
    return pd.DataFrame(rows, columns=names)


def test_a_row_per_model_size_and_seed():
    table = curves(np.random.default_rng(0))
    assert is_mapping_table(table)
    frame = mapping_table(table, "V4").frame
    assert len(frame) == len(table)
    assert sorted(frame["mapping_samples"].unique()) == sorted(SIZES)
    with pytest.raises(ShapeError, match="Expected one"):
        model_table(table, "V4")
    whole = table[table["mapping_samples"] == max(SIZES)].drop_duplicates("model_id")
    assert not is_mapping_table(whole)


def test_the_asymptote_is_inside_its_interval_at_the_nominal_rate():
    n_inside = 0
    for number in range(24):
        rows = mapping_table(curves(np.random.default_rng(number)), "V4").frame
        fit = fit_law(rows, x="mapping_samples")
        low, high = np.quantile(bootstrap(fit, 60, seed=0).params["E"], [0.025, 0.975])
        n_inside += low <= TRUTH["E"] <= high
    # 95 % of 24 is 23; 19 or fewer happen once in 500 times.
    assert n_inside >= 20


def test_the_command_line_fits_and_compares_on_held_out_sizes(tmp_path, capsys):
    path = tmp_path / "curves.parquet"
    curves(np.random.default_rng(1)).to_parquet(path)
    assert main(["fit", str(path), "--x", "mapping_samples", "--regions", "V4", "--compare", "--hold-out"]) == 0
    out = capsys.readouterr().out
    for law in ("power", "log", "pure-power"):
        assert law in out


def test_an_asymptote_of_exactly_one_is_called_an_extrapolation(tmp_path, capsys):
    path = tmp_path / "curves.parquet"
    curves(np.random.default_rng(2), truth={"E": 0.0, "A": 1.0, "alpha": 0.1}).to_parquet(path)
    arguments = ["fit", str(path), "--x", "mapping_samples", "--regions", "V4", "--resamples", "50", "--by", "model_id"]
    assert main(arguments) == 0
    assert "extrapolation" in capsys.readouterr().out


def joint_rows(rng, *, sigma):
    rows = []
    for model, compute in enumerate(np.logspace(15, 21, 9)):
        for n in (100, 300, 1000, 3000, 10_000):
            loss = 0.2 + 95 * compute**-0.12 + 2.0 * n**-0.4
            score = 1 - loss * np.exp(sigma * rng.standard_normal())
            rows.append((f"m{model}", "b", "V4", "l", n, 0, compute, score))
    names = ["model_id", "benchmark_id", "region", "layer", "mapping_samples", "mapping_seed", "train_flop", "score"]
    return mapping_table(pd.DataFrame(rows, columns=names), "V4").frame


def test_what_to_buy_next_at_stated_prices():
    from vvscale.laws.planning.purchase import buy_next

    fit = fit_law(joint_rows(np.random.default_rng(0), sigma=0.005), law="joint", x=("train_flop", "mapping_samples"))
    drawn = bootstrap(fit, 60, seed=0)
    have, budget = (1e18, 500.0), 1000.0
    found = buy_next(drawn, have=have, prices=(1e-15, 1.0), budget=budget)
    shares = np.linspace(0, 1, 2001)
    compute, images = have[0] + shares * budget * 1e15, have[1] + (1 - shares) * budget
    true = shares[np.argmin(95 * compute**-0.12 + 2.0 * images**-0.4)]
    assert found.low - 0.02 <= true <= found.high + 0.02
    assert found.is_established
    assert found.now > found.then
    assert found.gain_low > 0
    assert "Spend" in found.words
    dear = buy_next(drawn, have=have, prices=(1e-15, 1e6), budget=budget)
    assert dear.share == 1.0


def test_a_purchase_that_the_rows_do_not_tell_is_not_advised():
    from vvscale.errors import UsageError
    from vvscale.laws.planning.purchase import buy_next

    fit = fit_law(joint_rows(np.random.default_rng(1), sigma=0.4), law="joint", x=("train_flop", "mapping_samples"))
    found = buy_next(bootstrap(fit, 60, seed=0), have=(1e18, 500.0), prices=(1e-15, 1.0), budget=1000.0)
    assert found.high - found.low > 0.5
    assert found.words.startswith("Not established")
    with pytest.raises(UsageError, match="above 0"):
        buy_next(bootstrap(fit, 20, seed=0), have=(0, 1), prices=(1, 1), budget=1)
    one = fit_law(joint_rows(np.random.default_rng(1), sigma=0.1), x="mapping_samples")
    with pytest.raises(UsageError, match="joint"):
        buy_next(bootstrap(one, 20, seed=0), have=(1, 1), prices=(1, 1), budget=1)
