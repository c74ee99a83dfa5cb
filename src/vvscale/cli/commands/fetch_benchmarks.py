"""``vvscale fetch benchmarks``: recordings, choices and images of the public benchmarks."""

from __future__ import annotations

from collections.abc import Sequence

from vvscale.cli.output import Output


def fetch_benchmarks(names: Sequence[str], *, dry_run: bool, output: Output) -> None:
    """Download the files of some public benchmarks, of all five without names, and unpack their images."""
    from vvscale.brain import benchmark_ids
    from vvscale.brain.benchmarks.public import PUBLIC
    from vvscale.cli.progress import transfer
    from vvscale.errors import UsageError

    chosen = benchmark_ids(names or ["public"])
    other = [name for name in chosen if name not in PUBLIC]
    if other:
        raise UsageError(f"'{other[0]}' has no files to fetch; only the public benchmarks have: {', '.join(PUBLIC)}.")
    files = {file.name: file for name in chosen for file in PUBLIC[name].files()}
    rows = []
    for file in files.values():
        had = file.state() == "cached"
        did = "cached" if had else "would download" if dry_run else "downloaded"
        if not (had or dry_run):
            with transfer(file.name, quiet=output.quiet or output.json) as on_bytes:
                file.fetch(on_bytes)
        size = file.path.stat().st_size if file.path.is_file() else None
        told = f"{size:,} bytes" if size is not None else "size known once downloaded"
        source = "" if had else f" from {file.url}"
        output.say(f"{file.name}: {did}{source}\n  {file.path} ({told}, {file.algorithm} {file.digest[:12]}...)")
        rows.append(
            {
                "what": file.name,
                "did": did,
                "path": str(file.path),
                "url": file.url,
                "bytes": size,
                file.algorithm: file.digest,
            }
        )
    unpacked = {}
    if not dry_run:
        for name in chosen:
            stimuli = PUBLIC[name].stimuli()
            unpacked[stimuli.identifier] = len(stimuli)
    for identifier, n_images in unpacked.items():
        output.say(f"{identifier}: {n_images} images unpacked")
    output.say("Next: vvscale ls benchmarks")
    output.document({"command": "fetch benchmarks", "benchmarks": chosen, "files": rows, "unpacked": unpacked})
