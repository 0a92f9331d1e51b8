"""What every page shares: header, body, when to refresh, and how it says that something failed.

A page names the store tables it shows in ``watches``; when one changes it becomes stale, and ``refresh`` is called when
it is (or next becomes) visible.  It asks with :func:`ui.background.query` and changes with ``command``; it never
touches the store itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from PySide6.QtCore import Qt
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from app.errors import NeuroWeaverError
from ui.language import tr
from ui.theme import theme
from ui.widgets.feedback import ErrorBanner
from ui.widgets.text import Label, column, row

if TYPE_CHECKING:
    from ui.background import Background


class Shell(Protocol):
    """What a page may ask of the window."""

    background: Background
    splits: dict[str, list[int]]
    """Sizes of movable parts, by name; kept between starts."""

    def go(self, page: str, argument: str = "") -> None:
        """Show a page; ``argument`` says what on it (a run's id, a kit's name)."""

    def has(self, page: str) -> bool:
        """Whether a page exists, so that no button leads nowhere."""

    def toast(self, text: str, *, action: str = "", then: Callable[[], object] | None = None,
              stays: bool = False) -> None:
        """Say something for six seconds at the bottom right."""

    def import_file(self, path: Path | None = None) -> None:
        """Import a file as a dataset; asks which if none is given."""

    def open_kit(self, path: Path | None = None) -> None:
        """Open a kit file; asks which if none is given."""

    def run(self, source: str, *, busy: QWidget | None = None, data: Path | None = None) -> None:
        """Start a kit by name or a workflow file by path, and show the run; ``data``: the file for a kit without rows."""

    def set_theme(self, choice: str) -> None:
        """Light, dark, contrast or system, kept in the settings."""

    def tour(self) -> None:
        """Show what is where."""

    def copy_diagnostics(self) -> None:
        """Put what a report needs on the clipboard."""


class Header(QWidget):
    """Title, one line under way, actions right with the filled one last.  60 px."""

    actions: QHBoxLayout  # type: ignore[assignment]  # QWidget.actions() is not used on a header

    def __init__(self, title: str, subtitle: str = "") -> None:
        super().__init__()
        self.setObjectName("header")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setFixedHeight(60)
        self.title = Label(title, "title")
        self.subtitle = Label(subtitle, "body", "tertiary", elide=True)
        self.actions = QHBoxLayout()
        self.actions.setSpacing(8)
        layout = row(self.title, self.subtitle, self.actions, gap=12, margins=(28, 0, 28, 0))
        layout.setStretch(1, 1)
        self.setLayout(layout)

    def say(self, title: str, subtitle: str = "") -> None:
        """Change both lines."""
        self.title.say(title)
        self.subtitle.say(subtitle)


class Page(QWidget):
    """Base of all pages.  Subclasses fill ``self.body`` in ``build`` and ask for data in ``refresh``."""

    title: ClassVar[str] = ""
    subtitle: ClassVar[str] = ""
    watches: ClassVar[frozenset[str]] = frozenset()
    margins: ClassVar[tuple[int, int, int, int]] = (28, 24, 28, 24)
    scrolls: ClassVar[bool] = True

    def __init__(self, shell: Shell) -> None:
        super().__init__()
        self.shell = shell
        self.background = shell.background
        self._stale = True
        self.setObjectName("surface")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setAccessibleName(tr(self.title))
        self.header = Header(self.title, self.subtitle)
        self.banner = ErrorBanner()
        inner = QWidget()
        inner.setObjectName("scrolled")
        self.body = QVBoxLayout(inner)
        self.body.setContentsMargins(*self.margins)
        self.body.setSpacing(16)
        around = QWidget()
        around.setLayout(column(self.banner, margins=(28, 12, 28, 0)))
        self._around = around
        around.hide()
        self.banner.closed.connect(around.hide)
        self.setLayout(column(self.header, around, self._frame(inner)))
        self.build()

    def _frame(self, inner: QWidget) -> QWidget:
        if not self.scrolls:
            return inner
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.setWidget(inner)
        return area

    def build(self) -> None:
        """Make the page's widgets, without data."""

    def parts(self) -> Iterator[None]:
        """Make what takes long, a turn of the event loop for each part, before the page is shown."""
        yield from ()

    def refresh(self) -> None:
        """Ask for the data again: the page is visible and stale."""

    def open(self, argument: str) -> None:
        """Show one thing: the argument of ``shell.go``."""

    def run_primary(self) -> None:
        """What Ctrl+R does on this page."""

    def stop_and_save(self) -> None:
        """What Ctrl+. does on this page."""

    def store_changed(self, tables: set[str]) -> None:
        """Some tables changed; refresh now if visible, else when shown."""
        if self.watches & tables:
            self.mark_stale()

    def mark_stale(self) -> None:
        """What is shown may be old."""
        self._stale = True
        self._refresh_if_seen()

    def showEvent(self, event: QShowEvent) -> None:
        """It takes on a theme chosen meanwhile, and if it is stale it refreshes."""
        theme.dress(self)
        super().showEvent(event)
        self._refresh_if_seen()

    def _refresh_if_seen(self) -> None:
        if self._stale and self.isVisible() and self.background.store is not None:
            self._stale = False
            self.refresh()

    def show_error(self, problem: NeuroWeaverError) -> None:
        """Say what failed, why, and what next; the code under "Show details"."""
        self.banner.show_problem(problem)
        self._around.show()

    def hide_error(self) -> None:
        """The failure is over."""
        self._around.hide()
