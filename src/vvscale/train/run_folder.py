"""The folder of one run: what was asked, how far it is, what came out.

    spec.json             what was asked and of which data; a folder belongs to one of them
    log.jsonl             one line per evaluation during training
    checkpoint-*.pt       the two latest states, each all that is needed to resume, bit for bit
    epochs/               weights at epochs evenly spaced in log samples seen
    weights.*             the final weights and their record
    result.json           how it ended
    lock                  held while a run that wants the folder for itself is training

JSON files carry a digest of their content, and a checkpoint carries that of its bytes in its name; both are checked
before use. Only the first of several processes writes.
"""

from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch

from vvscale.core.files import append_line, locked, remove_inside, write_bytes, write_json, write_with
from vvscale.core.hashing import hash_of
from vvscale.core.inputs.plain import plain_file
from vvscale.core.jsonable import SEAL, parse_json, seal_holds, sealed
from vvscale.errors import ConfigError, DataError, DigestError, UsageError, VvscaleWarning
from vvscale.models import load_weights
from vvscale.train.compute.file_names import CHECKPOINT
from vvscale.train.compute.ranks import Ranks

_FORMAT = "vvscale-run-2"
# The first version had neither seals nor digests in names.
_UNSEALED_FORMAT = "vvscale-run-1"
_UNSEALED_CHECKPOINT = f"{CHECKPOINT}.pt"
# With two states a damaged one costs the time between two saves, not the whole run.
_N_CHECKPOINTS = 2
# 64 bits tell a damaged file from a sound one; the whole digest would make names hard to read.
_NAME_DIGITS = 16
# Files of a run that it writes anew or removes.
_WRITTEN = ("checkpoint-*.pt", "checkpoint.pt", "epochs", "log.jsonl", "result.json", "weights.json",
            "weights.safetensors")  # fmt: skip
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
        self._log = self.path / "log.jsonl"

    def claim(self, spec: Mapping[str, Any]) -> None:
        """Write what the run is, or check that the folder already holds this very run.

        Raises
        ------
        ConfigError
            The folder holds another run; the message says in what they differ.
        DataError
            Its spec.json is damaged.
        """
        path = self.path / "spec.json"
        if not path.exists():
            write_json(path, sealed({**spec, "format": _FORMAT}))
            return
        before, now = _flat(_read_sealed(path)), _flat(parse_json(json.dumps(spec)))
        differing = [key for key in now if now[key] != before.get(key) and key not in _PLACES]
        if differing:
            key = differing[0]
            raise ConfigError(
                f"The folder '{self.path}' holds another run: its {key} is {before.get(key)!r} and {now[key]!r} was "
                f"asked for ({len(differing)} differences). Give another `out`, or the same settings to resume "
                "that run."
            )

    def refuse_others_files(self) -> None:
        """Refuse a folder that no run has claimed and that holds files of the names that a run writes.

        They would be written over, and what looks like a state to resume from would be removed at the end.

        Raises
        ------
        UsageError
            There are such files.
        """
        if (self.path / "spec.json").exists():
            return
        found = sorted(path.name for name in _WRITTEN for path in self.path.glob(name))
        if found:
            raise UsageError(
                f"The folder '{self.path}' holds '{found[0]}' ({len(found)} such) and no 'spec.json', so it is not the "
                "folder of a run; training would write over such files. Give another `out`, such as "
                f"'{self.path / 'run'}'."
            )

    @contextmanager
    def alone(self, here: Ranks) -> Iterator[None]:
        """Keep other runs out of the folder meanwhile; the system frees it however the first process ends.

        Raises
        ------
        UsageError
            Another run holds it.
        """
        path = self.path / "lock"
        with locked(path) if here.is_first else nullcontext(True) as is_ours:
            if here.any(not is_ours):
                raise UsageError(
                    f"Another process is training the run '{self.path}' at this moment. Wait for it or end it, then "
                    "run the same command again; or give another `out`."
                )
            try:
                yield
            finally:
                # Once the run has ended nobody needs it; before, it is kept, for another may have opened it.
                if here.is_first and self.result() is not None:
                    remove_inside(self.path, path)

    def result(self) -> dict[str, Any] | None:
        """Return how the run ended, or None while it has not.

        Raises
        ------
        DataError
            The file that says so is damaged.
        """
        path = self.path / "result.json"
        if not path.exists():
            return None
        record = _read_sealed(path)
        return {key: value for key, value in record.items() if key not in {SEAL, "format"}}

    def check_weights(self, ended: Mapping[str, Any]) -> None:
        """Check that a finished run still has what it was for.

        Raises
        ------
        DataError
            The final weights or their record are gone or damaged, or are not those of the result.
        """
        if ended["status"] != "finished":
            return
        try:
            _, record = load_weights(self.weights_path)
            if record["row"] != ended["row"]:
                raise DataError("The record of the weights and result.json disagree about the run.")
        except DataError as error:
            raise DataError(
                f"The run '{self.path}' has finished, but its weights cannot be used any more. {error} To train it "
                f"again, remove the folder '{self.path}' and run the same command."
            ) from error

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write how the run ended; what was needed to resume is removed."""
        write_json(self.path / "result.json", sealed({**result, "format": _FORMAT}))
        for path in self.checkpoints():
            remove_inside(self.path, path)

    def checkpoints(self) -> list[Path]:
        """Return the states to resume from, the latest first."""
        return sorted(self.path.glob(f"{CHECKPOINT}-*.pt"), reverse=True)

    def save(self, step: int, state: Mapping[str, Any]) -> None:
        """Write the state after a step to resume from, and remove all but the one before."""
        part = self.path / f"{CHECKPOINT}.new"
        write_with(part, lambda path: torch.save({"format": _FORMAT, **state}, path))
        part.replace(self.path / f"{CHECKPOINT}-{step:09d}-{hash_of(part)[:_NAME_DIGITS]}.pt")
        for path in self.checkpoints()[_N_CHECKPOINTS:]:
            remove_inside(self.path, path)

    def load(self, here: Ranks) -> dict[str, Any] | None:
        """Return the latest sound state to resume from, or None to begin anew.

        A damaged state is set aside as ``NAME.damaged`` with a warning, and the one before it is taken.
        """
        state, damaged = None, {}
        for path in self.checkpoints():
            try:
                state = _read_checkpoint(path, here.device)
                break
            except DataError as error:
                damaged[path] = str(error)
        if (unsealed := self.path / _UNSEALED_CHECKPOINT).exists() and state is None:
            damaged[unsealed] = f"'{unsealed}' was written by an earlier version and carries no digest."
        here.barrier()
        for path, problem in damaged.items() if here.is_first else ():
            path.replace(path.with_name(f"{path.name}.damaged"))
            then = "begins anew" if state is None else f"resumes from step {state['progress']['step']}"
            text = f"{problem} It was set aside as '{path.name}.damaged'; training {then}."
            warnings.warn(text, VvscaleWarning, stacklevel=3)
        return state

    def log(self, line: Mapping[str, Any]) -> None:
        """Append one line to the log."""
        append_line(self._log, json.dumps(dict(line)))

    def log_lines(self) -> list[dict[str, Any]]:
        """Return all whole lines of the log."""
        if not self._log.exists():
            return []
        lines = []
        for text in plain_file(self._log).read_bytes().splitlines():
            try:
                line = parse_json(text)
            except ValueError:
                continue  # the last line of a killed run
            lines += [line] if isinstance(line, dict) else []
        return lines

    def forget_after(self, epoch: int) -> None:
        """Drop the lines of the log about later epochs: they will be written again."""
        kept = [line for line in self.log_lines() if line.get("epoch", epoch) <= epoch]
        if self._log.exists():
            write_bytes(self._log, "".join(json.dumps(line) + "\n" for line in kept).encode())

    def epoch_path(self, epoch: int) -> Path:
        """Return where the weights after an epoch lie."""
        return self.path / "epochs" / f"ep{epoch}.safetensors"


def _read_sealed(path: Path) -> dict[str, Any]:
    """Return a record of the run, checked against its own digest."""
    try:
        record = parse_json(plain_file(path).read_text(encoding="utf-8"))
        is_sound = seal_holds(record) or (record.get("format") in {_UNSEALED_FORMAT, None} and SEAL not in record)
    except (OSError, ValueError, AttributeError) as error:
        raise _damaged(path, str(error)) from error
    if not is_sound:
        raise _damaged(path, f"its content does not have the digest under '{SEAL}'")
    return record


def _damaged(path: Path, problem: str) -> DataError:
    return DataError(
        f"'{path}' is not the file that this run wrote: {problem}. Likely cause: the disk or a copy damaged it, or it "
        f"was edited. Copy the folder again; or remove the folder '{path.parent}' and run the same command, which "
        "trains again."
    )


def _read_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    if hash_of(path)[:_NAME_DIGITS] != path.stem.rpartition("-")[2]:
        raise DigestError(f"The checkpoint '{path}' is damaged: its content does not have the digest in its name.")
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError, ValueError) as error:
        raise DataError(f"The checkpoint '{path}' cannot be read: {str(error).splitlines()[0]}.") from error
    if not isinstance(state, dict) or state.get("format") != _FORMAT:
        raise DataError(f"'{path}' is not a checkpoint of this version; expected '{_FORMAT}'.")
    return state


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return the leaves of nested tables and lists by their dotted path."""
    if not isinstance(value, dict | list):
        return {prefix: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    flat: dict[str, Any] = {}
    for key, inner in items:
        flat |= _flat(inner, f"{prefix}.{key}" if prefix else str(key))
    return flat
