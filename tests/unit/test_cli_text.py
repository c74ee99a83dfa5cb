"""What people read in a terminal: whole numbers at any width, any encoding, and JSON alone on standard output."""

import json
import os
import pty
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vvscale.cli.text_table import text_table

NUMBERS = st.floats(1e-30, 1e30).map(lambda value: f"{value:.5g}")
WIDE = pd.DataFrame(
    {
        "law": ["power", "shifted", "joint + B by family"],
        "loss": ["0.0726774", "0.0705121", "4.4690e-05"],
        "AIC difference": ["0", "12.3", "1.2e+03"],
        "empty": ["", None, np.nan],
        "verdict": ["not better than a line through the mean of its rows", "best", "as good as the best"],
        **{f"score at {n} times": [f"{0.1 * n:.4f} .. {0.2 * n:.4f}"] * 3 for n in (10, 100, 1000)},
    }
)


def numbers(text):
    return sorted(re.findall(r"\d[\d.e+-]*", text))


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_no_number_loses_a_digit_and_no_line_is_too_long(width):
    made = text_table(WIDE, width)
    assert "empty" not in made
    assert max(map(len, made.splitlines())) <= width
    for name in WIDE.columns.drop("empty"):
        for cell in WIDE[name]:
            for word in cell.split():
                assert word in made.split(), word


@given(st.lists(st.lists(NUMBERS, min_size=8, max_size=8), min_size=1, max_size=6), st.integers(30, 90))
def test_any_numbers_at_any_width_stay_whole(rows, width):
    frame = pd.DataFrame(rows, columns=[f"column {n}" for n in range(8)])
    words = text_table(frame, width).split()
    assert all(cell in words for row in rows for cell in row)


def test_one_row_of_many_columns_is_stacked():
    frame = pd.DataFrame([{f"quantity number {n}": f"{n}.123456789e+2{n}" for n in range(7)}])
    lines = text_table(frame, 80).splitlines()
    assert any("6.123456789e+26" in line for line in lines)
    assert max(map(len, lines)) <= 80


def in_terminal(command, env=None, columns=80):
    """Run a command in a pseudo-terminal of 80 columns and return what it showed."""
    main, side = pty.openpty()
    import fcntl
    import struct
    import termios

    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "NO_COLOR")}
    process = subprocess.Popen(
        command, stdin=side, stdout=side, stderr=subprocess.STDOUT, env={**environment, **(env or {})}
    )
    os.close(side)
    shown = b""
    while True:
        try:
            part = os.read(main, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
    process.wait()
    os.close(main)
    return process.returncode, shown.decode("utf-8", "replace").replace("\r\n", "\n")


def test_a_fit_in_eighty_columns_shows_whole_numbers(tmp_path):
    x = np.geomspace(1e4, 1e9, 12)
    pd.DataFrame({"size": x, "error": 0.3 + 9 * x**-0.4}).to_csv(tmp_path / "mine.csv", index=False)
    command = [sys.executable, "-m", "vvscale", "fit", str(tmp_path / "mine.csv"), "--x", "size", "--y", "error"]
    code, shown = in_terminal([*command, "--compare"])
    assert code == 0, shown
    assert "…" not in shown
    assert max(len(line) for line in shown.splitlines()) <= 80


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_output_never_fails_for_its_encoding(encoding):
    code = "from vvscale.cli import main; main(['ls', 'laws']); print('S\\u221e \\u2265 \\u00b1 \\u03b1')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env={**os.environ, "PYTHONIOENCODING": encoding}, check=False
    )
    assert done.returncode == 0, done.stderr
    assert b">=" in done.stdout
    done = subprocess.run(
        [sys.executable, "-m", "vvscale", "fit", "--help"], capture_output=True, check=False,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_json_is_alone_on_standard_output_whatever_is_printed():
    """A user's network prints while it loads, in Python, from C and from a child process."""
    code = """
import os, sys
from vvscale.cli.output import Output
from vvscale.cli.streams import only_documents
with only_documents(True):
    print("Loaded pretrained weights")
    os.write(1, b"from C\\n")
    os.system("echo from a child")
    Output(json=True).document({"one": 1})
print("afterwards")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.removesuffix("afterwards\n")) == {"one": 1}
    for word in ("Loaded pretrained weights", "from C", "from a child"):
        assert word in done.stderr
