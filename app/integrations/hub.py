"""Search the Hugging Face Hub and fetch a model from it: off until the user switches offline mode off.

Only what a model needs is fetched: safetensors, configuration, tokenizer, card and licence.  No pickle, no code, no token is sent.
Every file is checked against the hash that the Hub states (sha256 of large files, git's sha1 of small ones).  A download that was cut
off goes on where it stopped.  Protocol: the Hub's HTTP API as of huggingface_hub 2.4 (``/api/models``, ``/resolve``).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit

from app.config import offline
from app.errors import EnvironmentFault, NeuroWeaverError, Place, UsageError

if TYPE_CHECKING:
    import httpx

    from app.store import Store

ADDRESS = "https://huggingface.co"
REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?")
REVISION = re.compile(r"[A-Za-z0-9][\w./-]{0,99}")
WANTED = re.compile(r"(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab)\.json|merges\.txt"
                    r"|tokenizer\.model|chat_template\.jinja|README\.md|LICEN[CS]E(\.\w+)?|[\w.-]+\.safetensors(\.index\.json)?")
LARGEST_LIST, MOST_FOUND = 5_000_000, 30
CHUNK = 256 * 1024
TRIES, WAIT_SECONDS = 5, 1.0
SPARE = 0.05
"""Share of the download's size that must stay free besides."""
Tell = Callable[[float, str], None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Found:
    """One model of a search.  parameters: None where the Hub does not know."""

    repo: str
    downloads: int
    licence: str
    parameters: int | None
    gated: bool


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a repository.  sha256: of a large file; else blob: git's sha1 of "blob SIZE\\0" and the content."""

    name: str
    size: int
    sha256: str
    blob: str


@dataclass(frozen=True, slots=True)
class Listing:
    """What is to be fetched.  commit: the revision as an unchangeable name."""

    repo: str
    commit: str
    files: tuple[RemoteFile, ...]

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(file.size for file in self.files)


def address() -> str:
    """Where the Hub is; NEUROWEAVER_HUB names another, for example a mirror inside a company."""
    return os.environ.get("NEUROWEAVER_HUB", ADDRESS).rstrip("/")


def check_allowed(store: Store) -> None:
    """Raise UsageError hub.offline while offline mode is on and the Hub is another computer."""
    from app.store import settings

    if settings.get(store, "offline") and not offline.is_here(urlsplit(address()).hostname or ""):
        raise UsageError("hub.offline", "This needs the network. Offline mode is on.", where=Place.of(field="offline"),
                         remedy="Switch offline mode off in Settings, fetch the model, and switch it on again.")


def search(store: Store, words: str) -> list[Found]:
    """Models with safetensors that fit the words, the most fetched first.  Raises UsageError, EnvironmentFault hub.*."""
    check_allowed(store)
    query = {"search": words.strip()[:100], "filter": "safetensors", "pipeline_tag": "text-generation", "sort": "downloads",
             "direction": "-1", "limit": str(MOST_FOUND), "full": "true"}
    listed = _json("/api/models", query)
    named = [one for one in listed if isinstance(one, dict) and REPO.fullmatch(str(one.get("id")))] if isinstance(listed, list) else []
    return [_found(one) for one in named]


def _found(one: dict[str, Any]) -> Found:
    tags = [str(tag) for tag in one.get("tags") or ()]
    licence = next((tag.removeprefix("license:") for tag in tags if tag.startswith("license:")), "")
    total = (one.get("safetensors") or {}).get("total") if isinstance(one.get("safetensors"), dict) else None
    return Found(str(one["id"]), int(one.get("downloads") or 0), licence, int(total) if total else None, bool(one.get("gated")))


def listing(repo: str, revision: str = "main") -> Listing:
    """What a repository holds that a model needs.  Raises UsageError hub.no_weights, hub.gated, hub.unknown."""
    if not REPO.fullmatch(repo) or not REVISION.fullmatch(revision) or ".." in revision:
        raise UsageError("hub.name", f"{repo!r} at {revision!r} is no name of a model on the Hub.", remedy="Write owner/name.")
    one = _json(f"/api/models/{repo}/revision/{quote(revision, safe='')}", {"blobs": "true"})
    files = tuple(_file(entry) for entry in one.get("siblings") or () if WANTED.fullmatch(str(entry.get("rfilename"))))
    if not any(file.name.endswith(".safetensors") for file in files):
        raise UsageError("hub.no_weights", f"{repo} has no safetensors weights.", where=Place.of(field="repo"),
                         why="Other formats can carry code and are not fetched.", remedy="Choose a model with safetensors.")
    return Listing(repo, str(one.get("sha") or revision), files)


def _file(entry: dict[str, Any]) -> RemoteFile:
    lfs = entry.get("lfs") or {}
    return RemoteFile(str(entry["rfilename"]), int(lfs.get("size") or entry.get("size") or 0), str(lfs.get("sha256") or ""),
                      str(entry.get("blobId") or ""))


def fetch(wanted: Listing, folder: Path, tell: Tell) -> Path:
    """Fetch all files into a folder; those that are there and right are kept, a part of one is gone on with.

    tell: called with the share of bytes and words; it may raise, and the parts stay.  Raises EnvironmentFault hub.no_room,
    hub.unreachable, hub.damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = sorted((file for file in wanted.files if not (folder / file.name).is_file()), key=lambda file: file.size)
    _check_room(folder, missing)
    done = wanted.size - sum(file.size for file in missing)
    for file in missing:
        part = folder / f"{file.name}.part"
        before = done

        def told(count: int, file: RemoteFile = file, before: int = before) -> None:
            tell((before + count) / max(wanted.size, 1), f"{file.name}, {(before + count) / 1e6:,.0f} of {wanted.size / 1e6:,.0f} MB")

        _fetch_file(wanted, file, part, told)
        part.replace(folder / file.name)
        done += file.size
    return folder


def _check_room(folder: Path, missing: list[RemoteFile]) -> None:
    have = sum(part.stat().st_size for file in missing if (part := folder / f"{file.name}.part").is_file())
    need = (sum(file.size for file in missing) - have) * (1 + SPARE)
    free = shutil.disk_usage(folder).free
    if need > free:
        raise EnvironmentFault("hub.no_room", "There is too little room for this model; nothing more was fetched.", where=Place.of(folder),
                               why=f"It needs {need / 1e9:.1f} GB more, and {free / 1e9:.1f} GB are free.",
                               remedy="Make room on this drive, then resume the run.")


def _fetch_file(wanted: Listing, file: RemoteFile, part: Path, told: Callable[[int], None]) -> None:
    if not part.is_file() or part.stat().st_size < file.size:
        _insist(lambda: _go_on(wanted, file, part, told))
    if not _is_right(file, part):
        part.unlink()
        raise EnvironmentFault("hub.damaged", f"{file.name} did not arrive as the Hub states it; it was thrown away.",
                               where=Place.of(part), why="Its hash or its size differs.", remedy="Resume the run to fetch it again.")


class _Interrupted(Exception):
    """The connection broke, or the Hub is busy; another try may go on."""


def _insist(act: Callable[[], T]) -> T:
    """Try some times, with longer and longer pauses.  Raises EnvironmentFault hub.unreachable."""
    for failures in range(1, TRIES + 1):
        try:
            return act()
        except _Interrupted as problem:
            if failures == TRIES:
                raise _unreachable(problem) from problem
            time.sleep(WAIT_SECONDS * failures)
    raise AssertionError("The last try returns or raises.")


def _go_on(wanted: Listing, file: RemoteFile, part: Path, told: Callable[[int], None]) -> None:
    import httpx

    have = part.stat().st_size if part.is_file() else 0
    headers = {"Range": f"bytes={have}-", "Accept-Encoding": "identity"} if have else {"Accept-Encoding": "identity"}
    place = f"{address()}/{wanted.repo}/resolve/{quote(wanted.commit, safe='')}/{quote(file.name)}"
    try:
        with _client() as client, client.stream("GET", place, headers=headers) as answer:
            _check_status(answer, wanted.repo)
            have = have if answer.status_code == 206 else 0
            with part.open("ab" if have else "wb") as stream:
                for block in answer.iter_bytes(CHUNK):
                    have += len(block)
                    if have > file.size > 0:
                        break  # the hash will not fit
                    stream.write(block)
                    told(have)
                stream.flush()
                os.fsync(stream.fileno())
    except httpx.HTTPError as problem:
        raise _Interrupted(f"{type(problem).__name__}: {problem}") from problem
    if have < file.size:
        raise _Interrupted("The connection ended early.")


def _is_right(file: RemoteFile, part: Path) -> bool:
    digest: Any = hashlib.sha256() if file.sha256 else hashlib.sha1(f"blob {part.stat().st_size}\0".encode(), usedforsecurity=False)
    with part.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    expected = file.sha256 or file.blob
    return part.stat().st_size == file.size and (not expected or digest.hexdigest() == expected)


def _client() -> httpx.Client:
    import httpx

    return httpx.Client(timeout=30.0, follow_redirects=True, headers={"User-Agent": "NeuroWeaver"})


def _json(path: str, query: dict[str, str]) -> Any:
    return _insist(lambda: _ask(path, query))


def _ask(path: str, query: dict[str, str]) -> Any:
    import httpx

    try:
        with _client() as client, client.stream("GET", address() + path, params=query) as answer:
            _check_status(answer, path.removeprefix("/api/models/").partition("/revision/")[0])
            return httpx.Response(200, content=b"".join(_bounded(answer))).json()
    except (httpx.HTTPError, ValueError) as problem:
        raise _unreachable(problem) from problem


def _bounded(answer: httpx.Response) -> Iterator[bytes]:
    total = 0
    for block in answer.iter_bytes():
        total += len(block)
        if total > LARGEST_LIST:
            raise ValueError("The answer is too large.")
        yield block


def _check_status(answer: httpx.Response, repo: str) -> None:
    code = answer.status_code
    if code in (401, 403):
        raise UsageError("hub.gated", f"{repo} is not open to everybody.", why="Its owner asks for an account and consent.",
                         remedy="Fetch it by hand with your account, then import the folder.")
    if code == 404:
        raise UsageError("hub.unknown", f"The Hub has no {repo}.", remedy="Check the name, owner and revision.")
    if code == 429 or code >= 500:
        raise _Interrupted(f"The Hub answered {code}.")
    if code >= 400:
        raise _unreachable(_Interrupted(f"The Hub answered {code}."))


def _unreachable(problem: Exception) -> NeuroWeaverError:
    return EnvironmentFault("hub.unreachable", "The Hub cannot be reached.", where=Place.of(address()), why=f"{problem}".strip() or
                            type(problem).__name__, remedy="Check the network and try again; what was fetched so far is kept.")


def document(repo: str, revision: str = "main") -> str:
    """The workflow that fetches a model and makes it a base model of this computer."""
    import json

    name = repo.rpartition("/")[2].lower()
    return (f"name: {json.dumps('Fetch ' + repo)}\nsteps:\n  fetch: {{node: hub.download, repo: {json.dumps(repo)}, "
            f"revision: {json.dumps(revision)}}}\n  register: {{node: model.register, needs: fetch, name: {json.dumps(name)}}}\n")


def submit(store: Store, repo: str) -> str:
    """Queue a download as a run: it can be paused, resumed and stopped like any other.  Returns the document's text."""
    check_allowed(store)
    if not REPO.fullmatch(repo):
        raise UsageError("hub.name", f"{repo!r} is no name of a model on the Hub.", remedy="Write owner/name.")
    return document(repo)
