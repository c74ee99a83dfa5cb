"""Small files of exactly the formats of the public benchmarks, for tests: NetCDF-4, CSV and zip."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from PIL import Image

from vvscale.brain.benchmarks.public import COLLECTION, FILES
from vvscale.core.download import RemoteFile
from vvscale.core.hashing import hash_of

TEXTURES = ("assy_movshon_FreemanZiemba2013_public.nc", "stimulus_FreemanZiemba2013_aperture-public")
OBJECTS = ("assy_dicarlo_MajajHong2015_public.nc", "stimulus_hvm-public")
CHOICES = ("assy_dicarlo_Rajalingham2018_public.nc", "stimulus_objectome_public")


def text(values: Any) -> np.ndarray:
    return np.array(list(values), dtype=object)


def images(n: int, seed: int, size: int = 32) -> dict[str, bytes]:
    """Return n grey PNG images by the SHA-1 of their content, in no order."""
    rng = np.random.default_rng(seed)
    made = {}
    for _ in range(n):
        content = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (size, size)).astype(np.uint8)).save(content, "PNG")
        made[hashlib.sha1(content.getvalue()).hexdigest()] = content.getvalue()
    return made


def write_stimuli(
    folder: Path, stem: str, pictures: dict[str, bytes], columns: dict[str, Any], key: str
) -> pd.DataFrame:
    """Write a table and an archive with files named by hash; return the table."""
    table = pd.DataFrame({key: list(pictures), **columns, "filename": [f"{name}.png" for name in pictures]})
    table.to_csv(folder / f"{stem}.csv", index=False)
    with zipfile.ZipFile(folder / f"{stem}.zip", "w") as archive:
        for name, content in pictures.items():
            archive.writestr(f"{name}.png", content)
    return table


def write_netcdf(path: Path, data: xr.DataArray, *, engine: str = "h5netcdf", **encoding: Any) -> xr.DataArray:
    """Write an array as the reference does: indexes reset to flat coordinates, the array compressed."""
    flat = data.reset_index(list(data.indexes)) if data.indexes else data
    dataset = flat.to_dataset(name="data")
    dataset.to_netcdf(path, engine=engine, encoding={"data": encoding} if encoding else None)
    return data


def textures(folder: Path, *, n: int = 30, n_repetitions: int = 4, seed: int = 0, **encoding: Any) -> xr.DataArray:
    """Write spikes of V1 and V2 in 300 bins of 1 ms; presentations carry repetition and image_id only."""
    rng = np.random.default_rng(seed)
    pictures = images(n, seed)
    kinds = ["noise" if number % 2 else "texture" for number in range(n)]
    write_stimuli(folder, TEXTURES[1], pictures, {"id": range(n), "texture_type": kinds, "sample": 1}, "image_id")
    image = np.tile(np.arange(n), n_repetitions)
    names = text(pictures)[image]
    rate = rng.uniform(0.05, 0.5, (7, 1, n))[:, :, image]
    data = xr.DataArray(
        (rng.random((7, 300, len(image))) < rate).astype(np.float64),
        dims=("neuroid", "time_bin", "presentation"),
        coords={
            "repetition": ("presentation", np.repeat(np.arange(n_repetitions), n)),
            "image_id": ("presentation", names),
            "neuroid_id": ("neuroid", np.arange(1, 8)),
            "region": ("neuroid", text(["V1", "V1", "V2", "V1", "V2", "V1", "V2"])),
            "time_bin_start": ("time_bin", np.arange(300)),
            "time_bin_end": ("time_bin", np.arange(1, 301)),
        },
    )
    encoding = encoding or {"zlib": True, "complevel": 9}
    return write_netcdf(folder / TEXTURES[0], data, **encoding)


def objects(folder: Path, *, n: int = 48, seed: int = 1, **encoding: Any) -> xr.DataArray:
    """Write float32 rates of V4 and IT in the one bin 70 to 170 ms; images differ in their repetitions."""
    rng = np.random.default_rng(seed)
    pictures = images(n, seed)
    labels = {"object_name": [f"object{number % 4}" for number in range(n)], "rxy": rng.uniform(0, 1, n)}
    table = write_stimuli(folder, OBJECTS[1], pictures, {**labels, "variation": 3}, "stimulus_id")
    counts = rng.integers(6, 9, n)
    image, repetition = np.repeat(np.arange(n), counts), np.concatenate([np.arange(count) for count in counts])
    order = rng.permutation(len(image))
    image, repetition = image[order], repetition[order]
    names = text(pictures)[image]
    signal = rng.standard_normal((n, 8)) @ rng.standard_normal((8, 12))
    values = (signal[image] + rng.standard_normal((len(image), 12))).astype(np.float32)
    data = xr.DataArray(
        values[:, :, None],
        dims=("presentation", "neuroid", "time_bin"),
        coords={
            "image_id": ("presentation", names),
            "repetition": ("presentation", repetition),
            "stimulus": ("presentation", names),
            "stimulus_id": ("presentation", names),
            "object_name": ("presentation", text(table["object_name"])[image]),
            "rxy": ("presentation", table["rxy"].to_numpy()[image]),
            "neuroid_id": ("neuroid", text(f"Chabo_L_M_5_{number}" for number in range(12))),
            "region": ("neuroid", text(["IT", "V4", "IT", "V4", *["IT"] * 5, *["V4"] * 3])),
            "animal": ("neuroid", text(["Chabo"] * 12)),
            "time_bin_start": ("time_bin", [70]),
            "time_bin_end": ("time_bin", [170]),
        },
    )
    encoding = encoding or {"zlib": True, "complevel": 9}
    return write_netcdf(folder / OBJECTS[0], data, **encoding)


def choices(folder: Path, *, n: int = 24, trials_per_image: int = 30, seed: int = 2) -> pd.DataFrame:
    """Write what observers chose, as text; return one row per trial."""
    rng = np.random.default_rng(seed)
    pictures = images(n, seed)
    names, shown = text(pictures), text(f"object{number % 4}" for number in range(n))
    write_stimuli(folder, CHOICES[1], pictures, {"image_label": shown, "image_sample_obj": shown}, "stimulus_id")
    image = rng.permutation(np.repeat(np.arange(n), trials_per_image))
    truth = image % 4
    distractor = (truth + rng.integers(1, 4, len(image))) % 4
    is_right = rng.random(len(image)) < rng.uniform(0.55, 0.95, (n, 4))[image, distractor]
    chosen = np.where(is_right, truth, distractor)
    table = pd.DataFrame(
        {
            "sample_obj": [f"object{number}" for number in truth],
            "dist_obj": [f"object{number}" for number in distractor],
            "choice": [f"object{number}" for number in chosen],
            "image_id": names[image],
            "WorkerID": [f"worker{number}" for number in rng.integers(0, 9, len(image))],
            "truth": [f"object{number}" for number in truth],
        }
    )
    coords = {name: ("presentation", text(column)) for name, column in table.items()}
    write_netcdf(folder / CHOICES[0], xr.DataArray(text(table["choice"]), dims=("presentation",), coords=coords))
    return table


def catalogue(folder: Path) -> dict[str, RemoteFile]:
    """Return the table of public files with the hashes of those in a folder."""
    return {
        name: replace(file, digest=hash_of(folder / name, "sha1"))
        for name, file in FILES.items()
        if (folder / name).is_file()
    }


def mirror_folder(root: Path) -> Path:
    """Return the folder of a mirror that holds the files, made if need be."""
    folder = root / COLLECTION
    folder.mkdir(parents=True, exist_ok=True)
    return folder
