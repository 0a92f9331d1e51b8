"""Check this machine: each check is ok, warning or error, with what was found and what to do.  Never imports torch."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from app.errors import NeuroWeaverError, as_installed
from app.store import Profile, Store
from app.store.profile import share_dir

Check = tuple[str, str, str, str]
"""(name, status, detail, hint)"""
LITTLE_DISK, LITTLE_MEMORY = 3e9, 4e9
ENGINES = {
    "xllamacpp": ("error", "The endpoint cannot serve GGUF files. Run packaging/setup.sh again."),
    "llama-cpp-python": (
        "warning",
        "No q5_k_m, q4_k_m, q4_0 export and no export proof. Install g++ and make, then run packaging/setup.sh again.",
    ),
    "torch": ("error", "Nothing can be trained. Run packaging/setup.sh again."),
    "transformers": ("error", "Nothing can be trained. Run packaging/setup.sh again."),
    "bitsandbytes": ("warning", "No 4-bit training. Run packaging/setup.sh again."),
}


def has_display() -> bool:
    """Whether a window can be shown."""
    if sys.platform in ("win32", "darwin"):
        return True
    wanted = os.environ.get("QT_QPA_PLATFORM", "")
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or wanted in ("offscreen", "minimal", "vnc"))


def checks() -> list[dict[str, str]]:
    """All checks; one that fails itself is an error and hides no other."""
    found: list[dict[str, str]] = []
    for check in (_python, _qt, _machine, _store, _engines, _models, _tools):
        try:
            results = list(check())
        except Exception as problem:  # the doctor itself must not fall ill
            results = [
                (check.__name__.strip("_"), "error", f"{type(problem).__name__}: {problem}", "Run packaging/setup.sh again.")
            ]
        found += [{"name": name, "status": status, "detail": detail, "hint": as_installed(hint)} for name, status, detail, hint in results]
    return found


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _python() -> Iterator[Check]:
    version = ".".join(map(str, sys.version_info[:3]))
    fine = sys.version_info >= (3, 11)
    yield "Python", "ok" if fine else "error", version, "" if fine else "Python 3.11 or newer is needed."


def _qt() -> Iterator[Check]:
    version = _version("pyside6-essentials")
    if version is None:
        yield "Qt", "error", "PySide6 is not installed", "Run packaging/setup.sh again."
        return
    library = _loads("PySide6.QtWidgets")
    yield (
        ("Qt", "ok", version, "")
        if library is None
        else ("Qt", "error", f"{version}: {library}", "The window needs Qt's system libraries: packaging/setup.sh lists them.")
    )
    shown = has_display()
    yield (
        "Display",
        "ok" if shown else "warning",
        "found" if shown else "none",
        "" if shown else "Without one, main.py works headless.",
    )


def _loads(module: str) -> str | None:
    """The reason why a module cannot be imported in a child process, or None."""
    import subprocess

    done = subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True, text=True, timeout=60, check=False)
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or ["it ends at once"])[-1][:200]


def _machine() -> Iterator[Check]:
    from app.training.hardware import probe

    home = Profile.default().home
    found = probe(home if home.exists() else Path.home())
    if found.gpus:
        gpu = found.gpus[0]
        yield "GPU", "ok", f"{gpu.name}, driver {gpu.driver}, CUDA capability {'.'.join(map(str, gpu.capability))}", ""
        yield "VRAM", "ok", f"{gpu.free / 1e9:.1f} of {gpu.total / 1e9:.1f} GB free", ""
        if "+cpu" in (_version("torch") or ""):
            hint = "The card is not used. Run packaging/setup.sh again: it now installs the CUDA build."
            yield "CUDA", "warning", "torch is a build for processors alone", hint
    else:
        yield (
            "GPU",
            "warning",
            "no NVIDIA driver answers",
            "Small models train on the processor. For larger ones install a card and its driver.",
        )
    enough = found.memory_available > LITTLE_MEMORY
    yield (
        "RAM",
        "ok" if enough else "warning",
        f"{found.memory_available / 1e9:.1f} of {found.memory_total / 1e9:.1f} GB free, {found.cores} cores",
        "" if enough else "Training the starter model takes about 5 GB: close other programs.",
    )
    room = found.disk_free > LITTLE_DISK
    yield (
        "Disk",
        "ok" if room else "error",
        f"{found.disk_free / 1e9:.1f} GB free on the data volume",
        "" if room else "A run needs about 3 GB. Make room, or name another folder in NEUROWEAVER_HOME.",
    )


def _store() -> Iterator[Check]:
    from app.store.faults import copy_back
    from app.store.integrity import check_catalogue

    try:
        with Store.open() as store:
            version = store.db.execute("SELECT sqlite_version()").fetchone()[0]
            cipher = store.db.execute("PRAGMA cipher_version").fetchone()[0]
            storage = store.key.storage
            findings, profile = check_catalogue(store), store.profile
    except NeuroWeaverError as problem:
        yield "Store", "error", problem.message, problem.remedy
        return
    yield "SQLite", "ok", f"{version}, SQLCipher {cipher}", ""
    yield (
        ("Database", "error", findings[0], copy_back(profile.backups))
        if findings
        else ("Database", "ok", f"whole; {_newest(profile)}", "")
    )
    words = {
        "keyring": "in the system keyring",
        "passphrase": "made from your passphrase",
        "file": "in a file that only your user can read",
    }[storage]
    hint = (
        "No system keyring was found. Set NEUROWEAVER_PASSPHRASE before the first start for a stronger place."
        if storage == "file"
        else ""
    )
    yield "Key storage", "warning" if storage == "file" else "ok", words, hint


def _newest(profile: Profile) -> str:
    import time

    from app.store.backup import backups

    copies = backups(profile)
    made = time.strftime("%Y-%m-%d %H:%M", time.localtime(copies[0].stat().st_mtime)) if copies else ""
    return f"newest backup {made}" if made else "no backup yet, the service makes one a day"


def _engines() -> Iterator[Check]:
    for name, (status, hint) in ENGINES.items():
        version = _version(name)
        yield (name, "ok", version, "") if version else (name, status, "not installed", hint)


def _models() -> Iterator[Check]:
    starter = share_dir() / "models" / "smollm2-135m-instruct" / "model.safetensors"
    yield (
        ("Starter model", "ok", "SmolLM2 135M", "")
        if starter.is_file()
        else ("Starter model", "error", "missing", "Run packaging/setup.sh again.")
    )
    converter = share_dir() / "llama.cpp" / "convert_hf_to_gguf.py"
    yield (
        ("llama.cpp converter", "ok", "found", "")
        if converter.is_file()
        else ("llama.cpp converter", "error", "missing", "Nothing can be exported. Run packaging/setup.sh again.")
    )


def _tools() -> Iterator[Check]:
    compiler = shutil.which(os.environ.get("CXX", "g++")) or shutil.which("clang++")
    need = importlib.util.find_spec("llama_cpp") is None
    yield (
        ("Compiler", "ok", Path(compiler).name, "")
        if compiler
        else ("Compiler", "warning" if need else "ok", "none", "Only needed to build llama-cpp-python." if need else "")
    )


# ---- diagnostics -----------------------------------------------------------------------------------------------------------

_NAMED = ("threads", "theme", "offline", "endpoint.enabled", "keep_serving_after_close", "engine.idle_seconds")
_COUNTED = {"datasets": "datasets WHERE key IS NOT NULL", "dataset versions": "dataset_versions", "model versions": "model_versions",
            "deployments": "deployments"}
_PARTS = ("PySide6_Essentials", "transformers", "trl", "peft", "bitsandbytes", "xllamacpp", "sqlite-utils", "sqlcipher3")
LAST_FAILURES = 20


def diagnostics(store: Store) -> str:
    """What a report of a fault needs, as text: the checks, versions, counts, and the codes of the last failures.

    Nothing private: no names, texts or paths of the user's, no key, no address.  Failures are told by code, node and time alone.
    """
    import platform
    import time

    from app.store import settings

    lines = [f"NeuroWeaver diagnostics, {time.strftime('%Y-%m-%d %H:%M')}",
             f"system: {platform.system()} {platform.release()}, {platform.machine()}, Python {platform.python_version()}", "", "checks:"]
    lines += [f"  {check['status']:8} {check['name']}: {check['detail']}" for check in checks()]
    lines += ["", "parts:", *(f"  {name} {_version(name) or 'missing'}" for name in _PARTS)]
    lines += ["", "settings:", *(f"  {name}: {settings.get(store, name)}" for name in _NAMED)]
    lines += ["", "counts:", *(f"  {words}: {_count(store, table)}" for words, table in _COUNTED.items())]
    lines += [f"  runs {row['state']}: {row['n']}" for row in store.rows("SELECT state, count(*) AS n FROM runs GROUP BY state")]
    lines += ["", "last failures:", *_failures(store)]
    return _without_names("\n".join(lines)) + "\n"


def _count(store: Store, table: str) -> int:
    found = store.row(f"SELECT count(*) AS n FROM {table}")
    return int(found["n"]) if found else 0


def _failures(store: Store) -> list[str]:
    """Code, node and time of steps that failed, the newest first."""
    import json
    import time

    rows = store.rows("SELECT node, why, ended FROM steps WHERE why IS NOT NULL ORDER BY ended DESC LIMIT ?", (LAST_FAILURES,))
    found = [f"  {time.strftime('%Y-%m-%d %H:%M', time.localtime(row['ended'] or 0))} {row['node']} "
             f"{json.loads(row['why']).get('code', '?')}" for row in rows]
    return found or ["  none"]


def _without_names(text: str) -> str:
    """The user's home and name taken out, wherever a check mentioned them."""
    import getpass

    text = text.replace(str(Path.home()), "~")
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        return text
    return text.replace(name, "user") if len(name) > 2 and name != "root" else text
