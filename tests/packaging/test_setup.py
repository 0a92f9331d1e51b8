"""Which build of torch set-up installs.  Its functions are run with a pip and a driver that only say what they were asked."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from app.store.profile import project_dir

pytestmark = pytest.mark.skipif(os.name != "posix", reason="a shell script")
PIP = """#!/bin/sh
[ "$1" = freeze ] && cat "$(dirname "$0")/frozen" && exit
echo "$@"
"""


def told(tmp_path: Path, words: str, *, driver: bool, installed: str = "") -> str:
    """What the words print, said after the script's own functions."""
    venv, path = tmp_path / "venv" / "bin", tmp_path / "path"
    for folder in (venv, path):
        folder.mkdir(parents=True)
    (venv / "frozen").write_text(f"numpy==1.0\n{installed}\n")
    for file, content in ((venv / "pip", PIP), (path / "nvidia-smi", f"#!/bin/sh\nexit {0 if driver else 9}\n")):
        file.write_text(content)
        file.chmod(0o755)
    functions = (project_dir() / "packaging" / "setup.sh").read_text(encoding="utf-8").removesuffix("main\n")
    script = functions.replace('cd "$(dirname "${BASH_SOURCE[0]}")/.."', "cd /") + f"VENV={tmp_path / 'venv'}\n{words}\n"
    environment = {name: value for name, value in os.environ.items() if name != "NEUROWEAVER_TORCH_INDEX"}
    environment["PATH"] = f"{path}{os.pathsep}{environment['PATH']}"
    return subprocess.run(["bash", "-s"], input=script, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(("driver", "installed", "asked"), [
    pytest.param(False, "", ["install torch+cpu"], id="no card"),
    pytest.param(True, "", ["install torch"], id="a card"),
    pytest.param(True, "torch==2.13.0+cpu", ["uninstall torch", "install torch"], id="a card that came later"),
    pytest.param(True, "torch==2.13.0", ["install torch"], id="the build for cards is there"),
])
def test_a_driver_that_answers_gets_the_build_for_cards(tmp_path: Path, driver: bool, installed: str, asked: list[str]) -> None:
    lines = told(tmp_path, "install_torch", driver=driver, installed=installed).splitlines()
    assert [f"{line.split()[0]} torch{'+cpu' if line.endswith('+cpu') else ''}" for line in lines] == asked


def test_a_card_that_came_later_makes_the_step_run_again(tmp_path: Path) -> None:
    words = """step() { printf '%s|%s\n' "$1" "$2"; }; system_libraries() { :; }; mkdir() { :; }; llama_bindings() { :; }; main"""
    keys = [dict(line.split("|", 1) for line in told(tmp_path / str(driver), words, driver=driver).splitlines() if line.startswith("torch|"))
            for driver in (False, True)]
    assert keys[0]["torch"] != keys[1]["torch"]
    assert keys[0]["torch"].strip() == "2.13.0"  # as before: no machine without a card installs it again
