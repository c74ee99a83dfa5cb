"""``vvscale ls``: what is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from vvscale.cli.options import verb
from vvscale.cli.output import Output, brief
from vvscale.core.jsonable import json_rows
from vvscale.errors import shell_words
from vvscale.scores.options import CsvOptions

if TYPE_CHECKING:
    import pandas as pd

    Listing = tuple[pd.DataFrame, str]

What = Literal[
    "sets", "scores", "models", "experiments", "laws", "figures", "regions", "presets", "columns", "architectures",
    "recipes", "benchmarks", "studies",
]  # fmt: skip

PUBLISHED = "gokce2025"
"""The table that verbs take unless told otherwise."""

# Enough for a screen; --limit 0 and --json show everything.
SCREEN = 40


@verb
def ls(
    what: What = "sets",
    pattern: str | None = None,
    /,
    *,
    table: str = PUBLISHED,
    where: Annotated[list[str] | None, Parameter(negative="")] = None,
    limit: int | None = None,
    csv_options: CsvOptions,
    output: Output,
) -> None:
    """List what is known: score sets, models, experiments, laws, architectures, recipes, benchmarks, ...

    Parameters
    ----------
    what
        sets: the published tables; scores: rows of a table; models: one row per model, mean of the five regions;
        experiments: the named laws of the papers; laws: the forms that can be fitted; figures: what can be drawn;
        presets: named conditions on rows; columns: the schema; architectures: networks that can be built, trained and
        loaded, the built-in ones or, with 'timm:...' or 'torchvision:...', those of a library; recipes: how networks
        are trained; benchmarks: what models are scored on; studies: those that can be run or looked at by name.
    pattern
        A name or a pattern such as 'resnet*' that the first column must match.
    table
        For scores and models: a published set, a .csv or .parquet file, or a store folder.
    where
        For scores and models, may be repeated: column=value[,value], column!=value, or a bound such as
        'n_params>=1e6'.
    limit
        At most so many rows; 0 for all. By default 40 on the screen and all with --json.
    """
    from vvscale.errors import UsageError

    if where and what not in {"scores", "models"}:
        raise UsageError(f"--where selects rows of scores or models, not of {what}. Leave it out.")
    listers = {
        "sets": _sets,
        "experiments": _experiments,
        "laws": _laws,
        "figures": _figures,
        "regions": _regions,
        "presets": _presets,
        "columns": _columns,
        "benchmarks": _benchmarks,
        "recipes": _recipes,
        "studies": _studies,
    }
    if what == "architectures":
        frame, following = _architectures(pattern or "*")
    elif what in listers:
        frame, following = listers[what]()
        frame = _matching(frame, pattern)
    else:
        frame, following = _rows(what, table, where or [], pattern, output)
    if limit is None:
        limit = 0 if output.json else SCREEN
    shown = frame.head(limit) if limit > 0 else frame
    output.table(_for_people(shown), title=f"{what} ({len(frame)})")
    if len(shown) < len(frame):
        output.say(f"{len(frame) - len(shown)} more rows; --limit 0 shows all.")
    output.say(f"Next: {following}")
    output.document({"command": f"ls {what}", "n": len(frame), "rows": json_rows(shown)})


def _rows(what: str, table: str, where: list[str], pattern: str | None, output: Output) -> Listing:
    from vvscale.scores import REGIONS, load_scores, model_table, parse_where, regions_held, select

    rows = load_scores(table)
    conditions: dict[str, Any] = parse_where(where)
    if pattern is not None:
        conditions["model_id"] = pattern
    if what == "scores":
        frame = select(rows, **conditions)
    else:
        # Conditions on the score mean the average, the others choose what is averaged.
        on_score = {name: conditions.pop(name) for name in ("score", "misalignment") if name in conditions}
        chosen = select(rows, **conditions)
        models = model_table(chosen, regions_held(chosen))
        if models.regions != REGIONS:
            output.note(f"Scores are means over {', '.join(models.regions)}.")
        for reason, model_ids in models.excluded.items():
            output.note(f"Not listed: {len(model_ids)} models with {reason}: {', '.join(model_ids)}.")
        frame = select(models.frame, **on_score)
    example = frame["model_id"].iloc[0] if len(frame) else "<model_id>"
    return _brief(frame, output), f"vvscale show {shell_words(example, *table_words(table))}"


def table_words(table: str) -> list[str]:
    """Return what names a table in an advised command; nothing for the table that verbs take by default."""
    return [] if table == PUBLISHED else ["--table", table]


def _brief(frame: pd.DataFrame, output: Output) -> pd.DataFrame:
    """Return the columns that fit on a screen; a JSON document has them all."""
    row = ["region", "benchmark_id", "layer", "epoch"]
    model = ["family", "dataset", "samples_per_class", "seed", "n_params", "train_flop"]
    shown = ["model_id", *(row if "benchmark_id" in frame.columns else model), "score"]
    return frame if output.json else frame[[name for name in shown if name in frame.columns]]


def _sets() -> Listing:
    import pandas as pd

    from vvscale.scores import SETS

    rows = [{"set": chosen.name, "meaning": chosen.meaning, "state": chosen.state} for chosen in SETS.values()]
    return pd.DataFrame(rows), "vvscale ls models | vvscale ls experiments | vvscale ls columns"


def _experiments() -> Listing:
    import pandas as pd

    from vvscale.laws.gokce2025.experiments import EXPERIMENTS

    rows = [{"experiment": name, "law": one.law, "summary": one.summary} for name, one in EXPERIMENTS.items()]
    return pd.DataFrame(rows), f"vvscale reproduce {shell_words(rows[0]['experiment'])}"


def _studies() -> Listing:
    import pandas as pd

    from vvscale.study.survey import list_studies

    return pd.DataFrame(list_studies()), "vvscale study plan demo | vvscale study init mine"


def _laws() -> Listing:
    import pandas as pd

    from vvscale.laws import LAWS

    rows = [{"law": name, "misalignment": one.formula, "summary": one.summary} for name, one in LAWS.items()]
    return pd.DataFrame(rows), "vvscale fit --help"


def _figures() -> Listing:
    import pandas as pd

    from vvscale.figures.gallery import FIGURES, in_order

    rows = [{"figure": name, "shows": FIGURES[name].summary, "needs": FIGURES[name].needs} for name in in_order()]
    return pd.DataFrame(rows), f"vvscale figure {shell_words(rows[0]['figure'])}"


def _regions() -> Listing:
    import pandas as pd

    from vvscale.scores.table import REGION_SETS, REGIONS

    rows = [{"region": name, "meaning": "one benchmark of the study"} for name in REGIONS]
    rows += [{"region": name, "meaning": f"mean of {', '.join(regions)}"} for name, regions in REGION_SETS.items()]
    return pd.DataFrame(rows), "vvscale ls scores --where region=V1"


def _presets() -> Listing:
    import pandas as pd

    from vvscale.scores.where import presets

    rows = [{"preset": name, "meaning": one.meaning, "where": " ".join(one.where)} for name, one in presets().items()]
    return pd.DataFrame(rows), "vvscale fit gokce2025 --regions neural --where preset=controlled"


def _columns() -> Listing:
    import pandas as pd

    from vvscale.scores import COLUMNS

    rows = [
        {
            "column": one.name,
            "dtype": one.dtype,
            "unit": one.unit,
            "meaning": one.meaning,
            "published as": ", ".join(one.published),
        }
        for one in COLUMNS.values()
    ]
    return pd.DataFrame(rows), "vvscale ls scores --where family=ResNet"


def _architectures(pattern: str) -> Listing:
    import pandas as pd

    from vvscale.models import architecture, list_models
    from vvscale.models.architectures.names import RULES

    columns = ["family", "parent_family", "image_size", "readout_layer"]
    known = [architecture(name) for name in list_models(pattern)]
    rows = [[one.name, *(getattr(one, column) for column in columns)] for one in known]
    frame = pd.DataFrame(rows, columns=pd.Index(["architecture", *columns]))
    return frame, f"vvscale train <architecture> --dry-run; further names: {', '.join(RULES)}"


def _benchmarks() -> Listing:
    import pandas as pd

    from vvscale.brain import list_benchmarks

    rows = [
        {
            "benchmark": one.benchmark_id,
            "region": one.region,
            "images": one.n_images,
            "targets": one.n_targets,
            "metric": one.metric,
            "formula": one.formula,
            "simulated": one.is_simulated,
            "state": one.state,
        }
        for one in list_benchmarks()
    ]
    return pd.DataFrame(rows), "vvscale fetch benchmarks V1 | vvscale check simulated.V1-pls"


def _recipes() -> Listing:
    import pandas as pd

    from vvscale.train import load_recipe, recipe_names

    known = [load_recipe(name) for name in recipe_names()]
    rows = [{"recipe": one.name, "objective": one.objective, "summary": one.summary} for one in known]
    return pd.DataFrame(rows), "vvscale train resnet18 --recipe resnet --dry-run"


def _matching(frame: pd.DataFrame, pattern: str | None) -> pd.DataFrame:
    from vvscale.scores import select

    return frame if pattern is None else select(frame, **{str(frame.columns[0]): pattern})


def _for_people(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype(object).map(brief)
