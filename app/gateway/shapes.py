"""The engine's events in OpenAI's shapes: pure functions, so that no field of an engine reaches a client unseen."""

from __future__ import annotations

import base64
import itertools
import struct
from typing import Any

from app.serving.served import Served

Json = dict[str, Any]


def words(choice: Json) -> str:
    """The text of one choice of an event."""
    return str((choice.get("delta") or {}).get("content") or choice.get("text") or "")


def chunk_choice(choice: Json, kind: str, at: int = 0) -> Json:
    """A choice of a streamed chunk.  at: characters of the answer that were sent before."""
    found = choice.get("logprobs")
    common = {
        "index": 0,
        "finish_reason": choice.get("finish_reason"),
        "logprobs": joined_logprobs([found], kind, at) if found else None,
    }
    if kind == "completion":
        return common | {"text": choice.get("text") or ""}
    given = choice.get("delta") or {}
    return common | {"delta": {name: given[name] for name in ("role", "content") if given.get(name) is not None}}


def whole_choice(text: str, finish: str, logprobs: list[Any], kind: str) -> Json:
    """The choice of an answer that is given at once."""
    choice: Json = {"index": 0, "finish_reason": finish, "logprobs": joined_logprobs(logprobs, kind)}
    if kind == "chat":
        return choice | {"message": {"role": "assistant", "content": text, "refusal": None}}
    return choice | {"text": text}


def joined_logprobs(parts: list[Any], kind: str, at: int = 0) -> Any:
    """The probabilities of several events as one object; None where there are none.

    The engine gives both kinds in the chat's form; a completion has its own.  at: where in the answer's text they begin.
    """
    if not parts:
        return None
    content = [one for part in parts for one in part.get("content") or []]
    if kind == "chat":
        return {"content": [_token(one) for one in content], "refusal": None}
    return {
        "tokens": [one.get("token") for one in content],
        "token_logprobs": [one.get("logprob") for one in content],
        "top_logprobs": [{top.get("token"): top.get("logprob") for top in one.get("top_logprobs") or []} for one in content],
        "text_offset": _offsets([str(one.get("token", "")) for one in content], at),
    }


def _offsets(tokens: list[str], at: int) -> list[int]:
    return list(itertools.accumulate((len(token) for token in tokens[:-1]), initial=at)) if tokens else []


def _token(one: Json) -> Json:
    kept = {name: one.get(name) for name in ("token", "logprob", "bytes")}
    tops = [{name: top.get(name) for name in ("token", "logprob", "bytes")} for top in one.get("top_logprobs") or []]
    return {**kept, "top_logprobs": tops}


def usage(prompt: int, answer: int) -> Json:
    """Token counts."""
    return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}


def packed(vector: list[float]) -> str:
    """A vector as base64 of little-endian float32."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def model_card(served: Served) -> Json:
    """One entry of /v1/models."""
    return {"id": served.alias, "object": "model", "created": int(served.row["created"]), "owned_by": "neuroweaver"}
