"""Whatever a file holds: it is read, or refused in one sentence, within bounds of time and memory.

Each reader works in a process of its own, so that a crash of a library is found and its input kept. Tests try the same
inputs each time, however fast the machine is; ``make fuzz`` tries new ones for ten minutes a reader.
VVSCALE_FUZZ_SECONDS and VVSCALE_FUZZ_SEED choose others.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import json
import os
import random
import resource
import shutil
import sys
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

import pytest

from vvscale.errors import VvscaleError


def _beside(name: str):
    spec = importlib.util.spec_from_file_location(f"fuzz_{name}", Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


READERS, mutated = _beside("readers").READERS, _beside("mutate").mutated
# A bound of time would try more inputs on a faster machine, and fail there alone.
SECONDS = float(os.environ.get("VVSCALE_FUZZ_SECONDS", "0"))
N_INPUTS = 100
SEED = int(os.environ.get("VVSCALE_FUZZ_SEED", "0"))
# One file of a few kB; honest ones take some milliseconds on an idle machine.
SLOWEST = 30.0
MEMORY = 24 << 30


def write(folder: Path, files: dict[str, bytes]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def fuzz(name: str, folder: Path) -> dict:
    """Read changed files for a while; return how many were read and refused, and the first that broke the rules."""
    reader = READERS[name]
    seeds_folder, work = folder / "seeds", folder / "input"
    seeds_folder.mkdir()
    seeds = reader.seeds(seeds_folder)
    n_honest = 0
    for seed in seeds:
        write(work, seed)
        with contextlib.suppress(VvscaleError):
            reader.read(work)
            n_honest += 1
    if not n_honest:
        return {"problem": "no honest file is read, so that nothing is tried beyond its first line", "changed": ""}
    outcomes: Counter[str] = Counter()
    slowest, end = 0.0, time.monotonic() + SECONDS
    for k in itertools.count():
        if time.monotonic() >= end if SECONDS else k == N_INPUTS:
            break
        # Of its own draw, so that an honest file that is some bytes longer today leaves the other inputs alone.
        draw = random.Random(f"{name}-{SEED}-{k}")
        files = dict(draw.choice(seeds))
        names = list(files)
        changed = names[0] if draw.random() < 0.8 else draw.choice(names)
        files[changed] = mutated(files[changed], draw)
        write(work, files)
        started = time.monotonic()
        try:
            reader.read(work)
            outcomes["read"] += 1
        except (VvscaleError, *reader.allowed) as error:
            outcomes["refused"] += 1
            if "\n\n" in str(error) or not str(error) or len(str(error)) > 4000:
                return {"problem": f"not one sentence: {error!r}", "changed": changed}
        except BaseException as error:  # noqa: BLE001 - every other error is a finding
            return {"problem": f"{error!r}\n{traceback.format_exc()}", "changed": changed}
        slowest = max(slowest, time.monotonic() - started)
        if slowest > SLOWEST:
            return {"problem": f"took {slowest:.0f} s", "changed": changed}
    return {"problem": "", "outcomes": dict(outcomes), "slowest": slowest}


@pytest.mark.parametrize("name", READERS)
def test_whatever_a_file_holds_it_is_read_or_refused_in_one_sentence(name: str, tmp_path: Path):
    child = os.fork()
    if child == 0:
        # Nothing of pytest may run in the child.
        code = 1
        try:
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            warnings.simplefilter("ignore")
            (tmp_path / "found.json").write_text(json.dumps(fuzz(name, tmp_path)))
            code = 0
        except BaseException:  # noqa: BLE001
            (tmp_path / "found.json").write_text(json.dumps({"problem": traceback.format_exc()}))
        finally:
            os._exit(code)
    deadline = time.monotonic() + SECONDS + 10 * SLOWEST
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
        if time.monotonic() > deadline:
            os.kill(child, 9)
        time.sleep(0.05)
    assert os.WIFEXITED(ended[1]), f"signal {os.WTERMSIG(ended[1])} ended the reader on {tmp_path / 'input'}"
    found = json.loads((tmp_path / "found.json").read_text())
    assert not found["problem"], f"{found['problem']}\nWith the seed {SEED}; the input: {tmp_path / 'input'}"
    assert sum(found["outcomes"].values()) > 0
    if os.environ.get("VVSCALE_FUZZ_SECONDS"):
        print(name, found["outcomes"], f"slowest {found['slowest']:.2f} s")
