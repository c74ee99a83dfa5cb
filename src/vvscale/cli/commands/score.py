"""``vvscale score``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from vvscale.cli.output import Output, brief, records

if TYPE_CHECKING:
    from vvscale.brain.scoring.run import Scored, ScoreRequest

Several = Parameter(consume_multiple=True, negative="", show_default=False)


def score(
    *models: str,
    on: Annotated[tuple[str, ...], Several] = ("simulated",),
    layers: Annotated[tuple[str, ...], Several] = ("committed",),
    preprocessing: Literal["brainscore", "gokce2025"] = "brainscore",
    image_size: int | None = None,
    degrees: float = 8.0,
    projection: str = "none",
    projection_images: Path | None = None,
    formula: Literal["r^2/c", "(r/c)^2"] | None = None,
    memory: str = "4GB",
    device: str = "cpu",
    batch_size: int = 64,
    resamples: int = 1000,
    seed: int = 0,
    scratch: Path | None = None,
    max_passes: int = 1,
    workers: int = 1,
    threads: int | None = None,
    cache: Literal["scores", "products", "none"] = "scores",
    name: str | None = None,
    expect: Path | None = None,
    tolerance: float = 1e-6,
    out: Path = Path("scores"),
    commit: Path | None = None,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    output: Output | None = None,
) -> None:
    """Score models on brain and behavioural benchmarks, all layers from one forward pass per image.

    The same command again goes on where it was stopped.

    Parameters
    ----------
    models
        gokce2025:MODEL_ID[@EPOCH], a weights file or run folder, timm:NAME, torchvision:NAME, untrained:NAME[@SEED],
        or own ones as file.py:NAME.
    on
        Benchmarks as in 'vvscale ls benchmarks', regions (V1 V2 V4 IT behavior: the public five), 'simulated'
        (default) or 'simulated-digits', which need no download, or own ones as file.py.
    layers
        committed (default): the published layer of each region; a .toml or .json file; all; or names and patterns
        such as 'layer4.*', each on every benchmark.
    preprocessing
        brainscore (resize with antialias) or gokce2025 (256 without, then the centre).
    image_size
        Input size in pixels; the model's own by default.
    degrees
        Visual angle of the model's field of view.
    projection
        none, sparse-1000, gaussian-1000 or pca-1000: fewer features per layer.
    projection_images
        Folder of images that principal components are fitted on.
    formula
        Of neural scores: r^2/c (the reference since January 2026) or (r/c)^2 (the published tables).
    memory
        What the process may take.
    device
        cpu or cuda.
    batch_size
        Images per forward pass.
    resamples
        Bootstrap draws for the intervals.
    seed
        Of the bootstrap.
    scratch
        Folder for activations that do not fit into memory.
    max_passes
        How often an image may go through the model where disk and memory are too small for once.
    workers
        Threads that decode images.
    threads
        Threads of the matrix products; as the environment says by default.
    cache
        scores: keep finished scores; products: inner products too; none.
    name
        model_id of the rows.
    expect
        Earlier rows (file or store) that the new ones must equal; exit code 4 if they drifted.
    tolerance
        Largest difference that is no drift.
    out
        Folder of the score store that rows are appended to.
    commit
        File (.toml or .json) for the best layer of each region.
    dry_run
        Say what it would take: images, forward passes, layers, memory, disk, time.
    """
    from vvscale.brain.scoring.run import ScoreRequest, plan_scores, run_scores
    from vvscale.cli.progress import progress

    output = output or Output()
    request = ScoreRequest(
        models=models, on=on, layers=layers, preprocessing=preprocessing, image_size=image_size,
        visual_degrees=degrees, projection=projection, projection_images=projection_images, formula=formula,
        memory=memory, device=device, batch_size=batch_size, n_resamples=resamples, seed=seed, scratch=scratch,
        max_passes=max_passes, n_workers=workers, n_threads=threads, cache=cache, name=name, expect=expect,
        tolerance=tolerance, out=out, commit=commit,
    )  # fmt: skip
    if dry_run:
        _show_plan(list(plan_scores(request)), output)
        return
    documents = []

    def watch(what: str, total: int) -> Any:
        return progress(what, total, quiet=output.quiet or output.json)

    try:
        for scored in run_scores(request, watch=watch):
            documents.append(_show(scored, request, output))
    finally:
        # What was stored is said even where a later model fails.
        output.document({"command": "score", "models": documents})


def _show(scored: Scored, request: ScoreRequest, output: Output) -> dict[str, Any]:
    scores, table = scored.scores, scored.scores.table()
    shown = table if len(table) <= 40 else _best(table, scored)
    columns = ["region", "benchmark_id", "layer", "score", "score_low", "score_high", "raw_score", "ceiling"]
    output.table(shown[columns].map(brief), title=f"{scored.model_id}  ({table['score_formula'].iloc[0]})")
    if len(shown) < len(table):
        output.say(f"Best layer per region of {table['layer'].nunique()} layers; --json lists all.")
    for failure in scores.failures:
        output.note(f"No score: {failure.reason}")
    if table["is_simulated"].any():
        output.note("Simulated benchmarks: nothing here was recorded from a brain.")
    usage = scores.usage
    output.say(
        f"{usage.n_forward} images through the model, {usage.n_cached} scores from the cache, "
        f"{usage.seconds['total']:.1f} s, peak memory {usage.peak_memory / 1e9:.2f} GB"
    )
    if request.expect is not None:
        output.say(f"{scored.n_compared} rows equal those of {request.expect} within {request.tolerance:g}")
    output.say(f"Stored {len(scored.rows)} rows in {scored.path}")
    if request.commit is not None:
        output.say(f"Wrote the best layers to {request.commit}")
    following = (
        f"--layers {request.commit}" if request.commit else f"vvscale show {scored.model_id} --table {request.out}"
    )
    output.say(f"Next: {f'vvscale score {request.models[0]} {following}' if request.commit else following}")
    return {
        "model_id": scored.model_id,
        "store": str(request.out),
        "part": str(scored.path),
        "rows": records(scored.rows),
        "layers": dict(scored.commitment.layers),
        **{name: value for name, value in scores.to_dict().items() if name != "scores"},
    }


def _best(table: Any, scored: Scored) -> Any:
    is_best = [scored.commitment.layers[row.region] == row.layer for row in table.itertuples()]
    return table[is_best]


def _show_plan(rows: list[dict[str, Any]], output: Output) -> None:
    import pandas as pd

    table = pd.DataFrame(rows)
    for column, unit, size in (("memory", "GB", 1e9), ("scratch", "GB", 1e9), ("seconds", "s", 1)):
        if column in table:
            table[column] = [f"{value / size:.1f} {unit}" for value in table[column].fillna(0)]
    output.table(table.rename(columns={"seconds": "about"}), title="would score")
    output.document({"command": "score", "dry_run": True, "plan": rows})
    output.say("Next: the same command without --dry-run")
