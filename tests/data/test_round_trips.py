"""Every format in and out again: the same rows, metadata, types and splits."""

from __future__ import annotations

import csv
import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.data import api
from app.data.export import flat
from app.data.guard import MARK, guarded, unguarded
from app.errors import DatasetError, UsageError
from app.store import Store
from app.store.datasets import open_dataset
from app.store.records import Row

PAIRS = [
    {"prompt": "What is a lien?", "answer": "A right over property.", "id": 1, "score": 0.5, "ok": True, "tags": ["a", "b"]},
    {"prompt": "Wie heißt „Pfandrecht“?", "answer": "Ein Recht\nan einer Sache.", "id": 2, "score": 2.25, "ok": False, "tags": []},
    {"prompt": "emoji 👩‍👩‍👧", "answer": "'quoted', \"both\"", "id": 3, "score": -1.0, "ok": None, "tags": ["c"]},
]
WORDS = [{key: str(value) for key, value in row.items() if key in ("prompt", "answer", "id")} for row in PAIRS]


def rows_of(store: Store, done: Any) -> list[Row]:
    with open_dataset(store, done.dataset) as db:
        return list(db.iter_rows(done.version))


def content(store: Store, done: Any) -> list[tuple[dict[str, Any], str]]:
    return [(row.payload(), row.split) for row in rows_of(store, done)]


def jsonl(rows: list[dict[str, Any]]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / "data.jsonl"
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        return path

    return make


def json_list(folder: Path) -> Path:
    (folder / "data.json").write_text(json.dumps(PAIRS, indent=2), encoding="utf-8")
    return folder / "data.json"


def packed(make: Callable[[Path], Path]) -> Callable[[Path], Path]:
    def pack(folder: Path) -> Path:
        plain = make(folder)
        path = plain.with_name(f"{plain.name}.gz")
        path.write_bytes(gzip.compress(plain.read_bytes()))
        return path

    return pack


def table(name: str, delimiter: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / name
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(WORDS[0]), delimiter=delimiter)
            writer.writeheader()
            writer.writerows(WORDS)
        return path

    return make


def parquet(folder: Path) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(PAIRS), folder / "data.parquet")
    return folder / "data.parquet"


def excel(folder: Path) -> Path:
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(list(WORDS[0]))
    for row in WORDS:
        sheet.append(list(row.values()))
    book.save(folder / "data.xlsx")
    return folder / "data.xlsx"


def note(folder: Path) -> Path:
    (folder / "note.txt").write_text("First paragraph.\n\nSecond, with ü.\n", encoding="utf-8")
    return folder / "note.txt"


def markdown(folder: Path) -> Path:
    (folder / "note.md").write_text("# Top\n\nOne.\n\n## Inner\n\nTwo.\n", encoding="utf-8")
    return folder / "note.md"


def word(folder: Path) -> Path:
    import docx

    document = docx.Document()
    document.add_heading("Duties", 1)
    document.add_paragraph("A trustee acts in good faith.")
    document.save(str(folder / "note.docx"))
    return folder / "note.docx"


def pdf(folder: Path) -> Path:
    stream = b"BT /F1 12 Tf 72 720 Td (A trustee acts in good faith.) Tj ET"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    body, offsets = b"%PDF-1.4\n", []
    for number, one in enumerate(objects, start=1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, one)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    tail = b"xref\n0 6\n0000000000 65535 f \n%strailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (table, len(body))
    (folder / "note.pdf").write_bytes(body + tail)
    return folder / "note.pdf"


CHAT: list[dict[str, Any]] = [
    {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
    {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "r"}], "source": "x"},
]
INSTRUCTION: list[dict[str, Any]] = [
    {"instruction": "Summarise.", "input": "A long text.", "output": "Short.", "system": "Be brief.", "id": 4},
    {"instruction": "Say no.", "input": "", "output": "No.", "system": "", "id": 5},
]
COMPLETION: list[dict[str, Any]] = [{"prompt": "Once", "completion": " upon a time", "id": 6}]
PLAIN: list[dict[str, Any]] = [{"text": "A trustee acts in good faith.", "source": "x"}, {"text": "Zwei\nZeilen", "source": None}]
SYSTEM_PREFERENCE = [{"system": "s", "prompt": "q", "chosen": "good", "rejected": "bad", "by": 7}]
PREFERENCE = [{"prompt": "q", "chosen": "good", "rejected": "bad", "by": 7}]
LONG_PREFERENCE: list[dict[str, Any]] = [
    {
        "chosen": [*CHAT[0]["messages"], {"role": "user", "content": "c"}, {"role": "assistant", "content": "good"}],
        "rejected": [*CHAT[0]["messages"], {"role": "user", "content": "c"}, {"role": "assistant", "content": "bad"}],
    }
]
CLASH: list[dict[str, Any]] = [{"question": "q", "answer": "a", "text": "meta text", "prompt2": "z", "content": {"deep": [1, None, 2.5]}}]
SPLIT = [{"prompt": f"q{number}", "answer": "a", "split": split} for number, split in enumerate(["train", "val", "test", ""])]
SOURCES = [
    pytest.param(jsonl(PAIRS), id="JSON lines"),
    pytest.param(json_list, id="JSON list"),
    pytest.param(packed(jsonl(PAIRS)), id="JSON lines, gzip"),
    pytest.param(packed(json_list), id="JSON list, gzip"),
    pytest.param(packed(table("data.csv", ",")), id="CSV, gzip"),
    pytest.param(packed(table("data.tsv", "\t")), id="TSV, gzip"),
    pytest.param(packed(note), id="text, gzip"),
    pytest.param(packed(markdown), id="Markdown, gzip"),
    pytest.param(table("data.csv", ","), id="CSV"),
    pytest.param(table("data.tsv", "\t"), id="TSV"),
    pytest.param(table("semi.csv", ";"), id="CSV with semicolons"),
    pytest.param(parquet, id="Parquet"),
    pytest.param(excel, id="Excel"),
    pytest.param(note, id="text"),
    pytest.param(markdown, id="Markdown"),
    pytest.param(word, id="Word"),
    pytest.param(pdf, id="PDF"),
    pytest.param(jsonl(INSTRUCTION), id="instruction"),
    pytest.param(jsonl(COMPLETION), id="prompt and completion"),
    pytest.param(jsonl(PLAIN), id="plain text"),
    pytest.param(jsonl(CHAT), id="chat"),
    pytest.param(jsonl(PREFERENCE), id="preference"),
    pytest.param(jsonl(SYSTEM_PREFERENCE), id="preference with a system message"),
    pytest.param(jsonl(LONG_PREFERENCE), id="preference between conversations"),
    pytest.param(jsonl(CLASH), id="metadata named like a part"),
    pytest.param(jsonl(SPLIT), id="split"),
]


TYPED = [
    jsonl([{"prompt": "q", "answer": "a", "id": 1, "score": 0.5, "ok": True}]),
    jsonl(SPLIT),
    jsonl(PREFERENCE),
    jsonl(PLAIN),
    jsonl(COMPLETION),
]
WORDY = [table("data.csv", ","), table("data.tsv", "\t"), excel, jsonl(SPLIT), jsonl(CHAT[1:]), jsonl(PLAIN[:1])]
CASES = [
    *(pytest.param(source.values[0], ".jsonl", id=f"{source.id} as JSON lines") for source in SOURCES),
    *(pytest.param(make, ".parquet", id=f"typed columns {number} as Parquet") for number, make in enumerate(TYPED)),
    *(pytest.param(make, ".csv", id=f"words {number} as CSV") for number, make in enumerate(WORDY)),
]


@pytest.mark.parametrize(("make", "ending"), CASES)
def test_what_came_in_comes_out_and_in_again(make: Callable[[Path], Path], ending: str, tmp_path: Path, store: Store) -> None:
    first = api.import_file(store, make(tmp_path), name="first")
    assert first.rejected == 0
    out = tmp_path / f"out{ending}"
    assert api.export_version(store, "first", to=out).rows == first.rows
    again = api.import_file(store, out, name="again")
    assert content(store, again) == content(store, first)
    assert again.content_hash == first.content_hash
    assert again.splits == first.splits


@pytest.mark.parametrize(("make", "words"), [(word, "trustee acts"), (pdf, "trustee acts"), (markdown, "Two."), (note, "ü")])
def test_documents_become_text_with_their_place(make: Callable[[Path], Path], words: str, tmp_path: Path, store: Store) -> None:
    path = make(tmp_path)
    rows = rows_of(store, api.import_file(store, path))
    assert any(words in row.text for row in rows)
    assert all(row.shape == "text" and row.meta["document"] == path.name for row in rows)


def test_types_of_metadata_are_kept(tmp_path: Path, store: Store) -> None:
    for make in (jsonl(PAIRS), json_list, parquet):
        (row, *_) = rows_of(store, api.import_file(store, make(tmp_path), name=make.__name__))
        assert row.meta == {"id": 1, "score": 0.5, "ok": True, "tags": ["a", "b"]}
        assert type(row.meta["ok"]) is bool
        assert type(row.meta["id"]) is int


def test_no_formula_leaves_in_csv_and_none_is_changed_in_json_lines(tmp_path: Path, store: Store) -> None:
    rows = [{"prompt": "=cmd()|'/c calc'!A0", "answer": "-1+1", "x": "@a"}, {"prompt": "plain", "answer": "+1", "x": "\tb"}]
    first = api.import_file(store, jsonl(rows)(tmp_path), name="first")
    api.export_version(store, "first", to=tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as stream:
        cells = [cell for line in csv.reader(stream) for cell in line]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t"))]
    api.export_version(store, "first", to=tmp_path / "out.jsonl")
    assert content(store, api.import_file(store, tmp_path / "out.jsonl", name="again")) == content(store, first)


@pytest.mark.parametrize("value", ["=1", "+1", "-1+1", "-x", "@x", "\tx", "\rx", "'=1", "''=cmd()", "\uff1d1", "\uff0b1", "\uff20x", "\n=1", MARK, f"'{MARK}"])
def test_cell_that_begins_like_a_formula_is_guarded_and_freed_again(value: str) -> None:
    assert guarded(value) == f"'{value}"
    assert unguarded(guarded(value)) == value


@pytest.mark.parametrize("value", ["", "x", "'x", "'", "-1", "-1.5e-3", f"{MARK}s", "a=b", " =1", "\nx"])
def test_other_cells_are_not_guarded(value: str) -> None:
    assert guarded(value) == value
    assert unguarded(value) == value


def _tables(count: int) -> list[list[dict[str, Any]]]:
    """Tables of short values made of the signs that CSV, spreadsheets and the guard care about; always the same ones."""
    chance = random.Random(7)
    signs = ["=", "+", "-", "@", "\t", "\r", "\n", "'", '"', ",", ";", "|", " ", "1", "a", "é", "\\", MARK]
    names = ["prompt", "answer", "=name", "'=name", "a;b;c;d", "tab\there", MARK, "-1"]

    def value() -> str:
        return "".join(chance.choice(signs) for _ in range(chance.randint(1, 5))) + chance.choice(["", "x"])

    return [[{name: value() + ("." if name in names[:2] else "") for name in names} for _ in range(12)] for _ in range(count)]


@pytest.mark.parametrize("table", [*_tables(12), [{"prompt": "plain", "answer": "a"}], [{"prompt": "-1", "answer": "'x"}]])
def test_every_value_survives_a_way_through_csv(table: list[dict[str, Any]], tmp_path: Path, store: Store) -> None:
    first = api.import_file(store, jsonl(table)(tmp_path), name="first")
    api.export_version(store, "first", to=tmp_path / "out.csv")
    again = api.import_file(store, tmp_path / "out.csv", name="again")
    assert content(store, again) == content(store, first)
    assert again.content_hash == first.content_hash


def test_guarded_cell_of_another_programs_file_stays_as_it_is(tmp_path: Path, store: Store) -> None:
    (tmp_path / "theirs.csv").write_text("prompt,answer\n'=1,'-x\n", encoding="utf-8")
    (row,) = rows_of(store, api.import_file(store, tmp_path / "theirs.csv"))
    assert [one["content"] for one in row.messages] == ["'=1", "'-x"]


def test_metadata_named_like_another_column_is_not_lost() -> None:
    meta = {"text": 1, "text_metadata": 2, "a.b": 3, "a": {"b": 4}, "split": 5, "split_used": 6}
    record = flat(Row("text", text="words", meta=meta, split="train"), {}, "split")
    assert record == {
        "text": "words",
        "text_metadata_metadata": 1,
        "text_metadata": 2,
        "a.b": 3,
        "a": {"b": 4},
        "split": 5,
        "split_used": 6,
        "split_used_used": "train",
    }


def test_export_faults_are_typed_and_leave_nothing(tmp_path: Path, store: Store) -> None:
    api.import_file(store, jsonl(PAIRS)(tmp_path), name="first")
    with pytest.raises(UsageError) as kind:
        api.export_version(store, "first", to=tmp_path / "out.xml")
    assert kind.value.code == "dataset.unknown_export"
    with pytest.raises(DatasetError) as folder:
        api.export_version(store, "first", to=tmp_path / "none" / "out.csv")
    assert folder.value.code == "dataset.unwritable"
    with pytest.raises(UsageError) as version:
        api.export_version(store, "first", version=9, to=tmp_path / "out.csv")
    assert version.value.code == "dataset.no_such_version"
    assert sorted(path.name for path in tmp_path.glob("*out*")) == []
