"""The graph of a document: order of steps, and which output feeds which input port."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.config.artifacts import Artifact
from app.config.node import NodeClass
from app.errors import ConfigError, Place

Source = tuple[str, str]
"""(step id, output port)"""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a resolved document.  ``inputs`` holds explicit bindings: port → "step.output"."""

    id: str
    node: str
    needs: tuple[str, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""


def order(steps: Mapping[str, Step]) -> list[str]:
    """Step ids so that each comes after what it needs, else as written.  Raises ConfigError on a missing need or a cycle."""
    done: dict[str, None] = {}
    visiting: list[str] = []

    def visit(name: str, asked_by: str) -> None:
        if name in done:
            return
        if name not in steps:
            raise ConfigError("workflow.unknown_step", f"Step {asked_by!r} needs {name!r}, which does not exist.",
                              where=Place.of(field=f"steps.{asked_by}.needs"), remedy=f"Steps: {', '.join(steps)}.")
        if name in visiting:
            circle = " → ".join([*visiting[visiting.index(name):], name])
            raise ConfigError("workflow.cycle", "The steps need each other in a circle.",
                              where=Place.of(field=f"steps.{asked_by}.needs"), why=f"{circle}.",
                              remedy="Remove one of these needs.")
        visiting.append(name)
        for need in all_needs(steps[name]):
            visit(need, name)
        visiting.pop()
        done[name] = None

    for step in steps:
        visit(step, step)
    return list(done)


def all_needs(step: Step) -> tuple[str, ...]:
    """What a step waits for: its ``needs`` and the sources of its explicit bindings."""
    explicit = (source.split(".", 1)[0] for source in step.inputs.values())
    return tuple(dict.fromkeys([*step.needs, *explicit]))


def bind(steps: Mapping[str, Step], classes: Mapping[str, NodeClass]) -> dict[str, dict[str, Source]]:
    """For each step its input ports with their sources.

    Explicit bindings first; else breadth-first over the ancestors: the nearest output of the same name and type,
    else (required ports only, so that no report is mistaken for another) the nearest output of that type if it is
    the only one at that distance.  Raises ConfigError naming step and port.
    """
    return {name: bind_step(steps[name], steps, classes) for name in order(steps)}


def bind_step(step: Step, steps: Mapping[str, Step], classes: Mapping[str, NodeClass], only: str = "") -> dict[str, Source]:
    """The same for one step, or for one of its ports."""
    node = classes[step.id]
    unknown = set(step.inputs) - set(node.inputs)
    if unknown:
        raise _fault(step, sorted(unknown)[0], "has no such input port",
                     f"Ports of {node.name}: {', '.join(node.inputs) or 'none'}.")
    bound: dict[str, Source] = {}
    for port, kind in node.inputs.items():
        if only not in ("", port):
            continue
        explicit = step.inputs.get(port)
        source = (_explicit(step, port, kind, explicit, classes) if explicit
                  else _search(step, port, kind, steps, classes, port in node.optional))
        if source is not None:
            bound[port] = source
    return bound


def _explicit(step: Step, port: str, kind: type[Artifact], text: str, classes: Mapping[str, NodeClass]) -> Source:
    source, _, output = text.partition(".")
    outputs = classes[source].outputs if source in classes else {}
    if not output and len(outputs) == 1:
        output = next(iter(outputs))
    if output not in outputs:
        raise _fault(step, port, f"is bound to {text!r}, which does not exist",
                     f"Outputs of {source}: {', '.join(outputs) or 'none'}.")
    if not issubclass(outputs[output], kind):
        raise _fault(step, port, f"takes {kind.type_name()}, but {text} gives {outputs[output].type_name()}",
                     "Bind an output of the same type.")
    return source, output


def _levels(step: Step, steps: Mapping[str, Step]) -> Iterator[list[str]]:
    seen: set[str] = {step.id}
    level = list(all_needs(step))
    while level:
        fresh = [name for name in dict.fromkeys(level) if name not in seen]
        seen.update(fresh)
        yield fresh
        level = [need for name in fresh for need in all_needs(steps[name])]


def _search(step: Step, port: str, kind: type[Artifact], steps: Mapping[str, Step], classes: Mapping[str, NodeClass],
            optional: bool) -> Source | None:
    nearest: list[Source] = []
    of_type: list[Source] = []
    for level in _levels(step, steps):  # lazily: most ports are fed from the first
        made = [(name, output) for name in level for output, each in classes[name].outputs.items() if issubclass(each, kind)]
        nearest = [source for source in made if source[1] == port]
        if nearest:
            break
        of_type = of_type or made
    nearest = nearest or ([] if optional else of_type)
    if len(nearest) == 1:
        return nearest[0]
    if nearest and not optional:
        choices = ", ".join(f"{name}.{output}" for name, output in nearest)
        raise _fault(step, port, f"could be fed by {choices}", f"Say which: inputs: {{{port}: {'.'.join(nearest[0])}}}")
    if optional:
        return None
    raise _fault(step, port, f"needs {kind.type_name()}, and no step before it gives that",
                 f"Add a step that gives {kind.type_name()} and name it in needs.")


def _fault(step: Step, port: str, what: str, remedy: str) -> ConfigError:
    return ConfigError("workflow.binding", f"Input {port!r} of step {step.id!r} {what}.",
                       where=Place.of(field=f"steps.{step.id}.inputs.{port}"), remedy=remedy)
