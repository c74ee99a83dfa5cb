"""Preparing data sets: what is stored, what is refused, what is explained, and going on after an interruption."""

from __future__ import annotations

import importlib
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets, transforms

from vvscale.data import Evaluation, ImageStore, Loader, load_dataset, open_store, prepare_images, verify
from vvscale.data.prepare import parallel as parts
from vvscale.data.prepare import passes
from vvscale.data.prepare import prepare as ingest
from vvscale.errors import ConfigError, DataError, DigestError, MissingDataError, RunError


def picture(seed: int, size: tuple[int, int] = (40, 50), mode: str = "RGB") -> Image.Image:
    rng = np.random.default_rng(seed)
    image = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)).resize(
        size[::-1], Image.Resampling.BICUBIC
    )
    return image.convert(mode)


def save(path: Path, seed: int, size: tuple[int, int] = (40, 50), mode: str = "RGB", **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(seed, size, mode).save(path, **options)
    return path


def folders(root: Path, n_train: int = 3, n_val: int = 2, classes: tuple[str, ...] = ("cat", "dog")) -> Path:
    """Write CLASS folders of small JPEGs, all different."""
    for label, name in enumerate(classes):
        for split, n in (("train", n_train), ("val", n_val)):
            for k in range(n):
                save(root / split / name / f"{k}.jpg", 1000 * label + 100 * (split == "val") + k, (30 + 3 * k, 44))
    return root


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return folders(tmp_path / "source")


def test_the_store_holds_what_torchvision_reads(source, tmp_path):
    done = prepare_images(source, out=tmp_path / "out", size=24)
    assert (done.did, done.n_train, done.n_val, done.n_classes, done.layout) == ("prepared", 6, 4, 2, "folders")
    dataset = load_dataset(tmp_path / "out")
    for store, split in ((dataset.train, "train"), (dataset.val, "val")):
        reference = datasets.ImageFolder(str(source / split), transforms.Resize(24))
        assert store.class_names == tuple(reference.classes)
        assert store.labels.tolist() == reference.targets
        for position, (image, _) in enumerate(reference):
            np.testing.assert_array_equal(store.image(position), np.asarray(image))
    assert done.n_bytes == sum(store.n_bytes.sum() for store in (dataset.train, dataset.val))
    assert verify(tmp_path / "out") == 10
    assert not (tmp_path / "out" / ".work").exists() or not list((tmp_path / "out" / ".work").rglob("*.json"))


def test_the_digest_is_of_the_content(source, tmp_path):
    prepare_images(source, out=tmp_path / "out", size=24)
    store = load_dataset(tmp_path / "out").train
    images = [store.image(i) for i in range(store.n_images)]
    same = ImageStore.from_arrays(images, store.labels, class_names=store.class_names)
    assert same.digest == store.digest
    changed = [images[0] ^ 1, *images[1:]]
    assert ImageStore.from_arrays(changed, store.labels, class_names=store.class_names).digest != store.digest


def test_only_shrinking_and_size_zero(tmp_path):
    save(tmp_path / "s" / "train" / "a" / "0.png", 0, (20, 60))
    save(tmp_path / "s" / "val" / "a" / "0.png", 1, (90, 64))
    prepare_images(tmp_path / "s", out=tmp_path / "out", size=32)
    dataset = load_dataset(tmp_path / "out")
    assert dataset.train.image(0).shape == (20, 60, 3)
    assert dataset.val.image(0).shape == (45, 32, 3)
    assert json.loads((tmp_path / "out" / "report.json").read_text())["oddities"] == {"small": 1}
    prepare_images(tmp_path / "s", out=tmp_path / "whole", size=0)
    np.testing.assert_array_equal(load_dataset(tmp_path / "whole").val.image(0), np.asarray(picture(1, (90, 64))))


def test_odd_images_are_converted_and_reported(tmp_path):
    root = tmp_path / "s"
    train = root / "train" / "a"
    save(train / "cmyk.jpg", 0, mode="CMYK")
    save(train / "grey.png", 1, mode="L")
    save(train / "palette.png", 2, mode="P")
    save(train / "alpha.png", 3, mode="RGBA")
    exif = Image.Exif()
    exif[0x0112] = 6
    save(train / "rotated.jpg", 4, exif=exif)
    sixteen = np.linspace(0, 65535, 2000).astype(np.uint16).reshape(40, 50)
    Image.fromarray(sixteen).save(train / "sixteen.png")
    clear = picture(5).convert("P")
    clear.save(train / "transparent.png", transparency=bytes(range(256)))
    save(root / "val" / "a" / "0.gif", 6)
    done = prepare_images(root, out=tmp_path / "out", size=0)
    assert done.report["oddities"] == {"16-bit": 1, "alpha": 2, "cmyk": 1, "grey": 1, "palette": 3, "rotated": 1}
    store = open_store(tmp_path / "out" / "train")
    image = {path: store.image(k) for k, path in enumerate(sorted(p.name for p in train.iterdir()))}
    assert image["rotated.jpg"].shape == (50, 40, 3)
    upright = np.asarray(Image.open(train / "rotated.jpg").transpose(Image.Transpose.ROTATE_270))
    np.testing.assert_array_equal(image["rotated.jpg"], upright)
    np.testing.assert_array_equal(image["sixteen.png"][..., 0], sixteen >> 8)
    for name in ("cmyk.jpg", "grey.png", "alpha.png", "palette.png"):
        np.testing.assert_array_equal(image[name], np.asarray(Image.open(train / name).convert("RGB")))
    np.testing.assert_array_equal(image["transparent.png"], np.asarray(clear.convert("RGB")))


@pytest.mark.parametrize("n_workers", [1, 2])
def test_corrupt_images_are_refused_then_left_out_by_name(source, tmp_path, n_workers, monkeypatch):
    monkeypatch.setattr(parts, "IMAGES_FOR_A_POOL", 0)
    whole = (source / "train" / "cat" / "1.jpg").read_bytes()
    (source / "train" / "cat" / "1.jpg").write_bytes(whole[:-60])
    (source / "train" / "dog" / "0.jpg").write_bytes(b"<html>404</html>")
    (source / "val" / "dog" / "0.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"2 images cannot be decoded: 'train/dog/0.jpg' \(not an image file\); 'val/"):
        prepare_images(source, out=tmp_path / "out", size=24, workers=n_workers)
    done = prepare_images(source, out=tmp_path / "out", size=24, workers=n_workers, skip_corrupt=True)
    reasons = {row["path"]: row["reason"] for row in done.report["corrupt"]}
    assert set(reasons) == {"train/cat/1.jpg", "train/dog/0.jpg", "val/dog/0.jpg"}
    assert "truncated" in reasons["train/cat/1.jpg"]
    assert reasons["val/dog/0.jpg"] == "the file is empty"
    assert (done.n_train, done.n_val) == (4, 3)
    store = load_dataset(tmp_path / "out").train
    assert store.labels.tolist() == [0, 0, 1, 1]
    clean = tmp_path / "clean"
    shutil.copytree(source, clean)
    for path in reasons:
        (clean / path).unlink()
    assert prepare_images(clean, out=tmp_path / "out2", size=24).digests == done.digests


def test_a_truncated_image_is_refused_after_the_others_are_kept(source, tmp_path):
    whole = (source / "train" / "cat" / "1.jpg").read_bytes()
    (source / "train" / "cat" / "1.jpg").write_bytes(whole[:-60])
    with pytest.raises(DataError, match=r"1 images cannot be decoded: 'train/cat/1.jpg' \(image file is truncated"):
        prepare_images(source, out=tmp_path / "out", size=24)
    assert json.loads((tmp_path / "out" / "corrupt.json").read_text())[0]["path"] == "train/cat/1.jpg"
    with pytest.raises(MissingDataError, match=r"not a prepared data set"):
        load_dataset(tmp_path / "out")


def test_a_class_without_a_readable_image_is_an_error(source, tmp_path):
    for path in (source / "train" / "cat").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"No training image of the class 'cat'"):
        prepare_images(source, out=tmp_path / "out", skip_corrupt=True)


def test_duplicates_are_named(source, tmp_path):
    shutil.copy(source / "train" / "cat" / "0.jpg", source / "val" / "dog" / "9.jpg")
    shutil.copy(source / "train" / "cat" / "2.jpg", source / "train" / "cat" / "3.jpg")
    report = prepare_images(source, out=tmp_path / "out").report
    assert report["n_duplicates"] == 2
    assert ["train/cat/2.jpg", "train/cat/3.jpg"] in report["duplicates"]
    assert report["duplicates_across_splits"] == [["train: train/cat/0.jpg", "val: val/dog/9.jpg"]]
    assert report["duplicates_of_two_classes"] == [["train/cat/0.jpg", "val/dog/9.jpg"]]


def test_the_same_request_is_found_and_a_changed_one_explained(source, tmp_path):
    out = tmp_path / "out"
    first = prepare_images(source, out=out, size=24)
    stamp = (out / "train" / "images.bin").stat().st_mtime_ns
    again = prepare_images(source, out=out, size=24)
    assert again.did == "found"
    assert again.digests == first.digests
    assert (out / "train" / "images.bin").stat().st_mtime_ns == stamp
    with pytest.raises(DataError, match=r"size is 20, was 24"):
        prepare_images(source, out=out, size=20)
    save(source / "train" / "cat" / "new.jpg", 77)
    save(source / "val" / "dog" / "1.jpg", 78)
    with pytest.raises(
        DataError, match=r"1 of the images are new \('train/cat/new.jpg'\); 1 of the images are changed"
    ):
        prepare_images(source, out=out, size=24)
    (source / "train" / "dog" / "0.jpg").unlink()
    with pytest.raises(DataError, match=r"gone \('train/dog/0.jpg'\)"):
        prepare_images(source, out=out, size=24)
    done = prepare_images(source, out=out, size=24, replace=True)
    assert done.digests == prepare_images(source, out=tmp_path / "fresh", size=24).digests


def test_unfinished_work_on_something_else_is_not_mixed_in(source, tmp_path, monkeypatch):
    def fail(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ingest, "pixels_of", fail)
        with pytest.raises(KeyboardInterrupt):
            prepare_images(source, out=tmp_path / "out", size=24, workers=1)
    with pytest.raises(DataError, match=r"unfinished work on something else: size is 20, was 24"):
        prepare_images(source, out=tmp_path / "out", size=20)
    done = prepare_images(source, out=tmp_path / "out", size=20, replace=True)
    assert done.digests == prepare_images(source, out=tmp_path / "fresh", size=20).digests


def test_every_interruption_ends_in_the_same_store(source, tmp_path, monkeypatch):
    """Stop before each write of a whole file in turn; the next run must finish with the same digests."""
    monkeypatch.setattr(ingest, "IMAGES_PER_PART", 2)
    expected = prepare_images(source, out=tmp_path / "whole", size=24, workers=1).digests
    from vvscale.core import files as _files

    real = Path.replace
    n_stops = 0
    while True:
        left = n_stops

        def replace(self: Path, target: Path) -> Path:
            nonlocal left
            if left == 0:
                raise KeyboardInterrupt
            left -= 1
            return real(self, target)

        out = tmp_path / f"out{n_stops}"
        with monkeypatch.context() as patch:
            patch.setattr(_files.Path, "replace", replace)
            try:
                prepare_images(source, out=out, size=24, workers=1)
                break
            except KeyboardInterrupt:
                pass
        assert not (out / "manifest.json").exists()
        assert prepare_images(source, out=out, size=24, workers=1).digests == expected
        n_stops += 1
    assert n_stops > 15


SCRIPT = """
import sys
from vvscale.data import prepare_images
from vvscale.data.prepare import prepare as ingest
from vvscale.data.prepare import parallel as parts
ingest.IMAGES_PER_PART = 4
parts.IMAGES_FOR_A_POOL = 0
if __name__ == "__main__":
    prepare_images(sys.argv[1], out=sys.argv[2], size=24, workers=2)
"""


def is_alive(pid: str) -> bool:
    """Whether a process runs; one that ended and that nobody has asked for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.slow
def test_sigkill_at_any_moment_loses_nothing(tmp_path):
    source = folders(tmp_path / "source", 40, 4)
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    expected = prepare_images(source, out=tmp_path / "whole", size=24).digests
    out, n_kills = tmp_path / "out", 0
    for n_parts in (1, 23, 35):
        process = subprocess.Popen([sys.executable, script, source, out], start_new_session=True)
        deadline = time.monotonic() + 120
        while process.poll() is None and len(list(out.rglob("*-*-*.json"))) < n_parts and time.monotonic() < deadline:
            time.sleep(0.002)
        n_kills += process.poll() is None
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        workers = children.read_text().split() if children.is_file() else []
        # Only the parent: its workers must notice by themselves.
        process.send_signal(signal.SIGKILL)
        process.wait()
        while any(is_alive(worker) for worker in workers):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert n_kills >= 2
    subprocess.run([sys.executable, script, source, out], check=True)
    assert json.loads((out / "manifest.json").read_text())["digests"] == expected
    assert verify(out) == 88


def test_a_full_disk_is_told_and_the_work_kept(source, tmp_path, monkeypatch):
    def full(*args: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(passes.os, "pwrite", full)
        with pytest.raises(DataError, match=r"the disk is full .No space left on device.*run the same command again"):
            prepare_images(source, out=tmp_path / "out", size=24, workers=1)
    assert prepare_images(source, out=tmp_path / "out", size=24, workers=1).did == "prepared"


def test_too_little_room_is_told_before_work_begins(source, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(ingest.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(DataError, match=r"0.0 GB free; 0.0 GB of pixels are still to be written"):
        prepare_images(source, out=tmp_path / "out")


def test_a_dry_run_writes_nothing_and_estimates(source, tmp_path):
    planned = prepare_images(source, out=tmp_path / "out", size=24, dry_run=True)
    assert (planned.did, planned.n_train, planned.n_val) == ("planned", 6, 4)
    assert not (tmp_path / "out").exists()
    # Every image is in the sample of so small a set.
    assert planned.n_bytes == prepare_images(source, out=tmp_path / "out", size=24).n_bytes
    assert planned.seconds > 0


def test_a_second_process_is_refused(source, tmp_path):
    import fcntl

    work = tmp_path / "out" / ".work"
    work.mkdir(parents=True)
    with (work / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(DataError, match=r"Another process is preparing"):
            prepare_images(source, out=tmp_path / "out")


def test_a_share_is_held_out_where_there_is_no_val(source, tmp_path):
    shutil.rmtree(source / "val")
    with pytest.raises(DataError, match=r"no images for evaluation and no `val_fraction`"):
        prepare_images(source, out=tmp_path / "out")
    first, other = (prepare_images(source, out=tmp_path / f"out{seed}", val_fraction=0.3, seed=seed) for seed in (0, 1))
    assert (first.n_train, first.n_val) == (4, 2)
    assert load_dataset(first.folder).val.labels.tolist() == [0, 1]
    assert first.digests != other.digests
    # One folder of classes is split likewise.
    alone = prepare_images(source / "train", out=tmp_path / "alone", val_fraction=0.3, seed=0)
    assert alone.layout == "folder"
    assert alone.digests == first.digests
    with pytest.raises(DataError, match=r"The class 'cat' has 3 images, too few"):
        prepare_images(source, out=tmp_path / "half", val_fraction=0.9)


def test_val_fraction_beside_a_val_folder_is_refused(source, tmp_path):
    with pytest.raises(DataError, match=r"has images for evaluation already"):
        prepare_images(source, out=tmp_path / "out", val_fraction=0.1)


def test_classes_and_their_order_can_be_chosen(tmp_path):
    source = folders(tmp_path / "source", classes=("ant", "bee", "cat"))
    done = prepare_images(source, out=tmp_path / "out", classes=["cat", "ant"])
    store = load_dataset(done.folder).train
    assert store.class_names == ("cat", "ant")
    assert store.labels.tolist() == [1, 1, 1, 0, 0, 0]
    with pytest.raises(DataError, match=r"no class 'act'.*Did you mean"):
        prepare_images(source, out=tmp_path / "none", classes=["act"])
    save(source / "train" / "bee" / "9.jpg", 9)
    fewer = prepare_images(source, out=tmp_path / "fewer", min_per_class=4)
    assert load_dataset(fewer.folder).train.class_names == ("bee",)
    assert fewer.report["classes_left_out"] == ["ant", "cat"]


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        (lambda s: shutil.rmtree(s), MissingDataError, "There is no folder"),
        (lambda s: shutil.rmtree(s / "train"), DataError, "look like splits, not classes"),
        (lambda s: (s / "train" / "empty").mkdir(), DataError, "the class 'empty' is empty"),
        (lambda s: save(s / "val" / "cow" / "0.jpg", 1), DataError, "have the class 'cow'"),
    ],
    ids=["missing", "no train", "empty class", "unknown class"],
)
def test_bad_sources(source, tmp_path, change, error, text):
    change(source)
    with pytest.raises(error, match=text):
        prepare_images(source, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_options_out_of_range(source, tmp_path):
    for options, text in (
        ({"size": -1}, "`size` is -1"),
        ({"workers": 0}, "`workers` is 0"),
        ({"min_per_class": -1}, "`min_per_class` is -1"),
        ({"val_list": "x"}, "Got `val_list` without `train_list`"),
    ):
        with pytest.raises(ConfigError, match=text):
            prepare_images(source, out=tmp_path / "out", **options)
    with pytest.raises(ConfigError, match=r"cannot go into the source folder"):
        prepare_images(source, out=source)


# --- opening what was prepared ----------------------------------------------------------------------------------


@pytest.fixture
def out(source, tmp_path) -> Path:
    return prepare_images(source, out=tmp_path / "out", size=24).folder


def test_damaged_stores_are_refused(out):
    pixels = out / "train" / "images.bin"
    content = pixels.read_bytes()
    pixels.write_bytes(content[:-1])
    with pytest.raises(DataError, match=r"was cut short"):
        load_dataset(out)
    pixels.write_bytes(content[:50] + bytes([content[50] ^ 1]) + content[51:])
    load_dataset(out)
    with pytest.raises(DigestError, match=r"1 of 6 images of .*the first of them at position 0 \('train/cat/0.jpg'\)"):
        verify(out)
    pixels.unlink()
    with pytest.raises(MissingDataError, match=r"lacks images.bin"):
        load_dataset(out)


@pytest.mark.parametrize("residency", ["device", "map", "host"])
def test_no_changed_pixel_reaches_a_batch(residency, out, source):
    """128 of 128 changed bytes were once trained on under the old digest."""
    pixels = out / "train" / "images.bin"
    content = pixels.read_bytes()
    transform = Evaluation(image_size=24, resize=24)
    rng = np.random.default_rng(0)
    for position in rng.integers(0, len(content), 20).tolist():
        pixels.write_bytes(content[:position] + bytes([content[position] ^ 4]) + content[position + 1 :])
        with pytest.raises(DigestError, match=r"of 'out/train' are not those that were prepared.*`replace`"):
            list(Loader(open_store(out / "train"), transform=transform, batch_size=2, residency=residency).epoch(0))
    done = prepare_images(source, out=out, size=24, replace=True)
    assert done.did == "prepared"
    assert pixels.read_bytes() == content
    assert prepare_images(source, out=out, size=24, replace=True).did == "found"


def test_images_are_hashed_once_per_store(out, monkeypatch):
    store = open_store(out / "train")
    loader = Loader(store, transform=Evaluation(image_size=24, resize=24), batch_size=2, residency="map")
    first = [batch.images for batch in loader.epoch(0)]
    monkeypatch.setattr("vvscale.data.store.hashlib", None)
    assert all(torch.equal(a, b.images) for a, b in zip(first, loader.epoch(0), strict=False))


@pytest.mark.parametrize("change", [("class_names", ["cat", "dig"]), ("digest", "0" * 64)])
def test_a_changed_manifest_is_refused(change, out):
    path = out / "train" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | dict([change])))
    with pytest.raises(DigestError, match="does not have the digest that it carries"):
        load_dataset(out)
    # One of before manifests had a digest of their own is still held against its index.
    manifest = json.loads(path.read_text())
    del manifest["content_sha256"]
    path.write_text(json.dumps(manifest))
    with pytest.raises(DigestError, match="class names or digest were changed"):
        load_dataset(out)


def test_a_changed_index_is_refused(out):
    shutil.copy(out / "val" / "index.parquet", out / "train" / "index.parquet")
    with pytest.raises(DigestError, match=r"is not the file that was written"):
        load_dataset(out)


@pytest.mark.parametrize("damage", [lambda content: content[:-9], lambda content: b""])
def test_a_damaged_index_in_the_way_is_named(damage, out, source):
    path = out / "train" / "index.parquet"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=r"index\.parquet' cannot be read: .*`replace`"):
        prepare_images(source, out, size=20)
    assert prepare_images(source, out, size=20, replace=True).did == "prepared"


def test_another_format_is_refused(out):
    manifest = json.loads((out / "train" / "manifest.json").read_text())
    (out / "train" / "manifest.json").write_text(json.dumps({**manifest, "format": "vvscale-images-9"}))
    with pytest.raises(DataError, match=r"has the format 'vvscale-images-9'; this version reads 'vvscale-images-1'"):
        load_dataset(out)
    (out / "train" / "manifest.json").write_text("{")
    with pytest.raises(DataError, match=r"Cannot read"):
        load_dataset(out)


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(MissingDataError, match=r"not a prepared data set"):
        load_dataset(tmp_path)
    with pytest.raises(MissingDataError, match=r"Did you mean 'digits'"):
        load_dataset("digit")


def test_a_worker_that_dies_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "IMAGES_FOR_A_POOL", 0)
    # A module of its own: workers import it, and the one with the tests would take seconds.
    (tmp_path / "dying.py").write_text("import os\ndef die(part):\n    os._exit(1)\n")
    monkeypatch.syspath_prepend(tmp_path)
    die = importlib.import_module("dying").die
    dying = [passes.Pieces(name, tmp_path, ("image",), 8) for name in ("a", "b")]
    with pytest.raises(RunError, match=r"A worker process died"):
        parts.run_parts(die, dying, tmp_path, n_workers=2, heard=lambda n: None)
