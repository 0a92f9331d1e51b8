"""Write every page, light and dark, as PNG files into a folder:  python tests/ui/screenshots.py FOLDER [PAGE...]

The store it shows is a fresh one with sample rows (tests/ui/filled.py); the figures in the pictures are no measurements.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("NEUROWEAVER_KEYRING", "off")


def main(folder: Path, wanted: list[str]) -> int:
    """Grab each page at 1440 x 900."""
    from app.store import Profile, Store
    from tests.ui.filled import fill
    from ui.main import make_application, open_window
    from ui.theme import theme

    folder.mkdir(parents=True, exist_ok=True)
    app = make_application(["screenshots"])
    with tempfile.TemporaryDirectory(prefix="neuroweaver-shots-") as home:
        profile = Profile(Path(home))
        with Store.open(profile) as store:
            runs = fill(store)
        window = open_window(profile, start_service=False)
        _spin(app, 2.0)
        views = [(name, "") for name in window.rail.buttons] + [(f"runs-{state}", run) for state, run in runs.items()]
        for mode in ("light", "dark"):
            theme.apply(mode)
            for name, argument in views:
                if not wanted or name in wanted:
                    window.go(name.partition("-")[0], argument)
                    _spin(app, 1.2)
                    window.grab().save(str(folder / f"{name}-{mode}.png"))
        window.status.end()
        window.background.close()
    return 0


def _spin(app: object, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        app.processEvents()  # type: ignore[attr-defined]
        time.sleep(0.01)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
