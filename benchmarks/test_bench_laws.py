"""Speed of the laws, as ratios within one run: against the obvious scipy way, and as rows grow.

The scipy way is the study's own: sum of Huber of log residuals in e, a, alpha (, lambda; b, beta), BFGS with finite
differences from every start of the published grid. It is run on a few of the grid's starts of one resample and
extrapolated to the whole grid, per resample; ours is run whole.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from vvscale.laws import bootstrap, fit_law

N_RESAMPLES = 1000
DELTA = 1e-3
# Searches of the published grid that are run; the others are assumed to take as long.
N_SEARCHES = 12
E_STARTS, A_STARTS, ALPHA_STARTS = (-1, -0.5, 0, 0.5, 1), (0, 5, 10, 15, 20, 25), (0, 0.5, 1, 1.5, 2)
# law -> starts of the published grid
GRIDS: dict[str, list[tuple[float, ...]]] = {
    "power": list(product(E_STARTS, A_STARTS, ALPHA_STARTS)),
    "shifted": list(product(E_STARTS, A_STARTS, ALPHA_STARTS, ALPHA_STARTS)),
    "joint": list(product(E_STARTS, A_STARTS, ALPHA_STARTS, A_STARTS, ALPHA_STARTS)),
}
COLUMNS = {"power": ["train_flop"], "shifted": ["train_flop"], "joint": ["n_params", "samples_seen"]}
UNITS = {"train_flop": 1e13, "n_params": 1e5, "samples_seen": 1e4}
RATIOS: list[tuple[str, str]] = []

# The study's controlled models.
CORE = {
    "dataset": ["imagenet", "ecoset"],
    "is_pretrained": False,
    "is_random": False,
    "is_ssl": False,
    "is_ablation": False,
    "is_adv": False,
}
N_ROWS = 620


def neural_rows() -> tuple[pd.DataFrame, str]:
    """Return the rows of compute_neuro (train_flop, misalignment) and where they are from."""
    folder = Path(os.environ.get("VVSCALE_MIRROR") or Path(__file__).resolve().parents[2] / "shared" / "data")
    if not (folder / "gokce2025").is_dir():
        return synthetic_rows(), "synthetic rows of the same shape"
    from vvscale.scores import load_scores, model_table, select

    os.environ["VVSCALE_MIRROR"] = str(folder)
    frame = select(model_table(load_scores("gokce2025"), "neural").frame, **CORE)
    return frame.reset_index(drop=True), "published rows"


def synthetic_rows(n: int = N_ROWS, seed: int = 0) -> pd.DataFrame:
    """Return ``n`` models of 60 architectures around the published joint law, with the published spread."""
    rng = np.random.default_rng(seed)
    arch = rng.integers(0, 60, n)
    n_params = np.exp(rng.uniform(np.log(2e5), np.log(3e8), 60))[arch]
    samples_seen = np.exp(rng.uniform(np.log(1e5), np.log(1e9), n))
    noise = rng.normal(0, 0.075, 60)[arch] + rng.normal(0, 0.05, n)
    loss = 0.517 + 0.181 * (n_params / 1e5) ** -0.58 + 0.499 * (samples_seen / 1e4) ** -0.222
    return pd.DataFrame(
        {
            "model_id": [f"m{i:04d}" for i in range(n)],
            "arch": arch.astype(str),
            "n_params": n_params,
            "samples_seen": samples_seen,
            "train_flop": 6e2 * n_params * samples_seen,
            "misalignment": loss * np.exp(noise),
        }
    )


def tiled(frame: pd.DataFrame, times: int) -> pd.DataFrame:
    """Return ``times`` copies of the rows, each a little off in both coordinates, so that no two are one point."""
    rng = np.random.default_rng(1)
    copies = []
    for copy in range(times):
        jitter = np.exp(rng.normal(0, 0.01, (2, len(frame))))
        copies.append(
            frame.assign(
                model_id=frame["model_id"].astype(str) + f"_{copy}",
                train_flop=frame["train_flop"] * jitter[0],
                misalignment=frame["misalignment"] * jitter[1],
            )
        )
    return pd.concat(copies, ignore_index=True)


@pytest.fixture(scope="module")
def rows() -> tuple[pd.DataFrame, str]:
    return neural_rows()


@pytest.fixture(scope="module", autouse=True)
def report(rows: tuple[pd.DataFrame, str]) -> Iterator[None]:
    yield
    width = max((len(name) for name, _ in RATIOS), default=0)
    print(f"\n\nlaws, {rows[1]}")
    for name, value in RATIOS:
        print(f"  {name:<{width}}  {value}")


def rows_of(law: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that the study fits ``law`` to: few images a class do not tell what parameters are worth."""
    if law != "joint" or "samples_per_class" not in frame.columns:
        return frame
    few = frame["parent_family"].isin(["ConvNeXt", "ViT"]) & ~frame["samples_per_class"].isin([0, 300])
    return frame[~few].reset_index(drop=True)


def seconds(work: Callable[[], object], repeats: int = 1) -> float:
    """Return the shortest wall time of some runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def scipy_objective(law: str, frame: pd.DataFrame, drawn: np.ndarray) -> Callable[[np.ndarray], float]:
    """Return the study's objective on one resample."""
    x = [frame[column].to_numpy()[drawn] / UNITS[column] for column in COLUMNS[law]]
    log_y = np.log(frame["misalignment"].to_numpy()[drawn])

    def value(theta: np.ndarray) -> float:
        shift = 10.0 ** theta[3] if law == "shifted" else 0.0
        terms = np.exp(theta[0]) + np.exp(theta[1] - theta[2] * np.log(x[0] + shift))
        if law == "joint":
            terms = terms + np.exp(theta[3] - theta[4] * np.log(x[1]))
        r = np.abs(np.log(terms) - log_y)
        return float(np.where(r <= DELTA, r**2 / 2, DELTA * (r - DELTA / 2)).sum())

    return value


def scipy_seconds(law: str, frame: pd.DataFrame) -> tuple[float, float]:
    """Return seconds per resample of the scipy way, extrapolated from a few searches, and the best loss of those."""
    drawn = np.random.default_rng(42).integers(0, len(frame), len(frame))
    grid = GRIDS[law]
    starts = np.random.default_rng(0).permutation(len(grid))[:N_SEARCHES]
    function = scipy_objective(law, frame, drawn)
    ends = []
    with np.errstate(all="ignore"):
        begin = time.perf_counter()
        for start in starts:
            ends.append(minimize(function, np.array(grid[start], float), method="BFGS").fun)
        spent = time.perf_counter() - begin
    return spent / N_SEARCHES * len(grid), float(np.nanmin(ends))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("law", list(GRIDS))
def test_bootstrap_against_scipy(benchmark, rows: tuple[pd.DataFrame, str], law: str):
    frame = rows_of(law, rows[0])
    made = {}

    def ours() -> None:
        made["boot"] = bootstrap(fit_law(frame, law=law, x=COLUMNS[law]), N_RESAMPLES, by="row")

    benchmark.pedantic(ours, rounds=1, iterations=1)
    spent = benchmark.stats.stats.min / N_RESAMPLES
    theirs, loss = scipy_seconds(law, frame)
    # The first row resample is the one that scipy was run on.
    assert made["boot"].loss[0] <= loss * (1 + 1e-6)
    text = f"{theirs / spent:,.0f} times faster (ours {1e3 * spent:.2f} ms, scipy {theirs:.2f} s per resample, "
    RATIOS.append(
        (
            f"{law}, n = {len(frame)}, {N_RESAMPLES} resamples",
            f"{text}extrapolated from {N_SEARCHES} of {len(GRIDS[law])} starts)",
        )
    )


def test_growth_with_rows(benchmark, rows: tuple[pd.DataFrame, str]):
    frame, _ = rows
    sizes, spent = (1, 2, 4), []

    def ours(times: int) -> None:
        bootstrap(fit_law(tiled(frame, times)), 300, by="row")

    ours(1)
    for times in sizes:
        spent.append(seconds(lambda times=times: ours(times), repeats=2))
    benchmark.pedantic(ours, args=(sizes[-1],), rounds=1, iterations=1)
    slope = np.polyfit(np.log(sizes), np.log(spent), 1)[0]
    for times, one in zip(sizes, spent, strict=True):
        RATIOS.append((f"power, n = {times * len(frame)}, 300 resamples", f"{one:.2f} s, {one / spent[0]:.1f} times"))
    RATIOS.append(("exponent of time in rows", f"{slope:.2f} (1 is linear)"))
