"""``vvscale prepare``: decode a data set once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vvscale.cli.output import Output

Flag = Parameter(negative="")


def prepare(
    source: Path,
    /,
    *,
    out: Path,
    layout: str = "auto",
    train_list: Path | None = None,
    val_list: Path | None = None,
    classes: Path | None = None,
    min_per_class: int = 0,
    val_fraction: float | None = None,
    seed: int = 0,
    size: int = 256,
    workers: int | None = None,
    skip_corrupt: Annotated[bool, Flag] = False,
    replace: Annotated[bool, Flag] = False,
    verify: Annotated[bool, Flag] = False,
    dry_run: Annotated[bool, Flag] = False,
    output: Output | None = None,
) -> None:
    """Decode a data set once, so that training never decodes; the same command again goes on or finds it done.

    Images become RGB bytes whose shorter side is --size, by the antialiased bilinear filter of the usual pipelines.

    Parameters
    ----------
    source
        Folder of the images.
    out
        Folder to make, for `vvscale train --data`.
    layout
        imagenet, imagenet21kp, ecoset, webvision, places365, inaturalist2021, infimnist, tars, folders (train/CLASS,
        val/CLASS), folder (CLASS); by default whichever is recognised.
    train_list
        Text file of lines 'path label' instead of a layout; paths are relative to SOURCE.
    val_list
        The same for the images to evaluate on.
    classes
        Text file of class names to take, one per line, in the order of their labels.
    min_per_class
        Leave out classes with fewer training images.
    val_fraction
        Share of each class to hold out where the source has no images for evaluation.
    seed
        Of that share.
    size
        Shorter side in pixels, of images that are larger; 0 keeps all pixels.
    workers
        Processes of one thread each; by default one per core.
    skip_corrupt
        Leave out images that cannot be decoded and name them, instead of refusing.
    replace
        Remove what OUT holds from other images or settings.
    verify
        Afterwards read every pixel again and compare it with its digest.
    dry_run
        Count, estimate bytes and time, and write nothing.
    """
    from vvscale import data
    from vvscale.cli.image_progress import watch_images
    from vvscale.data.prepare.lists import read_names

    output = output or Output()
    with watch_images(quiet=output.quiet) as watch:
        done = data.prepare_images(
            source,
            out=out,
            layout=layout,
            train_list=train_list,
            val_list=val_list,
            classes=None if classes is None else read_names(classes),
            min_per_class=min_per_class,
            val_fraction=val_fraction,
            seed=seed,
            size=size,
            n_workers=workers,
            skip_corrupt=skip_corrupt,
            replace=replace,
            dry_run=dry_run,
            progress=watch,
        )
        n_verified = data.verify(out, progress=watch) if verify and not dry_run else None
    for line in done.lines():
        output.say(line)
    if n_verified is not None:
        output.say(f"Every pixel of {n_verified:,} images is as its digest says.")
    output.say(f"Next: {done.next_command}")
    output.document({"command": "prepare", **done.to_dict(), "n_verified": n_verified})
