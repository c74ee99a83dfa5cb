"""``vvscale cache``: the downloaded files."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from vvscale.cli.output import Output


def cache(
    action: Literal["ls", "verify", "clear"] = "ls",
    /,
    *,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    output: Output | None = None,
) -> None:
    """List, verify or clear downloaded files.

    Parameters
    ----------
    action
        ls: what is there and whether it is whole; verify: the same, and fail if a file is damaged; clear:
        remove the files that vvscale downloaded, and nothing else.
    dry_run
        With clear: say what would be removed and do nothing.
    """
    from vvscale._download import cache_folder
    from vvscale.brain import public
    from vvscale.errors import DigestError
    from vvscale.scores import published

    output = output or Output()
    rows = []
    for key, file in {**{key: one.remote for key, one in published.FILES.items()}, **public.FILES}.items():
        state: str = file.state()
        if action == "clear" and state != "absent":
            state = "would be removed" if dry_run else "removed"
            if not dry_run:
                file.clear()
        size = file.path.stat().st_size if file.path.is_file() else None
        rows.append({"file": key, "state": state, "bytes": size, "path": str(file.path)})
    for folder in public.unpacked_folders():
        state = "unpacked" if folder.is_dir() else "absent"
        if action == "clear" and state != "absent":
            state = "would be removed" if dry_run else "removed"
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else None
        rows.append({"file": f"{folder.name}/", "state": state, "bytes": size, "path": str(folder)})
    if action == "clear" and not dry_run:
        public.clear_unpacked()
    for row in rows:
        size = f"{row['bytes']:,} bytes" if row["bytes"] else ""
        output.say(f"{row['file']:46}  {row['state']:16}  {size:>19}  {row['path']}")
    output.document({"command": f"cache {action}", "folder": str(cache_folder()), "files": rows})
    n_present = sum(row["state"] in {"cached", "damaged"} for row in rows)
    damaged = [row["file"] for row in rows if row["state"] == "damaged"]
    if damaged and action == "verify":
        following = damaged[0] if damaged[0] in published.FILES else "benchmarks"
        raise DigestError(
            f"{len(damaged)} of {n_present} files in '{cache_folder()}' do not have their published hash: "
            f"{', '.join(damaged)}. Likely cause: they were edited, or the disk is failing. "
            f"Next: vvscale fetch {following}."
        )
    output.say("Next: vvscale fetch all" if action == "clear" else "Next: vvscale cache verify | vvscale cache clear")
