"""What a package tells its user to do can be done with a package: there is no clone, and no main.py to start."""

from __future__ import annotations

import re
import sys

import pytest

from app import cli, doctor
from app.errors import UsageError
from app.workflow import runbook


@pytest.fixture
def in_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)


@pytest.mark.parametrize(("remedy", "told"), [
    pytest.param("List them with: main.py status", "List them with: neuroweaver status", id="a command"),
    pytest.param("Run packaging/setup.sh again.", "Run the installer again.", id="set-up"),
])
@pytest.mark.usefixtures("in_a_package")
def test_a_remedy_names_the_program(remedy: str, told: str) -> None:
    assert UsageError("x", "Something.", remedy=remedy).remedy == told


@pytest.mark.usefixtures("in_a_package")
def test_help_names_the_program() -> None:
    assert cli.parser().format_help().startswith("usage: neuroweaver ")


@pytest.mark.usefixtures("in_a_package")
def test_doctor_sends_nobody_to_a_clone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_version", lambda _: None)
    monkeypatch.setattr(doctor, "_loads", lambda _: "a reason")
    hints = [check["hint"] for check in doctor.checks()]
    assert any("the installer" in hint for hint in hints)
    assert not any(re.search(r"main\.py|packaging/", hint) for hint in hints)


@pytest.mark.usefixtures("in_a_package")
def test_the_command_that_repeats_a_run_starts_the_program() -> None:
    assert runbook._program() == [sys.executable]


def test_in_a_clone_nothing_changes() -> None:
    assert UsageError("x", "Something.", remedy="List them with: main.py status").remedy == "List them with: main.py status"
