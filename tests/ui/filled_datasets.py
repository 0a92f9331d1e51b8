"""Datasets with versions, scores, ratings and an assessment, for the Datasets page's tests and pictures; no figure is a measurement."""

from __future__ import annotations

import json
import random
from pathlib import Path

from app.config.artifacts import Rows
from app.data.derive import Derivation
from app.data.measures import BY_NAME
from app.store import Store
from app.store.datasets import open_dataset
from app.store.records import Row
from tests.context import FakeContext
from tests.data.versions import chat, imported

TOPICS = {"Sublicensing": "Licensee may not sublicense the Software without written consent",
          "Governing law": "This Agreement is governed by the laws of the State of New York",
          "Notices": "Notices shall be sent to Jane Doe, jane.doe@example.com",
          "Payment": "Fees are payable within thirty days to account GB82 WEST 1234 5698 7654 32",
          "Termination": "Either party may terminate for material breach on thirty days' notice",
          "Warranty": "Licensor warrants that the Software will perform as described",
          "Liability": "Liability is limited to the fees paid in the twelve months before the claim"}
ASK = "Which kind of clause is this? Answer with its name. "


def rows(count: int) -> list[Row]:
    """Clauses with their kinds; every seventh is held back."""
    kinds = list(TOPICS.items())
    return [chat(f"{ASK}{kinds[n % 7][1]}, clause {n}.", kinds[n % 7][0], "test" if n % 7 == 6 else "train", document=f"contract-{n // 20}")
            for n in range(1, count + 1)]


def fill_datasets(store: Store, folder: Path, count: int = 400) -> str:
    """"Contract archive" with four versions, and "Licence notices" with one; returns the first one's id."""
    imported(store, rows(40), "Licence notices")
    dataset = imported(store, rows(count), "Contract archive")
    folder.mkdir(parents=True, exist_ok=True)
    with open_dataset(store, dataset) as db:
        db.conn.executemany("INSERT INTO rejects VALUES (1, ?, ?, ?)", [(count + 1, "not valid JSON", '{"prompt": "Notices'),
                                                                        (count + 2, "answer is empty", '{"prompt": "Fees", "answer": ""}')])
    store.db.execute("UPDATE dataset_versions SET rejected = 2 WHERE dataset = ? AND version = 1", (dataset,))
    made = _step(store, folder, Rows(content_hash="1", dataset=dataset, version=1, rows=count), "data.refine", "Refined", _refine)
    made = _step(store, folder, made, "data.redact", "Private data redacted", _redact)
    _assess(store, made)
    return dataset


def _step(store, folder, given, node, note, deed):
    with Derivation(FakeContext(store, folder), given, node=node, note=note, params={}) as derivation:
        for row in derivation.rows():
            deed(derivation, row)
        return derivation.finish({})["rows"]


def _refine(derivation: Derivation, row: Row) -> None:
    if row.position % 23 == 0:
        derivation.remove(row, "near_duplicate", f"row {row.position - 7}, 91 % alike")
    elif row.position % 97 == 0:
        derivation.remove(row, "leak", f"row {row.position - 14}")


def _redact(derivation: Derivation, row: Row) -> None:
    text = row.messages[0]["content"]
    new = text.replace("Jane Doe", "[PERSON_0412]").replace("jane.doe@example.com", "[EMAIL_0398]").replace("GB82 WEST 1234 5698 7654 32",
                                                                                                          "[IBAN_0071]")
    if new != text:
        derivation.change(row, Row("chat", [{"role": "user", "content": new}, row.messages[1]], meta=row.meta), "redacted")
    chance = random.Random(row.position)
    derivation.score(row, quality=round(min(1.0, chance.gauss(0.88, 0.09)), 3), repetition=round(abs(chance.gauss(0.02, 0.03)), 3))


def _assess(store: Store, made: Rows) -> None:
    with open_dataset(store, made.dataset) as db:
        known = list(db.iter_rows(made.version))
        values = {row.hash: round(min(1.0, random.Random(row.position).gauss(0.88, 0.09)), 3) for row in known}
        db.put_scores((digest, "quality", value) for digest, value in values.items())
        db.put_scores((row.hash, "repetition", round(abs(random.Random(-row.position).gauss(0.02, 0.03)), 3)) for row in known)
        measures = {name: _measure(db, made.version, name) for name in ("quality", "repetition")}
    report = {"rows": made.rows, "score": 88.0, "parts": {"repetition": 97.1, "complete": 88.4}, "formula": "score = 100 x mean of the weakest part",
              "poor": sum(value < 0.5 for value in values.values()), "poor_under": 0.5, "measures": measures, "languages": {"en": made.rows},
              "worst": [], "tokens_read": 0, "notes": ["The answers are labels of 7 kinds."]}
    store.db.execute("UPDATE dataset_versions SET report = json_set(report, '$.assessment', json(?)) WHERE dataset = ? AND version = ?",
                     (json.dumps(report), made.dataset, made.version))


def _measure(db, version: int, name: str) -> dict[str, object]:
    values = [value for (value,) in db.conn.execute("SELECT s.value FROM version_rows v JOIN scores s ON s.row = v.row AND s.name = ? "
                                                    "WHERE v.version = ? AND v.state = 'kept'", (name, version))]
    low, high = min(values), max(values)
    counts = [0] * 24
    for value in values:
        counts[min(int(24 * (value - low) / (high - low)), 23)] += 1
    one = BY_NAME[name]
    return {"title": one.title, "meaning": one.meaning, "better": one.better, "unit": one.unit, "rows": len(values),
            "median": sorted(values)[len(values) // 2],
            "histogram": {"edges": [low + n * (high - low) / 24 for n in range(25)], "counts": counts}}
