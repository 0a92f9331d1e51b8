"""The recipes for other machines name only what exists, and scripts are at least well formed."""

from __future__ import annotations

import plistlib
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.cli import parser
from app.store.profile import project_dir
from tests.packaging.recipes import BUNDLE

ROOT = project_dir()
WORKFLOW = ROOT / ".github" / "workflows" / "packages.yml"
SCRIPTS = [ROOT / "packaging" / "bundle.sh", *sorted(BUNDLE.glob("*.sh"))]


@pytest.fixture(scope="module")
def jobs() -> dict[str, Any]:
    document = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    assert set(document) == {"name", True, "permissions", "jobs"}  # YAML 1.1 reads "on" as true
    found: dict[str, Any] = document["jobs"]
    return found


def commands(jobs: dict[str, Any]) -> list[str]:
    return [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]


def test_every_step_is_an_action_or_a_command(jobs: dict[str, Any]) -> None:
    assert set(jobs) == {"linux", "others"}
    for job in jobs.values():
        assert all(("uses" in step) != ("run" in step) for step in job["steps"])
        assert all(re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"]) for step in job["steps"] if "uses" in step)


def test_files_that_the_workflow_names_exist(jobs: dict[str, Any]) -> None:
    named = {word for run in commands(jobs) for word in re.findall(r"packaging/[\w./-]+", run)}
    assert len(named) >= 8
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


def test_the_commands_are_shell_and_call_subcommands_that_exist(jobs: dict[str, Any]) -> None:
    called = []
    for run in commands(jobs):
        plain = re.sub(r"\$\{\{.*?\}\}", "EXPRESSION", run)
        assert subprocess.run(["bash", "-n"], input=plain, text=True, capture_output=True, check=False).returncode == 0, run
        called += re.findall(r'^"EXPRESSION" (.*)$', plain, re.MULTILINE)
    assert len(called) == 3
    for line in called:
        assert parser().parse_args(line.split()).command in ("doctor", "kits", "run")


def test_the_recipe_for_others_takes_the_versions_that_set_up_takes(jobs: dict[str, Any]) -> None:
    setup = (ROOT / "packaging" / "setup.sh").read_text(encoding="utf-8")
    text = "\n".join(commands(jobs))
    torch, llama = (re.search(rf"^{name}=([\d.]+)$", setup, re.MULTILINE) for name in ("TORCH", "LLAMA"))
    assert torch is not None
    assert llama is not None
    assert f"torch=={torch[1]}" in text
    assert f"llama_cpp_python-{llama[1]}.tar.gz" in text


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_executable_and_well_formed(script: Path) -> None:
    assert script.stat().st_mode & 0o111
    assert script.read_text(encoding="utf-8").startswith("#!/usr/bin/env bash\n")
    assert subprocess.run(["bash", "-n", str(script)], capture_output=True, check=False).returncode == 0


def test_the_application_of_macos_names_its_program_and_icon(tmp_path: Path) -> None:
    (tmp_path / "neuroweaver").mkdir()
    program = tmp_path / "neuroweaver" / "neuroweaver"
    program.write_text('#!/bin/sh\necho "started with $*"\n')
    program.chmod(0o755)
    (tmp_path / ".work" / "icons").mkdir(parents=True)
    (tmp_path / ".work" / "icons" / "neuroweaver.icns").write_bytes(b"icns")
    subprocess.run([str(BUNDLE / "macos.sh"), str(tmp_path)], check=True, capture_output=True)
    contents = tmp_path / "NeuroWeaver.app" / "Contents"
    described = plistlib.loads((contents / "Info.plist").read_bytes())
    assert (contents / "Resources" / described["CFBundleIconFile"]).is_file()
    started = subprocess.run([str(contents / "MacOS" / described["CFBundleExecutable"]), "a b"], capture_output=True, text=True, check=True)
    assert started.stdout == "started with a b\n"


def test_the_deb_asks_for_every_library_that_set_up_installs_for_qt() -> None:
    script = (BUNDLE / "deb.sh").read_text(encoding="utf-8")
    line = next(line for line in script.splitlines() if line.startswith("eval "))
    made = subprocess.run(["bash", "-c", f"set -eu\n{line}\necho $QT_LIBS"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {"libegl1", "libxcb-cursor0", "libx11-xcb1"} <= set(made.stdout.split())
