"""BibTeX of what tables, fits and figures use: which entries of ``references.bib`` belong to what.

An entry holds only fields that are known to be right.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from vvscale.core.jsonable import parse_json
from vvscale.errors import DataError, reason, unknown_name
from vvscale.laws.law import LAWS
from vvscale.scores import SETS, load_scores

if TYPE_CHECKING:
    import pandas as pd

# Column -> value (or its beginning, for benchmarks) -> keys.
BY_VALUE: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "benchmark": {
            "FreemanZiemba2013": ("freeman2013",),
            "MajajHong2015": ("majaj2015",),
            "Rajalingham2018": ("rajalingham2018",),
        },
        "dataset": {
            "imagenet": ("deng2009",),
            "ecoset": ("mehrer2021",),
            "imagenet21kP": ("deng2009", "ridnik2021"),
            "imagenet21kP-class-1000": ("deng2009", "ridnik2021"),
            "webvision": ("li2017webvision",),
            "webvisionP": ("li2017webvision",),
            "inaturalist": ("vanhorn2021",),
            "places365": ("zhou2018places",),
            "infimnist": ("loosli2007",),
        },
        "parent_family": {
            "ResNet": ("he2016",),
            "EfficientNet": ("tan2019",),
            "ConvNeXt": ("liu2022",),
            "ViT": ("dosovitskiy2021", "touvron2022"),
            "AlexNet": ("krizhevsky2012",),
            "CORnet-S": ("kubilius2019",),
        },
        "ssl_method": {"simclr": ("chen2020simclr",), "dino": ("caron2021dino",)},
        "form": {
            **dict.fromkeys(("power", "shifted", "ccn", "ccn-joint"), ("gokce2025",)),
            "joint": ("gokce2025", "hoffmann2022"),
            "kaplan": ("kaplan2020",),
        },
    }
)
STUDY = ("gokce2025", "gokce2024ccn")
BRAIN_SCORE = ("schrimpf2018", "schrimpf2020")


def bibtex(keys: Iterable[str]) -> str:
    """Entries of these keys, each once, in the order given.

    Examples
    --------
    >>> print(bibtex(["gokce2024ccn"]).splitlines()[0])
    @inproceedings{gokce2024ccn,
    """
    known = entries()
    return "\n\n".join(known[key] for key in dict.fromkeys(keys))


@cache
def entries() -> dict[str, str]:
    """All entries, key -> text."""
    text = (files("vvscale.figures") / "references.bib").read_text(encoding="utf-8")
    blocks = text.strip().split("\n\n")
    return {block.partition("{")[2].partition(",")[0]: block for block in blocks}


def of_table(scores: pd.DataFrame, *, is_published: bool = False) -> list[str]:
    """Keys of what a score table rests on: the study, Brain-Score, recordings, data sets, families, objectives."""
    keys = list(STUDY) if is_published else []
    benchmarks = set(scores["benchmark_id"].dropna()) if "benchmark_id" in scores.columns else set()
    found = [
        key
        for name, of_name in BY_VALUE["benchmark"].items()
        for key in of_name
        if any(name in benchmark for benchmark in benchmarks)
    ]
    keys += [*BRAIN_SCORE, *found] if found else []
    for column in ("dataset", "parent_family", "ssl_method"):
        present = set(scores[column].dropna()) if column in scores.columns else set()
        keys += [key for value, of_value in BY_VALUE[column].items() if value in present for key in of_value]
    return list(dict.fromkeys(keys))


def cites(what: Iterable[str] = ()) -> list[str]:
    """Keys of what each thing used.

    Parameters
    ----------
    what
        A published set, a score table or store, a ``fits.json`` or its folder, a figure, or a law; by default the
        published set with its figures and laws.

    Raises
    ------
    UnknownNameError
        None of these.
    DataError
        A file that is not what it seems.
    """
    keys: list[str] = []
    for one in list(what) or ["gokce2025", "joint"]:
        keys += _keys(one)
    return list(dict.fromkeys(keys))


def _keys(what: str) -> list[str]:
    from vvscale.figures.base.open_tables import open_source
    from vvscale.figures.gallery import FIGURES, in_order

    path = Path(what)
    fits = path / "fits.json" if path.is_dir() and (path / "fits.json").is_file() else path
    if fits.suffix == ".json" and fits.is_file():
        return _of_fits(fits)
    if what in SETS:
        return of_table(load_scores(what), is_published=True)
    if what in LAWS:
        return list(BY_VALUE["form"].get(what, STUDY))
    if what in in_order():
        return [*FIGURES[what].cites]
    if path.exists():
        # Any table of one's own: what its columns name is cited, whatever else they hold.
        return of_table(open_source(path).scores)
    known = [*SETS, *in_order(), *LAWS]
    raise unknown_name(
        "thing to cite", what, known, "Expected a published set, a table, a fits.json, a figure or a law."
    )


def _of_fits(path: Path) -> list[str]:
    try:
        entries = parse_json(path.read_text(encoding="utf-8"))
        entries = [entries] if isinstance(entries, dict) else entries
        forms = [entry["form"] for entry in entries]
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"'{path}' is not a file of fits: {reason(error)}. Expected what `vvscale fit --out` or `vvscale "
            "reproduce --out` "
            "writes; write it again."
        ) from error
    return [key for form in forms for key in (*STUDY, *BY_VALUE["form"].get(form, ()))]
