"""What a person does to rows: rate them, mend one, take some out.  Each change of content is a new version; nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import orjson

from app.data.derive import Derived, copy_places, figures, inherited_origin, shape_of, undo
from app.data.mapping import LONGEST_TEXT
from app.errors import DatasetError, Place, UsageError
from app.store import Store
from app.store.datasets import DatasetDb, open_dataset
from app.store.records import Row, decode, encode
from app.store.versions import VersionWriter

RATINGS = {1: "good", 0: "unclear", -1: "bad"}
EDITED, TAKEN_OUT = "edited_by_hand", "removed_by_hand"


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
    """A new version in which one row has other texts; the row as it was stays in ``version``.

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

        return _make(store, db, version, "Edited by hand", change, {"changed": {EDITED: 1}})


def take_out(store: Store, dataset: str, version: int, positions: Iterable[int]) -> Derived:
    """A new version without some rows; they keep their places and can be restored.

    Raises UsageError if none of them is kept in ``version``, or nothing would be left.
    """
    with open_dataset(store, dataset) as db:
        wanted = orjson.dumps(sorted(set(positions)))
        kept, going = db.conn.execute(
            "SELECT count(*), sum(position IN (SELECT value FROM json_each(?))) FROM version_rows WHERE version = ? AND state = 'kept'",
            (wanted, version)).fetchone()
        if not going or going == kept:
            raise UsageError("dataset.nothing_left" if going else "dataset.nothing_changed",
                             "No row would be left; no version was made." if going else "None of these rows is in use.",
                             remedy="Choose fewer rows." if going else "Choose rows that are kept.")

        def change(conn: Any, made: int) -> None:
            conn.execute("UPDATE version_rows SET state = 'removed', reason = ?, detail = '' WHERE version = ? AND state = 'kept' "
                         "AND position IN (SELECT value FROM json_each(?))", (TAKEN_OUT, made, wanted))

        return _make(store, db, version, "Removed by hand", change, {"removed": {TAKEN_OUT: int(going)}})


def take_back(store: Store, dataset: str, version: int, positions: Iterable[int]) -> Derived:
    """A new version in which those of the rows that a step touched are as before; see :func:`app.data.derive.undo`.

    Raises UsageError dataset.nothing_to_undo if none of them was touched.
    """
    wanted = sorted(set(positions))
    with open_dataset(store, dataset) as db:
        touched = [row[0] for row in db.conn.execute(
            "SELECT v.position FROM json_each(?) j CROSS JOIN version_rows v ON v.version = ? AND v.position = j.value "
            "WHERE v.state = 'removed' OR coalesce(v.reason, '') != ''", (orjson.dumps(wanted), version))]
    return undo(store, dataset, version, touched or wanted)


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


def _make(store: Store, db: DatasetDb, parent: int, note: str, change: Callable[[Any, int], None], did: dict[str, Any]) -> Derived:
    """Copy a version, change the copy, close it."""
    origin = {**inherited_origin(store, db.dataset, parent), "by_hand": parent}
    with VersionWriter(store, db, origin=origin, parent=parent, note=note) as writer:
        with db.write() as conn:
            copy_places(conn, parent, writer.version)
            change(conn, writer.version)
        made = figures(db, writer.version)
        removed = db.conn.execute("SELECT count(*) FROM version_rows WHERE version = ? AND state = 'removed'",
                                  (writer.version,)).fetchone()[0]
        report = {"kept": made.rows, "removed": {}, "changed": {}, "added": {}, **did}
        writer.finish(rows=made.rows, removed=removed, splits=made.splits, shape=shape_of(store, db.dataset, parent),
                      content_hash=made.content_hash, report=report)
    return replace(made, report=report)
