"""Where the caret stands in a text that is being typed; laying a document out changes no value and keeps comments."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.config.caret import caret_at
from app.config.editing import put_all
from app.config.formatting import formatted
from app.config.templates import templates
from app.config.versions import compare
from app.config.yaml_source import parse
from app.errors import ConfigError

BLOCK = """name: x
steps:
  train:
    node: train.qlora
    lora:
      r: 16
      |
    epochs: 2
"""
FLOW = "steps:\n  refine: {node: data.refine}\n  train: {node: train.qlora, lora: {r: 8, al|}, epochs: 2}\n"


def caret(text: str):
    before = text[: text.index("|")]
    return caret_at(text.replace("|", ""), before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)


@pytest.mark.parametrize(("text", "path", "part", "word", "beside"), [
    pytest.param("na|", (), "key", "na", (), id="top"),
    pytest.param("name: x\nse|\nsteps: {}", (), "key", "se", ("name", "steps"), id="top, keys around"),
    pytest.param("base_model: smo|", ("base_model",), "value", "smo", (), id="value"),
    pytest.param("seed:|", ("seed",), "value", "", (), id="value without a blank"),
    pytest.param(BLOCK, ("steps", "train", "lora"), "key", "", ("r",), id="block, blank line"),
    pytest.param("steps:\n  train:\n    node: |", ("steps", "train", "node"), "value", "", (), id="block value"),
    pytest.param("steps:\n  train:\n    needs: [refine, ev|", ("steps", "train", "needs"), "value", "ev", (), id="open list"),
    pytest.param(FLOW, ("steps", "train", "lora"), "key", "al", ("r",), id="flow, inner"),
    pytest.param("steps:\n  a: {node: b, ep|", ("steps", "a"), "key", "ep", ("node",), id="flow, not closed"),
    pytest.param("steps:\n  a: {node: tr|", ("steps", "a", "node"), "value", "tr", (), id="flow value"),
    pytest.param("steps:\n  a: {node: b,\n      lora: {r: 8,\n        al|", ("steps", "a", "lora"), "key", "al", ("r",), id="flow over lines"),
    pytest.param("steps:\n  a: {node: b, |, epochs: 2}", ("steps", "a"), "key", "", ("node", "epochs"), id="keys behind count too"),
    pytest.param("environments:\n  big:\n    steps:\n      train: {ep|", ("environments", "big", "steps", "train"), "key", "ep", (), id="environment"),
    pytest.param("name: x # a com|", (), "", "", (), id="comment"),
    pytest.param("description: >-\n  some te|\n", (), "", "", (), id="text over lines"),
    pytest.param("description: it's\nna|", (), "key", "na", ("description",), id="lone apostrophe")])
def test_caret_is_told_in_a_broken_text(text, path, part, word, beside):
    found = caret(text)
    assert (found.path, found.part, found.word) == (path, part, word)
    assert set(found.beside) == set(beside)


MESSY = """# head


name:   x
steps:
      # about train
      train:
            node: train.qlora   # the trainer
            lora: {r: 8,
                   alpha: 16}
            note: |
              one
                two

              three
      refine:
          node: data.refine
          languages:
          - en
          - de
# foot"""
NEAT = """# head

name:   x
steps:
  # about train
  train:
    node: train.qlora   # the trainer
    lora: {r: 8,
           alpha: 16}
    note: |
      one
        two

      three
  refine:
    node: data.refine
    languages:
      - en
      - de
# foot
"""


def test_layout_is_mended_and_comments_stay():
    neat = formatted(MESSY)
    assert neat.replace("\n\n\n", "\n\n") == NEAT
    assert formatted(neat) == neat
    assert parse(neat).value == parse(MESSY).value


def test_a_text_that_is_not_valid_is_not_touched():
    with pytest.raises(ConfigError, match="not valid YAML"):
        formatted("steps: {a: [1\nname: x\n  y: z")


_SCALARS = st.one_of(st.booleans(), st.integers(-9, 99), st.sampled_from(["a", "two words", "- x", "#no", "", "1e3", "it's", "x\ny", "ä: ö"]))
_MAPPINGS = st.recursive(st.dictionaries(st.sampled_from("abcdefgh"), _SCALARS, min_size=1, max_size=4),
                         lambda inner: st.dictionaries(st.sampled_from("abcdefgh"), inner | _SCALARS, min_size=1, max_size=4), max_leaves=12)


@settings(max_examples=150, deadline=None)
@given(value=_MAPPINGS, indent=st.integers(1, 7), comments=st.booleans())
def test_any_document_keeps_its_values_and_comments(value, indent, comments):
    import yaml

    text = yaml.safe_dump(value, indent=max(indent, 2), sort_keys=False, allow_unicode=True)
    if comments:
        text = "".join(f"# {number}\n{line}\n" if line[:1] in "abcdefgh" else f"{line}\n" for number, line in enumerate(text.splitlines()))
    neat = formatted(text)
    assert parse(neat).value == parse(text).value
    assert [line.strip() for line in neat.splitlines() if line.strip().startswith("# ")] == [
        line.strip() for line in text.splitlines() if line.strip().startswith("# ")]
    assert formatted(neat) == neat


def test_every_template_can_be_edited_without_losing_a_comment():
    found = templates()
    assert len(found) >= 5
    for one in found:
        text = one.text()
        edited = put_all(text, {("seed",): 7})
        assert [line for line in edited.splitlines() if line != "seed: 7"] == [line for line in text.splitlines() if not line.startswith("seed:")]
        assert formatted(text) == text, f"{one.name} is laid out already"


def test_a_comparison_shows_what_changed_with_lines_around():
    before = "\n".join(f"k{number}: {number}" for number in range(20))
    found = compare(before, before.replace("k9: 9", "k9: 0"))
    assert [(line.kind, line.text) for line in found if line.kind != "same"] == [("removed", "k9: 9"), ("added", "k9: 0")]
    assert len(found) == 8
    assert compare(before, before) == []
