"""NeuroWeaver's one entry: the window by default, subcommands for everything else (main.py --help)."""

from __future__ import annotations

import sys

from app.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
