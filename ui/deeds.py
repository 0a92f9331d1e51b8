"""What the palette offers in the window: to go to a page, or to do something."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ui.pages import pages
from ui.palette import Deed
from ui.shortcuts import page_key, shortcuts

if TYPE_CHECKING:
    from ui.window import Window


def deeds_of(window: Window) -> list[Deed]:
    """All entries, pages first, with the keys that do the same."""
    return [
        *(Deed(f"Go to {spec.title}", spec.icon, partial(window.go, spec.name), shortcuts.words(page_key(spec.name))) for spec in pages()),
        Deed("Import a file", "file-input", window.import_file, shortcuts.words("import")),
        Deed("Open a kit file", "folder-open", window.open_kit),
        Deed("Run", "play", lambda: window.page().run_primary(), shortcuts.words("run")),
        Deed("Stop and save", "download", lambda: window.page().stop_and_save(), shortcuts.words("stop")),
        *(Deed(f"Use the {word} theme", "eye", partial(window.set_theme, choice))
          for choice, word in (("light", "light"), ("dark", "dark"), ("contrast", "high-contrast"), ("system", "system's"))),
        Deed("Show the tour", "info", window.tour),
        Deed("Copy diagnostics", "copy", window.copy_diagnostics),
    ]
