# ruff: noqa: E501 - one honest file a line
"""What is fuzzed: each reader of a file that somebody else may have written, with honest files to begin from."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import torch
from PIL import Image

from vvscale.errors import VvscaleError

Files = dict[str, bytes]
"""Name -> content of the files of one input; the first is the one that is changed most."""


@dataclass(frozen=True)
class Reader:
    """One reader.

    Attributes
    ----------
    seeds
        Makes honest inputs.
    read
        Reads one from the folder that holds its files.
    allowed
        Errors beside VvscaleError that are its way to refuse, caught by its caller.
    """

    seeds: Callable[[Path], list[Files]]
    read: Callable[[Path], object]
    allowed: tuple[type[Exception], ...] = ()


def _table() -> pd.DataFrame:
    rows = [(f"m{k}", region, f"{region}-b", 0.1 * k + 0.05, 1e15) for k in range(3) for region in ("V1", "IT")]
    return pd.DataFrame(rows, columns=["model_id", "region", "benchmark_id", "score", "train_flop"])


def _csv(folder: Path) -> list[Files]:
    plain, other = _table().to_csv(index=False), _table().to_csv(index=False, sep=";", decimal=",")
    quoted = 'model_id,region,benchmark_id,score\n"a ""b"", c",V1,b,0.5\n'
    return [{"a.csv": text.encode()} for text in (plain, other, "\ufeff" + plain, quoted)]


def _parquet(folder: Path) -> list[Files]:
    seeds = []
    for table in (_table(), _table().astype({"region": "category"})):
        table.to_parquet(folder / "a.parquet")
        seeds.append({"a.parquet": (folder / "a.parquet").read_bytes()})
    return seeds


def _scores(name: str) -> Callable[[Path], object]:
    def read(folder: Path) -> object:
        from vvscale.laws.rows import load_rows
        from vvscale.scores import load_scores

        with contextlib.suppress(VvscaleError):  # any table may be fitted
            load_scores(folder / name)
        return load_rows(folder / name, regions=["V1", "IT"])

    return read


def _checkpoints(folder: Path) -> list[Files]:
    from vvscale.models import build_model

    network, base = build_model("resnetflex-w2-d1-1-1", n_classes=3, image_size=8, seed=0), torch.arange(24.0)
    content = {
        "state_dict": OrderedDict(network.state_dict(), half=base.half(), part=base[3:9]), "n": np.float64(1.5),
        "rng": np.random.RandomState(0).get_state(), "args": argparse.Namespace(lr=0.1), "epoch": 3,
    }  # fmt: skip
    seeds = []
    for is_zip in (True, False):
        file = io.BytesIO()
        torch.save(content, file, _use_new_zipfile_serialization=is_zip)
        seeds.append({"a.pth": file.getvalue()})
    # The pickle alone, so that changes do not break the archive around it.
    with zipfile.ZipFile(io.BytesIO(seeds[0]["a.pth"])) as archive:
        seeds.append(
            {name: archive.read(name) for name in sorted(archive.namelist(), key=lambda one: "pkl" not in one)}
        )
    return seeds


def _read_checkpoint(folder: Path) -> object:
    from vvscale.models.foreign import load_foreign

    path = folder / "a.pth"
    if not path.exists():
        with zipfile.ZipFile(path, "w") as archive:
            for part in sorted(one for one in folder.rglob("*") if one.is_file() and one != path):
                archive.write(part, part.relative_to(folder))
    return load_foreign(path, arch="resnetflex-w2-d1-1-1")


def _weights(folder: Path) -> list[Files]:
    from vvscale.models import build_model, model_record, save_weights

    module = build_model("resnetflex-w2-d1-1-1", n_classes=3, image_size=8, seed=0)
    save_weights(folder / "weights.safetensors", module, model_record(module))
    names = ("weights.json", "weights.safetensors")
    files = {name: (folder / name).read_bytes() for name in names}
    record = json.loads(files["weights.json"])
    # Of the first version, without a digest of its own: changes reach what is read.
    del record["content_sha256"]
    old = json.dumps(record | {"format": "vvscale-weights-1"}).encode()
    return [files, {"weights.json": old, "weights.safetensors": files["weights.safetensors"]}]


def _read_weights(folder: Path) -> object:
    from vvscale.models import load_model

    return load_model(folder)


def _safetensors(folder: Path) -> list[Files]:
    return [{"a.safetensors": _weights(folder)[0]["weights.safetensors"]}]


def _read_safetensors(folder: Path) -> object:
    from vvscale.models import load_model

    return load_model(folder / "a.safetensors", arch="resnetflex-w2-d1-1-1")


def _image_files() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    pictures = {}
    for name, mode in (
        ("a.png", "RGB"),
        ("b.jpg", "RGB"),
        ("c.gif", "P"),
        ("d.tif", "L"),
        ("e.png", "RGBA"),
        ("f.bmp", "1"),
    ):
        file = io.BytesIO()
        picture = Image.fromarray(rng.integers(0, 256, (9, 8, 3), dtype=np.uint8)).convert(mode)
        picture.save(file, {"jpg": "jpeg", "tif": "tiff"}.get(name[2:], name[2:]))
        pictures[name] = file.getvalue()
    wide = io.BytesIO()
    Image.fromarray(np.linspace(0, 65535, 72).astype(np.uint16).reshape(9, 8)).save(wide, "png")
    return pictures | {"g.png": wide.getvalue()}


def _images(folder: Path) -> list[Files]:
    return [{name: content} for name, content in _image_files().items()]


def _read_image(folder: Path) -> object:
    from vvscale.brain.inputs.screen import as_rgb, open_stimulus
    from vvscale.brain.inputs.stimuli import StimulusSet
    from vvscale.data.prepare.decode import decode, read_header

    path = next(folder.iterdir())
    stimuli = StimulusSet("fuzz", pd.DataFrame(index=["a"]), degrees=8.0, paths=(path,))
    with contextlib.suppress(VvscaleError):
        as_rgb(open_stimulus(stimuli, 0))
    read_header(folder, path.name, 8)
    return decode(path.read_bytes(), 8)


def _sources(folder: Path) -> list[Files]:
    pictures = _image_files()
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for name, content in {
            "0.jpg": pictures["b.jpg"],
            "0.cls": b"1",
            "1.png": pictures["a.png"],
            "1.json": b'{"label": 0}',
        }.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    annotated = {"images": [{"id": 1, "file_name": "a.png"}], "annotations": [{"image_id": 1, "category_id": 0}],
                 "categories": [{"id": 0, "name": "cat"}]}  # fmt: skip
    idx = b"\0\0\x08\x03" + b"\0\0\0\2\0\0\0\3\0\0\0\3" + bytes(18)
    xml = b"<annotation><object><name>n1</name></object></annotation>"
    base = "ILSVRC/Data/CLS-LOC"
    return [
        {"train/s.tar": tar.getvalue(), "val/s.tar": tar.getvalue()},
        {"train.json": json.dumps(annotated).encode(), "val.json": json.dumps(annotated).encode(), "a.png": pictures["a.png"]},
        {"train-images-idx3-ubyte": idx, "train-labels-idx1-ubyte": b"\0\0\x08\1\0\0\0\2\0\1", "t10k-images-idx3-ubyte": idx,
         "t10k-labels-idx1-ubyte": b"\0\0\x08\1\0\0\0\2\1\0"},
        {"ILSVRC/Annotations/CLS-LOC/val/v.xml": xml, f"{base}/train/n1/a.png": pictures["a.png"], f"{base}/val/v.png": pictures["a.png"]},
        {"LOC_val_solution.csv": b"ImageId,PredictionString\nv,n1 1 2 3 4\n", f"{base}/train/n1/a.png": pictures["a.png"],
         f"{base}/val/v.png": pictures["a.png"]},
        {"categories_places365.txt": b"/a/cat 0\n/b/dog 1\n", "places365_train_standard.txt": b"/a/cat/a.png 0\n/b/dog/a.png 1\n",
         "places365_val.txt": b"a.png 0\n", "train/a/cat/a.png": pictures["a.png"], "train/b/dog/a.png": pictures["a.png"],
         "val/a.png": pictures["a.png"]},
        {"info/train_filelist_google.txt": b"google/a.png 0\n", "info/val_filelist.txt": b"a.png 0\n", "google/a.png": pictures["a.png"],
         "val/a.png": pictures["a.png"]},
        {"list.txt": b"path,label\na.png,0\n", "a.png": pictures["a.png"]},
    ]  # fmt: skip


def _read_source(folder: Path) -> object:
    from vvscale.data import prepare_images

    options = {"train_list": folder / "list.txt"} if (folder / "list.txt").exists() else {}
    out = folder.with_name(f"{folder.name}-out")
    return prepare_images(
        folder, out, val_fraction=0.5 if options else None, workers=1, size=8, dry_run=True, **options
    )


def _prepared(folder: Path) -> list[Files]:
    from vvscale.data import prepare_images

    for split in ("train", "val"):
        for name in ("cat", "dog"):
            (folder / "source" / split / name).mkdir(parents=True)
            (folder / "source" / split / name / "a.png").write_bytes(_image_files()["a.png"])
    prepare_images(folder / "source", folder / "out", workers=1)
    files = {
        str(path.relative_to(folder / "out")): path.read_bytes()
        for path in (folder / "out").rglob("*")
        if path.is_file()
    }
    first = ("train/manifest.json", "train/index.parquet", "val/manifest.json")
    return [{name: files[name], **files} for name in first]


def _read_prepared(folder: Path) -> object:
    from vvscale.data import Evaluation, Loader, load_dataset

    dataset = load_dataset(folder)
    evaluation = Evaluation(image_size=8, resize=8)
    return [list(Loader(one, transform=evaluation, batch_size=2).epoch(0)) for one in (dataset.train, dataset.val)]


def _recipe(folder: Path) -> list[Files]:
    from vvscale.train import recipe as module

    folder = Path(module.__file__).with_name("recipes")
    return [{"a.toml": path.read_bytes()} for path in sorted(folder.glob("*.toml"))]


def _read_recipe(folder: Path) -> object:
    from vvscale.train import load_recipe

    return load_recipe(str(folder / "a.toml"))


def _study(folder: Path) -> list[Files]:
    import vvscale.study.spec.schema as schema

    return [{"a.toml": path.read_bytes()} for path in sorted(schema.named_specs().values())[:3]]


def _read_study(folder: Path) -> object:
    from vvscale.study.spec.schema import load_spec

    return load_spec(folder / "a.toml")


def _commitment(folder: Path) -> list[Files]:
    held = {"format": "vvscale-layers-1", "layers": {"V1": "conv1", "IT": "layer4"}, "model": "m", "decided_by": "b"}
    return [{"a.json": json.dumps(held).encode()}, {"a.toml": b'model = "m"\n[layers]\nV1 = "conv1"\n'}]


def _read_commitment(folder: Path) -> object:
    from vvscale.brain.scoring.layers import read_commitment

    return read_commitment(next(folder.iterdir()))


def _stimuli(folder: Path) -> list[Files]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.png", _image_files()["a.png"])
        file.writestr("b/b.jpg", _image_files()["b.jpg"])
    table = b"stimulus_id,filename,object_name\nx,a.png,cat\ny,b/b.jpg,dog\n"
    return [{"a.csv": table, "a.zip": archive.getvalue()}, {"a.zip": archive.getvalue(), "a.csv": table}]


def _read_stimuli(folder: Path) -> object:
    from vvscale.brain.recordings.stimulus_files import read_stimulus_set

    return read_stimulus_set(
        folder / "a.csv", folder / "a.zip", identifier="fuzz", degrees=8.0, folder=folder / "unpacked"
    )


def _netcdf(folder: Path) -> list[Files]:
    import xarray as xr

    rng = np.random.default_rng(0)
    neural = xr.DataArray(
        rng.normal(size=(8, 3, 1)), dims=("presentation", "neuroid", "time_bin"),
        coords={"stimulus_id": ("presentation", [f"s{k % 4}" for k in range(8)]), "repetition": ("presentation", [0] * 4 + [1] * 4),
                "neuroid_id": ("neuroid", ["a", "b", "c"]), "region": ("neuroid", ["IT"] * 3),
                "time_bin_start": ("time_bin", [70]), "time_bin_end": ("time_bin", [170])},
        name="dicarlo",
    )  # fmt: skip
    neural.to_netcdf(folder / "a.nc", engine="h5netcdf")
    neural.astype("float32").drop_vars(["stimulus_id", "neuroid_id", "region"]).to_netcdf(
        folder / "b.nc", engine="scipy"
    )
    return [{"a.nc": (folder / name).read_bytes()} for name in ("a.nc", "b.nc")]


def _read_netcdf(folder: Path) -> object:
    from vvscale.brain.recordings.netcdf import read_neural

    return read_neural(folder / "a.nc", assembly_id="fuzz", region="IT", time_bin=(70, 170))


def _features(folder: Path) -> list[Files]:
    rng = np.random.default_rng(0)
    np.save(folder / "a.npy", rng.normal(size=(4, 3)))
    np.savez_compressed(folder / "a.npz", conv=rng.normal(size=(4, 3)), stimulus_id=np.array(list("abcd")))
    with h5py.File(folder / "a.h5", "w") as file:
        file["conv"], file["stimulus_id"] = rng.normal(size=(4, 3)), np.array([b"a", b"b", b"c", b"d"])
    return [{name: (folder / name).read_bytes()} for name in ("a.npy", "a.npz", "a.h5")]


def _read_features(folder: Path) -> object:
    from vvscale.brain.scoring.features import read_features

    return read_features(next(folder.iterdir()))


def _run(folder: Path) -> list[Files]:
    from vvscale.train import RunSpec, load_recipe, train

    recipe = load_recipe("tiny", {"schedule.steps": 2, "batch_size": 16})
    train(RunSpec("resnetflex-w2-d1-1-1", "digits", recipe, samples_per_class=2), out=folder / "run", device="cpu")
    files = {
        str(path.relative_to(folder / "run")): path.read_bytes()
        for path in (folder / "run").rglob("*")
        if path.is_file()
    }
    return [{name: files[name], **files} for name in ("spec.json", "result.json", "weights.json", "log.jsonl")]


def _read_run(folder: Path) -> object:
    from vvscale.train import RunSpec, load_recipe, train

    recipe = load_recipe("tiny", {"schedule.steps": 2, "batch_size": 16})
    return train(RunSpec("resnetflex-w2-d1-1-1", "digits", recipe, samples_per_class=2), out=folder, device="cpu")


def _plan(folder: Path) -> list[Files]:
    from vvscale.study.graph.graph import Graph

    builder = Graph({"a": "1", "b": "1"})
    first = builder.add(
        "a", {"x": 1.5, "recipe": {"name": "long", "settings": list(range(40))}}, label="first", publish={"o": "r/o"}
    )
    builder.add("b", {"y": None}, inputs={"one": first, "many": (first, first)}, label="second")
    builder.write(folder / "a.jsonl")
    spec = {"name": "s", "axes": {"arch": ["resnet18"], "seed": [0]}}
    return [{"a.jsonl": (folder / "a.jsonl").read_bytes()}, {"spec.json": json.dumps(spec).encode()}]


def _read_plan(folder: Path) -> object:
    from vvscale.study.graph.folder import StudyFolder
    from vvscale.study.graph.graph import Graph

    return Graph.read(folder / "a.jsonl") if (folder / "a.jsonl").exists() else StudyFolder(folder).spec()


def _claims(folder: Path) -> list[Files]:
    from vvscale.laws.claims import claim

    return [{"a.toml": Path(claim.__file__).with_name(f"{name}.toml").read_bytes()} for name in claim.PUBLISHED]


def _read_claims(folder: Path) -> object:
    from vvscale.laws.claims.claim import read_claims

    return read_claims(str(folder / "a.toml"))


def _benchmark(folder: Path) -> list[Files]:
    text = b"""benchmark_id = "L.IT"
region = "IT"
stratify_by = "kind"
[stimuli]
images = "images"
table = "s.csv"
degrees = 8.0
[assembly]
responses = "r.npy"
axes = ["neuroid", "image", "repetition"]
images = "order.txt"
[metric]
name = "ridge-cv"
alphas = [1.0, 10.0]
"""
    names = [f"i{k}" for k in range(4)]
    file = io.BytesIO()
    np.save(file, np.random.default_rng(0).normal(size=(3, 4, 2)))
    others = {f"images/{name}.png": _image_files()["a.png"] for name in names}
    others |= {"s.csv": ("stimulus_id,filename,kind\n" + "".join(f"{name},{name}.png,a\n" for name in names)).encode()}
    others |= {"r.npy": file.getvalue(), "order.txt": "\n".join(names).encode()}
    return [{"lab.toml": text, **others}, {"s.csv": others["s.csv"], "lab.toml": text, **others}]


def _read_benchmark(folder: Path) -> object:
    from vvscale.brain.benchmarks.described import read_benchmark

    return read_benchmark(folder / "lab.toml").assembly.mean


def _unreadable() -> tuple[type[Exception], ...]:
    from vvscale.data.prepare.decode import UnreadableError

    return (UnreadableError,)


READERS: dict[str, Reader] = {
    "csv": Reader(_csv, _scores("a.csv")),
    "parquet": Reader(_parquet, _scores("a.parquet")),
    "checkpoint": Reader(_checkpoints, _read_checkpoint),
    "weights": Reader(_weights, _read_weights),
    "safetensors": Reader(_safetensors, _read_safetensors),
    "image": Reader(_images, _read_image, _unreadable()),
    "source": Reader(_sources, _read_source),
    "prepared": Reader(_prepared, _read_prepared),
    "recipe": Reader(_recipe, _read_recipe),
    "study": Reader(_study, _read_study),
    "commitment": Reader(_commitment, _read_commitment),
    "stimuli": Reader(_stimuli, _read_stimuli),
    "netcdf": Reader(_netcdf, _read_netcdf),
    "features": Reader(_features, _read_features),
    "run": Reader(_run, _read_run),
    "plan": Reader(_plan, _read_plan),
    "claims": Reader(_claims, _read_claims),
    "benchmark": Reader(_benchmark, _read_benchmark),
}
