"""What this machine and this installation offer: one line each, with what to do where something is amiss."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from vvscale.core.download import CACHE_VARIABLE, MIRROR_VARIABLE, cache_folder
from vvscale.core.jsonable import Result
from vvscale.core.processes import THREAD_VARIABLES, available_cores, free_memory

_GB = 1e9
# One layer of the larger networks at the batch size of scoring, and one prepared subset of ImageNet.
_LITTLE_MEMORY, _LITTLE_DISK = 4 * _GB, 10 * _GB


@dataclass(frozen=True)
class Finding(Result):
    """One thing that was looked at.

    Attributes
    ----------
    what, found
        What it is, and how it is here.
    is_fine
        Whether nothing need be done.
    advice
        What to do, a sentence; empty where nothing.
    """

    what: str
    found: str
    is_fine: bool = True
    advice: str = ""


def examine() -> list[Finding]:
    """Look at versions, devices, threads, free memory and disk, the cache, and the parts that are installed.

    Examples
    --------
    >>> [one.what for one in examine()][:3]
    ['vvscale', 'Python', 'cores']
    """
    return [*_versions(), *_cores(), *_devices(), *_space(), *_mirror(), *_extras()]


def _versions() -> Iterator[Finding]:
    yield Finding("vvscale", version("vvscale"))
    yield Finding("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")


def _cores() -> Iterator[Finding]:
    yield Finding("cores", f"{available_cores()} for this process, {os.cpu_count()} in the machine")
    held = {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ}
    found = ", ".join(f"{name}={value}" for name, value in held.items()) or "as many as there are cores"
    busy = not held and available_cores() > 8
    advice = "Several processes with one thread each are faster: `export OMP_NUM_THREADS=1`." if busy else ""
    yield Finding("threads of one process", found, not busy, advice)


def _devices() -> Iterator[Finding]:
    try:
        import torch
    except ImportError:
        yield Finding("PyTorch", "absent", False, "Training and scoring need it: `pip install 'vvscale[train,score]'`.")
        return
    built_for = f", built for CUDA {torch.version.cuda}" if torch.version.cuda else ", built for the CPU"
    yield Finding("PyTorch", f"{torch.__version__}{built_for}")
    if not torch.cuda.is_available():
        has_gpu = shutil.which("nvidia-smi") is not None
        advice = "This PyTorch does not see the GPU: install one that is built for its driver." if has_gpu else ""
        yield Finding("GPUs", "none that PyTorch sees", not has_gpu, advice)
    for number in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(number)
        name = torch.cuda.get_device_name(number)
        yield Finding(f"GPU {number}", f"{name}, {free / _GB:.1f} of {total / _GB:.1f} GB free")


def _space() -> Iterator[Finding]:
    memory = free_memory()
    little = memory < _LITTLE_MEMORY
    advice = "Close other programs, or score with less: `vvscale score MODEL --memory 1GB`." if little else ""
    yield Finding("free memory", f"{memory / _GB:.1f} GB", not little, advice)
    cache = cache_folder()
    for what, folder in (("this folder", Path.cwd()), ("downloads and scratch", cache)):
        there = next(one for one in (folder, *folder.parents) if one.exists())
        free = shutil.disk_usage(there).free
        is_cache = folder == cache
        can_write = os.access(there, os.W_OK)
        advice = ""
        if not can_write:
            advice = f"One cannot write there: set {CACHE_VARIABLE} to a folder where one can." if is_cache else (
                "One cannot write there: work in another folder."
            )  # fmt: skip
        elif free < _LITTLE_DISK and is_cache:
            advice = f"Free some space, `vvscale cache clear`, or set {CACHE_VARIABLE} to a folder of another disk."
        yield Finding(f"disk of {what}", f"{free / _GB:.1f} GB free in '{folder}'", not advice, advice)
    files = [path for path in cache.rglob("*") if path.is_file()] if cache.is_dir() else []
    n_bytes = sum(path.stat().st_size for path in files)
    yield Finding("cache", f"{len(files):,} files, {n_bytes / _GB:.2f} GB; `vvscale cache ls` lists them")


def _mirror() -> Iterator[Finding]:
    mirror = os.environ.get(MIRROR_VARIABLE)
    if mirror:
        is_there = mirror.startswith(("http://", "https://")) or Path(mirror.removeprefix("file://")).is_dir()
        advice = "" if is_there else f"There is no such folder: correct or unset {MIRROR_VARIABLE}."
        yield Finding("mirror of downloads", mirror, is_there, advice)


def _extras() -> Iterator[Finding]:
    """Say which optional parts are installed, from what the package itself asks for."""
    parts: dict[str, list[str]] = {}
    for line in requires("vvscale") or ():
        needed, _, marker = line.partition(";")
        if "extra ==" in marker and not needed.strip().startswith("vvscale"):
            extra = marker.split("extra ==")[1].strip(" '\"")
            parts.setdefault(extra, []).append(_package(needed))
    for extra, packages in parts.items():
        absent = [name for name in packages if not _is_installed(name)]
        found = f"lacks {', '.join(absent)}" if absent else "installed"
        advice = f"If you need it: `pip install 'vvscale[{extra}]'`." if absent else ""
        yield Finding(f"part '{extra}'", found, not absent, advice)


def _package(requirement: str) -> str:
    return requirement.strip().split(">")[0].split("=")[0].split("<")[0].split("[")[0].split("!")[0].strip()


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True
