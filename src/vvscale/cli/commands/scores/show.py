"""``vvscale show``: everything known about one model, or the numbers of a recipe."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from vvscale.cli.commands.scores.ls import PUBLISHED, table_words
from vvscale.cli.options import verb
from vvscale.cli.output import Output, brief
from vvscale.core.jsonable import json_rows, jsonable
from vvscale.errors import shell_words
from vvscale.scores.options import CsvOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd


_NUMBERS = ("raw_score", "ceiling", "score")


@verb
def show(
    model_id: str,
    /,
    *,
    table: Annotated[str, Parameter(name=("--table", "--scores"))] = PUBLISHED,
    csv_options: CsvOptions,
    output: Output,
) -> None:
    """Show one model, where it comes from and every score it has; or every number of a recipe.

    Parameters
    ----------
    model_id
        As listed by 'vvscale ls models', or a recipe of 'vvscale ls recipes'.
    table
        A published set, a .csv or .parquet file, or a store folder.
    """
    from vvscale.errors import unknown_name
    from vvscale.scores import SETS, load_scores, published_notes

    if _is_recipe(model_id):
        _show_recipe(model_id, output)
        return
    scores = load_scores(table)
    rows = scores[scores["model_id"] == model_id]
    if rows.empty:
        raise unknown_name("model", model_id, *_near(model_id, scores, table))
    facts = _facts(rows)
    notes = [note for note in published_notes(table) if model_id in note.model_ids] if table in SETS else []
    checkpoints = _checkpoints(model_id)

    output.say(f"{model_id}  ({table})")
    for fact in facts:
        unit = "" if fact["unit"] == "1" else fact["unit"]
        output.say(f"  {fact['column']:18}{brief(fact['value'])} {unit}".rstrip())
    shown = rows[[name for name in ("region", "benchmark_id", "layer", "epoch", "score") if name in rows.columns]]
    output.table(shown.assign(score=shown["score"].astype(object).map(brief)), title="scores")
    for line in _formulas(rows):
        output.say(line)
    for note in notes:
        output.say(f"Note ({note.treatment} {', '.join(note.columns)}): {note.reason}")
    output.say(f"Checkpoints: {checkpoints['text']}")
    output.say("Next: vvscale ls experiments")
    output.document(
        {
            "command": "show",
            "model_id": model_id,
            "table": table,
            "facts": facts,
            "scores": json_rows(shown),
            "notes": [{"name": one.name, "treatment": one.treatment, "reason": one.reason} for one in notes],
            "checkpoints": checkpoints,
        }
    )


def _is_recipe(name: str) -> bool:
    """Whether a name is a recipe's; no model is called so, and a table need not be read to know it."""
    from vvscale.train import recipe_names

    return name in recipe_names()


def _show_recipe(name: str, output: Output) -> None:
    """Show a recipe by the keys that ``train --set`` and a study's axes take."""
    from vvscale.train.recipe import load_recipe

    recipe = load_recipe(name).to_dict()
    output.say(name)
    # A view has all keys of the augmentation; what it does otherwise is what there is to know of it.
    views = [
        {key: value for key, value in view.items() if value != recipe["augmentation"].get(key)}
        for view in recipe["views"]
    ]
    for key, value in _dotted({**recipe, "views": views}):
        output.say(f"  {key} = {json.dumps(value)}")
    output.say(
        f"Next: vvscale train resnet18 --recipe {shell_words(name)} --set optimizer.lr=0.05 --dry-run; in a study, an "
        'axis "recipe.optimizer.lr" = [0.05, 0.1]'
    )
    output.document({"command": "show", "recipe": name, "values": recipe})


def _dotted(table: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _near(model_id: str, scores: pd.DataFrame, table: str) -> tuple[list[str], str]:
    """Return the names to suggest from, and what to do next."""
    from vvscale.errors import did_you_mean

    ids = scores["model_id"].unique().tolist()
    # People type architectures where ids are much longer; suggest one if no id is near.
    archs = scores["arch"].unique().tolist() if "arch" in scores.columns else []
    near = did_you_mean(model_id, archs)
    # Rows of one's own need not be of all regions, so that models cannot always be averaged over them.
    listing = shell_words("ls", "models" if table == PUBLISHED else "scores", *table_words(table))
    if did_you_mean(model_id, ids) or not near:
        return ids, f"'vvscale {listing}' lists {len(ids)}."
    arch = near.split("'")[1]
    n_models = scores[scores["arch"] == arch]["model_id"].nunique()
    return archs, f"'vvscale {listing} {shell_words('--where', 'arch=' + arch)}' lists its {n_models} models."


def _facts(rows: pd.DataFrame) -> list[dict[str, Any]]:
    from vvscale.scores import COLUMNS

    model_columns = [one for one in COLUMNS.values() if one.level == "model" and one.name in rows.columns]
    facts = [
        {"column": one.name, "value": jsonable(rows[one.name].iloc[0]), "unit": one.unit}
        for one in model_columns
        if one.name != "model_id"
    ]
    return [fact for fact in facts if fact["value"] is not None]


def _formulas(rows: pd.DataFrame) -> list[str]:
    """Return for each score how it follows from its raw score and ceiling, where those are known."""
    from vvscale.brain.ceilings.score import formula_text

    lines = []
    for row in rows.to_dict(orient="records"):
        formula = row.get("score_formula")
        if isinstance(formula, str) and all(jsonable(row.get(name)) is not None for name in _NUMBERS):
            numbers = [float(row[name]) for name in _NUMBERS]
            low, high = (jsonable(row.get(name)) for name in ("score_low", "score_high"))
            text = formula_text(formula, *numbers, low=low, high=high)
            layer = row.get("layer")
            lines.append(f"  {row['region']:9} {layer if isinstance(layer, str) else ''}: {text}")
    return lines


def _checkpoints(model_id: str) -> dict[str, Any]:
    from vvscale.scores import load_checkpoints
    from vvscale.scores.published import published_file

    # Showing a model should not start a download.
    if published_file("checkpoint-list").state() != "cached":
        return {"listed": None, "text": "list not downloaded; vvscale fetch checkpoint-list"}
    listed = load_checkpoints()
    of_model = listed[listed["model_id"] == model_id].sort_values("epoch")
    if of_model.empty:
        return {"listed": 0, "text": "none in the published list"}
    latest = of_model[of_model["is_latest"]]["checkpoint_url"]
    marked = latest.iloc[0] if len(latest) else "none marked as latest"
    epochs = of_model["epoch"].tolist()
    text = f"{len(epochs)} epochs, {epochs[0]} to {epochs[-1]}; latest: {marked}"
    return {"listed": len(epochs), "epochs": epochs, "latest": marked, "text": text}
