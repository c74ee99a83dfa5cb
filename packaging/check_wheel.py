"""Install a built wheel into a fresh environment per extra and run what that extra is for.

    python packaging/check_wheel.py dist/vvscale-0.1.0-py3-none-any.whl [EXTRA ...]

Without names: the base, ``figures``, ``train`` and ``score``. Packages come from the registry that pip is set up for.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

TABLE = "n_params,error\n" + "".join(f"{10**n},{0.3 + 5 * (10**n) ** -0.4:.6f}\n" for n in range(3, 12))
# Extra -> commands that must end well; the base ones run in every environment.
BASE = (
    ("--version",), ("--help",), ("ls", "laws"), ("fit", "mine.csv", "--x", "n_params", "--y", "error"),
)  # fmt: skip
CHECKS = {
    "": (),
    "figures": (("fit", "mine.csv", "--x", "n_params", "--y", "error", "--plot", "law.png"),),
    "models": (("ls", "architectures", "resnet*"),),
    "train": (("train", "resnetflex-w4-d1-1-1", "--samples-per-class", "1", "--device", "cpu", "--dry-run"),),
    "score": (("check", "simulated.V1-pls"),),
    "study": (("study", "plan", "demo"),),
}
# Of the base alone: what must be refused with the command that installs it.
REFUSED = (("study", "plan", "demo"), ("score", "resnet18"), ("fit", "mine.csv", "--x", "n_params", "--y", "error",
           "--plot", "law.png"))  # fmt: skip


def main(wheel: Path, extras: list[str]) -> int:
    """Check each extra; return how many failed."""
    failed = 0
    for extra in extras or ["", "figures", "train", "score"]:
        with tempfile.TemporaryDirectory() as folder:
            try:
                _check(wheel.resolve(), extra, Path(folder))
                print(f"ok      vvscale{f'[{extra}]' if extra else ''}", flush=True)
            except subprocess.CalledProcessError as error:
                failed += 1
                print(f"FAILED  vvscale[{extra}]: {error.cmd}\n{error.stdout}\n{error.stderr}", flush=True)
    return failed


def _check(wheel: Path, extra: str, folder: Path) -> None:
    venv.create(folder / "env", with_pip=True)
    python = folder / "env" / ("Scripts" if os.name == "nt" else "bin") / "python"
    wanted = f"{wheel}[{extra}]" if extra else str(wheel)
    _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wanted], folder)
    (folder / "mine.csv").write_text(TABLE, encoding="utf-8")
    for tokens in (*BASE, *CHECKS[extra]):
        _run([str(python), "-m", "vvscale", *tokens], folder)
    for tokens in REFUSED if not extra else ():
        done = subprocess.run(
            [str(python), "-m", "vvscale", *tokens], cwd=folder, capture_output=True, text=True, check=False
        )
        if done.returncode != 2 or "Next: pip install 'vvscale[" not in done.stderr:
            raise subprocess.CalledProcessError(done.returncode, list(tokens), done.stdout, done.stderr)


def _run(command: list[str], folder: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHONPATH", "VIRTUAL_ENV"))}
    environment = {**clean, "VVSCALE_CACHE": str(folder / "cache")}
    subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, env=environment)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
