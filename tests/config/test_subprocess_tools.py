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


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="this kernel does not share processors between sessions")
@pytest.mark.parametrize(("own_session", "said"), [
    pytest.param(True, "3 3", id="a session of its own, which the kernel weighs first"),
    pytest.param(False, "3 0", id="the user's session is left alone"),
])
def test_a_process_stands_back_with_its_session(own_session: bool, said: str) -> None:
    done = subprocess.run([sys.executable, "-c", _SAYS], cwd=project_dir(), capture_output=True, text=True, check=True,
                          start_new_session=own_session)
    assert done.stdout.split() == said.split()
