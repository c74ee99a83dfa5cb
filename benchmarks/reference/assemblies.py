"""Seeded recordings as the reference's packaging may write them: one plain file, and lawful variations of it.

Both environments make the same arrays from the same seed, the reference's to freeze its numbers, ours to test. Only
NumPy and xarray may be imported here.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

N_IMAGES, N_REPETITIONS, N_NEUROIDS, N_FEATURES = 48, 6, 8, 60
IMAGES = [f"im{number:03d}" for number in range(N_IMAGES)]
OBJECTS = [f"object{number % 4}" for number in range(N_IMAGES)]

# Coordinates that a variation has besides, and that the reference is run without: it would refuse the file.
IGNORED = {"session": ("session",), "nan_metadata": ("pose",)}


def features():
    """Return (N_IMAGES, N_FEATURES) features of the images in the order of IMAGES."""
    rng = np.random.default_rng(3)
    return np.round(latents() @ rng.standard_normal((10, N_FEATURES)) * 1024) / 1024


def latents():
    return np.random.default_rng(2).standard_normal((N_IMAGES, 10))


def plain(**changes):
    """Return presentations x neuroids x the one bin 70 to 170 ms, with coordinates in the order that is written."""
    rng = np.random.default_rng(4)
    image = np.tile(np.arange(N_IMAGES), N_REPETITIONS)
    order = np.argsort(rng.random(len(image)))
    image, repetition = image[order], np.repeat(np.arange(N_REPETITIONS), N_IMAGES)[order]
    signal = latents() @ rng.standard_normal((10, N_NEUROIDS))
    values = np.round((signal[image] + 2 * rng.standard_normal((len(image), N_NEUROIDS))) * 1024) / 1024
    coords = {
        "stimulus_id": ("presentation", np.array(IMAGES)[image]),
        "repetition": ("presentation", repetition),
        "neuroid_id": ("neuroid", [f"n{number}" for number in range(N_NEUROIDS)]),
        "region": ("neuroid", ["IT"] * N_NEUROIDS),
        "time_bin_start": ("time_bin", [70]),
        "time_bin_end": ("time_bin", [170]),
    }
    first = changes.pop("first", {})
    coords = {**{name: ("presentation", make(image)) for name, make in first.items()}, **coords}
    for name, change in changes.items():
        coords[name] = change(coords, image) if callable(change) else change
    kept = {name: value for name, value in coords.items() if value is not None}
    return xr.DataArray(values[:, :, None], dims=("presentation", "neuroid", "time_bin"), coords=kept)


def seconds():
    """Return 20 bins of 10 ms in seconds, of which 70 to 170 ms is meant."""
    one = plain().drop_vars(["time_bin_start", "time_bin_end"])
    scale = 1 + np.round(np.random.default_rng(5).random(20) * 64) / 64
    many = one.isel(time_bin=0) * xr.DataArray(scale, dims="time_bin")
    edges = np.arange(21) / 100
    return many.assign_coords(time_bin_start=("time_bin", edges[:-1]), time_bin_end=("time_bin", edges[1:]))


def nan_presentations():
    """Return the plain recordings with some responses missing."""
    made = plain()
    values = made.values.copy()
    values[np.random.default_rng(6).random(values.shape) < 0.05] = np.nan
    return made.copy(data=values)


def no_repetition():
    """Return the first repetition alone, without that coordinate."""
    # The reference does not read a presentation with one coordinate alone.
    made = plain(kind=lambda _, image: ("presentation", image % 3))
    return made.isel(presentation=np.flatnonzero(made["repetition"].values == 0)).drop_vars("repetition")


VARIATIONS = {
    "plain": plain,
    # Numbers sort as numbers: 9 before 10.
    "integer_ids": lambda: plain(stimulus_id=lambda _, image: ("presentation", N_IMAGES - image)),
    # A coordinate before stimulus_id decides the order first.
    "category_first": lambda: plain(first={"category": lambda image: np.array([f"c{(7 * i) % 5}" for i in image])}),
    "number_first": lambda: plain(first={"pose": lambda image: (37 * image) % 101}),
    "two_d": lambda: plain().isel(time_bin=0).drop_vars(["time_bin_start", "time_bin_end"]),
    "nan_presentations": nan_presentations,
    "no_repetition": no_repetition,
    "session": lambda: plain(session=lambda coords, _: ("presentation", coords["repetition"][1] // 3)),
    "subregions": lambda: plain(region=("neuroid", ["PIT", "AIT"] * (N_NEUROIDS // 2))),
    "animals": lambda: plain(
        neuroid_id=("neuroid", [number % 4 for number in range(N_NEUROIDS)]),
        animal=("neuroid", [f"monkey{number // 4}" for number in range(N_NEUROIDS)]),
    ),
    "seconds": seconds,
    "netcdf3": plain,
    "nan_metadata": lambda: plain(pose=lambda _, image: ("presentation", np.where(image % 3, image, np.nan))),
}
"""Name -> the recordings."""


def stimulus_ids(name):
    """Return the images in the order of the features, as the variation names them."""
    return [N_IMAGES - number for number in range(N_IMAGES)] if name == "integer_ids" else IMAGES
