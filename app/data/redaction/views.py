"""What the review reads and does: findings row by row, decisions, "always" rules, and the version they lead to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from app.data.derive import Derived, carry_over, copy_places, figures, inherited_origin, shape_of
from app.data.redaction import rules
from app.data.redaction.detect import Settings
from app.data.redaction.entities import label
from app.data.redaction.redact import measured, report, statement
from app.data.redaction.rows import replaced, texts_of, with_texts
from app.errors import UsageError
from app.store import Store
from app.store.datasets import DatasetDb, open_dataset, reading
from app.store.records import Row, decode, encode
from app.store.versions import VersionWriter

PAGE_ROWS = 50
AROUND = 160
"""Characters of a text that are shown before the first and behind the last finding."""
PERSON = "person"
"""``decided_by`` of what a person has decided."""
_COPIED = 'position, field, start, "end", entity, score, detector, replacement, decision, decided_by'
Decision = Literal["accepted", "rejected", "open"]
SIGNS = {
    "checksum": "The check digits are right.",
    "wrong_check": "The check digits are wrong; it may be mistyped.",
    "context": "A word beside it says what it is.",
    "model": "The names model takes it for a name.",
    "title": "A title stands before it.",
    "label": "A label stands before it.",
    "given_name": "It begins with a frequent given name.",
    "initial": "An initial and a name.",
    "deed": "It does what people do.",
    "capitals": "Two words in capitals inside a sentence.",
    "beside_identifier": "It stands beside an identifier.",
    "same_row": "The name stands elsewhere in this row.",
    "rule": "An “always” rule names it.",
    "form": "It has the form.",
    "invisible": "Invisible signs were in it.",
    "entity": "It was written with HTML codes.",
    "lookalike": "Some letters only look like Latin ones.",
    "line_break": "It runs over two lines.",
    "spaced": "It was written with gaps.",
    "spelled_out": "Its digits were spelled out.",
    "at_sign": "The @ sign was spelled out.",
}


@dataclass(frozen=True, slots=True)
class FindingView:
    """One finding.  start, end: in the shown text; score: certainty 0..1; why: sentences."""

    id: int
    start: int
    end: int
    entity: str
    label: str
    text: str
    replacement: str
    score: float
    why: str
    decision: str
    by_person: bool


@dataclass(frozen=True, slots=True)
class TextView:
    """One text of a row, cut to what lies around its findings."""

    field: str
    text: str
    findings: list[FindingView]


@dataclass(frozen=True, slots=True)
class ReviewRow:
    """A row with findings, as it was before redaction."""

    position: int
    texts: list[TextView]

    @property
    def findings(self) -> list[FindingView]:
        """All findings of the row, in order."""
        return [one for text in self.texts for one in text.findings]


@dataclass(frozen=True, slots=True)
class EntityLine:
    """What was found of one entity.  recall, precision: (share, low, high) measured on the labelled set, None where they were not."""

    entity: str
    label: str
    found: int
    redacted: int
    open: int
    kept: int
    recall: tuple[float, float, float] | None
    precision: tuple[float, float, float] | None


@dataclass(frozen=True, slots=True)
class Summary:
    """The state of a review.  changed: decisions that the version does not show yet."""

    version: int
    found: int
    open: int
    changed: int
    lines: list[EntityLine]
    statement: str


def summary(store: Store, dataset: str, version: int) -> Summary:
    """What was found and decided so far, by entity, the most frequent first."""
    with reading(store, dataset) as db:
        told = report(db.conn, version, Settings())
        changed = db.conn.execute(
            "SELECT count(*) FROM findings WHERE version = ? AND decided_by = ?", (version, PERSON)
        ).fetchone()[0]
    with_model = bool((_params(store, dataset, version) or {}).get("names_model", True))
    known = measured(tuple(told["findings"]), with_model)
    lines = [
        EntityLine(name, label(name), line["found"], line["redacted"], line["open"], line["kept"], _share(known, name, "recall"),
                   _share(known, name, "precision"))
        for name, line in told["findings"].items()
    ]
    lines.sort(key=lambda line: -line.found)
    return Summary(version, sum(line.found for line in lines), told["open"], int(changed), lines, statement(with_model))


def _params(store: Store, dataset: str, version: int) -> dict[str, Any] | None:
    found = store.row("SELECT report FROM dataset_versions WHERE dataset = ? AND version = ?", (dataset, version))
    settings = orjson.loads(found["report"] or "{}").get("settings") if found else None
    return dict(settings) if isinstance(settings, dict) else None


def _share(known: Mapping[str, Any], entity: str, part: str) -> tuple[float, float, float] | None:
    share = known.get(entity, {}).get(part)
    return (share["value"], *share["interval"]) if share else None


# ---- rows to review ----------------------------------------------------------------------------------------------------------


def review_page(store: Store, dataset: str, version: int, after: int = 0, *, only_open: bool = True) -> list[ReviewRow]:
    """PAGE_ROWS rows with findings behind a position, by the key; only those where one waits, or all."""
    waits = "AND decision = 'open'" if only_open else ""
    with reading(store, dataset) as db:
        places = [
            row[0]
            for row in db.conn.execute(
                f"SELECT DISTINCT position FROM findings WHERE version = ? AND position > ? {waits} ORDER BY position LIMIT ?",
                (version, after, PAGE_ROWS),
            )
        ]
        base = base_version(store, dataset, version)
        return [_review_row(db, version, base, position) for position in places]


def _review_row(db: DatasetDb, version: int, base: int, position: int) -> ReviewRow:
    texts = texts_of(_stored(db, base, position), ("*",))
    found: dict[str, list[tuple[Any, ...]]] = {}
    for values in _findings(db, version, position):
        found.setdefault(values[1], []).append(values)
    return ReviewRow(position, [_text_view(field, texts[field], found[field]) for field in texts if field in found])


def _findings(db: DatasetDb, version: int, position: int) -> list[tuple[Any, ...]]:
    listed: list[tuple[Any, ...]] = db.conn.execute(
        'SELECT id, field, start, "end", entity, score, detector, replacement, decision, decided_by FROM findings '
        "WHERE version = ? AND position = ? ORDER BY field, start",
        (version, position),
    ).fetchall()
    return listed


def _text_view(field: str, text: str, found: Sequence[tuple[Any, ...]]) -> TextView:
    first = max(0, found[0][2] - AROUND)
    last = min(len(text), found[-1][3] + AROUND)
    front = "… " if first else ""
    shift = first - len(front)
    views = [
        FindingView(
            id_,
            start - shift,
            end - shift,
            entity,
            label(entity),
            text[start:end],
            replacement,
            score,
            why(detector),
            decision,
            by == PERSON,
        )
        for id_, _, start, end, entity, score, detector, replacement, decision, by in found
    ]
    return TextView(field, front + text[first:last] + (" …" if last < len(text) else ""), views)


def why(detector: str) -> str:
    """The signs of a finding in sentences; that it has the form goes without saying where there is more."""
    signs = [sign for sign in detector.split(",") if sign in SIGNS]
    if len(signs) > 1 and "form" in signs:
        signs.remove("form")
    return " ".join(SIGNS[sign] for sign in signs)


def base_version(store: Store, dataset: str, version: int) -> int:
    """The version that holds the texts as they were before a version was redacted.  Raises UsageError redaction.none."""
    found = store.row("SELECT parent, origin FROM dataset_versions WHERE dataset = ? AND version = ?", (dataset, version))
    base = (orjson.loads(found["origin"]).get("redaction_base") or found["parent"]) if found else None
    if base is None:
        raise UsageError(
            "redaction.none",
            f"Version {version} was not made by data.redact.",
            remedy="Review the version that data.redact made.",
        )
    return int(base)


def _stored(db: DatasetDb, version: int, position: int) -> Row:
    payload = db.conn.execute(
        "SELECT r.payload FROM version_rows v JOIN rows r ON r.id = v.row WHERE v.version = ? AND v.position = ?",
        (version, position),
    ).fetchone()
    if payload is None:
        raise UsageError("redaction.no_row", f"Version {version} has no row {position}.", remedy="Open the review again.")
    return decode(payload[0], position=position)


# ---- deciding ----------------------------------------------------------------------------------------------------------------


def decide(store: Store, dataset: str, findings: Iterable[int], decision: Decision) -> int:
    """Accept (redact) or reject (keep) findings by their ids; "open" takes a decision back.  Returns how many changed."""
    by = "" if decision == "open" else PERSON
    with open_dataset(store, dataset) as db, db.write() as conn:
        return sum(
            conn.execute(
                "UPDATE findings SET decision = ?, decided_by = ? WHERE id = ? AND (decision != ? OR decided_by != ?)",
                (decision, by, one, decision, by),
            ).rowcount
            for one in findings
        )


def edit(store: Store, dataset: str, finding: int, replacement: str) -> None:
    """Redact a finding with another stand-in.  Raises UsageError redaction.empty for none at all."""
    if not replacement.strip():
        raise UsageError(
            "redaction.empty", "A stand-in needs at least one letter.", remedy="Write what shall stand there, or keep the text."
        )
    with open_dataset(store, dataset) as db, db.write() as conn:
        conn.execute(
            "UPDATE findings SET replacement = ?, decision = 'accepted', decided_by = ? WHERE id = ?",
            (replacement, PERSON, finding),
        )


def add_rule(store: Store, dataset: str, finding: int, decision: rules.Decision, *, whole_entity: bool = False) -> int:
    """Always redact, or always keep, the text of a finding (or its whole entity), here and in later redactions of this dataset.

    Returns how many findings of its version were decided by it.
    """
    with open_dataset(store, dataset) as db:
        found = db.conn.execute(
            'SELECT version, position, field, start, "end", entity FROM findings WHERE id = ?', (finding,)
        ).fetchone()
        if found is None:
            raise UsageError("redaction.no_finding", "This finding is not there any more.", remedy="Open the review again.")
        version, position, field, start, end, entity = found
        base = base_version(store, dataset, version)
        folded = "" if whole_entity else rules.fold(texts_of(_stored(db, base, position), ("*",))[field][start:end])
        rule = rules.Rule(entity, folded, decision)
        with db.write() as conn:
            rules.store(conn, rule)
        same = _decided_by(db, version, base, rule)
    return decide(store, dataset, same, "accepted" if decision == "redact" else "rejected")


def forget_rule(store: Store, dataset: str, version: int, rule: rules.Rule) -> int:
    """Take an "always" rule back.  What it decided in this version waits again; returns how many findings that are."""
    with open_dataset(store, dataset) as db:
        same = _decided_by(db, version, base_version(store, dataset, version), rule)
        with db.write() as conn:
            rules.forget(conn, rule)
    return decide(store, dataset, same, "open")


def _decided_by(db: DatasetDb, version: int, base: int, rule: rules.Rule) -> list[int]:
    """Findings of a version that a rule is about."""
    return [one for one, text in _texts_of_findings(db, version, base, rule.entity) if not rule.folded or rules.fold(text) == rule.folded]


def _texts_of_findings(db: DatasetDb, version: int, base: int, entity: str) -> Iterable[tuple[int, str]]:
    after = 0
    while True:
        listed = db.conn.execute(
            'SELECT f.id, f.field, f.start, f."end", r.payload FROM findings f '
            "JOIN version_rows v ON v.version = ? AND v.position = f.position "
            "JOIN rows r ON r.id = v.row WHERE f.version = ? AND f.entity = ? AND f.id > ? ORDER BY f.id LIMIT 500",
            (base, version, entity, after),
        ).fetchall()
        for id_, field, start, end, payload in listed:
            yield id_, texts_of(decode(payload), ("*",)).get(field, "")[start:end]
        if len(listed) < 500:
            return
        after = listed[-1][0]


def rules_of(store: Store, dataset: str) -> list[rules.Rule]:
    """The "always" rules of a dataset."""
    with open_dataset(store, dataset) as db:
        return rules.load(db.conn)


# ---- the reviewed version ----------------------------------------------------------------------------------------------------


def apply_decisions(store: Store, dataset: str, version: int) -> Derived:
    """A new version in which what a person decided is done: kept texts are back, edited stand-ins are in.

    The findings go with it, so that a review can go on there.  Raises UsageError redaction.none or redaction.undecided.
    """
    base = base_version(store, dataset, version)
    with open_dataset(store, dataset) as db:
        places = [
            row[0]
            for row in db.conn.execute(
                "SELECT DISTINCT position FROM findings WHERE version = ? AND decided_by = ? ORDER BY position", (version, PERSON)
            )
        ]
        if not places:
            raise UsageError("redaction.undecided", "Nothing was decided yet.", remedy="Accept or reject findings first.")
        origin = {**inherited_origin(store, dataset, version), "redaction_base": base, "reviewed": version}
        with VersionWriter(store, db, origin=origin, parent=version, note="Private data reviewed") as writer:
            with db.write() as conn:
                copy_places(conn, version, writer.version)
                for position in places:
                    _render(db, conn, version, writer.version, base, position)
                conn.execute(
                    f"INSERT INTO findings (version, {_COPIED}) SELECT ?, {_COPIED} FROM findings WHERE version = ?",
                    (writer.version, version),
                )
            made = figures(db, writer.version)
            told = {
                **report(db.conn, writer.version, Settings()),
                "kept": made.rows,
                "reviewed_rows": len(places),
                "settings": _params(store, dataset, version),
            }
            removed = db.conn.execute(
                "SELECT count(*) FROM version_rows WHERE version = ? AND state = 'removed'", (writer.version,)
            ).fetchone()[0]
            writer.finish(
                rows=made.rows,
                removed=int(removed),
                splits=made.splits,
                shape=shape_of(store, dataset, version),
                content_hash=made.content_hash,
                report=told,
            )
    return Derived(dataset, made.version, made.rows, made.splits, made.content_hash, told)


def _render(db: DatasetDb, conn: Any, version: int, target: int, base: int, position: int) -> None:
    """Write one row anew from its original text and the findings that were not rejected."""
    row = _stored(db, base, position)
    texts, parts, counts = texts_of(row, ("*",)), dict[str, list[tuple[int, int, str]]](), Counter[str]()
    for _, field, start, end, entity, _, _, replacement, decision, _ in _findings(db, version, position):
        if decision != "rejected":
            parts.setdefault(field, []).append((start, end, replacement))
            counts[entity] += 1
    new = with_texts(row, {field: replaced(texts[field], listed) for field, listed in parts.items()})
    digest, payload = encode(new)
    detail = ", ".join(f"{count} {label(name)}" for name, count in sorted(counts.items()))
    conn.execute("INSERT INTO rows (hash, payload) VALUES (?, ?) ON CONFLICT (hash) DO NOTHING", (digest, payload))
    conn.execute(
        "UPDATE version_rows SET row = (SELECT id FROM rows WHERE hash = ?), reason = ?, detail = ? WHERE version = ? AND position = ?",
        (digest, "redacted" if counts else None, detail or None, target, position),
    )
    carry_over(conn, version, target, position)
