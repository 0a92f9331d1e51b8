"""Import: shapes, mapping, rows set aside, splits, encodings, stopping, content hash and the node."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from app.data import api, views
from app.data.import_node import Import, ImportParams
from app.errors import Cancelled, DatasetError, UsageError
from app.store import Store
from app.store.datasets import open_dataset
from app.store.records import Row
from tests.context import FakeContext

CHAT = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]


def lines(path: Path, *records: Any) -> Path:
    path.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in records), encoding="utf-8")
    return path


def rows_of(store: Store, done: Any) -> list[Row]:
    with open_dataset(store, done.dataset) as db:
        return list(db.iter_rows(done.version))


SHAPES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"prompt": "q", "completion": "a"}, {"shape": "chat", "messages": CHAT}),
    ({"Question": "q", "Answer": "a"}, {"shape": "chat", "messages": CHAT}),
    (
        {"instruction": "q", "input": "more", "output": "a"},
        {"shape": "chat", "messages": [{"role": "user", "content": "q\n\nmore"}, CHAT[1]]},
    ),
    ({"messages": CHAT}, {"shape": "chat", "messages": CHAT}),
    ({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}, {"shape": "chat", "messages": CHAT}),
    (
        {"system": "s", "prompt": "q", "answer": "a"},
        {"shape": "chat", "messages": [{"role": "system", "content": "s"}, *CHAT]},
    ),
    (
        {"prompt": "q", "chosen": "x", "rejected": "y"},
        {"shape": "preference", "messages": CHAT[:1], "chosen": "x", "rejected": "y"},
    ),
    ({"text": "words"}, {"shape": "text", "text": "words"}),
]


@pytest.mark.parametrize(("record", "payload"), SHAPES)
def test_shape_is_recognised(record: dict[str, Any], payload: dict[str, Any], tmp_path: Path, store: Store) -> None:
    (row,) = rows_of(store, api.import_file(store, lines(tmp_path / "a.jsonl", record)))
    assert row.payload() == payload


def test_edited_mapping_is_used_and_other_columns_stay(tmp_path: Path, store: Store) -> None:
    path = lines(tmp_path / "a.jsonl", {"prompt": "no", "answer": "no", "q": "yes?", "r": "yes"})
    (row,) = rows_of(store, api.import_file(store, path, mapping={"shape": "chat", "prompt": "q", "answer": "r"}))
    assert [one["content"] for one in row.messages] == ["yes?", "yes"]
    assert row.meta == {"prompt": "no", "answer": "no"}


@pytest.mark.parametrize(
    ("mapping", "code", "field"),
    [
        ({"shape": "chat", "promt": "q"}, "dataset.bad_mapping", "mapping.promt"),
        ({"shape": "poem"}, "dataset.bad_mapping", "mapping.shape"),
        ({"shape": "text", "text": "none"}, "dataset.no_such_column", "none"),
        ({"shape": "chat", "prompt": "q", "answer": "q"}, "dataset.bad_mapping", "mapping.prompt"),
        ({"shape": "text", "text": "q", "answer": "a"}, "dataset.bad_mapping", "mapping.answer"),
        ({"shape": "preference", "chosen": "q", "rejected": "a", "text": "a"}, "dataset.bad_mapping", "mapping.text"),
    ],
)
def test_wrong_mapping_is_refused(mapping: dict[str, str], code: str, field: str, tmp_path: Path, store: Store) -> None:
    with pytest.raises(DatasetError) as caught:
        api.import_file(store, lines(tmp_path / "a.jsonl", {"q": "a", "r": "b"}), mapping=mapping)
    assert (caught.value.code, caught.value.where.field) == (code, field)
    assert api.list_datasets(store) == []


def test_bad_rows_are_set_aside_and_good_ones_keep_their_number(tmp_path: Path, store: Store) -> None:
    good = {"prompt": "q", "answer": "a"}
    path = lines(tmp_path / "a.jsonl", good, {"prompt": "", "answer": "a"}, "{oops", good, {"prompt": "q", "answer": "  "})
    done = api.import_file(store, path)
    assert [row.position for row in rows_of(store, done)] == [1, 4]
    assert done.rejects_file is not None
    found = [json.loads(line) for line in Path(done.rejects_file).read_text().splitlines()]
    assert [(one["row"], one["reason"].partition(":")[0]) for one in found] == [
        (2, "prompt is empty"),
        (3, "it is not valid JSON"),
        (5, "answer is blank"),
    ]
    assert found[1]["raw"] == "{oops"


def test_window_and_workflow_leave_no_row_unencrypted(tmp_path: Path, store: Store) -> None:
    path = lines(tmp_path / "a.jsonl", {"prompt": "q", "answer": "a"}, {"prompt": "Canary Svensson", "answer": ""})
    done = views.import_for_window(store, str(path))
    assert (done.rejected, done.rejects_file) == (1, None)
    Import(ImportParams.model_validate({"path": str(path), "name": "again"})).run(FakeContext(store, tmp_path))
    assert not [file for file in store.profile.home.rglob("*") if file.is_file() and b"Canary Svensson" in file.read_bytes()]


@pytest.mark.parametrize(("content", "found"), [
    pytest.param("question,answer,\na,b,c\n", [("a", "b", {"column 3": "c"})], id="a column without a name"),
    pytest.param("question,answer,,\na,b,c,d\n", [("a", "b", {"column 3": "c", "column 4": "d"})], id="two of them"),
    pytest.param('sep=;\nquestion;answer\n"a;1";b\n', [("a;1", "b", {})], id="a line that names the separator"),
    pytest.param("sep=\t\nquestion\tanswer\na, b\tc\n", [("a, b", "c", {})], id="the same, a tab"),
])
def test_tables_are_read_as_other_programs_write_them(content: str, found: list[Any], tmp_path: Path, store: Store) -> None:
    (tmp_path / "t.csv").write_text(content, encoding="utf-8")
    rows = rows_of(store, api.import_file(store, tmp_path / "t.csv"))
    assert [(row.messages[0]["content"], row.messages[1]["content"], row.meta) for row in rows] == found


@pytest.mark.parametrize(("file", "name", "known"), [
    pytest.param("sales.2023.csv", None, "sales.2023", id="a point in the file's name"), pytest.param("sales.csv", None, "sales", id="plain"),
    pytest.param("sales.2023.CSV", "Sales ", "Sales", id="a name of its own"), pytest.param(".hidden.csv", None, ".hidden", id="hidden file"),
    pytest.param("a\nb.csv", None, "a_b", id="a line break in the file's name"),
])
def test_a_dataset_is_called_like_its_file(file: str, name: str | None, known: str, tmp_path: Path, store: Store) -> None:
    (tmp_path / file).write_text("question,answer\na,b\n", encoding="utf-8")
    assert api.import_file(store, tmp_path / file, name=name).name == known


@pytest.mark.parametrize("name", ["a\nb", "x" * 201, " ", "\u202eevil"])
def test_a_name_that_no_list_can_show_is_refused(name: str, tmp_path: Path, store: Store) -> None:
    (tmp_path / "a.csv").write_text("question,answer\na,b\n", encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        api.import_file(store, tmp_path / "a.csv", name=name)
    assert caught.value.code == "dataset.bad_name"
    assert store.rows("SELECT * FROM datasets") == []


@pytest.mark.parametrize("split_field", [None, ""])
def test_a_column_called_nothing_is_kept(split_field: str | None, tmp_path: Path, store: Store) -> None:
    path = lines(tmp_path / "a.jsonl", *({"prompt": f"q{number}", "answer": "a", "": number} for number in range(3)))
    done = api.import_file(store, path, split_field=split_field)
    assert [row.meta for row in rows_of(store, done)] == [{"": 0}, {"": 1}, {"": 2}]


def test_lone_carriage_returns_are_told_in_words(tmp_path: Path, store: Store) -> None:
    (tmp_path / "mac.csv").write_bytes(b"question,answer\ra,b\rc,d\r")
    with pytest.raises(DatasetError, match=r"carriage return alone.*usual line ends") as caught:
        api.import_file(store, tmp_path / "mac.csv")
    assert caught.value.code == "dataset.bad_csv"


def test_durations_and_other_values_that_json_lacks_become_text(tmp_path: Path, store: Store) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"prompt": ["q"], "answer": ["a"], "took": pa.array([90], pa.duration("s")),
                             "when": pa.array([0], pa.timestamp("s"))}), tmp_path / "t.parquet")
    (row,) = rows_of(store, api.import_file(store, tmp_path / "t.parquet"))
    assert row.meta == {"took": "0:01:30", "when": "1970-01-01T00:00:00"}


def test_sheets_that_are_not_read_are_named(tmp_path: Path, store: Store) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    for title in ("Cases", "More", "Empty"):
        sheet = book.create_sheet(title)
        for row in [("question", "answer"), ("q", title)] if title != "Empty" else []:
            sheet.append(row)
    book.remove(book.worksheets[0])
    book.save(tmp_path / "t.xlsx")
    done = api.import_file(store, tmp_path / "t.xlsx")
    assert [row.messages[1]["content"] for row in rows_of(store, done)] == ["Cases"]
    assert done.warnings == ["Only the first sheet, “Cases”, was read; “More” was not. Save a sheet as a file of its own to import it."]


@pytest.mark.parametrize(("above", "told"), [
    pytest.param([("Questions of the firm",), (), ("March 2026",)], ["“Questions of the firm” above the names of the columns"], id="title"),
    pytest.param([], [], id="none")])
def test_a_title_above_the_names_of_the_columns_is_left_out(tmp_path: Path, store: Store, above: list[Any], told: list[str]) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    for row in [*above, ("question", "answer"), ("q", "a"), ("only a question",)]:
        book.active.append(row)
    book.save(tmp_path / "t.xlsx")
    done = api.import_file(store, tmp_path / "t.xlsx")
    assert [[one["content"] for one in row.messages] for row in rows_of(store, done)] == [["q", "a"]]
    assert [warning.partition(" was taken")[0] for warning in done.warnings] == told


def test_a_sheet_of_one_column_keeps_its_rows_above_a_stray_cell(tmp_path: Path, store: Store) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    for row in [("text",), ("one",), ("two", 7), ("three",)]:
        book.active.append(row)
    book.save(tmp_path / "t.xlsx")
    assert [row.text for row in rows_of(store, api.import_file(store, tmp_path / "t.xlsx"))] == ["one", "three"]


def test_a_message_that_calls_a_tool_is_set_aside(tmp_path: Path, store: Store) -> None:
    calling = [CHAT[0], {"role": "assistant", "content": "One moment.", "tool_calls": [{"id": "1"}]}, CHAT[0], CHAT[1]]
    done = api.import_file(store, lines(tmp_path / "a.jsonl", {"messages": CHAT}, {"messages": calling}))
    assert (done.rows, done.rejected) == (1, 1)
    assert "calls a tool" in Path(str(done.rejects_file)).read_text(encoding="utf-8")


def test_stop_at_the_first_bad_row_keeps_nothing(tmp_path: Path, store: Store) -> None:
    with pytest.raises(DatasetError) as caught:
        api.import_file(store, lines(tmp_path / "a.jsonl", {"text": "x"}, "{oops"), on_bad="stop")
    assert (caught.value.code, caught.value.where.line) == ("dataset.bad_row", 2)
    assert api.list_datasets(store) == []


def test_split_words_are_understood_and_others_set_aside(tmp_path: Path, store: Store) -> None:
    words = ["train", "Validation", "dev", "TEST", "eval", "", "elsewhere"]
    path = lines(tmp_path / "a.jsonl", *({"text": f"row {word}", "fold": word} for word in words))
    done = api.import_file(store, path, split_field="fold")
    assert [row.split for row in rows_of(store, done)] == ["train", "calibration", "calibration", "test", "test", ""]
    assert done.rejected == 1
    assert done.splits == {"train": 1, "calibration": 2, "test": 2, "": 1}


def test_split_column_that_is_not_there_is_refused(tmp_path: Path, store: Store) -> None:
    with pytest.raises(DatasetError) as caught:
        api.import_file(store, lines(tmp_path / "a.jsonl", {"text": "x"}), split_field="fold")
    assert (caught.value.code, caught.value.where.field) == ("dataset.no_such_column", "fold")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_encoding_is_recognised(encoding: str, name: str, tmp_path: Path, store: Store) -> None:
    text = "question,answer\nWas heißt „Bürge“?,Überschuldung – naïve\n"
    if name == "a.jsonl":
        text = '{"question": "Was heißt „Bürge“?", "answer": "Überschuldung – naïve"}\n'
    mark = {"utf-16-le": "\ufeff", "utf-16-be": "\ufeff"}.get(encoding, "")
    (tmp_path / name).write_bytes((mark + text * 1).encode(encoding))
    (row,) = rows_of(store, api.import_file(store, tmp_path / name))
    assert [one["content"] for one in row.messages] == ["Was heißt „Bürge“?", "Überschuldung – naïve"]


def test_garbled_letters_are_mended_and_said(tmp_path: Path, store: Store) -> None:
    done = api.import_file(store, lines(tmp_path / "a.jsonl", {"text": "cafÃ© naÃ¯ve"}, {"text": "plain"}))
    assert [row.text for row in rows_of(store, done)] == ["café naïve", "plain"]
    assert [one for one in done.warnings if one.startswith("1 rows held garbled letters")]


@pytest.mark.parametrize("earlier", [0, 1])
def test_stopping_leaves_no_row_of_the_version(earlier: int, tmp_path: Path, store: Store) -> None:
    path = lines(tmp_path / "a.jsonl", *({"text": f"row {number}"} for number in range(9000)))
    if earlier:
        api.import_file(store, lines(tmp_path / "b.jsonl", {"text": "kept"}), name="a")

    def stop(_fraction: float, message: str) -> None:
        if not message.startswith("0 rows"):
            raise Cancelled

    with pytest.raises(Cancelled):
        api.import_file(store, path, name="a", progress=stop)
    found = api.list_datasets(store)
    assert len(found) == earlier
    for one in found:
        assert [(version["state"], version["rows"]) for version in one["versions"]] == [("ready", 1), ("failed", 0)]
        with open_dataset(store, one["dataset"]) as db:
            assert db.conn.execute("SELECT count(*) FROM rows").fetchone()[0] == 1
            assert db.conn.execute("SELECT count(*) FROM version_rows").fetchone()[0] == 1


def test_same_file_twice_has_the_same_content_and_is_said(tmp_path: Path, store: Store) -> None:
    path = lines(tmp_path / "a.jsonl", {"text": "x"}, {"text": "y"}, {"text": "x"})
    first, second = api.import_file(store, path), api.import_file(store, path)
    assert (first.version, second.version) == (1, 2)
    assert first.content_hash == second.content_hash
    assert second.warnings == ["Version 2 has the same content as version 1."]
    with open_dataset(store, first.dataset) as db:
        assert db.conn.execute("SELECT count(*) FROM rows").fetchone()[0] == 2, "equal rows are stored once"
    changed = api.import_file(store, lines(path, {"text": "x"}, {"text": "z"}))
    assert changed.content_hash != first.content_hash


def test_node_imports_and_names_the_version(tmp_path: Path, store: Store) -> None:
    path = lines(tmp_path / "a.jsonl", {"prompt": "q", "answer": "a"}, "{oops")
    ctx = FakeContext(store, tmp_path)
    made = Import(ImportParams(path=path, name="mine")).run(ctx)["rows"].model_dump()
    assert (made["rows"], made["version"]) == (1, 1)
    assert ctx.said("1 rows, 1 set aside")
    assert api.list_datasets(store)[0]["name"] == "mine"


def test_misspelt_parameter_of_the_node_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError) as caught:
        ImportParams.model_validate({"path": tmp_path, "split_feild": "x"})
    assert caught.value.errors()[0]["loc"] == ("split_feild",)


def test_node_fingerprint_follows_the_content(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", {"text": "x"})
    node = Import(ImportParams(path=path))
    before = node.fingerprint()
    assert node.fingerprint() == before
    lines(path, {"text": "y"})
    assert node.fingerprint() != before
