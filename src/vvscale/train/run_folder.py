"""The folder of one run: what was asked, how far it is, what came out.

    spec.json        what was asked and of which data; a folder belongs to one of them
    log.jsonl        one line per look at the run
    checkpoint.pt    all that is needed to go on, bit for bit
    epochs/          weights at epochs evenly spaced in log samples seen
    weights.*        the final weights and their record
    result.json      how it ended
    lock             held while a run that wants the folder for itself is training

Only the first of several processes writes.
"""

from __future__ import annotations

import fcntl
import json
import os
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch

from vvscale.core.files import make_folder, write_bytes, write_json, write_with
from vvscale.errors import ConfigError, DataError, UsageError
from vvscale.models import load_weights
from vvscale.train.compute.ranks import Ranks

_FORMAT = "vvscale-run-1"
_PLACES = {"run.dataset", "run.dataset_label"}
"""Images are known by their digests; a folder of them may have moved or got another name."""


class RunFolder:
    """Reads and writes the files of one run.

    Parameters
    ----------
    path
        Created when something is first written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.weights_path = self.path / "weights.safetensors"
        self._checkpoint = self.path / "checkpoint.pt"
        self._log = self.path / "log.jsonl"

    def claim(self, spec: Mapping[str, Any]) -> None:
        """Write what the run is, or check that the folder already holds this very run.

        Raises
        ------
        ConfigError
            The folder holds another run; the message says in what they differ.
        """
        path = self.path / "spec.json"
        if not path.exists():
            write_json(path, {"format": _FORMAT, **spec})
            return
        before, now = _flat(_read_json(path)), _flat(json.loads(json.dumps(spec)))
        differing = [key for key in now if now[key] != before.get(key) and key not in _PLACES]
        if differing:
            key = differing[0]
            raise ConfigError(
                f"The folder '{self.path}' holds another run: its {key} is {before.get(key)!r} and {now[key]!r} was "
                f"asked for ({len(differing)} differences). Give another --out, or the same settings to go on with "
                "that run."
            )

    @contextmanager
    def alone(self, here: Ranks) -> Iterator[None]:
        """Keep other runs out of the folder meanwhile; the system frees it however the first process ends.

        Raises
        ------
        UsageError
            Another run holds it.
        """
        path = make_folder(self.path) / "lock"
        with path.open("w") if here.is_first else nullcontext() as lock:
            is_held = False
            if lock is not None:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    is_held = True
                except OSError:
                    pass  # a file system without locks: nothing can be told
            if here.any(is_held):
                raise UsageError(
                    f"Another process is training the run '{self.path}' at this moment. Wait for it or end it, then "
                    "run the same command again; or give another --out."
                )
            try:
                yield
            finally:
                # Once the run has ended nobody needs it; before, it is kept, for another may have opened it.
                if here.is_first and self.result() is not None:
                    path.unlink(missing_ok=True)

    def result(self) -> dict[str, Any] | None:
        """Return how the run ended, or None while it has not."""
        path = self.path / "result.json"
        return _read_json(path) if path.exists() else None

    def check_weights(self, ended: Mapping[str, Any]) -> None:
        """Check that a finished run still has what it was for.

        Raises
        ------
        DataError
            The final weights or their record are gone or damaged.
        """
        if ended["status"] != "finished":
            return
        try:
            load_weights(self.weights_path)
        except DataError as error:
            raise DataError(
                f"The run '{self.path}' has finished, but its weights cannot be used any more. {error} To train it "
                f"again, remove the folder '{self.path}' and run the same command."
            ) from error

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write how the run ended; what was needed to go on is removed."""
        write_json(self.path / "result.json", dict(result))
        self._checkpoint.unlink(missing_ok=True)

    def save(self, state: Mapping[str, Any]) -> None:
        """Write the state to go on from."""
        write_with(self._checkpoint, lambda part: torch.save({"format": _FORMAT, **state}, part))

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """Return the state to go on from, or None at the start.

        Raises
        ------
        DataError
            The file is damaged.
        """
        if not self._checkpoint.exists():
            return None
        try:
            state = torch.load(self._checkpoint, map_location=device, weights_only=True)
        except (RuntimeError, EOFError, OSError, pickle.UnpicklingError, ValueError) as error:
            raise DataError(
                f"The checkpoint '{self._checkpoint}' cannot be read: {str(error).splitlines()[0]}. Expected the file "
                "that this run wrote whole; the disk or another program has damaged it. Remove it to train again "
                "from the start: the same command then begins anew."
            ) from error
        if not isinstance(state, dict) or state.get("format") != _FORMAT:
            raise DataError(f"'{self._checkpoint}' is not a checkpoint of this version; expected '{_FORMAT}'.")
        return state

    def log(self, line: Mapping[str, Any]) -> None:
        """Append one line to the log."""
        make_folder(self.path)
        with self._log.open("a") as file:
            file.write(json.dumps(dict(line)) + "\n")

    def log_lines(self) -> list[dict[str, Any]]:
        """Return all whole lines of the log."""
        if not self._log.exists():
            return []
        lines = []
        for text in self._log.read_text().splitlines():
            try:
                lines.append(json.loads(text))
            except json.JSONDecodeError:
                continue  # the last line of a killed run
        return lines

    def forget_after(self, epoch: int) -> None:
        """Drop the lines of the log about later epochs: they will be written again."""
        kept = [line for line in self.log_lines() if line["epoch"] <= epoch]
        if self._log.exists():
            write_bytes(self._log, "".join(json.dumps(line) + "\n" for line in kept).encode())

    def epoch_path(self, epoch: int) -> Path:
        """Return where the weights after an epoch lie."""
        return self.path / "epochs" / f"ep{epoch}.safetensors"

    def free_bytes(self) -> int:
        """Return the free space of the disk that the folder is or will be on."""
        at = self.path.absolute()
        while not at.exists():
            at = at.parent
        stat = os.statvfs(at)
        return stat.f_bavail * stat.f_frsize


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise DataError(f"'{path}' cannot be read: {error}. Expected the JSON file that this run wrote.") from error


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return the leaves of nested tables and lists by their dotted path."""
    if not isinstance(value, dict | list):
        return {prefix: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    flat: dict[str, Any] = {}
    for key, inner in items:
        flat |= _flat(inner, f"{prefix}.{key}" if prefix else str(key))
    return flat
