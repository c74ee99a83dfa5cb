"""``vvscale doctor``."""

from __future__ import annotations

from vvscale.cli.options import verb
from vvscale.cli.output import Output


@verb
def doctor(*, output: Output) -> None:
    """Show what this machine and installation offer: versions, devices, memory, disk, caches, parts; and what to do."""
    import pandas as pd

    from vvscale.doctor import examine

    found = examine()
    table = pd.DataFrame([{"": "ok" if one.is_fine else "!", "what": one.what, "found": one.found} for one in found])
    output.table(table)
    for one in found:
        if one.advice:
            output.say(f"{one.what}: {one.advice}")
    output.document({"command": "doctor", "findings": [one.to_dict() for one in found]})
    output.note("Next: `vvscale ls`")
