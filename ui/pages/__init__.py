"""The pages of the rail, in the design's order.  A page is one file here with ``class XPage(Page)``.

A page whose file does not exist is not in the rail.  The file is imported when the page is first shown.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ui.pages.base import Page, Shell


@dataclass(frozen=True, slots=True)
class PageSpec:
    """Where a page stands.  ``name`` is its file in this folder; its class is the name in capitals plus "Page"."""

    name: str
    title: str
    icon: str
    group: str = ""
    bottom: bool = False

    @property
    def exists(self) -> bool:
        """Whether the page has been written."""
        return (Path(__file__).parent / f"{self.name}.py").exists()

    def make(self, shell: Shell) -> Page:
        """Import and build the page."""
        module = importlib.import_module(f"ui.pages.{self.name}")
        page: Page = getattr(module, f"{self.name.capitalize()}Page")(shell)
        return page


SPECS = (
    PageSpec("home", "Home", "house"),
    PageSpec("kits", "Kits", "library-big", "Build"),
    PageSpec("datasets", "Datasets", "table-2", "Build"),
    PageSpec("workflow", "Workflow", "workflow", "Build"),
    PageSpec("runs", "Runs", "activity", "Build"),
    PageSpec("models", "Models", "box", "Use"),
    PageSpec("playground", "Playground", "message-square", "Use"),
    PageSpec("endpoint", "Endpoint", "plug", "Use"),
    PageSpec("costs", "Costs", "coins", "Watch"),
    PageSpec("settings", "Settings", "settings", bottom=True),
    PageSpec("help", "Help", "book-open", bottom=True),
)


def pages() -> list[PageSpec]:
    """The pages that exist, in the rail's order."""
    return [spec for spec in SPECS if spec.exists]
