"""NeuroWeaver's one entry: the window by default, subcommands for everything else (main.py --help)."""

from __future__ import annotations

import sys

from app.cli import main


def window(arguments: list[str]) -> int:
    """Open the window; Qt is imported only here."""
    from ui.main import run_window

    return run_window(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], window))
