"""The picture of a document for the canvas: cards, ports, links and what the newest run made of them.  No Qt, no pydantic models.

A document with faults still has a picture, as far as it can be read; only a text that is not YAML has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from app.config import editing
from app.config.document import home_folder as home
from app.config.document import name_of
from app.config.merging import Faults, Layers, inherit, overlay
from app.config.node import Node, NodeClass
from app.config.yaml_source import Source, parse
from app.errors import ConfigError, NeuroWeaverError
from app.store import Store
from app.workflow import registry
from app.workflow.graph import Step, all_needs, bind_step


@dataclass(frozen=True, slots=True)
class Port:
    """kind: rows, model, report or file."""

    name: str
    kind: str
    needed: bool = True


@dataclass(frozen=True, slots=True)
class Card:
    """One step.  ``own``: the text itself writes it; else it is inherited.  ``content``: its merged keys, parameters among them."""

    id: str
    node: str
    title: str
    about: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    needs: tuple[str, ...]
    position: tuple[float, float] | None
    note: str
    own: bool
    line: int
    content: Mapping[str, Any] = field(default_factory=dict, compare=False)
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """From an output to an input.  way: "needs" or "inputs" (written), "implied" (found further back), "order" (no data flows)."""

    source: str
    output: str
    target: str
    port: str
    kind: str
    way: str


@dataclass(frozen=True, slots=True)
class NoteMark:
    """A remark on the canvas; rectangle in scene units."""

    id: str
    text: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class GroupMark:
    """A frame around steps."""

    id: str
    title: str
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """All of it.  ``name``: the document's."""

    name: str = ""
    cards: tuple[Card, ...] = ()
    links: tuple[Link, ...] = ()
    notes: tuple[NoteMark, ...] = ()
    groups: tuple[GroupMark, ...] = ()

    def card(self, name: str) -> Card | None:
        """The card of a step."""
        return next((card for card in self.cards if card.id == name), None)


@dataclass(frozen=True, slots=True)
class PaletteEntry:
    """A node that can be added.  ``trouble``: why it cannot be used."""

    node: str
    title: str
    about: str
    room: str
    trouble: str = ""


class _Unknown(Node[Any]):
    """Stands in for a node that is not there: no ports."""


def palette() -> list[PaletteEntry]:
    """All nodes by room and title; broken ones with their reason.  The first call imports every node file (about a second)."""
    found = [PaletteEntry(name, node.title, _about(node), name.partition(".")[0]) for name, node in registry.nodes().items()]
    found += [PaletteEntry(name, name, "", name.partition(".")[0], broken.reason) for name, broken in registry.broken().items()]
    return sorted(found, key=lambda entry: (entry.room, entry.title))


def _about(node: NodeClass) -> str:
    return " ".join((node.__doc__ or "").strip().partition("\n\n")[0].split())


# ---- the picture -----------------------------------------------------------------------------------------------------


def picture(text: str, path: str = "") -> Picture:
    """Read a text as a picture.  path: where it belongs, for what it extends.  Raises ConfigError if it is not a YAML mapping."""
    source, layers = _read(text, path)
    value, own = layers.value, source.value if isinstance(source.value, dict) else {}
    steps = value.get("steps")
    contents = {name: content for name, content in steps.items() if isinstance(content, dict)} if isinstance(steps, dict) else {}
    here = own.get("steps")
    written = set(here) if isinstance(here, dict) else set()
    cards = tuple(_card(name, content, contents, layers, name in written, path) for name, content in contents.items())
    canvas = own.get("canvas")
    return Picture(name_of(layers, Path(path) if path else None), cards, tuple(_links(cards)),
                   tuple(_notes(canvas)), tuple(_groups(canvas, contents)))


def _read(text: str, path: str) -> tuple[Source, Layers]:
    faults: Faults = []
    source = parse(text, path or None, faults)
    layers = inherit(source, home(Path(path) if path else None), faults)
    overlay(layers, None, faults)
    return source, layers


def _card(name: str, content: Mapping[str, Any], contents: Mapping[str, Any], layers: Layers, own: bool, path: str) -> Card:
    called = str(content.get("node") or "")
    node = registry.nodes().get(called)
    place = layers.place(("steps", name))
    here = place.line if place.file in (None, path) else None
    known = node or _Unknown
    trouble = "" if node else f"There is no node {called!r}." if called else "It names no node."
    return Card(
        id=name, node=called, title=str(content.get("title") or known.title or called or name), about=_about(node) if node else "",
        inputs=tuple(Port(port, kind.type_name(), port not in known.optional) for port, kind in known.inputs.items()),
        outputs=tuple(Port(port, kind.type_name()) for port, kind in known.outputs.items()),
        needs=tuple(need for need in _listed(content.get("needs")) if need in contents), position=_position(content.get("position")),
        note=str(content.get("note") or ""), own=own, line=here or 0, content=content, trouble=trouble)


def _listed(needs: Any) -> list[str]:
    found = [needs] if isinstance(needs, str) else needs if isinstance(needs, list) else []
    return list(dict.fromkeys(need for need in found if isinstance(need, str)))


def _position(value: Any) -> tuple[float, float] | None:
    good = isinstance(value, list) and len(value) == 2 and all(type(part) in (int, float) and abs(part) < 1e6 for part in value)
    return (float(value[0]), float(value[1])) if good else None


def _notes(canvas: Any) -> list[NoteMark]:
    found = canvas.get("notes") if isinstance(canvas, dict) else None
    notes = []
    for name, content in found.items() if isinstance(found, dict) else ():
        if isinstance(content, dict):
            x, y = _position(content.get("position")) or (0.0, 0.0)
            width, height = _position(content.get("size")) or (200.0, 90.0)
            notes.append(NoteMark(name, str(content.get("text") or ""), x, y, max(width, 80.0), max(height, 40.0)))
    return notes


def _groups(canvas: Any, steps: Mapping[str, Any]) -> list[GroupMark]:
    found = canvas.get("groups") if isinstance(canvas, dict) else None
    return [GroupMark(name, str(content.get("title") or ""), tuple(step for step in _listed(content.get("steps")) if step in steps))
            for name, content in (found.items() if isinstance(found, dict) else ()) if isinstance(content, dict)]


# ---- links -----------------------------------------------------------------------------------------------------------


def _graph(cards: tuple[Card, ...]) -> tuple[dict[str, Step], dict[str, NodeClass]]:
    ids = {card.id for card in cards}
    steps = {card.id: Step(card.id, card.node, card.needs, _explicit(card, ids), {}, card.title) for card in cards}
    return steps, {card.id: registry.nodes().get(card.node, _Unknown) for card in cards}


def _explicit(card: Card, ids: set[str]) -> dict[str, str]:
    inputs, ports = card.content.get("inputs"), {port.name for port in card.inputs}
    found = inputs.items() if isinstance(inputs, dict) else ()
    return {port: source for port, source in found
            if isinstance(source, str) and port in ports and source.partition(".")[0] in ids}


def _bound(step: Step, steps: Mapping[str, Step], classes: Mapping[str, NodeClass]) -> dict[str, tuple[str, str]]:
    """Bindings of the ports that can be bound; one that cannot is a fault of the check and has no link."""
    found: dict[str, tuple[str, str]] = {}
    for port in classes[step.id].inputs:
        try:
            found |= bind_step(step, steps, classes, only=port)
        except ConfigError:
            continue
    return found


def _links(cards: tuple[Card, ...]) -> list[Link]:
    steps, classes = _graph(cards)
    links = []
    for card in cards:
        bound = _bound(steps[card.id], steps, classes)
        for port, (source, output) in bound.items():
            way = "inputs" if port in steps[card.id].inputs else "needs" if source in card.needs else "implied"
            kind = classes[card.id].inputs[port].type_name()
            links.append(Link(source, output, card.id, port, kind, way))
        fed = {source for source, _ in bound.values()}
        links += [Link(need, "", card.id, "", "", "order") for need in card.needs if need not in fed and need != card.id]
    return links


def refusal(shown: Picture, source: str, output: str, target: str, port: str) -> str:
    """Why an output cannot feed an input; "" if it can."""
    one, two = shown.card(source), shown.card(target)
    if one is None or two is None:
        return "One of the two steps is gone."
    if source == target:
        return f"{source} cannot feed itself."
    gives = next((each.kind for each in one.outputs if each.name == output), "")
    takes = next((each.kind for each in two.inputs if each.name == port), "")
    if gives != takes:
        return f"{target} takes {takes} at “{port}”, but {source} gives {gives} at “{output}”."
    steps, _ = _graph(shown.cards)
    if _before(target, source, steps):
        return f"{source} comes after {target}; this link would make a circle."
    return ""


def _before(first: str, then: str, steps: Mapping[str, Step]) -> bool:
    """Whether ``then`` waits for ``first``, directly or not."""
    seen: set[str] = set()
    ahead = [then]
    while ahead:
        now = ahead.pop()
        if now == first:
            return True
        if now not in seen and now in steps:
            seen.add(now)
            ahead += all_needs(steps[now])
    return False


def connected(text: str, path: str, source: str, output: str, target: str, port: str) -> str:
    """Feed an input from an output: by ``needs`` alone where that says it, else with an explicit binding.

    Raises ConfigError edit.link with the reason where it cannot be.
    """
    shown = picture(text, path)
    if reason := refusal(shown, source, output, target, port):
        raise ConfigError("edit.link", reason)
    if _fed(shown, target, port) == (source, output):
        return text
    card = shown.card(target)
    assert card is not None
    tried = editing.connect(text, source, target, needs=card.needs)
    after = picture(tried, path)
    if _fed(after, target, port) == (source, output) and not _moved(shown, after):
        return tried
    return editing.bind(text, target, port, f"{source}.{output}")


def _fed(shown: Picture, target: str, port: str) -> tuple[str, str] | None:
    return next(((link.source, link.output) for link in shown.links if (link.target, link.port) == (target, port)), None)


def _moved(before: Picture, after: Picture) -> bool:
    """Whether a port that was fed before is fed by something else now."""
    return any(_fed(after, link.target, link.port) != (link.source, link.output) for link in before.links if link.port)


def disconnected(text: str, path: str, link: Link) -> str:
    """Remove a link.  Raises ConfigError edit.link where nothing is written that could be removed."""
    if link.way == "implied":
        raise ConfigError("edit.link", f"{link.target} takes {link.kind} from {link.source} because of what it needs.",
                          remedy=f"Draw another link to “{link.port}”, or remove the link before it.")
    card = picture(text, path).card(link.target)
    if card is None:
        return text
    if link.way == "inputs":
        text = editing.unbind(text, link.target, link.port)
        if link.source not in card.needs or _fed(picture(text, path), link.target, link.port) != (link.source, link.output):
            return text
    return editing.disconnect(text, link.source, link.target, needs=card.needs)


# ---- what is wrong, and how the newest run went --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault; ``step`` and ``field`` ("lora.r") where it belongs to one.  line, column: from 1, 0 where unknown."""

    line: int
    column: int
    message: str
    hint: str
    step: str = ""
    field: str = ""


@dataclass(frozen=True, slots=True)
class StepState:
    """How a step went in the newest run.  ``changed``: the document says something else for it now."""

    state: str
    cached: bool
    progress: float
    message: str
    seconds: float | None
    changed: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """The check of a text and the newest run of its document.  run: its id, or ""."""

    faults: tuple[Fault, ...] = ()
    states: Mapping[str, StepState] = field(default_factory=dict)
    run: str = ""
    number: int = 0


def status(store: Store, text: str, path: str = "") -> Status:
    """Check a text, which is read once, and find the newest run of a document of its name."""
    from app.workflow.runs import check_text

    checked = check_text(text, path)
    faults = _faults(checked.fault, text, path)
    run = store.row("SELECT id, number FROM runs WHERE name = ? ORDER BY number DESC LIMIT 1", (checked.name,)) if checked.name else None
    if run is None:
        return Status(faults)
    params = {step.id: (step.node, dict(step.params)) for step in checked.document.steps.values()} if checked.document else {}
    rows = store.rows("SELECT * FROM steps WHERE run = ? ORDER BY position", (run["id"],))
    return Status(faults, {row["id"]: _state(row, params) for row in rows}, run["id"], run["number"])


def _faults(first: ConfigError | None, text: str, path: str) -> tuple[Fault, ...]:
    """All of them, in line order."""
    found = [] if first is None else [_fault(one, text, path) for one in (first, *first.others)]
    return tuple(sorted(found, key=lambda fault: (fault.line, fault.column)))


def _fault(one: NeuroWeaverError, text: str, path: str) -> Fault:
    """A fault of another document stands where that one is extended."""
    place = one.where.field or ""
    parts = place.split(".")
    inside = parts[0] == "steps" and len(parts) > 1
    line, column, message = one.where.line or 0, one.where.column or 0, one.message
    if one.where.file and (not path or Path(one.where.file) != Path(path)):
        message = f"In {Path(one.where.file).name}, line {line}: {message}"
        line, column = next((number for number, said in enumerate(text.splitlines(), start=1) if said.startswith("extends:")), 1), 1
    return Fault(line, column, message, one.remedy, parts[1] if inside else "", ".".join(parts[2:]) if inside else place)


def _state(row: Mapping[str, Any], params: Mapping[str, Any]) -> StepState:
    now = params.get(row["id"])
    why = orjson.loads(row["why"]) if row["why"] else {}
    took = row["ended"] - row["started"] if row["ended"] and row["started"] else None
    return StepState(row["state"], bool(row["cached"]), float(row["progress"]), row["message"] or "", took,
                     now is not None and now != (row["node"], orjson.loads(row["params"])), str(why.get("what") or ""))
