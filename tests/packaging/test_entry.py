"""The packaged program as an interpreter, run as a plain script: it understands how our children are started, and no more."""

from __future__ import annotations

import ast
import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.store.profile import project_dir

ENTRY = project_dir() / "packaging" / "bundle" / "entry.py"
SEEN = "import sys, os; print(__name__, sys.argv, 'cwd' if '' in sys.path or os.getcwd() in sys.path else 'apart')"


def entry(*words: str, cwd: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-I", "-S", str(ENTRY), *words], capture_output=True, text=True, timeout=60, check=False,
                          cwd=cwd or project_dir(), env={**os.environ, **more})


@pytest.mark.parametrize(("words", "printed"), [
    pytest.param(("-I", "-S", "-c", SEEN, "7", "-x"), "__main__ ['-c', '7', '-x'] apart", id="code, isolated"),
    pytest.param(("-ISEsB", "-c", SEEN), "__main__ ['-c'] apart", id="switches in one word"),
    pytest.param(("-X", "utf8", "-W", "ignore", "-Xdev", "-c", SEEN, "-c", "a"), "__main__ ['-c', '-c', 'a'] apart", id="switches with values"),
    pytest.param(("-m", "app.config._launch", "x"), "invalid literal for int() with base 10: 'x'", id="module"),
])
def test_interpreter_forms_do_as_python_does(tmp_path: Path, words: tuple[str, ...], printed: str) -> None:
    done = entry(*words, cwd=tmp_path)
    assert printed in done.stdout + done.stderr


def test_a_module_that_fails_shows_its_traceback_last_and_ends_with_1() -> None:
    done = entry("-c", "import nothing_of_that_name")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == "ModuleNotFoundError: No module named 'nothing_of_that_name'"


def test_an_exit_code_gets_through() -> None:
    assert entry("-c", "import sys; sys.exit(7)").returncode == 7


def test_a_script_of_ours_runs_by_its_path() -> None:
    done = entry("-I", str(project_dir() / "app" / "config" / "_launch.py"), str(os.getpid()), "loopback", sys.executable, "-c", "print(40 + 2)")
    assert (done.returncode, done.stdout.strip()) == (0, "42"), done.stderr


@pytest.mark.parametrize("words", [pytest.param(("FILE",), id="as an argument"), pytest.param(("-I", "FILE"), id="as a script")])
def test_a_script_from_elsewhere_is_never_run(tmp_path: Path, words: tuple[str, ...]) -> None:
    script = tmp_path / "stranger.py"
    script.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    entry(*(str(script) if word == "FILE" else word for word in words), DISPLAY="", WAYLAND_DISPLAY="", QT_QPA_PLATFORM="")
    assert not (tmp_path / "ran").exists()


def test_pythonpath_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('a stranger')")
    done = entry("-c", "import json; print(json.dumps(1))", PYTHONPATH=str(tmp_path))
    assert done.stdout.strip() == "1"


def test_everything_else_is_the_command_line_of_main() -> None:
    done = subprocess.run([sys.executable, str(ENTRY), "frobnicate", "--json"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "frobnicate" in done.stdout


def _forms() -> set[tuple[str, ...]]:
    """The switches that follow sys.executable wherever app and ui start a child."""
    found: set[tuple[str, ...]] = set()
    for file in [*(project_dir() / "app").rglob("*.py"), *(project_dir() / "ui").rglob("*.py")]:
        text = file.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if "sys.executable" in text else ():
            if isinstance(node, ast.List | ast.Tuple) and node.elts and ast.unparse(node.elts[0]) == "sys.executable":
                words = [one.value if isinstance(one, ast.Constant) else "" for one in node.elts[1:]]
                found.add(tuple(itertools.takewhile(lambda word: str(word).startswith("-"), words)))
    return found


def test_no_child_is_started_in_a_form_that_the_program_does_not_know() -> None:
    assert _forms() == {("-I", "-S", "-c"), ("-I",), ("-c",), ("-m",), ()}
