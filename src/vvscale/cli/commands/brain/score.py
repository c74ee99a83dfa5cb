"""``vvscale score``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vvscale.brain.scoring.options import ScoreOptions
from vvscale.cli.options import verb, with_flags
from vvscale.cli.output import Output, brief
from vvscale.core.jsonable import json_rows
from vvscale.errors import shell_words

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

    from vvscale.brain.scoring.run import Scored

# Reasons of layers without a score that are said one by one.
MOST_FAILURES = 3


@verb
def score(*models: str, options: ScoreOptions, dry_run: bool = False, output: Output) -> None:
    """Score models on brain and behavioural benchmarks, all layers from one forward pass per image.

    Rerun to resume: finished scores come from the cache.

    Parameters
    ----------
    models
        gokce2025:MODEL_ID[@EPOCH], a weights file (also .pt or .pth of other programs) or run folder, timm:NAME,
        torchvision:NAME, untrained:NAME[@SEED], or own ones as file.py:NAME.
    dry_run
        Say what it would take: images, forward passes, layers, memory, disk, time.
    """
    from vvscale.brain.scoring.run import plan_scores, run_scores
    from vvscale.cli.progress import progress

    if dry_run:
        _show_plan(list(plan_scores(models, options)), output)
        return
    documents = []

    def watch(what: str, total: int) -> Any:
        return progress(what, total, quiet=output.quiet or output.json)

    try:
        for scored in run_scores(models, options, watch=watch):
            documents.append(_show(scored, models, options, output))
    finally:
        # What was stored is said even where a later model fails.
        output.document({"command": "score", "models": documents})


def _show(scored: Scored, models: tuple[str, ...], options: ScoreOptions, output: Output) -> dict[str, Any]:
    from vvscale.scores.table import MAPPING_AXES

    scores, table = scored.scores, scored.scores.table()
    axes = [name for name in MAPPING_AXES if name in table]
    # Of a mapping curve every point is shown.
    best = table if axes else _best(table, scored)
    output.table(_summary(best, axes), title=f"{scored.model_id}  ({table['score_formula'].iloc[0]})")
    output.say(_input(scores.provenance))
    n_layers = table["layer"].nunique()
    if options.layers_table is not None:
        _write_layers(options.layers_table, table.assign(model_id=scored.model_id))
        output.say(f"Wrote the scores of {n_layers} layers to {options.layers_table}")
    elif len(best) < len(table):
        output.say(f"The best of {n_layers} layers per region; --layers-table layers.csv keeps all of them.")
    for failure in scores.failures[:MOST_FAILURES]:
        output.note(with_flags(f"No score: {failure.reason}", __name__))
    if len(scores.failures) > MOST_FAILURES:
        n_more = len(scores.failures) - MOST_FAILURES
        output.note(f"No score {n_more} more {'time' if n_more == 1 else 'times'}, for such reasons.")
    if table["is_simulated"].any():
        output.note("Simulated benchmarks: nothing here was recorded from a brain.")
    usage = scores.usage
    output.say(
        f"{usage.n_forward} images through the model, {usage.n_cached} scores from the cache, "
        f"{usage.seconds['total']:.1f} s, peak memory {usage.peak_memory / 1e9:.2f} GB"
    )
    if options.expect is not None:
        output.say(f"{scored.n_compared} rows equal those of {options.expect} within {options.tolerance:g}")
    output.say(f"Stored {len(scored.rows)} rows in {scored.path}")
    if options.commit is not None:
        output.say(f"Wrote the best layers to {options.commit}")
    if not models:
        following = f"vvscale show {shell_words(scored.model_id, '--table', options.out)}"
    elif options.commit is not None:
        following = f"vvscale score {shell_words(models[0], '--layers', options.commit)}"
    elif n_layers > 1:
        following = f"vvscale figure layers --scores {shell_words(options.out)}"
    else:
        following = f"vvscale report report.html --scores {shell_words(options.out)}"
    if axes:
        asked = shell_words(options.out, "--x", axes[0], "--where", "layer=LAYER", "--compare", "--hold-out")
        output.say(f"Next: vvscale fit {asked}")
    output.say(f"Next: {following}")
    return {
        "model_id": scored.model_id,
        "store": str(options.out),
        "part": str(scored.path),
        "rows": json_rows(scored.rows),
        "layers": dict(scored.commitment.layers),
        **{name: value for name, value in scores.to_dict().items() if name != "scores"},
    }


def _summary(best: pd.DataFrame, axes: list[str]) -> pd.DataFrame:
    """One row per benchmark: its layer, the score with its interval, and what the score is made of."""
    low, high = (best[name].map(brief) for name in ("score_low", "score_high"))
    known = best["score_low"].notna()
    return best.assign(
        interval=(low.astype(str) + " .. " + high.astype(str)).where(known, None),
        **{name: best[name].map(brief) for name in ("score", "raw_score", "ceiling")},
    )[["region", "benchmark_id", "layer", *axes, "score", "interval", "raw_score", "ceiling"]]


def _input(provenance: Mapping[str, Any]) -> str:
    """Say what the network was shown."""
    rule = provenance.get("preprocessing", "")
    if rule == "features":
        return "Features were given; no image was shown."
    size = provenance.get("image_size")
    return f"Images of {size} x {size} pixels, preprocessing '{rule}'." if size else f"Preprocessing '{rule}'."


def _write_layers(path: Path, table: pd.DataFrame) -> None:
    from vvscale.core.files import write_bytes

    write_bytes(path, table.to_csv(index=False, lineterminator="\n").encode())


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
