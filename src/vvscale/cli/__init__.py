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
from vvscale.cli.examples import EXTRA, epilogue
from vvscale.cli.streams import make_safe, only_documents, short_warnings
from vvscale.core.imports import missing_extra
from vvscale.errors import VvscaleError

INTERRUPTED = 130

# verb -> (where it lives, its line in `vvscale --help`)
VERBS = {
    "ls": ("vvscale.cli.commands.ls:ls", "List what is known: scores, models, experiments, laws."),
    "show": (
        "vvscale.cli.commands.show:show",
        "Show one model: where it comes from and every score it has.",
    ),
    "fetch": (
        "vvscale.cli.commands.fetch:fetch",
        "Download published tables, benchmarks and weights, checked by hash.",
    ),
    "prepare": ("vvscale.cli.commands.prepare:prepare", "Decode a data set once, for training."),
    "prepare-brain": (
        "vvscale.cli.commands.prepare_brain:prepare_brain",
        "Prepare the recordings of a public data set once, for scoring.",
    ),
    "train": (
        "vvscale.cli.commands.train:train",
        "Train a network on a subset of images; rerun to resume.",
    ),
    "readout": (
        "vvscale.cli.commands.readout:readout",
        "Train a readout of a layer's tokens, shared by subjects, and score it.",
    ),
    "fine-tune": (
        "vvscale.cli.commands.fine_tune:fine_tune",
        "Train a network on, for its task and for recordings at once.",
    ),
    "score": ("vvscale.cli.commands.score:score", "Score models on brain and behavioural benchmarks."),
    "fit": ("vvscale.cli.commands.fit:fit", "Fit a scaling law to any table."),
    "plan": (
        "vvscale.cli.commands.plan:plan",
        "Spend a compute budget: the optimal parameters and samples.",
    ),
    "design": (
        "vvscale.cli.commands.design:design",
        "Choose what to train next: the runs that tell most about a law.",
    ),
    "reproduce": (
        "vvscale.cli.commands.reproduce:reproduce",
        "Fit the laws of the published papers, theirs beside ours.",
    ),
    "claims": (
        "vvscale.cli.commands.claims:claims",
        "Check the papers' claims, or your own, on a table of scores.",
    ),
    "check": ("vvscale.cli.commands.check:check", "Check a benchmark against its contract."),
    "figure": ("vvscale.cli.commands.figures:figure", "Draw figures of any table, or those of the papers."),
    "report": (
        "vvscale.cli.commands.figures:report",
        "Write one page about a table: findings, trust, plan, models; offline.",
    ),
    "export": ("vvscale.cli.commands.export:export", "Write a table of scores as CSV or Parquet."),
    "cite": ("vvscale.cli.commands.show:cite", "Print the BibTeX of what a table, fit or figure used."),
    "study": (
        "vvscale.cli.commands.study:study",
        "Run a whole scaling study: train, score, fit, draw, report.",
    ),
    "doctor": (
        "vvscale.cli.commands.doctor:doctor",
        "Show what this machine and installation offer, and what to do.",
    ),
    "cache": ("vvscale.cli.commands.cache:cache", "List, verify or clear downloaded files."),
}

NESTED = frozenset({"study"})


def build_app() -> App:
    """Assemble the command from its verbs; nothing heavy is imported."""
    app = App(
        name="vvscale",
        version=__version__,
        suppress_keyboard_interrupt=False,
        default_parameter=Parameter(negative=""),
        help="Does scaling make vision models more like the primate brain?",
        help_epilogue=epilogue(""),
    )
    for verb, (target, line) in VERBS.items():
        # A verb with verbs of its own brings its whole help along.
        more = {} if verb in NESTED else {"help_epilogue": epilogue(verb)}
        app.command(target, name=verb, help=line, **more)
    app.register_install_completion_command(add_to_startup=True)
    return app


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0 done; 1 a bug; 2 a wrong request; 3 data that do not allow it; 4 a run that failed; 5 a law that cannot
    be fitted; 130 interrupted. ``--debug`` shows the traceback of an expected error too.
    """
    tokens = list(sys.argv[1:] if argv is None else argv)
    make_safe()
    try:
        with only_documents("--json" in tokens), short_warnings():
            build_app()(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except VvscaleError as error:
        from vvscale.cli.output import wrapped

        if "--debug" in tokens:
            raise
        print(wrapped(f"vvscale: {_as_typed(str(error), tokens)}", sys.stderr), file=sys.stderr)
        return error.exit_code
    except ImportError as error:
        verb = next((token for token in tokens if token in VERBS), "")
        said = missing_extra(error, EXTRA.get(verb, ""))
        if said is None or "--debug" in tokens:
            raise
        print(f"vvscale: {said}", file=sys.stderr)
        return said.exit_code
    except CycloptsError as error:
        if "--debug" in tokens:
            raise
        verb = next((token for token in tokens if token in VERBS), "")
        print(f"vvscale: {error} Next: `vvscale {f'{verb} ' if verb else ''}--help`.", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader of a pipe, such as head, has seen enough; what is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("vvscale: interrupted; files already under their final name are whole.", file=sys.stderr)
        return INTERRUPTED
    return 0


def _as_typed(message: str, tokens: Sequence[str]) -> str:
    """Return an error's text with the flags of the verb that ran in place of the library's field names."""
    from vvscale.cli.options import with_flags

    target = next((VERBS[token][0] for token in tokens if token in VERBS), "")
    return with_flags(message, target.partition(":")[0])
