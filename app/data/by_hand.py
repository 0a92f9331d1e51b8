"""What a person does to rows: rate them, mend one, take some out.  Nothing is lost.

A change of content is a new version, and what follows in the same sitting goes into it: twenty rows mended are one version.  The
sitting ends after a while, and as soon as anything was made of the version.  What each row was before each change stands in
``hand_edits``, so that changes of one sitting can be taken back one by one.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import orjson

from app.data import search
from app.data.derive import (
    NOT_REDACTED,
    Derived,
    ancestors,
    copy_places,
    counts,
    figures,
    flag_not_redacted,
    inherited_origin,
    redaction_in,
    shape_of,
)
from app.data.derive import take_back as take_rows_back
from app.data.lineage import uses
from app.data.mapping import LONGEST_TEXT
from app.errors import DatasetError, Place, UsageError
from app.store import Store
from app.store.datasets import DatasetDb, open_dataset
from app.store.records import Row, decode, encode
from app.store.versions import VersionWriter

RATINGS = {1: "good", 0: "unclear", -1: "bad"}
EDITED, TAKEN_OUT = "edited_by_hand", "removed_by_hand"
SITTING_SECONDS = 1800.0
"""A later change begins another version."""
_KEPT = "position, row, split, state, reason, detail"
_HAND_EDITS = """CREATE TABLE IF NOT EXISTS hand_edits (id INTEGER PRIMARY KEY, version INTEGER NOT NULL, position INTEGER NOT NULL,
    row INTEGER NOT NULL, split TEXT NOT NULL, state TEXT NOT NULL, reason TEXT, detail TEXT)"""


def rate(store: Store, dataset: str, version: int, positions: Iterable[int], rating: int | None, note: str | None = None) -> int:
    """Rate the content of rows: 1 good, 0 unclear, -1 bad, None takes a rating back; returns how many rows.

    A rating belongs to a row's content and follows it into later versions.  note: None keeps the one that is there.
    """
    with open_dataset(store, dataset) as db, db.write() as conn:
        rows = [row[0] for row in conn.execute(
            "SELECT DISTINCT v.row FROM json_each(?) j CROSS JOIN version_rows v ON v.version = ? AND v.position = j.value",
            (orjson.dumps(sorted(set(positions))), version))]
        if rating is None:
            conn.executemany("DELETE FROM ratings WHERE row = ?", ((row,) for row in rows))
        else:
            conn.executemany(
                "INSERT INTO ratings (row, rating, note, at) VALUES (?1, ?2, coalesce(?3, ''), ?4) ON CONFLICT (row) DO UPDATE "
                "SET rating = ?2, note = coalesce(?3, note), at = ?4", ((row, rating, note, time.time()) for row in rows))
    return len(rows)


def texts_of(row: Row) -> dict[str, str]:
    """The texts of a row that can be mended, by field: "messages.0", "messages.1", ..., "text", "chosen", "rejected"."""
    if row.shape == "text":
        return {"text": row.text}
    found = {f"messages.{number}": message["content"] for number, message in enumerate(row.messages)}
    return found | ({"chosen": row.chosen, "rejected": row.rejected} if row.shape == "preference" else {})


def with_texts(row: Row, texts: Mapping[str, str]) -> Row:
    """The row with some of its texts replaced."""
    messages = [{**message, "content": texts.get(f"messages.{number}", message["content"])}
                for number, message in enumerate(row.messages)]
    return replace(row, messages=messages, text=texts.get("text", row.text), chosen=texts.get("chosen", row.chosen),
                   rejected=texts.get("rejected", row.rejected))


def edit(store: Store, dataset: str, version: int, position: int, texts: Mapping[str, str]) -> Derived:
    """One row with other texts, in a new version or in the one of this sitting.

    Raises UsageError for a row that is not there or texts that change nothing; DatasetError for a text that no row may have.
    """
    with open_dataset(store, dataset) as db:
        row = _row(db, version, position)
        new = with_texts(row, texts)
        if new.payload() == row.payload():
            raise UsageError("dataset.nothing_changed", "The row is the same as before; no version was made.",
                             remedy="Change its question or answer first.")
        for name, text in texts_of(new).items():
            _check(name, text, position)
        digest, payload = encode(new)

        def change(conn: Any, made: int) -> None:
            conn.execute("INSERT INTO rows (hash, payload) VALUES (?, ?) ON CONFLICT (hash) DO NOTHING", (digest, payload))
            conn.execute("UPDATE version_rows SET row = (SELECT id FROM rows WHERE hash = ?), reason = ?, detail = '' "
                         "WHERE version = ? AND position = ?", (digest, EDITED, made, position))

        return _change(store, db, version, "Edited by hand", [position], change)


def take_out(store: Store, dataset: str, version: int, positions: Iterable[int]) -> Derived:
    """Some rows go, in a new version or in the one of this sitting; they keep their places and can be restored.

    Raises UsageError if none of them is kept in ``version``, or nothing would be left.
    """
    with open_dataset(store, dataset) as db:
        kept = db.conn.execute("SELECT count(*) FROM version_rows WHERE version = ? AND state = 'kept'", (version,)).fetchone()[0]
        going = [row[0] for row in db.conn.execute(
            "SELECT v.position FROM json_each(?) j CROSS JOIN version_rows v ON v.version = ? AND v.position = j.value "
            "WHERE v.state = 'kept'", (orjson.dumps(sorted(set(positions))), version))]
        if not going or len(going) == kept:
            raise UsageError("dataset.nothing_left" if going else "dataset.nothing_changed",
                             "No row would be left; no version was made." if going else "None of these rows is in use.",
                             remedy="Choose fewer rows." if going else "Choose rows that are kept.")

        def change(conn: Any, made: int) -> None:
            conn.execute("UPDATE version_rows SET state = 'removed', reason = ?, detail = '' WHERE version = ? "
                         "AND position IN (SELECT value FROM json_each(?))", (TAKEN_OUT, made, orjson.dumps(going)))

        return _change(store, db, version, "Removed by hand", going, change)


def take_back(store: Store, dataset: str, version: int, positions: Iterable[int]) -> Derived:
    """Those of the rows that were touched as they were before the last change of this sitting, or else of a step.

    ``report["restored"]`` counts them, ``report["not_redacted"]`` those that now stand as they did before a redaction.
    Raises UsageError dataset.nothing_to_undo if none of them was touched.
    """
    wanted = sorted(set(positions))
    with open_dataset(store, dataset) as db:
        touched = [row[0] for row in db.conn.execute(
            "SELECT v.position FROM json_each(?) j CROSS JOIN version_rows v ON v.version = ? AND v.position = j.value "
            "WHERE v.state = 'removed' OR coalesce(v.reason, '') != ''", (orjson.dumps(wanted), version))] or wanted
        line = ancestors(store, dataset, version)
        redaction, bare = redaction_in(store, dataset, [version, *line]), [0]

        def change(conn: Any, made: int) -> None:
            take_rows_back(conn, made, line, [position for position in touched if not _step_back(conn, made, position)])
            bare[0] = flag_not_redacted(conn, made, redaction, touched)

        made = _change(store, db, version, "Changes undone", touched, change, keep=False)
    return replace(made, report={**made.report, "restored": len(touched), NOT_REDACTED: bare[0]})


def _step_back(conn: Any, version: int, position: int) -> bool:
    """Undo the last change of a row in this sitting; False if there was none."""
    found = conn.execute(f"SELECT id, {_KEPT} FROM hand_edits WHERE version = ? AND position = ? ORDER BY id DESC LIMIT 1",
                         (version, position)).fetchone()
    if found is None:
        return False
    conn.execute("UPDATE version_rows SET (row, split, state, reason, detail) = (?, ?, ?, ?, ?) WHERE version = ? AND position = ?",
                 (*found[2:], version, position))
    conn.execute("DELETE FROM hand_edits WHERE id = ?", (found[0],))
    return True


def _row(db: DatasetDb, version: int, position: int) -> Row:
    found = db.conn.execute("SELECT r.payload, v.split, r.hash FROM version_rows v JOIN rows r ON r.id = v.row "
                            "WHERE v.version = ? AND v.position = ? AND v.state = 'kept'", (version, position)).fetchone()
    if found is None:
        raise UsageError("dataset.no_such_row", f"Row {position:,} is not in use in version {version}.",
                         remedy="Restore it first, or choose another row.")
    return decode(found[0], split=found[1], digest=found[2], position=position)


def _check(name: str, text: str, position: int) -> None:
    why = ("It holds a NUL character." if "\x00" in text else
           f"It has {len(text):,} characters; at most {LONGEST_TEXT:,} are kept." if len(text) > LONGEST_TEXT else
           "It is empty." if not text.strip() else "")
    if why:
        raise DatasetError("dataset.bad_text", "The row cannot be kept like this; no version was made.",
                           where=Place(field=f"row {position}, {name}"), why=why, remedy="Mend the text, or remove the row.")


# ---- sittings --------------------------------------------------------------------------------------------------------------


def _change(store: Store, db: DatasetDb, version: int, note: str, positions: Iterable[int], change: Callable[[Any, int], None],
            keep: bool = True) -> Derived:
    """Change rows of a version while its sitting goes on, else of a copy.  keep: so that this can be taken back by itself."""
    def alter(conn: Any, made: int) -> None:
        places = orjson.dumps(sorted(set(positions)))
        conn.execute(_HAND_EDITS)
        if keep:
            conn.execute(f"INSERT INTO hand_edits (version, {_KEPT}) SELECT version, {_KEPT} FROM version_rows WHERE version = ? "
                         "AND position IN (SELECT value FROM json_each(?))", (made, places))
        change(conn, made)
        search.add_rows(conn, made, places)

    parent = _sitting(store, db.dataset, version)
    if parent is not None:
        return _amend(store, db, version, parent, note, alter)
    origin = {**inherited_origin(store, db.dataset, version), "by_hand": version}
    with VersionWriter(store, db, origin=origin, parent=version, note=note) as writer:
        with db.write() as conn:
            copy_places(conn, version, writer.version)
            alter(conn, writer.version)
        made, removed = _figures(db, version, writer.version)
        writer.finish(rows=made.rows, removed=removed, splits=made.splits, shape=shape_of(store, db.dataset, version),
                      content_hash=made.content_hash, report=made.report)
    return made


def _sitting(store: Store, dataset: str, version: int) -> int | None:
    """The parent of a version that may still be changed: made by hand a short while ago, the newest, and nothing made of it."""
    found = store.row("SELECT v.*, d.name FROM dataset_versions v JOIN datasets d ON d.id = v.dataset WHERE v.dataset = ? "
                      "AND v.state != 'failed' ORDER BY v.version DESC", (dataset,))
    if found is None or found["version"] != version or found["state"] != "ready" or "by_hand" not in orjson.loads(found["origin"]):
        return None
    if time.time() - float(found["finished"] or 0) > SITTING_SECONDS or version in uses(store, dataset):
        return None
    reading = store.row("SELECT 1 FROM runs WHERE state IN ('queued', 'running', 'paused') AND (instr(resolved, ?) OR instr(resolved, ?))",
                        (dataset, found["name"]))
    return None if reading else int(found["parent"])


def _amend(store: Store, db: DatasetDb, version: int, parent: int, note: str, alter: Callable[[Any, int], None]) -> Derived:
    """Change a version itself."""
    where = (db.dataset, version)
    before = store.row("SELECT content_hash, note FROM dataset_versions WHERE dataset = ? AND version = ?", where) or {}
    one_hash = "UPDATE dataset_versions SET content_hash = ? WHERE dataset = ? AND version = ?"
    store.db.execute(one_hash, (secrets.token_hex(16), *where))  # killed from here on, it is at least not taken for what it was
    try:
        with db.write() as conn:
            alter(conn, version)
    except BaseException:
        store.db.execute(one_hash, (before["content_hash"], *where))
        raise
    made, removed = _figures(db, parent, version)
    store.db.execute(
        "UPDATE dataset_versions SET rows = ?, removed = ?, splits = ?, content_hash = ?, report = ?, note = ?, finished = ? "
        "WHERE dataset = ? AND version = ?",
        (made.rows, removed, orjson.dumps(made.splits).decode(), made.content_hash, orjson.dumps(made.report).decode(),
         note if note == before["note"] else "Changed by hand", time.time(), *where))
    return made


def _figures(db: DatasetDb, parent: int, version: int) -> tuple[Derived, int]:
    """(the version with what was done to its parent as its report, removed rows)."""
    made = figures(db, version)
    removed = db.conn.execute("SELECT count(*) FROM version_rows WHERE version = ? AND state = 'removed'", (version,)).fetchone()[0]
    return replace(made, report={"kept": made.rows, **counts(db, parent, version)}), int(removed)
