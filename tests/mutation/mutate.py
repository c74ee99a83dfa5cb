# ruff: noqa: E501
"""Seed small bugs, one at a time, and see whether the tests notice.

    python tests/mutation/mutate.py src/vvscale/laws/planning --tests tests/unit/test_laws_plan.py -n 40

A bug is one change of one expression: a comparison, a sign, a number, a condition turned around. The tests run on a copy
of the package in a temporary folder; the checkout is not touched. They run once as they are, and what each calls is
noted; a bug is then given to those tests alone that call its function, the quickest first. Survivors are printed with
file and line: each is a test to write, or a change that changes nothing.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_OTHER = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.In: ast.NotIn,
    ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Pow: ast.Mult, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


_Function = ast.FunctionDef | ast.AsyncFunctionDef


def changes(tree: ast.Module) -> Iterator[tuple[ast.AST, str, int]]:
    """Yield each node that can be changed, how, and the first line of the innermost function around it."""

    def inside(node: ast.AST, line: int) -> Iterator[tuple[ast.AST, str, int]]:
        if isinstance(node, _Function):
            line = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            below: list[ast.AST] = list(node.body)
        else:
            # Annotations say nothing to Python.
            below = [one for one in ast.iter_child_nodes(node) if one is not getattr(node, "annotation", None)]
            if line and (kind := _kind(node)):
                yield node, kind, line
        for one in below:
            yield from inside(one, line)

    yield from inside(tree, 0)


def _kind(node: ast.AST) -> str:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _OTHER:
        return "compare"
    if isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign) and type(node.op) in _OTHER:
        return "operate"
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return "number"
    if isinstance(node, ast.Constant) and type(node.value) is bool:
        return "flag"
    return "turn" if isinstance(node, ast.If | ast.IfExp) else ""


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


# What most tests import, imported once: every bug is tried in a fork of this process.
_HEAVY = (
    "pandas",
    "scipy.optimize",
    "scipy.stats",
    "pyarrow.parquet",
    "torch",
    "sklearn.linear_model",
    "h5py",
    "duckdb",
)


class Tests:
    """The tests, run on a copy of the package."""

    def __init__(self, package: Path, chosen: list[str], budget: float, kept: Path | None) -> None:
        self._package, self._budget = package, budget
        calls = kept or package.with_name("calls.json")
        os.environ |= {
            "PYTHONPATH": os.pathsep.join([str(package), str(Path(__file__).parent)]),
            "PYTHONPYCACHEPREFIX": str(package.with_name("compiled")),
            "VVSCALE_CALLS": str(calls),
        }
        sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"]
        sys.path[:0] = [str(package), str(Path(__file__).parent)]
        for name in _HEAVY:
            importlib.import_module(name)
        if not calls.is_file() and self._run(chosen, 3600, "-p", "calls"):
            raise SystemExit("the tests fail without a bug")
        held = json.loads(calls.read_text())
        self._seconds, self._calls = held["seconds"], held["calls"]

    def of(self, file: Path, line: int) -> list[str]:
        """Return the tests that call a function: of each file the quickest first, and no more than there is time for."""
        where = f"{file.relative_to(self._package)}:{line}"
        found = sorted(self._calls.get(where, ()), key=self._seconds.__getitem__)
        chosen, left = [], self._budget
        for test in found:
            left -= self._seconds[test]
            if left < 0 and chosen:
                break
            chosen.append(test)
        files = list(dict.fromkeys(test.partition("::")[0] for test in chosen))
        return sorted(chosen, key=lambda test: files.index(test.partition("::")[0]))

    def notice(self, tests: list[str]) -> bool:
        """Whether one of the tests fails; a bug that hangs them is noticed too."""
        # They were timed while all calls were watched, which is slower.
        return self._run(tests, 10 + 3 * sum(map(self._seconds.__getitem__, tests)))

    def _run(self, asked: list[str], seconds: float, *options: str) -> bool:
        names = self._package.with_name("asked.txt")
        names.write_text("\n".join(asked))
        child = os.fork()
        if child == 0:
            silent = os.open(os.devnull, os.O_RDWR)
            for stream in range(3):
                os.dup2(silent, stream)
            os.setsid()
            os.chdir(ROOT)
            # Of its own time, for on a busy machine honest tests take long too.
            resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds) + 1))
            os._exit(pytest.main(["-q", "-x", "-p", "no:cacheprovider", "-n", "0", *options, f"@{names}"]))
        until = time.monotonic() + 20 * seconds
        while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
            if time.monotonic() > until:
                os.killpg(child, signal.SIGKILL)
            time.sleep(0.02)
        code = os.waitstatus_to_exitcode(ended[1])
        if code in (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED):
            raise SystemExit(f"pytest did not run what it was asked to; see {asked[:3]}")
        return code != 0


def main() -> int:
    """Seed bugs and print how many were killed."""
    read = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    read.add_argument("places", nargs="+", type=Path, help="files or folders of the package")
    read.add_argument("--tests", nargs="+", required=True, help="what pytest is given")
    read.add_argument("-n", type=int, default=40, help="how many bugs")
    read.add_argument("--seed", type=int, default=0, help="of the choice of bugs")
    read.add_argument("--budget", type=float, default=30.0, help="seconds of tests that one bug is given at most")
    read.add_argument("--calls", type=Path, help="file that keeps what calls what; an earlier run's is read")
    asked = read.parse_args()
    files = sorted(file for place in asked.places for file in ([place] if place.is_file() else place.rglob("*.py")))
    found = [(file, at) for file in files for at in range(len(list(changes(ast.parse(file.read_text())))))]
    chosen = random.Random(asked.seed).sample(found, min(asked.n, len(found)))
    n_killed = n_uncalled = 0
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder, "src")
        shutil.copytree(ROOT / "src", package, ignore=shutil.ignore_patterns("__pycache__"))
        tests = Tests(package, asked.tests, asked.budget, asked.calls and asked.calls.absolute())
        for number, (file, at) in enumerate(chosen, 1):
            # The checkout may have been worked on meanwhile.
            target = package / file.absolute().relative_to(ROOT / "src")
            before = target.read_text()
            tree = ast.parse(before)
            node, kind, line = list(changes(tree))[at]
            what = f"{file}:{node.lineno}  {change(node, kind)}"
            given = tests.of(target, line)
            target.write_text(ast.unparse(tree))
            # Compiled files are told apart by second and size alone.
            os.utime(target, (number, number))
            is_killed = bool(given) and tests.notice(given)
            n_killed, n_uncalled = n_killed + is_killed, n_uncalled + (not given)
            if not is_killed:
                print(f"{'survives ' if given else 'not called'} {what}", flush=True)
            target.write_text(before)
            print(f"{number} of {len(chosen)}: {n_killed} killed", file=sys.stderr, flush=True)
    print(f"{len(chosen)} seeded, {n_killed} killed, {n_uncalled} in functions that none of these tests calls")
    return 0


if __name__ == "__main__":
    sys.exit(main())
