# ruff: noqa: E501 - one input a line
"""More than four hundred inputs that are wrong, each with the exit code and the words that a user must get.

``test_bad_inputs.py`` tries them all, and writes docs/bad-inputs.md from what they give:

    python tests/cli/test_bad_inputs.py    writes the page again
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

DEEP_JSON, DEEP_TOML = "[" * 50_000, f"a = {'[' * 20_000}"
ROWS = "model_id,region,benchmark_id,score,train_flop,n_params\n" + "".join(
    f"m{k},{region},{region}-b,{0.2 + 0.05 * k:.2f},{10.0 ** (14 + k)},{10 ** (4 + k)}\n"
    for k in range(6)
    for region in ("V1", "IT")
)
WIDE = "x,y,kind\n" + "".join(f"{10**k},{0.9 - 0.1 * k + 0.01 * k * k:.3f},{'ab'[k % 2]}\n" for k in range(7))
NET = "import torch\nfrom torch import nn\ndef net():\n    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.LazyLinear(5))\nclass Odd:\n    pass\nnumber = 3\ndef needs(a):\n    return a\ndef breaks():\n    raise KeyError('mine')\ndef none():\n    return None\n"


def csv_of(**columns: object) -> str:
    """Return a table of columns as CSV."""
    return pd.DataFrame(columns).to_csv(index=False)


def parquet_of(frame: pd.DataFrame) -> bytes:
    """Return a table as Parquet."""
    file = io.BytesIO()
    frame.to_parquet(file)
    return file.getvalue()


def npy_of(array: np.ndarray) -> bytes:
    """Return an array as .npy."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=array.dtype.hasobject)
    return file.getvalue()


def png(size: int = 8) -> bytes:
    """Return a picture."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.arange(size * size * 3, dtype=np.uint8).reshape(size, size, 3)).save(file, "png")
    return file.getvalue()


@dataclass(frozen=True)
class Bad:
    """One input.

    Attributes
    ----------
    what
        What is wrong, in a few words.
    command
        What is typed after ``vvscale``.
    code
        Exit code.
    says
        Words of the sentence, as a regular expression.
    files
        Name -> content of what lies in the folder; a name that ends in ``/`` is an empty folder, one in ``|`` a pipe.
    """

    what: str
    command: str
    code: int
    says: str
    files: Mapping[str, str | bytes] = field(default_factory=dict)


def table(
    what: str, content: str | bytes, says: str, code: int = 3, more: str = "--x x --y y", name: str = "t.csv"
) -> Bad:
    """Return a table that cannot be fitted."""
    return Bad(what, f"fit {name} {more}", code, says, {name: content})


def fit(what: str, more: str, says: str, code: int = 2, content: str = WIDE) -> Bad:
    """Return a wrong question about a right table."""
    return Bad(what, f"fit t.csv {more}", code, says, {"t.csv": content})


TABLES = [
    Bad("no such table", "fit none.csv", 3, "does not exist"),
    Bad("a folder in place of a table", "fit t.csv", 3, "There are no scores in 't.csv'", {"t.csv/": ""}),
    Bad("no such set", "fit gokce2052", 2, "Did you mean 'gokce2025'"),
    table("a table of another format", "x y", "suffix '.xlsx', expected", 2, name="t.xlsx"),
    table("an empty file", "", "empty"),
    table("a header without rows", "x,y\n", "header and no rows"),
    table("UTF-16", WIDE.encode("utf-16"), "UTF-16.*iconv"),
    table("Latin-1", "x,y\n1,é\n".encode("latin1"), "line 2 holds the byte 0xe9.*iconv"),
    table("zero bytes in a table", b"x,y\n1,\x00\n2,3\n", "'y' is not numeric"),
    table("an open quote", 'x,y\n1,"2\n3,4\n', "quotes do not pair up"),
    table("a short line", "x,y,z\n1,2\n", "Line 2 .* 2 fields"),
    table("a long line", "x,y\n1,2,3\n", "Line 2 .* 3 fields"),
    table("two columns of one name", "x,x,y\n1,2,3\n", "more than one column named 'x'"),
    table("bars between fields", "x|y\n1|2\n", r"--sep '?\|"),
    table("two ways to write fractions", "x;y\n1.5;2,5\n", "--decimal"),
    table("a text among numbers", WIDE + "1e5,none,a\n", "'none'|not a number|numbers"),
    table("a missing outcome", WIDE + "1e5,,a\n", "missing|NaN|empty"),
    table("a negative input", WIDE.replace("100,", "-100,"), "negative|positive|greater"),
    table("an input of zero", WIDE.replace("100,", "0,"), "0"),
    table("an infinite outcome", WIDE.replace("0.900", "inf"), "inf|finite"),
    table("an input that does not change", csv_of(x=[3.0] * 6, y=np.linspace(1, 2, 6)), "distinct|same|differ"),
    table("two rows", "x,y\n1,2\n2,1\n", "3 parameters, but only 2 rows"),
    table("one column", "x\n1\n2\n", "Unknown column 'y'", 2),
    table("dates as inputs", csv_of(x=pd.date_range("2026-01-01", periods=6).astype(str), y=range(6)), "number"),
    table("truth values as inputs", csv_of(x=[True, False] * 3, y=np.linspace(1, 2, 6)), "must be greater than 0"),
    table("an empty column", csv_of(x=[None] * 6, y=range(6)), "x"),
    table("numbers too large for any", WIDE.replace("100,", "1e999,"), "inf|finite|large"),
    table(
        "half a Parquet file", parquet_of(pd.DataFrame({"x": [1.0], "y": [2.0]}))[:60], "as Parquet", name="t.parquet"
    ),
    table("CSV under the name of Parquet", WIDE, "as Parquet", name="t.parquet"),
    table("lists in cells", parquet_of(pd.DataFrame({"x": [[1], [2]], "y": [1.0, 2.0]})), "number", name="t.parquet"),
    table(
        "scores in percent", "model_id,train_flop,score\na,1e15,30\nb,1e16,45\nc,1e17,60\n", "percent.*by 100", more=""
    ),
    table("a score without a model", "model_id,region,benchmark_id,score\n,V1,b,.5\n", "no model_id", more=""),
    table("one score twice", ROWS + "m0,V1,V1-b,.9,1e14,1e4\n", "the same by", more=""),
    table("an unknown region", ROWS, "V9", 2, more="--regions V9"),
    table("a score above any ceiling", ROWS.replace("0.20", "7000"), "None of the 6 models", more=""),
    table("no model with all regions", ROWS, "None of the 6 models", more=""),
    Bad("a store without scores", "fit store", 3, "no scores in 'store'", {"store/": ""}),
    Bad("a damaged part of a store", "fit store", 3, "no scores in 'store'", {"store/a.parquet": b"PAR1 no"}),
    Bad("a table that is a pipe's name", "fit /dev/null --x x --y y", 2, "suffix"),
]

QUESTIONS = [
    fit("an unknown law", "--law pwoer --x x --y y", "Unknown law 'pwoer'. Did you mean 'power'"),
    fit("an unknown input", "--x xx --y y", "Unknown column 'xx'. Did you mean 'x'"),
    fit("an unknown outcome", "--x x --y z", "Unknown column 'z'"),
    fit("one input for a joint law", "--law joint --x x --y y", "joint"),
    fit("two inputs for a law of one", "--x x y --y kind", "power"),
    fit("one column twice", "--law joint --x x x --y y", "One column is named twice"),
    fit("an input as outcome", "--x x --y x", "One column is named twice"),
    fit("a text as outcome", "--x x --y kind", "kind", 3),
    fit("regions of a table without", "--x x --y y --regions V1", "regions"),
    fit("an unknown resampling unit", "--x x --y y --resamples 10 --by arch", "Cannot resample by 'arch'"),
    fit("an unknown column to split by", "--x x --y y --each sort", "sort"),
    fit("a condition without a sign", "--x x --y y --where kind", "kind"),
    fit("a condition on no column", "--x x --y y --where sort=a", "sort"),
    fit("a condition that no row meets", "--x x --y y --where kind=c", "It has 2 values: a, b"),
    fit("an unknown preset", "--x x --y y --where preset=contrlled", "preset"),
    fit("a preset from no file", "--x x --y y --where preset=p.toml", "p.toml", 3),
    fit("a threshold below zero", "--x x --y y --delta -1", "--delta"),
    fit("a threshold that is no number", "--x x --y y --delta small", "small"),
    fit("fewer than no resamples", "--x x --y y --resamples -5", "--resamples"),
    fit("a picture of an unknown format", "--x x --y y --plot a.doc", "a.doc|.doc"),
    fit("a folder that cannot be made", "--x x --y y --out /proc/nope/a", "/proc/nope"),
    fit("offsets without groups", "--x x --y y --offsets A", "Unknown column 'parent_family'"),
    fit("an unknown offset", "--x x --y y --offsets Z --offset-by kind", "Z"),
    fit("a separator of two characters", "--x x --y y --sep ;;", "one character"),
    fit("an unknown decimal mark", "--x x --y y --decimal x", "decimal"),
    fit("an unknown flag", "--x x --y y --resample 3", "--resample"),
    fit("a seed that is no number", "--x x --y y --seed a", "a"),
    fit("a seed below zero", "--x x --y y --resamples 5 --seed -1", "seed"),
    fit("a seed of a hundred digits", f"--x x --y y --resamples 5 --seed {'9' * 100}", "seed"),
    Bad("a table that is named twice", "fit t.csv u.csv", 2, "u.csv", {"t.csv": WIDE}),
    Bad("nothing to fit", "fit", 2, "TABLE"),
]

FIT = {"name": "power", "form": "power", "x": ["x"], "params": {}}


def plan(what: str, content: object, says: str, more: str = "--budget 1e18", code: int = 3) -> Bad:
    """Return a file of fits that no plan can be made from."""
    text = content if isinstance(content, str) else json.dumps(content)
    return Bad(what, f"plan f/fits.json {more}", code, says, {"f/fits.json": text})


PLANS = [
    Bad("no such fit", "plan nothing/fits.json --budget 1e18", 3, "No fit at"),
    Bad("no such experiment", "plan compute_chinchila --budget 1e18", 2, "Did you mean 'compute_chinchilla'"),
    Bad("an experiment of one input", "plan compute_neuro --budget 1e18", 2, "joint"),
    plan("a fit that is no JSON", "{", "not a file of fits"),
    plan("a fit that is nested deeply", DEEP_JSON, "not a file of fits.*nested too deeply"),
    plan("a number of ten thousand digits", "1" * 10_000, "not a file of fits"),
    plan("a fit that is a number", 3, "not a file of fits"),
    plan("a fit that is a list of texts", ["a", "b"], "not a file of fits"),
    plan("a fit of nothing", [], "no joint fit"),
    plan("a fit of one input", [FIT], "no joint fit"),
    plan(
        "a joint fit without its numbers",
        [{"name": "a", "form": "joint", "x": ["n_params", "samples_seen"], "status": "converged"}],
        "not a file of fits",
    ),
    plan(
        "a fit with null in place of a table",
        [{"name": "a", "form": "joint", "x": None, "params": None}],
        "not a file of fits|no joint",
    ),
    plan("a budget below zero", [FIT], "--budget", "--budget -1", 2),
    plan("a budget that is no number", [FIT], "many", "--budget many", 2),
    plan("an infinite budget", [FIT], "--budget", "--budget inf", 2),
    plan("a score beyond all", [FIT], "--target", "--target 2", 2),
    plan("a cost of one number", [FIT], "cost", "--cost 6", 2),
    Bad("a design of no table", "design none.csv --budget 1e15", 3, "none.csv"),
    Bad("no runs to choose", "design t.csv --budget 1e15 --runs 0", 2, "--runs", {"t.csv": ROWS}),
    Bad("a design below zero", "design t.csv --budget -3", 2, "--budget", {"t.csv": ROWS}),
    Bad("claims of nobody", "claims ccn2042", 2, "ccn2042"),
    Bad("claims that are no TOML", "claims c.toml", 2, "not valid TOML", {"c.toml": "title ="}),
    Bad("claims that are nested deeply", "claims c.toml", 2, "nested too deeply", {"c.toml": DEEP_TOML}),
    Bad("claims without a title", "claims c.toml", 2, "title", {"c.toml": "[fits.a]\nlaw = 'power'\n"}),
    Bad(
        "a claim with an unknown key",
        "claims c.toml",
        2,
        "sayz",
        {"c.toml": "title = 'a'\nsource = 'b'\n[[claims]]\nname = 'a'\nsayz = 'b'\n"},
    ),
    Bad("claims from no file", "claims none.toml", 3, "none.toml"),
    Bad("an experiment that nobody published", "reproduce compute_neuro2", 2, "compute_neuro"),
]

FIGURES = [
    Bad("no such figure", "figure icml-9z", 2, "icml"),
    Bad("no figure at all", "figure", 2, "Which figure"),
    Bad("a figure of no table", "figure compute --scores none.csv", 3, "none.csv"),
    Bad("a figure as a film", "figure compute --scores t.csv --format mp4", 2, "mp4", {"t.csv": ROWS}),
    Bad(
        "a figure of an unknown column",
        "figure compute --scores t.csv --x speed --out o",
        3,
        "Unknown column 'speed'",
        {"t.csv": ROWS},
    ),
    Bad(
        "a figure over a table that is not there",
        "figure compute --scores t.csv --add u.csv",
        3,
        "u.csv",
        {"t.csv": ROWS},
    ),
    Bad("a figure into a file", "figure compute --scores t.csv --out t.csv --format json", 2, "t.csv", {"t.csv": ROWS}),
    Bad(
        "a figure of an unknown law",
        "figure compute --scores t.csv --law pwr --out o",
        3,
        "Unknown law 'pwr'",
        {"t.csv": ROWS},
    ),
    Bad("a page that is no page", "report page.doc --scores t.csv", 2, "html", {"t.csv": ROWS}),
    Bad(
        "a page of a table without numbers",
        "report page.html --scores t.csv",
        3,
        "no column of numbers",
        {"t.csv": "a,b\nx,y\n"},
    ),
    Bad("a page of nothing", "report page.html --scores none.csv", 3, "none.csv"),
    Bad("a page in no folder", "report /proc/nope/p.html --scores t.csv", 2, "/proc/nope", {"t.csv": ROWS}),
    Bad("an export to nowhere", "export t.csv", 2, "--csv", {"t.csv": ROWS}),
    Bad("an export of an empty table", "export t.csv --csv o.csv", 3, "empty", {"t.csv": ""}),
    Bad(
        "an export into a folder that cannot be",
        "export t.csv --csv /proc/nope/o.csv",
        2,
        "/proc/nope",
        {"t.csv": ROWS},
    ),
    Bad(
        "an export of no rows", "export t.csv --csv o.csv --where region=V9", 2, "Unknown region 'V9'", {"t.csv": ROWS}
    ),
    Bad(
        "an export over its own table", "export t.csv --csv t.csv", 2, "it is what this command reads", {"t.csv": ROWS}
    ),
    Bad(
        "an export over its own table by another name",
        "export t.csv --csv ./a/../t.csv",
        2,
        "it is what this command reads",
        {"t.csv": ROWS, "a/": ""},
    ),
    Bad(
        "an export into the store that it reads",
        "export store --parquet store/2.parquet",
        2,
        "would lie in 'store'",
        {"store/": ""},
    ),
    Bad(
        "two formats under one name", "export t.csv --csv o --parquet o", 2, "Both --csv and --parquet", {"t.csv": ROWS}
    ),
    Bad(
        "a figure over the table that it shows",
        "figure compute --scores compute.csv --out .",
        2,
        "Cannot write 'compute.csv'",
        {"compute.csv": ROWS},
    ),
    Bad(
        "a picture over the table that it shows",
        "fit t.csv --x x --y y --plot t.csv",
        2,
        "it is what this command reads",
        {"t.csv": WIDE},
    ),
    Bad(
        "a study over the table that it is from", "design t.csv --budget 1e15 --out t.csv", 2, "reads", {"t.csv": ROWS}
    ),
    Bad("references over what they are of", "cite t.csv --out t.csv", 2, "reads", {"t.csv": ROWS}),
    Bad("an unknown model", "show m7 --table t.csv", 2, "m7", {"t.csv": ROWS}),
    Bad("a list of an unknown kind", "ls modles", 2, "modles"),
    Bad("a citation of nothing known", "cite nobody2020", 2, "nobody2020"),
    Bad("a citation of a damaged fit", "cite fits.json", 3, "fits", {"fits.json": "{"}),
    Bad(
        "a citation of a fit that is nested deeply", "cite fits.json", 3, "nested too deeply", {"fits.json": DEEP_JSON}
    ),
    Bad("an unknown verb", "scor resnet18", 2, "score"),
    Bad("an action that the cache lacks", "cache empty", 2, "empty"),
    Bad("scores that are cleared by listing", "cache ls --scores", 2, "--scores"),
    Bad("weights of nobody", "fetch weights nobody_50", 2, "nobody_50"),
    Bad("weights without a name", "fetch weights", 2, "names of models"),
    Bad("a part of a table", "fetch scores m1", 2, "fetched whole"),
    Bad("an unknown thing to fetch", "fetch everything", 2, "everything"),
    Bad("a benchmark that nobody offers", "fetch benchmarks V7", 2, "V7"),
]

SOURCE = {f"s/{split}/{name}/{k}.png": png() for split in ("train", "val") for name in ("cat", "dog") for k in range(2)}


def images(what: str, more: str, says: str, code: int = 3, files: Mapping[str, str | bytes] = SOURCE) -> Bad:
    """Return a folder of images, or a wish, that cannot be."""
    return Bad(what, f"prepare s --out o --workers 1 {more}", code, says, files)


IMAGES = [
    Bad("images from nowhere", "prepare none --out o", 3, "none"),
    Bad("images from a file", "prepare s.png --out o", 3, "s.png", {"s.png": png()}),
    images("an empty folder of images", "", "none of the known layouts", files={"s/": ""}),
    images(
        "a folder without images", "", "the class 'a' is empty", files={"s/train/a/b.txt": "x", "s/val/a/b.txt": "x"}
    ),
    images("classes in one split alone", "", "cow", files={**SOURCE, "s/val/cow/0.png": png()}),
    images("an unknown layout", "--layout imagnet", "imagnet", 2),
    images("the layout of another data set", "--layout places365", "does not have the layout 'places365'"),
    images("a size below nothing", "--size -1", "--size", 2),
    images("images held out that are there already", "--val-fraction 0.5", "has images for evaluation already"),
    images("an unknown class", "--classes cow", "cow"),
    images("no class left", "--min-per-class 50", "no class is left"),
    images("a list that is not there", "--train-list none.txt --val-fraction 0.5", "none.txt"),
    images("an empty list", "--train-list l.txt --val-fraction 0.5", "l.txt", files={**SOURCE, "l.txt": ""}),
    images(
        "a list without labels",
        "--train-list l.txt --val-fraction 0.5",
        "l.txt",
        files={**SOURCE, "l.txt": "train/cat/0.png\n"},
    ),
    images(
        "a list of what is not there",
        "--train-list l.txt --val-fraction 0.5",
        "none.png",
        files={**SOURCE, "l.txt": "train/cat/0.png 0\ntrain/cat/none.png 0\n"},
    ),
    images(
        "a list with one image of a class",
        "--train-list l.txt --val-fraction 0.5",
        "has 1 images, too few to hold out",
        files={**SOURCE, "l.txt": "../../etc/passwd 0\n"},
    ),
    images(
        "a list in UTF-16",
        "--train-list l.txt --val-fraction 0.5",
        "UTF-16.*iconv",
        files={**SOURCE, "l.txt": "train/cat/0.png 0\n".encode("utf-16")},
    ),
    images("no workers", "--workers 0", "--workers", 2),
    images("a result in place of a file", "", "o", 2, files={**SOURCE, "o": "mine"}),
    images(
        "damaged records of images", "", "Cannot read 's/train.json'", files={"s/train.json": "{", "s/val.json": "{"}
    ),
    images(
        "records that are nested deeply",
        "",
        "nested too deeply",
        files={"s/train.json": DEEP_JSON, "s/val.json": DEEP_JSON},
    ),
    images(
        "tars that are no tars",
        "--val-fraction 0.5",
        "Cannot read the shard 's/train/a.tar'",
        files={"s/train/a.tar": b"no tar at all", "s/val/a.tar": b"x" * 2000},
    ),
]


BASE = "based_on = 'tiny'\n"


def trained(what: str, more: str, says: str, code: int = 2, files: Mapping[str, str | bytes] | None = None) -> Bad:
    """Return a training run that cannot begin."""
    return Bad(what, f"train resnetflex-w2-d1-1-1 --data digits --out r {more}", code, says, files or {})


def recipe(what: str, text: str, says: str) -> Bad:
    """Return a recipe that cannot be."""
    return trained(
        what,
        "--recipe a.toml --dry-run",
        says,
        files={"a.toml": text if "=" not in text or "[[" in text else "summary = 'a'\n" + text},
    )


TRAINING = [
    Bad("an unknown network", "train resnet19 --data digits --dry-run", 2, "Did you mean 'resnet18'"),
    Bad("images that are not there", "train resnet18 --data none --dry-run", 3, "none"),
    Bad("images that were not prepared", "train resnet18 --data s --dry-run", 3, "not a prepared data set", SOURCE),
    Bad("a damaged manifest", "train resnet18 --data d --dry-run", 3, "manifest.json", {"d/train/manifest.json": "{"}),
    recipe("a recipe that is no TOML", "lr = ", "not valid TOML"),
    recipe("a recipe that is nested deeply", DEEP_TOML, "nested too deeply"),
    recipe("a recipe with an unknown key", "batchsize = 3\n", "batchsize"),
    recipe("a recipe with an unknown table", "[schedul]\nepochs = 3\n", "schedul"),
    trained("a recipe from nowhere", "--recipe none.toml", "none.toml", 3),
    trained("an unknown recipe", "--recipe icml2052", "icml2052"),
    trained("a change without a value", "--set schedule.epochs", "KEY=VALUE"),
    trained("a change of an unknown key", "--set schedule.epoch=3 --dry-run", "epoch"),
    trained("a change to another type", "--set schedule.epochs=many --dry-run", "epochs"),
    trained("no epochs", "--set schedule.epochs=0 --dry-run", "epochs"),
    trained("more images than there are", "--samples-per-class 1000000 --dry-run", "1000000|1,000,000", 3),
    trained("fewer images than one", "--samples-per-class -1 --dry-run", "samples-per-class"),
    trained("an image of no pixels", "--image-size 0 --dry-run", "image-size"),
    trained("an unknown device", "--device gpu0 --dry-run", "device"),
    trained("a GPU that is not there", "--device cuda:7 --dry-run", "asks for GPU 7"),
    trained("a start from nowhere", "--start none.pt --dry-run", "none.pt", 3),
    trained("a start from a text", "--start a.pt --dry-run", "a.pt", 3, {"a.pt": "no weights"}),
    trained(
        "a start from half an archive",
        "--start a.safetensors --dry-run",
        "a.safetensors",
        3,
        {"a.safetensors": b"\xff\xff\xff\xff\xff\xff\xff\x7f{"},
    ),
    trained("a run in place of a file", "", "r", 2, {"r": "mine"}),
    trained("a run in a folder of another", "--set schedule.steps=1", "spec.json", 3, {"r/spec.json": "{"}),
    trained(
        "a run in a folder whose record is nested deeply",
        "--set schedule.steps=1",
        "spec.json",
        3,
        {"r/spec.json": DEEP_JSON},
    ),
]


RECIPES = [
    recipe("a learning rate below zero", BASE + "[optimizer]\nlr = -0.1\n", "`lr` is -0.1"),
    recipe("a learning rate of zero", BASE + "[optimizer]\nlr = 0\n", "`lr` is 0.0"),
    recipe("a learning rate that is a text", BASE + "[optimizer]\nlr = 'high'\n", "'lr' in 'optimizer'.*a number"),
    recipe("a learning rate that is no number", BASE + "[optimizer]\nlr = nan\n", "finite number"),
    recipe("an unknown optimizer", BASE + "[optimizer]\nname = 'adamm'\n", "one of 'sgd', 'adamw', 'lars'"),
    recipe("a momentum above one", BASE + "[optimizer]\nmomentum = 1.5\n", r"`momentum`.*\[0, 1\)"),
    recipe("a weight decay below zero", BASE + "[optimizer]\nweight_decay = -1.0\n", "weight_decay=-1.0"),
    recipe("gradients cut to nothing", BASE + "[optimizer]\nclip_norm = 0.0\n", "clip_norm=0.0"),
    recipe(
        "three betas", BASE + "[optimizer]\nname = 'adamw'\nbetas = [0.9, 0.99, 0.999]\n", "3 values for 'betas'.*2"
    ),
    recipe("epochs and steps", BASE + "[schedule]\nepochs = 3\nsteps = 5\n", "exactly one of them"),
    recipe("neither epochs nor steps", BASE + "[schedule]\nepochs = 'none'\n", "exactly one of them"),
    recipe("half an epoch", BASE + "[schedule]\nepochs = 2.5\n", "expected a whole number"),
    recipe("epochs without end", BASE + "[schedule]\nepochs = 1000000000000000000000\n", r"below 2\^63"),
    recipe(
        "a warm-up longer than the run",
        BASE + "[schedule]\nepochs = 3\nwarmup_fraction = 0.0\nwarmup_epochs = 9\n",
        "`warmup_epochs=9` fills the run",
    ),
    recipe("a warm-up of twice the run", BASE + "[schedule]\nwarmup_fraction = 2.0\n", "warmup_fraction=2.0"),
    recipe("an unknown decay", BASE + "[schedule]\ndecay = 'cosin'\n", "one of 'cosine', 'linear', 'constant'"),
    recipe("a batch of no image", BASE + "batch_size = 0\n", "batch_size=0"),
    recipe("an epoch of no batch", BASE + "batches_per_epoch = 0\n", "batches_per_epoch=0"),
    recipe("images that are never shown", BASE + "repeats = 0\n", "repeats=0"),
    recipe("an unknown objective", BASE + "objective = 'simcrl'\n", "one of 'supervised', 'simclr'"),
    recipe("views that are not there", BASE + "objective = 'simclr'\n", "got 0; expected 2 or more"),
    recipe("the settings of another objective", BASE + "[simclr]\nhidden = 16\n", r"has a section \[simclr\]"),
    recipe("views of an objective of one", BASE + "[[views]]\nblur = 0.5\n", "takes one view"),
    recipe("an attack without its settings", BASE + "objective = 'adversarial'\n", r"lacks the section \[attack\]"),
    recipe("labels smoothed away", BASE + "[loss]\nlabel_smoothing = 2.0\n", "`label_smoothing` is 2.0"),
    recipe("all blocks dropped", BASE + "drop_path = 1.0\n", "`drop_path` is 1.0"),
    recipe("an average that grows", BASE + "[ema]\ndecay = 2.0\n", "`decay` of the weight average is 2.0"),
    recipe("a mixture below nothing", BASE + "[augmentation]\nmixup = -1.0\n", "`mixup` is -1.0"),
    recipe("a flip more often than always", BASE + "[augmentation]\nhflip = 2.0\n", "`hflip` is 2.0"),
    recipe("a spread of zero", BASE + "[augmentation]\nstd = [0.0, 0.3, 0.3]\n", "`std` is.*above 0"),
    recipe("two means of three channels", BASE + "[augmentation]\nmean = [0.3, 0.3]\n", "2 values for 'mean'"),
    recipe("a crop from large to small", BASE + "[augmentation]\nscale = [0.9, 0.1]\n", "low <= high"),
    recipe("a shift beyond the image", BASE + "[augmentation]\nshift = 100\n", "`shift` is 100"),
    recipe("an unknown RandAugment", BASE + "[augmentation]\nrand_augment = 'lots'\n", "Cannot use the RandAugment"),
    recipe("an unknown way to erase", BASE + "[augmentation]\nerasing_mode = 'pixle'\n", "one of 'pixel', 'const'"),
    recipe("an image size in a recipe", BASE + "[augmentation]\nimage_size = 8\n", "belongs to the run"),
    recipe("an augmentation that is a number", BASE + "augmentation = 3\n", "expected a table"),
    recipe("evaluations below every epoch", BASE + "evaluations_per_decade = -2\n", "`evaluations_per_decade` is -2"),
    recipe("a recipe that is based on itself", "based_on = 'a.toml'\n", r"based on itself: a.toml -> a.toml"),
    recipe("a recipe that is based on nothing known", "based_on = 'tinny'\n", "Did you mean 'tiny'"),
    recipe("a recipe that is based on a number", "based_on = 3\n", "'based_on'.*the name of a recipe"),
    recipe("a recipe without a schedule", "batch_size = 8\n", "'schedule' is missing"),
    recipe("a table that is there twice", BASE + "[schedule]\nepochs = 3\n[schedule]\nepochs = 4\n", "twice"),
    trained("a recipe based on no file", "--recipe a.toml --dry-run", "b.toml", 3, {"a.toml": "based_on = 'b.toml'\n"}),
    trained("a recipe in UTF-16", "--recipe a.toml --dry-run", "UTF-16.*iconv", 3, {"a.toml": BASE.encode("utf-16")}),
    trained("a recipe that is a folder", "--recipe a.toml --dry-run", "Is a directory", 3, {"a.toml/": ""}),
    trained("a recipe that is a pipe", "--recipe a.toml --dry-run", "is a pipe or a device", 3, {"a.toml|": ""}),
    trained("a value of a value", "--set batch_size.a=3 --dry-run", "is a value and no table"),
    trained("a table that becomes a number", "--set optimizer=3 --dry-run", "expected a table"),
    trained("a change of nothing at all", "--set =3 --dry-run", "KEY=VALUE"),
    trained(
        "a batch of more images than there are",
        "--set batch_size=100000 --set fits_batch=false --dry-run",
        "The batch of 100000 images is larger",
    ),
    trained("a save before now", "--save-seconds -1 --dry-run", "--save-seconds"),
    trained("scores at no evaluation", "--score-on simulated --score-every 0 --dry-run", "--score-every"),
    trained("scores on an unknown benchmark", "--score-on nobody --dry-run", "Unknown benchmark 'nobody'"),
    trained("an unknown tracker", "--track nobody --dry-run", "Known: tensorboard, wandb"),
    trained("a part of a batch without images", "--micro-batch 0 --dry-run", "--micro-batch"),
    trained("images kept nowhere", "--residency gpu --dry-run", "--residency"),
    trained("an unknown rule of subsets", "--subset-rule odd --dry-run", "--subset-rule"),
    trained(
        "a run among weights of others",
        "--set schedule.steps=1",
        "not the folder of a run",
        2,
        {"r/weights.safetensors": "mine"},
    ),
    trained(
        "a run among states of others",
        "--set schedule.steps=1",
        "not the folder of a run",
        2,
        {"r/checkpoint-500.pt": "mine"},
    ),
    trained(
        "a run in a folder whose record is a pipe",
        "--set schedule.steps=1",
        "is a pipe or a device",
        3,
        {"r/spec.json|": ""},
    ),
    Bad(
        "weights of a network that fine-tuning would write over",
        "fine-tune r --on simulated --layers layer1 --out r",
        2,
        "holds the weights of another network",
        {"r/weights.safetensors": "mine"},
    ),
    Bad("gains of no table", "transfer", 2, "Of which tables"),
    Bad(
        "gains where nothing was tuned", "transfer t.csv", 3, "No network of the table was fine-tuned", {"t.csv": ROWS}
    ),
    Bad("a modality of nothing", "transfer t.csv --modality EEG", 2, "expected DATASET=MODALITY", {"t.csv": ROWS}),
    Bad(
        "gains over their own table", "transfer t.csv --csv t.csv", 2, "it is what this command reads", {"t.csv": ROWS}
    ),
]


def scored(
    what: str,
    model: str,
    says: str,
    code: int = 2,
    files: Mapping[str, str | bytes] | None = None,
    more: str = "--layers all --dry-run",
) -> Bad:
    """Return a network, or a question about one, that cannot be scored."""
    return Bad(what, f"score {model} {more}", code, says, {"n.py": NET, **(files or {})})


def features(what: str, content: bytes, says: str, name: str = "f.npy", more: str = "", code: int = 3) -> Bad:
    """Return features that cannot be scored."""
    return Bad(what, f"score --features {name} {more}", code, says, {name: content})


def zip_of(**files: bytes) -> bytes:
    """Return an archive."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/"), content)
    return held.getvalue()


SCORING = [
    scored("an unknown model", "resnet19", "resnet18"),
    scored("a model that nobody published", "gokce2025:nobody", "nobody"),
    scored("an unknown network of a library", "timm:nobody", "nobody"),
    scored("a file that is not there", "none.py:net", "none.py", 3),
    scored("a name that the file lacks", "n.py:nett", "net"),
    scored("a name that is no network", "n.py:number", "number"),
    scored("a function that needs more", "n.py:needs", "needs"),
    scored("a function that fails", "n.py:breaks", "KeyError: 'mine'"),
    scored("a function that gives nothing", "n.py:none", "None"),
    scored("a network that is not made yet", "n.py:net", "[Ll]azy"),
    scored("a file with an open bracket", "bad.py:net", "line 1", files={"bad.py": "def net(:\n"}),
    scored(
        "a file that imports what is not there",
        "bad.py:net",
        "nowhere_at_all",
        files={"bad.py": "import nowhere_at_all\n"},
    ),
    scored("a checkpoint of nothing", "a.pt", "a.pt", 3, {"a.pt": b""}),
    scored("a checkpoint that is a text", "a.pth", "a.pth", 3, {"a.pth": "hello"}),
    scored(
        "a checkpoint that runs code",
        "a.pt",
        "a.pt",
        3,
        {"a.pt": zip_of(a__data__pkl=b"", **{"a/data.pkl": b"cos\nsystem\n(S'touch owned'\ntR."})},
    ),
    scored(
        "weights of unknown form", "a.safetensors", "a.safetensors", 3, {"a.safetensors": b"\x08\0\0\0\0\0\0\0notjson!"}
    ),
    scored("a folder without a run", "r", "r", 3, {"r/": ""}),
    scored("no model", "", "model|MODEL", more=""),
    features("features of objects", npy_of(np.array([{"a": 1}], dtype=object)), "f.npy"),
]

LAB = 'benchmark_id = "L.IT"\nregion = "IT"\n[stimuli]\nimages = "images"\ndegrees = 8\n[assembly]\nresponses = "r.npy"\naxes = ["image", "neuroid"]\n'
OF_NETCDF = LAB.replace("r.npy", "r.nc").replace('axes = ["image", "neuroid"]\n', "")
LAB_FILES = {**{f"images/{k}.png": png() for k in range(4)}, "r.npy": npy_of(np.arange(12.0).reshape(4, 3))}


RNG = np.random.default_rng(0)
TINY = "untrained:resnetflex-w2-d1-1-1"
# Responses that agree with themselves, so that only what is asked is wrong.
RECORDED = {
    "lab.toml": LAB.replace('"neuroid"]', '"neuroid", "repetition"]') + '[metric]\nname = "ridge-cv"\n',
    **{f"images/{k:02d}.png": png() for k in range(12)},
    "r.npy": npy_of(RNG.random((12, 4, 1)) + 0.1 * RNG.random((12, 4, 3))),
    "f.npy": npy_of(RNG.random((12, 9))),
    "ids.txt": "\n".join(f"{k:02d}" for k in range(12)),
}


def asked(
    what: str, more: str, says: str, code: int = 2, files: Mapping[str, str | bytes] | None = None, layers: str = "all"
) -> Bad:
    """Return a right network and right recordings with an option that cannot be."""
    command = f"score {TINY} --on lab.toml --layers {layers} --dry-run {more}"
    return Bad(what, command, code, says, {**RECORDED, **(files or {})})


def committed(what: str, text: str, says: str, code: int = 2, name: str = "l.toml") -> Bad:
    """Return a file of layers that cannot be."""
    return asked(what, "", says, code, {name: text}, layers=name)


def given(what: str, says: str, more: str = "", code: int = 3, files: Mapping[str, str | bytes] | None = None) -> Bad:
    """Return features of other programs that cannot be scored."""
    command = f"score --features f.npy --stimulus-ids ids.txt --on lab.toml {more}"
    return Bad(what, command, code, says, {**RECORDED, **(files or {})})


OPTIONS = [
    asked("a projection without a number", "--projection sparse", "The number, from 1"),
    asked("an unknown projection", "--projection umap-10", "Unknown projection 'umap-10'"),
    asked("a projection to nothing", "--projection pca-0", "The number, from 1"),
    asked("no resamples of a score", "--resamples 0", "--resamples"),
    asked("a seed of scores below zero", "--seed -1", "--seed"),
    asked("memory that is no amount", "--memory lots", "a size such as 4GB"),
    asked("less memory than anything needs", "--memory 1KB", "does not fit into a memory.*Raise", 4),
    asked("a device that nobody has", "--device tpu", "cpu, cuda"),
    asked("a GPU for scores that is not there", "--device cuda:9", "asks for GPU 9"),
    asked("a batch of no images", "--batch-size 0", "--batch-size"),
    asked("no pass through the network", "--max-passes 0", "--max-passes"),
    asked("no thread", "--threads 0", "--threads"),
    asked("a benchmark from no file of Python", "--on none.py", "none.py", 3),
    asked("a benchmark from no file of recordings", "--on none.h5:V1", "none.h5", 3),
    asked("recordings that are a pipe", "--on p.h5:V1", "is a pipe or a device", 3, {"p.h5|": ""}),
    asked("an unknown preprocessing", "--preprocessing imagenet", "brainscore"),
    asked("a network that sees no pixel", "--image-size 0", "--image-size"),
    asked("an image of a million pixels a side", "--image-size 1000000", "at most 8192"),
    asked("a view of no width", "--degrees 0", "--degrees"),
    asked("a view of no known width", "--degrees nan", "finite number"),
    asked("components of images that are not there", "--projection pca-3 --projection-images none", "no images in", 3),
    asked("an unknown formula", "--formula r2", r"r\^2/c"),
    asked("an unknown metric", "--metric plz", "Did you mean 'pls'"),
    asked("an unknown design", "--design loo", "k-fold"),
    asked("a design that the images have no label for", "--design train-test", "no label 'split'; it has none", 3),
    asked("all images for testing", "--fixed-test 1.5", "at most 0.9"),
    asked("no image for testing", "--fixed-test 0", "more than 0"),
    asked("a mapping on many images", "--mapping-samples many", "a share such as 10%"),
    asked("a mapping on no images", "--mapping-samples 0%", "a share such as 10%"),
    asked("a mapping on twice the images", "--mapping-samples 200%", "a share such as 10%"),
    asked("a mapping on a comma", "--mapping-samples ,", "without any amount"),
    asked("a mapping on more images than there are", "--mapping-samples 5000", "there are fewer", 3),
    asked("no subset for a mapping", "--mapping-samples 50% --mapping-seeds 0", "--mapping-seeds"),
    asked("scores of no neuroid", "--mapping-neuroids 0", "`--mapping-neuroids` is 0"),
    asked("scores of more neuroids than there are", "--mapping-neuroids 5000", "there are fewer", 3),
    asked("a mapping on no repetition", "--mapping-repetitions 0", "`--mapping-repetitions` is 0"),
    asked("a mapping on more repetitions than there are", "--mapping-repetitions 50", "shown 3 times only", 3),
    asked("an unknown cache", "--cache yes", "products"),
    asked("an architecture of what has one", "--arch resnet18", "says what network it is"),
    asked("rows to compare with that are not there", "--expect none.csv", "none.csv", 3),
    asked(
        "rows to compare with of another table", "--expect e.csv", "no column 'model_id'", 3, {"e.csv": "a,b\n1,2\n"}
    ),
    asked("a tolerance below zero", "--tolerance -1", "--tolerance"),
    asked("a store in place of a file", "--out f.npy", "it is a file"),
    asked("layers to a file of another kind", "--commit l.yaml", ".toml or .json"),
    asked("scores of layers in place of a folder", "--layers-table images", "folder of that name"),
    asked("scores of layers over the benchmark", "--layers-table lab.toml", "it is what this command reads"),
    Bad(
        "one name for two networks",
        f"score {TINY} untrained:resnetflex-w3-d1-1-1 --on lab.toml --name a --dry-run",
        2,
        "`--name` is of one model",
        RECORDED,
    ),
    Bad(
        "one table of layers for two networks",
        f"score {TINY} untrained:resnetflex-w3-d1-1-1 --on lab.toml --layers-table l.csv --dry-run",
        2,
        "`--layers-table` is of one model",
        RECORDED,
    ),
    asked("a pattern of layers that none has", "", "No layer matches", layers="layer9.*"),
    asked("a layer that is misspelt", "", "Did you mean 'layer1'", layers="layr1"),
    asked("layers from no file", "", "none.toml", 3, layers="none.toml"),
    committed("layers that are no TOML", "layers =", "not valid TOML"),
    committed("layers without their table", "IT = 'layer1'", "no table 'layers'"),
    committed("layers with an unknown key", '{"layers": {"IT": "layer1"}, "modle": "a"}', "'model'", name="l.json"),
    committed("layers that are nested deeply", DEEP_JSON, "nested too deeply", name="l.json"),
    committed("layers of another region", "layers = { V1 = 'layer1' }", "No layer is committed to IT"),
    committed("layers that the network lacks", "layers = { IT = 'layer9' }", "Unknown layer"),
    committed("a layer that is a number", "layers = { IT = 3 }", "commits 3 to IT"),
    committed("a region that is misspelt", "layers = { it = 'layer1' }", "Did you mean 'IT'"),
    Bad("a network and features", f"score {TINY} --features f.npy --on lab.toml", 2, "give one or the other", RECORDED),
    Bad(
        "labels without features", f"score {TINY} --stimulus-ids ids.txt --on lab.toml", 2, "none were given", RECORDED
    ),
    Bad("features of another format", "score --features f.txt", 2, r"ends in .npy", {"f.txt": "1 2"}),
    Bad("features that are not there", "score --features none.npy", 3, "none.npy"),
    Bad("features without labels", "score --features f.npy --on lab.toml", 3, "--stimulus-ids", RECORDED),
    Bad("labels that are not there", "score --features f.npy --stimulus-ids n.txt", 3, "n.txt", RECORDED),
    given("fewer labels than features", "expected 2 rows", files={"ids.txt": "00\n01"}),
    given(
        "one label twice",
        "two rows of the image '10'",
        files={"ids.txt": "\n".join([*(f"{k:02d}" for k in range(11)), "10"])},
    ),
    given("labels of other images", "lack 12 of the 12 images", files={"ids.txt": "\n".join("abcdefghijkl")}),
    given("labels in UTF-16", "ids.txt.*UTF-16.*iconv", files={"ids.txt": "00\n01".encode("utf-16")}),
    given("features that are not finite", "hold nan at image 0", files={"f.npy": npy_of(np.full((12, 9), np.nan))}),
    given("features that are texts", "expected real numbers", files={"f.npy": npy_of(np.array([["a", "b"]] * 12))}),
    given("features that are complex", "expected real numbers", files={"f.npy": npy_of(np.ones((12, 9)) * 1j)}),
    given("one number for all images", "expected 12 rows", files={"f.npy": npy_of(np.array(3.0))}),
    given("no feature", "1 feature", files={"f.npy": npy_of(np.zeros((12, 0)))}),
    given("features that do not differ", "differs between images", files={"f.npy": npy_of(np.ones((12, 9)))}),
    given("half a file of features", "f.npy", files={"f.npy": npy_of(np.ones((12, 9)))[:90]}),
    given(
        "a file that claims terabytes",
        "f.npy",
        files={"f.npy": npy_of(np.ones((12, 9))).replace(b"(12, 9), ", b"(12, 99999999999999), ")},
    ),
    Bad("an archive of no array", "score --features f.npz --on lab.toml", 3, "f.npz", {**RECORDED, "f.npz": zip_of()}),
    Bad("an archive that is a text", "score --features f.npz", 3, "it is no NumPy file", {"f.npz": "no"}),
    Bad("features that are no HDF5", "score --features f.h5", 3, "f.h5", {"f.h5": "no"}),
    Bad("features that are a pipe", "score --features f.npy", 3, "is a pipe or a device", {"f.npy|": ""}),
]


def lab(what: str, text: str, says: str, code: int = 2, files: Mapping[str, str | bytes] | None = None) -> Bad:
    """Return a benchmark that cannot be read."""
    return Bad(what, "check lab.toml", code, says, {"lab.toml": text, **LAB_FILES, **(files or {})})


RECORDINGS = [
    Bad("a benchmark from no file", "check none.toml", 3, "none.toml"),
    lab("a benchmark that is no TOML", "a =", "not valid TOML"),
    lab("a benchmark that is nested deeply", DEEP_TOML, "nested too deeply"),
    lab("a benchmark without a name", "region = 'IT'\n", "benchmark_id"),
    lab("a benchmark with an unknown key", LAB.replace("region", "regoin"), "regoin"),
    lab("stimuli that are no table", 'benchmark_id = "a"\nregion = "IT"\nstimuli = 3\nassembly = 4\n', "stimuli"),
    lab("an angle that is a text", LAB.replace("8", "'wide'"), "degrees"),
    lab("a version that is a text", LAB.replace("region", "version = 'two'\nregion"), "version"),
    lab("images that are not there", LAB.replace('"images"', '"pictures"'), "pictures", 3),
    lab("responses that are not there", LAB.replace("r.npy", "q.npy"), "q.npy", 3),
    lab("responses that are no array", LAB, "r.npy", 3, {"r.npy": "no"}),
    lab("responses to other images", LAB, "4", 3, {"r.npy": npy_of(np.zeros((7, 3)))}),
    lab("axes that do not fit", LAB.replace('"image", ', ""), "axes", 2),
    lab("an axis of an unknown name", LAB.replace("neuroid", "cell"), "cell"),
    lab("recordings that are no HDF5", OF_NETCDF, "r.nc", 3, {"r.nc": "no"}),
    lab("axes of a NetCDF file", LAB.replace("r.npy", "r.nc"), "describes an array", 2, {"r.nc": "no"}),
    lab("half an HDF5 file", OF_NETCDF, "r.nc", 3, {"r.nc": b"\x89HDF\r\n\x1a\n" + bytes(100)}),
    Bad("a benchmark of a file without one", "check b.py", 2, "b.py", {"b.py": "x = 3\n"}),
    Bad("a benchmark whose file fails", "check b.py", 2, "ZeroDivisionError", {"b.py": "1 / 0\n"}),
    Bad("recordings of nobody", "prepare-brain nobody --raw raw", 2, "nobody"),
    Bad("raw recordings that are not there", "prepare-brain tvsd --raw raw --out o", 3, "raw"),
]


def study(what: str, text: str, says: str, code: int = 2, more: str = "") -> Bad:
    """Return a study that cannot be planned."""
    return Bad(what, f"study plan s.toml --out o {more}", code, says, {"s.toml": text})


def changed(what: str, change: str, says: str) -> Bad:
    """Return a change of the demo that makes no study."""
    return Bad(what, f"study plan demo --out o --set '{change}'", 2, says)


STUDIES = [
    Bad("a study from nowhere", "study plan none.toml", 3, "none.toml"),
    Bad("an unknown study", "study plan dmeo", 3, "Did you mean 'demo'"),
    Bad("the state of nothing", "study status none", 3, "none"),
    Bad("a report of nothing", "study report none", 3, "none"),
    study("a study that is no TOML", "name =", "not valid TOML"),
    study("a study that is nested deeply", DEEP_TOML, "nested too deeply"),
    study("an empty study", "", "The key 'name' is missing"),
    study("a study with an unknown key", "[axis]\narch = ['a']\n", "axis"),
    study("a study without its network", "name = 's'\n[axes]\nseed = [0]\n", "arch"),
    study("a name that leads out", "name = '../../x'\n[axes]\narch = ['resnet18']\n", r"\.\./\.\./x"),
    Bad("a change without a value", "study plan demo --out o --set engine", 2, "KEY=VALUE"),
    Bad("a change of nothing known", "study plan demo --out o --set engin.workers=3", 2, "engin"),
    Bad("no workers for a study", "study run demo --out o --workers 0", 2, "--workers"),
]

CHANGES = [
    changed("an unknown axis", 'axes.archs=["resnet18"]', "Did you mean 'arch'"),
    changed("an axis without values", "axes.seed=[]", "has no value"),
    changed("a seed that is a text", 'axes.seed=["a"]', "expected a whole number"),
    changed("a seed of a run below zero", "axes.seed=[-1]", "expected at least 0"),
    changed("an unknown architecture", 'axes.arch=["resnet19"]', "Did you mean 'resnet18'"),
    changed("an architecture that is a number", "axes.arch=[18]", "expected text"),
    changed("an unknown data set", 'axes.dataset="digit"', "Did you mean 'digits'"),
    changed("an unknown recipe of runs", 'axes.recipe="tinny"', "Did you mean 'tiny'"),
    changed("an unknown key of the recipe", "axes.recipe.lr=3", "Unknown key 'lr' in the recipe 'tiny'"),
    changed("more images of a class than all images", "axes.samples_per_class=[100000]", "has 1097 in all"),
    changed("an unknown rule of a run's images", 'axes.subset_rule="odd"', "Known: nested, published, uniform"),
    changed("a share of no recordings", "axes.finetune_fraction=[0]", "expected more than 0"),
    changed("a mapping on twice the recordings", 'axes.mapping_samples=["200%"]', "a share such as 10%"),
    changed("a way to fine-tune that is not described", 'axes.finetune=["b"]', r"Describe it in \[finetune.b\]"),
    changed("a way to fine-tune on nothing", "finetune.a={ epochs = 3 }", "'on' is missing"),
    changed("a way not to fine-tune", 'finetune.none={ on = ["simulated"] }', "not tuned"),
    changed("a benchmark of nobody in a study", 'score.benchmarks=["nobody"]', "Unknown benchmark 'nobody'"),
    changed("layers of one region for five", 'score.layers={ V1 = "conv1" }', "names none for IT, V2, V4, behavior"),
    changed("layers by an unknown rule", 'score.layers="best"', "one of 'committed', 'select' or a table"),
    changed("a layer that no network has", 'score.layers.IT="layer9"', "Unknown layer of .*'layer9'"),
    changed("an unknown option of scoring", "score.options={ sed = 0 }", "Did you mean 'seed'"),
    changed("an option of scoring out of bounds", "score.options={ resamples = 0 }", "at least 1"),
    changed("an option that the study sets itself", 'score.options={ device = "cuda" }', "the study itself sets it"),
    changed("weights of an epoch that is not kept", "score.epochs=[7]", "after epoch 7"),
    changed("an unknown law of a study", 'laws.1.law="pwr"', "Did you mean 'power'"),
    changed("an unknown input of a law", 'laws.1.x=["speed"]', "'speed'"),
    changed("two inputs of a law of one", 'laws.1.x=["train_flop", "n_params"]', "has 2 inputs"),
    changed("an unknown outcome of a law", 'laws.0.y="speed"', "The law 'accuracy' may have misalignment"),
    changed("an unknown unit of a law", 'laws.0.by=["lab"]', "Known: arch, cell, family, row"),
    changed("a law that leads out of the study", 'laws.0.name="../.."', "cannot name a file or folder"),
    changed("two laws of one name", 'laws.1.name="accuracy"', "Two laws are named 'accuracy'"),
    changed("two laws that differ in capitals", 'laws.1.name="Accuracy"', "capitals or not"),
    changed("a law drawn less than never", "laws.0.resamples=-1", "at least 0"),
    changed("a budget of a law below zero", "laws.0.budgets=[-1.0]", "more than 0"),
    changed("a law that is not there", 'laws.9.name="a"', "no entry '9' among 2"),
    changed("a forecast by a law of one input", 'forecast.law="IT"', "goes by the law 'IT'"),
    changed("a forecast for nothing", "forecast.budget=0", "expected more than 0"),
    changed("a forecast too sure of itself", "forecast.level=0.99", "at most 0.875"),
    changed("a forecast of an unknown network", 'forecast.arch=["resnet19"]', "Did you mean 'resnet18'"),
    changed("a forecast for an unknown unit", 'forecast.by="lab"', "Known: arch, cell, family, row"),
    changed("an unknown figure of a study", 'report.figures=["acuracy"]', "Did you mean 'accuracy'"),
    changed("an unknown scheduler", 'engine.kind="slrum"', "one of 'local', 'slurm'"),
    changed("fewer workers than none", "engine.workers=-3", "at least 0"),
    changed("workers without memory", "engine.mem_gb=0", "more than 0"),
    changed("more GPUs than are named", "engine.gpus_per_task=2", "names 0 in `gpus`"),
    changed("two nodes on one machine", "engine.nodes_per_task=2", "only on slurm"),
    changed("a device without rates", 'engine.device="tpu"', "a100, cpu, h100, h200"),
    changed("a silence too short to hear", "engine.silence_seconds=1", "at least 5"),
    changed("a time that is a text", 'engine.time_minutes="long"', "a whole number"),
    changed(
        "a line of a job script with a second one", r'engine.directives=["--a\nrm -rf x"]', "expected one line of text"
    ),
    changed("a queue with a second line", r'engine.partition="gpu\nrm -rf x"', "expected one line of text"),
    changed("containers without an image", 'engine.kind="kubernetes"', "needs `image`"),
    changed("a group with the name of all others", 'engine.groups=[{ name = "main" }]', "named 'main'"),
    changed("a group with a name of two words", 'engine.groups=[{ name = "a b" }]', "letters, digits"),
    changed("an exclusion of nothing", 'exclude=[{ arch = "vit*" }]', "matches no run"),
    changed("an inclusion without a network", "include=[{ seed = 9 }]", "has no 'arch'"),
    changed("a rule for no run", 'set=[{ where = { seed = 9 }, to = { recipe = "resnet" } }]', "matches no run"),
    changed("a name with a slash", 'name="a/b"', "letters, digits"),
    changed("half a seed", "seed=1.5", "a whole number"),
    changed("a study of two kinds", "diagnostics={ chains = 3 }", "Take one away"),
    Bad("a device of a plan without rates", "study plan demo --out o --device tpu", 2, "a100, cpu, h100, h200"),
    Bad("a change of what was never begun", "study resume demo --set axes.seed=[1]", 3, "There is no study in"),
    Bad(
        "a study among results of others",
        "study run demo --out o",
        2,
        "not the folder of a study",
        {"o/results/scores.parquet": "mine"},
    ),
    Bad("a study over the file of another", "study run demo --out o", 2, "holds 'spec.toml'", {"o/spec.toml": "mine"}),
    Bad("a study whose record is a pipe", "study status o", 3, "is a pipe or a device", {"o/spec.json|": ""}),
    Bad("a study that is a pipe", "study plan s.toml --out o", 3, "is a pipe or a device", {"s.toml|": ""}),
]

ALL = [
    *TABLES,
    *QUESTIONS,
    *PLANS,
    *FIGURES,
    *IMAGES,
    *TRAINING,
    *RECIPES,
    *SCORING,
    *OPTIONS,
    *RECORDINGS,
    *STUDIES,
    *CHANGES,
]
PARTS = {
    "Tables": TABLES, "Questions about a table": QUESTIONS, "Plans, designs and claims": PLANS, "Figures, lists and files": FIGURES,
    "Images": IMAGES, "Training": TRAINING, "Recipes and runs": RECIPES, "Scoring": SCORING, "Options of scoring": OPTIONS,
    "Recordings": RECORDINGS, "Studies": STUDIES, "Changes of a study": CHANGES,
}  # fmt: skip
