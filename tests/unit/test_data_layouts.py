"""Published layouts, as small fakes of exactly their files."""

from __future__ import annotations

import csv
import errno
import fcntl
import io
import json
import os
import shutil
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from vvscale.data import load_dataset, prepare_images
from vvscale.data.prepare.sources.layouts import LAYOUTS, read_layout, read_lists
from vvscale.errors import DataError, MissingDataError, UnknownNameError

SYNSETS = ["n01440764", "n01443537", "n01484850"]


def image(path: Path, shade: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (9, 8), (shade, 100, 200)).save(path)
    return path


def text(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def imagenet_train(root: Path, base: str) -> None:
    for synset in SYNSETS:
        for k in range(2):
            image(root / base / "train" / synset / f"{synset}_{k}.JPEG")


def imagenet_flat(root: Path, base: str) -> None:
    """Six validation images of the classes 2, 0, 1, 1, 2, 0."""
    imagenet_train(root, base)
    for k in range(1, 7):
        image(root / base / "val" / f"ILSVRC2012_val_0000000{k}.JPEG", shade=k)


FLAT = [2, 0, 1, 1, 2, 0]


def imagenet_kaggle(root: Path) -> list[int]:
    imagenet_flat(root, "ILSVRC/Data/CLS-LOC")
    with (root / "LOC_val_solution.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["ImageId", "PredictionString"])
        # Not in the order of the files.
        for k in reversed(range(6)):
            rows.writerow([f"ILSVRC2012_val_0000000{k + 1}", f"{SYNSETS[FLAT[k]]} 1 2 3 4 {SYNSETS[FLAT[k]]} 5 6 7 8"])
    return FLAT


def imagenet_xml(root: Path) -> list[int]:
    imagenet_flat(root, "ILSVRC/Data/CLS-LOC")
    for k in range(6):
        name = f"ILSVRC2012_val_0000000{k + 1}"
        path = root / "ILSVRC/Annotations/CLS-LOC/val" / f"{name}.xml"
        text(path, f"<annotation><object><name>{SYNSETS[FLAT[k]]}</name></object></annotation>")
    return FLAT


def imagenet_devkit(root: Path) -> list[int]:
    imagenet_flat(root, "")
    kit = root / "ILSVRC2012_devkit_t12" / "data"
    # The devkit numbers classes from 1 in an order of its own, and has inner nodes of the tree too.
    numbers = {SYNSETS[0]: 3, SYNSETS[1]: 1, SYNSETS[2]: 2}
    kinds = [("ILSVRC2012_ID", "i4"), ("WNID", "O"), ("words", "O"), ("num_children", "i4")]
    leaves = [(number, synset, "a word", 0) for synset, number in numbers.items()]
    kit.mkdir(parents=True)
    savemat(kit / "meta.mat", {"synsets": np.array([*leaves, (4, "n00000000", "entity", 3)], dtype=kinds)})
    text(kit / "ILSVRC2012_validation_ground_truth.txt", *(str(numbers[SYNSETS[k]]) for k in FLAT))
    return FLAT


def imagenet_folders(root: Path) -> list[int]:
    imagenet_train(root, "ILSVRC/Data/CLS-LOC")
    for k, synset in enumerate(SYNSETS):
        image(root / "ILSVRC/Data/CLS-LOC/val" / synset / f"ILSVRC2012_val_{k}.JPEG")
    return [0, 1, 2]


def imagenet21kp(root: Path) -> list[int]:
    for split, n in (("train", 2), ("val", 1)):
        for synset in SYNSETS:
            for k in range(n):
                image(root / f"imagenet21k_{split}" / synset / f"{k}.JPEG")
    return [0, 1, 2]


def ecoset(root: Path) -> list[int]:
    for split in ("train", "val", "test"):
        for name in ("0001_man", "0002_house", "0565_hourglass"):
            image(root / split / name / f"{name}_0.JPEG")
    return [0, 1, 2]


def webvision(root: Path) -> list[int]:
    # Version 1 lists paths with their folder, version 2 below it; numbers have gaps.
    text(root / "info/train_filelist_google.txt", "google/q0001/a.jpg 0", "google/q0002/b.jpg 10", "google/q2/c.jpg 2")
    text(root / "info/train_filelist_flickr.txt", "q0001/d.jpg 2")
    text(root / "info/val_filelist.txt", "val000001.jpg 10", "val000002.jpg 0")
    for path in ("google/q0001/a.jpg", "google/q0002/b.jpg", "google/q2/c.jpg", "flickr/q0001/d.jpg"):
        image(root / path)
    for k in (1, 2):
        image(root / f"val_images_256/val00000{k}.jpg")
    return [2, 0]


def places365(root: Path) -> list[int]:
    text(root / "categories_places365.txt", "/a/airfield 0", "/a/apartment_building/outdoor 1", "/z/zen_garden 2")
    files = ["/a/airfield/1.jpg", "/a/apartment_building/outdoor/1.jpg", "/z/zen_garden/1.jpg"]
    text(root / "places365_train_standard.txt", *(f"{path} {k}" for k, path in enumerate(files)))
    text(root / "places365_val.txt", "Places365_val_00000001.jpg 2", "Places365_val_00000002.jpg 1")
    for path in files:
        image(root / "data_large_standard" / path.lstrip("/"))
    for k in (1, 2):
        image(root / "val_large" / f"Places365_val_0000000{k}.jpg")
    return [2, 1]


def inaturalist_json(root: Path) -> list[int]:
    names = ["00000_Animalia_Annelida_x", "00001_Animalia_Annelida_y"]
    for split, n in (("train", 2), ("val", 1)):
        images, annotations = [], []
        for k, name in enumerate(names):
            for j in range(n):
                path = f"{split}/{name}/{j}.jpg"
                image(root / path)
                images.append({"id": 10 * k + j, "file_name": path})
                annotations.append({"id": 0, "image_id": 10 * k + j, "category_id": k})
        categories = [{"id": k, "name": f"Species {k}", "image_dir_name": name} for k, name in enumerate(names)]
        content = {"images": images, "annotations": annotations[::-1], "categories": categories[::-1]}
        (root / f"{split}.json").write_text(json.dumps(content))
    return [1, 0]


def inaturalist_folders(root: Path) -> list[int]:
    for split in ("train", "val"):
        for name in ("00000_Animalia_Annelida_x", "00001_Plantae_Bryophyta_y"):
            image(root / split / name / "0.jpg")
    return [0, 1]


def idx(path: Path, values: np.ndarray) -> None:
    head = struct.pack(">BBBB", 0, 0, 8, values.ndim) + struct.pack(f">{values.ndim}I", *values.shape)
    path.write_bytes(head + values.tobytes())


DIGITS = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)


def infimnist(root: Path) -> list[int]:
    root.mkdir()
    idx(root / "mnist8m-patterns-idx3-ubyte", DIGITS[:3])
    idx(root / "mnist8m-labels-idx1-ubyte", np.array([0, 2, 1], np.uint8))
    idx(root / "test10k-patterns-idx3-ubyte", DIGITS[3:])
    idx(root / "test10k-labels-idx1-ubyte", np.array([2, 0], np.uint8))
    return [2, 0]


def folders(root: Path) -> list[int]:
    for split in ("train", "validation"):
        for name in ("cat", "dog"):
            image(root / split / name / "deep" / "0.webp")
    return [0, 1]


def folder(root: Path) -> list[int]:
    for name in ("cat", "dog"):
        for k in range(2):
            image(root / name / f"{k}.png")
    return [0, 1]


def shard(path: Path, members: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def jpeg(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (9, 8), (shade, 100, 200)).save(file, "JPEG")
    return file.getvalue()


def webdataset(root: Path) -> list[int]:
    """Two shards, a number beside each image; keys have a folder, and members come in any order."""
    for number, labels in enumerate(["10", "2"]):
        members = {f"s/{number}{k}.{kind}": value for k, label in enumerate([labels, "2"])
                   for kind, value in (("cls", label.encode()), ("jpg", jpeg(10 * number + k)))}  # fmt: skip
        shard(root / "train" / f"shard-00000{number}.tar", members)
    shard(root / "val" / "shard-000000.tar", {"a.jpg": jpeg(90), "a.json": b'{"label": 10}'})
    return [1]


def tar_per_class(root: Path) -> list[int]:
    """As ImageNet is handed out: one archive per class."""
    for k, name in enumerate(SYNSETS):
        shard(root / "train" / f"{name}.tar", {f"{name}_0.JPEG": jpeg(k), f"{name}_1.JPEG": jpeg(k + 9)})
    shard(root / "val.tar", {f"{name}/0.JPEG": jpeg(50 + k) for k, name in enumerate(SYNSETS)})
    return [0, 1, 2]


FAKES: list[tuple[str, Callable[[Path], list[int]]]] = [
    ("imagenet", imagenet_kaggle),
    ("imagenet", imagenet_xml),
    ("imagenet", imagenet_devkit),
    ("imagenet", imagenet_folders),
    ("imagenet21kp", imagenet21kp),
    ("ecoset", ecoset),
    ("webvision", webvision),
    ("places365", places365),
    ("inaturalist2021", inaturalist_json),
    ("inaturalist2021", inaturalist_folders),
    ("infimnist", infimnist),
    ("tars", webdataset),
    ("tars", tar_per_class),
    ("folders", folders),
    ("folder", folder),
]


@pytest.mark.parametrize(("layout", "make"), FAKES, ids=lambda value: getattr(value, "__name__", value))
def test_layouts_are_detected_and_read(tmp_path, layout, make):
    labels = make(tmp_path / "source")
    fraction = 0.5 if layout == "folder" else None
    done = prepare_images(tmp_path / "source", out=tmp_path / "out", val_fraction=fraction)
    assert done.layout == layout
    dataset = load_dataset(tmp_path / "out")
    assert dataset.val.labels.tolist() == labels
    assert sorted(set(dataset.train.labels.tolist())) == list(range(dataset.train.n_classes))
    named = prepare_images(tmp_path / "source", out=tmp_path / "named", layout=layout, val_fraction=fraction)
    assert named.digests == done.digests


def test_there_is_a_fake_of_every_layout():
    assert {layout for layout, _ in FAKES} == set(LAYOUTS)


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (imagenet_kaggle, SYNSETS),
        (ecoset, ["0001_man", "0002_house", "0565_hourglass"]),
        (webvision, ["0", "2", "10"]),
        (places365, ["/a/airfield", "/a/apartment_building/outdoor", "/z/zen_garden"]),
        (inaturalist_json, ["00000_Animalia_Annelida_x", "00001_Animalia_Annelida_y"]),
        (infimnist, ["0", "1", "2"]),
    ],
)
def test_class_names(tmp_path, make, names):
    make(tmp_path / "source")
    listing = read_layout(tmp_path / "source")
    # The slash before a category of Places is part of its name in its own files; a leading one is dropped here.
    assert list(listing.class_names) == [name.lstrip("/") for name in names]


def test_idx_images_are_stored_as_they_are(tmp_path):
    infimnist(tmp_path / "source")
    prepare_images(tmp_path / "source", out=tmp_path / "out")
    dataset = load_dataset(tmp_path / "out")
    for position in range(3):
        np.testing.assert_array_equal(dataset.train.image(position), DIGITS[position][..., None].repeat(3, 2))
    np.testing.assert_array_equal(dataset.val.image(1)[..., 1], DIGITS[4])


def cut_short(root: Path) -> None:
    infimnist(root)
    path = root / "mnist8m-patterns-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])


def no_labels(root: Path) -> None:
    infimnist(root)
    (root / "mnist8m-labels-idx1-ubyte").unlink()


def other_count(root: Path) -> None:
    infimnist(root)
    idx(root / "mnist8m-labels-idx1-ubyte", np.zeros(2, np.uint8))


def no_val_classes(root: Path) -> None:
    imagenet_flat(root, "ILSVRC/Data/CLS-LOC")


def half_val_classes(root: Path) -> None:
    imagenet_xml(root)
    (root / "ILSVRC/Annotations/CLS-LOC/val/ILSVRC2012_val_00000003.xml").unlink()


def short_truth(root: Path) -> None:
    imagenet_devkit(root)
    text(root / "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt", "1")


def no_val_list(root: Path) -> None:
    webvision(root)
    (root / "info/val_filelist.txt").unlink()


def huge_label(root: Path) -> None:
    webvision(root)
    text(root / "info/train_filelist_flickr.txt", "q0001/d.jpg 999999999")


def label_out_of_range(root: Path) -> None:
    places365(root)
    text(root / "places365_val.txt", "Places365_val_00000001.jpg 3")


def labels_that_are_ids(root: Path) -> None:
    webvision(root)
    text(root / "info/train_filelist_google.txt", "google/q0001/a.jpg 123456789")


def labels_that_are_names(root: Path) -> None:
    webvision(root)
    for path in (root / "info").glob("train_filelist_*.txt"):
        text(path, "google/q0001/a.jpg \N{SUPERSCRIPT TWO}")


def bad_json(root: Path) -> None:
    inaturalist_json(root)
    text(root / "train.json", "{}")


def no_image(root: Path) -> None:
    places365(root)
    (root / "val_large/Places365_val_00000002.jpg").unlink()


def torn_shard(root: Path) -> None:
    webdataset(root)
    path = root / "train" / "shard-000000.tar"
    path.write_bytes(path.read_bytes()[:2200])


def half_labelled(root: Path) -> None:
    webdataset(root)
    shard(root / "train" / "shard-000000.tar", {"a.jpg": jpeg(1), "a.cls": b"2", "b.jpg": jpeg(2)})


def odd_shard(root: Path, *members: tuple[str, bytes | str]) -> None:
    """Write a shard beside two sound ones; a text is where a link leads to."""
    webdataset(root)
    with tarfile.open(root / "train" / "shard-000000.tar", "w") as archive:
        for name, content in members:
            entry = tarfile.TarInfo(name)
            if isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
                archive.addfile(entry)
            else:
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))


def same_member_twice(root: Path) -> None:
    odd_shard(root, ("a.jpg", jpeg(1)), ("a.cls", b"2"), ("./a.jpg", jpeg(2)))


def picture_and_mask(root: Path) -> None:
    odd_shard(root, ("a.jpg", jpeg(1)), ("a.cls", b"2"), ("a.mask.jpg", jpeg(2)))


def linked_member(root: Path) -> None:
    odd_shard(root, ("a.jpg", jpeg(1)), ("a.cls", b"2"), ("b.jpg", "/etc/passwd"), ("b.cls", b"2"))


def test_a_shard_made_on_a_mac_and_one_with_hard_links_have_all_their_images(tmp_path):
    webdataset(tmp_path / "source")
    with tarfile.open(tmp_path / "source" / "train" / "shard-000000.tar", "w") as archive:
        for name, content in (("10/._a.jpg", b"finder"), ("10/a.jpg", jpeg(1)), ("10/a.cls", b"10"),
                              ("2/b.cls", b"2")):  # fmt: skip
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        entry = tarfile.TarInfo("2/b.jpg")
        entry.type, entry.linkname = tarfile.LNKTYPE, "10/a.jpg"
        archive.addfile(entry)
    listing = read_layout(tmp_path / "source")
    assert [path.rpartition("#")[2] for path, _ in listing.splits["train"]][:2] == ["10/a.jpg", "2/b.jpg"]
    done = prepare_images(tmp_path / "source", out=tmp_path / "out")
    train = load_dataset(tmp_path / "out").train
    assert done.layout == "tars"
    assert len(train.labels) == 4


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (same_member_twice, DataError, r"holds '\./a\.jpg', a second file of this name"),
        (picture_and_mask, DataError, r"one class beside two images, 'a\.jpg' and 'a\.mask\.jpg'"),
        (linked_member, DataError, r"holds 'b\.jpg', a link, a pipe or a file with holes"),
        (cut_short, DataError, r"has 2,367 bytes; its header says 2,368"),
        (no_labels, MissingDataError, r"has no labels beside it; expected 'mnist8m-labels-idx1-ubyte'"),
        (other_count, DataError, r"has 3 images and .* 2 labels"),
        (no_val_classes, MissingDataError, r"nothing says their classes\. Expected one of LOC_val_solution\.csv"),
        (half_val_classes, DataError, r"Nothing says the class of 1 images|is unknown"),
        (short_truth, DataError, r"has 1 lines for 6 images"),
        (no_val_list, MissingDataError, r"lacks 'info/val_filelist\.txt'"),
        (huge_label, DataError, r"largest class in the training lists is 999999999"),
        (label_out_of_range, DataError, r"has the label '3', but there are 3 classes: expected 0\.\.2"),
        (labels_that_are_ids, DataError, r"largest class in the training lists is 123456789"),
        (labels_that_are_names, DataError, r"has the label '\N{SUPERSCRIPT TWO}', but there are 0 classes"),
        (bad_json, DataError, r"Cannot read .*train\.json.*Expected JSON with images"),
        (torn_shard, DataError, r"shard-000000\.tar' ends within|Cannot read the shard"),
        (half_labelled, DataError, r"has no class beside 1 of its 2 images, such as 'b\.jpg'"),
        (no_image, MissingDataError, r"There is no image .*Places365_val_00000002\.jpg"),
    ],
)
def test_incomplete_sources(tmp_path, make, error, said):
    make(tmp_path / "source")
    with pytest.raises(error, match=said):
        prepare_images(tmp_path / "source", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_layouts_that_are_none(tmp_path):
    folders(tmp_path / "source")
    with pytest.raises(UnknownNameError, match=r"Unknown layout 'imagnet'\. Did you mean 'imagenet'"):
        read_layout(tmp_path / "source", "imagnet")
    with pytest.raises(MissingDataError, match=r"does not have the layout 'places365'\. Expected categories_places365"):
        read_layout(tmp_path / "source", "places365")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match=r"has none of the known layouts"):
        read_layout(tmp_path / "nothing")


# --- lists ------------------------------------------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path) -> Path:
    for k in range(6):
        image(tmp_path / "pictures" / f"picture {k}.png", shade=k)
    return tmp_path / "pictures"


def test_lists_of_numbers_and_of_names(pictures, tmp_path):
    numbers = text(
        tmp_path / "numbers.txt", "# path label", "picture 0.png 1", "picture 1.png 0", "", "picture 2.png 1"
    )
    val = text(tmp_path / "val.txt", "picture 3.png 1")
    options = {"train_list": numbers, "val_list": val}
    done = prepare_images(pictures, out=tmp_path / "out", **options)
    assert load_dataset(done.folder).train.labels.tolist() == [1, 0, 1]
    named = prepare_images(pictures, out=tmp_path / "named", classes=["dog", "cat"], **options)
    assert load_dataset(named.folder).train.class_names == ("dog", "cat")
    words = text(tmp_path / "words.txt", "picture 0.png dog", "picture 1.png cat", "picture 2.png dog")
    val = text(tmp_path / "val_words.txt", "picture 3.png cat")
    done = prepare_images(pictures, out=tmp_path / "words", train_list=words, val_list=val)
    assert load_dataset(done.folder).train.class_names == ("cat", "dog")
    assert load_dataset(done.folder).train.labels.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("lines", "classes", "said"),
    [
        (["picture 0.png 0", "picture 1.png 2"], None, r"the class '1' is empty"),
        (["picture 0.png 0", "picture 1.png -1"], None, r"has the label '-1'.*expected 0\.\.0"),
        (
            ["picture 0.png 0", "picture 1.png 999999999"],
            None,
            r"largest class in .* is 999999999; expected numbers from 0",
        ),
        (["picture 0.png 0", f"picture 1.png {'9' * 5000}"], None, r"but there are 1 classes"),
        (["picture 0.png 0", "picture 1.png 2"], ["a", "b"], r"has the label '2', but there are 2 classes"),
        (["picture 0.png 0", "picture 1.png 999999999"], None, r"largest class in .*list.txt' is 999999999"),
        (["picture 0.png 0", f"picture 1.png {'9' * 5000}"], None, r"expected 0\.\.0"),
        (["picture0.png"], None, r"Line 1 of the list .* expected 'path label'"),
        (["# nothing"], None, r"is empty\. Expected lines"),
    ],
)
def test_bad_lists(pictures, tmp_path, lines, classes, said):
    with pytest.raises(DataError, match=said):
        prepare_images(
            pictures, out=tmp_path / "out", train_list=text(tmp_path / "list.txt", *lines), classes=classes or ()
        )


@pytest.mark.parametrize(
    "write",
    [
        lambda path, root: path.write_bytes("\ufeffpicture 0.png 0\r\npicture 1.png 1\r\n".encode()),
        lambda path, root: path.write_text("path,label\npicture 0.png,0\npicture 1.png,1\n"),
        lambda path, root: path.write_text('filename\tclass\npicture 0.png\t0\npicture 1.png\t1\n'),
        lambda path, root: path.write_text(f"{root}/picture 0.png 0\n{root}/picture 1.png 1\n"),
        lambda path, root: path.write_text("/picture 0.png 0\n/picture 1.png 1\n"),
        lambda path, root: path.write_text(".\\picture 0.png 0\n.\\picture 1.png 1\n"),
    ],
    ids=["byte order mark", "commas and a header", "tabs and a header", "absolute", "leading slash", "windows"],
)  # fmt: skip
def test_lists_as_people_write_them(pictures, tmp_path, write):
    write(tmp_path / "list.txt", pictures)
    listing = read_lists(pictures, tmp_path / "list.txt", None, None)
    found = [(str(Path(path)), name) for path, name in listing.splits["train"]]
    assert found == [("picture 0.png", "0"), ("picture 1.png", "1")]


@pytest.mark.parametrize("prefix", ["/data/elsewhere/", "C:\\data\\", "C:/data/"])
def test_absolute_paths_of_another_place_are_refused(pictures, tmp_path, prefix):
    path = text(tmp_path / "list.txt", f"{prefix}picture 0.png 0")
    with pytest.raises(DataError, match=r"an absolute path that is not below .*pictures'.*Expected paths relative"):
        read_lists(pictures, path, None, None)


def test_another_encoding_is_named(pictures, tmp_path):
    (tmp_path / "list.txt").write_bytes("picture 0.png 0".encode("utf-16"))
    with pytest.raises(DataError, match=r"text in UTF-16.*iconv -f utf-16 -t utf-8"):
        read_lists(pictures, tmp_path / "list.txt", None, None)


def test_lists_that_cannot_be_read(pictures, tmp_path):
    with pytest.raises(MissingDataError, match=r"There is no list"):
        read_lists(pictures, tmp_path / "none.txt", None, None)
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"Cannot read the list"):
        read_lists(pictures, tmp_path / "binary.txt", None, None)
    with pytest.raises(DataError, match=r"is not a file"):
        read_lists(pictures, tmp_path, None, None)


# --- folders as people have them --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["Train/cat", "Val/cat"], r"'Train' and 'Val' of .* look like splits, not classes"),
        (["cat/train", "cat/val", "dog/train", "dog/val"], r"not CLASS/train and CLASS/val"),
        (["ILSVRC2012/train/cat", "ILSVRC2012/val/cat"], r"look like splits.*data set itself.*Next: name the folder"),
        (["images/cat", "images/dog"], r"one folder, 'images', and that holds folders.*Next: name the folder"),
        (["TRAIN/cat"], r"'TRAIN' of .* look like splits"),
    ],
)
def test_folders_that_are_no_classes_are_refused(tmp_path, names, said):
    for name in names:
        image(tmp_path / "source" / name / "0.jpg")
    with pytest.raises(DataError, match=said):
        read_layout(tmp_path / "source")


def test_training_and_validation_are_splits(tmp_path):
    for name in ("training/cat", "training/dog", "validation/cat", "validation/dog"):
        image(tmp_path / "source" / name / "0.jpg")
    listing = read_layout(tmp_path / "source")
    assert (listing.class_names, {split: len(rows) for split, rows in listing.splits.items()}) == (
        ("cat", "dog"), {"train": 2, "val": 2},
    )  # fmt: skip


@pytest.mark.parametrize("target", [".", "..", "../..", "../dog"], ids=["itself", "parent", "source", "other class"])
def test_links_that_lead_back_bring_no_image_in_twice(tmp_path, target):
    folders(tmp_path / "source")
    (tmp_path / "source" / "train" / "cat" / "link").symlink_to(target)
    listing = read_layout(tmp_path / "source")
    assert listing.splits["train"] == [("train/cat/deep/0.webp", "cat"), ("train/dog/deep/0.webp", "dog")]
    assert listing.strays == ("train/cat/link",)


def test_links_to_images_elsewhere_are_followed(tmp_path):
    folders(tmp_path / "source")
    image(tmp_path / "elsewhere" / "more" / "1.png")
    (tmp_path / "source" / "train" / "cat" / "link").symlink_to(tmp_path / "elsewhere")
    assert ("train/cat/link/more/1.png", "cat") in read_layout(tmp_path / "source").splits["train"]


def test_files_left_out_are_counted_and_named(tmp_path):
    folders(tmp_path / "source")
    for name in ("cat/IMG_1.HEIC", "cat/IMG_2.HEIC", "dog/notes.txt", "README", "cat/.DS_Store"):
        (tmp_path / "source" / "train" / name).write_bytes(b"?")
    done = prepare_images(tmp_path / "source", out=tmp_path / "out")
    assert done.report["files_left_out"] == [
        "2 .HEIC (train/cat/IMG_1.HEIC)", "1 .txt (train/dog/notes.txt)", "1 without a suffix (train/README)",
    ]  # fmt: skip
    assert any("4 files are no images by their suffix" in line and "2 .HEIC" in line for line in done.lines())


def test_empty_classes_are_left_out_when_they_are_not_wanted(tmp_path):
    folders(tmp_path / "source")
    for split in ("train", "validation"):
        (tmp_path / "source" / split / "empty").mkdir()
    with pytest.raises(DataError, match=r"the class 'empty' is empty.*`min_per_class=1`.*`classes`"):
        prepare_images(tmp_path / "source", out=tmp_path / "out")
    done = prepare_images(tmp_path / "source", out=tmp_path / "out", classes=["cat", "dog"])
    assert load_dataset(done.folder).train.class_names == ("cat", "dog")
    done = prepare_images(tmp_path / "source", out=tmp_path / "other", min_per_class=1)
    assert done.report["classes_left_out"] == ["empty"]


def test_a_class_without_an_image_for_evaluation_is_named(tmp_path):
    folders(tmp_path / "source")
    (tmp_path / "source" / "validation" / "dog" / "deep" / "0.webp").unlink()
    done = prepare_images(tmp_path / "source", out=tmp_path / "out")
    assert done.report["classes_without_val"] == ["dog"]
    assert any("1 classes have no image for evaluation: dog" in line for line in done.lines())


def test_a_result_inside_its_source_is_no_class(tmp_path):
    folder(tmp_path / "source")
    out = tmp_path / "source" / "prepared"
    assert prepare_images(tmp_path / "source", out=out, val_fraction=0.5).did == "prepared"
    assert prepare_images(tmp_path / "source", out=out, val_fraction=0.5).did == "found"


def test_names_that_are_not_utf8(tmp_path):
    for split in ("train", "val"):
        for name in (b"caf\xe9", b"dog"):
            folder = os.path.join(os.fsencode(tmp_path / "source"), split.encode(), name)
            os.makedirs(folder)
            shutil.copy(image(tmp_path / f"{split}.jpg", shade=len(split) * len(name)), folder + b"/na\xefve.jpg")
    done = prepare_images(tmp_path / "source", out=tmp_path / "out")
    assert load_dataset(done.folder).val.class_names == ("caf\\xe9", "dog")
    assert prepare_images(tmp_path / "source", out=tmp_path / "out").did == "found"


def test_a_pipe_named_like_an_image_is_refused_at_once(tmp_path):
    folders(tmp_path / "source")
    os.mkfifo(tmp_path / "source" / "train" / "cat" / "0.jpg")
    with pytest.raises(DataError, match=r"0\.jpg' is named like an image and is not a plain file"):
        prepare_images(tmp_path / "source", out=tmp_path / "out")


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_file_systems_without_locks(tmp_path, code, monkeypatch):
    def without(*args: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", without)
    folders(tmp_path / "source")
    assert prepare_images(tmp_path / "source", out=tmp_path / "out").did == "prepared"
