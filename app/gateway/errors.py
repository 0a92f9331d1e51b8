"""Errors in OpenAI's shape, so that every client's own exception classes fit."""

from __future__ import annotations

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
    """One refusal.  param: the field it is about; headers: for example Retry-After."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        """The JSON body."""
        kind = TYPES.get(self.status, "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


def from_ours(problem: NeuroWeaverError) -> ApiError:
    """One of the product's errors, with what to do next in its message.

    404 for what does not exist, 400 for a bad call, 422 for a well-formed call whose document, data or model file is bad,
    503 for everything that is not the caller's fault.
    """
    return ApiError(
        _status(problem),
        " ".join(part for part in (problem.what, problem.why, problem.remedy) if part),
        code=problem.code,
        param=problem.where.field,
    )


def _status(problem: NeuroWeaverError) -> int:
    if not problem.bad_input:
        return 503
    if problem.code.endswith((".unknown", ".not_found")):
        return 404
    return 400 if isinstance(problem, UsageError) else 422
