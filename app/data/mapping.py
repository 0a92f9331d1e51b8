"""From the columns of a file to a row: which shape it has and which column plays which part.  Editable by the user."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from pydantic import Field, ValidationError, field_validator

from app.config.node import SHAREABLE, Params
from app.data.mapping_preview import roles_of
from app.errors import DatasetError, Place
from app.store.records import Row, Shape

PROMPTS = ("prompt", "question", "input", "query", "user", "frage", "pregunta", "fråga")
ANSWERS = ("completion", "answer", "response", "output", "assistant", "target", "antwort", "respuesta", "svar")
TEXTS = ("text", "content", "body", "document", "passage", "texto")
CHATS = ("messages", "conversations", "conversation", "dialog", "chat")
SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "calibration": "calibration",
    "validation": "calibration",
    "valid": "calibration",
    "val": "calibration",
    "dev": "calibration",
    "test": "test",
    "eval": "test",
    "": "",
}
ROLES = {
    "system": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "chatgpt": "assistant",
    "tool": "tool",
}
LONGEST_TEXT = 2_000_000
"""Characters of one field; more is a fault of the file, not an example to learn from."""


class ColumnMapping(Params):
    """Which column plays which part.  Columns that are not named stay with the row as metadata."""

    shape: Shape = Field(description="chat, instruction, prompt (both are stored as chat), preference or text")
    messages: str = Field("", description="Column with the list of messages", json_schema_extra=SHAREABLE)
    system: str = Field("", description="Column with the system message", json_schema_extra=SHAREABLE)
    prompt: str = Field("", description="Column with the question or instruction", json_schema_extra=SHAREABLE)
    context: str = Field("", description="Column with further input, added below the prompt", json_schema_extra=SHAREABLE)
    answer: str = Field("", description="Column with the answer", json_schema_extra=SHAREABLE)
    chosen: str = Field("", description="Column with the preferred answer", json_schema_extra=SHAREABLE)
    rejected: str = Field("", description="Column with the answer that lost", json_schema_extra=SHAREABLE)
    text: str = Field("", description="Column with the text", json_schema_extra=SHAREABLE)

    @field_validator("shape", mode="before")
    @classmethod
    def _stored_as(cls, value: Any) -> Any:
        return "chat" if value in ("instruction", "prompt") else value

    def kind(self) -> str:
        """The shape as a user names it: chat, instruction, prompt, preference or text."""
        if self.shape != "chat" or self.messages or not (self.prompt or self.answer):
            return self.shape
        return "instruction" if self.context or self.prompt.strip().casefold() == "instruction" else "prompt"

    def missing(self) -> list[str]:
        """The parts without which no row can be made and that no column plays."""
        pair = ("chosen", "rejected") if self.shape == "preference" else ("prompt", "answer")
        needed = ("text",) if self.shape == "text" else ("messages",) if self.kind() == "chat" else pair
        return [part for part in needed if not getattr(self, part)]

    def parts(self) -> dict[str, str]:
        """The parts that columns play, as far as they are said."""
        return {part: column for part, column in self.model_dump().items() if part != "shape" and column}

    def used(self) -> frozenset[str]:
        """The columns it names."""
        return frozenset(self.parts().values())

    def label(self) -> str:
        """The shape in the field's words."""
        return {"prompt": "prompt and answer", "text": "plain text"}.get(self.kind(), self.kind())


def mapping_of(value: Mapping[str, Any], place: Place) -> ColumnMapping:
    """A mapping that a user wrote.  Raises DatasetError dataset.bad_mapping, naming the key."""
    try:
        return ColumnMapping.model_validate(dict(value))
    except ValidationError as problem:
        first = problem.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "mapping"
        raise DatasetError(
            "dataset.bad_mapping",
            "The mapping of columns is not valid; nothing was imported.",
            where=Place(place.file, field=f"mapping.{key}"),
            why=f"{first['msg']}.",
            remedy=f"Its keys are: {', '.join(ColumnMapping.model_fields)}; "
            "shape is chat, instruction, prompt, preference or text.",
        ) from problem


class BadRow(Exception):
    """One row cannot be used; its text is the reason."""


def recognise(rows: Sequence[Mapping[str, Any]], place: Place) -> ColumnMapping:
    """The mapping that fits the columns.  Raises DatasetError dataset.unknown_shape, naming the columns found."""
    names = list(dict.fromkeys(str(name) for row in rows for name in row))
    folded = {name.strip().casefold(): name for name in reversed(names)}

    def first(options: Iterable[str]) -> str:
        return next((folded[option] for option in options if option in folded), "")

    if "chosen" in folded and "rejected" in folded:
        return ColumnMapping(
            shape="preference",
            prompt=first(("instruction", *PROMPTS)),
            chosen=folded["chosen"],
            rejected=folded["rejected"],
            system=first(("system",)),
        )
    if chat := first(CHATS):
        return ColumnMapping(shape="chat", messages=chat, system=first(("system", "system_prompt")))
    if "instruction" in folded and (answer := first(("output", *ANSWERS))):
        return ColumnMapping(
            shape="chat",
            prompt=folded["instruction"],
            context=first(("input", "context")),
            answer=answer,
            system=first(("system", "system_prompt")),
        )
    prompt, answer = first(PROMPTS), first(ANSWERS)
    if prompt and answer and prompt != answer:
        return ColumnMapping(shape="chat", prompt=prompt, context=first(("context",)), answer=answer, system=first(("system",)))
    if text := first(TEXTS):
        return ColumnMapping(shape="text", text=text)
    raise DatasetError(
        "dataset.unknown_shape",
        "The shape of this file was not recognised; nothing was imported.",
        where=place,
        why=f"Its columns are: {', '.join(names[:20]) or 'none'}.",
        remedy="Say which column is the question and which the answer: mapping: {shape: chat, prompt: …, answer: …} in a workflow, "
        "--map prompt=… --map answer=… on the command line.",
    )


def check(mapping: ColumnMapping, rows: Sequence[Mapping[str, Any]], place: Place) -> None:
    """Raise DatasetError dataset.bad_mapping if a part is missing, idle or played by a column that plays another one too,
    dataset.no_such_column if no row has a column it names."""
    if absent := mapping.missing():
        raise _bad_mapping("The mapping of columns is not complete; nothing was imported.",
                           f"No column is named for {' and '.join(absent)}.", "Name the column.", place, absent[0])
    parts, known = mapping.parts(), [one.role for one in roles_of(mapping.kind())]
    apart = "The parts of the mapping do not fit together; nothing was imported."
    if idle := next((part for part in parts if part not in known), ""):
        raise _bad_mapping(apart, f"A row of {mapping.label()} has no {idle}.", f"Leave {idle} out.", place, idle)
    columns = list(parts.values())
    if twice := next((part for part, column in parts.items() if columns.count(column) > 1), ""):
        raise _bad_mapping(apart, f"The column {parts[twice]!r} plays two parts.", "Name another column.", place, twice)
    names = {str(name) for row in rows for name in row}
    missing = sorted(mapping.used() - names)
    if missing:
        raise DatasetError(
            "dataset.no_such_column",
            f"The mapping names a column that is not there: {missing[0]}.",
            where=Place(place.file, place.line, field=missing[0]),
            why=f"The file has: {', '.join(sorted(names)[:20])}.",
            remedy="Correct the mapping.",
        )


def _bad_mapping(what: str, why: str, remedy: str, place: Place, part: str) -> DatasetError:
    return DatasetError("dataset.bad_mapping", what, where=Place(place.file, field=f"mapping.{part}"), why=why, remedy=remedy)


def to_row(record: Mapping[str, Any], mapping: ColumnMapping, split_field: str, used: frozenset[str]) -> Row:
    """One record as a row.  Raises BadRow with the reason.  ``used``: mapping.used(), given so that it is not made again."""
    if mapping.shape == "text":
        row = Row("text", text=_text(record, mapping.text))
    elif mapping.shape == "preference":
        row = _preference(record, mapping)
    else:
        row = Row("chat", messages=_messages(record, mapping))
    row.meta = {str(name): value for name, value in record.items() if name not in used and not (split_field and name == split_field)}
    if split_field:
        row.split = _split(record.get(split_field))
    return row


def _split(value: Any) -> str:
    word = str(value if value is not None else "").strip().casefold()
    if word not in SPLIT_WORDS:
        raise BadRow(f"its split is {value!r}; train, calibration or test is needed")
    return SPLIT_WORDS[word]


def _text(record: Mapping[str, Any], name: str, *, needed: bool = True) -> str:
    value = record.get(name)
    if value is None or value == "":
        if needed:
            raise BadRow(f"{name} is empty")
        return ""
    if not isinstance(value, str):
        if isinstance(value, list | dict):
            raise BadRow(f"{name} is not text")
        value = str(value)
    if "\x00" in value:
        raise BadRow(f"{name} holds a NUL character")
    if len(value) > LONGEST_TEXT:
        raise BadRow(f"{name} has {len(value):,} characters; at most {LONGEST_TEXT:,} are read")
    if needed and not value.strip():
        raise BadRow(f"{name} is blank")
    return value


def _messages(record: Mapping[str, Any], mapping: ColumnMapping) -> list[dict[str, str]]:
    system = _text(record, mapping.system, needed=False) if mapping.system else ""
    opening = [{"role": "system", "content": system}] if system else []
    if mapping.messages:
        return opening + _conversation(record.get(mapping.messages), mapping.messages)
    prompt = _text(record, mapping.prompt)
    context = _text(record, mapping.context, needed=False) if mapping.context else ""
    question = f"{prompt}\n\n{context}" if context else prompt
    return [*opening, {"role": "user", "content": question}, {"role": "assistant", "content": _text(record, mapping.answer)}]


def _conversation(value: Any, name: str) -> list[dict[str, str]]:
    if isinstance(value, str) and value.lstrip().startswith("["):  # a CSV cell holds the list as JSON
        with contextlib.suppress(orjson.JSONDecodeError):
            value = orjson.loads(value)
    if not isinstance(value, list) or not value:
        raise BadRow(f"{name} is not a list of messages")
    messages = [_message(one, name) for one in value]
    if messages[-1]["role"] != "assistant":
        raise BadRow(f"{name} does not end with an answer of the assistant")
    if not any(one["role"] == "user" for one in messages):
        raise BadRow(f"{name} holds no question")
    return messages


def _message(one: Any, name: str) -> dict[str, str]:
    if not isinstance(one, dict):
        raise BadRow(f"{name} holds something that is not a message")
    role = ROLES.get(str(one.get("role", one.get("from", ""))).casefold())
    if role is None:
        raise BadRow(f"{name} has a message whose role is {one.get('role', one.get('from'))!r}")
    if one.get("tool_calls") or one.get("function_call"):
        raise BadRow(f"{name} has a message that calls a tool, which cannot be trained on here")
    field = "content" if "content" in one else "value"
    return {"role": role, "content": _text(one, field, needed=role != "system")}


def _preference(record: Mapping[str, Any], mapping: ColumnMapping) -> Row:
    """Preferred and rejected answers are texts, or conversations that share everything but the last message."""
    chosen, rejected = record.get(mapping.chosen), record.get(mapping.rejected)
    system = _text(record, mapping.system, needed=False) if mapping.system else ""
    opening = [{"role": "system", "content": system}] if system else []
    if isinstance(chosen, list) and isinstance(rejected, list):
        first, second = _conversation(chosen, mapping.chosen), _conversation(rejected, mapping.rejected)
        row = Row("preference", messages=opening + first[:-1], chosen=first[-1]["content"], rejected=second[-1]["content"])
    else:
        question = [{"role": "user", "content": _text(record, mapping.prompt)}] if mapping.prompt else []
        row = Row("preference", messages=opening + question, chosen=_text(record, mapping.chosen), rejected=_text(record, mapping.rejected))
    if row.chosen == row.rejected:
        raise BadRow("the preferred and the rejected answer are the same")
    return row
