"""The mapping editor's view of a file: recognised, edited, incomplete; what it shows is what an import stores."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.data import views
from app.data.mapping_preview import SHAPES
from app.errors import DatasetError
from app.store import Store
from app.store.datasets import open_dataset
from app.store.profile import project_dir

CHAT = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
PAIR = [("user", "q"), ("assistant", "a")]


def lines(folder: Path, *records: Any) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in records), encoding="utf-8")
    return path


CASES: list[tuple[dict[str, Any], str, dict[str, str], list[tuple[str, str]]]] = [
    ({"prompt": "q", "completion": "a"}, "prompt", {"prompt": "prompt", "answer": "completion"}, PAIR),
    (
        {"instruction": "q", "input": "i", "output": "a"},
        "instruction",
        {"prompt": "instruction", "context": "input", "answer": "output"},
        [("user", "q\n\ni"), ("assistant", "a")],
    ),
    ({"messages": CHAT}, "chat", {"messages": "messages"}, PAIR),
    (
        {"system": "s", "prompt": "q", "chosen": "x", "rejected": "y"},
        "preference",
        {"prompt": "prompt", "chosen": "chosen", "rejected": "rejected", "system": "system"},
        [("system", "s"), ("user", "q"), ("chosen", "x"), ("rejected", "y")],
    ),
    ({"text": "words"}, "text", {"text": "text"}, [("text", "words")]),
    ({"Frage": "q", "Antwort": "a"}, "prompt", {"prompt": "Frage", "answer": "Antwort"}, PAIR),
]


@pytest.mark.parametrize(("record", "shape", "mapping", "parts"), CASES)
def test_preview_shows_what_the_import_stores(
    record: dict[str, Any], shape: str, mapping: dict[str, str], parts: list[tuple[str, str]], tmp_path: Path, store: Store
) -> None:
    path = lines(tmp_path, record | {"id": 7})
    seen = views.preview_mapping(path)
    assert (seen.shape, seen.mapping, seen.problems, seen.usable) == (shape, mapping, [], True)
    assert (seen.rows[0].parts, seen.rows[0].meta) == (parts, {"id": "7"})
    assert {one.name: one.role for one in seen.columns} == {column: role for role, column in mapping.items()} | {"id": ""}
    done = views.import_for_window(store, str(path), seen.for_import())
    with open_dataset(store, done.dataset) as db:
        (row,) = db.iter_rows(done.version)
    stored = [(one["role"], one["content"]) for one in row.messages]
    stored += [(part, text) for part, text in (("chosen", row.chosen), ("rejected", row.rejected), ("text", row.text)) if text]
    assert stored == parts
    assert row.meta == {"id": 7}


def test_unknown_columns_become_a_shape_by_editing(tmp_path: Path, store: Store) -> None:
    path = lines(tmp_path, {"sachverhalt": "q", "beurteilung": "a"}, {"sachverhalt": "", "beurteilung": "b"}, "{")
    seen = views.preview_mapping(path)
    assert (seen.shape, seen.usable, seen.rows) == ("", False, [])
    assert seen.problems == ["The shape was not recognised: say which column plays which part."]
    assert [(one.name, one.samples) for one in seen.columns] == [("sachverhalt", ["q"]), ("beurteilung", ["a", "b"])]
    half = views.preview_mapping(path, {"shape": "prompt", "prompt": "sachverhalt"})
    assert (half.problems, half.usable) == (["Choose the column for: Answer."], False)
    whole = views.preview_mapping(path, {"shape": "prompt", "prompt": "sachverhalt", "answer": "beurteilung"})
    assert [(row.number, row.parts, row.problem) for row in whole.rows] == [(1, PAIR, ""), (2, [], "sachverhalt is empty")]
    assert whole.usable
    assert whole.problems == ["2 of the first 3 rows would be set aside; row 2: sachverhalt is empty."]
    assert views.import_for_window(store, str(path), whole.for_import()).rows == 1


@pytest.mark.parametrize(
    ("mapping", "problem"),
    [
        ({"shape": "chat"}, "Choose the column for: List of messages."),
        ({"shape": "text", "text": "none"}, "There is no column 'none' in this file."),
        ({"shape": "prompt", "prompt": "prompt", "answer": "prompt"}, "The column 'prompt' plays two parts."),
    ],
)
def test_mapping_that_does_not_fit_is_said_in_a_sentence(mapping: dict[str, str], problem: str, tmp_path: Path) -> None:
    seen = views.preview_mapping(lines(tmp_path, {"prompt": "q", "completion": "a"}), mapping)
    assert (seen.problems, seen.usable) == ([problem], False)


def test_mapping_without_a_needed_part_is_refused_by_the_import(tmp_path: Path, store: Store) -> None:
    with pytest.raises(DatasetError) as caught:
        views.import_for_window(store, str(lines(tmp_path, {"q": "a"})), {"shape": "prompt", "prompt": "q"})
    assert (caught.value.code, caught.value.where.field) == ("dataset.bad_mapping", "mapping.answer")


def test_file_that_cannot_be_read_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"PAR1" + bytes(50) + b"PAR1")
    with pytest.raises(DatasetError) as caught:
        views.preview_mapping(tmp_path / "bad.parquet")
    assert caught.value.code == "dataset.damaged_parquet"


def test_every_shape_names_a_part_that_is_needed() -> None:
    assert [one.shape for one in SHAPES] == ["prompt", "instruction", "chat", "preference", "text"]
    assert all(any(role.needed for role in one.roles) for one in SHAPES)


def test_the_module_is_light_to_import() -> None:
    code = "import sys, app.data.mapping_preview; print([n for n in ('pydantic', 'orjson', 'pyarrow', 'torch') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=project_dir(), check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("header", "said"), [
    ("question,answer", False), ("Bezeichnung des Vorgangs,Antwort (kurz)", False), ("Patient Anna phoned about bill 7 in May,ok", True),
    ("anna@mail.example,ok", True), ("0049301234567,ok", True),
])
def test_a_file_without_a_line_of_names_is_noticed(header: str, said: bool, tmp_path: Path, store: Store) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f"{header}\nWhat is due?,Nothing.\n", encoding="utf-8")
    first, second = header.split(",")
    mapping = {"shape": "prompt", "prompt": first, "answer": second}
    assert any("no such line" in note for note in views.preview_mapping(path, mapping).notes) == said
    assert any("no such line" in note for note in views.import_for_window(store, str(path), mapping).warnings) == said


def test_only_a_table_has_a_line_of_names(tmp_path: Path) -> None:
    path = lines(tmp_path, {"anna@mail.example": "q", "answer": "a"})
    assert not views.preview_mapping(path, {"shape": "prompt", "prompt": "anna@mail.example", "answer": "answer"}).notes
