"""``vvscale cache``: the downloaded files."""

from __future__ import annotations

from typing import Any, Literal

from vvscale.cli.options import verb
from vvscale.cli.output import Output


@verb
def cache(
    action: Literal["ls", "verify", "clear"] = "ls",
    /,
    *,
    scores: bool = False,
    dry_run: bool = False,
    output: Output,
) -> None:
    """List, verify or clear downloaded files, and the scores and inner products that 'vvscale score' keeps.

    Parameters
    ----------
    action
        ls: what is there and whether it is whole; verify: the same, and fail if a file is damaged; clear:
        remove the files that vvscale downloaded, and nothing else.
    scores
        With clear: remove what 'vvscale score' keeps instead, which is made again when it is needed.
    dry_run
        With clear: say what would be removed and do nothing.
    """
    from vvscale.cache import held
    from vvscale.core.download import cache_folder
    from vvscale.errors import DigestError

    if scores:
        _clear_scores(action, dry_run, output)
        return
    rows, damaged, n_present = [], {}, 0
    for one in held():
        n_present += one.is_there
        if one.state == "damaged":
            damaged[one.name] = one.remedy
        row = {"file": one.name, "state": one.state, "bytes": one.n_bytes, "path": str(one.path)}
        if action == "clear" and one.is_there:
            row["state"] = "would be removed" if dry_run else "removed"
            if not dry_run:
                one.remove()
        rows.append(row)
    for row in rows:
        size = f"{row['bytes']:,} bytes" if row["bytes"] else ""
        output.say(f"{row['file']:46}  {row['state']:16}  {size:>19}  {row['path']}")
    kept = _kept_scores(output)
    output.document({"command": f"cache {action}", "folder": str(cache_folder()), "files": rows, "scores": kept})
    if damaged and action == "verify":
        raise DigestError(
            f"{len(damaged)} of {n_present} files in '{cache_folder()}' do not have the hash that they should have: "
            f"{', '.join(damaged)}. Likely cause: they were edited, or the disk is failing. "
            f"Next: {next(iter(damaged.values()))}."
        )
    if action == "verify":
        _score_cache().verify()
    output.say("Next: vvscale fetch all" if action == "clear" else "Next: vvscale cache verify | vvscale cache clear")


def _kept_scores(output: Output) -> list[dict[str, Any]]:
    """Show what 'vvscale score' keeps, by kind."""
    import pandas as pd

    entries = list(_score_cache().entries())
    rows = [
        {
            "kind": one.kind,
            "state": one.state,
            "bytes": one.n_bytes,
            "layer": one.parts.get("layer"),
            "path": str(one.path),
        }
        for one in entries
    ]
    if rows:
        table = pd.DataFrame(rows)
        for (kind, state), group in table.groupby(["kind", "state"]):
            size = f"{group['bytes'].sum():,} bytes"
            what = f"{kind}: {len(group)} entries of {group['layer'].nunique()} layers"
            output.say(f"{what:46}  {state:16}  {size:>19}  {_score_cache().folder / str(kind)}")
    return rows


def _clear_scores(action: str, dry_run: bool, output: Output) -> None:
    from vvscale.errors import ConfigError

    if action != "clear":
        raise ConfigError(f"--scores goes with 'vvscale cache clear', not with '{action}'. Leave it out.")
    cache = _score_cache()
    n_entries = len(list(cache.entries())) if dry_run else cache.clear()
    output.say(f"{n_entries} entries of {cache.folder} {'would be' if dry_run else 'were'} removed")
    output.document({"command": "cache clear --scores", "folder": str(cache.folder), "n": n_entries})


def _score_cache() -> Any:
    from vvscale.brain.scoring.cache import ScoreCache

    return ScoreCache()
