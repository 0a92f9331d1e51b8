"""Work of the window itself, a piece a turn of the event loop: all at once would hold it up on a busy computer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer

Deed = Callable[[], object]


class Turns(QObject):
    """Does one thing a turn, in order; between two of them the window paints and obeys."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._left: deque[Deed] = deque()
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._next)

    def begin(self, *deeds: Deed) -> None:
        """Do these, in place of what is left of earlier ones."""
        self._left = deque(deeds)
        self._timer.start(0)

    @property
    def busy(self) -> bool:
        """Whether something is left to do."""
        return bool(self._left)

    def _next(self) -> None:
        if self._left:
            self._left.popleft()()
        if not self._left:
            self._timer.stop()
