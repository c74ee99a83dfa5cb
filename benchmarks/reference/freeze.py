"""Write the reference's numbers to JSON files, which the oracle tests compare with.

Takes what ``compare.py`` left of the reference's results. Tables of small cases are kept whole, of large ones
the medians of the splits and the means of the neuroids. Numbers keep twelve decimals, three more than the
tests ask for.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from cases import CASES

SMALL = 2000
"""Correlations up to which a table is kept whole."""


def freeze(path):
    """Return what to keep of one result, as plain types."""
    kept = {}
    with np.load(path) as arrays:
        for key in arrays.files:
            table = arrays[key]
            if table.ndim == 2 and table.size > SMALL:
                kept[f"{key}.median_by_split"] = plain(np.nanmedian(table, axis=1))
                kept[f"{key}.mean_by_neuroid"] = plain(np.nanmean(table, axis=0))
            else:
                kept[key] = plain(table)
    return kept


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
            text = json.dumps(freeze(source), allow_nan=False).replace('], "', '],\n"')
            (target / f"{name}.json").write_text(text + "\n")
            print(f"{name}: {len(text)} bytes")


if __name__ == "__main__":
    main()
