"""Does scaling make vision models more like the primate brain?

Everything meets at one table of scores, one row per model and benchmark. Training and scoring write rows; laws, plans,
figures and reports read them. The names below are all that a user needs, in the order in which they are used::

    import vvscale as vv

    scores = vv.load_scores("gokce2025")               # or your own table, file or folder
    fit = vv.fit_law(scores, regions="neural", preset="controlled")
    vv.bootstrap(fit, 200).summary()

Importing this package loads no submodule and does no I/O; a name is imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vvscale.core.imports import lazy

__version__ = "0.1.0"

if TYPE_CHECKING:
    from vvscale.brain.benchmarks.check import check_benchmark as check_benchmark
    from vvscale.brain.catalogue import list_benchmarks as list_benchmarks
    from vvscale.brain.catalogue import load_benchmark as load_benchmark
    from vvscale.brain.scoring.run import score_model as score_model
    from vvscale.data.prepare.prepare import prepare_images as prepare_images
    from vvscale.figures.of_scores import draw_figure as draw_figure
    from vvscale.figures.of_scores import write_report as write_report
    from vvscale.laws.comparison.compare import compare_laws as compare_laws
    from vvscale.laws.comparison.sensitivity import sensitivity as sensitivity
    from vvscale.laws.fit import fit_law as fit_law
    from vvscale.laws.planning.budget import plan_budget as plan_budget
    from vvscale.laws.uncertainty.bootstrap import bootstrap as bootstrap
    from vvscale.laws.uncertainty.conformal import predict_interval as predict_interval
    from vvscale.laws.workflow.reproduce_laws import reproduce as reproduce
    from vvscale.models.architectures.build import build_model as build_model
    from vvscale.models.architectures.names import list_models as list_models
    from vvscale.models.architectures.register import register_architecture as register_architecture
    from vvscale.models.cost import model_cost as model_cost
    from vvscale.models.load import load_model as load_model
    from vvscale.scores.load import load_scores as load_scores
    from vvscale.scores.store import ScoreStore as ScoreStore
    from vvscale.scores.table import model_table as model_table
    from vvscale.scores.where import select as select
    from vvscale.study.run import run_study as run_study
    from vvscale.train.run import train_model as train_model

__getattr__, __dir__ = lazy(__name__)
