"""The one schema of the score table: every column with its dtype, unit and meaning.

``docs/schema.md`` is generated from here, and the names under which the study published its columns are
mapped to ours from here. This module must not read data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

REGIONS = ("V1", "V2", "V4", "IT", "behavior")
NEURAL = ("V1", "V2", "V4", "IT")

# What tells one score of a model from another; at most one row may exist per combination.
KEY = (
    "model_id", "benchmark_id", "region", "subject", "layer", "epoch", "run_id", "mapping_samples", "mapping_seed",
    "mapping_neuroids", "mapping_repetitions",
)  # fmt: skip


@dataclass(frozen=True)
class Column:
    """One column of the score table.

    Attributes
    ----------
    name
        Our word for it, the same in code, tables and the command line.
    dtype
        ``string``; ``float`` (float64, missing = NaN); ``integer`` (int64, or float64 where some are
        missing); ``flag`` (bool, or pandas' nullable boolean where some are missing).
    unit
        ``"1"`` for a pure number, ``""`` for text.
    meaning
        One line.
    level
        ``model`` if it is the same for all rows of a model, ``row`` if it belongs to one score.
    required
        Whether every score table must have it.
    published
        Names under which the study published it; accepted on input.
    """

    name: str
    dtype: Literal["string", "float", "integer", "flag"]
    unit: str
    meaning: str
    level: Literal["model", "row"] = "model"
    required: bool = False
    published: tuple[str, ...] = ()


_ALL = (
    Column("model_id", "string", "", "Name of one trained network.", required=True),
    Column("arch", "string", "", "Architecture, without data set or seed."),
    Column("family", "string", "", "Family of architectures, as published.", published=("arch_family",)),
    Column(
        "parent_family",
        "string",
        "",
        "Derived: family with the Flex variants counted to their parent (ResNetFlex is ResNet).",
    ),
    Column("dataset", "string", "", "Training images; the weights' tag for pretrained models."),
    Column("seed", "integer", "", "Random seed of the training run."),
    Column("samples_per_class", "integer", "images", "Training images per class; 0 = all images."),
    Column("n_samples", "integer", "images", "Distinct training images."),
    Column("n_epochs", "integer", "epochs", "Passes over the training images."),
    Column(
        "samples_seen",
        "integer",
        "images",
        "n_samples x epochs; D in the laws.",
        published=("n_samples_seen",),
    ),
    Column("n_params", "float", "parameters", "Trainable parameters, 1000 classes; N in the laws."),
    Column(
        "forward_mac",
        "float",
        "multiply-adds",
        "One image, one forward pass; the attention products QK and AV are not counted.",
        published=("macs",),
    ),
    Column(
        "forward_flop",
        "float",
        "FLOP",
        "One image, one forward pass; 2 x forward_mac.",
        published=("flops",),
    ),
    Column(
        "train_flop",
        "float",
        "FLOP",
        "Whole training run, 3 x forward_flop x samples_seen; C in the laws.",
        published=("total_flops",),
    ),
    Column(
        "accuracy",
        "float",
        "1",
        "Top-1 validation accuracy on the training data set, 0 to 1.",
        published=("acc",),
    ),
    Column("is_pretrained", "flag", "", "Weights published by others."),
    Column("is_random", "flag", "", "Untrained: weights as initialised."),
    Column("is_ssl", "flag", "", "Trained without labels."),
    Column("ssl_method", "string", "", "simclr or dino; missing for supervised models."),
    Column("is_ablation", "flag", "", "Variation of the training recipe."),
    Column("is_open_clip", "flag", "", "Trained on image-text pairs with open_clip."),
    Column("is_adv", "flag", "", "Trained on adversarial images."),
    Column("adv_method", "string", "", "Attack and its settings; missing for the others."),
    Column("checkpoint_url", "string", "", "Where the scored weights are said to lie."),
    Column("recipe", "string", "", "Name of the training recipe."),
    Column("finetune", "string", "", "How the network was fine-tuned on recordings: its name, or its loss; none."),
    Column("finetune_on", "string", "", "Benchmarks that it was fine-tuned to, with + between them; none."),
    Column("finetune_control", "string", "", "shuffled: responses belonged to other images; none otherwise."),
    Column("finetune_fraction", "float", "percent", "Recorded training images that fine-tuning used; 0 without."),
    Column("finetune_samples", "integer", "images", "Recorded training images that fine-tuning used; 0 without."),
    Column("finetune_updates", "integer", "updates", "Updates of the weights in fine-tuning; 0 without."),
    Column("lora_rank", "integer", "1", "Rank of low-rank changes of weights in fine-tuning; 0 for all weights."),
    Column(
        "region",
        "string",
        "",
        "V1, V2, V4, IT or behavior; other recordings may have regions of their own.",
        level="row",
    ),
    Column("subject", "string", "", "Who was recorded, where subjects are scored apart.", level="row"),
    Column(
        "benchmark_id",
        "string",
        "",
        "Name of the benchmark.",
        level="row",
        published=("benchmark_name",),
    ),
    Column("layer", "string", "", "Layer read out for this score.", level="row"),
    Column(
        "epoch",
        "integer",
        "epochs",
        "Epoch of the scored checkpoint.",
        level="row",
        published=("epochs",),
    ),
    Column(
        "score",
        "float",
        "1",
        "Alignment divided by its ceiling; 1 = as good as the data allow, may be negative.",
        level="row",
        required=True,
    ),
    Column("misalignment", "float", "1", "Derived: 1 - score; L in the laws.", level="row"),
    Column("raw_score", "float", "1", "Score before division by the ceiling.", level="row"),
    Column("ceiling", "float", "1", "Reliability of the data, 0 to 1.", level="row"),
    Column("score_formula", "string", "", "How raw_score and ceiling give score: (r/c)^2.", level="row"),
    Column("ceiling_rule", "string", "", "Which ceiling, and what is done near 0 and above 1.", level="row"),
    Column("metric_note", "string", "", "What to know of the fit: a penalty at the end of its grid.", level="row"),
    Column(
        "mapping_samples",
        "integer",
        "images",
        "Images that the mapping from features to responses was fitted on.",
        level="row",
        published=("fitting_samples",),
    ),
    Column("mapping_seed", "integer", "", "Random seed of the subset of images, neuroids or repetitions.", level="row"),
    Column("mapping_neuroids", "integer", "neuroids", "Neuroids that were scored, where it is a subset.", level="row"),
    Column(
        "mapping_repetitions",
        "integer",
        "repetitions",
        "Repetitions that training responses were averaged over, where it is a subset.",
        level="row",
    ),
    Column("run_id", "string", "", "Name of the scoring run.", level="row"),
    Column("code_version", "string", "", "Version of vvscale that wrote the row.", level="row"),
    Column("data_digest", "string", "", "sha256 of the benchmark's data.", level="row"),
)

COLUMNS: Mapping[str, Column] = MappingProxyType({column.name: column for column in _ALL})
"""Our name -> column, in the order in which tables show them."""

PUBLISHED_NAMES: Mapping[str, str] = MappingProxyType(
    {published: column.name for column in _ALL for published in column.published}
)
"""Published name -> our name."""


def schema_markdown() -> str:
    """Return the text of ``docs/schema.md``.

    Examples
    --------
    >>> schema_markdown().splitlines()[0]
    '# The score table'
    """
    lines = [
        "# The score table",
        "",
        "<!-- Generated by vvscale.scores.schema.schema_markdown; a test keeps the two equal. -->",
        "",
        "A row is one model on one benchmark (and one layer or epoch where known). Only the columns in bold are",
        "required; columns that are not listed are kept as they are. Published names are accepted on input.",
        "The published region `Behavioral` is `behavior` here. The published integer `benchmark_id` only",
        "numbers `benchmark_name`, and `ckpt` only repeats `epochs`: both are left out on purpose.",
        "",
        f"At most one row may exist per {', '.join(f'`{name}`' for name in KEY)}.",
        "",
        "| column | dtype | unit | one per | meaning | published as |",
        "|---|---|---|---|---|---|",
    ]
    for column in COLUMNS.values():
        name = f"**`{column.name}`**" if column.required else f"`{column.name}`"
        published = ", ".join(f"`{other}`" for other in column.published)
        lines.append(f"| {name} | {column.dtype} | {column.unit} | {column.level} | {column.meaning} | {published} |")
    lines += [
        "",
        "dtypes: string; float (float64, missing = NaN); integer (int64, or float64 where some are missing);",
        "flag (bool, or nullable boolean where some are missing).",
    ]
    return "\n".join(lines) + "\n"
