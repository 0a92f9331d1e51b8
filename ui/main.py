"""Open the window.  Called by main.py when no subcommand is given."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import hashlib
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QSocketNotifier, QTimer
from PySide6.QtNetwork import QLocalServer, QLocalSocket
from PySide6.QtWidgets import QApplication

from app.store.places import is_first_start
from app.store.profile import Profile
from ui import language
from ui.background import Background
from ui.theme import load_fonts, theme
from ui.window import Window

_CALL_MS = 500
SETTLED_MS = 3000
SWITCH_SECONDS = 0.002
"""How long a worker thread may hold the interpreter while the window wants it; Python's default is 5 ms."""


def run_window(argv: Sequence[str]) -> int:
    """Show the window until it closes; 0.  A second start brings the first one's window forward and ends."""
    sys.setswitchinterval(SWITCH_SECONDS)
    app = make_application(argv)
    language.use(language.chosen(Profile.default()))
    if is_first_start():
        from ui.firstrun import ask_home

        if not ask_home():
            return 0
        language.use(language.chosen(Profile.default()))  # the folder may be one that was used before
    profile = Profile.default()
    name = server_name(profile)
    if called_first(name, argv):
        return 0
    window = open_window(profile)
    window.gone.connect(app.quit)
    server = _listen(name, window)
    window.import_files(_files(argv))
    signal.signal(signal.SIGINT, lambda *_: window.close())
    signal.signal(signal.SIGTERM, lambda *_: window.close())
    awake = wake_for_signals()
    code = app.exec()
    awake.setEnabled(False)
    server.close()
    return code


def wake_for_signals() -> QSocketNotifier:
    """Let Python see signals while Qt waits: each writes a byte, which is a turn of the event loop.  Nothing wakes without one."""
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    notifier = QSocketNotifier(ours.fileno(), QSocketNotifier.Type.Read)
    notifier.activated.connect(lambda *_: ours.recv(64))
    notifier.destroyed.connect(theirs.close)  # and with it both ends live as long as the notifier
    return notifier


def make_application(argv: Sequence[str]) -> QApplication:
    """The application with fonts and the theme the system wishes, until the settings are read."""
    existing = QApplication.instance()
    app = existing if isinstance(existing, QApplication) else QApplication(list(argv) or ["neuroweaver"])
    app.setApplicationName("NeuroWeaver")
    app.setDesktopFileName("neuroweaver")  # packaging/bundle/neuroweaver.desktop: desktops find name and icon by it
    app.setStyle("Fusion")
    load_fonts()
    theme.apply("system")
    return app


def open_window(profile: Profile, *, start_service: bool = True) -> Window:
    """Show the window, then open the store on a worker thread."""
    background = Background(profile)
    window = Window(background, start_service=start_service)
    background.setParent(window)
    window.show()
    gc.freeze()  # what exists now stays: later collections need not walk it, which would hold up the window
    QTimer.singleShot(0, window, background.open)
    QTimer.singleShot(SETTLED_MS, window, give_back_memory)
    return window


def give_back_memory() -> None:
    """Return what starting used and freed to the system: 5 MB here, in under a millisecond.  glibc keeps it otherwise."""
    with contextlib.suppress(AttributeError, OSError, TypeError):  # no glibc on this system
        ctypes.CDLL(None).malloc_trim(0)


def server_name(profile: Profile) -> str:
    """One name for each user and profile, short enough for a socket's path."""
    who = f"{os.environ.get('USER') or os.environ.get('USERNAME') or ''}{profile.home}"
    return f"neuroweaver-{hashlib.sha256(who.encode()).hexdigest()[:16]}"


def called_first(name: str, argv: Sequence[str]) -> bool:
    """Whether a window of this profile is open already; it is told to come forward (and to import the files named)."""
    call = QLocalSocket()
    call.connectToServer(name)
    if not call.waitForConnected(_CALL_MS):
        return False
    call.write("\n".join(["forward", *map(str, _files(argv))]).encode() + b"\n")
    call.waitForBytesWritten(_CALL_MS)
    call.disconnectFromServer()
    return True


def _files(argv: Sequence[str]) -> list[Path]:
    return [Path(word).resolve() for word in argv[1:] if not word.startswith("-")]


def _listen(name: str, window: Window) -> QLocalServer:
    server = QLocalServer(window)
    server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
    QLocalServer.removeServer(name)  # left behind by a crash: called_first() found nobody there
    server.listen(name)

    def answer() -> None:
        while (socket := server.nextPendingConnection()) is not None:
            socket.readyRead.connect(lambda socket=socket: _obey(socket, window))

    server.newConnection.connect(answer)
    return server


def _obey(socket: QLocalSocket, window: Window) -> None:
    lines = bytes(socket.readAll().data()).decode(errors="replace").splitlines()
    if lines and lines[0] == "forward":
        window.come_forward()
        window.import_files([Path(file) for file in lines[1:]])
