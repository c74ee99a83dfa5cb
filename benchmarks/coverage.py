"""Do intervals cover? Simulated sets on the published designs, and docs/coverage.md from what they gave.

Each set keeps the rows of a published fit (which network, how much data) and draws their outcomes anew from a known
law with random effects of family, architecture and cell (one network on one data set), and of the seed. The law is
fitted again, its intervals are made as users get them, and it is counted how often they hold the truth.

    python benchmarks/coverage.py run --sets 200 --out out/coverage [--designs weak clear ...]
    python benchmarks/coverage.py write --out out/coverage docs/coverage.md
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vvscale.core.files import write_json
from vvscale.laws import bootstrap, fit_law
from vvscale.laws.fit import DELTA, fit_rows
from vvscale.laws.gokce2025.experiments import EXPERIMENTS, ModelTables
from vvscale.laws.uncertainty.jackknife import jackknife
from vvscale.scores import load_scores

# Percentiles at 2.5 and 97.5 % need no more, and the error of 200 sets is larger than theirs.
RESAMPLES = 199
# How far beyond the largest compute a curve is judged.
BEYOND = 1000.0
# Degrees of freedom were chosen on other laws, spreads and experiments than these, and this seed had not been drawn.
SEED = 11
MIDDLE, TOP, FAR = "curve at the middle of the data", "curve at the largest X", f"curve {BEYOND:g} times beyond"
CELL = ["arch", "dataset", "samples_per_class", "n_epochs"]


@dataclass(frozen=True)
class Design:
    """One simulated situation.

    Attributes
    ----------
    words
        What it is, for the table.
    experiment
        Published fit whose rows are kept.
    truth
        The law's parameters; empty for the fitted ones.
    spread
        Standard deviations of log outcome: family, architecture, cell, seed.
    by
        What is left out in turn, and resampled where there are ten or more.
    delta
        Huber threshold of the fits; None is least squares.
    """

    words: str
    experiment: str
    truth: dict[str, float]
    spread: tuple[float, float, float, float] = (0.0, 0.095, 0.075, 0.017)
    by: str = "arch"
    delta: float | None = DELTA


DESIGNS = {
    "weak": Design("S1 weak plateau", "compute_neuro", {"E": 0.523, "A": 0.549, "alpha": 0.157}),
    "clear": Design("S2 clear plateau", "compute_neuro", {"E": 0.523, "A": 0.549, "alpha": 0.4}),
    "none": Design("S3 no plateau (E = 0)", "compute_behavior", {"E": 0.0, "A": 1.403, "alpha": 0.0622}),
    "joint": Design("S4 joint law", "compute_chinchilla", {}, (0.0, 0.05, 0.04, 0.017)),
    "families": Design(
        "S5 clear plateau, family effects nobody modelled", "compute_neuro",
        {"E": 0.523, "A": 0.549, "alpha": 0.4}, (0.1, 0.095, 0.075, 0.017),
    ),
    "five": Design("S6 five architectures", "simclr_neuro", {}, (0.0, 0.03, 0.03, 0.017)),
    "six": Design("S7 joint law by six families", "compute_chinchilla", {}, (0.05, 0.05, 0.04, 0.017), "family"),
    "squares": Design("S8 as S6, least squares", "simclr_neuro", {}, (0.0, 0.03, 0.03, 0.017), delta=None),
}  # fmt: skip


def simulate(
    design: Design, tables: ModelTables, n_sets: int, n_resampled: int, n_done: int
) -> Iterator[list[dict[str, Any]]]:
    """Yield, set by set from ``n_done`` on, whether the intervals of each quantity and method hold the truth.

    The first ``n_resampled`` sets are resampled too, which takes as long as all else.
    """
    experiment = EXPERIMENTS[design.experiment]
    rows, _ = experiment.rows(tables)
    original = fit_rows(rows, law=experiment.law, x=experiment.x, drop_incomplete=True)
    frame, problem = original.problem.frame, original.problem
    truth = design.truth or original.params
    effects = [pd.factorize(frame["parent_family"])[0], pd.factorize(frame["arch"])[0],
               pd.factorize(frame[CELL].astype(str).agg("/".join, axis=1))[0], np.arange(len(frame))]  # fmt: skip
    curve = _curve(truth, problem.x)
    top = [float(value.max()) for value in problem.x]
    far = [value * BEYOND ** (1.0 / len(top)) for value in top]
    middle = [float(np.exp(np.log(value).mean())) for value in problem.x]
    raw = [np.array(each) * unit for *each, unit in zip(middle, top, far, problem.units, strict=True)]
    at = {name: float(_curve(truth, where)) for name, where in ((MIDDLE, middle), (TOP, top), (FAR, far))}
    known = {**truth, "S_inf": 1.0 - truth["E"], **at}
    if experiment.law == "joint":
        known["n_exponent"] = truth["beta"] / (truth["alpha"] + truth["beta"])
    rng = np.random.default_rng(SEED)
    for number in range(n_sets):
        counted: list[dict[str, Any]] = []
        log = sum(rng.normal(0, sd, code.max() + 1)[code] for sd, code in zip(design.spread, effects, strict=True))
        if number < n_done:
            continue
        fit = fit_law(
            frame.assign(misalignment=curve * np.exp(log)), experiment.law, x=experiment.x, delta=design.delta
        )
        made: dict[str, Any] = {"t": jackknife(fit, by=design.by)}
        if number < n_resampled and frame[{"family": "parent_family"}.get(design.by, design.by)].nunique() >= 10:
            made["bootstrap"] = bootstrap(fit, RESAMPLES, seed=number)
        for method, each in made.items():
            ends = {name: each.interval(name) for name in known if name in fit.params or name in fit.derived()}
            ends |= dict(zip(at, zip(*each.curve(*raw), strict=True), strict=True))
            counted += [
                {"set": number, "method": method, "quantity": name, "low": float(a), "high": float(b),
                 "covers": bool(a - 1e-9 <= known[name] <= b + 1e-9)}
                for name, (a, b) in ends.items()
            ]  # fmt: skip
        yield counted


def _curve(params: dict[str, float], x: Any) -> Any:
    value = params["E"] + params["A"] * np.asarray(x[0]) ** -params["alpha"]
    return value + params["B"] * np.asarray(x[1]) ** -params["beta"] if len(x) == 2 else value


def run(names: list[str], n_sets: int, n_resampled: int, out: Path) -> None:
    """Simulate designs, one JSON file each; sets that a file already holds are not simulated again."""
    out.mkdir(parents=True, exist_ok=True)
    tables = ModelTables(load_scores("gokce2025"))
    for name in names:
        file = out / f"{name}.json"
        counted: list[dict[str, Any]] = json.loads(file.read_text()) if file.exists() else []
        first = 1 + max((one["set"] for one in counted), default=-1)
        for done, each in enumerate(simulate(DESIGNS[name], tables, n_sets, n_resampled, first), start=first + 1):
            counted += each
            if done % 10 == 0 or done == n_sets:
                write_json(file, counted)
        print(name, n_sets, "sets", flush=True)


ORDER = ("E", "alpha", "beta", "n_exponent", "A", "B", MIDDLE, TOP, FAR)
HEAD = """# Coverage of intervals

How often 95 % intervals hold the truth, in sets simulated on the published designs (`make coverage` makes this page;
`benchmarks/coverage.py` says how the sets are drawn). S_inf = 1 - E is covered where E is. In brackets the median
width.

- **t**: Student's t with the error from leaving each unit out in turn (CRV3) and the degrees of freedom of the units
  that the quantity rests on; what verdicts rest on, and what is printed for fewer than ten units.
- **bootstrap**: percentiles over resampled units, extended to the estimate.

The standard error of a coverage of .95 is .015 in 200 sets, .024 in 80 and .034 in 40. The degrees of freedom were
chosen on other laws, spreads, experiments and seeds than these (eight designs of 90 to 200 sets). An earlier version,
with one number of degrees for all quantities, had been tried on S1 to S7 with another seed.
"""
# Measured by mapping_coverage.py, which prints these rows.
MAPPING = """
## Mapping laws

`python benchmarks/mapping_coverage.py --sets 400` (161 CPU-s on two shared cores): E + A n^-alpha with E = .25, seven
nested sizes, three subsets, six networks, and noise of three kinds. Intervals by row are percentiles of 200 resamples,
those by fewer than ten units are t. The standard error of a coverage of .95 is .011 in 400 sets.

| what varies | intervals by | E is held | median width |
|---|---|---|---|
| every score by itself | row | .958 | .024 |
| every score by itself | model_id | .938 | .030 |
| networks, at all sizes alike | model_id | .975 | .080 |
| which images a subset has, for all networks alike | model_id | **.590** | .041 |
| which images a subset has, for all networks alike | mapping_seed | .985 | .191 |

Networks that are mapped on the same subsets share the luck of them, which intervals by network cannot see. Where
subsets are few and small, fit with `--by model_id mapping_seed` and believe the wider interval; more seeds make it
narrower.
"""
TAIL = """
## Where the assumptions do not hold

- **Family effects that no law models** (S5): architectures of one family share an offset, so that there are fewer
  independent units than architectures, and intervals of E and of curves are too narrow. Leave out families, or give
  families their own amplitude (`offsets`).
- **Five or six units** (S6, S7): intervals of parameters hold the truth often enough, at the price of their width. With
  five units those of the curve do so in .93: .928 at the middle and .934 at the largest X in 1000 sets (`--designs five
  --sets 1000`, standard error .008). What falls short is not the degrees of freedom (the exact ones of leaving each
  unit out are no fewer) but the absolute loss: its fit to five offsets is near their median, which leaving one out
  describes badly. Least squares (`delta=None`) on the same design holds the curve in .953 and .955 and E in .957 (S8,
  `--designs squares --sets 1000`), in intervals that are a fifth narrower; on another design of five units it held the
  curve's middle in .927 where the absolute loss did in .912 (400 sets), so that it helps and is no cure.
- **Percentiles** fall short of t where few units lie at the end of the curve: read the t interval beside them.
- **Ranges**: the lowest and highest of five or six fits without each unit cover about half of what they should. They
  are printed nowhere.
- **A plateau at 0**: E is held at 0 or above. Intervals end there, and a plateau is not called identified where they
  do.
"""


def write(out: Path, page: Path) -> None:
    """Write the page from the files."""
    found = {name: pd.DataFrame(json.loads((out / f"{name}.json").read_text())) for name in DESIGNS
             if (out / f"{name}.json").exists()}  # fmt: skip
    parts = [HEAD]
    for method, title in (("t", "Student's t, each unit left out"), ("bootstrap", "Percentiles of resampled units")):
        shown = {name: frame[frame["method"] == method] for name, frame in found.items()}
        shown = {name: frame for name, frame in shown.items() if len(frame)}
        heads = [_head(DESIGNS[name], frame) for name, frame in shown.items()]
        lines = [f"| | {' | '.join(heads)} |", "|---" * (len(shown) + 1) + "|"]
        for quantity in ORDER:
            cells = [_cell(frame[frame["quantity"] == quantity]) for frame in shown.values()]
            lines.append(f"| {quantity} | {' | '.join(cells)} |")
        parts.append(f"\n## {title}\n\n" + "\n".join(lines) + "\n")
    page.write_text("".join(parts) + MAPPING + TAIL)


def _head(design: Design, rows: pd.DataFrame) -> str:
    return f"{design.words} ({design.experiment}, by {design.by}, {rows['set'].nunique()} sets)"


def _cell(rows: pd.DataFrame) -> str:
    if rows.empty:
        return ""
    return f"{rows['covers'].mean():.3f} ({(rows['high'] - rows['low']).median():.2g})"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["run", "write"])
    parser.add_argument("page", nargs="?", type=Path, default=Path("docs/coverage.md"))
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--resampled", type=int, default=200, help="sets that are resampled too")
    parser.add_argument("--out", type=Path, default=Path("out/coverage"))
    parser.add_argument("--designs", nargs="*", default=list(DESIGNS))
    asked = parser.parse_args()
    if asked.what == "run":
        run(asked.designs, asked.sets, asked.resampled, asked.out)
    else:
        write(asked.out, asked.page)
