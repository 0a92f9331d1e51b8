"""JSON schema of a workflow document, made from the nodes' parameter models, for the editor and the HTTP API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.config.merging import TOP
from app.config.node import NodeClass

_TEXT = {"type": "string"}
COMMON: dict[str, Any] = {
    "needs": {"description": "Steps that must be done before", "anyOf": [_TEXT, {"type": "array", "items": _TEXT}]},
    "inputs": {"description": "Explicit bindings: port to step.output", "type": "object", "additionalProperties": _TEXT},
    "title": {"description": "Shown in place of the node's title", **_TEXT},
    "note": {"description": "A remark for readers", **_TEXT},
    "position": {"description": "Place on the canvas", "type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
}
TOP_KEYS: dict[str, Any] = {
    "name": {"description": "Shown in lists", **_TEXT},
    "description": {"description": "What the workflow does", **_TEXT},
    "extends": {"description": "A kit (kits/legal) or a file to inherit from", **_TEXT},
    "environment": {"description": "The overlay in use", **_TEXT},
    "environments": {"description": "Overlays by name", "type": "object", "additionalProperties": {"type": "object"}},
    "base_model": {"description": "A packaged or registered model, or a folder", **_TEXT},
    "seed": {"description": "Seed of everything random", "type": "integer", "minimum": 0, "maximum": 2**32 - 1},
    "steps": {"description": "The steps by their ids, in any order; needs says what comes before", "type": "object"},
    "canvas": {"description": "Notes and groups on the canvas", "type": "object"},
    "kit": {"description": "What a kit says of itself", "type": "object"},
}


def document_schema(nodes: Mapping[str, NodeClass]) -> dict[str, Any]:
    """The schema (JSON Schema 2020-12).  No key is required, since a document may inherit any of them; the full check is
    app.config.document.load.
    """
    definitions: dict[str, Any] = {}
    steps = [_step(name, node, definitions) for name, node in nodes.items()]
    properties = {key: TOP_KEYS[key] for key in TOP}
    properties["steps"] = {**TOP_KEYS["steps"], "additionalProperties": {"anyOf": steps}}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "NeuroWeaver workflow", "type": "object",
            "additionalProperties": False, "properties": properties, "$defs": definitions}


def _step(name: str, node: NodeClass, definitions: dict[str, Any]) -> dict[str, Any]:
    """One node's form of a step; its models go into ``definitions`` under names of their own."""
    schema = node.params_model.model_json_schema(ref_template=f"#/$defs/{name}.{{model}}")
    definitions |= {f"{name}.{model}": content for model, content in schema.pop("$defs", {}).items()}
    return {"type": "object", "title": node.title, "additionalProperties": False,
            "properties": {"node": {"const": name}, **COMMON, **schema.get("properties", {})}}
