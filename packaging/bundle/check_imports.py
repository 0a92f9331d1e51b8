"""Import everything that app/ and ui/ import anywhere, also inside functions; print what fails.  check_inside.sh hands it to -c."""

import ast
import importlib
import sys
from pathlib import Path

OPTIONAL = {"pwd", "fcntl", "msvcrt", "winreg", "ctypes.wintypes"}  # of one system only


def wanted(root: Path) -> set[str]:
    """The modules named in import statements below app/ and ui/."""
    found: set[str] = set()
    for file in [*(root / "app").rglob("*.py"), *(root / "ui").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {one.name for one in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module)
    return found - OPTIONAL


names = wanted(Path(importlib.import_module("app").__file__ or "").resolve().parent.parent)
failed = []
for name in sorted(names):
    try:
        importlib.import_module(name)
    except Exception as problem:
        failed.append(f"{name}: {type(problem).__name__}: {problem}")
print(f"{len(names)} modules imported, {len(failed)} failed", *failed, sep="\n")
sys.exit(bool(failed))
