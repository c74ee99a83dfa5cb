"""The tasks of a study: train, select layers, fine-tune, score, table, fit, forecast, figures, report.

Each reads parameters and the folders of its inputs, and writes files. What they call is imported when they run, so
that planning a study loads nothing heavy. The files each leaves are named here and nowhere else:

    train     a run folder of :func:`vvscale.train.train`: weights.safetensors, weights.json, epochs/, result.json
    layers    layers.json                      which layer stands for which region
    fine-tune weights.safetensors, weights.json
    score     rows.parquet                     rows of the score table
    table     scores.parquet                   all rows
    fit       fits.json, resamples-*.parquet, plan.json
    forecast  forecast.json, and a run folder per seed
    figures   NAME.pdf, .svg, .png, .csv, .json for each figure that the table allows
    report    report.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vvscale.core.files import write_json, write_with
from vvscale.core.jsonable import parse_json
from vvscale.errors import MissingDataError
from vvscale.study.graph.kinds import TaskContext
from vvscale.study.tasks.rows import (
    LAYERS,
    NOT_TO_BE_HAD,
    SCORES,
    fit_options,
    outcomes,
    read_notes,
    score_rows,
    train_network,
    untuned_named,
    whole_networks,
    why,
)

if TYPE_CHECKING:
    from vvscale.brain.benchmarks.neural import NeuralBenchmark
    from vvscale.figures.base.fits import Fits
    from vvscale.models import LoadedModel

ROWS = "rows.parquet"
REPORT = "report.html"

# Bands of figures need fewer resamples than the intervals of a law that is quoted.
_REPORT_RESAMPLES = 200


def run_train(context: TaskContext) -> dict[str, Any]:
    """Train one network.

    ``params``: ``run``, the fields of :class:`vvscale.train.RunSpec` but recipe and dataset; ``recipe``, all its
    settings; ``dataset``, name and digest.
    """
    result = train_network(context, context.params["run"], context.out)
    return {"model_id": result.model_id, "accuracy": result.accuracy, "samples_seen": result.samples_seen}


def run_layers(context: TaskContext) -> dict[str, Any]:
    """Select the best layer for each region on the reference run. ``params``: ``benchmarks`` and ``options``."""
    best = context.out / LAYERS
    score_rows(context, context.input("train"), layers="all", commit=best)
    return {"layers": parse_json(best.read_text())["layers"]}


def run_fine_tune(context: TaskContext) -> dict[str, Any]:
    """Fine-tune one network on recordings; the output is loaded as that of a training is.

    ``params``: ``name`` of the way; ``on``, id and digest of the recordings; ``layers``, a layer, ``"committed"`` or
    region -> layer, unless an input says; ``fixed_test``, as of scoring; ``options``, the fields of
    :class:`vvscale.train.neural.options.FineTuneOptions`; ``arch`` and ``dataset`` of the training.
    """
    from vvscale.brain.inputs.preprocess import Preprocessing
    from vvscale.brain.scoring.tuned import with_tuned_images
    from vvscale.models import load_model, save_weights
    from vvscale.train.neural.decoders import recordings
    from vvscale.train.neural.digests import trained_images
    from vvscale.train.neural.options import FineTuneOptions
    from vvscale.train.neural.task import Task
    from vvscale.train.neural.transfer import TUNED
    from vvscale.train.neural.tune import tune

    params = context.params
    trained = str(context.input("train"))
    model = load_model(trained)
    record = model.record
    options = FineTuneOptions.from_table(params["options"], f"[finetune.{params['name']}]")
    dataset = context.dataset(params["dataset"]["name"])
    task = Task.load(
        params["arch"], trained, dataset, out=context.out / "task", seed=options.seed, batch_size=options.task_batch,
        device=context.device,
    )  # fmt: skip
    source = recordings([one["id"] for one in params["on"]], fixed_test=params["fixed_test"])
    columns = tune(
        task.network, source=source, layers=_tuned_layers(context, source, model), out=context.out, task=task,
        options=options, preprocessing=Preprocessing.from_record("brainscore", record["preprocessing"]),
        stop=context.stop,
    )  # fmt: skip
    row = {**record["row"], **columns, "finetune": params["name"], "accuracy": task.accuracy(task.network)}
    row["model_id"] = f"{row['model_id']}{TUNED}{params['name']}-{options.fraction:g}"
    known = with_tuned_images(record, trained_images(source))
    save_weights(context.out / "weights.safetensors", task.network, {**known, "row": row})
    return {"model_id": row["model_id"], "accuracy": row["accuracy"], **columns}


def _tuned_layers(context: TaskContext, source: list[NeuralBenchmark], model: LoadedModel) -> Mapping[str, str]:
    from vvscale.brain.scoring.layers import committed_layers, read_commitment

    if "layers" in context.inputs:
        return read_commitment(context.input("layers") / LAYERS).layers
    layers = context.params["layers"]
    if layers == "committed":
        return committed_layers(model.module, model.record).layers
    return layers if isinstance(layers, Mapping) else {one.region: layers for one in source}


def run_score(context: TaskContext) -> dict[str, Any]:
    """Score one network; benchmarks that give no score are notes.

    ``params``: ``benchmarks``, id and digest of each; ``layers``, ``"committed"`` or region -> layer, unless an input
    says; ``epoch``, null for the final weights; ``options`` of the scorer; ``model``, for a network not trained here.
    """
    params = context.params
    if "tuned" in context.inputs:
        reference = context.input("tuned")
    else:
        reference = params.get("model") or _weights(context.input("train"), params["epoch"])
    layers = str(context.input("layers") / LAYERS) if "layers" in context.inputs else params["layers"]
    rows, lacking = score_rows(context, reference, layers=layers)
    rows = rows.assign(run_id=context.task_id)
    write_with(context.out / ROWS, lambda part: rows.to_parquet(part, index=False))
    return {"n_rows": len(rows), "mean_score": float(rows["score"].mean()), "notes": lacking}


def run_table(context: TaskContext) -> dict[str, Any]:
    """Collect all rows in the order of the plan. ``params``: ``store``, a folder to append to as well, or null."""
    import pandas as pd

    from vvscale.scores import ScoreStore, load_scores

    folders = context.input_list("scores")
    rows = untuned_named(pd.concat([pd.read_parquet(folder / ROWS) for folder in folders], ignore_index=True))
    write_with(context.out / SCORES, lambda part: rows.to_parquet(part, index=False))
    checked = load_scores(context.out / SCORES)
    if context.params["store"] is not None:
        ScoreStore(context.params["store"]).append(rows)
    notes = [note for folder in folders for note in read_notes(folder)]
    counts = {"n_rows": len(checked), "n_models": int(checked["model_id"].nunique())}
    return {**counts, "notes": notes}


def run_fit(context: TaskContext) -> dict[str, Any]:
    """Fit one law; a law that these rows do not give, or a plan that it does not give, is a note.

    ``params``: ``law``, the fields of :class:`vvscale.study.spec.schema.LawSpec`.
    """
    from vvscale.laws.workflow.fit_tables import run_fits
    from vvscale.laws.workflow.plan_budgets import run_plan
    from vvscale.laws.workflow.save import save_results

    law = context.params["law"]
    try:
        results = run_fits(outcomes(context.input("table") / SCORES, law), fit_options(law))
    except NOT_TO_BE_HAD as error:
        return {"fits": [], "notes": [f"not fitted: {why(error)}"]}
    save_results(context.out, results)
    notes = []
    if law["budgets"]:
        try:
            # A study goes on with a law in doubt; what is doubtful stands in the plan.
            answer = run_plan(str(context.out), budget=tuple(law["budgets"]), anyway=True)
            write_json(context.out / "plan.json", answer.to_dict())
        except NOT_TO_BE_HAD as error:
            notes.append(f"not planned: {why(error)}")
    fits = [{"name": r.entry["name"], "status": str(r.fit.status)} for r in results]
    return {"fits": fits, "notes": notes}


def run_figures(context: TaskContext) -> dict[str, Any]:
    """Draw figures of the table; those that it does not allow are notes. ``params``: ``names``."""
    from vvscale.figures.gallery import draw_all

    try:
        drawn = draw_all(context.params["names"], _fits(context), context.out, n_workers=1)
    except NOT_TO_BE_HAD as error:
        return {"drawn": [], "notes": [f"not drawn: {why(error)}"]}
    notes = [f"{one.name} not drawn: {one.lacking}" for one in drawn if one.lacking]
    return {"drawn": [one.name for one in drawn if not one.lacking], "notes": notes}


def run_report(context: TaskContext) -> dict[str, Any]:
    """Write the page that shows and explores the table. ``params``: ``title``."""
    from vvscale.figures.report.report import write_report
    from vvscale.study.tasks.findings import findings

    fits = {_law_of(folder): folder for folder in context.input_list("fits")}
    try:
        made = write_report(
            context.out / REPORT,
            _fits(context),
            title=context.params["title"],
            findings=findings(fits, context.input_list("forecasts"), context.input("table") / SCORES),
            n_workers=1,
        )
    except NOT_TO_BE_HAD as error:
        return {"notes": [f"no report: {why(error)}"]}
    return {"n_models": made.n_models, "figures": list(made.figures), "n_bytes": made.n_bytes}


def _law_of(folder: Path) -> str:
    """Return the name of the law that a fit's output is of; where some are lacking, their order does not tell."""
    return parse_json((folder.parent / "task.json").read_text(encoding="utf-8"))["params"]["law"]["name"]


def _fits(context: TaskContext) -> Fits:
    from vvscale.figures.base.fits import Fits
    from vvscale.figures.base.open_tables import open_source
    from vvscale.scores import load_scores

    rows = load_scores(context.input("table") / SCORES)
    # Figures show networks, each with its score on all recordings; laws and findings tell the rest.
    shown = whole_networks(rows)
    return Fits(
        open_source(str(context.input("table") / SCORES) if shown is rows else shown), n_resamples=_REPORT_RESAMPLES
    )


def _weights(folder: Path, epoch: int | None) -> Path:
    if epoch is None:
        return folder
    path = folder / "epochs" / f"ep{epoch}.safetensors"
    if not path.exists():
        kept = sorted(int(re.sub(r"\D", "", one.stem)) for one in (folder / "epochs").glob("ep*.safetensors"))
        raise MissingDataError(
            f"The weights after epoch {epoch} were not kept; kept are {kept or 'none'}. Choose 'epochs' of [score] "
            "among them, or raise 'checkpoints_per_decade' of the recipe."
        )
    return path
