"""Tasks that do nothing of use: to test an engine, to measure a shared disk.

``vvscale study run noop`` on a cluster's file system shows how many tasks a second it can take before anything is
trained on it.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from vvscale.core.files import write_json
from vvscale.core.jsonable import parse_json
from vvscale.study.graph.kinds import TaskContext

VALUE = "value.json"


def run_noop(context: TaskContext) -> dict[str, Any]:
    """Write ``params["value"]`` plus the values of all inputs."""
    value = context.params["value"] + sum(_value(folder) for folder in _folders(context))
    write_json(context.out / VALUE, value, durable=False)
    return {"value": value}


def run_sleep(context: TaskContext) -> dict[str, Any]:
    """Sleep ``params["seconds"]`` in all, over interruptions, then do as ``noop``."""
    kept = context.out / "slept.json"
    slept = parse_json(kept.read_text()) if kept.exists() else 0.0
    while slept < context.params["seconds"]:
        if context.stop():
            write_json(kept, slept)
            context.check_stop()
        pause = min(0.05, context.params["seconds"] - slept)
        time.sleep(pause)
        slept += pause
    return run_noop(context)


def run_collect(context: TaskContext) -> dict[str, Any]:
    """Write the values of all inputs as one list."""
    values = [_value(folder) for folder in context.input_list("values")]
    write_json(context.out / "values.json", values)
    return {"n_values": len(values)}


def _folders(context: TaskContext) -> list[Path]:
    return [folder for role in context.inputs for folder in context.input_list(role)]


def _value(folder: Path) -> float:
    return parse_json((folder / VALUE).read_bytes())


def run_ranks(context: TaskContext) -> dict[str, Any]:
    """Sum the ranks + 1 over all processes, which shows that they find each other; then wait ``params["seconds"]``."""
    import torch
    from torch import distributed

    total = torch.tensor(float(os.environ.get("RANK", "0")) + 1)
    if "RANK" in os.environ:
        distributed.init_process_group("gloo")
        distributed.all_reduce(total)
        distributed.destroy_process_group()
    until = time.monotonic() + context.params.get("seconds", 0.0)
    while time.monotonic() < until:
        context.check_stop()
        time.sleep(0.05)
    if os.environ.get("RANK", "0") == "0":
        write_json(context.out / VALUE, float(total))
    return {"value": float(total)}
