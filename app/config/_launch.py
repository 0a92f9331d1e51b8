"""Launcher of a foreign program: tie it to its parent, then become it.  Run by path, so it imports nothing of ours.

Usage: python -I _launch.py PARENT_PID NETWORK PROGRAM [ARGUMENT...]   (NETWORK: none, listen or loopback; see offline.py)
On Linux the death signal and the filter on internet sockets survive exec.  Elsewhere the launcher stays and watches its parent.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

_PR_SET_PDEATHSIG, _SIGKILL = 1, 9
_ON_LINUX: bool = sys.platform == "linux"


def main(parent: int, need: str, command: list[str]) -> int:
    """Become ``command`` (Linux), or run it and kill it once ``parent`` is gone; its exit code."""
    _take_on_offline_mode(need)
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


def _take_on_offline_mode(need: str) -> None:
    file = Path(__file__).with_name("offline.py")  # by path: the launcher must not import the rest of app
    found = importlib.util.spec_from_file_location("neuroweaver_offline", file)
    assert found is not None
    assert found.loader is not None
    sys.modules[found.name] = module = importlib.util.module_from_spec(found)  # dataclasses look the module up
    found.loader.exec_module(module)
    if need != "loopback" and os.environ.get(module.VARIABLE):
        module.close_sockets(need)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
