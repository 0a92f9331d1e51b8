"""Who may ask what: headers, Host, Origin, methods, and the key."""

from __future__ import annotations

import secrets

from app.gateway.errors import ApiError
from app.gateway.exchange import Exchange
from app.store import Store
from app.store.watcher import Watcher

MOST_HEADERS = 64
HOSTS = ("127.0.0.1", "localhost", "[::1]")


def check_caller(exchange: Exchange) -> None:
    """Raises ApiError 431, 421 or 403: a page of another site must reach nothing, not even through a forged name."""
    if len(exchange.scope["headers"]) > MOST_HEADERS:
        raise ApiError(431, "There are too many headers.", code="too_many_headers")
    if host_name(exchange.header(b"host")) not in HOSTS:
        raise ApiError(421, "This endpoint answers to 127.0.0.1 and localhost only.", code="wrong_host")
    if exchange.header(b"origin"):
        raise ApiError(403, "Pages in a browser may not call this endpoint.", code="foreign_origin")


def host_name(host: str) -> str:
    """A Host header without its port."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() else host.lower()


def check_method(exchange: Exchange, allowed: tuple[str, ...] | None) -> None:
    """Raises ApiError 404 where there is no such route (None), 405 for a wrong method."""
    if allowed is None:
        raise ApiError(404, f"There is no {exchange.path[:100]}.", code="unknown_url")
    method = exchange.scope["method"]
    if method not in allowed:
        message = f"{method[:20]} is not allowed here; use {' or '.join(allowed)}."
        raise ApiError(405, message, code="method_not_allowed", headers={"allow": ", ".join(allowed)})


class KeyRing:
    """The keys in force.  They are read again only when the store changed, so that a check costs no query."""

    def __init__(self, store: Store) -> None:
        self._store, self._watcher = store, Watcher(store)
        self._keys: list[tuple[str, bytes]] | None = None

    def check(self, exchange: Exchange) -> str:
        """The id of the caller's key.  Raises ApiError 401; what is wrong with the key is not told."""
        given = [value for name, value in exchange.scope["headers"] if name == b"authorization"]
        other = exchange.header(b"x-api-key") or exchange.header(b"api-key")
        words = given[0].split() if len(given) == 1 else []
        if other or len(words) != 2 or words[0].lower() != b"bearer":
            message = "Give the key in one header: Authorization: Bearer KEY. It is on the Endpoint page."
            raise ApiError(401, message, code="invalid_api_key", headers={"www-authenticate": "Bearer"})
        found = self._find(words[1])
        if found is None:
            raise ApiError(401, "Incorrect API key provided.", code="invalid_api_key", headers={"www-authenticate": "Bearer"})
        return found

    def _find(self, given: bytes) -> str | None:
        """All keys are compared in full, so that time tells nothing."""
        if "api_keys" in self._watcher.poll() or self._keys is None:
            rows = self._store.rows("SELECT id, key FROM api_keys WHERE revoked IS NULL")
            self._keys = [(str(row["id"]), str(row["key"]).encode()) for row in rows]
        found = None
        for identity, key in self._keys:
            if secrets.compare_digest(key, given):
                found = identity
        return found
