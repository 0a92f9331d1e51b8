"""Offline mode: what leaves this computer is refused by Python and by the kernel, in each of our processes, and listed."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.config import offline
from app.config.subprocess_tools import run_child
from app.store import Profile, Store, settings
from app.store.profile import project_dir

ELSEWHERE = "192.0.2.1"  # RFC 5737: never assigned
TRIES = {
    "connect": f"socket.create_connection(('{ELSEWHERE}', 9), timeout=2)",
    "datagram": f"socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('{ELSEWHERE}', 9))",
    "connect6": "socket.socket(socket.AF_INET6).connect(('2001:db8::1', 9))",
    "look-up": "socket.getaddrinfo('example.com', 443)",
    "old look-up": "socket.gethostbyname('example.com')",
    "reverse look-up": f"socket.gethostbyaddr('{ELSEWHERE}')",
    "urllib": f"__import__('urllib.request').request.urlopen('http://{ELSEWHERE}/', timeout=2)",
    "httpx": f"__import__('httpx').get('http://{ELSEWHERE}/', timeout=2, trust_env=False)",
    "asyncio": f"__import__('asyncio').run(__import__('asyncio').open_connection('{ELSEWHERE}', 9))",
}
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's filter is Linux's")


def child(code: str, need: str, log: Path | None) -> str:
    """What a process prints that began in offline mode with this need, then ran ``code``."""
    start = f"import errno, socket\nfrom app.config import offline\noffline.begin('test', {need!r})\n"
    env = {**os.environ, **({offline.VARIABLE: str(log)} if log else {})}
    done = subprocess.run([sys.executable, "-c", start + code], cwd=project_dir(), env=env, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize("what", TRIES)
def test_an_attempt_is_refused_in_words_and_listed(tmp_path: Path, what: str) -> None:
    code = f"try:\n    {TRIES[what]}\n    print('it went out')\nexcept Exception as problem:\n    print(repr(problem), repr(problem.__context__))"
    said = child(code, "loopback", tmp_path / offline.FILE)
    assert "Offline mode is on" in said
    count, listed = offline.refused(tmp_path)
    assert count == len(listed) >= 1
    assert listed[0].program == "test"
    assert listed[0].target.split(":")[0] in (ELSEWHERE, "example.com", "2001")


def test_this_computer_can_be_called(tmp_path: Path) -> None:
    code = ("s = socket.create_server(('127.0.0.1', 0))\nsocket.create_connection(('localhost', s.getsockname()[1]))\n"
            "socket.getaddrinfo('localhost', 80)\nprint('called')")
    assert child(code, "loopback", tmp_path / offline.FILE).strip() == "called"
    assert offline.refused(tmp_path) == (0, [])


@pytest.mark.parametrize(("host", "here"), [
    ("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("localhost", True), ("LOCALHOST.", True), ("", True), ("0.0.0.0", True),
    ("::ffff:127.0.0.1", True), ("fe80::1%eth0", False), ("::ffff:192.0.2.1", False), ("10.0.0.1", False), ("169.254.169.254", False),
    ("localhost.example.com", False), ("127.0.0.1.nip.io", False)])
def test_only_this_computer_counts_as_here(host: str, here: bool) -> None:
    assert offline.is_here(host) is here


NATIVE = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nprint([(f, t, libc.socket(f, t, 0) >= 0) for f in (1, 2, 10) for t in (1, 2)])"


@LINUX
@pytest.mark.parametrize(("need", "open_to"), [("none", {(1, 1), (1, 2)}), ("listen", {(1, 1), (1, 2), (2, 1), (10, 1)})])
def test_the_kernel_refuses_native_code_too(tmp_path: Path, need: str, open_to: set[tuple[int, int]]) -> None:
    said = child(NATIVE, need, tmp_path / offline.FILE)
    assert {(family, kind) for family, kind, opened in ast.literal_eval(said) if opened} == open_to


@LINUX
def test_a_listener_accepts_but_cannot_call(tmp_path: Path) -> None:
    code = ("s = socket.create_server(('127.0.0.1', 0))\nprint('listens')\n"
            "try:\n    socket.create_connection(s.getsockname())\nexcept PermissionError:\n    print('cannot call')")
    assert child(code, "listen", tmp_path / offline.FILE).split("\n")[:2] == ["listens", "cannot call"]


@LINUX
@pytest.mark.parametrize(("need", "words"), [("none", "refused"), ("loopback", "opened")])
def test_a_foreign_program_is_started_under_the_filter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, need: offline.Need, words: str) -> None:
    monkeypatch.setenv(offline.VARIABLE, str(tmp_path / offline.FILE))
    code = "import socket\ntry:\n    socket.socket()\n    print('opened')\nexcept PermissionError:\n    print('refused')"
    assert run_child([sys.executable, "-c", code], need=need).tail.strip() == words


def test_without_offline_mode_nothing_is_changed() -> None:
    assert "True), (2, 2, True)" in child(NATIVE, "none", None)


def test_the_switch_is_followed(store: Store, profile: Profile) -> None:
    for on in (True, False, True):
        settings.put(store, "offline", on)
        offline.follow(store, "test")
        assert (offline.VARIABLE in os.environ) is on
    assert os.environ[offline.VARIABLE] == str(profile.logs / offline.FILE)


def test_a_list_that_was_cut_short_is_still_read(tmp_path: Path) -> None:
    (tmp_path / offline.FILE).write_text('{"at": 1, "program": "a", "pid": 2, "target": "b:1"}\n{"at": 2, "prog')
    assert offline.refused(tmp_path) == (2, [offline.Refused(1.0, "a", 2, "b:1")])
