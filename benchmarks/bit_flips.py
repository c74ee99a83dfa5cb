"""Flip bits in every kind of file that a study keeps, and see whether a wrong number ever comes out.

    python benchmarks/bit_flips.py --out out/flips --flips 120

The demo's study with nine runs is done once. Then, in rounds, a fresh copy of its folder gets one flipped bit in each
of several files of different kinds, `vvscale study run` is called again, and what it gives is compared with the sound
study: scores, laws, plans and forecasts, to the bit. A flip is

    healed    the run ended well and the file is the sound one again
    harmless  the run ended well and the file is still the flipped one: a note, a log, a picture; no result differs
    refused   the run ended with an error of its own that names the file; nothing was computed from it
    WRONG     the run ended well, and a number differs

Where a run refuses, the named file is made sound again and the round goes on with the others, so that each flip is
judged.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

import pandas as pd

SMALL = (
    'axes.arch=["resnetflex-w3-d1-1-1","resnetflex-w4-d1-1-1","resnetflex-w6-d1-1-1"]',
    "axes.samples_per_class=[1,3,10]", "axes.seed=[0]",
    "forecast.level=0.7", "forecast.seed=[0]", "forecast.budget=6e9",
)  # fmt: skip


def run(out: Path) -> subprocess.CompletedProcess[str]:
    """Run the study in a folder, to its end or to what it refuses."""
    more = [token for change in SMALL for token in ("--set", change)]
    command = [sys.executable, "-m", "vvscale", "study", "run", "demo", "--out", str(out), *more]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def kind_of(path: Path, out: Path) -> str:
    """Return what a file of the study is: its name without numbers, below the kind of its task."""
    parts = path.relative_to(out).parts
    name = re.sub(r"\d+", "N", path.name)
    if parts[0] != "tasks":
        return "/".join([*(re.sub(r"\d+", "N", part) for part in parts[:-1]), name])
    record = json.loads((out.joinpath(*parts[:3]) / "task.json").read_text())
    return f"{record['kind']}: {'out/' if 'out' in parts[3:] else ''}{name}"


def numbers(out: Path) -> dict[str, object]:
    """Return every number that a study gives: its table, laws, plans and forecast."""
    results = out / "results"
    texts = {str(path.relative_to(results)): path.read_text() for path in sorted(results.rglob("*.json"))
             if "figures" not in path.parts}  # fmt: skip
    return {**texts, "scores": pd.read_parquet(results / "scores.parquet").to_csv(float_format="%.17g")}


def flip(path: Path, draw: random.Random) -> None:
    """Change one bit."""
    content = bytearray(path.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)


def judge(sound: Path, work: Path, chosen: list[Path], draw: random.Random) -> dict[Path, str]:
    """Flip a bit in each chosen file of a copy, run, and say what became of each."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(sound, work, copy_function=shutil.copy2, symlinks=True)
    for file in chosen:
        flip(work / file, draw)
    flipped = {file: (work / file).read_bytes() for file in chosen}
    judged: dict[Path, str] = {}
    for _ in chosen:
        done = run(work)
        if done.returncode == 0:
            break
        said = " ".join(done.stderr.split())
        named = [file for file in flipped if file not in judged and (str(file) in said or file.name in said)]
        if "Traceback" in said or not named:
            return dict.fromkeys(chosen, f"UNNAMED: {said[-400:]}")
        for file in named[:1]:
            judged[file] = "refused"
            shutil.copy2(sound / file, work / file)
    is_same = numbers(work) == numbers(sound)
    for file in chosen:
        if not is_same:
            judged[file] = "WRONG"
        elif file not in judged:
            there = (work / file).read_bytes() if (work / file).is_file() else b""
            judged[file] = "harmless" if there == flipped[file] else "healed"
    return judged


def main() -> int:
    """Flip, judge, and print a table of kinds."""
    read = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    read.add_argument("--out", type=Path, required=True, help="folder of the studies")
    read.add_argument("--flips", type=int, default=120)
    read.add_argument("--at-once", type=int, default=12, help="flips per run, in files of different kinds")
    read.add_argument("--seed", type=int, default=0)
    asked = read.parse_args()
    sound, draw, start = asked.out / "sound", random.Random(asked.seed), time.monotonic()
    if not (sound / "results" / "scores.parquet").is_file():
        done = run(sound)
        if done.returncode:
            print(done.stderr)
            return 1
    of_kind: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(path for path in sound.rglob("*") if path.is_file() and path.stat().st_size):
        of_kind[kind_of(path, sound)].append(path.relative_to(sound))
    # Kinds in turn, each as often as any other, so that none is left out.
    order = [
        kind for _ in range(-(-asked.flips // len(of_kind))) for kind in draw.sample(sorted(of_kind), len(of_kind))
    ]
    order, found, odd = order[: asked.flips], defaultdict(Counter), []
    for first in range(0, len(order), asked.at_once):
        chosen = {kind: draw.choice(of_kind[kind]) for kind in order[first : first + asked.at_once]}
        judged = judge(sound, asked.out / "work", list(chosen.values()), draw)
        for kind, file in chosen.items():
            verdict = judged[file].partition(":")[0]
            found[kind][verdict] += 1
            odd += [(kind, file, judged[file])] if verdict in ("WRONG", "UNNAMED") else []
        n = sum(map(Counter.total, found.values()))
        print(
            f"{n} of {len(order)} after {time.monotonic() - start:.0f} s: {sum(found.values(), Counter())}", flush=True
        )
    for kind in sorted(found):
        print(f"{kind:60} {dict(found[kind])}")
    for kind, file, verdict in odd:
        print(f"{kind}: {file}: {verdict}")
    print(f"{len(found)} kinds of file: {dict(sum(found.values(), Counter()))}")
    return int(bool(odd))


if __name__ == "__main__":
    sys.exit(main())
