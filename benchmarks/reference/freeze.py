"""Write the reference's numbers to JSON files, which the oracle tests compare with.

Takes what ``compare.py`` left of the reference's results. Numbers keep twelve decimals, three more than the
tests ask for.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from cases import CASES


def plain(table):
    """Return nested lists; NaN becomes null."""
    if table.ndim:
        return [plain(row) for row in table]
    return None if np.isnan(table) else round(float(table), 12)


def main():
    """Freeze every result that is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", default="out/reference", help="folder that compare.py wrote")
    parser.add_argument("--out", default="tests/oracle/data", help="folder for the JSON files")
    options = parser.parse_args()
    target = Path(options.out)
    target.mkdir(parents=True, exist_ok=True)
    for name in CASES:
        source = Path(options.results) / f"{name}.npz"
        if source.exists():
            with np.load(source) as arrays:
                kept = {key: plain(arrays[key]) for key in arrays.files}
            text = json.dumps(kept, allow_nan=False).replace('], "', '],\n"')
            (target / f"{name}.json").write_text(text + "\n")
            print(f"{name}: {len(text)} bytes")


if __name__ == "__main__":
    main()
