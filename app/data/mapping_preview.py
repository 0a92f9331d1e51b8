"""What the mapping editor shows: the columns of a file, how they were understood, and the first rows as they would be stored.

The file is read by the limited child (see parsing.py), whatever its size; this module itself is light to import.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from app.data.mapping import ColumnMapping
    from app.data.parsing import Job

SAMPLES = 3
SAMPLE_CHARACTERS = 120
TEXT_CHARACTERS = 400


@dataclass(frozen=True, slots=True)
class RoleChoice:
    """A part that a column can play.  role: key of the mapping."""

    role: str
    label: str
    needed: bool


@dataclass(frozen=True, slots=True)
class ShapeChoice:
    """A shape that a file can have.  shape: what the mapping's "shape" may say."""

    shape: str
    label: str
    roles: tuple[RoleChoice, ...]


_SYSTEM = RoleChoice("system", "System message", needed=False)
_PROMPT, _ANSWER = RoleChoice("prompt", "Question", needed=True), RoleChoice("answer", "Answer", needed=True)
SHAPES = (
    ShapeChoice("prompt", "Question and answer", (_PROMPT, _ANSWER, _SYSTEM)),
    ShapeChoice(
        "instruction",
        "Instruction with further input",
        (
            RoleChoice("prompt", "Instruction", needed=True),
            RoleChoice("context", "Further input", needed=False),
            _ANSWER,
            _SYSTEM,
        ),
    ),
    ShapeChoice("chat", "Conversation", (RoleChoice("messages", "List of messages", needed=True), _SYSTEM)),
    ShapeChoice(
        "preference",
        "Preferred and rejected answer",
        (
            RoleChoice("prompt", "Question", needed=False),
            RoleChoice("chosen", "Preferred answer", needed=True),
            RoleChoice("rejected", "Rejected answer", needed=True),
            _SYSTEM,
        ),
    ),
    ShapeChoice("text", "Plain text", (RoleChoice("text", "Text", needed=True),)),
)
PARTS = tuple(dict.fromkeys(role.role for shape in SHAPES for role in shape.roles))
"""Every part that a column can play."""


@dataclass(frozen=True, slots=True)
class ColumnView:
    """A column of the file.  role: the part it plays, "split", or "" (kept as metadata).  samples: up to 3 values, cut."""

    name: str
    role: str
    samples: list[str]


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row as it would be stored, or the reason why it would be set aside (problem, else "").

    parts: (part, text cut to 400 characters); part is "system", "user", "assistant", "tool", "chosen", "rejected" or "text".
    meta: the other columns, as text.
    """

    number: int
    parts: list[tuple[str, str]]
    meta: dict[str, str]
    split: str
    problem: str


@dataclass(frozen=True, slots=True)
class MappingPreview:
    """What an import with this mapping would do.

    shape: one of SHAPES' names; "" where none was recognised.  mapping: {role: column} of that shape, without empty ones.
    problems: sentences; while ``usable`` is False an import would be refused.  notes: what else the user should know.
    """

    columns: list[ColumnView]
    shape: str
    mapping: dict[str, str]
    rows: list[StoredRow]
    problems: list[str]
    notes: list[str]
    usable: bool
    shapes: tuple[ShapeChoice, ...] = SHAPES

    def for_import(self) -> dict[str, str]:
        """What ``import_file(mapping=…)`` and the import step take."""
        return {"shape": self.shape, **self.mapping}


@dataclass(frozen=True, slots=True)
class Sample:
    """What the child found out; plain values, so that it goes through the pipe."""

    columns: list[list[Any]]
    shape: str
    mapping: dict[str, str]
    rows: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    usable: bool = False


def preview_mapping(
    path: str | Path, mapping: ColumnMapping | Mapping[str, str] | None = None, rows: int = 5
) -> MappingPreview:
    """Look at the first rows of a file without importing it.

    mapping: {"shape": a name of SHAPES, role: column, …}; None: recognise.  A mapping that does not fit is no error here:
    ``problems`` say what is missing.  Raises DatasetError where the file as a whole cannot be read, as the import would.
    """
    from app.data.parsing import read_sample

    return shown(read_sample(Path(path), mapping, rows))


def shown(found: Sample) -> MappingPreview:
    """A sample as the editor shows it."""
    return MappingPreview(
        [ColumnView(name, role, samples) for name, role, samples in found.columns],
        found.shape,
        found.mapping,
        [StoredRow(**{**row, "parts": [(part, text) for part, text in row["parts"]]}) for row in found.rows],
        found.problems,
        found.notes,
        found.usable,
    )


def roles_of(shape: str) -> tuple[RoleChoice, ...]:
    """The parts of a shape; none for a name that is no shape."""
    return next((one.roles for one in SHAPES if one.shape == shape), ())


def shape_with(parts: Collection[str]) -> str:
    """The first shape in which all these parts are played; "" where none has them all."""
    return next((one.shape for one in SHAPES if {role.role for role in one.roles}.issuperset(parts)), "")


# ---- in the child ---------------------------------------------------------------------------------------------------


def sample_file(job: Job) -> Sample:
    """Read the beginning of a file in this process.  Raises DatasetError for a fault of the file."""
    from app.data.parsing import look_at, nothing_usable

    source, start = look_at(job)
    if not any(isinstance(record, Mapping) for _, record, _ in start):
        raise nothing_usable(Path(job.path), [(number, str(reason)) for number, reason, _ in start])
    return sample([(number, record) for number, record, _ in start], job.mapping, Path(job.path), job.sample, list(source.warnings))


def sample(start: Sequence[tuple[int, Any]], asked: Mapping[str, Any] | None, file: Path | None, rows: int, notes: list[str]) -> Sample:
    """What the first records come to: each a mapping, or the reason why it is none.  asked: a mapping, None: recognise."""
    records = [(number, record) for number, record in start if isinstance(record, Mapping)]
    shape, chosen, problems = _understood(asked, file, [record for _, record in records])
    names = list(dict.fromkeys(str(name) for _, record in records for name in record))
    chosen = {role: chosen[role] for role in (one.role for one in roles_of(shape)) if chosen.get(role)}
    problems += _missing(shape, chosen, names)
    usable = not problems
    split = "split" if "split" in names and "split" not in chosen.values() else ""
    columns = [[name, _role(name, chosen, split), _samples(name, records)] for name in names]
    made = [_stored(number, record, shape, chosen, split) for number, record in records] if usable else []
    bad = [(row["number"], row["problem"]) for row in made if row["problem"]]
    bad += [(number, str(reason)) for number, reason in start if not isinstance(reason, Mapping)]
    if usable and bad:
        number, reason = min(bad)
        problems.append(f"{len(bad)} of the first {len(start)} rows would be set aside; row {number}: {reason}.")
    return Sample(columns, shape, chosen, made[:rows], problems, notes, usable and len(bad) < len(start))


def _understood(asked: Mapping[str, Any] | None, file: Path | None,
                records: list[Mapping[str, Any]]) -> tuple[str, dict[str, str], list[str]]:
    """(shape, {role: column}, problems) of the mapping asked for, or of what the columns look like."""
    from app.data.mapping import mapping_of, recognise
    from app.errors import DatasetError, Place

    place = Place.of(file) if file else Place()
    try:
        found = recognise(records, place) if asked is None else mapping_of(asked, place)
    except DatasetError as problem:
        why = "The shape was not recognised: say which column plays which part." if asked is None else problem.why
        return "", {}, [why]
    said = str((asked or {}).get("shape") or "")
    shape = said if said in ("prompt", "instruction") else found.kind()
    return shape, {role: str(column) for role, column in found.model_dump().items() if role != "shape"}, []


def _missing(shape: str, chosen: Mapping[str, str], names: list[str]) -> list[str]:
    wanted = [f"Choose the column for: {one.label}." for one in roles_of(shape) if one.needed and one.role not in chosen]
    absent = [f"There is no column {column!r} in this file." for column in chosen.values() if column not in names]
    columns = list(chosen.values())
    twice = sorted({column for column in columns if columns.count(column) > 1})
    return wanted + absent + [f"The column {column!r} plays two parts." for column in twice]


def _role(name: str, chosen: Mapping[str, str], split: str) -> str:
    return next((role for role, column in chosen.items() if column == name), "split" if name == split else "")


def _samples(name: str, records: list[tuple[int, Mapping[str, Any]]]) -> list[str]:
    found = dict.fromkeys(_words(record[name], SAMPLE_CHARACTERS) for _, record in records if record.get(name) not in (None, ""))
    return list(found)[:SAMPLES]


def _words(value: Any, most: int) -> str:
    import json

    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= most else text[: most - 1] + "…"


def _stored(number: int, record: Mapping[str, Any], shape: str, chosen: Mapping[str, str], split: str) -> dict[str, Any]:
    from app.data.mapping import BadRow, ColumnMapping, to_row
    from app.data.repair import mend_row

    mapping = ColumnMapping.model_validate({"shape": shape, **chosen})
    made: dict[str, Any] = {"number": number, "parts": [], "meta": {}, "split": "", "problem": ""}
    try:
        row = to_row(record, mapping, split, mapping.used())
    except BadRow as problem:
        return made | {"problem": str(problem)}
    mend_row(row)
    parts = [(one["role"], one["content"]) for one in row.messages]
    parts += [(part, text) for part, text in (("chosen", row.chosen), ("rejected", row.rejected), ("text", row.text)) if text]
    meta = {name: _words(value, SAMPLE_CHARACTERS) for name, value in row.meta.items()}
    return made | {"parts": [(part, _words(text, TEXT_CHARACTERS)) for part, text in parts], "meta": meta, "split": row.split}
