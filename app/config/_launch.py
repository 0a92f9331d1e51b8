"""Launcher of a foreign program: tie it to its parent, then become it.  Run by path, so it imports nothing of ours.

Usage: python -I _launch.py PARENT_PID PROGRAM [ARGUMENT...]
On Linux the death signal survives exec.  Elsewhere the launcher stays and watches its parent.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

_PR_SET_PDEATHSIG, _SIGKILL = 1, 9
_ON_LINUX: bool = sys.platform == "linux"


def main(parent: int, command: list[str]) -> int:
    """Become ``command`` (Linux), or run it and kill it once ``parent`` is gone; its exit code."""
    if _ON_LINUX:
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL)
        if os.getppid() != parent:
            return 1
        os.execvp(command[0], command)
    child = subprocess.Popen(command)
    while child.poll() is None:
        if os.getppid() != parent:
            child.kill()
        time.sleep(0.2)
    return child.returncode


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
