"""``vvscale prepare``: decode a data set once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vvscale.cli.options import verb
from vvscale.cli.output import Output
from vvscale.data.prepare.options import PrepareOptions
from vvscale.errors import shell_words

Flag = Parameter(negative="")


@verb
def prepare(
    source: Path,
    /,
    *,
    out: Path,
    options: PrepareOptions,
    verify: Annotated[bool, Flag] = False,
    dry_run: Annotated[bool, Flag] = False,
    output: Output,
) -> None:
    """Decode a data set once, so that training never decodes; rerun to resume, or to find it done.

    Images become RGB bytes whose shorter side is --size, by the antialiased bilinear filter of the usual pipelines.

    Parameters
    ----------
    source
        Folder of the images.
    out
        Folder to make, for `vvscale train --data`.
    verify
        Afterwards read every pixel again and compare it with its digest.
    dry_run
        Count, estimate bytes and time, and write nothing.
    """
    from vvscale import data
    from vvscale.cli.progress import watch_images

    with watch_images(quiet=output.quiet) as watch:
        done = data.prepare_images(source, out, options, dry_run=dry_run, progress=watch)
        n_verified = data.verify(out, progress=watch) if verify and not dry_run else None
    for line in done.lines():
        output.say(line)
    if n_verified is not None:
        output.say(f"Every pixel of {n_verified:,} images is as its digest says.")
    following = f"vvscale train resnet18 --data {shell_words(done.folder)} --dry-run"
    output.say(f"Next: {'the same command without --dry-run' if dry_run else following}")
    output.document({"command": "prepare", **done.to_dict(), "n_verified": n_verified})
