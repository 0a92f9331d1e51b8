"""Child processes stand back as a whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app.store.profile import project_dir

_SAYS = """
import os
from app.config.subprocess_tools import stand_back
def now():
    return os.nice(0), int(open("/proc/self/autogroup").read().split()[-1])
before = now()
stand_back(3)
print(*[after - old for after, old in zip(now(), before)])
"""


# Runs what it is given as a second process of its own session, so that the session has another leader.
_SECOND = "import subprocess, sys; raise SystemExit(subprocess.run([sys.executable, '-c', sys.argv[1]]).returncode)"


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="this kernel does not share processors between sessions")
@pytest.mark.parametrize(("command", "said"), [
    pytest.param([_SAYS], "3 3", id="a session of its own, which the kernel weighs first"),
    pytest.param([_SECOND, _SAYS], "3 0", id="the session of another is left alone"),
])
def test_a_process_stands_back_with_its_session(command: list[str], said: str) -> None:
    # Both in a session that this test starts: under a container's first session there may be no group to read.
    done = subprocess.run([sys.executable, "-c", *command], cwd=project_dir(), capture_output=True, text=True, check=True,
                          start_new_session=True)
    assert done.stdout.split() == said.split()
