"""The ``vvscale`` command: one small file per verb, which parses, calls the library and prints.

A verb's module is imported only when the verb runs or its own help is shown, and imports the library inside
its function, so that ``vvscale --help`` stays fast. No logic lives here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Group, Parameter

from vvscale import __version__
from vvscale.cli.streams import make_safe, only_documents, short_warnings
from vvscale.cli.verbs import GROUPS, VERBS, epilogue, module_of
from vvscale.core.imports import missing_extra
from vvscale.core.inputs.plain import reachable
from vvscale.errors import VvscaleError, shell_words

INTERRUPTED = 130

NESTED = frozenset({"study"})


def build_app() -> App:
    """Assemble the command from its verbs; nothing heavy is imported."""
    app = App(
        name="vvscale",
        version=__version__,
        suppress_keyboard_interrupt=False,
        default_parameter=Parameter(negative=""),
        help="Fit scaling laws to tables, score networks on recordings of the brain, plan what to train, run studies. "
        "First steps: README.md and docs/start.md.",
        help_epilogue=epilogue(),
    )
    groups = {name: Group(title, sort_key=place) for place, (name, title) in enumerate(GROUPS.items())}
    for name, verb in VERBS.items():
        # A verb with verbs of its own brings its whole help along.
        more = {} if name in NESTED else {"help_epilogue": epilogue(name)}
        target = f"{module_of(name)}:{name.replace('-', '_')}"
        app.command(target, name=name, help=verb.line, group=groups[verb.group], **more)
    app.register_install_completion_command(add_to_startup=True)
    return app


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0 done; 1 a bug; 2 a wrong request; 3 data that do not allow it; 4 a run that failed; 5 a law that cannot
    be fitted; 130 interrupted. ``--debug`` shows the traceback of an expected error too.
    """
    tokens = list(sys.argv[1:] if argv is None else argv)

    def typed(text: str) -> str:
        from vvscale.cli.output import wrapped

        return wrapped(_as_typed(text, tokens), sys.stderr)

    make_safe()
    try:
        with only_documents("--json" in tokens), short_warnings(typed), reachable():
            build_app()(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except VvscaleError as error:
        if "--debug" in tokens:
            raise
        print(typed(f"vvscale: {error}"), file=sys.stderr)
        return error.exit_code
    except ImportError as error:
        verb = _verb(tokens)
        said = missing_extra(error, VERBS[verb].extra if verb else "")
        if said is None or "--debug" in tokens:
            raise
        print(f"vvscale: {said}", file=sys.stderr)
        return said.exit_code
    except CycloptsError as error:
        if "--debug" in tokens:
            raise
        verb = _verb(tokens)
        print(f"vvscale: {error} Next: `vvscale {shell_words(*verb.split(), '--help')}`.", file=sys.stderr)
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

    verb = _verb(tokens)
    return with_flags(message, module_of(verb) if verb else "")


def _verb(tokens: Sequence[str]) -> str:
    return next((token for token in tokens if token in VERBS), "")
