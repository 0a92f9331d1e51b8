"""Errors in OpenAI's shape, so that every client's own exception classes fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.errors import NeuroWeaverError, UsageError

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "invalid_request_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    421: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    431: "invalid_request_error",
}


class ApiError(Exception):
    """One refusal.  param: the field it is about; headers: for example Retry-After; more: what stands in it beside OpenAI's fields."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: dict[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param
        self.headers, self._more = headers or {}, more or {}

    def body(self) -> dict[str, Any]:
        """The JSON body."""
        kind = TYPES.get(self.status, "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code, **self._more}}


def from_ours(problem: NeuroWeaverError) -> ApiError:
    """One of the product's errors, with what to do next in its message.

    404 for what does not exist, 400 for a bad call, 422 for a well-formed call whose document, data or model file is bad,
    503 for everything that is not the caller's fault.
    """
    others = [{"message": _message(one), "param": one.where.field, "code": one.code, **_spot(one)} for one in problem.others]
    return ApiError(
        _status(problem),
        _message(problem),
        code=problem.code,
        param=problem.where.field,
        more=_spot(problem) | ({"others": others} if others else {}),
    )


def _message(problem: NeuroWeaverError) -> str:
    return " ".join(part for part in (problem.what, problem.why, problem.remedy) if part)


def _spot(problem: NeuroWeaverError) -> dict[str, int]:
    """Where it is in the text or file that was sent; not the file's name, which is the endpoint's own."""
    found = {"line": problem.where.line, "column": problem.where.column}
    return {name: number for name, number in found.items() if number is not None}


def _status(problem: NeuroWeaverError) -> int:
    if not problem.bad_input:
        return 503
    if problem.code.endswith((".unknown", ".not_found")):
        return 404
    return 400 if isinstance(problem, UsageError) else 422
