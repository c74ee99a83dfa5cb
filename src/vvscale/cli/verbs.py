"""Every verb of the command: its group, its line in the help, a worked example, and the extra that it needs.

A verb ``fine-tune`` of the group ``train`` is the function ``fine_tune`` in ``commands/train/fine_tune.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

# Folder of a group in commands/ -> its title in `vvscale --help`, in the order of a piece of work.
GROUPS: Mapping[str, str] = MappingProxyType(
    {
        "scores": "Tables of scores", "train": "Networks", "brain": "Brain benchmarks", "laws": "Scaling laws",
        "figures": "Figures", "": "Studies and this machine",
    }
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Verb:
    """One verb.

    Attributes
    ----------
    group
        Its folder below ``commands/``; empty for a file of its own there.
    line
        What `vvscale --help` says of it.
    example
        One worked example, at the end of its own help; tests parse each.
    extra
        Extra of the package that it needs, to be named where it is missing.
    """

    group: str = ""
    line: str
    example: str
    extra: str = ""


VERBS: Mapping[str, Verb] = MappingProxyType(
    {
        "ls": Verb(
            group="scores",
            line="List tables, models, laws, figures, benchmarks, recipes, studies.",
            example="vvscale ls models 'resnet*' --where dataset=imagenet",
        ),
        "show": Verb(
            group="scores",
            line="Show one model and every score it has, or the numbers of a recipe.",
            example="vvscale show resnet18_imagenet_full",
        ),
        "fetch": Verb(
            group="scores",
            line="Download published tables, benchmarks and weights, checked by hash.",
            example="vvscale fetch scores",
        ),
        "export": Verb(
            group="scores",
            line="Write a table of scores as CSV or Parquet.",
            example="vvscale export out/mine/results/scores.parquet --csv mine.csv",
        ),
        "prepare": Verb(
            group="train",
            line="Decode a data set once, for training.",
            example="vvscale prepare photos/ --out prepared/photos",
            extra="models",
        ),
        "train": Verb(
            group="train",
            line="Train a network on a subset of images; rerun to resume.",
            example="vvscale train resnet18 --data prepared/photos --samples-per-class 100 --out runs/resnet18",
            extra="train",
        ),
        "fine-tune": Verb(
            group="train",
            line="Train a network on, for its task and for recordings at once.",
            example="vvscale fine-tune runs/net --on simulated-digits.IT-pls --layers layer3.0 --lr 1e-3",
            extra="train",
        ),
        "transfer": Verb(
            group="train",
            line="Show what fine-tuning gained, by what was tuned to and scored on.",
            example="vvscale transfer out/axes/results/scores.parquet",
            extra="train",
        ),
        "readout": Verb(
            group="train",
            line="Train a readout of a layer's tokens, shared by subjects, and score it.",
            example="vvscale readout resnet18 --on cowley2023 --layer layer3.0",
            extra="train",
        ),
        "prepare-brain": Verb(
            group="brain",
            line="Prepare the recordings of a public data set once, for scoring.",
            example="vvscale prepare-brain tvsd --raw tvsd-raw --dry-run",
            extra="neuro",
        ),
        "check": Verb(
            group="brain",
            line="Check a benchmark against its contract.",
            example="vvscale check mine.py:MINE",
            extra="score",
        ),
        "score": Verb(
            group="brain",
            line="Score models on brain and behavioural benchmarks.",
            example="vvscale score my_network.py:build --on simulated --layers all",
            extra="score",
        ),
        "fit": Verb(
            group="laws",
            line="Fit a scaling law to any table.",
            example="vvscale fit runs.csv --x n_params --y error --resamples 1000 --plot law.png",
            extra="figures",
        ),
        "plan": Verb(
            group="laws",
            line="Spend a compute budget: the optimal parameters and samples.",
            example="vvscale plan out/joint --budget 1e18 --max-params 1e8",
        ),
        "buy": Verb(
            group="laws",
            line="Spend a budget on compute or on recordings, at stated prices.",
            example="vvscale buy out/joint --have 1e18 320 --per-hour 1e17 200 --price 2 150 --budget 5000",
        ),
        "design": Verb(
            group="laws",
            line="Choose what to train next: the runs that tell most about a law.",
            example="vvscale design scores.csv --budget 3e15 --runs 10 --reduce exponent --out next.toml",
        ),
        "reproduce": Verb(
            group="laws",
            line="Fit the laws of the published papers, theirs beside ours.",
            example="vvscale reproduce compute_neuro --resamples 1000",
        ),
        "claims": Verb(
            group="laws",
            line="Check the papers' claims, or your own, on a table of scores.",
            example="vvscale claims",
        ),
        "figure": Verb(
            group="figures",
            line="Draw figures of any table, or those of the papers.",
            example="vvscale figure compute --scores runs.csv --add 'our networks=ours.csv'",
            extra="figures",
        ),
        "report": Verb(
            group="figures",
            line="Write one page about a table: findings, trust, plan, models; offline.",
            example="vvscale report report.html --scores runs.csv",
            extra="figures",
        ),
        "cite": Verb(
            group="figures",
            line="Print the BibTeX of what a table, fit or figure used.",
            example="vvscale cite runs.csv icml-5a --out references.bib",
        ),
        "study": Verb(
            line="Run a whole scaling study: train, score, fit, draw, report.",
            example="vvscale study plan mine.toml",
            extra="study",
        ),
        "doctor": Verb(line="Show what this machine and installation offer, and what to do.", example="vvscale doctor"),
        "cache": Verb(line="List, verify or clear downloaded files.", example="vvscale cache ls"),
    }
)

EXAMPLE = "vvscale fit runs.csv --x n_params --y error --plot law.png"
"""Of the whole command."""


def module_of(verb: str) -> str:
    """Return the module of a verb.

    Examples
    --------
    >>> module_of("fine-tune")
    'vvscale.cli.commands.train.fine_tune'
    """
    group = VERBS[verb].group
    return ".".join(["vvscale.cli.commands", *([group] if group else []), verb.replace("-", "_")])


def epilogue(verb: str = "") -> str:
    """Return the last line of the help of a verb, or of the whole command."""
    return f"Example: {VERBS[verb].example if verb else EXAMPLE}"
