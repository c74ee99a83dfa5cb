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
    from vvscale.errors import DigestError
    from vvscale.scores import published

    output = output or Output()
    rows = []
    for key, file in published.FILES.items():
        state: str = published.state(key)
        if action == "clear" and state != "absent":
            state = "would be removed" if dry_run else "removed"
            if not dry_run:
                published.clear(key)
        size = file.path.stat().st_size if file.path.is_file() else None
        rows.append({"file": key, "state": state, "bytes": size, "path": str(file.path)})
        output.say(f"{key:16}{state:18}{f'{size:,} bytes' if size else '':>18}  {file.path}")
    output.document({"command": f"cache {action}", "folder": str(published.cache_folder()), "files": rows})
    damaged = [row["file"] for row in rows if row["state"] == "damaged"]
    if damaged and action == "verify":
        raise DigestError(
            f"{len(damaged)} of {len(rows)} files in '{published.cache_folder()}' do not have their "
            f"published sha256: {', '.join(damaged)}. Likely cause: they were edited, or the disk is "
            f"failing. Next: vvscale fetch {damaged[0]}."
        )
    output.say("Next: vvscale fetch all" if action == "clear" else "Next: vvscale cache verify | vvscale cache clear")
