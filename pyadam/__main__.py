"""``python -m pyadam`` is the ``pyadam`` command."""

import sys

from pyadam.cli import main

if __name__ == "__main__":
    sys.exit(main())
