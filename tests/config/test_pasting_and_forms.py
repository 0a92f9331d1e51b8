"""Steps through the clipboard, and form fields from parameter models."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import BaseModel, Field

from app.config import forms, pasting
from app.config.node import DocumentPath, Params
from app.config.yaml_source import parse
from app.errors import ConfigError

TEXT = """steps:
  a: {node: x}
  b: {node: x, needs: a, position: [10, 20]}
  c: {node: x, needs: [a, b], inputs: {rows: b.rows, model: a.model}, lora: {r: 1}}
"""


def steps(text: str):
    return parse(text).value["steps"]


def test_copies_keep_the_links_among_them_and_to_what_exists():
    fragment = pasting.copied(steps(TEXT), ["b", "c"])
    text, names = pasting.pasted(TEXT, fragment)
    assert names == ["b-2", "c-2"]
    assert steps(text)["b-2"] == {"node": "x", "needs": "a", "position": [42, 52]}
    assert steps(text)["c-2"] == {"node": "x", "needs": ["a", "b-2"], "inputs": {"rows": "b-2.rows", "model": "a.model"},
                                  "lora": {"r": 1}}
    assert text.startswith(TEXT)


def test_links_to_steps_that_are_not_there_go():
    text, names = pasting.pasted("name: other\n", pasting.copied(steps(TEXT), ["c"]))
    assert names == ["c"]
    assert steps(text) == {"c": {"node": "x", "lora": {"r": 1}}}


@pytest.mark.parametrize("clipboard", ["", "hello", "[", "steps: 3", "steps: {A b: {}}", "steps: {a: 3}"])
def test_a_clipboard_without_steps_is_refused(clipboard):
    with pytest.raises(ConfigError, match="The clipboard holds no steps"):
        pasting.pasted(TEXT, clipboard)


class Inner(BaseModel):
    r: int = Field(16, ge=1, le=512, description="Rank")
    kind: Literal["a", "b"] = "a"


class Model(Params):
    path: DocumentPath = Field(description="File to read")
    max_length: int = Field(100, ge=1, description="Longest row that stays, characters")
    rate: float = Field(0.001, gt=0, le=1)
    on: bool = True
    names: tuple[str, ...] = ()
    formats: list[Literal["f16", "q8_0"]] = ["q8_0"]
    seed: int | None = Field(None, ge=0)
    lora: Inner = Inner()
    other: Inner | None = None
    wait: float = Field(1.0, json_schema_extra={"unit": "s"})


def test_fields_come_from_the_model():
    found = {".".join(one.path): one for one in forms.fields(Model)}
    assert list(found) == ["path", "max_length", "rate", "on", "names", "formats", "seed", "other", "wait", "lora.r", "lora.kind"]
    assert {name: one.kind for name, one in found.items()} == {
        "path": "path", "max_length": "int", "rate": "float", "on": "bool", "names": "list", "formats": "list", "seed": "int",
        "other": "any", "wait": "float", "lora.r": "int", "lora.kind": "choice"}
    assert found["path"].required
    assert not forms.has_default(found["path"])
    assert (found["max_length"].unit, found["wait"].unit, found["rate"].unit) == ("characters", "s", "")
    assert (found["lora.r"].low, found["lora.r"].high, found["lora.r"].default, found["lora.r"].section) == (1, 512, 16, "LoRA")
    assert found["lora.kind"].choices == ("a", "b")
    assert found["seed"].nullable
    assert found["formats"].default == ["q8_0"]


@pytest.mark.parametrize(("path", "value", "words"), [
    (("max_length",), 0, "greater than or equal to 1"), (("max_length",), "x", "valid integer"), (("max_length",), 5, ""),
    (("lora", "r"), 1000, "less than or equal to 512"), (("lora", "kind"), "c", "'a' or 'b'"), (("seed",), None, ""),
    (("formats",), ["q9"], "'f16' or 'q8_0'"), (("other",), {"r": 0}, "greater than or equal to 1"), (("nothing",), 1, ""),
])
def test_one_value_is_checked_by_itself(path, value, words):
    said = forms.wrong(Model, path, value)
    assert words in said
    assert bool(said) == bool(words)
