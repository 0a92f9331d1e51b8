"""Whatever an import lets in goes through cleaning, refining and splitting, quickly, and comes out again with its columns."""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.config.artifacts import Rows
from app.data import api, embedding
from app.data.assess_node import Assess, AssessParams
from app.data.augment_node import Augment, AugmentParams
from app.data.clean_node import Clean, CleanParams
from app.data.cleaning import CleanRules, clean
from app.data.mapping import ColumnMapping
from app.data.redact_node import Redact, RedactParams
from app.data.refine_node import Refine, RefineParams
from app.data.remap_node import Remap, RemapParams
from app.data.select_node import Select, SelectParams
from app.data.shingles import Shingler
from app.data.split_node import Split, SplitParams
from app.data.synthesise_node import Synthesise, SynthesiseParams
from app.errors import DatasetError
from app.store import Store
from app.store.datasets import open_dataset
from app.store.records import Row
from app.workflow import registry
from tests.context import FakeContext
from tests.data.served import serving

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


EVERY: dict[str, Callable[[], Any]] = {
    "clean": lambda: Clean(CleanParams()),
    "refine": lambda: Refine(RefineParams.model_validate({"split": {}, "max_length": 2_000_000})),
    "split": lambda: Split(SplitParams()),
    "assess": lambda: Assess(AssessParams.model_validate({"relevance": {"rows": 0}})),
    "redact": lambda: Redact(RedactParams(names_model=False, processes=1)),
    "select": lambda: Select(SelectParams(method="random")),
    "augment": lambda: Augment(AugmentParams(share=1.0, copies=2)),
    "remap": lambda: Remap(RemapParams(mapping=ColumnMapping(shape="text", text="answer"))),
}


def test_no_step_of_the_refinery_is_forgotten() -> None:
    every = {name.removeprefix("data.") for name in registry.nodes() if name.startswith("data.")}
    assert every - set(EVERY) == {"synthesise"}  # it asks a model: test_synthesising.py holds what it does with strange rows


@pytest.mark.parametrize("name", EVERY)
def test_messy_rows_go_through_a_step_alone_with_their_metadata(name: str, store: Store, tmp_path: Path) -> None:
    done = api.import_file(store, written(tmp_path / "messy.jsonl", MESSY), name="messy")
    given = Rows(content_hash=done.content_hash, dataset=done.dataset, version=done.version, rows=done.rows, splits=done.splits)
    made: Any = EVERY[name]().run(FakeContext(store, tmp_path, inputs={"rows": given}))
    with open_dataset(store, done.dataset) as db:
        before, after = ({row.position: row for row in db.iter_rows(version)} for version in (1, made["rows"].version))
    assert len(set(before) & set(after)) >= 7, "what is merely strange stays"
    for position in set(before) & set(after):
        left = {column: value for column, value in after[position].meta.items() if column in before[position].meta}
        assert left == before[position].meta
    api.export_version(store, done.dataset, made["rows"].version, to=tmp_path / "out.csv")
    again = api.import_file(store, tmp_path / "out.csv", name="again")
    assert (again.rows, again.rejected) == (len(after), 0)


@pytest.mark.parametrize("name", sorted(set(EVERY) - {"assess", "split"}))
def test_all_that_a_step_did_is_undone(name: str, store: Store, tmp_path: Path) -> None:
    """(Assessing changes no row, and splitting gives places, which the version before does not have.)"""
    rows = [*MESSY, {"prompt": "Who pays?", "answer": "Jane Doe, jane.doe@example.com.", "id": 12}]
    done = api.import_file(store, written(tmp_path / "messy.jsonl", rows), name="messy")
    given = Rows(content_hash=done.content_hash, dataset=done.dataset, version=done.version, rows=done.rows, splits=done.splits)
    params = {"select": lambda: Select(SelectParams.model_validate({"budget": {"rows": 3}}))}
    made: Any = params.get(name, EVERY[name])().run(FakeContext(store, tmp_path, inputs={"rows": given}))
    places = "SELECT position, row, state FROM version_rows WHERE version = ? ORDER BY position"
    with open_dataset(store, done.dataset) as db:
        before, after = (db.conn.execute(places, (version,)).fetchall() for version in (1, made["rows"].version))
        touched = [row[0] for row in after if row not in before]
        assert touched
    back = api.undo(store, done.dataset, made["rows"].version, touched)
    with open_dataset(store, done.dataset) as db:
        assert db.conn.execute(places, (back.version,)).fetchall() == before


def _at(text: str, real: Callable[..., Any]) -> Callable[..., Any]:
    """The function, failing where one of its arguments holds a text."""
    def failing(*given: Any, **named: Any) -> Any:
        if any(text in str(one) for one in given):
            raise ValueError("no idea")
        return real(*given, **named)

    return failing


def _noting(seen: list[str], real: Callable[..., Any]) -> Callable[..., Any]:
    """The function, noting what it is given."""
    def noting(*given: Any, **named: Any) -> Any:
        seen.append(str(given))
        return real(*given, **named)

    return noting


FAILING: dict[str, Callable[[], Any]] = {
    **EVERY,
    "select": lambda: Select(SelectParams.model_validate({"method": "stratified", "by": "kind", "budget": {"share": 0.5}})),
    "synthesise": lambda: Synthesise(SynthesiseParams.model_validate({"rows": 200, "model": "teacher", "checks": {"test_meaning": 0}})),
}


def run(name: str, store: Store, folder: Path, rows: Rows) -> Any:
    with serving(store, lambda body: {"question": f"Which {body['seed']}?", "answer": "That."}) if name == "synthesise" else nullcontext():
        return FAILING[name]().run(FakeContext(store, folder, inputs={"rows": rows}))


@pytest.mark.parametrize(("name", "module", "function", "word", "kept"), [
    pytest.param("clean", "cleaning", "without_markup", "A31.", 30, id="clean"),
    pytest.param("refine", "refine", "bad", "A31.", 30, id="refine, a row alone"),
    pytest.param("refine", "frame", "text_with_borders", "A31.", 49, id="refine, rows compared"),
    pytest.param("redact", "redaction.redact", "with_texts", "A31.", 30, id="redact"),
    pytest.param("augment", "augment", "reword", "question 31 ", 30, id="augment"),
    pytest.param("remap", "remap", "remapped", "A31.", 30, id="remap"),
    pytest.param("synthesise", "synthesise", "candidate", "A31.", 30, id="synthesise, an answer"),
    pytest.param("synthesise", "synthesise", "question", "A31.", 30, id="synthesise, asked some rows ahead"),
    pytest.param("split", "frame", "text_with_borders", "A31.", 0, id="split"),
    pytest.param("select", "select", "_stratum", "A31.", 0, id="select"),
])
def test_step_that_fails_on_a_row_says_so_keeps_what_it_has_and_goes_on(
    name: str, module: str, function: str, word: str, kept: int, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kept: rows that are not gone through again.  Splitting and selecting look at all rows before they write, and begin anew."""
    rows = numbered(store, tmp_path)
    holder = importlib.import_module(f"app.data.{module}")
    with monkeypatch.context() as patched:
        patched.setattr(holder, function, _at(word, getattr(holder, function)))
        with pytest.raises(DatasetError, match=f"data.{name} failed on row 31") as caught:
            run(name, store, tmp_path, rows)
    assert caught.value.code == "dataset.row_failed"
    assert "no idea" in caught.value.why
    with open_dataset(store, rows.dataset) as db:
        done = db.conn.execute("SELECT done FROM derivations WHERE version = 2").fetchone()
        assert done == ((kept,) if kept else None)
        assert len(list(db.iter_rows(1))) == 49
    seen: list[str] = []
    monkeypatch.setattr(holder, function, _noting(seen, getattr(holder, function)))
    made = run(name, store, tmp_path, rows)
    assert made["rows"].version == (2 if kept else 3), "it went on with the version it had begun, if it had written anything"
    assert made["report"].summary["checked"] == 49
    assert seen
    if kept == 30:
        assert not [one for one in seen if " 30 " in one or "A30." in one], "and did not begin anew"


def numbered(store: Store, folder: Path) -> Rows:
    """49 rows that each say their number."""
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps({
        "prompt": f"Please show the big question {number} of the contract with the quick answer from a{number}@example.com",
        "answer": f"<p>A{number}. Write to b{number}@example.com</p>", "kind": "odd" if number % 2 else "even"}) + "\n"
        for number in range(1, 50)))
    done = api.import_file(store, path, name="rows")
    return Rows(content_hash=done.content_hash, dataset=done.dataset, version=done.version, rows=done.rows)


def test_choice_that_fails_on_a_row_keeps_the_meaning_of_those_before_it(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    broken = True

    class Encoder:
        def __init__(self, _store: Store) -> None: ...

        def encode(self, texts: list[str], _alive: Any = None) -> np.ndarray:
            if broken and any("A31." in text for text in texts):
                raise ValueError("no idea")
            read.extend(texts)
            return np.eye(64, dtype=np.float32)[[int(text.split()[5]) for text in texts]]

    monkeypatch.setattr(embedding, "Encoder", Encoder)
    rows = numbered(store, tmp_path)
    step = Select(SelectParams.model_validate({"method": "diverse", "budget": {"rows": 10}}))
    with pytest.raises(DatasetError, match="failed on row 31; the rows before it need not be read again"):
        step.run(FakeContext(store, tmp_path, inputs={"rows": rows}))
    assert len(read) == 30
    broken = False
    made: Any = step.run(FakeContext(store, tmp_path, inputs={"rows": rows}))
    assert made["rows"].rows == 10
    assert len(read) == 49


def test_assessment_that_fails_on_a_row_says_so_and_changes_no_score(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = numbered(store, tmp_path)
    from app.data import quality

    monkeypatch.setattr(quality, "repetition", _at("A31.", quality.repetition))
    with pytest.raises(DatasetError, match="failed on row 31; no score was changed"):
        EVERY["assess"]().run(FakeContext(store, tmp_path, inputs={"rows": rows}))
    with open_dataset(store, rows.dataset) as db:
        assert db.conn.execute("SELECT count(*) FROM scores").fetchone() == (0,)
