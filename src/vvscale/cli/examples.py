"""One worked example per verb, shown at the end of its ``--help``, and the extra that it needs; tests parse each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

EXAMPLES: Mapping[str, str] = MappingProxyType(
    {
        "": "vvscale fit runs.csv --x n_params --y error --plot law.png",
        "ls": "vvscale ls models 'resnet*' --where dataset=imagenet",
        "show": "vvscale show resnet18_imagenet_full",
        "fetch": "vvscale fetch scores",
        "prepare": "vvscale prepare photos/ --out prepared/photos",
        "prepare-brain": "vvscale prepare-brain tvsd --raw tvsd-raw --dry-run",
        "train": "vvscale train resnet18 --data prepared/photos --samples-per-class 100 --out runs/resnet18",
        "fine-tune": "vvscale fine-tune runs/net --on simulated-digits.IT-pls --layers layer3.0 --lr 1e-3",
        "readout": "vvscale readout resnet18 --on cowley2023 --layer layer3.0",
        "score": "vvscale score my_network.py:build --on simulated --layers all",
        "fit": "vvscale fit runs.csv --x n_params --y error --resamples 1000 --plot law.png",
        "plan": "vvscale plan out/joint --budget 1e18 --max-params 1e8",
        "design": "vvscale design scores.csv --budget 3e15 --runs 10 --reduce exponent --out next.toml",
        "reproduce": "vvscale reproduce compute_neuro --resamples 1000",
        "check": "vvscale check mine.py:MINE",
        "figure": "vvscale figure compute --scores runs.csv --add 'our networks=ours.csv'",
        "report": "vvscale report report.html --scores runs.csv",
        "cite": "vvscale cite runs.csv icml-5a --out references.bib",
        "export": "vvscale export results/scores --parquet scores.parquet --where region=IT",
        "study": "vvscale study plan mine.toml",
        "cache": "vvscale cache ls",
        "doctor": "vvscale doctor",
        "claims": "vvscale claims",
    }
)
EXTRA: Mapping[str, str] = MappingProxyType(
    {
        "prepare": "models", "train": "train", "score": "score", "check": "score", "prepare-brain": "neuro",
        "fit": "figures", "figure": "figures", "report": "figures", "study": "study", "fine-tune": "train",
        "readout": "train",
    }
)  # fmt: skip


def epilogue(verb: str) -> str:
    """Return the last line of a verb's ``--help``; empty for a verb without an example."""
    return f"Example: {EXAMPLES[verb]}" if verb in EXAMPLES else ""
