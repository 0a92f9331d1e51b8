"""Whatever an import lets in goes through cleaning, refining and splitting, quickly, and comes out again with its columns."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.config.artifacts import Rows
from app.data import api
from app.data.clean_node import Clean, CleanParams
from app.data.cleaning import CleanRules, clean
from app.data.refine_node import Refine, RefineParams
from app.data.shingles import Shingler
from app.data.split_node import Split, SplitParams
from app.errors import DatasetError
from app.store import Store
from app.store.datasets import open_dataset
from app.store.records import Row
from tests.context import FakeContext

HOSTILE = [
    pytest.param("<script>" * 40_000, id="scripts that never end"),
    pytest.param("<!--" * 60_000, id="notes that never end"),
    pytest.param("<pre><code>" * 20_000, id="code that never ends"),
    pytest.param("<b " * 60_000, id="tags that never close"),
    pytest.param("<b>" * 60_000, id="tags that nothing ends"),
    pytest.param("a" + " " * 200_000 + "b", id="a run of blanks"),
    pytest.param(" \t" * 100_000, id="blanks alone"),
    pytest.param("\n" * 200_000, id="empty lines alone"),
    pytest.param("`" * 100_001, id="signs of code"),
    pytest.param("&amp;" * 40_000, id="entities"),
    pytest.param("&#x110000;&#0;&#xd800;" * 5_000, id="entities of nothing"),
    pytest.param("x" * 300_000, id="one long word"),
    pytest.param("(" * 100_000, id="brackets"),
    pytest.param("\u00c3\u00a9\u202e\u200b" * 20_000, id="mojibake with direction marks"),
    pytest.param("copyright " * 20_000, id="boilerplate words"),
    pytest.param("\ud800\udc00 \ufffe" * 1000, id="surrogates"),
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_takes_no_time(text: str) -> None:
    """By processor time: a regular expression that backtracks takes minutes on these."""
    began = time.process_time()
    new, _ = clean(Row("text", text=text), CleanRules(repeated=frozenset({"x y"})))
    Shingler().batch([text, new.text])
    assert time.process_time() - began < 5


MESSY: list[dict[str, Any]] = [
    {"prompt": "=cmd()|'/c calc'!A0", "answer": "@SUM(1+1)*cmd", "id": 1, "tags": ["a"], "ok": True},
    {"prompt": "My card\u200b is 4111\u200b1111 1111 1111", "answer": "j\u043ehn@\u0435xample.com \u202etxet", "id": 2, "ok": False},
    {"prompt": "Nul \u0000 here?", "answer": "Yes \u0000.", "id": 3},
    {"prompt": "caf\u00c3\u00a9?", "answer": "<p>au&nbsp;lait</p>", "id": 4},
    {"prompt": "\u202e\u0645\u0631\u062d\u0628\u0627", "answer": "\U0001f469\u200d\U0001f680", "id": 5, "note": None},
    {"prompt": "Long?", "answer": "word " * 100_000, "id": 6},
    {"prompt": "Long?", "answer": "word " * 99_999, "id": 7},
    {"prompt": "!!!", "answer": "???", "id": 8},
    {"prompt": "q", "answer": "a", "id": 2**70},
    {"prompt": "Same", "answer": "Yes", "id": 10, "deep": {"x": [[[[1]]]]}},
    {"prompt": "same", "answer": "no", "id": 11},
]
STEPS: list[Callable[[], Any]] = [
    lambda: Clean(CleanParams()),
    lambda: Refine(RefineParams.model_validate({"split": {}, "max_length": 2_000_000})),
    lambda: Split(SplitParams()),
]


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    lines = [json.dumps(row) for row in rows]
    lines += ['{"prompt": "NaN?", "answer": "x", "id": NaN}', '{"prompt": "a", "prompt": "b", "answer": "c"}', '{"prompt": "\\ud800", "answer": "x"}',
              '{"prompt": "cut']
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def steps(store: Store, folder: Path, path: Path) -> Rows:
    done = api.import_file(store, path, name="messy")
    rows = Rows(content_hash=done.content_hash, dataset=done.dataset, version=done.version, rows=done.rows, splits=done.splits)
    for make in STEPS:
        made: Any = make().run(FakeContext(store, folder, inputs={"rows": rows}))
        rows = made["rows"]
    return rows


def test_messy_rows_go_through_every_node_and_their_columns_come_out(store: Store, tmp_path: Path) -> None:
    rows = steps(store, tmp_path, written(tmp_path / "messy.jsonl", MESSY))
    with open_dataset(store, rows.dataset) as db:
        gone = dict(db.conn.execute("SELECT position, reason FROM version_rows WHERE version = ? AND state = 'removed'", (rows.version,)))
        kept = {row.position: row for row in db.iter_rows(rows.version)}
    assert gone == {7: "near_duplicate"}
    assert set(kept) >= {1, 2, 4, 5, 6, 8, 10, 11}
    api.export_version(store, rows.dataset, rows.version, to=tmp_path / "out.jsonl")
    out = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    columns = [{name: value for name, value in row.items() if name not in ("prompt", "answer", "split")} for row in out]
    given = {row["id"]: {name: value for name, value in row.items() if name not in ("prompt", "answer")} for row in MESSY}
    assert {row["id"] for row in columns} >= {1, 2, 4, 5, 6, 8, 10, 11}
    for row in columns:
        if row["id"] in given and row["id"] < 2**63:
            assert {name: value for name, value in row.items() if name in given[row["id"]]} == given[row["id"]]
    assert {row["split"] for row in out} <= {"train", "test", "calibration"}
    again = api.import_file(store, tmp_path / "out.jsonl", name="again")
    assert (again.rows, again.rejected) == (rows.rows, 0)


def test_row_that_a_rule_fails_on_is_named_and_what_is_done_stays(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"Q{number}", "answer": f"<p>A{number}.</p>"}) + "\n" for number in range(1, 50)))
    done = api.import_file(store, path, name="rows")
    rows = Rows(content_hash=done.content_hash, dataset=done.dataset, version=done.version, rows=done.rows)
    with monkeypatch.context() as patched:
        from app.data import cleaning

        def failing(text: str) -> str:
            if "A31" in text:
                raise ValueError("no idea")
            return cleaning.tidy(text)

        patched.setattr(cleaning, "without_markup", failing)
        with pytest.raises(DatasetError, match="failed on row 31") as caught:
            Clean(CleanParams()).run(FakeContext(store, tmp_path, inputs={"rows": rows}))
    assert caught.value.code == "dataset.row_failed"
    made: Any = Clean(CleanParams()).run(FakeContext(store, tmp_path, inputs={"rows": rows}))
    assert made["rows"].version == 2, "it went on with the version it had begun"
    assert made["report"].summary["changed"] == {"markup_removed": 19}
