"""``vvscale fetch``: download published files, checked by hash."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from vvscale.cli.output import Output

What = Literal["scores", "checkpoints", "private", "checkpoint-list", "commitments", "benchmarks", "all"]


def fetch(
    what: What,
    /,
    *names: str,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    output: Output | None = None,
) -> None:
    """Download published data, checked by hash.

    Files already in the cache are left alone. VVSCALE_MIRROR=<folder or URL> replaces the host;
    VVSCALE_CACHE=<folder> replaces the cache.

    Parameters
    ----------
    what
        scores: 993 models x 5 benchmarks; checkpoints: 43 models over training; private: 28 models on the
        private benchmarks; checkpoint-list: where the weights lie; commitments: which layer stands for
        which region; benchmarks: recordings and images of the public benchmarks; all: every table, but no
        benchmarks.
    names
        With benchmarks: which of them, by name or region; all five by default.
    dry_run
        Say what would be done and do nothing.
    """
    from vvscale.errors import UsageError
    from vvscale.scores import published

    output = output or Output()
    if what == "benchmarks":
        from vvscale.cli.fetch_benchmarks import fetch_benchmarks

        fetch_benchmarks(names, dry_run=dry_run, output=output)
        return
    if names:
        raise UsageError(f"'{what}' is fetched whole; leave out {', '.join(names)}.")
    files = []
    for key in published.FILES if what == "all" else [what]:
        file = published.published_file(key)
        had = published.state(key) == "cached"
        if not (had or dry_run):
            published.fetch(key)
        did = "cached" if had else "would download" if dry_run else "downloaded"
        source = "" if had else f" from {file.url}"
        output.say(f"{key}: {did}{source}\n  {file.path} (sha256 {file.sha256[:12]}...)")
        files.append({"what": key, "did": did, "path": str(file.path), "url": file.url, "sha256": file.sha256})
    output.say("Next: vvscale ls scores")
    output.document({"command": "fetch", "files": files})
