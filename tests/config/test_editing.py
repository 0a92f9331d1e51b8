"""Edits of a document's text: each equals the edit of the plain values, and the lines it does not touch stay as they are."""

from __future__ import annotations

import copy
import random
from pathlib import Path

import pytest

from app.config import editing
from app.config.document import load_text
from app.config.yaml_source import parse
from app.errors import ConfigError
from app.store.profile import project_dir
from tests.config.conftest import find

HOUSE = """# Licence clauses, house version 7
name: "House"      # quoted on purpose
steps:
  source:   {node: dataset.import, path: clauses.jsonl}   # the clauses

  # refined twice
  refine:
    node: data.refine
    needs: source
    near_duplicates: {threshold: 0.7}  # as in run 8


  train:
    node: train.qlora
    needs: [refine]
    epochs: 2   # 3 overfits
    lora:
      # rank
      r: 16

      alpha: 32 # twice the rank
    note: |
      größer, 日本

  deploy: {node: model.deploy, needs: [train, refine], inputs: {model: train.model}}
environments:
  big:
    steps: {train: {epochs: 4}}
# the end
"""


def kit_texts() -> list[tuple[str, str]]:
    root = project_dir()
    files = [*root.glob("kits/*/kit.yaml"), *root.glob("resources/templates/**/*.yaml")]
    return [(file.parent.name if file.name == "kit.yaml" else file.stem, file.read_text(encoding="utf-8")) for file in sorted(files)]


DOCUMENTS = [("house", HOUSE), ("windows", HOUSE.replace("\n", "\r\n")), *kit_texts()]
documents = pytest.mark.parametrize("text", [text for _, text in DOCUMENTS], ids=[name for name, _ in DOCUMENTS])


def value(text: str):
    return parse(text).value


def kept(old: str, new: str) -> list[str]:
    """Lines of the old text that the new one lacks, each as often as it is missing; the others must stand in the same order."""
    rest, missing = new.splitlines(keepends=True), []
    for line in old.splitlines(keepends=True):
        if line in rest:
            del rest[: rest.index(line) + 1]
        else:
            missing.append(line)
    return missing


def test_every_kit_is_among_the_documents():
    assert len(kit_texts()) >= len(list((project_dir() / "kits").glob("*/kit.yaml"))) >= 1


# ---- one edit ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "new", "line"), [
    pytest.param(("train", "epochs"), 3, "    epochs: 3   # 3 overfits", id="a number keeps its comment"),
    pytest.param(("train", "lora", "r"), 8, "      r: 8", id="inside a block mapping"),
    pytest.param(("train", "lora", "dropout"), 0.1, "      dropout: 0.1", id="a new key at the end of a block mapping"),
    pytest.param(("refine", "near_duplicates", "threshold"), 0.8, "    near_duplicates: {threshold: 0.8}  # as in run 8",
                 id="inside a flow mapping"),
    pytest.param(("refine", "near_duplicates", "enabled"), False, "    near_duplicates: {threshold: 0.7, enabled: false}  # as in run 8",
                 id="a new key in a flow mapping"),
    pytest.param(("refine", "languages"), ["en", "no"], "    languages: [en, no]", id="no is a text"),
    pytest.param(("refine", "group_field"), "1e3", '    group_field: "1e3"', id="a text that reads as a number is quoted"),
    pytest.param(("refine", "group_field"), "a: b # c", '    group_field: "a: b # c"', id="signs are quoted"),
    pytest.param(("train", "note"), "two\nlines", '    note: "two\\nlines"', id="a block scalar replaced"),
    pytest.param(("source", "path"), "C:\\x, y", '  source:   {node: dataset.import, path: "C:\\\\x, y"}   # the clauses', id="a path"),
])
def test_a_parameter_is_set_in_its_own_line(path, new, line):
    changed = editing.set_parameter(HOUSE, path[0], path[1:], new)
    assert line in changed.splitlines()
    at = value(changed)["steps"]
    for key in path:
        at = at[key]
    assert at == new
    assert len(kept(HOUSE, changed)) <= 2


def test_quotes_are_kept():
    assert editing.put(HOUSE, ("name",), "Mine") == HOUSE.replace('"House"', '"Mine"')
    assert editing.put("a: 'b'\n", ("a",), "it's") == "a: 'it''s'\n"


def test_setting_the_same_value_changes_nothing():
    assert editing.set_parameter(HOUSE, "train", ("epochs",), 2) == HOUSE
    assert editing.set_parameter(HOUSE, "train", ("epochs",), True) != HOUSE


@documents
@pytest.mark.parametrize(("path", "new"), [(("seed_of_test",), 7), (("deep", "er", "key"), "x"), (("listed",), ["a", 1, None]),
                                           (("mapped",), {"a": {"b": {"c": 1}}, "d": []})])
def test_unset_after_set_gives_the_text_back(text, path, new):
    for step in editing.step_names(text):
        changed = editing.set_parameter(text, step, path, new)
        assert changed != text
        assert editing.unset_parameter(changed, step, path) == text


@documents
def test_a_step_added_and_removed_leaves_the_text(text):
    changed = editing.add_step(text, "extra", {"node": "data.refine", "needs": "source", "near_duplicates": {"threshold": 0.5}})
    assert value(changed)["steps"]["extra"]["near_duplicates"] == {"threshold": 0.5}
    assert kept(text, changed) == []
    assert editing.remove_step(changed, "extra") == text


def test_a_new_step_follows_the_notation_of_the_last():
    assert "\n  extra: {node: x}\nenvironments" in editing.add_step(HOUSE, "extra", {"node": "x"})
    blocks = editing.remove_step(HOUSE, "deploy")
    assert "  extra:\n    node: x\n    needs: train\n" in editing.add_step(blocks, "extra", {"node": "x", "needs": "train"})


@pytest.mark.parametrize("start", ["", "# only a comment\n", "{}\n", "name: x\n", "name: x\nsteps:\n", "name: x\nsteps: {}\nseed: 1\n",
                                   "steps:   # soon\n", "name: x"])
def test_the_first_step_of_a_document(start):
    changed = editing.add_step(start, "source", {"node": "dataset.import", "path": "a.csv"})
    assert value(changed)["steps"] == {"source": {"node": "dataset.import", "path": "a.csv"}}
    assert {key: found for key, found in value(changed).items() if key != "steps"} == {
        key: found for key, found in (value(start) or {}).items() if key != "steps"}


def test_removing_a_step_removes_its_mentions():
    changed = editing.remove_step(HOUSE, "train")
    steps = value(changed)["steps"]
    assert list(steps) == ["source", "refine", "deploy"]
    assert steps["deploy"] == {"node": "model.deploy", "needs": "refine"}
    assert "environments" not in value(changed)
    assert "# refined twice" in changed
    assert "# the end" in changed


def test_removing_the_last_step_leaves_an_empty_mapping():
    assert value(editing.remove_step("steps:\n  a:\n    node: x\nseed: 1\n", "a")) == {"steps": {}, "seed": 1}


def test_renaming_a_step_renames_every_mention():
    changed = editing.rename_step(HOUSE, "train", "tune")
    steps = value(changed)["steps"]
    assert list(steps) == ["source", "refine", "tune", "deploy"]
    assert steps["deploy"]["needs"] == ["tune", "refine"]
    assert steps["deploy"]["inputs"] == {"model": "tune.model"}
    assert value(changed)["environments"]["big"]["steps"] == {"tune": {"epochs": 4}}
    assert editing.rename_step(changed, "tune", "train") == HOUSE


@documents
def test_moving_a_step_there_and_back(text):
    names = editing.step_names(text)
    moved = editing.move_step(text, names[-1], names[0])
    assert editing.step_names(moved) == [names[-1], *names[:-1]]
    assert value(moved) == value(text)
    assert editing.move_step(moved, names[-1]) == text


def test_a_comment_above_a_step_moves_with_it():
    moved = editing.move_step(HOUSE, "refine", "source")
    assert moved.index("# refined twice") < moved.index("refine:") < moved.index("source:")


@documents
def test_links_there_and_back(text):
    names = editing.step_names(text)
    added = editing.add_step(text, "late", {"node": "x"})
    one = editing.connect(added, names[0], "late")
    assert value(one)["steps"]["late"]["needs"] == names[0]
    two = editing.connect(one, names[1], "late")
    assert value(two)["steps"]["late"]["needs"] == names[:2]
    assert editing.connect(two, names[1], "late") == two
    assert editing.disconnect(two, names[1], "late") == one
    inherits = "extends" in value(text)  # then an empty list stands for "none, whatever is inherited"
    alone = editing.put(added, ("steps", "late", "needs"), []) if inherits else added
    assert editing.disconnect(one, names[0], "late") == alone
    bound = editing.bind(one, "late", "rows", f"{names[0]}.rows")
    assert value(bound)["steps"]["late"]["inputs"] == {"rows": f"{names[0]}.rows"}
    assert editing.unbind(bound, "late", "rows") == one


def test_an_inherited_need_stays_when_another_is_added_and_can_be_removed():
    text = "extends: kits/legal\n"
    assert value(editing.connect(text, "b", "train", needs=["a"]))["steps"]["train"]["needs"] == ["a", "b"]
    assert value(editing.disconnect(text, "a", "train", needs=["a"]))["steps"]["train"]["needs"] == []


@documents
def test_places_are_written_in_one_go(text):
    wanted = {name: (40 * number, 80) for number, name in enumerate(editing.step_names(text))}
    changed = editing.place_steps(text, wanted)
    assert {name: tuple(step["position"]) for name, step in value(changed)["steps"].items()} == wanted
    moved = editing.place_steps(changed, {name: (x + 1, y) for name, (x, y) in wanted.items()})
    assert len(moved.splitlines()) == len(changed.splitlines())


def test_notes_and_groups_stand_under_canvas_and_pass_the_check():
    text = "steps:\n  a: {node: t.refine}\n"
    changed = editing.put_mark(text, "notes", "note-1", {"text": "Ask Anna: why .9?\nSee run 8", "position": [10, 20]})
    changed = editing.put_mark(changed, "groups", "data", {"title": "Data", "steps": ["a"]})
    assert value(changed)["canvas"]["notes"]["note-1"]["text"] == "Ask Anna: why .9?\nSee run 8"
    assert load_text(changed, find).hash == load_text(text, find).hash
    back = editing.drop_mark(editing.drop_mark(changed, "groups", "data"), "notes", "note-1")
    assert back == text


@pytest.mark.parametrize(("canvas", "words"), [("{notes: {a: {text: 1}}}", "canvas.notes.a.text"), ("{nodes: {}}", "nodes"),
                                               ("3", "canvas")])
def test_a_wrong_canvas_is_a_fault(canvas, words):
    with pytest.raises(ConfigError, match=words):
        load_text(f"steps:\n  a: {{node: t.refine}}\ncanvas: {canvas}\n", find)


@pytest.mark.parametrize("position", ["3", "[1]", "[a, 2]", "[1, 2, 3]", "[1e9, 0]"])
def test_a_wrong_position_is_a_fault(position):
    with pytest.raises(ConfigError, match=r"steps\.a\.position"):
        load_text(f"steps:\n  a: {{node: t.refine, position: {position}}}\n", find)


# ---- refusals ------------------------------------------------------------------------------------------------------------


def test_a_value_behind_an_alias_is_written_out_and_its_anchor_left_alone():
    text = "steps:\n  a: {node: x, lora: &l {r: 1, s: 2}}\n  b: {node: x, lora: *l}\n"
    changed = editing.set_parameter(text, "b", ("lora", "r"), 8)
    assert value(changed)["steps"]["b"]["lora"] == {"r": 8, "s": 2}
    assert value(changed)["steps"]["a"]["lora"] == {"r": 1, "s": 2}
    assert value(editing.unset_parameter(text, "b", ("lora", "r")))["steps"]["b"]["lora"] == {"s": 2}


def test_changing_a_value_that_others_share_is_refused():
    text = "steps:\n  a: {node: x, lora: &l {r: 1}}\n  b: {node: x, lora: *l}\n"
    with pytest.raises(ConfigError, match="cannot be changed from the canvas"):
        editing.set_parameter(text, "a", ("lora", "r"), 8)


@pytest.mark.parametrize(("edit", "code", "line"), [
    pytest.param(lambda: editing.add_step(HOUSE, "train", {"node": "x"}), "edit.exists", 13, id="a name twice"),
    pytest.param(lambda: editing.add_step(HOUSE, "Train", {"node": "x"}), "edit.name", None, id="a name that cannot be"),
    pytest.param(lambda: editing.rename_step(HOUSE, "train", "refine"), "edit.exists", 7, id="renamed to a name that is there"),
    pytest.param(lambda: editing.remove_step(HOUSE, "nothing"), "edit.unknown_step", None, id="a step that is not there"),
    pytest.param(lambda: editing.put("a: [1\nb: 2\n", ("a",), 1), "config.syntax", 2, id="no YAML"),
    pytest.param(lambda: editing.put("- 1\n", ("a",), 1), "edit.not_a_mapping", 1, id="a list"),
    pytest.param(lambda: editing.put("a: 1\n", ("a",), float("nan")), "edit.value", None, id="not a number"),
    pytest.param(lambda: editing.put("a: 1\na: 2\n", ("a",), 3), "config.duplicate_key", 2, id="a key twice"),
])
def test_what_cannot_be_done_says_why(edit, code, line):
    with pytest.raises(ConfigError) as caught:
        edit()
    assert (caught.value.code, caught.value.where.line) == (code, line)


# ---- generated documents ---------------------------------------------------------------------------------------------------


class Maker:
    """Documents in every notation: block, flow, quotes, comments, blank lines, odd texts."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.indent = self.random.choice([2, 2, 4, 3])
        self.nl = self.random.choice(["\n", "\n", "\n", "\r\n"])

    def text(self) -> str:
        names = [f"s{number}" for number in range(self.random.randint(1, 6))]
        lines = [*self.noise(0), "name: x", *self.noise(0), "steps:" + self.tail()]
        for number, name in enumerate(names):
            lines += self.step(name, names[:number])
        if self.random.random() < 0.3:
            lines += ["environments:", " " * self.indent + f"e: {{steps: {{{names[0]}: {{epochs: 9}}}}}}"]
        if self.random.random() < 0.4:
            lines += [*self.noise(0), f"description: {self.scalar()}{self.tail()}"]
        return self.nl.join(lines) + self.random.choice(["", self.nl, self.nl * 3])

    def noise(self, column: int) -> list[str]:
        return self.random.choice([[], [], [""], ["", ""], [" " * column + "# a remark: {x"], ["# left"], ["  "]])

    def tail(self) -> str:
        return self.random.choice(["", "", "", "  # why", " #", "   "])

    def scalar(self) -> str:
        return self.random.choice(["1", "0.5", "true", "null", "~", "plain text", "'it''s'", '"a: \\"b\\" # c"', "größer", "1e-4", "no"])

    def flow(self, depth: int = 0) -> str:
        kind = self.random.random()
        if depth > 2 or kind < 0.4:
            return self.scalar()
        count, gap = self.random.randint(0, 3), self.random.choice(["", " "])
        if kind < 0.7:
            return f"[{gap}{', '.join(self.flow(depth + 1) for _ in range(count))}{gap}]"
        return f"{{{gap}{', '.join(f'f{number}: {self.flow(depth + 1)}' for number in range(count))}{gap}}}"

    def step(self, name: str, before: list[str]) -> list[str]:
        pad, inner = " " * self.indent, " " * (2 * self.indent)
        needs = self.random.sample(before, self.random.randint(0, min(len(before), 3)))
        listed = needs[0] if len(needs) == 1 and self.random.random() < 0.6 else f"[{', '.join(needs)}]"
        if self.random.random() < 0.4:
            extra = "".join(f", p{number}: {self.flow(1)}" for number in range(self.random.randint(0, 3)))
            return [*self.noise(self.indent), f"{pad}{name}: {{node: x{f', needs: {listed}' if needs else ''}{extra}}}{self.tail()}"]
        lines = [*self.noise(self.indent), f"{pad}{name}:{self.tail()}", f"{inner}node: x{self.tail()}"]
        if needs:
            lines += [f"{inner}needs: {listed}"] if self.random.random() < 0.7 else [
                f"{inner}needs:", *(f"{inner}- {need}{self.tail()}" for need in needs)]
        for number in range(self.random.randint(0, 3)):
            lines += [*self.noise(2 * self.indent), *self.block(f"p{number}", 2 * self.indent, 0)]
        return lines

    def block(self, key: str, column: int, depth: int) -> list[str]:
        pad, kind = " " * column, self.random.random()
        deeper = column + self.indent
        if depth > 1 or kind < 0.5:
            return [f"{pad}{key}: {self.flow()}{self.tail()}"]
        if kind < 0.6:
            return [f"{pad}{key}: {self.random.choice(['|', '>-', '|-'])}", f"{' ' * deeper}one # no remark", f"{' ' * deeper}two", ""]
        if kind < 0.7:
            return [f"{pad}{key}:", *(f"{' ' * deeper}- {self.flow(1)}{self.tail()}" for _ in range(self.random.randint(1, 3)))]
        inside = [self.block(f"{key}{letter}", deeper, depth + 1) for letter in "abc"[: self.random.randint(1, 3)]]
        return [f"{pad}{key}:{self.tail()}", *(line for part in inside for line in [*self.noise(deeper), *part])]


def _paths(found, path=()):
    yield path
    for key, inner in found.items() if isinstance(found, dict) else ():
        yield from _paths(inner, (*path, key))


def _model_set(found, path, new):
    made = copy.deepcopy(found)
    at = made
    for key in path[:-1]:
        if not isinstance(at.get(key), dict):
            at[key] = {}
        at = at[key]
    at[path[-1]] = new
    return made


VALUES = [7, 0.25, True, None, "text", "no: #", ["a", "b"], [], {"x": 1}, {"x": {"y": [1, {"z": "ü"}]}}, "two\nlines", ""]


@pytest.mark.parametrize("seed", range(220))
def test_edits_of_generated_documents_equal_edits_of_their_values(seed):
    maker = Maker(seed)
    text = maker.text()
    chance = maker.random
    for _ in range(4):
        before = value(text)
        names = list(before["steps"])
        step = chance.choice(names)
        path = chance.choice([p for p in _paths(before["steps"][step]) if p[:1] not in [("node",), ("needs",)] and p] or [("new",)])
        path = path if chance.random() < 0.6 else (*path[: chance.randint(0, len(path) - 1)], "added")
        new = chance.choice(VALUES)
        changed = editing.set_parameter(text, step, path, new)
        assert value(changed) == _model_set(before, ("steps", step, *path), new)
        outside = _other_lines(text, step)
        assert outside == _other_lines(changed, step), "lines of other steps changed"
        text = changed
    _structure(text, chance)


def _other_lines(text: str, step: str) -> list[str]:
    """The lines before a step's own and after the next step's begin."""
    places, names = parse(text).places, editing.step_names(text)
    lines, number = text.splitlines(keepends=True), names.index(step)
    first = places["steps", step][0]
    after = places["steps", names[number + 1]][0] if number + 1 < len(names) else None
    return lines[: first - 1] + (lines[after - 1 :] if after else [])


def _structure(text: str, chance: random.Random) -> None:
    before = value(text)
    names = list(before["steps"])
    gone = chance.choice(names)
    after = value(editing.remove_step(text, gone))
    assert list(after["steps"]) == [name for name in names if name != gone]
    assert gone not in str([step.get("needs") for step in after["steps"].values()])
    renamed = editing.rename_step(text, gone, "renamed")
    assert editing.rename_step(renamed, "renamed", gone) == text
    order = editing.step_names(editing.move_step(text, gone, names[0])) if gone != names[0] else names
    assert order == [gone, *(name for name in names if name != gone)]
    added = editing.add_step(text, "added", {"node": "y", "needs": names})
    assert value(added)["steps"]["added"] == {"node": "y", "needs": names}
    assert kept(text, added) == [] or not text.endswith("\n")
    places = {name: (number, 5) for number, name in enumerate(names)}
    assert {name: tuple(step["position"]) for name, step in value(editing.place_steps(text, places))["steps"].items()} == places


def test_the_folder_of_a_document_plays_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert editing.put("a: 1\n", ("a",), 2) == "a: 2\n"
