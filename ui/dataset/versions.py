"""The versions of a dataset: what each step did, what was made of it, and what two of them do not share."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QSplitter, QStackedWidget, QWidget

from app.data.reasons import reason_words
from ui import words
from ui.background import query
from ui.dataset.datawords import KIND_WORDS, STATE_WORDS, RowCells, making_words, rows_words, story_words
from ui.dataset.found import FoundRows
from ui.dataset.rowpanel import field_words
from ui.language import tr
from ui.widgets.buttons import Button, Choice
from ui.widgets.feedback import LoadingBar
from ui.widgets.richtext import RichText
from ui.widgets.rows import RowsTable
from ui.widgets.text import Badge, Card, Dot, Label, Line, clear, column, row, scrolling

if TYPE_CHECKING:
    from app.data.browse import WholeRow
    from app.data.difference import Difference
    from app.data.lineage import Story
    from ui.pages.base import Page

KINDS = ("removed", "changed", "added", "back")


class VersionsPane(QWidget):
    """``chosen(version)``: show this one on the page."""

    chosen = Signal(int)

    def __init__(self, page: Page) -> None:
        super().__init__()
        self._page = page
        self._dataset, self._version = "", 0
        self.stories: list[Story] = []
        self._stack = QStackedWidget()
        self._list = column(gap=0)
        area = scrolling(column(self._list, None, margins=(20, 14, 20, 20)), "Versions")
        self.compare = ComparePane(page)
        self.compare.closed.connect(lambda: self._stack.setCurrentIndex(0))
        self._stack.addWidget(area)
        self._stack.addWidget(self.compare)
        self.setLayout(column(self._stack))

    def show_dataset(self, dataset: str, version: int) -> None:
        """Ask for the history of a dataset."""
        from app.data import lineage

        if dataset != self._dataset:
            self._stack.setCurrentIndex(0)
        self._dataset, self._version = dataset, version
        query(self._page, lineage.history, dataset, done=self._show, key="history")

    def _show(self, found: list[Story]) -> None:
        self.stories = found
        clear(self._list)
        for number, story in enumerate(found):
            self._list.addWidget(self._entry(story, last=number == len(found) - 1))
        self.compare.offer(self._dataset, [one.version for one in found if one.state == "ready"])

    def _entry(self, story: Story, *, last: bool) -> QWidget:
        """A dot on a line, then what happened."""
        state = STATE_WORDS.get(story.state, story.state)
        title = story.note or ("Imported" if story.parent is None else "Made")
        head = row(Label(f"Version {story.version}", "heading"), Label(title, "body", "secondary"), gap=8)
        if state:
            head.addWidget(Badge(state, "neutral"))
        if story.version == self._version:
            head.addWidget(Badge("shown", "accent"))
        head.addStretch(1)
        if story.state == "ready":
            head.addWidget(Button("Show", "outline", size="small", tooltip=f"Show version {story.version}",
                                  clicked=lambda: self.chosen.emit(story.version)))
        if story.state == "ready" and story.parent is not None:
            parent = story.parent
            head.addWidget(Button(f"Compare with {parent}", "quiet", size="small", tooltip="What this version changed, row by row",
                                  clicked=lambda: self.show_difference(parent, story.version)))
        facts = [f"{story.rows:,} rows", f"{story.removed:,} removed" if story.removed else "", words.day(story.created),
                 f"made from version {story.parent}" if story.parent is not None else "", making_words(story.making)]
        card = Card()
        body = column(head, Label(", ".join(fact for fact in facts if fact), "small", "tertiary"),
                      Label(_sentence(story_words(story)), "body", wrap=True), gap=3, margins=(14, 8, 12, 10))
        if links := self._links(story):
            body.addLayout(links)
        card.setLayout(body)
        mark = column(14, Dot("accent" if story.version == self._version else "borderStrong", 9), Line("v") if not last else None)
        mark.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        line = row(mark, column(card, 10), gap=12)
        line.setStretch(1, 1)
        holder = QWidget()
        holder.setAccessibleName(tr(f"Version {story.version}, {title}, {story_words(story)}"))
        holder.setLayout(line)
        return holder

    def _links(self, story: Story) -> Any:
        """The run that made it, then what was made of it."""
        pages = {"run": "runs", "model": "models"}
        found = [("Made by", story.run)] if story.run is not None else []
        found += [("Used by", one) for one in story.used_by]
        if not found:
            return None
        line = row(gap=4)
        before = ""
        for words_before, use in found[:6]:
            if words_before != before:
                line.addWidget(Label(words_before, "small", "tertiary"))
                before = words_before
            line.addWidget(Button(use.name, "link", size="small", tooltip=f"Open {use.name}",
                                  clicked=partial(self._page.shell.go, pages[use.kind], use.id)))
        if len(found) > 6:
            line.addWidget(Label(f"and {len(found) - 6} more", "small", "tertiary"))
        line.addStretch(1)
        return line

    def show_difference(self, old: int, new: int) -> None:
        """Compare two versions."""
        self._stack.setCurrentIndex(1)
        self.compare.show_pair(self._dataset, old, new)


class ComparePane(QWidget):
    """Two versions: counts by kind and reason, the rows of a kind, and a row in both side by side."""

    closed = Signal()

    def __init__(self, page: Page) -> None:
        super().__init__()
        self._page = page
        self._dataset = ""
        self.difference: Difference | None = None
        self.old, self.new = Choice("Earlier version"), Choice("Later version")
        for box in (self.old, self.new):
            box.activated.connect(lambda _index: self._ask())
        self._loading = LoadingBar()
        self.kind = Choice("Which rows")
        self.kind.activated.connect(lambda _index: self._find())
        self.said = Label("", "body", "secondary", wrap=True)
        self.where = Label("", "small", "secondary")
        self._cells = RowCells()
        self.table = RowsTable(RowCells.columns, self._cells, "Rows that differ")
        self.found = FoundRows(page, self.table, self._cells, "differing")
        self.found.changed.connect(self._say_where)
        self.table.seen.connect(lambda _first, _last: self._say_where())
        self.table.picked.connect(self._ask_pair)
        self.before, self.after = RichText("The row in the earlier version"), RichText("The row in the later version")
        self._heads = (Label("", "small", "tertiary"), Label("", "small", "tertiary"))
        pair = QWidget()
        both = row(column(column(self._heads[0], margins=(16, 8, 8, 0)), column(self.before, margins=(10, 0, 4, 0))), Line("v"),
                   column(column(self._heads[1], margins=(16, 8, 8, 0)), column(self.after, margins=(10, 0, 4, 0))), gap=0)
        both.setStretch(0, 1)
        both.setStretch(2, 1)
        pair.setLayout(both)
        split = QSplitter(Qt.Orientation.Vertical)
        split.addWidget(self.table)
        split.addWidget(pair)
        split.setSizes([420, 240])
        split.setChildrenCollapsible(False)
        head = row(Button("", "quiet", "arrow-left", size="small", tooltip="Back to the list of versions", clicked=self.closed.emit),
                   Label("From", "small", "secondary"), self.old, Label("to", "small", "secondary"), self.new, self.kind, None, self.where,
                   gap=8)
        whole = column(column(head, self.said, gap=8, margins=(20, 12, 20, 10)), self._loading, Line(), split)
        whole.setStretch(3, 1)
        self.setLayout(whole)

    def offer(self, dataset: str, versions: list[int]) -> None:
        """The versions there are."""
        self._dataset = dataset
        for box in (self.old, self.new):
            chosen = box.currentData()
            box.clear()
            for version in versions:
                box.addItem(tr(f"version {version}"), version)
            box.setCurrentIndex(max(box.findData(chosen), 0))

    def show_pair(self, dataset: str, old: int, new: int) -> None:
        """Compare these."""
        self._dataset = dataset
        self.old.setCurrentIndex(self.old.findData(old))
        self.new.setCurrentIndex(self.new.findData(new))
        self._ask()

    def _ask(self) -> None:
        from app.data import difference

        old, new = self.old.currentData(), self.new.currentData()
        if old is None or new is None:
            return
        self.said.say("Comparing")
        self._loading.begin()
        self._show_pair(([], []))
        query(self._page, difference.compare, self._dataset, old, new, done=self._show, failed=self._failed, key="difference", slow=True)

    def _failed(self, problem: Any) -> None:
        self._loading.end()
        self._page.show_error(problem)

    def _show(self, found: Difference) -> None:
        self._loading.end()
        self.difference = found
        self.said.say(difference_words(found))
        self.kind.clear()
        for kind in KINDS:
            if count := found.count(kind):
                self.kind.addItem(tr(f"{KIND_WORDS[kind].capitalize()}, {count:,}"), kind)
        self.kind.setVisible(self.kind.count() > 0)
        self._heads[0].say(f"Version {found.old}")
        self._heads[1].say(f"Version {found.new}")
        self._find()

    def _wanted(self) -> Any:
        from app.data.browse import RowFilter

        return RowFilter(state=self.kind.currentData() or "changed", against=int(self.old.currentData()))

    def _find(self) -> None:
        if self.kind.count():
            self.found.find(self._dataset, int(self.new.currentData()), self._wanted())
        else:
            self.found.show_none()

    def _say_where(self) -> None:
        first, last = self.table.in_view()
        self.where.say(rows_words(first, last, len(self.found.places), self.found.complete) if self.kind.count() else "")

    def _ask_pair(self, place: int) -> None:
        if place < 0:
            self._show_pair(([], []))
            return
        query(self._page, _pair, self._dataset, self.new.currentData(), place, self._wanted(), done=self._show_pair, key="pair")

    def _show_pair(self, found: tuple[list[tuple[str, str]], list[tuple[str, str]]]) -> None:
        hint = [] if any(found) else [("muted", "Choose a row to see it in both versions.")]
        self.before.show_pieces(found[0] or hint)
        self.after.show_pieces(found[1])


def difference_words(found: Difference) -> str:
    """One sentence: "2 rows removed (2 near duplicates), 1 changed (redacted)."."""
    parts = []
    for kind in (*KINDS, "gone"):
        if count := found.count(kind):
            reasons = ", ".join(f"{number:,} {reason_words(name, number)}" for name, number in found.kinds[kind].items() if name)
            parts.append(f"{count:,} {KIND_WORDS[kind]}" + (f" ({reasons})" if reasons else ""))
    if found.moved:
        parts.append(f"{found.moved:,} used for something else (training, held back)")
    return f"From version {found.old} to {found.new}: {', '.join(parts)}." if parts else "The rows of both versions are the same."


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _pair(store: Any, dataset: str, version: int, place: int, wanted: Any) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """A row in both versions, what went marked left and what came right."""
    from app.data import browse
    from app.data.by_hand import texts_of
    from app.data.difference import word_diff

    found: WholeRow | None = browse.whole_row(store, dataset, version, place, wanted)
    if found is None or found.row is None:
        return [], []
    after = texts_of(found.row)
    before = texts_of(found.before) if found.before is not None else after
    left: list[tuple[str, str]] = []
    right: list[tuple[str, str]] = []
    for name, text in after.items():
        pieces = word_diff(before.get(name, ""), text)
        left += [("heading", field_words(found.row, name)), *(piece for piece in pieces if piece[0] != "in")]
        right += [("heading", field_words(found.row, name)), *(piece for piece in pieces if piece[0] != "out")]
    reason = f"{reason_words(found.reason)} {found.detail}".strip()
    if found.state == "removed":
        return left, [("note", f"Removed{': ' + reason if reason else ''}.")]
    if found.state in ("added", "back"):
        return [("note", "Not in use in this version.")], right
    return left, [*right, *([("note", f"Changed: {reason}.")] if reason else [])]


