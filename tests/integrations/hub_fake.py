"""A Hugging Face Hub on the loopback: search, a revision's files with their hashes, ranges, a redirect for large files.

Tests hold it against the official client too, so that it speaks the real protocol.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """repos: files by name.  cut_after: bytes after which the next download breaks.  wrong: names sent with other content."""

    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    cut_after: int | None = None
    busy: int = 0
    wrong: set[str] = field(default_factory=set)
    asked: list[tuple[str, str]] = field(default_factory=list)
    server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        assert self.server is not None
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def start(self) -> None:
        hub = self

        class Handler(_Handler):
            fake = hub

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        assert self.server is not None
        self.server.shutdown()
        self.server.server_close()


def large(name: str) -> bool:
    return name.endswith(".safetensors")


class _Handler(BaseHTTPRequestHandler):
    fake: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        split = urlsplit(self.path)
        path, query = unquote(split.path), parse_qs(split.query)
        self.fake.asked.append((self.command, path))
        if self.fake.busy:
            self.fake.busy -= 1
            return self._send(503, b"busy")
        if path == "/api/models":
            words = query.get("search", [""])[0].lower()
            found = [self._about(repo) for repo in self.fake.repos if words in repo.lower()]
            return self._send(200, json.dumps(found).encode(), "application/json")
        if path.startswith("/api/models/"):
            repo, _, _revision = path.removeprefix("/api/models/").partition("/revision/")
            return self._repo(repo, blobs="blobs" in query)
        repo, _, rest = path.lstrip("/").partition("/resolve/")
        commit, _, name = rest.partition("/")
        if repo not in self.fake.repos or name not in self.fake.repos[repo]:
            return self._send(404, b"not found", extra={"X-Error-Code": "EntryNotFound"})
        if large(name) and not query.get("cdn"):
            return self._send(302, b"", extra={"Location": f"/{repo}/resolve/{commit}/{name}?cdn=1", **self._tags(repo, name, linked=True)})
        return self._file(repo, name)

    def _about(self, repo: str) -> dict[str, object]:
        total = sum(len(content) for name, content in self.fake.repos[repo].items() if large(name)) // 2
        return {"_id": "1", "id": repo, "modelId": repo, "sha": COMMIT, "downloads": 10, "likes": 1, "private": False, "gated": repo in self.fake.gated,
                "tags": ["safetensors", "license:apache-2.0"], "pipeline_tag": "text-generation", "createdAt": "2026-01-01T00:00:00.000Z",
                "safetensors": {"parameters": {"BF16": total}, "total": total}}

    def _repo(self, repo: str, *, blobs: bool) -> None:
        if repo in self.fake.gated:
            return self._send(403, b"{}", extra={"X-Error-Code": "GatedRepo"})
        if repo not in self.fake.repos:
            return self._send(404, b'{"error": "Repository not found"}', extra={"X-Error-Code": "RepoNotFound"})
        siblings: list[dict[str, object]] = []
        for name, content in self.fake.repos[repo].items():
            entry: dict[str, object] = {"rfilename": name}
            if blobs:
                entry |= {"size": len(content), "blobId": blob(content)}
                if large(name):
                    entry["lfs"] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest(), "pointerSize": 134}
            siblings.append(entry)
        return self._send(200, json.dumps({**self._about(repo), "siblings": siblings}).encode(), "application/json")

    def _tags(self, repo: str, name: str, *, linked: bool = False) -> dict[str, str]:
        content = self.fake.repos[repo][name]
        tag = f'"{hashlib.sha256(content).hexdigest() if large(name) else blob(content)}"'
        return {"X-Repo-Commit": COMMIT, **({"X-Linked-Etag": tag, "X-Linked-Size": str(len(content))} if linked else {"ETag": tag})}

    def _file(self, repo: str, name: str) -> None:
        content = self.fake.repos[repo][name]
        if name in self.fake.wrong:
            content = bytes(len(content))
        start = int(self.headers["Range"].removeprefix("bytes=").partition("-")[0]) if self.headers.get("Range") else 0
        body = content[start:]
        extra = self._tags(repo, name) | {"Accept-Ranges": "bytes"}
        if start:
            extra["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        cut = self.fake.cut_after
        if cut is not None and large(name) and self.command == "GET":
            self.fake.cut_after = None
            self._head(206 if start else 200, len(body), extra)
            self.wfile.write(body[:cut])
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()
            return
        self._send(206 if start else 200, body, extra=extra)

    def _head(self, code: int, length: int, extra: dict[str, str]) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(length))
        for name, value in extra.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, code: int, body: bytes, kind: str = "application/octet-stream", extra: dict[str, str] | None = None) -> None:
        self._head(code, len(body), {"Content-Type": kind, **(extra or {})})
        if self.command != "HEAD":
            with contextlib.suppress(ConnectionError):  # the client was paused
                self.wfile.write(body)


def blob(content: bytes) -> str:
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()
