# ruff: noqa: E501
"""Seed small bugs, one at a time, and see whether the tests notice.

    python tests/mutation/mutate.py src/vvscale/laws/planning --tests tests/unit/test_laws_plan.py -n 40

A bug is one change of one expression: a comparison, a sign, a number, a condition turned around, a result left out. The
tests run on a copy of the package in a temporary folder; the checkout is not touched. Survivors are printed with file
and line: each is a test to write, or a change that changes nothing.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
_OTHER = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.In: ast.NotIn,
    ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Pow: ast.Mult, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


def changes(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """Yield each node that can be changed, and how."""
    texts = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for statement in function.body:
            for node in ast.walk(statement):
                if isinstance(node, ast.Compare) and type(node.ops[0]) in _OTHER:
                    yield node, "compare"
                elif isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign) and type(node.op) in _OTHER:
                    yield node, "operate"
                elif isinstance(node, ast.Constant) and type(node.value) in (int, float) and id(node) not in texts:
                    yield node, "number"
                elif isinstance(node, ast.Constant) and type(node.value) is bool:
                    yield node, "flag"
                elif isinstance(node, ast.If | ast.IfExp):
                    yield node, "turn"


def change(node: ast.AST, kind: str) -> str:
    """Change a node where it is and return what was done, in words."""
    before = ast.unparse(node)[:70]
    if kind == "compare":
        node.ops[0] = _OTHER[type(node.ops[0])]()
    elif kind == "operate":
        node.op = _OTHER[type(node.op)]()
    elif kind == "number":
        node.value = node.value + 1 if isinstance(node.value, int) else node.value * 1.5 + 0.25
    elif kind == "flag":
        node.value = not node.value
    else:
        node.test = ast.UnaryOp(ast.Not(), node.test)
    return f"{before}  ->  {ast.unparse(ast.fix_missing_locations(node))[:70]}"


def main() -> int:
    """Seed bugs and print how many were killed."""
    read = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    read.add_argument("places", nargs="+", type=Path, help="files or folders of the package")
    read.add_argument("--tests", nargs="+", required=True, help="what pytest is given")
    read.add_argument("-n", type=int, default=40, help="how many bugs")
    read.add_argument("--seed", type=int, default=0, help="of the choice of bugs")
    read.add_argument("--timeout", type=float, default=300.0, help="seconds; a bug that hangs the tests is killed too")
    asked = read.parse_args()
    files = sorted(file for place in asked.places for file in ([place] if place.is_file() else place.rglob("*.py")))
    found = [(file, at) for file in files for at in range(len(list(changes(ast.parse(file.read_text())))))]
    chosen = random.Random(asked.seed).sample(found, min(asked.n, len(found)))
    survivors = 0
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder, "src")
        shutil.copytree(ROOT / "src", package, ignore=shutil.ignore_patterns("__pycache__"))
        environment = {**os.environ, "PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *asked.tests]

        def fails() -> bool:
            try:
                done = subprocess.run(
                    command, cwd=ROOT, env=environment, capture_output=True, timeout=asked.timeout, check=False
                )
            except subprocess.TimeoutExpired:
                return True
            return done.returncode != 0

        if fails():
            print("the tests fail without a bug")
            return 1
        for number, (file, at) in enumerate(chosen, 1):
            tree = ast.parse(file.read_text())
            node, kind = list(changes(tree))[at]
            what = f"{file}:{node.lineno}  {change(node, kind)}"
            target = package / file.absolute().relative_to(ROOT / "src")
            before = target.read_text()
            target.write_text(ast.unparse(tree))
            if not fails():
                survivors += 1
                print(f"survives  {what}", flush=True)
            target.write_text(before)
            print(f"{number} of {len(chosen)}: {number - survivors} killed", file=sys.stderr, flush=True)
    print(f"{len(chosen) - survivors} of {len(chosen)} killed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
