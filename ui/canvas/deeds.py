"""What can be done on the canvas: each deed makes the document's next text, with words for undo.  Refusals are told, not raised."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from PySide6.QtCore import QObject, QPointF, Signal
from PySide6.QtGui import QGuiApplication

from app.config import editing, pasting
from app.config.yaml_source import parse
from app.errors import NeuroWeaverError
from app.workflow import canvas
from ui.canvas.items import GroupItem, LinkItem, NoteItem
from ui.canvas.layout import GAP_X, HEIGHT, WIDTH, aligned, layered
from ui.canvas.scene import CanvasScene, edges


class Deeds(QObject):
    """Changes of one text.  ``blocked``: why nothing can be changed now (the text is not valid YAML), or ""."""

    edited = Signal(str, str)
    """The new text, and what was done."""
    refused = Signal(str)
    """Why something was not done."""

    def __init__(self, scene: CanvasScene, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.scene = scene
        self.text, self.path, self.blocked = "", "", ""

    def do(self, words: str, change: Callable[[str], str]) -> bool:
        """Carry out one change; True if it was done."""
        if self.blocked:
            self.refused.emit(self.blocked)
            return False
        try:
            changed = change(self.text)
        except NeuroWeaverError as problem:
            self.refused.emit(f"{problem.message} {problem.remedy}".strip())
            return False
        if changed != self.text:
            self.text = changed
            self.edited.emit(changed, words)
        return True

    def contents(self) -> dict[str, Mapping[str, Any]]:
        """The merged content of every step."""
        return {card.id: card.content for card in self.scene.picture.cards}

    # ---- steps ---------------------------------------------------------------------------------------------------------

    def add(self, node: str, spot: QPointF | None = None) -> str:
        """Add a step of a node, linked to the chosen one where that fits; its name, or "" if it was refused."""
        chosen = self.scene.chosen()
        name = editing.free_name(self.contents(), node.rpartition(".")[2].replace("_", "-").lower() or "step")
        content: dict[str, Any] = {"node": node}
        if len(chosen) == 1 and spot is None and self._fits(chosen[0], node):
            content["needs"] = chosen[0]
        place = spot or self._beside(chosen)
        content["position"] = [round(place.x()), round(place.y())]
        done = self.do(f"Add {name}", lambda text: editing.add_step(text, name, content))
        if done:
            self.scene.choose([name])
        return name if done else ""

    def _fits(self, source: str, node: str) -> bool:
        from app.workflow import registry

        card, found = self.scene.picture.card(source), registry.nodes().get(node)
        gives = {port.kind for port in card.outputs} if card else set()
        return found is not None and any(kind.type_name() in gives for kind in found.inputs.values())

    def _beside(self, chosen: list[str]) -> QPointF:
        """Right of the chosen step, else under everything; never on another card."""
        if chosen:
            spot = self.scene.cards[chosen[-1]].pos() + QPointF(WIDTH + GAP_X, 0)
        else:
            area = self.scene.content()
            spot = QPointF(area.left() + 8, area.bottom() + 40) if self.scene.cards else QPointF(0, 0)
        while any(abs(card.x() - spot.x()) < WIDTH and abs(card.y() - spot.y()) < HEIGHT for card in self.scene.cards.values()):
            spot += QPointF(0, HEIGHT + 24)
        return spot

    def delete(self) -> None:
        """Remove what is selected: steps with their links, links, notes, groups."""
        items = self.scene.selectedItems()
        cards, links = self.scene.chosen(), [item.link for item in items if isinstance(item, LinkItem)]
        marks = [("notes", item.note.id) for item in items if isinstance(item, NoteItem)]
        marks += [("groups", item.mark.id) for item in items if isinstance(item, GroupItem)]
        if cards or links or marks:
            what = cards[0] if len(cards) == 1 else f"{len(cards)} steps" if cards else "link" if links else marks[0][0][:-1]
            self.do(f"Remove {what}", lambda text: self._without(text, cards, links, marks))

    def _without(self, text: str, cards: list[str], links: list[canvas.Link], marks: list[tuple[str, str]]) -> str:
        for link in links:
            if link.source not in cards and link.target not in cards:
                text = canvas.disconnected(text, self.path, link)
        for name in cards:
            text = editing.remove_step(text, name)
        for kind, name in marks:
            text = editing.drop_mark(text, kind, name)
        for group in self.scene.picture.groups:
            rest = [step for step in group.steps if step not in cards]
            if cards and len(rest) < len(group.steps):
                text = editing.put_mark(text, "groups", group.id, {"steps": rest}) if rest else editing.drop_mark(text, "groups", group.id)
        return text

    def rename(self, old: str, new: str) -> bool:
        """Give a step another name, in groups too."""
        def change(text: str) -> str:
            text = editing.rename_step(text, old, new)
            for group in self.scene.picture.groups:
                if old in group.steps:
                    renamed = [new if step == old else step for step in group.steps]
                    text = editing.put_mark(text, "groups", group.id, {"steps": renamed})
            return text

        done = self.do(f"Rename {old}", change)
        if done:
            self.scene.choose([new])
        return done

    def set_parameter(self, step: str, path: tuple[str, ...], value: Any) -> bool:
        """Set one parameter."""
        return self.do(f"Set {'.'.join(path)} of {step}", lambda text: editing.set_parameter(text, step, path, value))

    def unset_parameter(self, step: str, path: tuple[str, ...]) -> bool:
        """Leave one parameter to the default."""
        return self.do(f"Reset {'.'.join(path)} of {step}", lambda text: editing.unset_parameter(text, step, path))

    # ---- clipboard --------------------------------------------------------------------------------------------------------

    def copy(self) -> None:
        """Put the chosen steps on the clipboard, as YAML."""
        if chosen := self.scene.chosen():
            QGuiApplication.clipboard().setText(pasting.copied(self._placed(), chosen))

    def _placed(self) -> dict[str, dict[str, Any]]:
        """Contents with the places shown, so that copies stand beside their originals."""
        return {name: {**content, "position": [round(self.scene.cards[name].x()), round(self.scene.cards[name].y())]}
                for name, content in self.contents().items()}

    def cut(self) -> None:
        """Copy, then remove."""
        self.copy()
        self.delete()

    def paste(self) -> None:
        """Add the steps on the clipboard."""
        self._paste(QGuiApplication.clipboard().text(), "Paste")

    def duplicate(self) -> None:
        """Copies of the chosen steps, without the clipboard."""
        if chosen := self.scene.chosen():
            self._paste(pasting.copied(self._placed(), chosen), "Duplicate")

    def _paste(self, fragment: str, words: str) -> None:
        new: list[str] = []

        def change(text: str) -> str:
            text, names = pasting.pasted(text, fragment, self.contents())
            new.extend(names)
            return text

        if self.do(words, change):
            self.scene.choose(new)

    # ---- links ------------------------------------------------------------------------------------------------------------

    def link(self, source: str, output: str, target: str, port: str) -> None:
        """Feed an input from an output."""
        self.do(f"Link {source} to {target}", lambda text: canvas.connected(text, self.path, source, output, target, port))

    def targets(self, source: str) -> list[tuple[str, str, str, str]]:
        """Where the outputs of a step can go: output, target, port, why not ("" if it can)."""
        card = self.scene.picture.card(source)
        return [(out.name, other.id, port.name, canvas.refusal(self.scene.picture, source, out.name, other.id, port.name))
                for out in (card.outputs if card else ()) for other in self.scene.picture.cards if other.id != source
                for port in other.inputs if port.kind == out.kind]

    # ---- places -----------------------------------------------------------------------------------------------------------

    def move(self, places: Mapping[tuple[str, str], tuple[int, int]]) -> None:
        """Write where things were dragged to."""
        cards = {name: place for (kind, name), place in places.items() if kind == "card"}
        notes = {name: place for (kind, name), place in places.items() if kind == "note"}
        what = next(iter({**cards, **notes})) if len(places) == 1 else f"{len(places)} things"

        def change(text: str) -> str:
            text = editing.place_steps(text, cards) if cards else text
            for name, place in notes.items():
                text = editing.put_mark(text, "notes", name, {"position": list(place)})
            return text

        self.do(f"Move {what}", change)

    def align(self, how: str) -> None:
        """Bring the chosen steps in line."""
        chosen = self.scene.chosen()
        if len(chosen) > 1:
            places = aligned({name: (self.scene.cards[name].x(), self.scene.cards[name].y()) for name in chosen}, how)
            self.do("Align", lambda text: editing.place_steps(text, places))

    def tidy(self) -> None:
        """Place all steps by layers."""
        places = layered(self.contents(), edges(self.scene.picture))
        if places:
            self.do("Tidy", lambda text: editing.place_steps(text, places))

    # ---- notes and groups ----------------------------------------------------------------------------------------------------

    def note(self, spot: QPointF) -> str:
        """Add an empty note; its name."""
        name = editing.free_name(self.scene.notes, "note-1")
        content = {"text": "", "position": [round(spot.x()), round(spot.y())]}
        return name if self.do("Add a note", lambda text: editing.put_mark(text, "notes", name, content)) else ""

    def write_note(self, name: str, words: str) -> None:
        """Change what a note says."""
        self.do("Write a note", lambda text: editing.put_mark(text, "notes", name, {"text": words}))

    def group(self) -> None:
        """Put a frame around the chosen steps."""
        if chosen := self.scene.chosen():
            name = editing.free_name(self.scene.groups, "group-1")
            content = {"title": "Group", "steps": chosen}
            self.do("Group", lambda text: editing.put_mark(text, "groups", name, content))

    def title_group(self, name: str, title: str) -> None:
        """Change a group's title."""
        self.do("Rename the group", lambda text: editing.put_mark(text, "groups", name, {"title": title}))

    def own(self, step: str) -> Mapping[str, Any]:
        """What the text itself says of a step, without what it inherits."""
        try:
            value = parse(self.text).value
        except NeuroWeaverError:
            return {}
        steps = value.get("steps") if isinstance(value, dict) else None
        found = steps.get(step) if isinstance(steps, dict) else None
        return found if isinstance(found, dict) else {}
