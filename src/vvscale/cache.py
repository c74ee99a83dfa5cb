"""What the cache holds: downloaded files, unpacked images, published weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from vvscale.brain.benchmarks import public
from vvscale.brain.recordings.stimulus_files import own_unpacked, remove_unpacked
from vvscale.errors import shell_words
from vvscale.models.published import local_files as kept
from vvscale.scores import published


@dataclass(frozen=True)
class Held:
    """One file or folder of the cache.

    Attributes
    ----------
    name
        What people call it.
    path
        Where it is, or would be.
    state
        ``cached``, ``damaged``, ``absent``; of folders ``unpacked``, of broken-off downloads ``partial``.
    remedy
        The command that brings it back.
    remove
        Removes it, and nothing else.
    """

    name: str
    path: Path
    state: str
    remedy: str
    remove: Callable[[], object] = field(repr=False)

    @property
    def is_there(self) -> bool:
        """Whether there is anything to remove."""
        return self.state != "absent"

    @property
    def n_bytes(self) -> int | None:
        """Size in bytes; None if absent."""
        if self.path.is_dir():
            return sum(path.stat().st_size for path in self.path.rglob("*") if path.is_file())
        return self.path.stat().st_size if self.path.is_file() else None


def held() -> Iterator[Held]:
    """Yield all that vvscale downloads and may have downloaded; every file that is there is read and hashed."""
    for key, file in (*published.FILES.items(), *public.FILES.items()):
        yield Held(key, file.path, file.state(), file.command, file.clear)
    for folder in public.unpacked_folders():
        state = "unpacked" if folder.is_dir() else "absent"
        remove = partial(remove_unpacked, folder)
        yield Held(f"{folder.name}/", folder, state, "vvscale fetch benchmarks", remove)
    for folder in sorted(own_unpacked().glob("*")) if own_unpacked().is_dir() else ():
        remove = partial(remove_unpacked, folder)
        yield Held(f"unpacked/{folder.name}/", folder, "unpacked", "vvscale check BENCHMARK.toml", remove)
    for path, state in kept.kept_weights():
        name = f"{path.parent.name}@{path.stem.removeprefix('ep')}"
        yield Held(
            name, path, state, f"vvscale fetch weights {shell_words(path.parent.name)}", partial(kept.remove, path)
        )
    for path in kept.kept_downloads():
        name = f"{path.parent.name}/{path.name}"
        yield Held(
            name, path, "partial", f"vvscale fetch weights {shell_words(path.parent.name)}", partial(kept.remove, path)
        )
