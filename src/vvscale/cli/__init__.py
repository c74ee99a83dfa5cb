"""The ``vvscale`` command: one small file per verb, which parses, calls the library and prints.

A verb's module is imported only when the verb runs or its own help is shown, and imports the library inside
its function, so that ``vvscale --help`` stays fast. No logic lives here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Parameter

from vvscale import __version__
from vvscale.errors import VvscaleError

INTERRUPTED = 130

# verb -> (where it lives, its line in `vvscale --help`)
VERBS = {
    "ls": ("vvscale.cli.ls:ls", "List what is known: scores, models, experiments, laws."),
    "show": (
        "vvscale.cli.show:show",
        "Show one model: where it comes from and every score it has.",
    ),
    "fetch": ("vvscale.cli.fetch:fetch", "Download published data, checked by hash."),
    "prepare": ("vvscale.cli.prepare:prepare", "Decode a data set once, for training."),
