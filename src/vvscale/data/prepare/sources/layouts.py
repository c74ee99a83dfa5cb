"""The layouts in which data sets are handed out, each found by the files that only it has.

A layout says which paths are of which class and opens no image. New ones are added to ``LAYOUTS``.
"""

from __future__ import annotations

import csv
import dataclasses
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from vvscale.core.jsonable import parse_json
from vvscale.core.registry import Registry
from vvscale.data.prepare.sources.containers import idx_header, read_shards
from vvscale.data.prepare.sources.listing import Listing, in_order
from vvscale.data.prepare.sources.lists import is_number, numbered, read_list, relative_to
from vvscale.data.prepare.sources.walk import (
    TRAIN_FOLDERS,
    VAL_FOLDERS,
    Folders,
    Named,
    class_folders,
    image_files,
    is_prepared,
)
from vvscale.errors import DataError, MissingDataError, reason


@dataclass(frozen=True)
class Layout:
    """How one kind of source is recognised and read.

    Attributes
    ----------
    detect
        Whether a folder is of this kind; looks at a few names.
    read
        Lists the images.
    expected
        What the folder should hold, for messages and help.
    """

    detect: Callable[[Path], bool]
    read: Callable[[Path], Listing]
    expected: str


LAYOUTS: Registry[Layout] = Registry("layout")

_MOST_CLASSES = 1_000_000
"""More than any data set has; a damaged number would else fill the memory with names."""


def read_layout(root: Path, layout: str = "auto") -> Listing:
    """List a source.

    Raises
    ------
    MissingDataError
        There is no such folder, or a file of the layout is absent.
    UnknownNameError
        There is no such layout.
    DataError
        No layout is recognised, or the source contradicts itself.
    """
    if not root.is_dir():
        raise MissingDataError(f"There is no folder '{root}'. Expected a folder of images; check the spelling.")
    if layout != "auto":
        found = LAYOUTS[layout]
        if not found.detect(root):
            raise MissingDataError(f"'{root}' does not have the layout '{layout}'. Expected {found.expected}.")
        return _read(root, layout)
    for name, candidate in LAYOUTS.items():
        if candidate.detect(root):
            return _read(root, name)
    raise DataError(
        f"'{root}' has none of the known layouts ({', '.join(LAYOUTS)}). Expected folders 'train' and 'val' with one "
        "folder per class, or name lists with `train_list` and `val_list`."
    )


def _read(root: Path, layout: str) -> Listing:
    found = LAYOUTS[layout]
    try:
        return found.read(root)
    except (
        OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, csv.Error, struct.error,
        ElementTree.ParseError,
    ) as error:  # fmt: skip
        # The files around the images, written by others: each breaks in its own way.
        raise DataError(
            f"A file of the layout '{layout}' in '{root}' cannot be read: {type(error).__name__}: {error}. Expected "
            f"{found.expected}. Is the download complete?"
        ) from error


def _listing(layout: str, root: Path, train: Named, val: Named, names: list[str] | None = None) -> Listing:
    splits = {"train": train, "val": val} if val else {"train": train}
    return Listing(layout, root, tuple(names or in_order(name for _, name in train)), splits)


def _of_folders(layout: str, root: Path, train: Folders, val: Folders | None) -> Listing:
    """Return the listing of folders of classes; a class without an image is refused later, if it is wanted."""
    val = val or Folders()
    listing = _listing(layout, root, train.images, val.images, train.names)
    return dataclasses.replace(listing, strays=(*train.strays, *val.strays))


def _first(root: Path, *candidates: str) -> str | None:
    """Return the first of some paths that exists below the root."""
    return next((name for name in candidates if (root / name).exists()), None)


def _needed(root: Path, *candidates: str) -> str:
    found = _first(root, *candidates)
    if found is None:
        raise MissingDataError(f"'{root}' lacks '{candidates[0]}', which its layout has. Is the download complete?")
    return found


def _has_folders(folder: Path) -> bool:
    return folder.is_dir() and any(entry.is_dir() and not is_prepared(entry) for entry in folder.iterdir())


# --- ImageNet ---------------------------------------------------------------------------------------------------

_CLS_LOC = "Data/CLS-LOC"


def _imagenet_base(root: Path) -> str | None:
    return _first(root, f"ILSVRC/{_CLS_LOC}/train", f"{_CLS_LOC}/train")


def _is_imagenet(root: Path) -> bool:
    if _imagenet_base(root) is not None:
        return True
    flat = (root / "train").is_dir() and (root / "val").is_dir() and not _has_folders(root / "val")
    return flat and any((root / "val").glob("ILSVRC2012_val_*"))


def _read_imagenet(root: Path) -> Listing:
    train_folder = _imagenet_base(root) or "train"
    val_folder = f"{train_folder.removesuffix('train')}val"
    train = class_folders(root, train_folder)
    if _has_folders(root / val_folder):
        return _of_folders("imagenet", root, train, class_folders(root, val_folder))
    files, _ = image_files(root / val_folder)
    synset_of = _val_synsets(root, files)
    unlabelled = [file for file in files if Path(file).stem not in synset_of]
    if unlabelled:
        raise DataError(
            f"The class of {len(unlabelled)} images of '{val_folder}' is unknown, such as '{unlabelled[0]}'."
        )
    val = [(f"{val_folder}/{file}", synset_of[Path(file).stem]) for file in files]
    return _of_folders("imagenet", root, train, Folders(val))


def _val_synsets(root: Path, files: list[str]) -> dict[str, str]:
    """Return image name -> synset, from whichever of the published sources is there."""
    solution = _first(root, "LOC_val_solution.csv", "ILSVRC/LOC_val_solution.csv")
    if solution is not None:
        with (root / solution).open(newline="") as file:
            return {row["ImageId"]: row["PredictionString"].split()[0] for row in csv.DictReader(file)}
    boxes = _first(root, "ILSVRC/Annotations/CLS-LOC/val", "Annotations/CLS-LOC/val")
    if boxes is not None:
        trees = ((path.stem, ElementTree.parse(path)) for path in sorted((root / boxes).glob("*.xml")))
        return {stem: str(tree.findtext("object/name")) for stem, tree in trees}
    kit = _first(root, "ILSVRC2012_devkit_t12/data", "devkit/data", "data", "")
    truth, meta = (root / str(kit) / name for name in ("ILSVRC2012_validation_ground_truth.txt", "meta.mat"))
    if truth.is_file() and meta.is_file():
        from scipy.io import loadmat

        synsets = np.atleast_1d(loadmat(meta, squeeze_me=True)["synsets"])
        wnid_of = {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in synsets if not row["num_children"]}
        numbers = [int(line) for line in truth.read_text().split()]
        if len(numbers) != len(files):
            raise DataError(f"'{truth}' has {len(numbers)} lines for {len(files)} images. Is the download complete?")
        return {Path(file).stem: wnid_of[number] for file, number in zip(files, numbers, strict=True)}
    raise MissingDataError(
        f"The validation images of '{root}' lie in one folder and nothing says their classes. Expected one of "
        "LOC_val_solution.csv, Annotations/CLS-LOC/val/*.xml, or ILSVRC2012_devkit_t12/data with "
        "ILSVRC2012_validation_ground_truth.txt and meta.mat; or folders of classes in 'val'."
    )


# --- the other published sets -----------------------------------------------------------------------------------


def _read_imagenet21kp(root: Path) -> Listing:
    val = _needed(root, "imagenet21k_val")
    return _of_folders("imagenet21kp", root, class_folders(root, "imagenet21k_train"), class_folders(root, val))


def _read_ecoset(root: Path) -> Listing:
    return _of_folders("ecoset", root, class_folders(root, "train"), class_folders(root, _needed(root, "val")))


def _is_ecoset(root: Path) -> bool:
    # Class folders are a number of four digits and a noun: 0001_man.
    return (root / "val").is_dir() and any((root / "train").glob("[0-9][0-9][0-9][0-9]_[a-z]*"))


def _read_webvision(root: Path) -> Listing:
    lists = sorted((root / "info").glob("train_filelist_*.txt"))
    train = [(_placed(root, path, ("google", "flickr")), label) for file in lists for path, label in _official(file)]
    val_list = root / _needed(root, "info/val_filelist.txt")
    folders = ("val_images_256", "val_images", "val")
    val = [(_placed(root, path, folders), label) for path, label in _official(val_list)]
    names = _class_numbers((label for _, label in train), "the training lists")
    train, val = numbered(train, names, "the training lists"), numbered(val, names, f"'{val_list}'")
    # Noisy web lists do not have every number.
    return _listing("webvision", root, train, val)


def _class_numbers(labels: Iterable[str], where: str) -> list[str]:
    """Return the names of classes that are only numbers, 0 to the largest."""
    n_classes = 1 + max((int(label) for label in labels if is_number(label)), default=-1)
    if n_classes > _MOST_CLASSES:
        raise DataError(
            f"The largest class in {where} is {n_classes - 1}; expected numbers from 0, below {_MOST_CLASSES:,}. "
            "Likely cause: another column was taken for the class, or the file is damaged."
        )
    return [str(number) for number in range(n_classes)]


def _official(path: Path) -> Named:
    """Return a published list, whose paths and names may begin with a slash."""
    return [(name.lstrip("/"), label) for name, label in read_list(path)]


def _placed(root: Path, path: str, folders: tuple[str, ...]) -> str:
    """Return where a listed image is: as listed, or below one of some folders."""
    return _first(root, path, *(f"{folder}/{path}" for folder in folders)) or path


def _read_places365(root: Path) -> Listing:
    lists = ("places365_train_standard.txt", "places365_train_challenge.txt")
    categories = _official(root / _needed(root, "categories_places365.txt"))
    names = [name for name, _ in sorted(categories, key=lambda row: int(row[1]))]
    train_list, val_list = _needed(root, *lists), _needed(root, "places365_val.txt")
    train_folder = _needed(root, "data_large_standard", "data_256_standard", "data_large", "data_256", "train")
    val_folder = _needed(root, "val_large", "val_256", "val")
    train = [(f"{train_folder}/{path}", label) for path, label in _official(root / train_list)]
    val = [(f"{val_folder}/{path}", label) for path, label in _official(root / val_list)]
    train, val = numbered(train, names, f"'{train_list}'"), numbered(val, names, f"'{val_list}'")
    return _listing("places365", root, train, val, names)


def _is_inaturalist(root: Path) -> bool:
    if (root / "train.json").is_file() or (root / "train_mini.json").is_file():
        return True
    # Class folders are a number of five digits and the taxonomy: 00000_Animalia_Annelida_...
    return any((root / "train").glob("[0-9][0-9][0-9][0-9][0-9]_*_*")) or (root / "2021_train").is_dir()


def _read_inaturalist(root: Path) -> Listing:
    train_json = _first(root, "train.json", "train_mini.json")
    if train_json is not None:
        train, names = _annotated(root / train_json)
        val, _ = _annotated(root / _needed(root, "val.json"))
        return _listing("inaturalist2021", root, train, val, names)
    train = class_folders(root, _needed(root, "train", "2021_train"))
    return _of_folders("inaturalist2021", root, train, class_folders(root, _needed(root, "val", "2021_valid")))


def _annotated(path: Path) -> tuple[Named, list[str]]:
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
        categories = sorted(content["categories"], key=lambda category: category["id"])
        name_of = {category["id"]: category.get("image_dir_name", category["name"]) for category in categories}
        file_of = {image["id"]: image["file_name"] for image in content["images"]}
        images = [(file_of[row["image_id"]], name_of[row["category_id"]]) for row in content["annotations"]]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"Cannot read '{path}': {reason(error)}. Expected JSON with images (id, file_name), annotations (image_id, "
            "category_id) and categories (id, name)."
        ) from error
    return images, list(name_of.values())


# --- arrays of digits -------------------------------------------------------------------------------------------

_IDX_VAL = ("t10k", "test", "val")


def _is_infimnist(root: Path) -> bool:
    return any(root.glob("*idx3-ubyte"))


def _read_infimnist(root: Path) -> Listing:
    splits: dict[str, Named] = {"train": [], "val": []}
    for pixels in sorted(root.glob("*idx3-ubyte")):
        is_val = pixels.name.startswith(_IDX_VAL)
        head = pixels.name.removesuffix("idx3-ubyte").rstrip("-.")
        for kind in ("images", "patterns"):
            head = head.removesuffix(kind)
        labels_path = next(root.glob(f"{head}labels*idx1-ubyte"), None)
        if labels_path is None:
            raise MissingDataError(f"'{pixels}' has no labels beside it; expected '{head}labels-idx1-ubyte'.")
        n, _, _ = idx_header(pixels)
        labels = np.frombuffer(labels_path.read_bytes()[8:], np.uint8)
        if len(labels) != n:
            raise DataError(f"'{pixels}' has {n} images and '{labels_path}' {len(labels)} labels. Was one cut short?")
        rows = [(f"{pixels.name}#{row}", str(label)) for row, label in enumerate(labels.tolist())]
        splits["val" if is_val else "train"] += rows
    return _listing("infimnist", root, splits["train"], splits["val"])


# --- tar shards -------------------------------------------------------------------------------------------------


def _shards(root: Path, splits: tuple[str, ...]) -> list[str]:
    """Return the tar files of a split: train/*.tar, train.tar, or *train*.tar."""
    for split in splits:
        for pattern in (f"{split}/*.tar", f"{split}.tar", f"*{split}*.tar"):
            found = sorted(str(path.relative_to(root)) for path in root.glob(pattern))
            if found:
                return found
    return []


def _read_tars(root: Path) -> Listing:
    train, val = (read_shards(root, _shards(root, splits)) for splits in (TRAIN_FOLDERS, VAL_FOLDERS))
    return _listing("tars", root, train, val)


# --- plain folders ----------------------------------------------------------------------------------------------


def _train_folder(root: Path) -> str | None:
    return next((name for name in TRAIN_FOLDERS if _has_folders(root / name)), None)


def _read_folders(root: Path) -> Listing:
    val = _first(root, *VAL_FOLDERS)
    train = class_folders(root, _train_folder(root) or "train")
    return _of_folders("folders", root, train, class_folders(root, val) if val else None)


def _read_one_folder(root: Path) -> Listing:
    return _of_folders("folder", root, class_folders(root, ""), None)


def read_lists(root: Path, train_list: Path, val_list: Path | None, classes: list[str] | None) -> Listing:
    """List the images that text files name, by numbers of classes or by their names."""
    rows = {"train": relative_to(root, read_list(train_list), train_list), "val": []}
    if val_list is not None:
        rows["val"] = relative_to(root, read_list(val_list), val_list)
    labels = [label for split in rows.values() for _, label in split]
    if classes is not None and all(label.isdigit() for label in labels):
        rows = {split: numbered(of, classes, f"the {split} list") for split, of in rows.items()}
    elif all(label.removeprefix("-").isascii() and label.removeprefix("-").isdigit() for label in labels):
        # Numbers that are not 0..n-1 would silently become others.
        names = _class_numbers((label for _, label in rows["train"]), f"'{train_list}'")
        rows = {split: numbered(of, names, f"the {split} list") for split, of in rows.items()}
        return _listing("lists", root, rows["train"], rows["val"], names)
    return _listing("lists", root, rows["train"], rows["val"])


for _name, _layout in {
    "imagenet": Layout(_is_imagenet, _read_imagenet, "ILSVRC/Data/CLS-LOC/{train,val}, or train/ and a flat val/"),
    "imagenet21kp": Layout(
        lambda root: (root / "imagenet21k_train").is_dir(),
        _read_imagenet21kp,
        "imagenet21k_train/ and imagenet21k_val/",
    ),
    "webvision": Layout(
        lambda root: any((root / "info").glob("train_filelist_*.txt")),
        _read_webvision,
        "info/train_filelist_*.txt and info/val_filelist.txt beside the image folders",
    ),
    "places365": Layout(
        lambda root: (root / "categories_places365.txt").is_file(),
        _read_places365,
        "categories_places365.txt, places365_train_standard.txt and places365_val.txt beside the image folders",
    ),
    "inaturalist2021": Layout(_is_inaturalist, _read_inaturalist, "train.json and val.json, or train/ and val/"),
    "ecoset": Layout(_is_ecoset, _read_ecoset, "train/0001_man/... and val/"),
    "infimnist": Layout(_is_infimnist, _read_infimnist, "*-idx3-ubyte and *-labels-idx1-ubyte files"),
    "tars": Layout(
        lambda root: bool(_shards(root, TRAIN_FOLDERS)) and not _train_folder(root),
        _read_tars,
        "train/*.tar and val/*.tar: shards of WebDataset, or a folder or an archive per class",
    ),
    "folders": Layout(lambda root: _train_folder(root) is not None, _read_folders, "train/CLASS/ and val/CLASS/"),
    "folder": Layout(_has_folders, _read_one_folder, "CLASS/ folders, to be split with `val_fraction`"),
}.items():
    LAYOUTS.add(_name, _layout)
