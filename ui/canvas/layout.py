"""Places for cards: layers from left to right in rows, so that no link runs backwards inside a row.  Plain numbers, no Qt."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

WIDTH, HEIGHT = 168, 78
GAP_X, GAP_Y, GAP_ROW = 36, 40, 64
FEWEST_COLUMNS = 3
Places = dict[str, tuple[int, int]]
Edges = Sequence[tuple[str, str]]


def layered(ids: Iterable[str], edges: Edges) -> Places:
    """A place (left, top) for every card.  Links that close a circle are left out of account."""
    names = list(ids)
    layers = _layers(names, edges)
    count = max(layers.values(), default=-1) + 1
    columns = max(FEWEST_COLUMNS, math.ceil(math.sqrt(1.6 * count)) if count > 9 else FEWEST_COLUMNS)
    stacks = _ordered(names, edges, layers, count)
    places: Places = {}
    top = 0
    for first in range(0, count, columns):
        row = stacks[first : first + columns]
        tallest = max(len(stack) for stack in row)
        height = tallest * (HEIGHT + GAP_Y) - GAP_Y
        for column, stack in enumerate(row):
            start = top + (height - len(stack) * (HEIGHT + GAP_Y) + GAP_Y) // 2
            for number, name in enumerate(stack):
                places[name] = (column * (WIDTH + GAP_X), start + number * (HEIGHT + GAP_Y))
        top += height + GAP_ROW
    return places


def columns(ids: Iterable[str], edges: Edges) -> list[list[str]]:
    """Cards from left to right, each as near to what follows it as it can be."""
    names = list(ids)
    layers = _layers(names, edges)
    after: dict[str, list[str]] = {}
    for source, target in edges:
        after.setdefault(source, []).append(target)
    for name in sorted(names, key=lambda name: -layers[name]):
        if name in after:
            layers[name] = max(min(layers[one] for one in after[name]) - 1, layers[name])
    return _ordered(names, edges, layers, max(layers.values(), default=-1) + 1)


def _layers(names: Sequence[str], edges: Edges) -> dict[str, int]:
    """Longest way from a card without predecessors; each card after all that it needs."""
    after: dict[str, list[str]] = {name: [] for name in names}
    waits = dict.fromkeys(names, 0)
    for source, target in dict.fromkeys(edges):
        if source in after and target in after and source != target:
            after[source].append(target)
            waits[target] += 1
    layers = dict.fromkeys(names, 0)
    ready = [name for name in names if not waits[name]]
    done: set[str] = set()
    while len(done) < len(names):
        if not ready:  # a circle: cut it at its first card
            ready = [next(name for name in names if name not in done)]
        name = ready.pop(0)
        if name in done:
            continue
        done.add(name)
        for target in after[name]:
            if target not in done:
                layers[target] = max(layers[target], layers[name] + 1)
                waits[target] -= 1
                if not waits[target]:
                    ready.append(target)
    return layers


def _ordered(names: Sequence[str], edges: Edges, layers: Mapping[str, int], count: int) -> list[list[str]]:
    """Cards of each layer, near the middle of what they come from."""
    stacks: list[list[str]] = [[] for _ in range(count)]
    for name in names:
        stacks[layers[name]].append(name)
    before: dict[str, list[str]] = {}
    for source, target in edges:
        before.setdefault(target, []).append(source)
    height = {name: number for one in stacks for number, name in enumerate(one)}
    for stack in stacks[1:]:
        middle = {name: sum(height.get(one, 0) for one in before.get(name, [])) / max(len(before.get(name, [])), 1) for name in stack}
        stack.sort(key=lambda name: middle[name])
        height |= {name: number for number, name in enumerate(stack)}
    return stacks


def aligned(places: Mapping[str, tuple[float, float]], how: str) -> Places:
    """The same cards in one line.  how: left, top, row (even gaps rightwards), column (even gaps downwards)."""
    if not places:
        return {}
    left, top = min(x for x, _ in places.values()), min(y for _, y in places.values())
    if how in ("left", "top"):
        return {name: (round(left), round(y)) if how == "left" else (round(x), round(top)) for name, (x, y) in places.items()}
    across = how == "row"
    names = sorted(places, key=lambda name: places[name][0 if across else 1])
    step = WIDTH + GAP_X if across else HEIGHT + GAP_Y
    return {name: (round(left) + number * step, round(top)) if across else (round(left), round(top) + number * step)
            for number, name in enumerate(names)}
