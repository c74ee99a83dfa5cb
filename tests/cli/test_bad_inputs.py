"""Each wrong input gives one sentence and its exit code; nothing is written, removed or changed by it."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import pytest

from vvscale.cli import main

sys.path.insert(0, str(Path(__file__).parent))
from bad_inputs import ALL, PARTS, Bad

PAGE = Path(__file__).parents[2] / "docs" / "bad-inputs.md"


def tried(bad: Bad, folder: Path) -> tuple[int, str, list[str]]:
    """Return exit code, what was said on standard error, and what changed on the disk."""
    work = folder / "work"
    work.mkdir()
    (folder / "victim.txt").write_text("not yours")
    for name, content in bad.files.items():
        path = work / name.rstrip("|")
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
        elif name.endswith("|"):
            os.mkfifo(path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
    before, err = held(folder), io.StringIO()
    with contextlib.chdir(work), contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
        code = main(shlex.split(bad.command))
    after = held(folder)
    changed = [name for name in {*before, *after} if before.get(name) != after.get(name)]
    said = (
        " ".join(err.getvalue().split())
        .replace(str(work), ".")
        .replace(os.path.realpath(work), ".")
        .replace(f"{PAGE.parents[1]}/", "")
    )
    return code, said, sorted(changed)


def held(folder: Path) -> dict[str, bytes | None]:
    """Return every file and folder below a folder, with its content."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.filterwarnings("default::vvscale.errors.VvscaleWarning")
@pytest.mark.parametrize("bad", ALL, ids=[bad.what for bad in ALL])
def test_a_bad_input_gives_its_sentence(bad: Bad, tmp_path: Path):
    code, said, changed = tried(bad, tmp_path)
    assert (code, changed) == (bad.code, []), said
    assert re.search(bad.says, said), said
    assert "Traceback" not in said
    assert said.count("vvscale: ") - said.count("vvscale: warning: ") == 1, said
    assert len(said) < 1200, f"{len(said)} characters"


def test_each_is_another():
    assert len(ALL) >= 400
    assert [what for what, n in Counter(bad.what for bad in ALL).items() if n > 2] == []
    assert [bad.what for bad in ALL if not bad.says] == []


def test_the_page_names_them_all():
    page = PAGE.read_text(encoding="utf-8")
    assert [bad.what for bad in ALL if f"| {bad.what} |" not in page] == []


def write(only: str = "") -> None:
    """Write the page of all inputs with what they give today; or only show those that hold a text."""
    lines = [
        "# Wrong inputs",
        "",
        "What a user gets for each: the exit code (2 a wrong request, 3 data that do not allow it, 4 a run that cannot",
        "go on, 5 a law that cannot be fitted) and one sentence.",
        f"`tests/cli/test_bad_inputs.py` tries all {len(ALL)}, holds that nothing is written, removed or changed by",
        "them, and writes this page when it is run as a program.",
    ]
    for part, inputs in PARTS.items():
        lines += ["", f"## {part}", "", "| what is wrong | command | exit | what is said |", "|---|---|---|---|"]
        for bad in [one for one in inputs if only in f"{part} {one.what}"]:
            with tempfile.TemporaryDirectory() as folder:
                try:
                    code, said, changed = tried(bad, Path(folder))
                except Exception as error:  # noqa: BLE001 - shown, so that it can be mended
                    code, said, changed = -1, f"{type(error).__name__}: {error}", []
            words = [short(text) for text in (bad.what, f"`vvscale {bad.command}`", str(code), said)]
            lines.append(f"| {' | '.join(words)} |")
            is_right = code == bad.code and re.search(bad.says, said) and not changed
            print(
                "ok " if is_right else f"!! expected {bad.code} {bad.says!r} changed {changed}", lines[-1], flush=True
            )
    if not only:
        PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def short(text: str) -> str:
    """Return a text as a cell of a table in Markdown."""
    text = re.sub(r"(.)\1{60,}", r"\1\1\1...", text)
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    warnings.simplefilter("ignore", ResourceWarning)
    write(*sys.argv[1:])
