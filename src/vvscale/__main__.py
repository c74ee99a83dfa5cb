"""``python -m vvscale``: the command line."""

import sys

from vvscale.cli import main

if __name__ == "__main__":
    sys.exit(main())
