"""``vvscale fetch benchmarks``: recordings, choices and images of the public benchmarks."""

from __future__ import annotations

from collections.abc import Sequence

from vvscale.cli.output import Output


def fetch_benchmarks(names: Sequence[str], *, dry_run: bool, output: Output) -> None:
    """Download the files of some benchmarks, of the public five without names, and unpack their images."""
    from vvscale.brain.catalogue import downloadable
    from vvscale.cli.progress import transfer

    chosen = downloadable(names or ["public"])
    files = {file.name: file for one in chosen for file in one.files()}
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
        for one in chosen:
            stimuli = one.stimuli()
            unpacked[stimuli.identifier] = len(stimuli)
    for identifier, n_images in unpacked.items():
        output.say(f"{identifier}: {n_images} images unpacked")
    names = [one.benchmark_id for one in chosen]
    output.say(
        f"Next: vvscale score MODEL --on {names[0]} --layers all" if len(names) == 1 else "Next: vvscale ls benchmarks"
    )
    output.document({"command": "fetch benchmarks", "benchmarks": names, "files": rows, "unpacked": unpacked})
