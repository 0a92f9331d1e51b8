"""What a request may say.  Everything else is refused before an engine sees it, with the field's name.

Bounds are what a workstation can answer; a schema is bounded so that compiling it cannot hold up other clients.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, cast

import orjson

from app.gateway.errors import ApiError

Json = dict[str, Any]
MOST_MESSAGES, MOST_TEXT = 512, 400_000
MOST_TOKENS = 32_768
MOST_STOPS, LONGEST_STOP = 4, 256
MOST_INPUTS = 64
SCHEMA_BYTES, SCHEMA_ENUM, SCHEMA_PROPERTIES, SCHEMA_PARTS, DEEPEST = 16_384, 256, 128, 4_096, 24
BANNED_IN_SCHEMA = ("pattern", "patternProperties", "$ref", "format")
SCHEMA = "response_format.json_schema.schema"
ROLES = ("system", "developer", "user", "assistant", "tool")
CHAT = {
    "model",
    "messages",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "stop",
    "seed",
    "n",
    "logprobs",
    "top_logprobs",
    "response_format",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "metadata",
    "store",
    "service_tier",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "reasoning_effort",
    "verbosity",
}
COMPLETION = {
    "model",
    "prompt",
    "stream",
    "stream_options",
    "max_tokens",
    "temperature",
    "top_p",
    "stop",
    "seed",
    "n",
    "logprobs",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "user",
    "echo",
    "best_of",
    "suffix",
}
EMBEDDING = {"model", "input", "encoding_format", "dimensions", "user"}

_TOKEN = re.compile("[0-9]{1,7}")  # str.isdigit takes signs that int() does not


def bad(param: str, message: str, code: str = "invalid_value") -> ApiError:
    """A 400 about one field."""
    return ApiError(400, message, code=code, param=param)


def known(body: Json, names: set[str]) -> None:
    """Refuse fields that do not exist: a misspelt one must not be ignored silently."""
    for name in body:
        if name not in names:
            raise bad(name, f"Unrecognized request argument supplied: {name}", "unknown_parameter")


def number(body: Json, name: str, low: float, high: float, *, whole: bool = False) -> Any:
    """A number in its bounds, or None where it was not given."""
    value = body.get(name)
    if value is None:
        return None
    right = isinstance(value, int) if whole else isinstance(value, int | float)
    if not right or isinstance(value, bool) or not math.isfinite(value):
        raise bad(name, f"{name} must be {'an integer' if whole else 'a number'}.", "invalid_type")
    if not low <= value <= high:
        raise bad(name, f"{name} must be between {low} and {high}; it is {value}.")
    return value


def only_one(body: Json, name: str) -> None:
    """Refuse a count of answers other than 1."""
    if number(body, name, -math.inf, math.inf, whole=True) not in (None, 1):
        raise bad(name, f"{name} must be 1: this endpoint gives one answer a request.")


def flag(body: Json, name: str) -> bool:
    """A boolean; False where it was not given."""
    value = body.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise bad(name, f"{name} must be a boolean.", "invalid_type")
    return value


def text(value: Any, name: str, longest: int = MOST_TEXT) -> str:
    """A string within its length."""
    if not isinstance(value, str):
        raise bad(name, f"{name} must be a string.", "invalid_type")
    if len(value) > longest:
        raise bad(name, f"{name} is too long: {len(value):,} characters, at most {longest:,}.", "string_above_max_length")
    return value


def model(body: Json) -> str:
    """The model's name."""
    if "model" not in body:
        raise bad("model", "you must provide a model parameter", "missing_required_parameter")
    return text(body["model"], "model", 200)


def messages(body: Json) -> list[Json]:
    """The conversation, with texts only."""
    given = body.get("messages")
    if not isinstance(given, list) or not given:
        raise bad(
            "messages",
            "messages must be a non-empty array.",
            "invalid_type" if given is not None else "missing_required_parameter",
        )
    if len(given) > MOST_MESSAGES:
        raise bad("messages", f"messages has {len(given):,} items; at most {MOST_MESSAGES} are read.", "array_above_max_length")
    found = [_message(one, number_) for number_, one in enumerate(given)]
    if sum(len(one["content"]) for one in found) > MOST_TEXT:
        raise bad("messages", "The messages are too long together.", "string_above_max_length")
    return found


def _message(one: Any, place: int) -> Json:
    name = f"messages[{place}]"
    if not isinstance(one, dict):
        raise bad(name, f"{name} must be an object.", "invalid_type")
    role = one.get("role")
    if role not in ROLES:
        raise bad(f"{name}.role", f"{name}.role must be one of {', '.join(ROLES)}.")
    if one.get("tool_calls") or role == "tool":
        raise bad(f"{name}", "Tools are not supported by this endpoint.", "unsupported_value")
    content = one.get("content")
    if isinstance(content, list):
        content = "".join(_part(part, f"{name}.content[{at}]") for at, part in enumerate(content))
    return {"role": "system" if role == "developer" else role, "content": text(content, f"{name}.content")}


def _part(part: Any, name: str) -> str:
    if not isinstance(part, dict) or part.get("type") != "text":
        raise bad(name, "Only parts of type text are supported; pictures and files are not.", "unsupported_value")
    return text(part.get("text"), f"{name}.text")


def stops(body: Json) -> list[str]:
    """Stop words; none may be empty."""
    given = body.get("stop")
    found = [] if given is None else [given] if isinstance(given, str) else given
    if not isinstance(found, list) or len(found) > MOST_STOPS:
        raise bad("stop", f"stop must be a string or an array of at most {MOST_STOPS} strings.")
    for one in found:
        if not text(one, "stop", LONGEST_STOP):
            raise bad("stop", "A stop word must not be empty.")
    return found


def common(body: Json) -> Json:
    """What chat and completion share, as the engine reads it."""
    found: Json = {"stream": True, "stream_options": {"include_usage": True}}
    limits: Mapping[str, tuple[float, float, bool]] = {
        "temperature": (0, 2, False),
        "top_p": (0, 1, False),
        "seed": (-(2**63), 2**63 - 1, True),
        "presence_penalty": (-2, 2, False),
        "frequency_penalty": (-2, 2, False),
    }
    for name, (low, high, whole) in limits.items():
        if (value := number(body, name, low, high, whole=whole)) is not None:
            found[name] = value % 2**32 if name == "seed" else value
    if words := stops(body):
        found["stop"] = words
    only_one(body, "n")
    if (bias := body.get("logit_bias")) is not None:
        found["logit_bias"] = _bias(bias)
    _stream_options(body)
    return found


def _stream_options(body: Json) -> None:
    options = body.get("stream_options")
    if options is None:
        return
    if not isinstance(options, dict) or not flag(body, "stream"):
        raise bad("stream_options", "stream_options is an object and only allowed when stream is true.")
    flag(options, "include_usage")


def _bias(bias: Any) -> list[list[float]]:
    if not isinstance(bias, dict) or len(bias) > 300:
        raise bad("logit_bias", "logit_bias must be an object of at most 300 tokens.")
    found = []
    for token, value in bias.items():
        known = _TOKEN.fullmatch(token) is not None and int(token) < 2**20
        if not known or number({"logit_bias": value}, "logit_bias", -100, 100) is None:
            raise bad("logit_bias", f"logit_bias has no such token: {token[:20]!r}.")
        found.append([int(token), float(value)])
    return found


def chat(body: Json) -> Json:
    """A chat request for the engine."""
    known(body, CHAT)
    if body.get("tools"):
        raise bad("tools", "Tools are not supported by this endpoint.", "unsupported_value")
    if body.get("tool_choice") not in (None, "none", "auto"):
        raise bad("tool_choice", "tool_choice is only allowed when tools are given, and tools are not supported.", "unsupported_value")
    found = common(body) | {"messages": messages(body)}
    limit = number(body, "max_completion_tokens", 1, MOST_TOKENS, whole=True)
    limit = limit if limit is not None else number(body, "max_tokens", 1, MOST_TOKENS, whole=True)
    found["max_tokens"] = limit if limit is not None else 1024
    if flag(body, "logprobs"):
        found["logprobs"] = True
        found["top_logprobs"] = number(body, "top_logprobs", 0, 20, whole=True) or 0
    elif body.get("top_logprobs") is not None:
        raise bad("top_logprobs", "top_logprobs needs logprobs to be true.")
    if (form := body.get("response_format")) is not None:
        found |= response_format(form)
    return found


def completion(body: Json) -> Json:
    """A completion request for the engine."""
    known(body, COMPLETION)
    for name in ("suffix", "echo"):
        if body.get(name):
            raise bad(name, f"{name} is not supported.", "unsupported_value")
    only_one(body, "best_of")
    prompt = body.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str):
        prompt = prompt[0]
    if isinstance(prompt, list):
        raise bad("prompt", "prompt must be one string: this endpoint answers one prompt a request, given as text.", "unsupported_value")
    if prompt is None:
        raise bad("prompt", "you must provide a prompt parameter", "missing_required_parameter")
    if not text(prompt, "prompt"):
        raise bad("prompt", "prompt cannot be an empty string.")
    found = common(body) | {"prompt": prompt}
    found["max_tokens"] = number(body, "max_tokens", 1, MOST_TOKENS, whole=True) or 16
    if (count := number(body, "logprobs", 0, 5, whole=True)) is not None:
        found["logprobs"] = count
    return found


def embedding(body: Json) -> tuple[list[str], bool]:
    """(texts, whether base64 is asked)."""
    known(body, EMBEDDING)
    if body.get("dimensions") is not None:
        raise bad("dimensions", "dimensions is not supported.", "unsupported_value")
    form = "float" if body.get("encoding_format") is None else body["encoding_format"]
    if form not in ("float", "base64"):
        raise bad("encoding_format", "encoding_format must be float or base64.")
    given = body.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts:
        raise bad("input", "input must be a string or a non-empty array of strings.", "invalid_type")
    if len(texts) > MOST_INPUTS:
        raise bad("input", f"input has {len(texts):,} items; at most {MOST_INPUTS} are read.", "array_above_max_length")
    for one in texts:
        if not text(one, "input", 100_000):
            raise bad("input", "input cannot be an empty string.")
    return texts, form == "base64"


def response_format(form: Any) -> Json:
    """JSON mode or a bounded JSON schema."""
    kind = form.get("type") if isinstance(form, dict) else None
    if kind == "text":
        return {}
    if kind == "json_object":
        return {"response_format": {"type": "json_object"}}
    if kind != "json_schema":
        raise bad("response_format.type", "response_format.type must be text, json_object or json_schema.")
    wrapped = form.get("json_schema")
    schema = wrapped.get("schema") if isinstance(wrapped, dict) else None
    if not isinstance(schema, dict):
        raise bad(SCHEMA, f"{SCHEMA} must be an object.")
    schema = written_out(schema)
    check_schema(schema)
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}}


def written_out(schema: Json) -> Json:
    """The schema with what stands in its $defs written where it is referred to, as pydantic makes them of a model in a model.

    Raises ApiError for one that refers to itself or to another place, is nested too deeply or grows beyond measure.
    """
    parts = {f"#/{group}/{key}": value for group in ("$defs", "definitions") if isinstance(schema.get(group), dict)
             for key, value in schema[group].items()}
    count = 0

    def copy(value: Any, depth: int, inside: tuple[str, ...]) -> Any:
        nonlocal count
        count += 1
        if count > SCHEMA_PARTS:
            raise bad(SCHEMA, "The schema is too large once its references are written out.")
        if depth > DEEPEST:
            raise bad(SCHEMA, "The schema is nested too deeply.")
        if isinstance(value, list):
            return [copy(one, depth + 1, inside) for one in value]
        if not isinstance(value, dict):
            return value
        place = value.get("$ref")
        if not isinstance(place, str):
            return {key: copy(one, depth + 1, inside) for key, one in value.items()}
        if place in inside or place not in parts:
            raise bad(SCHEMA, f"$ref {place[:100]!r} cannot be followed: only $defs of the schema itself, none inside itself.")
        beside = {key: one for key, one in value.items() if key != "$ref"}
        found = copy(parts[place], depth, (*inside, place))
        return {**found, **copy(beside, depth, inside)} if isinstance(found, dict) else found

    return cast(Json, copy({key: one for key, one in schema.items() if key not in ("$defs", "definitions")}, 0, ()))


def check_schema(schema: Json) -> None:
    """Refuse a schema that would be slow to compile, or that needs regular expressions."""
    if len(orjson.dumps(schema)) > SCHEMA_BYTES:
        raise bad(SCHEMA, f"The schema is larger than {SCHEMA_BYTES:,} bytes.")
    count = 0

    def look(value: Any, inside_properties: bool) -> None:
        nonlocal count
        if isinstance(value, dict):
            for key, inner in value.items():
                count += inside_properties
                if key in BANNED_IN_SCHEMA and not inside_properties:
                    raise bad(SCHEMA, f"{key} is not supported in a schema.", "unsupported_value")
                if key == "enum" and not inside_properties and isinstance(inner, list) and len(inner) > SCHEMA_ENUM:
                    raise bad(SCHEMA, f"An enum has {len(inner):,} values; at most {SCHEMA_ENUM} are read.")
                if key in ("maxItems", "minItems", "maxLength", "minLength") and isinstance(inner, int) and inner > 4096:
                    raise bad(SCHEMA, f"{key} is too large.")
                look(inner, key == "properties" and not inside_properties)
        elif isinstance(value, list):
            for inner in value:
                look(inner, False)

    look(schema, False)
    if count > SCHEMA_PROPERTIES:
        raise bad(SCHEMA, f"The schema has {count} properties; at most {SCHEMA_PROPERTIES} are read.")


Check = Callable[[Json], Json]
