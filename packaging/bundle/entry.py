"""What the packaged program does first: it is NeuroWeaver, and the Python interpreter of NeuroWeaver's own children.

The product starts its children with ``sys.executable``, which in a package is this program and no interpreter.  So it
understands the forms that we and our libraries use, and treats everything else as the command line of main.py:

    [OPTIONS] -c CODE [ARGUMENT...]      [OPTIONS] -m MODULE [ARGUMENT...]      [OPTIONS] SCRIPT.py [ARGUMENT...]

A script must lie in the package: opening a stranger's file with the program never runs it.  Every child is isolated, as
under ``-I``: PYTHONPATH and the rest are not read, so that no Python on the machine can get in; only PYTHONFAULTHANDLER
and PYTHONUNBUFFERED, which our workers are given, still hold.
"""

from __future__ import annotations

import os
import runpy
import sys
import types
from collections.abc import Sequence
from pathlib import Path

HOME = Path(getattr(sys, "_MEIPASS", "") or Path(__file__).resolve().parents[2]).resolve()
"""Folder of main.py, app/, ui/, kits/ and resources/; in a package packages/ (site-packages) and share/ lie there too."""
_SWITCHES = frozenset("bBEiIOPqsSuvx")
_WITH_VALUE = ("-W", "-X")
_LIBRARY_PATHS = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


def main(words: Sequence[str]) -> None:
    """Do as the words say; ends with SystemExit where the code that it runs does."""
    _forget_launcher()
    _take_on_settings()
    sys.path += [str(place) for place in (HOME, HOME / "packages") if place.is_dir() and str(place) not in sys.path]
    if "--multiprocessing-fork" in words:
        import multiprocessing

        multiprocessing.freeze_support()  # runs the child's part and ends
    options, rest = _options(words)
    if "-u" in options:
        _unbuffer()
    if rest[:1] == ["-c"] and len(rest) > 1:
        _run_code(rest[1], rest[2:])
    elif rest[:1] == ["-m"] and len(rest) > 1:
        sys.argv = rest[1:]
        runpy.run_module(rest[1], run_name="__main__", alter_sys=True)
    elif rest and _is_ours(rest[0]):
        _run_script(Path(rest[0]), rest[1:], isolated="-I" in options)
    else:
        _run_script(HOME / "main.py", words, isolated=True)


def _options(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The interpreter's switches before -c, -m or a script, and what follows."""
    at = 0
    while at < len(words):
        word = words[at]
        if word in _WITH_VALUE:
            at += 2
        elif word.startswith(_WITH_VALUE) or (len(word) > 1 and word[0] == "-" and set(word[1:]) <= _SWITCHES):
            at += 1
        else:
            break
    return [f"-{letter}" for word in words[:at] for letter in word[1:]], list(words[at:])


def _is_ours(word: str) -> bool:
    path = Path(word)
    return path.suffix == ".py" and path.is_file() and path.resolve().is_relative_to(HOME)


def _run_code(code: str, arguments: Sequence[str]) -> None:
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    sys.argv = ["-c", *arguments]
    exec(compile(code, "<string>", "exec"), module.__dict__)


def _run_script(script: Path, arguments: Sequence[str], *, isolated: bool) -> None:
    sys.argv = [str(script), *arguments]
    if not isolated:
        sys.path.insert(0, str(script.resolve().parent))
    runpy.run_path(str(script), run_name="__main__")


def _forget_launcher() -> None:
    """Take the launcher's variables out of the environment.

    Programs of the system must not get the package's libraries; and a child that is this program again must start as
    the first one did: the launcher's marks without its library path would leave it without the libraries.
    """
    if not getattr(sys, "frozen", False):
        return
    for name in [name for name in os.environ if name.startswith("_PYI_")]:
        del os.environ[name]
    for name in _LIBRARY_PATHS:
        original = os.environ.pop(f"{name}_ORIG", None)
        if original is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = original


def _take_on_settings() -> None:
    if os.environ.get("PYTHONFAULTHANDLER"):
        import faulthandler

        faulthandler.enable()
    if os.environ.get("PYTHONUNBUFFERED"):
        _unbuffer()


def _unbuffer() -> None:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a program without a console has none
            stream.reconfigure(write_through=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Exception:  # as an interpreter would: the traceback last, nothing of the launcher's after it
        sys.excepthook(*sys.exc_info())
        sys.exit(1)
