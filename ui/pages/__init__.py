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
    uses: tuple[str, ...] = ()
    """What the page asks in app; imported with it, so that its first question does not hold up the window."""

    @property
    def exists(self) -> bool:
        """Whether the page has been written."""
        return (Path(__file__).parent / f"{self.name}.py").exists()

    def load(self) -> None:
        """Import what the page asks, then its file, on a thread: the first page is shown before that."""
        for name in (*self.uses, f"ui.pages.{self.name}"):
            importlib.import_module(name)

    def make(self, shell: Shell) -> Page:
        """Build the page."""
        module = importlib.import_module(f"ui.pages.{self.name}")
        page: Page = getattr(module, f"{self.name.capitalize()}Page")(shell)
        return page


SPECS = (
    PageSpec("home", "Home", "house", uses=("app.config.views", "app.training.views", "app.workflow.views")),
    PageSpec("kits", "Kits", "library-big", "Build", uses=("app.config.views", "app.training.views", "app.workflow.views")),
    PageSpec("datasets", "Datasets", "table-2", "Build", uses=("app.data.views", "app.data.browse", "app.data.quality_views")),
    PageSpec("workflow", "Workflow", "workflow", "Build", uses=("app.config.views", "app.workflow.views")),
    PageSpec("runs", "Runs", "activity", "Build", uses=("app.workflow.views", "ui.runview")),
    PageSpec("models", "Models", "box", "Use", uses=("app.registry.views",)),
    PageSpec("playground", "Playground", "message-square", "Use", uses=("app.gateway.views", "app.gateway.client")),
    PageSpec("endpoint", "Endpoint", "plug", "Use", uses=("app.gateway.views",)),
    PageSpec("costs", "Costs", "coins", "Watch", uses=("app.costguard.views",)),
    PageSpec("settings", "Settings", "settings", bottom=True, uses=("app.store.settings",)),
    PageSpec("help", "Help", "book-open", bottom=True),
)


def pages() -> list[PageSpec]:
    """The pages that exist, in the rail's order."""
    return [spec for spec in SPECS if spec.exists]
