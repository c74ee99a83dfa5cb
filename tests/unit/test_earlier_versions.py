"""What earlier versions wrote is read, or refused by its name; never taken for something else."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from vvscale.brain.scoring.cache import ScoreCache
from vvscale.cli import main
from vvscale.core.hashing import digest_of

SPEC = 'name = "noop"\nsummary = "Measures the engine and the disk."\n\n[diagnostics]\nchains = 1\n'
STUDY = {"name": "noop", "digest": "d88e4a1ae09cba031dc9752d7f293ca950fc8bdbbe64f2192a6c6f0d62c022c8"}
GRAPH = "1f3bfc86fe257caeef5e44645a09a0074cb0a7061dd4bdf96e0d3992de5b62f7"
# As the version of commit 3bf0612 wrote them: tasks whose kinds have not changed have the same ids today.
FIRST, SECOND, LAST = "c8e0f62b117d73be1e3d", "9d0a832081be6f2e26e1", "13d86dc7805d030036d0"
TASKS = {
    FIRST: ("noop", "noop 0", {"value": 0}, {}, {"value.json": "0\n"}),
    SECOND: ("noop", "noop after 0", {"value": 1}, {"of": FIRST}, {"value.json": "1\n"}),
    LAST: ("collect", "collect", {}, {"values": [SECOND]}, {"values.json": "[\n  1\n]\n"}),
}


def write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value, indent=2) + "\n")


@pytest.fixture
def earlier_study(tmp_path: Path) -> Path:
    """A finished study as the first published version wrote it."""
    folder = tmp_path / "study"
    write(folder / "spec.toml", SPEC)
    lines = [["vvscale-graph-1", GRAPH, 3, 0]]
    for task_id, (kind, label, params, inputs, outputs) in TASKS.items():
        published = {"values.json": "values.json"} if kind == "collect" else {}
        lines.append([task_id, kind, label, params, inputs, 0.002, 0.0, 0.0, published])
        about = {"id": task_id, "kind": kind, "study": STUDY, "code_version": "0.1.0"}
        place = folder / "tasks" / task_id[:2] / task_id
        write(place / "task.json", {**about, "label": label, "params": params, "inputs": inputs})
        for name, text in outputs.items():
            write(place / "out" / name, text)
        told = {
            name: {"size": len(text), "mtime_ns": 1, "sha256": hashlib.sha256(text.encode()).hexdigest()}
            for name, text in outputs.items()
        }
        how = {"claim": 0, "worker": "w", "began": 1.0, "seconds": 0.1, "result": {}}
        write(place / "done.json", {**about, **how, "outputs": told})
    write(folder / "graphs" / f"{GRAPH[:20]}.jsonl", "\n".join(json.dumps(line) for line in lines) + "\n")
    engine = {"kind": "local", "workers": 1, "gpus": [], "per_gpu": 1}
    write(folder / "spec.json", {**STUDY, "engine": engine, "graph": GRAPH, "n_runs": 0})
    return folder


def test_an_earlier_plan_is_refused_by_its_name(earlier_study: Path, capsys: pytest.CaptureFixture[str]):
    for verb in ("status", "resume", "report"):
        assert main(["study", verb, str(earlier_study)]) == 3
        said = capsys.readouterr().err
        assert "is of another version of vvscale: its format is 'vvscale-graph-1'" in said
        assert "damaged" not in said


def test_what_is_finished_in_an_earlier_study_is_kept(earlier_study: Path, capsys: pytest.CaptureFixture[str]):
    spec = str(earlier_study / "spec.toml")
    assert main(["study", "run", spec, "--out", str(earlier_study)]) == 0
    assert "0 tasks done, 3 were finished before" in capsys.readouterr().out
    assert json.loads((earlier_study / "results" / "values.json").read_text()) == [1]
    assert main(["study", "status", str(earlier_study)]) == 0
    assert "3 of 3 tasks done" in capsys.readouterr().out


def entry_of(form: str, parts: dict, payload: bytes) -> bytes:
    """Return an entry of the score cache as every version wrote it, but for its format and payload."""
    header = {"format": form, "parts": parts, "meta": {"as": "matrix", "shape": [2, 2], "n_images": 2,
              "n_features": 3, "is_standardized": False}}  # fmt: skip
    checksum = hashlib.sha256(digest_of(header).encode() + payload).hexdigest()
    return json.dumps({**header, "sha256": checksum}).encode() + b"\n" + payload


def test_an_earlier_entry_of_the_score_cache_is_made_anew(tmp_path: Path):
    """Then, products were the table alone; now two columns follow it, which would be read from the table's end."""
    parts = {"layer": "conv1", "code": "of then"}
    path = tmp_path / "products" / f"{digest_of(parts)}.entry"
    path.parent.mkdir()
    path.write_bytes(entry_of("vvscale-cache-1", parts, b"\0" * 32))
    cache = ScoreCache(tmp_path, keep_products=True)
    assert cache.products(parts) is None
    assert [(one.state, one.parts) for one in cache.entries()] == [("outdated", parts)]
    cache.verify()
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    assert [one.state for one in cache.entries()] == ["damaged"]
    assert cache.clear() == 1
