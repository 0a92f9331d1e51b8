"""Every bad file ends in a typed error or in rows set aside with reasons: quickly, in bounded memory, leaving nothing behind.

The imports run in a process of their own, whose memory (with that of its children) is watched from here.
"""

from __future__ import annotations

import gzip
import json
import os
import struct
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from app.store import Store
from app.store.profile import project_dir

MOST_SECONDS = 10
"""By the wall clock, from the order to the answer.  The slowest case takes 4.4 s on two busy processors."""
MOST_CROWD = 3
"""Where more programs want to run than there are processors, the wall clock gets as many times longer, up to this."""
MOST_COMPUTING = 5
"""Processor seconds, those of child processes too: has no such margin."""
MOST_MEMORY = 500e6
GOOD = '{"prompt": "What is a lien?", "answer": "A right over property."}\n'
_SERVER = """
import json, sys
from app.data import api
from app.errors import NeuroWeaverError
from app.store import Store, Profile
from pathlib import Path
print("ready", flush=True)
for line in sys.stdin:
    job = json.loads(line)
    with Store.open(Profile(Path(job["home"]))) as store:
        try:
            done = api.import_file(store, job["path"], name="bad")
            said = {"rows": done.rows, "rejected": done.rejected, "warnings": done.warnings, "rejects_file": done.rejects_file}
        except NeuroWeaverError as problem:
            said = {"error": problem.as_json(), "bad_input": problem.bad_input}
    print(json.dumps(said), flush=True)
"""


class Importer:
    """Imports in another process and measures it."""

    def __init__(self) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-c", _SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=project_dir(),
        )
        assert self._child.stdout is not None
        assert self._child.stdout.readline() == "ready\n", self._child.communicate()[1]
        self.peak = 0.0

    def __call__(self, path: Path, home: Path) -> dict[str, Any]:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        done = threading.Event()
        self.peak = 0.0
        watch = threading.Thread(target=self._watch, args=(done,))
        watch.start()
        began, used = time.monotonic(), self._used()
        self._child.stdin.write(json.dumps({"path": str(path), "home": str(home)}) + "\n")
        self._child.stdin.flush()
        answer = self._child.stdout.readline()
        self.wall, self.seconds = time.monotonic() - began, self._used() - used
        done.set()
        watch.join()
        assert answer, self._child.communicate()[1]
        return dict(json.loads(answer))

    def _used(self) -> float:
        """Processor seconds of the importer and of its children that have ended."""
        times = psutil.Process(self._child.pid).cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)

    def _watch(self, done: threading.Event) -> None:
        process = psutil.Process(self._child.pid)
        while not done.wait(0.01):
            total = 0.0
            for one in (process, *process.children(recursive=True)):
                try:
                    total += one.memory_info().rss
                except psutil.Error:
                    continue
            self.peak = max(self.peak, total)

    def close(self) -> None:
        self._child.kill()
        self._child.communicate()


@pytest.fixture(scope="module")
def importer() -> Iterator[Importer]:
    made = Importer()
    yield made
    made.close()


def text(name: str, content: str | bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


def long_line(folder: Path) -> Path:
    path = folder / "long.jsonl"
    with path.open("wb") as stream:
        stream.write(b'{"prompt": "')
        for _ in range(200):
            stream.write(b"x" * 2**20)
        stream.write(b'", "answer": "y"}\n' + GOOD.encode())
    return path


def packed(name: str, content: Callable[[Path], Path]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(gzip.compress(content(folder).read_bytes(), 1))
        return path

    return make


def gzip_bomb(folder: Path) -> Path:
    path = folder / "bomb.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=9) as stream:
        for _ in range(200):
            stream.write(b"\n" * 2**20)
    return path


def archive(name: str, *entries: tuple[str, bytes, int]) -> Callable[[Path], Path]:
    """A zip file; entries: (name, content, Unix mode or 0)."""

    def make(folder: Path) -> Path:
        path = folder / name
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
            for inner, content, mode in entries:
                info = zipfile.ZipInfo(inner)
                info.external_attr = mode << 16
                made.writestr(info, content, zipfile.ZIP_DEFLATED)
        return path

    return make


def far_corner(folder: Path) -> Path:
    """A sheet with a header, one row, and one cell at the far corner: openpyxl's own iteration sees 17 billion cells."""
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["question", "answer"])
    sheet.append(["What is a lien?", "A right over property."])
    sheet["XFD1048576"] = "far"
    book.save(folder / "far.xlsx")
    return folder / "far.xlsx"


def extension_type(folder: Path) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    field = pa.field(
        "text",
        pa.binary(),
        metadata={
            b"ARROW:extension:name": b"arrow.py_extension_type",
            b"ARROW:extension:metadata": b"cos\nsystem\n(S'true'\ntR.",
        },
    )
    pq.write_table(pa.table([pa.array([b"x"])], schema=pa.schema([field])), folder / "ext.parquet")
    return folder / "ext.parquet"


def parquet_with(change: Callable[[bytearray], None]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = folder / "bad.parquet"
        pq.write_table(pa.table({"text": [f"row {number}" for number in range(2000)]}), path, compression="none")
        raw = bytearray(path.read_bytes())
        change(raw)
        path.write_bytes(raw)
        return path

    return make


def _overwrite(start: int, length: int) -> Callable[[bytearray], None]:
    def change(raw: bytearray) -> None:
        raw[start : start + length] = b"\xff" * length

    return change


def _footer_lies(raw: bytearray) -> None:
    raw[-8:-4] = struct.pack("<I", 2**31 - 1)


def deep_pdf(folder: Path) -> Path:
    """Arrays nested 20,000 deep where the pages should be."""
    body = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog /Pages " + b"[" * 20_000 + b"]" * 20_000 + b" >>\nendobj\n"
    path = folder / "deep.pdf"
    path.write_bytes(body + b"trailer\n<< /Root 1 0 R >>\nstartxref\n0\n%%EOF\n")
    return path


def huge_json(folder: Path) -> Path:
    path = folder / "huge.json"
    with path.open("w") as stream:
        stream.write("[")
        for number in range(6000):
            stream.write(("," if number else "") + json.dumps({"prompt": f"Question {number} " + "x" * 10_000, "answer": "yes"}))
        stream.write("]")
    return path


SLIP = ("xl/workbook.xml", b"<x/>", 0)
FAULTS = [
    pytest.param(text("empty.jsonl", b""), "dataset.empty", None, id="empty"),
    pytest.param(text("bom.csv", b"\xef\xbb\xbf"), "dataset.empty", None, id="byte order mark only"),
    pytest.param(text("bom16.txt", b"\xff\xfe"), "dataset.empty", None, id="UTF-16 mark only"),
    pytest.param(text("blank.jsonl", b"\n \n\t\n"), "dataset.empty", None, id="blank lines only"),
    pytest.param(packed("e.jsonl.gz", text("e", b"")), "dataset.empty", None, id="empty gzip"),
    pytest.param(text("nul.csv", b"\x00\x01\x02\x00" * 500), "dataset.not_text", None, id="binary data named CSV"),
    pytest.param(text("zip.jsonl", b"PK\x03\x04" + bytes(100)), "dataset.not_text", None, id="zip named JSON lines"),
    pytest.param(text("cut.jsonl", GOOD[:-20]), "dataset.nothing_usable", {"line": 1}, id="only line is cut"),
    pytest.param(text("deep.jsonl", "[" * 10_000 + "]" * 10_000), "dataset.nothing_usable", {"line": 1}, id="10k-deep JSON line"),
    pytest.param(text("deep.json", "[" * 10_000 + "]" * 10_000), "dataset.bad_json", {"line": 1}, id="10k-deep JSON file"),
    pytest.param(text("deep2.json", '{"a":' * 10_000 + "1" + "}" * 10_000), "dataset.bad_json", {}, id="10k-deep JSON object"),
    pytest.param(
        text("cut.json", '[{"prompt": "a", "answer": "b"},\n {"prompt": "c", "ans'),
        "dataset.bad_json",
        {"line": 2},
        id="JSON list is cut",
    ),
    pytest.param(
        text("comma.json", '[{"prompt": "a", "answer": "b"}\n {"prompt": "c"}]'),
        "dataset.bad_json",
        {"line": 2},
        id="JSON list without a comma",
    ),
    pytest.param(text("twice.json", '{"prompt": "a", "prompt": "b", "answer": "c"}'), "dataset.bad_json", {}, id="repeated key"),
    pytest.param(
        text("quote.csv", 'question,answer\na,b\nc,"never closed\nd,e\n'), "dataset.bad_csv", {"line": 3}, id="unclosed quote"
    ),
    pytest.param(text("twice.csv", "a,a,b\n1,2,3\n"), "dataset.repeated_column", {"field": "a"}, id="repeated column"),
    pytest.param(text("odd.csv", "colour,size\nred,3\n"), "dataset.unknown_shape", None, id="no known column"),
    pytest.param(text("x.exe", "MZ"), "dataset.unknown_kind", None, id="unknown ending"),
    pytest.param(gzip_bomb, "dataset.bomb", None, id="gzip bomb"),
    pytest.param(text("cut.jsonl.gz", gzip.compress(GOOD.encode() * 500)[:60]), "dataset.damaged_gzip", None, id="cut gzip"),
    pytest.param(
        archive("bomb.xlsx", ("xl/worksheets/sheet1.xml", b"0" * (120 * 2**20), 0)), "dataset.bomb", None, id="zip bomb"
    ),
    pytest.param(
        archive("bomb.docx", ("word/document.xml", b"0" * (60 * 2**20), 0)),
        "dataset.too_heavy",
        {"field": "word/document.xml"},
        id="docx bomb",
    ),
    pytest.param(
        archive("slip.xlsx", SLIP, ("../../evil.sh", b"x", 0)),
        "dataset.unsafe_archive",
        {"field": "../../evil.sh"},
        id="zip slip",
    ),
    pytest.param(archive("abs.docx", SLIP, ("/etc/cron.d/evil", b"x", 0)), "dataset.unsafe_archive", {}, id="absolute name"),
    pytest.param(archive("win.xlsx", SLIP, ("..\\evil.bat", b"x", 0)), "dataset.unsafe_archive", {}, id="backslash slip"),
    pytest.param(archive("drive.xlsx", SLIP, ("C:/evil.bat", b"x", 0)), "dataset.unsafe_archive", {}, id="drive letter"),
    pytest.param(
        archive("link.xlsx", SLIP, ("xl/link", b"/etc/passwd", 0o120777)), "dataset.unsafe_archive", {}, id="symlink in zip"
    ),
    pytest.param(archive("no.xlsx", ("a.txt", b"x", 0)), "dataset.damaged_excel", None, id="zip that is no workbook"),
    pytest.param(text("no.docx", b"PK\x03\x04garbage"), "dataset.damaged_word", None, id="damaged docx"),
    pytest.param(extension_type, "dataset.extension_type", {"field": "text"}, id="Arrow extension type"),
    pytest.param(parquet_with(_overwrite(4, 400)), "dataset.damaged_parquet", None, id="Parquet page overwritten"),
    pytest.param(parquet_with(_footer_lies), "dataset.damaged_parquet", None, id="Parquet footer beyond the file"),
    pytest.param(parquet_with(_overwrite(-200, 150)), "dataset.damaged_parquet", None, id="Parquet footer overwritten"),
    pytest.param(text("no.parquet", b"PAR1" + bytes(50) + b"PAR1"), "dataset.damaged_parquet", None, id="Parquet of zeros"),
    pytest.param(text("no.pdf", b"%PDF-1.7\ngarbage"), "dataset.damaged_pdf", None, id="damaged PDF"),
    pytest.param(deep_pdf, "dataset.", None, id="deeply nested PDF"),
]


@pytest.mark.parametrize(("make", "code", "place"), FAULTS)
def test_fault_of_the_file_is_a_typed_error_and_nothing_stays(
    make: Callable[[Path], Path], code: str, place: dict[str, Any] | None, importer: Importer, tmp_path: Path, store: Store
) -> None:
    path = make(tmp_path)
    said = importer(path, store.profile.home)
    assert "error" in said, said
    error = said["error"]
    assert error["type"].startswith(code), error
    assert said["bad_input"], "exit code 2"
    assert error["file"] == str(path)
    assert error["hint"]
    assert "Traceback" not in json.dumps(error)
    for key, value in (place or {}).items():
        assert error[key] == value
    _nothing_left(store)
    _within_limits(importer)


def _nothing_left(store: Store) -> None:
    assert store.rows("SELECT * FROM datasets") == []
    assert store.rows("SELECT * FROM dataset_versions") == []
    assert [file.name for file in store.profile.datasets.iterdir() if file.is_file()] == []


def _within_limits(importer: Importer) -> None:
    crowd = os.getloadavg()[0] / (os.cpu_count() or 1)
    assert importer.seconds < MOST_COMPUTING
    assert importer.wall < MOST_SECONDS * min(max(crowd, 1.0), MOST_CROWD)
    assert importer.peak < MOST_MEMORY


ROWS = [
    pytest.param(text("last.jsonl", GOOD * 3 + GOOD[:30]), 3, {4: "ends in the middle"}, "", id="last line is cut"),
    pytest.param(text("nul.jsonl", GOOD + '{"prompt": "a\\u0000b", "answer": "c"}\n'), 1, {2: "NUL"}, "", id="escaped NUL"),
    pytest.param(text("nulb.jsonl", GOOD.encode() + b'{"prompt": "a\x00b", "answer": "c"}\n'), 1, {2: "NUL"}, "", id="raw NUL"),
    pytest.param(
        text("nulmeta.jsonl", GOOD + '{"prompt": "a", "answer": "c", "id": "\\u0000"}\n'), 1, {2: "NUL"}, "", id="NUL in metadata"
    ),
    pytest.param(
        text("half.jsonl", GOOD + '{"prompt": "\\ud800", "answer": "c"}\n'), 1, {2: "surrogate"}, "", id="lone surrogate"
    ),
    pytest.param(text("nan.jsonl", GOOD + '{"prompt": "a", "answer": "b", "x": NaN}\n'), 1, {2: "NaN"}, "", id="NaN"),
    pytest.param(
        text("inf.jsonl", GOOD + '{"prompt": "a", "answer": "b", "x": -Infinity}\n'), 1, {2: "Infinity"}, "", id="Infinity"
    ),
    pytest.param(
        text("twice.jsonl", GOOD + '{"prompt": "a", "answer": "b", "prompt": "c"}\n'),
        1,
        {2: "'prompt' stands in it twice"},
        "",
        id="repeated key",
    ),
    pytest.param(
        text("twice2.jsonl", GOOD + '{"prompt" : "a", "answer": "b", "prompt": "c"}\n'),
        1,
        {2: "twice"},
        "",
        id="repeated key, spaced once",
    ),
    pytest.param(
        text("twice3.jsonl", GOOD + '{"prompt": "a", "answer": "b", "m": {"x\\\\": 1, "k": 1, "k": 2}}\n'),
        1,
        {2: "twice"},
        "",
        id="repeated inner key beside one that ends with a backslash",
    ),
    pytest.param(
        text("big.jsonl", GOOD + '{"prompt": "a", "answer": "b", "id": 99999999999999999999}\n'),
        1,
        {2: "64 bits"},
        "",
        id="whole number beyond 64 bits",
    ),
    pytest.param(
        text("deep.jsonl", GOOD + '{"prompt": "a", "answer": "b", "x": ' + "[" * 600 + "]" * 600 + "}\n"),
        1,
        {2: "nested too deeply"},
        "",
        id="nested 600 deep",
    ),
    pytest.param(
        text("deep2.jsonl", GOOD + "[" * 10_000 + "]" * 10_000 + "\n" + GOOD),
        2,
        {2: "nested too deeply"},
        "",
        id="one 10k-deep line",
    ),
    pytest.param(long_line, 1, {1: "longer than"}, "", id="one 200 MB line"),
    pytest.param(
        text("ragged.csv", "question,answer\na,b\nc\nd,e,f\ng,h\n"), 2, {3: "1 cells", 4: "3 cells"}, "", id="ragged CSV"
    ),
    pytest.param(text("utf16.csv", "question,answer\nétude,ça\n".encode("utf-16")), 1, {}, "UTF-16", id="UTF-16"),
    pytest.param(text("utf16.jsonl", GOOD.encode("utf-16-le")), 1, {}, "UTF-16", id="UTF-16 without a mark"),
    pytest.param(text("latin.csv", "question,answer\nétude,ça\n".encode("latin-1")), 1, {}, "cp1252", id="Latin-1"),
    pytest.param(
        text("mixed.jsonl", GOOD.encode() * 9000 + '{"prompt": "été", "answer": "b"}\n'.encode("cp1252")),
        9001,
        {},
        "1 lines are not UTF-8",
        id="one Latin-1 line late in a UTF-8 file",
    ),
    pytest.param(
        text("pii.jsonl", '{"prompt": "+49 151\u200b2345678 j\u043ehn@\u202eexample.com", "answer": "b"}\n'),
        1,
        {},
        "invisible",
        id="zero-width, homoglyph and right-to-left marks",
    ),
    pytest.param(text("moji.jsonl", '{"prompt": "cafÃ© naÃ¯ve", "answer": "b"}\n'), 1, {}, "mended", id="mojibake"),
    pytest.param(text("formula.csv", "question,answer\n=cmd()|'/c calc'!A0,-1+1\n"), 1, {}, "", id="formula cells"),
    pytest.param(far_corner, 1, {1048576: "column 16384"}, "", id="far corner cell"),
    pytest.param(huge_json, 6000, {}, "", id="60 MB JSON list"),
]


@pytest.mark.parametrize(("make", "rows", "rejects", "warning"), ROWS)
def test_bad_row_is_set_aside_with_its_number_and_reason(
    make: Callable[[Path], Path],
    rows: int,
    rejects: dict[int, str],
    warning: str,
    importer: Importer,
    tmp_path: Path,
    store: Store,
) -> None:
    said = importer(make(tmp_path), store.profile.home)
    assert "error" not in said, said
    assert (said["rows"], said["rejected"]) == (rows, len(rejects))
    assert any(warning in one for one in said["warnings"]) or not warning, said
    if rejects:
        found = {one["row"]: one["reason"] for one in map(json.loads, Path(said["rejects_file"]).read_text().splitlines())}
        assert found.keys() == rejects.keys()
        for number, words in rejects.items():
            assert words in found[number], found
    _within_limits(importer)


def test_the_list_of_bad_inputs_is_covered() -> None:
    """18 kinds are named in the bad-input list; a case for each is above."""
    ids = " ".join(str(case.id) for case in FAULTS + ROWS)
    for kind in (
        "empty",
        "byte order mark only",
        "UTF-16",
        "Latin-1",
        "NUL",
        "lone surrogate",
        "last line is cut",
        "200 MB line",
        "10k-deep",
        "repeated key",
        "NaN",
        "unclosed quote",
        "ragged",
        "formula",
        "zip bomb",
        "zip slip",
        "symlink",
        "Parquet page",
        "extension type",
        "zero-width",
    ):
        assert kind in ids, kind
