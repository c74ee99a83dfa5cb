"""The public names: each has an example, and what they return shows itself."""

from __future__ import annotations

import doctest

import pytest

import vvscale
from vvscale.brain.benchmarks.check import ContractReport
from vvscale.brain.scoring.results import ModelScores
from vvscale.data.prepare.result import Prepared
from vvscale.figures.report.report import Report
from vvscale.laws.comparison.compare import Comparison
from vvscale.laws.comparison.sensitivity import Sensitivity
from vvscale.laws.fit import Fit
from vvscale.laws.planning.plan import Plan
from vvscale.laws.uncertainty.bootstrap import Bootstrap
from vvscale.laws.uncertainty.conformal import PredictionInterval
from vvscale.laws.workflow.reproduce_laws import Reproduction
from vvscale.models.cost import Cost
from vvscale.scores.table import ModelTable
from vvscale.study.run import StudyResult
from vvscale.study.status import StudyStatus
from vvscale.train.spec import RunResult

# These need the published tables, workers, or a minute; tests of their own run them.
NOT_RUN = {"reproduce", "run_study", "write_report"}
RESULTS = (
    Bootstrap, Comparison, ContractReport, Cost, Fit, ModelScores, ModelTable, Plan, PredictionInterval, Prepared,
    Report, Reproduction, RunResult, Sensitivity, StudyResult, StudyStatus,
)  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(vvscale.__all__) - {"__version__"}))
def test_a_public_name_has_an_example_that_runs(name: str):
    value = getattr(vvscale, name)
    examples = doctest.DocTestParser().get_examples(value.__doc__ or "")
    assert examples
    assert name in NOT_RUN or any(doctest.SKIP not in one.options for one in examples)


@pytest.mark.parametrize("kind", RESULTS, ids=lambda kind: kind.__name__)
def test_a_result_is_a_table_plain_values_and_html(kind: type):
    assert all(callable(getattr(kind, name, None)) for name in ("table", "to_dict", "_repr_html_"))


@pytest.mark.parametrize("kind", [Fit, Bootstrap])
def test_a_law_can_be_drawn(kind: type):
    assert callable(kind.plot)
