"""The list of parts, also where another library has put its own metadata reader in place."""

from __future__ import annotations

import subprocess
import sys

import pytest

from app.config.about import parts

SETUPTOOLS_FIRST = "from setuptools._vendor import importlib_metadata; "


def test_every_part_has_a_licence() -> None:
    found = {part.name: part for part in parts()}
    assert found["SmolLM2-135M-Instruct"].licence == "Apache-2.0"
    assert "LGPL" in found["PySide6_Essentials"].licence
    assert all(part.licence for part in found.values())


@pytest.mark.parametrize("before", ["", SETUPTOOLS_FIRST], ids=["the library's reader", "the reader of setuptools"])
def test_every_reader_of_metadata_will_do(before: str) -> None:
    code = before + "from app.config.about import parts; print(len(parts()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 50
