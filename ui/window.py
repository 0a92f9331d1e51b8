"""The main window: rail, pages, status line; what works everywhere (keys, dropping a file, closing)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from PySide6.QtCore import QByteArray, QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QAction,
    QCloseEvent,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDropEvent,
    QGuiApplication,
    QResizeEvent,
)
from PySide6.QtWidgets import QMainWindow, QStackedWidget, QWidget

from app.errors import NeuroWeaverError
from ui import words
from ui.background import Background, alive
from ui.deeds import deeds_of
from ui.pages import pages
from ui.palette import Palette
from ui.rail import Rail
from ui.shortcuts import keys, shortcuts
from ui.statusline import StatusLine
from ui.theme import theme
from ui.tray import Tray, app_icon, window_is_seen
from ui.widgets.feedback import Toast
from ui.widgets.text import column, row

if TYPE_CHECKING:
    from ui.pages.base import Page

NARROW_BELOW = 1180
KIT_SUFFIX = ".nwkit"
LONG_SECONDS = 20.0
"""Work that took so long is worth a notice when it ends."""
TOUR_MS = 900


class Window(QMainWindow):
    """The shell that pages live in; see :class:`ui.pages.base.Shell` for what they may ask."""

    gone = Signal()
    """It is closed for good; Qt itself ends only with the last window that was seen, and this one hides before it settles."""

    def __init__(self, background: Background, *, start_service: bool = True) -> None:
        super().__init__()
        self.background = background
        self._start_service = start_service
        self._specs = {spec.name: spec for spec in pages()}
        self._made: dict[str, Page] = {}
        self._going: tuple[str, str] | None = None
        self._stages: Iterator[None] = iter(())
        self._turn = QTimer(self)
        self._turn.timeout.connect(self._next_stage)
        self._closing = self._settled = False
        self.splits: dict[str, list[int]] = {}
        """Sizes of movable parts, by name; kept between starts."""
        self._to_import: list[Path] = []
        self.setWindowTitle("NeuroWeaver")
        self.setWindowIcon(app_icon())
        self.tray: Tray | None = None
        self._notify, self._told = True, time.time()
        """Whether the end of long work is told, and up to when it was."""
        self._actions: dict[str, QAction] = {}
        self.setMinimumSize(1024, 680)
        self.resize(QSize(1440, 900).boundedTo(QGuiApplication.primaryScreen().availableSize()))
        self.setAcceptDrops(True)
        self.rail = Rail(list(self._specs.values()))
        self.stack = QStackedWidget()
        self.status = StatusLine(background)
        self.status.service_changed.connect(self._service_found)
        middle = QWidget()
        middle.setLayout(row(self.rail, self.stack, gap=0))
        whole = QWidget()
        whole.setLayout(column(middle, self.status))
        self.setCentralWidget(whole)
        self._toast = Toast(self)
        self._palette = Palette(self)
        self.rail.chosen.connect(self.go)
        self.rail.asked.connect(self.find_or_do)
        self._keys()
        background.opened.connect(self._opened)
        background.refused.connect(self._refused)
        background.changed.connect(self._changed)
        for part in (self.rail, self.status):
            theme.dress(part)
        self.go("home" if "home" in self._specs else next(iter(self._specs)))
        self._arrive()  # the first frame shows it

    # ---- what pages may ask ---------------------------------------------------------------------------------

    def go(self, page: str, argument: str = "") -> None:
        """Show a page.  On first use it is imported on a thread and built in turns of the event loop: nothing is held up."""
        if page not in self._specs:
            return
        self._turn.stop()
        self._going = (page, argument)
        self._stages = iter(()) if page in self._made else self._make(page)
        self.rail.choose(page)
        if page in self._made:
            self._arrive()
        else:
            self.background.submit(self, self._specs[page].load, with_store=False, key="load page", failed=self._failed,
                                   done=lambda _module: self._turn.start(0))

    def _make(self, name: str) -> Iterator[None]:
        """Build, put in place, build the parts, each a turn: what is put in place takes on the style, which costs as much again."""
        page = self._specs[name].make(self)
        yield
        self.stack.addWidget(page)
        theme.dress(page)
        try:
            yield
            yield from page.parts()
        except GeneratorExit:  # another page was asked for meanwhile, or the window is gone
            if alive(page):
                page.deleteLater()
            raise
        self._made[name] = page

    def _next_stage(self) -> None:
        if next(self._stages, self) is self:
            self._arrive()

    def _arrive(self) -> None:
        """Finish what is being built and show it."""
        self._turn.stop()
        for _ in self._stages:
            pass
        if self._going is not None:
            (name, argument), self._going = self._going, None
            self.stack.setCurrentWidget(self._made[name])
            if argument:
                self._made[name].open(argument)

    @property
    def _pages(self) -> dict[str, Page]:
        """The pages built so far; one that is being built is finished first."""
        self._arrive()
        return self._made

    def has(self, page: str) -> bool:
        """Whether a page exists."""
        return page in self._specs

    def page(self) -> Page:
        """The page shown; one that is being built is finished first."""
        self._arrive()
        return cast("Page", self.stack.currentWidget())

    def toast(self, text: str, *, action: str = "", then: Callable[[], object] | None = None,
              stays: bool = False) -> None:
        """Say something at the bottom right."""
        self._toast.say(text, action, then, stays=stays)

    def import_file(self, path: Path | None = None) -> None:
        """Show what a file holds and how it will be stored; on Import its dataset appears on the Datasets page."""
        from ui.dialogs import DATA_FILES, choose_file

        if path is None:
            path = choose_file(self, "Import a file", DATA_FILES)
        if path is not None:
            self.import_files([path])

    def import_files(self, paths: list[Path]) -> None:
        """Show each file before it is imported, one after the other; a kit file is opened."""
        for kit in (path for path in paths if path.suffix == KIT_SUFFIX):
            self.open_kit(kit)
        paths = [path for path in paths if path.suffix != KIT_SUFFIX]
        shown = bool(self._to_import)
        self._to_import += paths
        if paths and not shown:
            self._ask_mapping()

    def _ask_mapping(self) -> None:
        """One dialog at a time: the next file is shown when the one before is imported or put aside."""
        from ui.mapping import MappingDialog, of_file

        path, left = self._to_import[0], len(self._to_import) - 1
        dialog = MappingDialog(self, self.background, of_file(path, left), partial(self._import, path))
        dialog.finished.connect(self._mapping_done)
        dialog.open()

    def _mapping_done(self) -> None:
        del self._to_import[0]
        if self._to_import:
            QTimer.singleShot(0, self, self._ask_mapping)

    def _import(self, path: Path, mapping: dict[str, Any]) -> None:
        from app.data import views

        self.toast(f"Importing {path.name}", stays=True)
        self.background.submit(self, views.import_for_window, str(path), mapping, lane="slow", key=f"import {path}",
                               done=self._imported, failed=self._failed)

    def _imported(self, done: Any) -> None:
        said = f"{done.rows:,} rows from {done.name} are imported" if done.rows != 1 else f"One row from {done.name} is imported"
        rejected = f", {done.rejected:,} set aside with their reasons." if done.rejected else "."
        leads = self.has("datasets")
        self.toast(said + rejected, action="Look at it" if leads else "", then=lambda: self.go("datasets", done.dataset))

    def open_kit(self, path: Path | None = None) -> None:
        """Check a kit file and put it among the user's kits; asks which if none is given."""
        from app.workflow import kit_opening
        from ui.dialogs import KIT_FILES, choose_file

        if path is None:
            path = choose_file(self, "Open a kit file", KIT_FILES)
        if path is not None:
            self.background.submit(self, kit_opening.open_kit, path, lane="slow", key=f"open {path}", done=self._kit_opened,
                                   failed=self._failed)

    def _kit_opened(self, done: Any) -> None:
        what = "was there already" if done.known else f"takes the place of version {done.replaced}" if done.replaced else (
            "is one of your kits now")
        self.toast(f"{done.title}, version {done.version}, {what}. It runs on your own data.")
        if (page := self._made.get("kits")) is not None:
            page.mark_stale()
        self.go("kits")

    def run(self, source: str, *, busy: QWidget | None = None, data: Path | None = None) -> None:
        """Start a kit or a workflow file and show its run; ``data``: the user's file, for a kit that carries no rows."""
        from app.workflow import runs

        if busy is not None:
            busy.setEnabled(False)

        def finish(show: Callable[[Any], None], value: Any) -> None:
            if busy is not None:
                busy.setEnabled(True)
            show(value)

        given = (runs.submit, source) if data is None else (runs.submit_with_data, source, str(data))
        self.background.submit(self, *given, lane="slow", key=f"run {source}",
                               done=lambda run: finish(self._started, run),
                               failed=lambda problem: finish(self._failed, problem))

    def _started(self, run: str) -> None:
        self.attach_service()
        self.go("runs", run)

    def set_theme(self, choice: str) -> None:
        """Light, dark, contrast or system."""
        theme.apply(choice)
        self._keep("theme", choice)

    # ---- the store and the service ----------------------------------------------------------------------------

    def _opened(self) -> None:
        from ui.memory import recall

        self.background.submit(self, recall, done=self._recalled)
        self._follow_offline()
        self.status.begin()
        self.page().mark_stale()
        self._changed({"runs", "deployments"})
        if self._start_service:
            self.attach_service()

    def _follow_offline(self) -> None:
        from app.config.offline import follow

        self.background.submit(self, follow, "window", lane="slow", key="offline")

    def _recalled(self, remembered: Any) -> None:
        if remembered.theme != theme.choice:
            theme.apply(remembered.theme)
        if remembered.geometry:
            self.restoreGeometry(QByteArray.fromBase64(remembered.geometry.encode()))
        shortcuts.take(remembered.shortcuts)
        self._notify = remembered.notify
        self.splits = dict(remembered.splits)
        if remembered.page != "home" and self._specs.get(remembered.page) and self.stack.currentWidget() is self._made.get("home"):
            self.go(remembered.page)
        self.tray = Tray(self, self.come_forward, self._quit_all)
        if not remembered.tour_seen and self._start_service:
            QTimer.singleShot(TOUR_MS, self, self.tour)

    def tour(self) -> None:
        """Show what is where, once; it can be skipped and seen again from Help."""
        from ui.tour import Tour

        self._tour = Tour(self)
        self._tour.ended.connect(lambda: self._keep("tour_seen", True))
        self._tour.begin()

    def _keep(self, key: str, value: Any) -> None:
        from app.store import settings

        if self.background.store is not None:
            self.background.submit(self, settings.put, key, value, lane="slow", key=f"keep {key}")

    def attach_service(self) -> None:
        """Find the service or start it."""
        from ui.service_link import attach

        self.background.submit(self, attach, lane="slow", done=lambda _found: self._service_found(), failed=self._failed)

    def _service_found(self) -> None:
        """Its address and its marks can be shown now."""
        self._changed({"deployments", "settings"})

    def _refused(self, problem: NeuroWeaverError) -> None:
        if problem.code == "store.passphrase_needed":
            from ui.dialogs import ask_passphrase

            if passphrase := ask_passphrase(self):
                self.background.open(passphrase)
                return
        self.page().show_error(problem)

    def _failed(self, problem: NeuroWeaverError) -> None:
        self._toast.hide()
        self.page().show_error(problem)

    def _changed(self, tables: set[str]) -> None:
        for page in self._made.values():
            page.store_changed(tables)
        if "settings" in tables:
            self._follow_offline()
            self.status.ask()
            from ui.memory import recall

            self.background.submit(self, recall, key="settings", done=self._settings_changed)
        if "runs" in tables:
            from app.workflow.views import ended_since

            self.background.submit(self, ended_since, self._told, done=self._tell_ended)
        if tables & {"runs", "steps", "deployments"}:
            from ui.service_link import rail_marks

            self.background.submit(self, rail_marks, done=self._show_marks)

    def _settings_changed(self, remembered: Any) -> None:
        self._notify = remembered.notify
        if dict(remembered.shortcuts) != shortcuts.own:
            shortcuts.take(remembered.shortcuts)

    def _tell_ended(self, ended: list[Any]) -> None:
        """Say that long work ended: by the system's notice while the window is not looked at, else at its corner."""
        for run in ended:
            self._told = max(self._told, run.ended)
            if not self._notify or run.ended - run.started < LONG_SECONDS:
                continue
            said = f"{run.name}: {words.STATES.get(run.state, run.state).lower()} after {words.duration(run.ended - run.started)}"
            show = partial(self.go, "runs", run.id)
            if window_is_seen() or self.tray is None or not self.tray.tell("NeuroWeaver", said, show):
                self.toast(said + ".", action="Look at it", then=show)

    def _show_marks(self, marks: Any) -> None:
        for name, button in self.rail.buttons.items():
            text, dot = marks.get(name, ("", ""))
            button.show_mark(text, dot)

    # ---- keys --------------------------------------------------------------------------------------------------

    def _keys(self) -> None:
        acts: dict[str, Callable[[], object]] = {
            "find": self.find_or_do, "import": self.import_file, "run": lambda: self.page().run_primary(),
            "stop": lambda: self.page().stop_and_save(), "pane": self._next_pane, "help": self.help,
            "settings": lambda: self.go("settings")}
        acts |= {f"page.{name}": partial(self.go, name) for name in self._specs}
        for key in keys():
            if not key.place:
                action = QAction(key.words, self)
                action.triggered.connect(lambda _checked=False, act=acts[key.name]: act())
                self.addAction(action)
                self._actions[key.name] = action
        shortcuts.changed.connect(self._bind)
        shortcuts.take({})

    def _bind(self) -> None:
        for name, action in self._actions.items():
            action.setShortcuts(shortcuts.sequences(name))

    def _next_pane(self) -> None:
        if self.rail.isAncestorOf(QGuiApplication.focusObject()):  # type: ignore[arg-type]  # a widget, in a window of widgets
            self.page().setFocus()
            self.page().focusNextChild()
        else:
            next(button for button in self.rail.buttons.values() if button.isChecked()).setFocus()

    def help(self) -> None:
        """F1: the Help page, or the keys where there is none yet."""
        if self.has("help"):
            self.go("help", self.page().title)
        else:
            self.find_or_do()

    def find_or_do(self) -> None:
        """Open the palette."""
        self._palette.ask(deeds_of(self))

    def copy_diagnostics(self) -> None:
        """Put what a report needs on the clipboard; nothing private is in it."""
        from app.doctor import diagnostics

        self.toast("Looking at this computer", stays=True)
        self.background.submit(self, diagnostics, lane="slow", done=self._copied, failed=self._failed)

    def _copied(self, text: str) -> None:
        QGuiApplication.clipboard().setText(text)
        self.toast("Diagnostics are on the clipboard. They name versions and states, never your data.")

    # ---- dropping, sizing, closing -------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """A file may be dropped anywhere."""
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()
            self.toast("Drop to import it. The file is copied, never changed.", stays=True)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        """It went away again."""
        self._toast.hide()

    def dropEvent(self, event: QDropEvent) -> None:
        """Import what was dropped."""
        self.import_files([Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()])
        event.acceptProposedAction()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Collapse the rail when narrow; keep the toast in its corner."""
        super().resizeEvent(event)
        self.rail.narrow(self.width() < NARROW_BELOW)
        self._toast.place()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Ask when work is running; then end what belongs to the window."""
        if self._settled or self.background.store is None:
            self._end()
            event.accept()
            return
        event.ignore()
        if not self._closing:
            self._closing = True
            from ui.service_link import state_at_close

            self.background.submit(self, state_at_close, lane="quick", done=self._decide, failed=lambda _p: self._leave())

    def _decide(self, state: Any) -> None:
        from ui.dialogs import ask_close

        keep = state.keep
        if state.running:
            answer = ask_close(self, state.running)
            if answer is None:
                self._closing = False
                return
            keep = answer
        self._finish(keep)

    def _finish(self, keep: bool) -> None:
        from ui.service_link import settle

        geometry = bytes(self.saveGeometry().toBase64().data()).decode()
        self.hide()
        stop = not keep and self._start_service
        stays = keep and self.tray is not None and self.tray.there
        then = self._into_tray if stays else self._leave
        page = next((name for name, made in self._made.items() if made is self.stack.currentWidget()), "home")
        self.background.submit(self, settle, geometry, page, self.splits, stop, lane="slow", done=lambda _n: then(),
                               failed=lambda _p: then())

    def _into_tray(self) -> None:
        """The window is gone, the endpoint and this sign of it stay."""
        self._closing = False
        if self.tray is not None:
            self.tray.tell("NeuroWeaver", "The endpoint goes on. Click the sign to open the window.", self.come_forward)

    def _quit_all(self) -> None:
        """End the service, which saves running work first, then the window."""
        self._closing = True
        self._finish(keep=False)

    def _leave(self) -> None:
        self._settled = True
        QTimer.singleShot(0, self, self.close)

    def _end(self) -> None:
        if self.tray is not None:
            self.tray.end()
        self.status.end()
        self.background.close()
        self.gone.emit()

    def come_forward(self) -> None:
        """Another start of the program asks for this window."""
        self.setWindowState((self.windowState() & ~Qt.WindowState.WindowMinimized) | Qt.WindowState.WindowActive)
        self.show()
        self.raise_()
        self.activateWindow()
