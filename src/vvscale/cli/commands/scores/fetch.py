"""``vvscale fetch``: download published files and weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from vvscale.cli.options import verb
from vvscale.cli.output import Output
from vvscale.errors import shell_words

if TYPE_CHECKING:
    from vvscale.core.download import RemoteFile

What = Literal["scores", "checkpoints", "private", "checkpoint-list", "commitments", "weights", "benchmarks", "all"]


@verb
def fetch(
    what: What,
    /,
    *names: str,
    dry_run: bool = False,
    output: Output,
) -> None:
    """Download published data, checked by hash, and published weights.

    Files already in the cache are left alone; a download that broke off is continued. VVSCALE_MIRROR=<folder
    or URL> replaces the host; VVSCALE_CACHE=<folder> replaces the cache.

    Parameters
    ----------
    what
        scores: 993 models x 5 benchmarks; checkpoints: 43 models over training; private: 28 models on the
        private benchmarks; checkpoint-list: where the weights lie; commitments: which layer stands for
        which region; all: all of these tables; weights: the networks named after it, converted to safetensors;
        benchmarks: recordings and images of the public benchmarks.
    names
        For weights: MODEL_ID, or MODEL_ID@EPOCH, as many as wanted. For benchmarks: names or regions, all five by
        default.
    dry_run
        Say what would be done and do nothing.
    """
    from vvscale.errors import UsageError

    if what == "weights":
        _weights(names, dry_run, output)
    elif what == "benchmarks":
        _benchmarks(names, dry_run=dry_run, output=output)
    elif names:
        raise UsageError(
            f"'{what}' is fetched whole; leave out {', '.join(names)}, or: "
            f"vvscale fetch weights {shell_words(names[0])}"
        )
    else:
        _files(what, dry_run, output)


def _files(what: str, dry_run: bool, output: Output) -> None:
    from vvscale.scores import published

    keys = published.FILES if what == "all" else [what]
    files = [_fetched(key, published.published_file(key), dry_run, output) for key in keys]
    output.say("Next: vvscale ls scores")
    output.document({"command": "fetch", "files": files})


def _fetched(what: str, file: RemoteFile, dry_run: bool, output: Output) -> dict[str, Any]:
    """Download a file unless it is in the cache, and say so."""
    from vvscale.cli.progress import transfer

    had = file.state() == "cached"
    if not (had or dry_run):
        with transfer(what, quiet=output.quiet or output.json) as on_bytes:
            file.fetch(on_bytes)
    did = _did(had, dry_run)
    size = file.path.stat().st_size if file.path.is_file() else None
    told = f"{size:,} bytes" if size is not None else "size known once downloaded"
    source = "" if had else f" from {file.url}"
    output.say(f"{what}: {did}{source}\n  {file.path} ({told}, {file.algorithm} {file.digest[:12]}...)")
    return {
        "what": what, "did": did, "path": str(file.path), "url": file.url, "bytes": size, file.algorithm: file.digest,
    }  # fmt: skip


def _weights(models: tuple[str, ...], dry_run: bool, output: Output) -> None:
    from vvscale.cli.progress import transfer
    from vvscale.errors import UsageError
    from vvscale.models.published.checkpoints import fetch_weights, find_checkpoint, read_ref

    if not models:
        raise UsageError("'fetch weights' needs the names of models. Next: vvscale ls models 'resnet18_*' lists some.")
    # All names are looked up before the first download.
    chosen = [find_checkpoint(*read_ref(name)) for name in models]
    files = []
    for one in chosen:
        name = f"{one.model_id}@{one.epoch}"
        had = bool(one.cached)
        n_bytes = _size(one.url, output) if dry_run and not had else None
        if not dry_run:
            with transfer(name, quiet=output.quiet) as progress:
                fetch_weights(one, progress=progress)
        did = _did(had, dry_run)
        size = "" if had or not dry_run else f" ({f'{n_bytes / 1e6:,.1f} MB' if n_bytes else 'size unknown'})"
        source = "" if had else f" from {one.url}{size}"
        output.say(f"{name}: {did}{source}")
        for kind in one.cached or (one.scored_kind,):
            output.say(f"  {kind}: {one.weights_path(kind)}")
        weights = {kind: str(one.weights_path(kind)) for kind in one.cached}
        entry = {"model_id": one.model_id, "epoch": one.epoch, "did": did, "url": one.url, "bytes": n_bytes}
        files.append(entry | {"weights": weights})
    output.say(f"Next: vvscale score {shell_words(f'gokce2025:{chosen[0].model_id}')}")
    output.document({"command": "fetch weights", "files": files})


def _did(had: bool, dry_run: bool) -> str:
    return "cached" if had else "would download" if dry_run else "downloaded"


def _size(url: str, output: Output) -> int | None:
    from vvscale.core.download import size_of
    from vvscale.errors import MissingDataError

    try:
        return size_of(url)
    except MissingDataError as error:
        output.note(str(error))
        return None


def _benchmarks(names: Sequence[str], *, dry_run: bool, output: Output) -> None:
    """Download the files of some benchmarks, of the public five without names, and unpack their images."""
    from vvscale.brain.catalogue import downloadable

    chosen = downloadable(names or ["public"])
    files = {file.name: file for one in chosen for file in one.files()}
    rows = [_fetched(name, file, dry_run, output) for name, file in files.items()]
    unpacked = {}
    if not dry_run:
        for one in chosen:
            stimuli = one.stimuli()
            unpacked[stimuli.identifier] = len(stimuli)
    for identifier, n_images in unpacked.items():
        output.say(f"{identifier}: {n_images} images unpacked")
    names = [one.benchmark_id for one in chosen]
    output.say(
        f"Next: vvscale score MODEL --on {shell_words(names[0])} --layers all"
        if len(names) == 1
        else "Next: vvscale ls benchmarks"
    )
    output.document({"command": "fetch benchmarks", "benchmarks": names, "files": rows, "unpacked": unpacked})
